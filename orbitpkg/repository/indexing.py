"""Updates of a package's index that never mislead a reader, even if the index is out of date.

The index is derived from records and statuses, and is written in a separate step. In between, the writer keeps a marker
beside the records:

1. The writer creates the marker before it writes the record or the status, and before it reads the index to update it.
2. It writes the index from a listing, then reads both again until they agree.
3. Only then it deletes the marker. A writer that is interrupted at any point leaves its marker.

So a reader that first finds no markers and then reads the index sees everything written before it started: a writer
that could have left the index outdated, or overwritten it with an old one, would still have a marker. A reader that
finds a marker lists everything. This needs no conditional writes, which some stores lack.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, TypeVar

from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import AccessDenied, IntegrityError, ObjectExists, RepositoryError, UsageError
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.repository.index import Index, IndexEntry, NewerIndexError
from orbitpkg.repository.layout import (
    index_key,
    is_marker,
    markers_prefix,
    new_marker_key,
    releases_prefix,
    status_key,
    statuses_prefix,
    version_of_record,
    version_of_status,
)
from orbitpkg.repository.status import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from orbitpkg.model.release import Release
    from orbitpkg.objects.protocol import ObjectInfo
    from orbitpkg.repository.repository import Repository
    from orbitpkg.repository.status import Status

__all__ = [
    "READERS",
    "Change",
    "Listed",
    "announce",
    "compare",
    "differing",
    "has_markers",
    "list_package",
    "read_all",
    "read_statuses",
    "reindex",
    "set_status",
    "update_index",
    "withdraw",
]

T = TypeVar("T")
R = TypeVar("R")

READERS = 16
_MARKER = b'{"format":1}'
# Another writer can undo a round once for each release that it adds; more rounds than this are not a race.
_ROUNDS = 16
# A marker exists for a few requests. A marker that much older than a new one was abandoned.
_ABANDONED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """The listing of a package.

    Attributes:
        versions: The versions that have a record.
        markers: The markers of running or interrupted changes.
    """

    versions: frozenset[Version]
    markers: tuple[ObjectInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The result of rebuilding an index.

    Attributes:
        name: The package.
        releases: The number of releases in the index.
        differences: The errors and omissions of the previous index, one sentence each.
    """

    name: str
    releases: int
    differences: tuple[str, ...]


def list_package(repository: Repository, name: str) -> Listed:
    """List the records and the markers of a package.

    Raises:
        UnsupportedByStore: The store cannot list.
        RepositoryError: The store did not respond.
    """
    infos = list(repository.objects.list(releases_prefix(name)))
    versions = (_version(version_of_record(info.key, name)) for info in infos)
    return Listed(
        versions=frozenset(version for version in versions if version),
        markers=tuple(info for info in infos if is_marker(info.key, name)),
    )


def _version(text: str | None) -> Version | None:
    # Other tools may leave objects between the records.
    try:
        return parse_version(text) if text else None
    except UsageError:
        return None


def has_markers(repository: Repository, name: str) -> bool:
    """Return whether a change of a package is running or was interrupted."""
    return any(True for _ in repository.objects.list(markers_prefix(name)))


def announce(repository: Repository, name: str) -> str:
    """Create a marker that announces a change of a package, and return its key."""
    key = new_marker_key(name)
    # Created, not put: a bucket's policy may forbid overwriting below the records. The key is unique, so an existing
    # marker was created by a request of this process whose reply was lost.
    with contextlib.suppress(ObjectExists):
        repository.objects.create(key, _MARKER)
    return key


def withdraw(repository: Repository, key: str) -> None:
    """Delete a marker, because the index is up to date or the change was cancelled.

    Raises:
        AccessDenied: It cannot be deleted. Until it is, readers list the whole package.
    """
    try:
        repository.objects.delete(key)
    except AccessDenied as error:
        raise AccessDenied(
            f"{key} in {repository.url} cannot be deleted. Until it is, readers make more requests than necessary.",
            hint="Allow publishers to delete releases/*/pending/*.",
            key=key,
        ) from error


