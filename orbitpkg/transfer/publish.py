"""From a directory, or an archive, to a published release.

The order: look whether the version is taken → send the archive under a key nobody else uses → check what was sent →
create the record → bring the index up to date. Killed anywhere before the record, nothing is published and running it
again publishes; killed after, everything is, and running it again says so.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

from orbitpkg.archive.encoder import TreeEncoder, hash_tree
from orbitpkg.archive.frames import archive_size
from orbitpkg.archive.reader import verify_archive
from orbitpkg.errors import IntegrityError, OrbitError, ReleaseExists, RepositoryError, UnsafeRepository
from orbitpkg.model.release import ArchiveTotals, new_release
from orbitpkg.reporting import SILENT
from orbitpkg.repository.layout import new_archive_key
from orbitpkg.transfer.upload import upload

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orbitpkg.archive.reader import LocalArchive
    from orbitpkg.archive.tree import SourceTree
    from orbitpkg.model.contents import Contents, FileIdentity
    from orbitpkg.model.manifest import Manifest
    from orbitpkg.model.release import ContentsPlace, Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository

__all__ = ["Outcome", "Published", "publish_archive", "publish_tree"]

_COPY_BYTES = 1024 * 1024


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
    """

    release: Release
    outcome: Outcome
    uploaded: int


def publish_tree(
    repository: Repository,
    tree: SourceTree,
    *,
    published: str,
    unsafe_single_writer: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> Published:
    """Publish a directory. It is read once and no archive is written to the disk.

    Args:
        repository: Where to.
        tree: The directory, read.
        published: The time, RFC 3339, UTC.
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

    def files(progress: Callable[[int], None]) -> frozenset[FileIdentity]:
        return hash_tree(tree, progress=progress)

    def encode(progress: Callable[[int], None]) -> _Encoded:
        return _EncodedTree(tree, progress)

    job = _Job(repository, tree.manifest, size=tree.total_size, files=files, encode=encode, reporter=reporter)
    return job.run(published, unsafe_single_writer=unsafe_single_writer, dry_run=dry_run)


def publish_archive(
    repository: Repository,
    archive: LocalArchive,
    manifest: Manifest,
    *,
    published: str,
    unsafe_single_writer: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> Published:
    """Publish an archive that was built before, after verifying every byte of it.

    Args and errors are those of :func:`publish_tree`; besides:

    Raises:
        ArchiveError: The archive is damaged.
    """
    verify_archive(archive)

    def files(progress: Callable[[int], None]) -> frozenset[FileIdentity]:
        progress(archive.size)
        return archive.contents.identities

    def encode(progress: Callable[[int], None]) -> _Encoded:
        return _EncodedFile(archive, progress)

    job = _Job(repository, manifest, size=archive.size, files=files, encode=encode, reporter=reporter)
    return job.run(published, unsafe_single_writer=unsafe_single_writer, dry_run=dry_run)


class _Encoded(Protocol):
    """An archive in pieces; what it holds is known when they are used up."""

    def pieces(self) -> Iterator[bytes]: ...

    def finish(self) -> tuple[Contents, ContentsPlace]: ...


class _EncodedTree:
    def __init__(self, tree: SourceTree, progress: Callable[[int], None]) -> None:
        self._encoder = TreeEncoder(tree, progress=progress)
        self._result: tuple[Contents, ContentsPlace] | None = None

    def pieces(self) -> Iterator[bytes]:
        for piece in self._encoder.chunks():
            assert piece.frame is not None
            yield piece.frame
        contents, frame, place = self._encoder.finish()
        self._result = contents, place
        yield frame

    def finish(self) -> tuple[Contents, ContentsPlace]:
        assert self._result is not None
        return self._result


class _EncodedFile:
    def __init__(self, archive: LocalArchive, progress: Callable[[int], None]) -> None:
        self._archive = archive
        self._progress = progress

    def pieces(self) -> Iterator[bytes]:
        for start in range(0, self._archive.size, _COPY_BYTES):
            data = self._archive.read(start, min(_COPY_BYTES, self._archive.size - start))
            self._progress(len(data))
            yield data

    def finish(self) -> tuple[Contents, ContentsPlace]:
        return self._archive.contents, self._archive.place


class _Job:
    def __init__(
        self,
        repository: Repository,
        manifest: Manifest,
        *,
        size: int,
        files: Callable[[Callable[[int], None]], frozenset[FileIdentity]],
        encode: Callable[[Callable[[int], None]], _Encoded],
        reporter: Reporter,
    ) -> None:
        self._repository = repository
        self._manifest = manifest
        self._size = size
        self._files = files
        self._encode = encode
        self._reporter = reporter
        self._title = f"{manifest.name} {manifest.version}"

    def run(self, published: str, *, unsafe_single_writer: bool, dry_run: bool) -> Published:
        if not dry_run:
            self._ready(unsafe_single_writer=unsafe_single_writer)
        there = self._repository.find_release(self._manifest.key, self._manifest.version)
        if there is not None:
            return self._compare(there)
        if dry_run:
            return self._rehearse(published)
        release = self._send(published)
        try:
            self._repository.commit(release)
        except ReleaseExists:
            # Someone was faster. What was sent is nobody's.
            with contextlib.suppress(RepositoryError):
                self._repository.objects.delete(release.archive.key)
            winner = self._repository.find_release(release.key, release.version)
            if winner is None:
                raise
            return self._compare(winner)
        self._index()
        return Published(release=release, outcome=Outcome.PUBLISHED, uploaded=release.archive.size)

    def _ready(self, *, unsafe_single_writer: bool) -> None:
        config, report = self._repository.init()
        if report is not None:
            self._reporter.note(f"Made a repository at {self._repository.url}")
        if config.create_only or unsafe_single_writer:
            return
        raise UnsafeRepository(
            f"{self._repository.url} ignores create-only writes: two publishers could overwrite each other's release.",
            hint="Publish to another store (orbitpkg doctor URL tells what one can do), or, if nobody else publishes "
            "there, repeat with --unsafe-single-writer.",
        )

    def _compare(self, there: Release) -> Published:
        _, contents = self._repository.contents(there)
        with self._reporter.task(f"Comparing {self._title}", self._size) as task:
            same = self._files(task.advance) == contents.identities
        if not same:
            raise self._repository.exists(there.name, there.key, there.version)
        # The one who published it may have been stopped before the index knew.
        self._index()
        return Published(release=there, outcome=Outcome.ALREADY, uploaded=0)

    def _send(self, published: str) -> Release:
        key = new_archive_key(self._manifest.key, self._manifest.version)
        with self._reporter.task(f"Publishing {self._title}", self._size) as task:
            encoded = self._encode(task.advance)
            size = upload(self._repository.objects, key, encoded.pieces(), expected=self._size)
        release = self._release(encoded, key, size, published)
        self._check(release)
        return release

    def _rehearse(self, published: str) -> Published:
        with self._reporter.task(f"Encoding {self._title}", self._size) as task:
            encoded = self._encode(task.advance)
            size = sum(map(len, encoded.pieces()))
        release = self._release(encoded, new_archive_key(self._manifest.key, self._manifest.version), size, published)
        return Published(release=release, outcome=Outcome.WOULD, uploaded=size)

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

    def _index(self) -> None:
        # The release is published whatever becomes of the index, which can be made anew from the records.
        try:
            self._repository.update_index(self._manifest.key)
        except OrbitError as error:
            self._reporter.note(f"The index of {self._manifest.name} could not be updated: {error.message}")
