"""From a directory, or an archive, to a published release.

The order: look whether the version is taken → send the archive under a key nobody else uses → check what was sent →
create the record → bring the index up to date. Killed anywhere before the record, nothing is published and running it
again publishes; killed after, everything is, and running it again says so.

Of an archive that is made from a directory only what no earlier release of the package holds is compressed and sent;
the store copies the rest from the earlier archives. The object is byte for byte what ``orbitpkg build`` writes.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from orbitpkg.archive.encoder import TreeEncoder, hash_tree
from orbitpkg.archive.frames import archive_size
from orbitpkg.archive.reader import verify_archive
from orbitpkg.errors import (
    IntegrityError,
    OrbitError,
    ReleaseExists,
    RepositoryError,
    RepositoryNotFound,
    UnsafeRepository,
    UnsupportedByStore,
)
from orbitpkg.model.release import ArchiveTotals, new_release
from orbitpkg.objects.transfer.journal import Journal
from orbitpkg.publisher.assemble import Assembler
from orbitpkg.publisher.known import known_frames
from orbitpkg.publisher.upload import Sent, least_part_bytes, send_parts, sent_bytes, usual_part_bytes
from orbitpkg.reporting import SILENT
from orbitpkg.repository.indexing import announce, update_index, withdraw
from orbitpkg.repository.layout import new_archive_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from orbitpkg.archive.reader import LocalArchive
    from orbitpkg.archive.tree import SourceTree
    from orbitpkg.model.contents import Blake3, Contents, FileIdentity
    from orbitpkg.model.manifest import Manifest
    from orbitpkg.model.release import ContentsLocation, Release
    from orbitpkg.publisher.assemble import KnownFrame, Part
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository

__all__ = ["Outcome", "Published", "publish_archive", "publish_tree"]


class Outcome(StrEnum):
    """What came of publishing."""

    PUBLISHED = "published"
    ALREADY = "already published"
    WOULD = "would be published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The result of publishing.

    Attributes:
        release: The release that is (or, in a dry run, would be) published.
        outcome: How it came to be so.
        uploaded: How many bytes of the archive were, or would be, sent.
        copied: How many the store copied, or would copy, from earlier archives.
    """

    release: Release
    outcome: Outcome
    uploaded: int
    copied: int = 0


