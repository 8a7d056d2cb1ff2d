"""Locks between processes. They save duplicate work, and nothing depends on them for correctness.

In a shared store every user can take them. Some file systems do not support locks: NFS without its lock daemon, Lustre
mounted without ``flock``. There, no lock is taken, and none is taken either if something other than a file that this
user can open has the lock's name.

The process that holds a lock updates the modification time of its file as its work advances. So a process that waits
can tell one that advances, for hours if the model is large, from one that hangs.
"""

from __future__ import annotations

import contextlib
import errno
import os
import random
import stat
import threading
import time
from typing import TYPE_CHECKING, Final

from orbitpkg.files.folders import file_mode, set_mode
from orbitpkg.store.folders import open_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orbitpkg.store.layout import Layout

__all__ = ["HeldLock", "LockHeldError", "locked"]

_PRIVATE_MODE = 0o644
_FLAGS: Final = (
    os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)
# Errors that mean that something else has the lock's name: a link, a folder, a socket, another user's private file.
_NOT_A_LOCK = {errno.ELOOP, errno.EISDIR, errno.ENXIO}
# Many processes of one job wait for the same lock. Together they must not keep a server of files busy.
_FIRST_PAUSE, _LAST_PAUSE = 0.02, 0.5
# How often the holder reports progress, and how often it does while the system writes files to the disk.
_REPORT_SECONDS = 1.0


class LockHeldError(Exception):
    """Another process holds a lock."""


class HeldLock:
    """A lock that this process holds. Reports may come from several threads.

    Args:
        descriptor: The open file of the lock, or None if the file system has no locks.
    """

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        self._reported = time.monotonic()

    def progress(self, _amount: object = None) -> None:
        """Report to the processes that wait for the lock that the work advances."""
        now = time.monotonic()
        if self._descriptor is not None and now - self._reported >= _REPORT_SECONDS:
            self._reported = now
            _touch(self._descriptor)

    @contextlib.contextmanager
    def while_system_works(self) -> Iterator[None]:
        """Report progress during a block that waits in a long call of the system, such as writing 100 GB to a disk."""
        if self._descriptor is None:
            yield
            return
        done = threading.Event()

        def report() -> None:
            while not done.wait(_REPORT_SECONDS):
                self.progress()

        thread = threading.Thread(target=report, name="orbitpkg-lock", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # no thread can be started: the processes that wait may give up earlier
            yield
            return
        try:
            yield
        finally:
            done.set()
            thread.join()


@contextlib.contextmanager
def locked(
    layout: Layout,
    label: str,
    *,
    seconds: float = 0,
    on_wait: Callable[[], None] | None = None,
    needless: Callable[[], bool] | None = None,
) -> Iterator[HeldLock]:
    """Hold a lock for the duration of the block.

    The lock file is not deleted: otherwise two processes could lock two different files of the same name.

    Args:
        layout: The layout of the store.
        label: The name of the lock: the name and version of a release.
        seconds: How long to wait for another process that reports no progress.
        on_wait: Called once if another process holds the lock and this one waits.
        needless: Returns whether the work is done, so that waiting for the lock has become needless. Called repeatedly
            while this process waits.

    Raises:
        LockHeldError: Another process held the lock, and reported no progress for that long.
        OSError: The lock file cannot be created.
    """
    descriptor = _open(layout, label)
    try:
        if descriptor is not None and not _acquire(descriptor, seconds, on_wait, needless):
            os.close(descriptor)
            descriptor = None
        yield HeldLock(descriptor)
    finally:
        if descriptor is not None:
            os.close(descriptor)  # releases the lock


def _open(layout: Layout, label: str) -> int | None:
    """Open a lock's file, or return None if there cannot be a lock."""
    if os.name == "nt":  # other users cannot write to a store there, and two installs are correct without a lock
        return None
    with open_folder(layout, layout.locks, make=True) as folder:
        shared = stat.S_IMODE(os.fstat(folder.descriptor).st_mode)
        mode = file_mode(shared, writable=True, executable=False) if shared & stat.S_ISGID else _PRIVATE_MODE
        name = f"{label}.lock"
        try:
            descriptor = os.open(name, _FLAGS & ~os.O_CREAT, dir_fd=folder.descriptor)
        except FileNotFoundError:
            descriptor = os.open(name, _FLAGS, mode, dir_fd=folder.descriptor)
            if os.fstat(descriptor).st_uid == os.geteuid():
                # The umask may have removed bits, and other users must be able to take the lock.
                set_mode(descriptor, mode)
        except PermissionError:
            return None
        except OSError as error:
            if error.errno not in _NOT_A_LOCK:
                raise
            return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def _acquire(
    descriptor: int, seconds: float, on_wait: Callable[[], None] | None, needless: Callable[[], bool] | None
) -> bool:
    """Take a lock. Returns False if that is not possible, or not necessary any more."""
    taken = _try(descriptor)
    if taken is None or taken:
        return bool(taken)
    if not seconds:
        raise LockHeldError
    if on_wait:
        on_wait()
    pause = _FIRST_PAUSE
    seen, since = _state(descriptor), time.monotonic()
    while not (taken := _try(descriptor)):
        if taken is None or (needless is not None and needless()):
            return False
        now, state = time.monotonic(), _state(descriptor)
        if state != seen:
            seen, since = state, now
        elif now - since > seconds:
            raise LockHeldError
        # Random, so that many processes do not all ask at the same moment.
        time.sleep(min(pause * random.uniform(0.5, 1.0), max(0.0, since + seconds - now) + _FIRST_PAUSE))  # noqa: S311
        pause = min(2 * pause, _LAST_PAUSE)
    return True


def _try(descriptor: int) -> bool | None:
    """Try to take a lock; return None if the file system has no locks."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    # To the processes that wait, a new holder is progress.
    _touch(descriptor)
    return True


def _state(descriptor: int) -> int:
    return os.fstat(descriptor).st_mtime_ns


def _touch(descriptor: int) -> None:
    # Permission to write is enough to set the current time. A file system that refuses it has no progress to show.
    with contextlib.suppress(OSError):
        os.utime(descriptor)
