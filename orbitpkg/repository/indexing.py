"""Changing what a package's index tells of, so that no reader is ever misled by an index that lags.

The index is derived: records and statuses are right, and writing them and the index are two steps. Between them whoever
writes leaves a marker beside the records:

1. The marker is created before the record or the status is written, and before the index is read to be rewritten.
2. The index is written from a listing, then read again beside a fresh listing, until both say the same.
3. Only then is the marker deleted. A writer that is stopped anywhere leaves it.

So a reader who lists markers first, sees none, and then reads the index, has all that was written before it began:
whoever could have left the index behind, or put an old one over it, would still hold a marker. A reader who sees one
lists everything. Nothing here needs conditional writes, which not every store has.
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
# Each round may be undone by another writer, once for each release it adds; more rounds than this are no race.
_ROUNDS = 16
# Between a marker and its end lie a few requests. One that is this much older than a new one is nobody's.
_ABANDONED = timedelta(hours=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Listed:
    """What a listing says of a package.

    Attributes:
        versions: Those that have a record.
        markers: What whoever is changing the package has left.
    """

    versions: frozenset[Version]
    markers: tuple[ObjectInfo, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What writing an index anew changed in it.

    Attributes:
        name: Of the package.
        releases: How many releases it tells of.
        differences: What it said before that is not so, or did not say; a sentence each.
    """

    name: str
    releases: int
    differences: tuple[str, ...]


def list_package(repository: Repository, name: str) -> Listed:
    """List the records and the markers of a package.

    Raises:
        UnsupportedByStore: The store cannot list.
        RepositoryError: The store did not say.
    """
    infos = list(repository.objects.list(releases_prefix(name)))
    versions = (_version(version_of_record(info.key, name)) for info in infos)
    return Listed(
        versions=frozenset(version for version in versions if version),
        markers=tuple(info for info in infos if is_marker(info.key, name)),
    )


def _version(text: str | None) -> Version | None:
    # What other tools left between the records is not a release.
    try:
        return parse_version(text) if text else None
    except UsageError:
        return None


def has_markers(repository: Repository, name: str) -> bool:
    """Say whether somebody is changing a package, or was stopped while doing so."""
    return any(True for _ in repository.objects.list(markers_prefix(name)))


def announce(repository: Repository, name: str) -> str:
    """Leave a marker that a package is about to change; returns its key."""
    key = new_marker_key(name)
    # Created, not put: a bucket's policy may let nothing below the records be overwritten. Nobody else has this key:
    # one that exists was created by a request whose reply was lost.
    with contextlib.suppress(ObjectExists):
        repository.objects.create(key, _MARKER)
    return key


def withdraw(repository: Repository, key: str) -> None:
    """Delete a marker of one's own: the index tells of all, or nothing was changed.

    Raises:
        AccessDenied: It may not be deleted. Readers list the package as long as it is there.
    """
    try:
        repository.objects.delete(key)
    except AccessDenied as error:
        raise AccessDenied(
            f"{key} may not be deleted, so that readers of {repository.url} make more requests than they need to.",
            hint="Let publishers delete releases/*/pending/*.",
            key=key,
        ) from error


