"""Detection of processes forked from one that used obstore.

A fork does not copy threads, so obstore would wait for its own threads forever. (This affects multiprocessing's "fork",
which PyTorch's DataLoader uses on Linux up to Python 3.13.) obstore has one set of threads per process, so the state of
this module is per process, too.
"""

from __future__ import annotations

import os

from orbitpkg.errors import RepositoryUnreachable

__all__ = ["claim_threads", "is_forked"]

_owner: int | None = None


def claim_threads() -> None:
    """Record that this process uses obstore.

    Raises:
        RepositoryUnreachable: obstore cannot work here, because this process was forked from one that used it.
    """
    global _owner  # noqa: PLW0603 - obstore's threads are as global
    if is_forked():
        raise RepositoryUnreachable(
            "This process was forked from one that had used an object store, and a fork does not copy threads.",
            hint='Start workers with multiprocessing\'s "spawn" or "forkserver", or open stores only in the workers.',
        )
    _owner = os.getpid()


def is_forked() -> bool:
    """Return whether this process was forked from one that used obstore."""
    return _owner is not None and _owner != os.getpid()
