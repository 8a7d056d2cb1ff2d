"""Claims of running publishers: the objects of a package that garbage collection must spare.

A publisher uploads an archive first and creates the record that refers to it last. Until then, nothing but its claim
distinguishes the archive from garbage, because an upload can take longer than any age that a user thinks safe::

    archives/<name>/claims/<32 hex>

1. The publisher creates its claim before it sends a byte, renews it while it sends, and deletes it after the record
   was created.
2. Garbage collection lists the archives first, then the claims, then the records.

So an archive whose publisher has no claim any more has its record before the records are read. A claim that was not
renewed for a day was left by a publisher that was killed.
"""

from __future__ import annotations

import contextlib
import time
from datetime import timedelta
from typing import TYPE_CHECKING

from orbitpkg.errors import RepositoryError
from orbitpkg.repository.layout import ARCHIVES, new_claim_key, package_of_claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime

    from orbitpkg.repository.repository import Repository

__all__ = ["claimed_packages", "hold_claim"]

_CLAIM = b'{"format":1}'
_RENEWAL_SECONDS = 600.0
_LIFE = timedelta(days=1)


@contextlib.contextmanager
def hold_claim(repository: Repository, name: str) -> Iterator[Callable[[], None]]:
    """Claim a package's unreferenced objects for the duration of the block.

    Args:
        repository: The repository.
        name: The package's canonical name.

    Yields:
        A function to call regularly, which renews the claim if it is due.

    Raises:
        RepositoryError: The claim cannot be created.
    """
    objects, key = repository.objects, new_claim_key(name)
    objects.put(key, _CLAIM)
    renewed = time.monotonic()

    def renew() -> None:
        nonlocal renewed
        if time.monotonic() - renewed >= _RENEWAL_SECONDS:
            objects.put(key, _CLAIM)
            renewed = time.monotonic()

    try:
        yield renew
    finally:
        # A claim that stays only delays garbage collection.
        with contextlib.suppress(RepositoryError):
            objects.delete(key)


def claimed_packages(repository: Repository, now: datetime) -> set[str]:
    """Return the canonical names of the packages that a running publisher may have claimed.

    Args:
        repository: The repository.
        now: The present time by the clock of the store.
    """
    return {
        name
        for info in repository.objects.list(ARCHIVES)
        if (name := package_of_claim(info.key)) and (info.modified is None or now - info.modified < _LIFE)
    }