def publish_tree(
    repository: Repository,
    tree: SourceTree,
    *,
    published: str,
    journals: Path,
    unsafe_single_writer: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> Published:
    """Publish a directory. It is read once and no archive is written to the disk.

    Args:
        repository: Where to.
        tree: The directory, read.
        published: The time, RFC 3339, UTC.
        journals: A folder that notes what has been sent, for going on after a stop.
        unsafe_single_writer: Publish even where the store ignores create-only writes; the caller vouches that nobody
            else publishes there.
        dry_run: Do all but change the repository.
        reporter: Told how far it is.

    Raises:
        ReleaseExists: The version is published with other content.
        UnsafeRepository: The store ignores create-only writes.
        TreeChanged: The directory changed meanwhile.
        RepositoryError: The repository did not take it.
    """
    job = _Job(repository, _TreeSource(tree), journals=journals, reporter=reporter)
    return job.run(published, unsafe_single_writer=unsafe_single_writer, dry_run=dry_run)


def publish_archive(
    repository: Repository,
    archive: LocalArchive,
    manifest: Manifest,
    *,
    published: str,
    journals: Path,
    unsafe_single_writer: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> Published:
    """Publish an archive that was built before, after verifying every byte of it. It is sent as it is.

    Args and errors are those of :func:`publish_tree`; besides:

    Raises:
        ArchiveError: The archive is damaged.
    """
    verify_archive(archive)
    job = _Job(repository, _ArchiveSource(archive, manifest), journals=journals, reporter=reporter)
    return job.run(published, unsafe_single_writer=unsafe_single_writer, dry_run=dry_run)


class _Encoded(Protocol):
    """An archive in parts; what it holds is known when they are used up."""

    def parts(self, assembler: Assembler) -> Iterator[Part]: ...

    def finish(self) -> tuple[Contents, ContentsLocation]: ...


class _Source(Protocol):
    """What is published."""

    manifest: Manifest
    size: int
    can_reuse: bool

    def files(self, progress: Callable[[int], None]) -> frozenset[FileIdentity]: ...

    def encode(self, known: Mapping[Blake3, Sequence[KnownFrame]], progress: Callable[[int], None]) -> _Encoded: ...


class _TreeSource:
    can_reuse = True

    def __init__(self, tree: SourceTree) -> None:
        self._tree = tree
        self.manifest = tree.manifest
        self.size = tree.total_size

    def files(self, progress: Callable[[int], None]) -> frozenset[FileIdentity]:
        return hash_tree(self._tree, progress=progress)

    def encode(self, known: Mapping[Blake3, Sequence[KnownFrame]], progress: Callable[[int], None]) -> _EncodedTree:
        return _EncodedTree(self._tree, known, progress)


class _EncodedTree:
    def __init__(
        self, tree: SourceTree, known: Mapping[Blake3, Sequence[KnownFrame]], progress: Callable[[int], None]
    ) -> None:
        lengths = {digest: places[0].stored for digest, places in known.items()}
        self._encoder = TreeEncoder(tree, known=lengths, progress=progress)
        self._known = known
        self._result: tuple[Contents, ContentsLocation] | None = None

    def parts(self, assembler: Assembler) -> Iterator[Part]:
        for encoded in self._encoder.chunks():
            if encoded.frame is None:
                yield from assembler.add_known(self._known[encoded.chunk.blake3], encoded)
            else:
                yield from assembler.add_frame(encoded.frame)
        contents, last, place = self._encoder.finish()
        self._result = contents, place
        yield from assembler.finish(last)

    def finish(self) -> tuple[Contents, ContentsLocation]:
        assert self._result is not None
        return self._result


class _ArchiveSource:
    can_reuse = False

    def __init__(self, archive: LocalArchive, manifest: Manifest) -> None:
        self._archive = archive
        self.manifest = manifest
        self.size = archive.size

    def files(self, progress: Callable[[int], None]) -> frozenset[FileIdentity]:
        progress(self.size)
        return self._archive.contents.identities

    def encode(self, known: Mapping[Blake3, Sequence[KnownFrame]], progress: Callable[[int], None]) -> _EncodedFile:
        del known
        return _EncodedFile(self._archive, progress)


class _EncodedFile:
    def __init__(self, archive: LocalArchive, progress: Callable[[int], None]) -> None:
        self._archive = archive
        self._progress = progress

    def parts(self, assembler: Assembler) -> Iterator[Part]:
        for piece in self._archive.stream(0, self._archive.size):
            yield from assembler.add_frame(bytes(piece))
            self._progress(len(piece))
        yield from assembler.finish(b"")

    def finish(self) -> tuple[Contents, ContentsLocation]:
        return self._archive.contents, self._archive.place


class _Job:
    def __init__(self, repository: Repository, source: _Source, *, journals: Path, reporter: Reporter) -> None:
        self._repository = repository
        self._source = source
        self._manifest = source.manifest
        self._reporter = reporter
        self._title = f"{source.manifest.name} {source.manifest.version}"
        self._journals = journals

    def run(self, published: str, *, unsafe_single_writer: bool, dry_run: bool) -> Published:
        can_copy = self._look() if dry_run else self._ready(unsafe_single_writer=unsafe_single_writer)
        there = self._repository.find_release(self._manifest.key, self._manifest.version)
        if there is not None:
            return self._compare(there, dry_run=dry_run)
        known = self._known(can_copy=can_copy)
        if dry_run:
            return self._rehearse(published, known)
        release, sent = self._send(published, known)
        marker = announce(self._repository, release.key)
        try:
            self._repository.commit(release)
        except ReleaseExists:
            self._withdraw(marker)
            # Someone was faster. What was sent is nobody's.
            with contextlib.suppress(RepositoryError):
                self._repository.objects.delete(release.archive.key)
            winner = self._repository.find_release(release.key, release.version)
            if winner is None:
                raise
            return self._compare(winner, dry_run=False)
        self._index(marker)
        return Published(release=release, outcome=Outcome.PUBLISHED, uploaded=sent.sent, copied=sent.copied)

    def _look(self) -> bool:
        try:
            return self._repository.config().part_copies
        except RepositoryNotFound:
            return False

    def _ready(self, *, unsafe_single_writer: bool) -> bool:
        """Have a repository that may be published to; says whether its store copies parts."""
        config, report = self._repository.init()
        if report is not None:
            self._reporter.note(f"Created repository {self._repository.url}")
        if config.create_only or unsafe_single_writer:
            return config.part_copies
        raise UnsafeRepository(
            f"{self._repository.url} ignores create-only writes: two publishers could overwrite each other's release.",
            hint="Publish to another store (orbitpkg doctor URL tells what one can do), or, if nobody else publishes "
            "there, repeat with --unsafe-single-writer.",
        )

    def _known(self, *, can_copy: bool) -> Mapping[Blake3, Sequence[KnownFrame]]:
        if not self._source.can_reuse:
            return {}
        if can_copy:
            return known_frames(self._repository, self._manifest.key, self._manifest.version)
        if self._repository.versions(self._manifest.key):
            self._reporter.note(f"{self._repository.url} cannot copy parts of objects, so all of it is sent.")
        return {}

    def _compare(self, there: Release, *, dry_run: bool) -> Published:
        _, contents = self._repository.contents(there)
        with self._reporter.task(f"Comparing {self._title}", self._source.size) as task:
            same = self._source.files(task.advance) == contents.identities
        if not same:
            raise self._repository.exists(there.name, there.key, there.version)
        if not dry_run:
            # The one who published it may have been stopped before the index knew.
            self._index()
        return Published(release=there, outcome=Outcome.ALREADY, uploaded=0)

    def _send(self, published: str, known: Mapping[Blake3, Sequence[KnownFrame]]) -> tuple[Release, Sent]:
        try:
            release, sent = self._send_with(published, known)
        except UnsupportedByStore:
            if not known:
                raise
            self._reporter.note(f"{self._repository.url} cannot copy parts of objects, so all of it is sent.")
            release, sent = self._send_with(published, {})
        self._check(release)
        return release, sent

    def _send_with(self, published: str, known: Mapping[Blake3, Sequence[KnownFrame]]) -> tuple[Release, Sent]:
        name, version = self._manifest.key, self._manifest.version
        journal = Journal(self._journals, url=self._repository.url, name=name, version=str(version))
        with self._reporter.task(f"Publishing {self._title}", self._source.size) as task:
            encoded = self._source.encode(known, task.advance)
            parts = encoded.parts(self._assembler())
            sent = send_parts(self._repository.objects, new_archive_key(name, version), parts, journal=journal)
        return self._release(encoded, sent.key, sent.size, published), sent

    def _rehearse(self, published: str, known: Mapping[Blake3, Sequence[KnownFrame]]) -> Published:
        sent = copied = 0
        with self._reporter.task(f"Encoding {self._title}", self._source.size) as task:
            encoded = self._source.encode(known, task.advance)
            for part in encoded.parts(self._assembler()):
                sent, copied = sent + sent_bytes(part), copied + part.length - sent_bytes(part)
        key = new_archive_key(self._manifest.key, self._manifest.version)
        release = self._release(encoded, key, sent + copied, published)
        return Published(release=release, outcome=Outcome.WOULD, uploaded=sent, copied=copied)

    def _assembler(self) -> Assembler:
        limits, expected = self._repository.objects.part_limits, self._source.size
        return Assembler(least=least_part_bytes(limits, expected), usual=usual_part_bytes(limits, expected))

    def _release(self, encoded: _Encoded, key: str, size: int, published: str) -> Release:
        contents, place = encoded.finish()
        totals = ArchiveTotals(
            key=key, size=size, files=len(contents.files), bytes=contents.total_size, encoder=contents.encoder
        )
        return new_release(self._manifest, archive=totals, contents=place, published=published)

    def _check(self, release: Release) -> None:
        """Hold what the store has against what was sent, as a reader will see it."""
        info = self._repository.objects.head(release.archive.key)
        if info.size != release.archive.size or info.size != archive_size(release.contents):
            raise IntegrityError(
                f"{self._repository.url} keeps {info.size:,} bytes of the {release.archive.size:,} that were sent.",
                hint="Nothing was published. Run the command again.",
            )
        self._repository.contents(release)

    def _index(self, marker: str | None = None) -> None:
        # The release is published whatever becomes of the index: the marker stays, so that nobody goes by it alone.
        try:
            update_index(self._repository, self._manifest.key, marker=marker)
        except OrbitError as error:
            self._reporter.note(f"The index of {self._manifest.name} is not in order: {error.message}")

    def _withdraw(self, marker: str) -> None:
        # Nothing was changed. A marker that stays costs readers a listing.
        with contextlib.suppress(RepositoryError):
            withdraw(self._repository, marker)
