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

# Up to this count, one fsync each is cheaper than flushing everything that waits for the same file system.
_FEW_FILES = 32
# If more unrelated data than this waits for the disks, syncfs would wait for it as well.
_FOREIGN_BYTES = 1 << 30


def sync_files(paths: Sequence[str], *, folder: str) -> None:
    """Sync files, and the folders between them and ``folder``, which is synced as well.

    Args:
        paths: The files, below ``folder``.
        folder: The folder; its own name in its parent is not synced.

    Raises:
        OSError: A file or a folder cannot be synced.
    """
    if len(paths) > _FEW_FILES and not _others_wait(paths) and _sync_file_system(folder):
        return
    folders = {folder}
    for path in paths:
        parent = os.path.dirname(path)  # noqa: PTH120
        while len(parent) > len(folder) and parent not in folders:
            folders.add(parent)
            parent = os.path.dirname(parent)  # noqa: PTH120
    if len(paths) > _FEW_FILES:
        # A journal commits what several threads request in one transaction.
        from orbitpkg.concurrency.pool import Pool

        with Pool(name="orbitpkg-sync") as pool:
            for _ in pool.map(_sync, paths):
                pass
    else:
        for path in paths:
            _sync(path)
    for parent in sorted(folders, reverse=True):
        sync_folder(parent)


def _others_wait(paths: Sequence[str]) -> bool:
    """Return whether so much unrelated data waits in memory that syncing the file system would take long."""
    try:
        with open("/proc/meminfo", "rb") as file:  # noqa: PTH123 - a system file, read on the way of every install
            rows = dict(line.split(b":", 1) for line in file)
        waiting = 1024 * sum(int(rows[key].split()[0]) for key in (b"Dirty", b"Writeback"))
    except (OSError, KeyError, ValueError, IndexError):
        return False
    if waiting <= _FOREIGN_BYTES:
        return False
    return waiting - sum(os.stat(path).st_size for path in paths) > _FOREIGN_BYTES  # noqa: PTH116


def _sync_file_system(folder: str) -> bool:
    """Sync the file system of a folder; return whether that was possible."""
    if not sys.platform.startswith("linux"):
        return False
    import ctypes

    descriptor = os.open(folder, os.O_RDONLY)
    try:
        # Some file systems and seccomp filters refuse it, and it also reports failures of unrelated files. The caller
        # then syncs each file by itself.
        status: int = ctypes.CDLL(None).syncfs(descriptor)
    except AttributeError:  # not in every C library
        return False
    finally:
        os.close(descriptor)
    return status == 0


def _sync(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(path: str | os.PathLike[str]) -> None:
    """Sync the names in a folder, if the system can sync folders."""
    if os.name == "nt":
        return
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:
        # A user can have permission to write in a folder but not to read it.
        return
    try:
        sync_open_folder(descriptor)
    finally:
        os.close(descriptor)


def sync_open_folder(descriptor: int) -> None:
    """Sync the names in an open folder, if the system can sync folders."""
    try:
        os.fsync(descriptor)
    except OSError as error:
        # Some network file systems refuse to sync a folder; their renames are durable by themselves.
        if error.errno not in {errno.EINVAL, errno.EBADF, errno.ENOTSUP}:
            raise
