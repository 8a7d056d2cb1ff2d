"""Making an installed release whole again, with no more bytes from where it came from than are broken here.

The chunks of a broken file that are sound are taken from the file itself, those that another installed version or a
blob holds from there; the rest is read from the archive. Each file appears whole, in one rename, in the place of the
broken one; a blob that was altered is deleted on the way.
"""

from __future__ import annotations

import contextlib
import os
import threading
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from orbitpkg.archive.frames import unpack_contents
from orbitpkg.archive.reader import LocalArchive
from orbitpkg.archive.tree_stream import TreeStream
from orbitpkg.errors import IntegrityError, ObjectNotFound, StorageError, UnsupportedByStore
from orbitpkg.installer.fetch import fetch
from orbitpkg.installer.install import Available, available_release
from orbitpkg.installer.local import InstalledChunks, present_chunks
from orbitpkg.installer.plan import plan_install
from orbitpkg.store.condition import Condition, Finding, Flaw, check_release, find_flaws
from orbitpkg.store.layout import CONTENTS_NAME, ORIGIN_NAME, RECORD_NAME
from orbitpkg.store.package import open_package
from orbitpkg.store.records import load_release
from orbitpkg.store.repair import move_aside, replace_files, restore_files

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
    """Where a release can be had again."""

    @property
    def url(self) -> str:
        """Its address."""

    def release(self, key: str, version: Version) -> Release:
        """Read a release's record."""

    def contents(self, release: Release) -> tuple[bytes, Contents]:
        """Read a release's contents: as they are stored, and understood."""

    def opened(self, release: Release) -> contextlib.AbstractContextManager[ByteSource]:
        """Give a release's archive."""


