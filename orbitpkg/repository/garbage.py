"""What a repository holds and no release needs: archives that no record names, and uploads that nobody finished.

Both are left by publishers that were stopped. Neither is told from one that is on its way right now by anything but
its age; so only what is older than a grace period counts, and an archive's record is looked for after the archives
were listed: a release that is published meanwhile keeps its archive.
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
    """What can be deleted.

    Attributes:
        objects: Archives that no record names, and what probes left.
        uploads: Uploads that nobody finished.
    """

    objects: tuple[ObjectInfo, ...]
    uploads: tuple[UploadInfo, ...]

    @property
    def size(self) -> int:
        """The size of the objects in bytes; what an unfinished upload holds is not known."""
        return sum(info.size for info in self.objects)


def find_garbage(repository: Repository, *, grace: timedelta, now: datetime | None = None) -> Garbage:
    """Find what no release needs and is older than a grace period. Changes nothing.

    Args:
        repository: Where to look.
        grace: How old something must be to count. Longer than any publishing takes.
        now: The time; the present one when None.

    Raises:
        IntegrityError: A record cannot be read: what it names is not known, so that nothing can be called garbage.
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
    """Delete what :func:`find_garbage` found.

    Raises:
        RepositoryError: It cannot be deleted; what comes after it is still there.
    """
    for info in garbage.objects:
        repository.objects.delete(info.key)
    for upload in garbage.uploads:
        repository.objects.abort_upload(upload)
