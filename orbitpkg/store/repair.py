"""Repairing an installed release: readers see the damaged file or the repaired one, never a part.

Files that do not belong to the release are moved aside rather than deleted: they may be a user's work.
"""

from __future__ import annotations

import os
import secrets
import stat
from typing import TYPE_CHECKING

from orbitpkg.files.anchors import READ_SAFELY
from orbitpkg.files.atomic import move_file, move_folder, temporary_name
from orbitpkg.files.content import write_file
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.folders import apply_shared_mode, set_mode
from orbitpkg.files.names import disk_path
from orbitpkg.files.sync import sync_files, sync_open_folder
from orbitpkg.store.condition import file_digest
from orbitpkg.store.folders import open_folder
from orbitpkg.store.layout import FILES_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orbitpkg.files.anchors import Anchor
    from orbitpkg.model.contents import FileEntry
    from orbitpkg.model.versions import Version
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.store import Staging

__all__ = ["find_obstacles", "move_aside", "replace_files", "restore_files", "restore_mode"]


def restore_files(layout: Layout, home: str, files: Mapping[str, bytes]) -> None:
    """Replace the store's own files of a release: its record, its contents and its origin.

    Args:
        layout: The layout of the store.
        home: The folder of the release.
        files: The content of each file, by name.

    Raises:
        StorageError: A file cannot be written.
    """
    with (
        storage_errors(home),
        open_folder(layout, layout.tmp, make=True) as tmp,
        open_folder(layout, home) as release,
    ):
        aside: Anchor | None = None
        for name, data in files.items():
            part = temporary_name(tmp.path)
            write_file(part, data)
            if os.path.isdir(f"{release.path}/{name}"):  # noqa: PTH112
                aside = aside or open_folder(layout, _new_aside(layout, home), make=True)
                move_folder(f"{release.path}/{name}", f"{aside.path}/{name}")
            move_file(part, f"{release.path}/{name}", durable=False)
        sync_open_folder(release.descriptor)
        if aside is not None:
            aside.close()


def move_aside(layout: Layout, key: str, version: Version, paths: Iterable[str]) -> str | None:
    """Move files or folders out of a release.

    Args:
        layout: The layout of the store.
        key: The canonical name of the package.
        version: The version of the release.
        paths: Paths relative to the release's files; an empty path is the folder of the files. Those that do not exist
            are skipped.

    Returns:
        The folder that they were moved to, or None if nothing was moved.

    Raises:
        StorageError: A file cannot be moved.
    """
    home = layout.release(key, version)
    away = _new_aside(layout, home)
    moved = False
    for path in paths:
        folder, _, name = (f"{FILES_NAME}/{disk_path(path)}" if path else FILES_NAME).rpartition("/")
        with storage_errors(f"{away}/{path}"):
            try:
                source = open_folder(layout, f"{home}/{folder}")
            except FileNotFoundError:
                continue
            with source:
                if not os.path.lexists(f"{source.path}/{name}"):
                    continue
                with open_folder(layout, f"{away}{folder[len(FILES_NAME) :]}", make=True) as target:
                    move_folder(f"{source.path}/{name}", f"{target.path}/{name}")
                moved = True
    return away if moved else None


def find_obstacles(layout: Layout, key: str, version: Version, files: Iterable[FileEntry]) -> Iterator[str]:
    """Yield the paths of what must be moved aside before files of a release can be put in their places.

    These are folders at the path of a file, and anything else at the path of a folder. A rename replaces all other
    obstacles. A path is checked only when the iterator reaches it, so a caller that moves each one at once gets no
    paths below it.

    Args:
        layout: The layout of the store.
        key: The canonical name of the package.
        version: The version of the release.
        files: The files.
    """
    root = f"{layout.release(key, version)}/{FILES_NAME}"
    checked = set()
    for file in files:
        parts = file.path.split("/")
        for folder in ("/".join(parts[:count]) for count in range(len(parts))):
            if folder in checked:
                continue
            checked.add(folder)
            path = f"{root}/{disk_path(folder)}" if folder else root
            if os.path.lexists(path) and not os.path.isdir(path):  # noqa: PTH112
                yield folder
        if os.path.isdir(f"{root}/{disk_path(file.path)}"):  # noqa: PTH112
            yield file.path


def _new_aside(layout: Layout, home: str) -> str:
    *_, key, version = home.split("/")
    return f"{layout.aside}/{key}-{version}-{secrets.token_hex(8)}"


def restore_mode(layout: Layout, key: str, version: Version, file: FileEntry) -> bool:
    """Make an intact file executable again, if its release has it so. Returns whether nothing else was wrong with it.

    Args:
        layout: The layout of the store.
        key: The canonical name of the package.
        version: The version of the release.
        file: The file.
    """
    path = f"{layout.release(key, version)}/{FILES_NAME}/{disk_path(file.path)}"
    if not file.executable:
        return False
    try:
        descriptor = os.open(path, READ_SAFELY)
    except OSError:
        return False
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o100 or file_digest(path) != file.blake3:
            return False
        set_mode(descriptor, status.st_mode & 0o777 | (status.st_mode & 0o444) >> 2)
        return bool(os.fstat(descriptor).st_mode & 0o100)
    except OSError:
        return False
    finally:
        os.close(descriptor)


def replace_files(layout: Layout, staging: Staging, files: Sequence[FileEntry]) -> None:
    """Replace damaged files of a release by verified ones, each by one rename.

    Args:
        layout: The layout of the store.
        staging: The staging folder of the verified files.
        files: The files.

    Raises:
        StorageError: A file cannot be replaced, or another user put a link in its path.
    """
    root = f"{layout.release(staging.release.key, staging.release.version)}/{FILES_NAME}"
    by_folder: dict[str, list[FileEntry]] = {}
    for file in files:
        by_folder.setdefault(os.path.dirname(f"{root}/{disk_path(file.path)}"), []).append(file)  # noqa: PTH120
    with storage_errors(root):
        apply_shared_mode(staging.files, staging.shared_mode)
        sync_files([staging.path(file) for file in files], folder=staging.folder)
        for folder, inside in by_folder.items():
            with open_folder(layout, folder, make=True) as target:
                for file in inside:
                    name = os.path.basename(disk_path(file.path))  # noqa: PTH119
                    move_file(staging.path(file), name, target_folder=target.descriptor)
                sync_open_folder(target.descriptor)