def read_statuses(
    repository: Repository, name: str, known: dict[str, tuple[str | None, Status]] | None = None
) -> dict[Version, Status]:
    """Read the statuses of all releases of a package that have one.

    Args:
        repository: Where.
        name: The package's canonical name.
        known: What was read before, by key, each with its ETag; what is new is added.
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
    """Read many small objects, several at once."""
    listed = list(things)
    if len(listed) < 2:  # noqa: PLR2004 - a thread for one is none too few
        return [read(thing) for thing in listed]
    with Pool(min(READERS, len(listed)), "orbitpkg-read") as pool:
        return list(pool.map(read, listed))


@dataclass(slots=True, kw_only=True)
class _Truth:
    """What the records and the statuses of a package say; what was read once is not read again."""

    repository: Repository
    name: str
    releases: dict[Version, Release] = field(default_factory=dict)
    statuses: dict[str, tuple[str | None, Status]] = field(default_factory=dict)

    def look(self) -> tuple[Listed, dict[Version, Status]]:
        listed = list_package(self.repository, self.name)
        return listed, read_statuses(self.repository, self.name, self.statuses)

    def index(self, old: Index, versions: frozenset[Version], statuses: Mapping[Version, Status]) -> Index:
        """Write the index that tells of these versions; what the old one says of them is believed."""
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
    """Bring a package's index up to its records and statuses, whoever else is doing so at the same time.

    Args:
        repository: Where.
        name: The package's canonical name.
        marker: One that was announced before; it is withdrawn when the index is in order.

    Raises:
        UnsupportedByStore: The store cannot list.
        NewerIndexError: It is of a newer format, and stays as it is, as below.
        RepositoryError: It cannot be read or written. The records stay as they are; the marker stays, too, so that
            readers do not go by the index.
    """
    return _settle(_Truth(repository=repository, name=name), marker)


def _settle(truth: _Truth, marker: str | None) -> Index:
    repository, name = truth.repository, truth.name
    for _ in range(_ROUNDS):
        listed, statuses = truth.look()
        index = _index_or_new(repository, name)
        if _agrees(index, listed.versions, statuses) and (marker or not listed.markers):
            break
        if marker is None:
            # Whatever is written now must be written under a marker, and from what is read after it.
            marker = announce(repository, name)
            continue
        repository.objects.put(index_key(name), truth.index(index, listed.versions, statuses).to_json())
    else:
        raise RepositoryError(
            f"The index of {name} in {repository.url} is being rewritten by others again and again.",
            hint=f"Later: orbitpkg repo reindex {name}",
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
    """Delete the markers of those who were stopped: the index tells of what they wrote by now.

    Their age is told by one clock, the store's, against a marker that is new.
    """
    markers = list(markers)
    now = next((info.modified for info in markers if info.key == own), None)
    for info in markers:
        if now is not None and info.modified is not None and now - info.modified > _ABANDONED:
            withdraw(repository, info.key)


def reindex(repository: Repository, name: str) -> Change:
    """Write a package's index anew from every one of its records, and say what was wrong with it.

    Raises:
        UnsupportedByStore: The store cannot list.
        NewerIndexError: The index is of a newer format.
        IntegrityError: A record or a status is damaged.
        RepositoryError: It cannot be read or written.
    """
    marker = announce(repository, name)
    truth = _Truth(repository=repository, name=name)
    listed, statuses = truth.look()
    differences: list[str] = []
    try:
        old = repository.index(name)
        differences += [f"There was no index of {name}."] if old is None else []
    except NewerIndexError:
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
    """Say where an index differs from the one that the records make."""
    lines = [f"It lacked {new.name} {version}." for version in sorted(new.releases) if version not in old.releases]
    lines += [
        f"It told of {new.name} {version}, which has no record."
        for version in sorted(old.releases)
        if version not in new.releases
    ]
    for version in sorted(old.releases.keys() & new.releases.keys()):
        fields = differing(old.releases[version], new.releases[version])
        if fields:
            lines.append(f"It was wrong about {new.name} {version}: {', '.join(fields)}.")
    return lines


def differing(one: IndexEntry, other: IndexEntry) -> list[str]:
    """Name the facts in which two entries differ."""
    names = ("digest", "size", "published", "dependencies", "compatibility", "yanked", "deprecated")
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def set_status(repository: Repository, name: str, versions: Iterable[Version], status: Status) -> None:
    """Say what is thought of releases; of those who say different things, the last one is right.

    Raises:
        RepositoryError: It cannot be written, or the index could not be brought up to it.
    """
    marker = announce(repository, name)
    for version in versions:
        if status.state is State.AVAILABLE and repository.status(name, version) is None:
            continue
        repository.objects.put(status_key(name, version), status.to_json())
    update_index(repository, name, marker=marker)
