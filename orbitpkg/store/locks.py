"""Files that processes lock; of a shared store, files that each of its users can lock.

A lock's file stays where it is: deleting it would let two processes lock two files of one name.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from typing import TYPE_CHECKING

from orbitpkg.store.folders import file_mode, inherited_mode

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from orbitpkg.store.layout import Layout

__all__ = ["open_lock"]


def open_lock(layout: Layout, label: str) -> BaseFileLock:
    """Give a lock, not taken yet. The folder of locks is there.

    Args:
        layout: Of the store.
        label: What it is a lock of: a release's name and version.

    Raises:
        OSError: Its file cannot be made.
    """
    from filelock import FileLock

    path = f"{layout.locks}/{label}.lock"
    mode = inherited_mode(layout.locks)
    if mode is not None and not os.path.exists(path):  # noqa: PTH110
        _make_shared(path, file_mode(mode, writable=True, executable=False))
    return FileLock(path)


def _make_shared(path: str, mode: int) -> None:
    # Others see it when they may write it, not before; and one that is there may be locked, so it is not replaced.
    part = f"{os.path.dirname(path)}/.new-{secrets.token_hex(8)}"  # noqa: PTH120
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        os.chmod(part, mode)  # noqa: PTH101
        with contextlib.suppress(FileExistsError):
            os.link(part, path)
    finally:
        os.unlink(part)  # noqa: PTH108
