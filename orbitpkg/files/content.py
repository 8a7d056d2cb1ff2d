"""The content of files that no reader knows yet: writing it, and sharing it between two names."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import sys

from orbitpkg.files.atomic import temporary_name
from orbitpkg.files.folders import file_mode, inherited_mode, set_mode

__all__ = ["clone_or_link", "write_file"]

# linux/fs.h: _IOW(0x94, 9, int). The fcntl module has had a name for it since Python 3.14.
_FICLONE = 0x40049409
_NOT_ABOUT_LINKS = {errno.EEXIST, errno.ENOENT, errno.ENOSPC, errno.EDQUOT, errno.EROFS}


def write_file(path: str, data: bytes, *, sync: bool = True) -> None:
    """Write a small file in place. Not atomic: use it only in folders, or under names, that no reader knows yet.

    Args:
        path: The file.
        data: The content.
        sync: Whether to sync the file.
    """
    mode = inherited_mode(os.path.dirname(path))  # noqa: PTH120
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
        if mode is not None:
            set_mode(descriptor, file_mode(mode, writable=True, executable=False))
        file.write(data)
        file.flush()
        if sync:
            os.fsync(descriptor)


def clone_or_link(source: str, target: str, *, or_copy: bool = True) -> bool:
    """Create a file with the bytes of another: as a reflink if possible, else as a hard link, else as a copy.

    Args:
        source: The existing file.
        target: The new file.
        or_copy: Whether to copy the bytes if they cannot be shared.

    Returns:
        Whether ``target`` was created.

    Raises:
        FileExistsError: ``target`` exists.
        FileNotFoundError: ``source`` does not exist.
        OSError: The file cannot be created.
    """
    if _clone(source, target):
        return True
    try:
        os.link(source, target)
    except OSError as error:
        # File systems without hard links report that with various errors; only these mean something else.
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
    part = temporary_name(os.path.dirname(target))  # noqa: PTH120
    shutil.copyfile(source, part)
    set_mode(part, stat.S_IMODE(os.stat(source).st_mode))  # noqa: PTH116
    os.rename(part, target)  # noqa: PTH104