def read_statuses(
    repository: Repository, name: str, known: dict[str, tuple[str | None, Status]] | None = None
) -> dict[Version, Status]:
    """Read the statuses of the releases of a package.

    Args:
        repository: The repository.
        name: The package's canonical name.
        known: Statuses that were read before, by key, each with its ETag; new ones are added.
    """
    known = {} if known is None else known
    infos = {
        version: info
        for info in repository.objects.list(statuses_prefix(name))
        if (version := _version(version_of_status(info.key, name)))
    }

    def read(item: tuple[Version, ObjectInfo]) -> tuple[Version, str | None, Status | None]:
        version, info = item
        etag, status = known.get(info.key, (None, None))
        # Statuses rarely change, so one with the same ETag is not read again.
        if status is not None and etag == info.etag is not None:
            return version, etag, status
        return version, info.etag, repository.status(name, version)

    found: dict[Version, Status] = {}
    for version, etag, status in read_all(read, infos.items()):
        if status is not None:
            found[version] = status
            known[status_key(name, version)] = etag, status
    return found


def read_all(read: Callable[[T], R], things: Iterable[T]) -> list[R]:
    """Read many small objects in parallel."""
    listed = list(things)
    if len(listed) < 2:  # noqa: PLR2004 - a single object needs no thread
        return [read(thing) for thing in listed]
    with Pool(min(READERS, len(listed)), "orbitpkg-read") as pool:
        return list(pool.map(read, listed))


@dataclass(slots=True, kw_only=True)
class _Truth:
    """The records and the statuses of a package, each read only once."""

    repository: Repository
    name: str
    releases: dict[Version, Release] = field(default_factory=dict)
    statuses: dict[str, tuple[str | None, Status]] = field(default_factory=dict)

    def look(self) -> tuple[Listed, dict[Version, Status]]:
        listed = list_package(self.repository, self.name)
        return listed, read_statuses(self.repository, self.name, self.statuses)

    def index(self, old: Index, versions: frozenset[Version], statuses: Mapping[Version, Status]) -> Index:
        """Build the index of these versions, with the facts from the old index where it has them."""
        for release in read_all(self._read, versions - old.releases.keys() - self.releases.keys()):
            if release is not None:
                self.releases[release.version] = release
        kept = {version: entry for version, entry in old.releases.items() if version in versions}
        index = old.with_entries(kept).with_releases({v: r for v, r in self.releases.items() if v in versions})
        entries = {version: entry.with_status(statuses.get(version)) for version, entry in index.releases.items()}
        return index.with_entries(entries)

    def _read(self, version: Version) -> Release | None:
        return self.repository.find_release(self.name, version)


def update_index(repository: Repository, name: str, *, marker: str | None = None) -> Index:
    """Bring a package's index up to date with its records and statuses; safe to run concurrently.

    Args:
        repository: The repository.
        name: The package's canonical name.
        marker: A marker that was announced before; it is withdrawn once the index is up to date.

    Raises:
        UnsupportedByStore: The store cannot list.
        NewerIndexError: The index has a newer format, and was not changed.
        RepositoryError: The index cannot be read or written. The records are unaffected, and the marker remains, so
            readers do not rely on the index.
    """
    return _settle(_Truth(repository=repository, name=name), marker)


