"""Repair of an installed release. Only the chunks that are broken here are fetched from its archive.

Intact chunks come from the broken file itself, from other installed versions or from blobs. A repaired file replaces
the broken one with one rename. An altered blob is deleted.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import TYPE_CHECKING, Protocol

from orbitpkg.archive.frames import unpack_contents
from orbitpkg.archive.reader import LocalArchive
from orbitpkg.archive.tree_stream import TreeStream
from orbitpkg.errors import IntegrityError, ObjectNotFound, StorageError, UnsupportedByStore
from orbitpkg.files.anchors import read_regular
from orbitpkg.installer.agreement import check_manifest, read_manifest
from orbitpkg.installer.fetch import fetch
from orbitpkg.installer.install import Available, available_release
from orbitpkg.installer.local import InstalledChunks, present_chunks
from orbitpkg.installer.plan import plan_install
from orbitpkg.store.condition import Condition, FindingKind, check_release, list_findings
from orbitpkg.store.layout import CONTENTS_NAME, LISTING_NAME, ORIGIN_NAME, RECORD_NAME
from orbitpkg.store.package import open_package
from orbitpkg.store.presence import listing_of
from orbitpkg.store.records import load_packed, load_release
from orbitpkg.store.repair import find_obstacles, move_aside, replace_files, restore_files, restore_mode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.installer.fetch import ByteSource
    from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Store

__all__ = ["ArchiveSupplier", "Repaired", "RepositorySupplier", "Supplier", "repair"]


class Supplier(Protocol):
    """A source to repair a release from."""

    @property
    def url(self) -> str:
        """Its address."""

    def release(self, key: str, version: Version) -> Release:
        """Read a release's record."""

    def contents(self, release: Release) -> tuple[bytes, Contents]:
        """Read a release's contents, in their stored and in their parsed form."""

    def opened(self, release: Release) -> contextlib.AbstractContextManager[ByteSource]:
        """Open a release's archive."""


class RepositorySupplier:
    """A repository as a source of repairs.

    Args:
        repository: The repository.
        store: The store for the temporary copy of an archive that can only be read as a whole.
    """

    def __init__(self, repository: Repository, store: Store) -> None:
        self._repository = repository
        self._store = store

    @property
    def url(self) -> str:
        """Its address."""
        return self._repository.url

    def release(self, key: str, version: Version) -> Release:
        """Read a release's record. Raises as :meth:`.Repository.release` does."""
        return self._repository.release(key, version)

    def contents(self, release: Release) -> tuple[bytes, Contents]:
        """Read a release's contents. Raises as :meth:`.Repository.contents` does."""
        return self._repository.contents(release)

    @contextlib.contextmanager
    def opened(self, release: Release) -> Iterator[ByteSource]:
        """Open a release's archive.

        Raises:
            IntegrityError: The archive is missing.
            RepositoryError: The archive cannot be read.
        """
        try:
            self._repository.objects.get_range(release.archive.key, 0, 1)
        except ObjectNotFound as error:
            raise IntegrityError(
                f"The archive of {release.label} is missing from {self.url}: {release.archive.key}.",
                hint="To use another repository, add --repository URL.",
            ) from error
        except UnsupportedByStore:
            source = available_release(self._repository, release, self._store).source
            yield source
            if isinstance(source, LocalArchive):
                source.close()
        else:
            yield self._repository.archive(release)