class RepositorySupplier:
    """A repository.

    Args:
        repository: Which one.
        store: Where an archive is kept while it is read, if it can only be read whole.
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
        """Give a release's archive.

        Raises:
            IntegrityError: It is gone.
            RepositoryError: It cannot be read.
        """
        try:
            self._repository.objects.get_range(release.archive.key, 0, 1)
        except ObjectNotFound as error:
            raise IntegrityError(
                f"The archive of {release} is missing from {self.url}: {release.archive.key}.",
                hint="Name another repository that has the release: --repository URL",
            ) from error
        except UnsupportedByStore:
            source = available_release(self._repository, release, self._store).source
            yield source
            if isinstance(source, LocalArchive):
                source.close()
        else:
            yield self._repository.archive(release)


class ArchiveSupplier:
    """An archive on this machine.

    Args:
        available: The release it holds, verified.
    """

    def __init__(self, available: Available) -> None:
        self._available = available

    @property
    def url(self) -> str:
        """Its address."""
        return self._available.origin

    def release(self, key: str, version: Version) -> Release:
        """Give the release it holds.

        Raises:
            IntegrityError: It holds another one.
        """
        release = self._available.release
        if (release.key, release.version) != (key, version):
            raise IntegrityError(f"{self.url} holds {release}, not {key}=={version}.", hint=_ANOTHER)
        return release

    def contents(self, release: Release) -> tuple[bytes, Contents]:
        """Give its contents.

        Raises:
            IntegrityError: It is no longer the archive that this release was installed from.
        """
        if release.contents != self._available.release.contents:
            raise IntegrityError(f"{self.url} is not the archive of {release} that was installed.", hint=_ANOTHER)
        return self._available.packed, self._available.contents

    @contextlib.contextmanager
    def opened(self, release: Release) -> Iterator[ByteSource]:
        """Give its bytes. Raises as :meth:`contents` does."""
        self.contents(release)
        yield self._available.source


_ANOTHER = "Name a repository that has the release: --repository URL"


@dataclass(frozen=True, slots=True, kw_only=True)
class Repaired:
    """What a repair came to.

    Attributes:
        condition: How the release is now.
        fetched: How many bytes were read from its archive.
        aside: Where the files are that are none of the release; None when there were none.
    """

    condition: Condition
    fetched: int
    aside: str | None


def repair(store: Store, condition: Condition, supplier: Supplier, *, pool: Pool, reporter: Reporter) -> Repaired:
    """Make an installed release as it was published.

    Args:
        store: Where it is.
        condition: What is wrong with it.
        supplier: Where it can be had again; asked only for what is not on this machine.
        pool: Whose workers do it.
        reporter: Told how far it is.

    Raises:
        IntegrityError: The supplier has another release, or none.
        RepositoryError: The supplier cannot be read.
        StorageError: The store cannot be written, or the release was removed meanwhile.
    """
    key, version = condition.key, condition.version
    release, packed, contents = _table(store, condition, supplier)

    def waiting() -> None:
        reporter.note(f"Waiting for another process that is installing {release}")

    with store.lock(release, on_wait=waiting):
        _put_own_files_back(store, condition, release, packed, supplier.url)
        package = open_package(store.layout, key, version)
        if package is None:
            raise StorageError(f"{release} was removed while it was being repaired.")
        findings = condition.findings if condition.package else find_flaws(package)
        aside = move_aside(store.layout, key, version, _in_the_way(package, findings))
        broken = [contents.by_path[each.path] for each in findings if each.path in contents.by_path]
        fetched = 0
        if broken:
            fetched = _refill(store, package, release, contents, broken, supplier, pool, reporter)
    after = check_release(store.layout, key, version, quick=True)
    if after is None:
        raise StorageError(f"{release} was removed while it was being repaired.")
    return Repaired(condition=after, fetched=fetched, aside=aside)


def _table(store: Store, condition: Condition, supplier: Supplier) -> tuple[Release, bytes, Contents]:
    home = store.layout.release(condition.key, condition.version)
    if condition.package is not None:
        return load_release(home), Path(home, CONTENTS_NAME).read_bytes(), condition.package.contents
    record_is_broken = any(each.path == f"../{RECORD_NAME}" for each in condition.findings)
    release = supplier.release(condition.key, condition.version) if record_is_broken else load_release(home)
    with contextlib.suppress(OSError, IntegrityError):
        packed = Path(home, CONTENTS_NAME).read_bytes()
        return release, packed, unpack_contents(packed, release.contents, where=f"{release} in the store")
    return release, *supplier.contents(release)


def _put_own_files_back(store: Store, condition: Condition, release: Release, packed: bytes, url: str) -> None:
    home = store.layout.release(condition.key, condition.version)
    # The contents first: nobody reads them but through a record.
    right = {CONTENTS_NAME: packed, RECORD_NAME: release.raw}
    wrong = {name: data for name, data in right.items() if condition.package is None and _differs(home, name, data)}
    if not os.path.exists(f"{home}/{ORIGIN_NAME}"):  # noqa: PTH110
        wrong[ORIGIN_NAME] = url.encode()
    if wrong:
        restore_files(store.layout, home, wrong)


def _differs(home: str, name: str, data: bytes) -> bool:
    try:
        return Path(home, name).read_bytes() != data
    except OSError:
        return True


def _in_the_way(package: Package, findings: Sequence[Finding]) -> Iterator[str]:
    """Give what is no file of the release, and folders that stand where a file belongs."""
    for finding in findings:
        place = package.path / finding.path
        if finding.flaw is Flaw.EXTRA or (finding.flaw is Flaw.MISSING and place.is_dir()):
            yield finding.path


def _refill(  # noqa: PLR0917 - one step of repair(), which has these at hand
    store: Store,
    package: Package,
    release: Release,
    contents: Contents,
    broken: Sequence[FileEntry],
    supplier: Supplier,
    pool: Pool,
    reporter: Reporter,
) -> int:
    """Make broken files anew; returns how many bytes of the archive that took."""
    staging = store.stage(release, origin=supplier.url)
    try:
        left = [file for file in broken if not (store.has_blob(file) and store.adopt_blob(file, staging.path(file)))]
        present = present_chunks(contents, left, staging, pool)
        local = _SoundChunks(store, package, release, contents)
        steps = plan_install(contents, left, present=present, local=local.digests(left, pool))
        with (
            contextlib.ExitStack() as stack,
            reporter.task(f"Repairing {release}", steps.bytes_to_fetch) as task,
        ):
            fetch(
                steps,
                _WhenNeeded(lambda: stack.enter_context(supplier.opened(release))),
                staging,
                contents=contents,
                pool=pool,
                local=local,
                where=f"{release} in {supplier.url}",
                finished=store.keep_blob,
                progress=task.advance,
            )
        replace_files(staging, broken, str(package.path))
    except (IntegrityError, StorageError):
        store.discard(staging)
        raise
    store.discard(staging)
    return steps.bytes_to_fetch


class _SoundChunks:
    """The chunks of a release that its own files still hold, or those of other versions."""

    def __init__(self, store: Store, package: Package, release: Release, contents: Contents) -> None:
        self._contents = contents
        self._own = TreeStream(contents, str(package.path))
        self._others = InstalledChunks(store.layout, release, contents)

    def digests(self, files: Sequence[FileEntry], pool: Pool) -> set[Blake3]:
        """Give those of the chunks of some files that need not be fetched."""
        chunks = {chunk.blake3: chunk for file in files for chunk in self._contents.chunks_of(file)}
        sound = {digest for digest in chunks if digest in self._others.digests}

        def look(chunk: Chunk) -> None:
            if self._own.read(chunk) is not None:
                sound.add(chunk.blake3)

        pool.run(partial(look, chunk) for chunk in chunks.values())
        return sound

    def read_into(self, chunk: Chunk, room: memoryview, *, verify: bool) -> bool:
        """Read a chunk into memory of just its length; says whether it was there."""
        # Some of its own are known to be wrong.
        return self._own.read_into(chunk, room) or self._others.read_into(chunk, room, verify=verify)


class _WhenNeeded:
    """An archive that is opened when its first byte is asked for."""

    def __init__(self, opener: Callable[[], ByteSource]) -> None:
        self._opener = opener
        self._source: ByteSource | None = None
        self._lock = threading.Lock()

    def stream(self, start: int, length: int) -> Iterator[memoryview]:
        with self._lock:
            if self._source is None:
                self._source = self._opener()
        yield from self._source.stream(start, length)
