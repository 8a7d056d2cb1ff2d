"""Verification of a repository: its records, archives and indexes are compared with each other.

A quick verification compares the size of each archive with its record, with a few requests per package. A full one
reads the archives, and checks every chunk against the contents and the contents against the record; a partial one reads
an evenly distributed share of the chunks. Whatever the size of the repository, memory holds a chunk for each of a few
threads, and the records of one package.

An object that no record refers to is not a fault: its release may be about to be published. An outdated index is not a
fault while a marker announces a change.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from random import random
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import decompress_chunk
from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import ArchiveError, IntegrityError, ObjectNotFound
from orbitpkg.repository.index import Index
from orbitpkg.repository.indexing import compare, list_package, read_all, read_statuses
from orbitpkg.repository.layout import ARCHIVES, CONFIG_KEY, index_key, record_key, statuses_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orbitpkg.model.contents import Chunk
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.repository.indexing import Listed
    from orbitpkg.repository.repository import Repository

__all__ = ["Fault", "FaultKind", "Verdict", "verify_repository"]

_READERS = 4
_RUN_BYTES = 8 * 1024 * 1024


class FaultKind(StrEnum):
    """The kind of a fault."""

    MISSING = "missing"
    ALTERED = "altered"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A missing or altered object.

    Attributes:
        key: The key of the object.
        kind: The kind of the fault.
        detail: A description in one sentence.
    """

    key: str
    kind: FaultKind
    detail: str


@dataclass(slots=True, kw_only=True)
class Verdict:
    """The result of a verification.

    Attributes:
        packages: The number of packages.
        releases: The number of releases.
        size: The total size of their archives in bytes.
        read: The number of bytes of these that were read and are correct.
        faults: The faults.
    """

    packages: int = 0
    releases: int = 0
    size: int = 0
    read: int = 0
    faults: list[Fault] = field(default_factory=list)


def verify_repository(
    repository: Repository,
    *,
    share: float = 0.0,
    progress: Callable[[int], None] | None = None,
) -> Verdict:
    """Find the faults of a repository.

    Args:
        repository: The repository.
        share: The share of the archives to read, from 0 (none) to 1 (all).
        progress: Called with the number of bytes of archives that were checked since the last call.

    Raises:
        RepositoryNotFound: The repository does not exist.
        UnsupportedByStore: It cannot be listed (a static web server).
        RepositoryError: It cannot be read.
    """
    return _Verification(repository, share, progress or (lambda _: None)).run()