class ArchiveSupplier:
    """A local archive as a source of repairs.

    Args:
        available: The verified release in the archive.
    """

    def __init__(self, available: Available) -> None:
        self._available = available

    @property
    def url(self) -> str:
        """Its address."""
        return self._available.origin

    def release(self, key: str, version: Version) -> Release:
        """Return the release in the archive.

        Raises:
            IntegrityError: The archive holds another release.
        """
        release = self._available.release
        if (release.key, release.version) != (key, version):
            raise IntegrityError(f"{self.url} holds {release.label}, not {key}=={version}.", hint=_ANOTHER)
        return release

    def contents(self, release: Release) -> tuple[bytes, Contents]:
        """Return the contents of the archive.

        Raises:
            IntegrityError: The archive is not the one that the release was installed from.
        """
        if release.contents != self._available.release.contents:
            raise IntegrityError(f"{self.url} is not the archive of {release.label} that was installed.", hint=_ANOTHER)
        return self._available.compressed, self._available.contents

    @contextlib.contextmanager
    def opened(self, release: Release) -> Iterator[ByteSource]:
        """Return the bytes of the archive. Raises the errors of :meth:`contents`."""
        self.contents(release)
        yield self._available.source


_ANOTHER = "Name a repository that has the release: --repository URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """The result of a repair.

    Attributes:
        condition: The condition of the release now.
        fetched: The number of bytes read from its archive.
        aside: The folder with files that do not belong to the release; None if there were none.
    """

    condition: Condition
    fetched: int
    aside: str | None


def repair(store: Store, condition: Condition, supplier: Supplier, *, pool: Pool, reporter: Reporter) -> Repaired:
    """Restore an installed release to its published state.

    Args:
        store: The store.
        condition: The condition of the release, with the findings to repair.
        supplier: The source of what this machine does not have.
        pool: The workers.
        reporter: Receives progress.

    Raises:
        IntegrityError: The supplier has another release under this version, or none.
        RepositoryError: The supplier cannot be read.
        StorageError: The store cannot be written, or the release was removed meanwhile.
    """
    key, version = condition.key, condition.version
    release, compressed, contents = _table(store, condition, supplier)
    if condition.package is None and _is_broken(condition, RECORD_NAME):
        # The record is new to this machine, so it is compared with the archive, as when a release is installed.
        with supplier.opened(release) as source:
            manifest = read_manifest(release, contents, source, where=f"{release.label} in {supplier.url}")
        check_manifest(release, manifest, where=supplier.url)

    def waiting() -> None:
        reporter.note(f"Waiting for another process that is installing {release.label}")

    with store.lock(release, on_wait=waiting):
        _put_own_files_back(store, condition, release, compressed, contents, supplier.url)
        package = open_package(store.layout, key, version)
        if package is None:
            raise StorageError(f"{release.label} was removed while it was being repaired.")
        findings = condition.findings if condition.package else list_findings(package)
        broken = [contents.by_path[each.path] for each in findings if each.path in contents.by_path]
        extra = (each.path for each in findings if each.kind is FindingKind.EXTRA)
        aside = move_aside(store.layout, key, version, chain(find_obstacles(store.layout, key, version, broken), extra))
        broken = [file for file in broken if not restore_mode(store.layout, key, version, file)]
        fetched = 0
        if broken:
            fetched = _refill(store, package, release, contents, broken, supplier, pool, reporter)
    after = check_release(store.layout, key, version, quick=True)
    if after is None:
        raise StorageError(f"{release.label} was removed while it was being repaired.")
    return Repaired(condition=after, fetched=fetched, aside=aside)


def _table(store: Store, condition: Condition, supplier: Supplier) -> tuple[Release, bytes, Contents]:
    home = store.layout.release(condition.key, condition.version)
    if condition.package is not None:
        return load_release(home), load_packed(home), condition.package.contents
    is_broken = _is_broken(condition, RECORD_NAME)
    release = supplier.release(condition.key, condition.version) if is_broken else load_release(home)
    with contextlib.suppress(StorageError, IntegrityError):
        compressed = load_packed(home)
        return release, compressed, unpack_contents(compressed, release.contents, where=f"{release.label} in the store")
    return release, *supplier.contents(release)


def _is_broken(condition: Condition, name: str) -> bool:
    """Return whether a file that the store keeps beside the files of a release is broken."""
    return any(each.path == f"../{name}" for each in condition.findings)


def _put_own_files_back(  # noqa: PLR0917 - one step of repair()
    store: Store, condition: Condition, release: Release, compressed: bytes, contents: Contents, url: str
) -> None:
    home = store.layout.release(condition.key, condition.version)
    # The contents come first, because they are read only through a record.
    right = {CONTENTS_NAME: compressed, RECORD_NAME: release.raw}
    wrong = {name: data for name, data in right.items() if condition.package is None and _differs(home, name, data)}
    if not os.path.isfile(f"{home}/{ORIGIN_NAME}"):  # noqa: PTH113
        wrong[ORIGIN_NAME] = url.encode()
    listing = listing_of(contents, release.contents.blake3)
    if _differs(home, LISTING_NAME, listing):
        wrong[LISTING_NAME] = listing
    if wrong:
        restore_files(store.layout, home, wrong)


def _differs(home: str, name: str, data: bytes) -> bool:
    try:
        return read_regular(f"{home}/{name}", len(data) + 1)[0] != data
    except OSError:
        return True


def _refill(  # noqa: PLR0917 - one step of repair()
    store: Store,
    package: Package,
    release: Release,
    contents: Contents,
    broken: Sequence[FileEntry],
    supplier: Supplier,
    pool: Pool,
    reporter: Reporter,
) -> int:
    """Replace broken files, and return the number of bytes read from the archive."""
    staging = store.stage(release, origin=supplier.url)
    try:
        left = [file for file in broken if not (store.has_blob(file) and store.link_blob(file, staging.path(file)))]
        present = present_chunks(contents, left, staging, pool)
        local = _SoundChunks(store, package, release, contents)
        steps = plan_install(contents, left, present=present, local=local.digests(left, pool))
        with (
            contextlib.ExitStack() as stack,
            reporter.task(f"Repairing {release.label}", steps.bytes_to_fetch) as task,
        ):
            fetch(
                steps,
                _WhenNeeded(lambda: stack.enter_context(supplier.opened(release))),
                staging,
                contents=contents,
                pool=pool,
                local=local,
                where=f"{release.label} in {supplier.url}",
                finished=store.keep_blob,
                progress=task.advance,
            )
        replace_files(store.layout, staging, broken)
    except (IntegrityError, StorageError):
        store.discard(staging)
        raise
    store.discard(staging)
    return steps.bytes_to_fetch


class _SoundChunks:
    """The intact chunks in a release's own files and in other versions."""

    def __init__(self, store: Store, package: Package, release: Release, contents: Contents) -> None:
        self._contents = contents
        self._own = TreeStream(contents, str(package.path))
        self._others = InstalledChunks(store.layout, release, contents)

    def digests(self, files: Sequence[FileEntry], pool: Pool) -> set[Blake3]:
        """Return the digests of the chunks of some files that need not be fetched."""
        chunks = {chunk.blake3: chunk for file in files for chunk in self._contents.chunks_of(file)}
        sound = {digest for digest in chunks if digest in self._others.digests}

        def look(chunk: Chunk) -> None:
            if self._own.read(chunk) is not None:
                sound.add(chunk.blake3)

        pool.run(partial(look, chunk) for chunk in chunks.values())
        return sound

    def read_into(self, chunk: Chunk, buffer: memoryview, *, verify: bool) -> bool:
        """Read a chunk into a buffer of its length, and return whether it was available."""
        # The release's own chunks are always verified, because some are broken.
        return self._own.read_into(chunk, buffer) or self._others.read_into(chunk, buffer, verify=verify)


class _WhenNeeded:
    """An archive that is opened when its first byte is read."""

    def __init__(self, opener: Callable[[], ByteSource]) -> None:
        self._opener = opener
        self._source: ByteSource | None = None
        self._lock = threading.Lock()

    def stream(self, start: int, length: int) -> Iterator[memoryview]:
        with self._lock:
            if self._source is None:
                self._source = self._opener()
        yield from self._source.stream(start, length)
