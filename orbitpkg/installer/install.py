"""From a release in a repository, or an archive, to an installed package."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from orbitpkg.archive.reader import LocalArchive, verify_archive
from orbitpkg.errors import ArchiveError, IntegrityError, NoSpace, StorageError, UnsupportedByStore, UsageError
from orbitpkg.files.errors import storage_errors
from orbitpkg.installer.fetch import ByteSource, fetch
from orbitpkg.installer.local import InstalledChunks, present_chunks
from orbitpkg.installer.plan import InstallPlan, plan_install
from orbitpkg.installer.policy import Candidate
from orbitpkg.model.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, parse_manifest
from orbitpkg.model.names import nearest
from orbitpkg.model.patterns import compile_glob
from orbitpkg.model.release import ArchiveTotals, new_release
from orbitpkg.reporting import SILENT
from orbitpkg.store.package import open_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.installer.policy import Policy
    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.manifest import Manifest
    from orbitpkg.model.release import Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Staging, Store

__all__ = ["Available", "archive_manifest", "available_archive", "available_release", "choose_files", "install", "plan"]

# Up to here an archive is had whole with one request, instead of its contents first and then its chunks.
_WHOLE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """A release that can be installed: its contents are read and verified, its bytes can be had.

    Attributes:
        release: Which one.
        packed: Its compressed contents.
        contents: The same, understood.
        source: Where its archive's bytes come from.
        origin: The address of the repository, or of the archive.
    """

    release: Release
    packed: bytes
    contents: Contents
    source: ByteSource
    origin: str


@dataclass(frozen=True, slots=True)
class _Whole:
    """An archive in memory."""

    data: bytes

    def stream(self, start: int, length: int) -> Iterator[memoryview]:
        yield memoryview(self.data)[start : start + length]


def available_release(repository: Repository, release: Release, store: Store) -> Available:
    """Read what installing a published release takes: one request, or, from a store without ranged reads, the archive.

    Raises:
        IntegrityError: The archive is gone, or is not the one that the record commits to.
        RepositoryError: It cannot be read.
    """
    if release.archive.size <= _WHOLE_BYTES:
        data = repository.whole_archive(release)
        packed, contents = repository.contents(release, archive=data)
        source: ByteSource = _Whole(data)
    else:
        try:
            packed, contents = repository.contents(release)
            source = repository.archive(release)
        except UnsupportedByStore:
            archive = _downloaded(repository, release, store)
            packed = archive.read(archive.place.offset, archive.place.length)
            contents, source = archive.contents, archive
    return Available(release=release, packed=packed, contents=contents, source=source, origin=repository.url)


def _downloaded(repository: Repository, release: Release, store: Store) -> LocalArchive:
    """Read an archive from its first byte to its last into a file that is gone when it is closed."""
    with store.scratch_file() as (path, file):
        for piece in repository.archive(release).objects.stream(release.archive.key):
            file.write(piece)
        file.flush()
        archive = LocalArchive.open(path)
    if archive.place != release.contents:
        archive.close()
        raise IntegrityError(f"The archive of {release} in {repository.url} is not the one its record commits to.")
    return archive


def archive_manifest(archive: LocalArchive) -> Manifest:
    """Read the manifest in an archive.

    Raises:
        ManifestError: It is not valid.
        ArchiveError: There is none.
    """
    first = archive.contents.files[0]
    if first.path != MANIFEST_NAME:
        raise ArchiveError(f"{archive.path} does not begin with {MANIFEST_NAME}.")
    if first.size > MAX_MANIFEST_BYTES:
        raise ArchiveError(f"{MANIFEST_NAME} in {archive.path} is larger than {MAX_MANIFEST_BYTES:,} bytes.")
    return parse_manifest(archive.read_file(first), where=f"{MANIFEST_NAME} in {archive.path}")


def available_archive(archive: LocalArchive) -> Available:
    """Verify every byte of a local archive and take it for a release.

    Raises:
        ManifestError: Its manifest is not valid.
        ArchiveError: It is damaged, or has no manifest.
    """
    verify_archive(archive)
    manifest = archive_manifest(archive)
    totals = ArchiveTotals(
        key=f"archives/{manifest.key}/{manifest.key}-{manifest.version}.tar.zst",
        size=archive.size,
        files=len(archive.contents.files),
        bytes=archive.contents.total_size,
        encoder=archive.contents.encoder,
    )
    # Nothing of this depends on the file's name or the time, so that one archive is one release.
    release = new_release(manifest, archive=totals, contents=archive.place, published="1970-01-01T00:00:00Z")
    packed = archive.read(archive.place.offset, archive.place.length)
    origin = archive.path.resolve().as_uri()
    return Available(release=release, packed=packed, contents=archive.contents, source=archive, origin=origin)


def choose_files(contents: Contents, only: Sequence[str]) -> tuple[FileEntry, ...]:
    """Give the files that globs pick, and ``package.json``; all files without globs.

    Raises:
        UsageError: A glob picks nothing.
    """
    if not only:
        return contents.files
    chosen = {MANIFEST_NAME}
    for glob in only:
        matches = list(filter(compile_glob(glob).fullmatch, contents.by_path))
        if not matches:
            close = nearest(glob, list(contents.by_path))
            hint = f"Did you mean {' or '.join(close)}?" if close else "It is a glob over paths, like 'data/**'."
            raise UsageError(f"--only {glob!r} matches no file of the package.", hint=hint)
        chosen.update(matches)
    return tuple(file for file in contents.files if file.path in chosen)


def plan(store: Store, available: Available, *, policy: Policy, only: Sequence[str] = ()) -> InstallPlan:
    """Plan an install without changing anything.

    Raises:
        OrbitError: The policy refuses the release.
        UsageError: A glob of ``only`` picks nothing.
        IntegrityError: Other content is installed under this version.
    """
    release = available.release
    chosen = choose_files(available.contents, only)
    policy.check(Candidate.of_release(release, chosen, origin=available.origin))
    missing = _missing(store, available, chosen)
    left = [file for file in missing if not store.has_blob(file)]
    local = InstalledChunks(store.layout, release, available.contents)
    return plan_install(available.contents, left, local=local.digests)


def install(
    store: Store,
    available: Available,
    *,
    policy: Policy,
    pool: Pool,
    only: Sequence[str] = (),
    reporter: Reporter = SILENT,
) -> Package:
    """Install a release, or what is missing of it.

    What an earlier attempt fetched before it was stopped is used.

    Args:
        store: The store to install into.
        available: The release.
        policy: Checked before anything is written.
        pool: The workers that transfer and write.
        only: Globs of the files to install; all files when empty.
        reporter: Receives progress.

    Raises:
        OrbitError: The policy refuses the release.
        UsageError: A glob of ``only`` picks nothing.
        IntegrityError: Bytes are not those promised, or other content is installed under this version.
        RepositoryError: The archive cannot be read.
        StorageError: The store cannot be written, or has no space.
    """
    release = available.release
    chosen = choose_files(available.contents, only)
    policy.check(Candidate.of_release(release, chosen, origin=available.origin))

    def waiting() -> None:
        reporter.note(f"Waiting for another process that is installing {release}")

    with store.lock(release, on_wait=waiting):
        missing = _missing(store, available, chosen)
        installed = open_package(store.layout, release.key, release.version)
        if installed is not None and not missing:
            return _whole_if_it_is(store, installed, available)
        staging = store.stage(release, origin=available.origin)
        try:
            _fill(store, staging, available, missing, pool=pool, reporter=reporter)
            return store.commit(staging, available.packed, available.contents, missing, installed=installed is not None)
        except (IntegrityError, StorageError):
            # What is wrong stays wrong, and a full disk wants its space back. What the network or the user stopped
            # is kept for the next run.
            store.discard(staging)
            raise
        except BaseException:
            store.abandon(staging)
            raise


def _whole_if_it_is(store: Store, installed: Package, available: Available) -> Package:
    if installed.is_complete or _missing(store, available, available.contents.files):
        return installed
    return store.complete(available.release, available.contents)


def _missing(store: Store, available: Available, files: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """Give those of some files that are not installed."""
    release = available.release
    installed = open_package(store.layout, release.key, release.version)
    if installed is not None and installed.digest != release.digest:
        _check_same(installed, available)
    if installed is None:
        return tuple(files)
    if installed.is_complete:
        return ()
    folder = installed.path
    return tuple(file for file in files if not os.path.exists(f"{folder}/{file.path}"))  # noqa: PTH110


def _check_same(installed: Package, available: Available) -> None:
    if installed.contents.same_files(available.contents):
        return
    release = available.release
    raise IntegrityError(
        f"{release} of {available.origin} is not the {release} that is installed, which came from {installed.origin}.",
        hint=f"To have this one instead: orbitpkg remove {release}, then install it again.",
    )


def _fill(
    store: Store,
    staging: Staging,
    available: Available,
    files: Sequence[FileEntry],
    *,
    pool: Pool,
    reporter: Reporter,
) -> None:
    release = available.release
    with storage_errors(staging.folder):
        left = _adopt(store, staging, files, pool)
        present = present_chunks(available.contents, left, staging, pool)
        local = InstalledChunks(store.layout, release, available.contents)
        steps = plan_install(available.contents, left, present=present, local=local.digests)
        _check_space(staging, steps)
    with reporter.task(f"Installing {release}", steps.bytes_to_fetch) as task:
        fetch(
            steps,
            available.source,
            staging,
            contents=available.contents,
            pool=pool,
            local=local,
            where=f"{release} in {available.origin}",
            finished=store.keep_blob,
            progress=task.advance,
        )


def _adopt(store: Store, staging: Staging, files: Sequence[FileEntry], pool: Pool) -> list[FileEntry]:
    """Make what files can be made from blobs; give the others."""
    adopted: set[str] = set()

    def adopt(file: FileEntry) -> None:
        if store.adopt_blob(file, staging.path(file)):
            adopted.add(file.path)

    pool.run(partial(adopt, file) for file in files if store.has_blob(file))
    return [file for file in files if file.path not in adopted]


def _check_space(staging: Staging, steps: InstallPlan) -> None:
    free = shutil.disk_usage(staging.folder).free
    needed = steps.bytes_to_write - sum(work.chunk.length for work in steps.present)
    if needed > free:
        raise NoSpace(
            f"{staging.release} takes {needed:,} bytes more; {staging.folder} has {free:,} left.",
            hint="Free some (orbitpkg remove), or set ORBITPKG_HOME to a larger disk.",
            needed=needed,
            free=free,
        )