class _Verification:
    def __init__(self, repository: Repository, share: float, progress: Callable[[int], None]) -> None:
        self._repository = repository
        self._share = share
        self._progress = progress
        # With a random start, repeated partial verifications read different chunks.
        self._due = random() if 0 < share < 1 else 0.0  # noqa: S311 - not a secret
        self._verdict = Verdict()

    def run(self) -> Verdict:
        try:
            self._repository.config()
        except IntegrityError as error:
            self._add(CONFIG_KEY, FaultKind.ALTERED, error.message)
        for name in self._repository.names():
            self._verdict.packages += 1
            self._package(name)
        return self._verdict

    def _add(self, key: str, kind: FaultKind, detail: str) -> None:
        self._verdict.faults.append(Fault(key=key, kind=kind, detail=detail))

    def _package(self, name: str) -> None:
        listed = list_package(self._repository, name)
        versions = sorted(listed.versions)
        releases = [release for release in read_all(lambda version: self._record(name, version), versions) if release]
        sizes = {info.key: info.size for info in self._repository.objects.list(f"{ARCHIVES}{name}/")}
        self._index(name, listed, releases)
        for release in releases:
            self._verdict.releases += 1
            self._verdict.size += release.archive.size
            if self._is_present(release, sizes) and self._share:
                self._data(release)
            elif not self._share:
                self._progress(release.archive.size)

    def _record(self, name: str, version: Version) -> Release | None:
        try:
            return self._repository.find_release(name, version)
        except IntegrityError as error:
            self._add(record_key(name, version), FaultKind.ALTERED, error.message)
            return None

    def _is_present(self, release: Release, sizes: dict[str, int]) -> bool:
        key, size = release.archive.key, sizes.get(release.archive.key)
        if size is None:
            # It may be under another prefix, or have been uploaded since the listing.
            try:
                size = self._repository.objects.head(key).size
            except ObjectNotFound:
                self._add(key, FaultKind.MISSING, f"It is the archive of {release.label}.")
                return False
        if size != release.archive.size:
            detail = f"It has {size:,} bytes instead of the {release.archive.size:,} in the record of {release.label}."
            self._add(key, FaultKind.ALTERED, detail)
            return False
        return True

    def _index(self, name: str, listed: Listed, releases: Sequence[Release]) -> None:
        key = index_key(name)
        try:
            statuses = read_statuses(self._repository, name)
        except IntegrityError as error:
            self._add(statuses_prefix(name), FaultKind.ALTERED, error.message)
            return
        try:
            index = self._repository.index(name)
        except IntegrityError as error:
            self._add(key, FaultKind.ALTERED, error.message)
            return
        known = {release.version: release for release in releases}
        right = Index(name=name).with_releases(known)
        right = right.with_entries({v: entry.with_status(statuses.get(v)) for v, entry in right.releases.items()})
        lines = compare(_without(index or Index(name=name), listed.versions - known.keys()), right)
        # While a publisher is between the record and the index, they differ, which is not a fault.
        if not lines or self._is_changing(name, listed):
            return
        if index is None:
            self._add(key, FaultKind.MISSING, f"It can be rebuilt: orbitpkg repo reindex {name}")
        else:
            self._add(key, FaultKind.ALTERED, " ".join(lines))

    def _is_changing(self, name: str, listed: Listed) -> bool:
        now = list_package(self._repository, name)
        return bool(listed.markers or now.markers or now.versions != listed.versions)

    def _data(self, release: Release) -> None:
        try:
            _, contents = self._repository.contents(release)
        except IntegrityError as error:
            self._add(release.archive.key, FaultKind.ALTERED, error.message)
            return
        with Pool(_READERS, "orbitpkg-verify") as pool:
            for length, flaw in pool.map(lambda run: self._read(release, run), self._chosen(contents.chunks)):
                self._verdict.read += length
                if flaw is not None:
                    self._add(release.archive.key, FaultKind.ALTERED, flaw)

    def _chosen(self, chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
        for run in _runs(chunks):
            # The reads are spread evenly, so a partial verification also reaches the end of each archive.
            self._due += self._share
            if self._due >= 1:
                self._due -= 1
                yield run

    def _read(self, release: Release, run: Sequence[Chunk]) -> tuple[int, str | None]:
        start, end = run[0].position, run[-1].position + run[-1].stored
        pieces = self._repository.archive(release).stream(start, end - start)
        where, buffer, left = f"{release.label} in {self._repository.url}", bytearray(), list(reversed(run))
        try:
            for piece in pieces:
                buffer += piece
                while left and len(buffer) >= left[-1].stored:
                    chunk = left.pop()
                    decompress_chunk(bytes(buffer[: chunk.stored]), chunk, where=where)
                    del buffer[: chunk.stored]
                    self._progress(chunk.stored)
        except ArchiveError as error:
            return 0, error.message
        return end - start, None


def _without(index: Index, versions: frozenset[Version]) -> Index:
    return index.with_entries({v: entry for v, entry in index.releases.items() if v not in versions})


def _runs(chunks: Sequence[Chunk]) -> Iterator[list[Chunk]]:
    """Group consecutive chunks, each group to be read with one request of about 8 MiB."""
    run: list[Chunk] = []
    for chunk in chunks:
        if run and chunk.position + chunk.stored - run[0].position > _RUN_BYTES:
            yield run
            run = []
        run.append(chunk)
    if run:
        yield run
