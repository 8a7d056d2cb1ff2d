"""Repairing an installed release: readers see the damaged file or the repaired one, never a part.

Files that do not belong to the release are moved aside rather than deleted: they may be a user's work.
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
    """Replace the store's own files of a release: its record, its contents and its origin.

    Args:
        layout: The layout of the store.
        home: The folder of the release.
        files: The content of each file, by name.

    Raises:
        StorageError: A file cannot be written.
    """
    with storage_errors(home):
        make_folders(layout.tmp)
        for name, data in files.items():
            part = temporary_name(layout.tmp)
            write_file(part, data)
            move_file(part, f"{home}/{name}", durable=False)
        sync_folder(home)


def move_aside(layout: Layout, key: str, version: Version, paths: Iterable[str]) -> str | None:
    """Move files or folders out of a release.

    Args:
        layout: The layout of the store.
        key: The canonical name of the package.
        version: The version of the release.
        paths: Paths relative to the release's files. Those that do not exist are skipped.

    Returns:
        The folder that they were moved to, or None if nothing was moved.

    Raises:
        StorageError: A file cannot be moved.
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
    """Replace damaged files by verified ones, each by one rename.

    Args:
        staging: The staging folder of the verified files.
        files: The files.
        root: The folder of the release's files.

    Raises:
        StorageError: A file cannot be replaced.
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
