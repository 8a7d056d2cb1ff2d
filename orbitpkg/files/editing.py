"""Editing files that several processes read, change and write back: one after another, so that no change is lost.

The lock is a file beside those that it protects, so that every machine that sees them sees the lock. It is a lock of
the operating system where the file system has these: it ends with its process. Elsewhere (NFS without its lock daemon,
Lustre without ``flock``) the existence of the file is the lock, and a file that is too old counts as abandoned.
"""

from __future__ import annotations

import contextlib
import errno
import os
import time
from typing import TYPE_CHECKING

from orbitpkg.errors import LockTimeout

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["editing"]

_NAME = ".orbitpkg.lock"
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL, errno.EBADF}
# Who cannot create the lock cannot write the files either, and may only read them.
_REFUSED = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.ENOTDIR}
_FIRST_PAUSE, _LONGEST_PAUSE = 0.01, 0.25
# Far more than any edit takes, which includes choosing releases through a slow network.
_ABANDONED = 3600.0


@contextlib.contextmanager
def editing(folder: str | os.PathLike[str], *, seconds: float) -> Iterator[None]:
    """Keep other processes from editing files in a folder for the duration of the block.

    Does nothing if this user cannot create files in the folder.

    Args:
        folder: The folder.
        seconds: How long to wait for other processes.

    Raises:
        LockTimeout: Another process was editing for longer.
        OSError: The lock cannot be created, because the disk is full, for example.
    """
    path = f"{os.fspath(folder)}/{_NAME}"
    try:
        lock = _acquire(path, time.monotonic() + seconds)
    except OSError as error:
        if error.errno not in _REFUSED:
            raise
        lock = None
    if lock is _BUSY:
        raise LockTimeout(
            f"Another process has been changing the settings in {os.fspath(folder)} for more than {seconds:g} seconds.",
            hint=f"Run the command again when it has finished. If no such process is running, delete {path}.",
            path=path,
        )
    try:
        yield
    finally:
        if lock is not None:
            _release(path, lock)


_BUSY = -1


def _acquire(path: str, deadline: float) -> int:
    """Return the descriptor of the locked file, or ``_BUSY`` if the time is over."""
    pause = _FIRST_PAUSE
    while True:
        lock = _try(path)
        if lock != _BUSY or time.monotonic() >= deadline:
            return lock
        time.sleep(min(pause, max(0.0, deadline - time.monotonic())))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _try(path: str) -> int:
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        import fcntl
    except ImportError:  # Windows
        return _create(path)
    # Others who may write to the folder must be able to take the lock, too.
    descriptor = os.open(path, flags, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # The process that held the lock deletes the file: only the file that is still there counts.
        if os.path.samestat(os.fstat(descriptor), os.lstat(path)):
            return descriptor
    except (BlockingIOError, FileNotFoundError):
        pass
    except OSError as error:
        os.close(descriptor)
        if error.errno not in _NO_LOCKS:
            raise
        # The file that this process has just created is not the lock: its content is what makes it one.
        return _create(f"{path}.held")
    os.close(descriptor)
    return _BUSY


def _create(path: str) -> int:
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0), 0o666)
    except FileExistsError:
        with contextlib.suppress(OSError):
            # Compared with a file of the same file system, because the clocks of two machines may differ.
            if _now(path) - os.stat(path).st_mtime > _ABANDONED:  # noqa: PTH116
                os.unlink(path)  # noqa: PTH108
        return _BUSY


def _now(path: str) -> float:
    probe = f"{path}.{os.getpid()}"
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600))
    try:
        return os.stat(probe).st_mtime  # noqa: PTH116
    finally:
        os.unlink(probe)  # noqa: PTH108


def _release(path: str, descriptor: int) -> None:
    # Deleted before it is unlocked: whoever opened the file meanwhile finds that it is gone.
    with contextlib.suppress(OSError):
        for name in (f"{path}.held", path):
            if os.path.exists(name) and os.path.samestat(os.fstat(descriptor), os.lstat(name)):  # noqa: PTH110
                os.unlink(name)  # noqa: PTH108
    os.close(descriptor)