def _settle(truth: _Truth, marker: str | None) -> Index:
    repository, name = truth.repository, truth.name
    for _ in range(_ROUNDS):
        # The index is read after the listing. If it agrees with the listing, it was current at that moment.
        listed, statuses = truth.look()
        index = _index_or_new(repository, name)
        if _agrees(index, listed.versions, statuses) and (marker or not listed.markers):
            break
        if marker is None:
            # The index may only be written under a marker, and from a listing made after the marker.
            marker = announce(repository, name)
            continue
        # Some stores have no conditional writes. The next round reads the index again, and repairs it if another writer
        # overwrote it.
        repository.objects.put(index_key(name), truth.index(index, listed.versions, statuses).to_json())
    else:
        raise RepositoryError(
            f"The index of {name} in {repository.url} is constantly being rewritten by other publishers.",
            hint=f"To rebuild it later: orbitpkg repo reindex {name}",
        )
    if marker is not None:
        _sweep(repository, listed.markers, marker)
        withdraw(repository, marker)
    return index


def _agrees(index: Index, versions: frozenset[Version], statuses: Mapping[Version, Status]) -> bool:
    if versions != index.releases.keys():
        return False
    return all(entry.with_status(statuses.get(version)) is entry for version, entry in index.releases.items())


def _index_or_new(repository: Repository, name: str) -> Index:
    try:
        return repository.index(name) or Index(name=name)
    except NewerIndexError:
        raise
    except IntegrityError:
        return Index(name=name)


def _sweep(repository: Repository, markers: Iterable[ObjectInfo], own: str) -> None:
    """Delete the markers of interrupted writers, whose changes are in the index by now.

    Their age is measured against a new marker, with the clock of the store.
    """
    markers = list(markers)
    now = next((info.modified for info in markers if info.key == own), None)
    for info in markers:
        if now is not None and info.modified is not None and now - info.modified > _ABANDONED:
            withdraw(repository, info.key)


def reindex(repository: Repository, name: str) -> Change:
    """Rebuild a package's index from all of its records, and report the errors of the previous one.

    Raises:
        UnsupportedByStore: The store cannot list.
        NewerIndexError: The index has a newer format.
        IntegrityError: A record or a status is damaged.
        RepositoryError: The index cannot be read or written.
    """
    marker = announce(repository, name)
    truth = _Truth(repository=repository, name=name)
    listed, statuses = truth.look()
    differences: list[str] = []
    try:
        old = repository.index(name)
        differences += [f"{name} had no index."] if old is None else []
    except NewerIndexError:
        # Nothing was changed, so readers can still rely on the index.
        withdraw(repository, marker)
        raise
    except IntegrityError as error:
        old = None
        differences.append(error.message)
    new = truth.index(Index(name=name), listed.versions, statuses)
    if old is not None:
        differences += compare(old, new)
    if differences or old != new:
        repository.objects.put(index_key(name), new.to_json())
    index = _settle(truth, marker)
    return Change(name=name, releases=len(index.releases), differences=tuple(differences))


def compare(old: Index, new: Index) -> list[str]:
    """Describe the differences of an index from the one built from the records."""
    lines = [f"It lacked {new.name} {version}." for version in sorted(new.releases) if version not in old.releases]
    lines += [
        f"It listed {new.name} {version}, which has no record."
        for version in sorted(old.releases)
        if version not in new.releases
    ]
    for version in sorted(old.releases.keys() & new.releases.keys()):
        fields = differing(old.releases[version], new.releases[version])
        if fields:
            lines.append(f"It was wrong about {new.name} {version}: {', '.join(fields)}.")
    return lines


def differing(one: IndexEntry, other: IndexEntry) -> list[str]:
    """Return the names of the facts in which two entries differ."""
    names = ("digest", "size", "published", "dependencies", "compatibility", "yanked", "deprecated")
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def set_status(repository: Repository, name: str, versions: Iterable[Version], status: Status) -> None:
    """Set the status of releases; of concurrent writers, the last one wins.

    Raises:
        RepositoryError: The status cannot be written, or the index cannot be updated.
    """
    marker = announce(repository, name)
    for version in versions:
        # A release without a status is available, so it needs no object.
        if status.state is State.AVAILABLE and repository.status(name, version) is None:
            continue
        repository.objects.put(status_key(name, version), status.to_json())
    update_index(repository, name, marker=marker)
