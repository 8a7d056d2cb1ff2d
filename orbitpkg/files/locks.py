"""Locks between processes on one file, which are optional: some file systems have none.

NFS without its lock daemon, Lustre mounted without ``flock`` and some FUSE file systems refuse to lock. What a lock
protects must then be safe without it: the caller continues without a lock.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["file_lock"]


@contextlib.contextmanager
def file_lock(path: str | os.PathLike[str], *, on_wait: Callable[[], object] | None = None) -> Iterator[None]:
    """Hold an exclusive lock on a file during a block, where the file system has locks. Wait for other processes.

    Args:
        path: The file, which is created if it does not exist and never deleted.
        on_wait: Called once if another process holds the lock.

    Raises:
        OSError: The file cannot be created.
    """
    # Where several users can write, one of them could have put a link or a FIFO there.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, 0o666)
    try:
        # Every error except that of a held lock means that the file system does not support locks.
        with contextlib.suppress(OSError):
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if on_wait:
                    on_wait()
                fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
