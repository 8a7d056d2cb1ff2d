"""Locks, which spare double work and nothing else; in a shared store, each of its users can take them.

Where a file system has no locks there are none: NFS without its lock daemon, Lustre mounted without ``flock``, and the
like. filelock would wait there, fail, or make a file of the lock that a process that was killed leaves behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

from orbitpkg.files.atomic import create_file, set_mode
from orbitpkg.files.folders import file_mode, inherited_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from filelock import BaseFileLock

    from orbitpkg.store.layout import Layout

__all__ = ["locked"]

_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EINVAL}
_PRIVATE_MODE = 0o644


@contextlib.contextmanager
def locked(
    layout: Layout, label: str, *, seconds: float = 0, on_wait: Callable[[], None] | None = None
) -> Iterator[None]:
    """Keep other processes from what is done meanwhile.

    The lock's file stays: deleting it would let two processes lock two files of one name.

    Args:
        layout: Of the store; its folder of locks is there.
        label: What is locked: a release's name and version.
        seconds: How long to wait.
        on_wait: Called once when another process holds the lock and this one will wait.

    Raises:
        filelock.Timeout: It was held for longer.
        OSError: Its file cannot be made.
    """
    lock = _open(f"{layout.locks}/{label}.lock", inherited_mode(layout.locks))
    if lock is not None:
        _acquire(lock, seconds, on_wait)
    try:
        yield
    finally:
        if lock is not None:
            with contextlib.suppress(OSError):  # closing the file ends the lock as well
                lock.release()


def _open(path: str, shared: int | None) -> BaseFileLock | None:
    """Give a lock, not taken yet; None where there are none."""
    from filelock import FileLock

    mode = _PRIVATE_MODE if shared is None else file_mode(shared, writable=True, executable=False)
    if shared is not None and not os.path.exists(path):  # noqa: PTH110
        _make_shared(path, mode)
    return FileLock(path, mode=mode) if _has_locks(path, mode) else None


def _make_shared(path: str, mode: int) -> None:
    # Others see it when they may write it, not before; and one that is there may be locked, so it is not replaced.
    part = f"{os.path.dirname(path)}/.new-{secrets.token_hex(8)}"  # noqa: PTH120
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        set_mode(part, mode)
        with contextlib.suppress(FileExistsError):
            create_file(part, path, durable=False)
    finally:
        os.unlink(part)  # noqa: PTH108


def _has_locks(path: str, mode: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has locks of its own
        return True
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return False
    finally:
        os.close(descriptor)
    return True


def _acquire(lock: BaseFileLock, seconds: float, on_wait: Callable[[], None] | None) -> None:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not seconds:
            raise
        if on_wait:
            on_wait()
        lock.acquire(timeout=seconds)
