"""Publishing a release from a directory or an archive.

The steps: check that the version is free → upload the archive under a unique key → verify the upload → create the
record → update the index. The record is the moment of publication. If the process is killed before it, nothing is
published; if it is killed after it, everything is. In both cases, publishing again finishes the job.

From a directory, only chunks that no earlier release of the package contains are compressed and sent. The store copies
the rest from earlier archives. The result is byte for byte the archive that ``orbitpkg build`` writes.
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
    ObjectNotFound,
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
from orbitpkg.repository.claims import hold_claim
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
    """The outcome of publishing."""

    PUBLISHED = "published"
    ALREADY = "already published"
    WOULD = "would be published"


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    """The result of publishing.

    Attributes:
        release: The release that is, or in a dry run would be, published.
        outcome: The outcome.
        uploaded: The number of bytes of the archive that were, or would be, sent.
        copied: The number of bytes that the store copied, or would copy, from earlier archives.
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
    """Publish a directory. It is read once, and no archive is written to the disk.

    Args:
        repository: The repository to publish to.
        tree: The directory.
        published: The time of publication, RFC 3339, UTC.
        journals: The folder for the journals of uploads, which allow an interrupted upload to be resumed.
        unsafe_single_writer: Publish even if the store ignores create-only writes. The caller guarantees that there is
            no other publisher.
        dry_run: Do everything except changing the repository.
        reporter: Receives progress.

    Raises:
        ReleaseExists: The version is published with other content.
        UnsafeRepository: The store ignores create-only writes.
        TreeChanged: The directory changed meanwhile.
        RepositoryError: The repository cannot be read or written.
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
    """Verify every byte of an archive, and publish it as it is.

    Takes the arguments and raises the errors of :func:`publish_tree`. In addition:

    Raises:
        ArchiveError: The archive is damaged.
    """
    verify_archive(archive)
    job = _Job(repository, _ArchiveSource(archive, manifest), journals=journals, reporter=reporter)
    return job.run(published, unsafe_single_writer=unsafe_single_writer, dry_run=dry_run)


class _Encoded(Protocol):
    """An archive as a sequence of parts. Its contents are known when the parts are exhausted."""

    def parts(self, assembler: Assembler) -> Iterator[Part]: ...

    def finish(self) -> tuple[Contents, ContentsLocation]: ...


class _Source(Protocol):
    """The package to publish."""

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
        # Equal chunks give equal frames, so all known frames of a chunk have the same length.
        lengths = {digest: frames[0].stored for digest, frames in known.items()}
        self._encoder = TreeEncoder(tree, known=lengths, progress=progress)
        self._known = known
        self._result: tuple[Contents, ContentsLocation] | None = None

    def parts(self, assembler: Assembler) -> Iterator[Part]:
        for encoded in self._encoder.chunks():
            if encoded.frame is None:
                yield from assembler.add_known(self._known[encoded.chunk.blake3], encoded)
            else:
                yield from assembler.add_frame(encoded.frame)
        contents, last, location = self._encoder.finish()
        self._result = contents, location
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


def _renewing(parts: Iterator[Part], renew: Callable[[], None]) -> Iterator[Part]:
    """Yield parts, and renew the claim between them."""
    for part in parts:
        renew()
        yield part


class _Job:
    def __init__(self, repository: Repository, source: _Source, *, journals: Path, reporter: Reporter) -> None:
        self._repository = repository
        self._source = source
        self._manifest = source.manifest
        self._reporter = reporter
        self._title = f"{source.manifest.name} {source.manifest.version}"
        self._journals = journals

    def run(self, published: str, *, unsafe_single_writer: bool, dry_run: bool) -> Published:
        can_copy = self._can_copy() if dry_run else self._prepare(unsafe_single_writer=unsafe_single_writer)
        # The upload may take hours, so a used version is reported before it. The create-only write of the record checks
        # it again.
        existing = self._repository.find_release(self._manifest.key, self._manifest.version)
        if existing is not None:
            return self._compare(existing, dry_run=dry_run)
        known = self._known(can_copy=can_copy)
        if dry_run:
            return self._rehearse(published, known)
        with hold_claim(self._repository, self._manifest.key) as renew:
            release, sent = self._send(published, known, renew)
            # Created before the record: if the process is killed in between, the marker makes readers list the records.
            marker = announce(self._repository, release.key)
            try:
                self._repository.commit(release)
            except ReleaseExists:
                self._withdraw(marker)
                # Another publisher was faster, so the uploaded archive belongs to no release.
                with contextlib.suppress(RepositoryError):
                    self._repository.objects.delete(release.archive.key)
                # The winner may have published the same content, for instance from a repeated job. That is not an
                # error.
                winner = self._repository.find_release(release.key, release.version)
                if winner is None:
                    raise
                return self._compare(winner, dry_run=False)
        self._index(marker)
        return Published(release=release, outcome=Outcome.PUBLISHED, uploaded=sent.sent, copied=sent.copied)

    def _can_copy(self) -> bool:
        try:
            return self._repository.config().part_copies
        except RepositoryNotFound:
            return False

    def _prepare(self, *, unsafe_single_writer: bool) -> bool:
        """Create the repository if necessary, check that publishing is safe, and return whether parts can be copied."""
        config, report = self._repository.init()
        if report is not None:
            self._reporter.note(f"Created repository {self._repository.url}")
        if config.create_only or unsafe_single_writer:
            return config.part_copies
        raise UnsafeRepository(
            f"{self._repository.url} ignores create-only writes: two publishers could overwrite each other's release.",
            hint="Publish to another store (check it with orbitpkg doctor URL). If you are the only publisher, use "
            "--unsafe-single-writer.",
        )

    def _known(self, *, can_copy: bool) -> Mapping[Blake3, Sequence[KnownFrame]]:
        if not self._source.can_reuse:
            return {}
        if can_copy:
            return known_frames(self._repository, self._manifest.key, self._manifest.version)
        if self._repository.versions(self._manifest.key):
            self._reporter.note(
                f"{self._repository.url} cannot copy parts of objects, so the whole archive is uploaded."
            )
        return {}

    def _compare(self, existing: Release, *, dry_run: bool) -> Published:
        if self._is_gone(existing):
            return self._restore(existing, dry_run=dry_run)
        _, contents = self._repository.contents(existing)
        # Files are compared, not archives: another version of the encoder writes the same files as other bytes.
        with self._reporter.task(f"Comparing {self._title}", self._source.size) as task:
            same = self._source.files(task.advance) == contents.identities
        if not same:
            raise self._repository.exists_error(existing.name, existing.key, existing.version)
        if not dry_run:
            # The process that published it may have been killed before it updated the index.
            self._index()
        return Published(release=existing, outcome=Outcome.ALREADY, uploaded=0)

    def _is_gone(self, release: Release) -> bool:
        """Return whether a release has no archive: somebody deleted it, or took it for garbage."""
        try:
            self._repository.objects.head(release.archive.key)
        except ObjectNotFound:
            # While only mirrors answer, the archive may still be in the repository.
            return self._repository.outage is None
        return False

    def _restore(self, existing: Release, *, dry_run: bool) -> Published:
        """Upload the missing archive of a release again. The release does not change.

        Raises:
            ReleaseExists: The package does not have the content that was published.
        """
        # Encoded twice: the archive becomes visible when it is uploaded, so it is compared before that.
        rehearsed = self._rehearse(existing.published, {}, key=existing.archive.key)
        if rehearsed.release.raw != existing.raw:
            raise self._repository.exists_error(existing.name, existing.key, existing.version)
        if dry_run:
            return rehearsed
        with hold_claim(self._repository, existing.key) as renew:
            release, sent = self._send_with(existing.published, {}, renew, key=existing.archive.key)
            self._check(release)
        self._reporter.note(f"Uploaded the archive of {existing}, which was missing from {self._repository.url}")
        self._index()
        return Published(release=existing, outcome=Outcome.PUBLISHED, uploaded=sent.sent)

    def _send(
        self, published: str, known: Mapping[Blake3, Sequence[KnownFrame]], renew: Callable[[], None]
    ) -> tuple[Release, Sent]:
        try:
            release, sent = self._send_with(published, known, renew)
        except UnsupportedByStore:
            if not known:
                raise
            self._reporter.note(
                f"{self._repository.url} cannot copy parts of objects, so the whole archive is uploaded."
            )
            release, sent = self._send_with(published, {}, renew)
        # Once the record exists, the release is permanent, so an archive that cannot be read must be noticed now.
        self._check(release)
        return release, sent

    def _send_with(
        self,
        published: str,
        known: Mapping[Blake3, Sequence[KnownFrame]],
        renew: Callable[[], None],
        *,
        key: str | None = None,
    ) -> tuple[Release, Sent]:
        name, version = self._manifest.key, self._manifest.version
        journal = Journal(self._journals, url=self._repository.url, name=name, version=str(version))
        if key is not None and journal.key != key:
            journal.forget()  # it belongs to an upload under another key
        with self._reporter.task(f"Publishing {self._title}", self._source.size) as task:
            encoded = self._source.encode(known, task.advance)
            parts = _renewing(encoded.parts(self._assembler()), renew)
            target = key or new_archive_key(name, version)
            sent = send_parts(self._repository.objects, target, parts, journal=journal)
        return self._release(encoded, sent.key, sent.size, published), sent

    def _rehearse(
        self, published: str, known: Mapping[Blake3, Sequence[KnownFrame]], *, key: str | None = None
    ) -> Published:
        sent = copied = 0
        with self._reporter.task(f"Encoding {self._title}", self._source.size) as task:
            encoded = self._source.encode(known, task.advance)
            for part in encoded.parts(self._assembler()):
                sent, copied = sent + sent_bytes(part), copied + part.length - sent_bytes(part)
        target = key or new_archive_key(self._manifest.key, self._manifest.version)
        release = self._release(encoded, target, sent + copied, published)
        return Published(release=release, outcome=Outcome.WOULD, uploaded=sent, copied=copied)

    def _assembler(self) -> Assembler:
        limits, expected = self._repository.objects.part_limits, self._source.size
        return Assembler(least=least_part_bytes(limits, expected), usual=usual_part_bytes(limits, expected))

    def _release(self, encoded: _Encoded, key: str, size: int, published: str) -> Release:
        contents, location = encoded.finish()
        totals = ArchiveTotals(
            key=key, size=size, files=len(contents.files), bytes=contents.total_size, encoder=contents.encoder
        )
        return new_release(self._manifest, archive=totals, contents=location, published=published)

    def _check(self, release: Release) -> None:
        """Verify the uploaded archive by reading it as an installer does."""
        info = self._repository.objects.head(release.archive.key)
        if info.size != release.archive.size or info.size != archive_size(release.contents):
            raise IntegrityError(
                f"{self._repository.url} stored {info.size:,} of {release.archive.size:,} bytes.",
                hint="Nothing was published. Run the command again.",
            )
        self._repository.contents(release)

    def _index(self, marker: str | None = None) -> None:
        # The release is published even if this fails. The marker then stays, and readers do not trust the index.
        try:
            update_index(self._repository, self._manifest.key, marker=marker)
        except OrbitError as error:
            self._reporter.note(f"The index of {self._manifest.name} could not be updated: {error.message}")

    def _withdraw(self, marker: str) -> None:
        # A marker that stays is harmless: it costs readers a listing.
        with contextlib.suppress(RepositoryError):
            withdraw(self._repository, marker)
