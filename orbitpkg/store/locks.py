"""Locks between processes. They save duplicate work, and nothing depends on them for correctness.

In a shared store every user can take them. Some file systems do not support locks: NFS without its lock daemon, Lustre
mounted without ``flock``. There, no lock is taken: filelock would wait, fail, or use a lock file that a killed process
leaves behind.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

from orbitpkg.files.atomic import NO_LINKS, create_file
from orbitpkg.files.folders import file_mode, inherited_mode, set_mode

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
    """Hold a lock for the duration of the block.

    The lock file is not deleted: otherwise two processes could lock two different files of the same name.

    Args:
        layout: The layout of the store, whose folder of locks exists.
        label: The name of the lock: the name and version of a release.
        seconds: How long to wait for another process.
        on_wait: Called once if another process holds the lock and this one waits.

    Raises:
        filelock.Timeout: Another process held the lock for longer.
        OSError: The lock file cannot be created.
    """
    lock = _open(f"{layout.locks}/{label}.lock", inherited_mode(layout.locks))
    if lock is not None:
        _acquire(lock, seconds, on_wait)
    try:
        yield
    finally:
        if lock is not None:
            with contextlib.suppress(OSError):  # closing the file releases the lock, too
                lock.release()


def _open(path: str, shared: int | None) -> BaseFileLock | None:
    """Return a lock that is not taken yet, or None if the file system does not support locks."""
    from filelock import FileLock

    mode = _PRIVATE_MODE if shared is None else file_mode(shared, writable=True, executable=False)
    if shared is not None and not os.path.exists(path):  # noqa: PTH110
        _make_shared(path, mode)
    return FileLock(path, mode=mode) if _has_locks(path, mode) else None


def _make_shared(path: str, mode: int) -> None:
    # Other users must not see the file before they can write to it. An existing file may be locked: it is kept.
    part = f"{os.path.dirname(path)}/.new-{secrets.token_hex(8)}"  # noqa: PTH120
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        set_mode(part, mode)
        with contextlib.suppress(FileExistsError):
            create_file(part, path, durable=False)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        # Without hard links the file is created where it is used; a user who comes in between is refused once.
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, mode))
        set_mode(path, mode)
    finally:
        os.unlink(part)  # noqa: PTH108


def _has_locks(path: str, mode: int) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows has other locks
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
