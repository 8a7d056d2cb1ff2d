"""Whether this process was forked from one that used obstore, whose threads do not come along: it would wait for ever.

(multiprocessing's "fork", which PyTorch's DataLoader uses on Linux up to Python 3.13, does that to a program that has
read an object before.) obstore has one set of threads for a process, so what is known here is known for the process.
"""

from __future__ import annotations

import os

from orbitpkg.errors import RepositoryUnreachable

__all__ = ["claim_threads", "is_forked"]

_owner: int | None = None


def claim_threads() -> None:
    """Say that obstore is about to be used.

    Raises:
        RepositoryUnreachable: Its threads stayed in the process that this one was forked from.
    """
    global _owner  # noqa: PLW0603 - obstore's threads are as global
    if is_forked():
        raise RepositoryUnreachable(
            "This process was forked from one that had used an object store, whose threads do not come along.",
            hint='Start workers by multiprocessing\'s "spawn" or "forkserver", or open stores in them alone.',
        )
    _owner = os.getpid()


def is_forked() -> bool:
    """Say whether obstore cannot be used here."""
    return _owner is not None and _owner != os.getpid()
