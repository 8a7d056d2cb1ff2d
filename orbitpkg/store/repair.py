"""Putting back what was found wrong with an installed release, without ever showing anybody a file half-written.

What is no file of the release is not deleted but moved away: it may be somebody's work.
"""

from __future__ import annotations

import os
import secrets
from typing import TYPE_CHECKING

from orbitpkg.files.atomic import move_file, move_folder, temporary_name
from orbitpkg.files.content import write_file
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.folders import apply_shared_mode, inherited_mode, make_folders
from orbitpkg.files.sync import sync_files, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orbitpkg.model.contents import FileEntry
    from orbitpkg.model.versions import Version
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.store import Staging

__all__ = ["move_aside", "replace_files", "restore_files"]


def restore_files(layout: Layout, home: str, files: Mapping[str, bytes]) -> None:
    """Replace what the store keeps beside a release's files, one after another, each at once.

    Args:
        layout: Of the store.
        home: The release's folder.
        files: What is to be there, by name.

    Raises:
        StorageError: It cannot be written.
    """
    with storage_errors(home):
        make_folders(layout.tmp)
        for name, data in files.items():
            part = temporary_name(layout.tmp)
            write_file(part, data)
            move_file(part, f"{home}/{name}", durable=False)
        sync_folder(home)


def move_aside(layout: Layout, key: str, version: Version, paths: Iterable[str]) -> str | None:
    """Move files, or whole folders, of a release's folder away; returns where they are, None when there were none.

    Args:
        layout: Of the store.
        key: The package's canonical name.
        version: Of the release.
        paths: Relative to the release's files.

    Raises:
        StorageError: They cannot be moved.
    """
    root, away = f"{layout.release(key, version)}/files", None
    for path in paths:
        if not os.path.lexists(f"{root}/{path}"):
            continue
        away = away or f"{layout.aside}/{key}-{version}-{secrets.token_hex(8)}"
        target = f"{away}/{path}"
        with storage_errors(target):
            make_folders(os.path.dirname(target))  # noqa: PTH120
            move_folder(f"{root}/{path}", target)
    return away


def replace_files(staging: Staging, files: Sequence[FileEntry], root: str) -> None:
    """Put staged files that are verified in the place of broken ones, each by one rename.

    Args:
        staging: Where they are.
        files: Which ones.
        root: The folder that holds the release's files.

    Raises:
        StorageError: The disk did not do it.
    """
    with storage_errors(root):
        apply_shared_mode(staging.folder, inherited_mode(root))
        sync_files([staging.path(file) for file in files], folder=staging.folder)
        folders = {root}
        for file in files:
            folder = os.path.dirname(f"{root}/{file.path}")  # noqa: PTH120
            if folder not in folders:
                make_folders(folder)
                folders.add(folder)
            move_file(staging.path(file), f"{root}/{file.path}", durable=False)
        for folder in sorted(folders, reverse=True):
            sync_folder(folder)
