"""How bytes get to the local disk and stay there.

A file becomes visible by a rename, after its bytes were synced; the folder it appears in is synced after. Many files
are synced by one call for their whole file system where there is one (Linux), since an fsync for each of 100,000 small
files takes minutes.
"""

from __future__ import annotations

import errno
import os
import shutil
import sys
from typing import TYPE_CHECKING

from orbitpkg.files.folders import file_mode, inherited_mode

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["clone_or_link", "sync_files", "sync_folder", "sync_open_folder", "write_file"]

# Up to here one fsync each is cheaper than flushing whatever else waits for the same file system.
_FEW_FILES = 32
# linux/fs.h: _IOW(0x94, 9, int). Python has no name for it before 3.14's fcntl.
_FICLONE = 0x40049409
_NOT_ABOUT_LINKS = {errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EROFS}


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


def write_file(path: str, data: bytes, *, sync: bool = True) -> None:
    """Write a small file whole. Not atomic: for files in folders, or under names, that nobody sees yet.

    Args:
        path: The file.
        data: What is to be in it.
        sync: Have it on the disk on return.
    """
    mode = inherited_mode(os.path.dirname(path))  # noqa: PTH120
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        if mode is not None:
            os.fchmod(descriptor, file_mode(mode, writable=True, executable=False))
        file.write(data)
        file.flush()
        if sync:
            os.fsync(descriptor)


def clone_or_link(source: str, target: str, *, or_copy: bool = True) -> bool:
    """Make ``target`` a file with the bytes of ``source``: a reflink where that works, else a hard link, else a copy.

    Args:
        source: The file that is there.
        target: The file to be made.
        or_copy: Make it even if it takes as much space again.

    Returns:
        Whether it was made.

    Raises:
        FileExistsError: There is a ``target``.
        FileNotFoundError: There is no ``source``.
        OSError: It could not be done in any way.
    """
    if _clone(source, target):
        return True
    try:
        os.link(source, target)
    except OSError as error:
        # Anything else may be a file system without links: each has another word for it.
        if error.errno in _NOT_ABOUT_LINKS:
            raise
        if not or_copy:
            return False
        _copy(source, target)
    return True


_cannot_clone: set[int] = set()


def _clone(source: str, target: str) -> bool:
    if not sys.platform.startswith("linux"):
        return False
    import fcntl

    origin = os.open(source, os.O_RDONLY)
    try:
        status = os.fstat(origin)
        if status.st_dev in _cannot_clone:
            return False
        copy = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, status.st_mode & 0o777)
        try:
            fcntl.ioctl(copy, _FICLONE, origin)
        except OSError:
            os.unlink(target)  # noqa: PTH108
            _cannot_clone.add(status.st_dev)
            return False
        finally:
            os.close(copy)
        return True
    finally:
        os.close(origin)


def _copy(source: str, target: str) -> None:
    part = f"{target}.part"
    shutil.copyfile(source, part)
    shutil.copymode(source, part)
    os.rename(part, target)  # noqa: PTH104
