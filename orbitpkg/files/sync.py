"""Syncing files and folders, so that they survive a power cut.

Many files are synced by one call for their whole file system where the system has one (Linux): an fsync for each of
100,000 small files takes minutes.
"""

from __future__ import annotations

import errno
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["sync_files", "sync_folder", "sync_open_folder"]

# Up to here one fsync each is cheaper than flushing whatever else waits for the same file system.
_FEW_FILES = 32


def sync_files(paths: Sequence[str], *, folder: str) -> None:
    """Have the bytes of files, and the names in the folders between them and ``folder``, on the disk on return."""
    if len(paths) > _FEW_FILES and _sync_file_system(folder):
        return
    folders = {folder}
    for path in paths:
        _sync(path)
        parent = os.path.dirname(path)  # noqa: PTH120
        while len(parent) > len(folder) and parent not in folders:
            folders.add(parent)
            parent = os.path.dirname(parent)  # noqa: PTH120
    for parent in sorted(folders, reverse=True):
        sync_folder(parent)


def _sync_file_system(folder: str) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), folder)
    except AttributeError:  # a C library without it
        return False
    finally:
        os.close(descriptor)
    return True


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Have the names in a folder on the disk on return, where the system lets folders be synced."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        # A user may be allowed to write in a folder, and not to read it.
        return
    try:
        sync_open_folder(descriptor)
    finally:
        os.close(descriptor)


def sync_open_folder(descriptor: int) -> None:
    """Do so with a folder that is open."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse to sync a folder; their renames are durable by themselves.
        if error.errno not in {errno.EINVAL, errno.EBADF, errno.ENOTSUP}:
            raise
