"""Garbage in a repository: archives that no record refers to, and unfinished uploads.

Interrupted publishers leave both. Objects count as garbage if they are older than a grace period and no running
publisher has claimed their package (:mod:`orbitpkg.repository.claims`). Ages are measured with the clock of the store,
which set the times of its objects; the clock of this machine may be wrong.
"""

from __future__ import annotations

import contextlib
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import AccessDenied, ReadOnlyRepository, RepositoryError, UnsupportedByStore
from orbitpkg.repository.claims import claimed_packages
from orbitpkg.repository.layout import ARCHIVES, PROBES, package_of_archive

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.model.versions import Version
    from orbitpkg.objects.protocol import ObjectInfo, UploadInfo
    from orbitpkg.repository.repository import Repository

__all__ = ["Garbage", "collect_garbage", "find_garbage"]

_READERS = 16
# The temporary files of a directory include those of writes that take a moment, and that no publisher claims.
_SHORT_WRITE = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """The garbage in a repository.

    Attributes:
        objects: Archives that no record refers to, and objects left by probes.
        uploads: Unfinished uploads.
    """

    objects: tuple[ObjectInfo, ...]
    uploads: tuple[UploadInfo, ...]

    @property
    def size(self) -> int:
        """The size of the objects in bytes; the size of unfinished uploads is unknown."""
        return sum(info.size for info in self.objects)


def find_garbage(repository: Repository, *, grace: timedelta, now: datetime | None = None) -> Garbage:
    """Find garbage older than a grace period, without changing anything but a probe of the store's clock.

    Args:
        repository: The repository to search.
        grace: The minimum age of garbage, longer than any publishing takes.
        now: The present time; that of the store when None.

    Raises:
        IntegrityError: A record is damaged, so its archive is unknown and nothing can be called garbage.
        RepositoryError: The repository cannot be read.
    """
    # The order matters: claims are read after everything that they may protect, and records after the claims.
    objects = [info for prefix in (ARCHIVES, PROBES) for info in repository.objects.list(prefix)]
    try:
        uploads = list(repository.objects.list_uploads())
    # A store without multipart uploads has no unfinished ones.
    except UnsupportedByStore:
        uploads = []
    if not objects and not uploads:
        return Garbage(objects=(), uploads=())
    if now is None:
        now = _store_time(repository, objects)
    before = now - grace
    claimed = claimed_packages(repository, now)
    uploads = [
        upload
        for upload in uploads
        if upload.started < (before if upload.key else min(before, now - _SHORT_WRITE))
        and not _is_claimed(upload.key, claimed)
    ]
    objects = [
        info
        for info in objects
        if info.modified is not None
        and info.modified < before
        and (info.key.startswith(PROBES) or not _is_claimed(info.key, claimed))
    ]
    needed = _archives_in_use(repository) if objects else set()
    return Garbage(
        objects=tuple(info for info in objects if info.key not in needed),
        uploads=tuple(uploads),
    )


def _is_claimed(key: str | None, claimed: set[str]) -> bool:
    # Some stores do not say which object an upload is for.
    return package_of_archive(key) in claimed if key else bool(claimed)


def _store_time(repository: Repository, objects: Iterable[ObjectInfo]) -> datetime:
    """Return the present time by the clock that sets the times of the objects."""
    store, key = repository.objects, f"{PROBES}{secrets.token_hex(8)}/clock"
    try:
        store.put(key, b"")
        try:
            modified = store.head(key).modified
        finally:
            with contextlib.suppress(RepositoryError):
                store.delete(key)
    except (AccessDenied, ReadOnlyRepository, UnsupportedByStore):
        modified = None  # a user who may only read can still see what another would delete
    # The time of the newest object is in the past, so fewer objects count as garbage, never more.
    times = [modified] if modified is not None else [info.modified for info in objects if info.modified is not None]
    return max(times, default=datetime.now(UTC))


def _archives_in_use(repository: Repository) -> set[str]:
    def read(release: tuple[str, Version]) -> str | None:
        record = repository.find_release(*release)
        return record.archive.key if record else None

    releases = [(name, version) for name in repository.names() for version in repository.versions(name)]
    with Pool(_READERS, "orbitpkg-garbage") as pool:
        return {key for key in pool.map(read, releases) if key is not None}


def collect_garbage(repository: Repository, garbage: Garbage) -> None:
    """Delete the garbage that :func:`find_garbage` found.

    Raises:
        RepositoryError: An object cannot be deleted; the objects after it were not deleted either.
    """
    for info in garbage.objects:
        repository.objects.delete(info.key)
    for upload in garbage.uploads:
        repository.objects.abort_upload(upload)
