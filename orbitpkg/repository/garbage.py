"""Garbage in a repository: archives that no record refers to, and unfinished uploads.

Interrupted publishers leave both. Only their age distinguishes them from those of a running publisher, so only objects
older than a grace period count. Records are read after the archives were listed, so a release that is published in the
meantime keeps its archive.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import UnsupportedByStore
from orbitpkg.repository.layout import ARCHIVES, PROBES

if TYPE_CHECKING:
    from datetime import timedelta

    from orbitpkg.model.versions import Version
    from orbitpkg.objects.protocol import ObjectInfo, UploadInfo
    from orbitpkg.repository.repository import Repository

__all__ = ["Garbage", "collect_garbage", "find_garbage"]

_READERS = 16


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
    """Find garbage older than a grace period, without changing anything.

    Args:
        repository: The repository to search.
        grace: The minimum age of garbage, longer than any publishing takes.
        now: The present time; the system's when None.

    Raises:
        IntegrityError: A record is damaged, so its archive is unknown and nothing can be called garbage.
        RepositoryError: The repository cannot be read.
    """
    before = (now or datetime.now(UTC)) - grace
    objects = [
        info
        for prefix in (ARCHIVES, PROBES)
        for info in repository.objects.list(prefix)
        if info.modified is not None and info.modified < before
    ]
    needed = _archives_in_use(repository) if objects else set()
    try:
        uploads = [upload for upload in repository.objects.list_uploads() if upload.started < before]
    except UnsupportedByStore:
        uploads = []
    return Garbage(
        objects=tuple(info for info in objects if info.key not in needed),
        uploads=tuple(uploads),
    )


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
