"""Installing a release from a repository or an archive."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from orbitpkg.archive.reader import LocalArchive, verify_archive
from orbitpkg.errors import ArchiveError, IntegrityError, NoSpace, StorageError, UnsupportedByStore, UsageError
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.reading import read_bounded
from orbitpkg.files.space import free_bytes
from orbitpkg.installer.agreement import check_manifest, manifest_entry
from orbitpkg.installer.fetch import ByteSource, ChunkSource, fetch
from orbitpkg.installer.local import InstalledChunks, present_chunks
from orbitpkg.installer.plan import InstallPlan, plan_install
from orbitpkg.installer.policy import Candidate
from orbitpkg.model.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, parse_manifest
from orbitpkg.model.names import nearest
from orbitpkg.model.patterns import compile_glob
from orbitpkg.model.release import ArchiveTotals, new_release
from orbitpkg.reporting import SILENT
from orbitpkg.store.package import open_package
from orbitpkg.store.presence import find_missing
from orbitpkg.store.repair import find_obstacles, move_aside

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.installer.policy import Policy
    from orbitpkg.model.contents import Chunk, Contents, FileEntry
    from orbitpkg.model.manifest import Manifest
    from orbitpkg.model.release import Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository
    from orbitpkg.store.locks import HeldLock
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Staging, Store

__all__ = ["Available", "archive_manifest", "available_archive", "available_release", "choose_files", "install", "plan"]

# Up to this size, one request reads the whole archive, instead of one for its contents and more for its chunks.
_WHOLE_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Available:
    """A release that is ready to install: its contents are read and verified.

    Attributes:
        release: The release.
        compressed: Its compressed contents.
        contents: Its parsed contents.
        source: The source of its archive's bytes.
        origin: The address of the repository or archive.
    """

    release: Release
    compressed: bytes
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
    """Read the contents of a published release, and open its archive.

    This takes one request. From a store without ranged reads, the archive is downloaded.

    Raises:
        IntegrityError: The archive is missing, or not the one in the release's record.
        RepositoryError: The archive cannot be read.
    """
    if release.archive.size <= _WHOLE_BYTES:
        data = repository.whole_archive(release)
        compressed, contents = repository.contents(release, archive=data)
        source: ByteSource = _Whole(data)
    else:
        try:
            compressed, contents = repository.contents(release)
            source = repository.archive(release)
        except UnsupportedByStore:
            archive = _downloaded(repository, release, store)
            compressed = archive.read(archive.place.offset, archive.place.length)
            contents, source = archive.contents, archive
    return Available(release=release, compressed=compressed, contents=contents, source=source, origin=repository.url)


def _downloaded(repository: Repository, release: Release, store: Store) -> LocalArchive:
    """Download an archive into a file that is deleted when it is closed."""
    with store.scratch_file() as (path, file):
        for piece in repository.archive(release).objects.stream(release.archive.key):
            file.write(piece)
        file.flush()
        archive = LocalArchive.open(path)
    if archive.place != release.contents:
        archive.close()
        raise IntegrityError(f"The archive of {release.label} in {repository.url} is not the one in its record.")
    return archive


def archive_manifest(archive: LocalArchive) -> Manifest:
    """Read the manifest in an archive.

    Raises:
        ManifestError: The manifest is invalid.
        ArchiveError: The archive has no manifest.
    """
    first = archive.contents.files[0]
    if first.path != MANIFEST_NAME:
        raise ArchiveError(f"{archive.path} does not begin with {MANIFEST_NAME}.")
    # The file is read into memory.
    if first.size > MAX_MANIFEST_BYTES:
        raise ArchiveError(f"{MANIFEST_NAME} in {archive.path} is larger than {MAX_MANIFEST_BYTES:,} bytes.")
    return parse_manifest(archive.read_file(first), where=f"{MANIFEST_NAME} in {archive.path}")


def available_archive(archive: LocalArchive) -> Available:
    """Verify every byte of a local archive, and return the release that it represents.

    Raises:
        ManifestError: The manifest is invalid.
        ArchiveError: The archive is damaged or has no manifest.
    """
    # A local file can come from anywhere, and no record gives its digest.
    verify_archive(archive)
    manifest = archive_manifest(archive)
    totals = ArchiveTotals(
        key=f"archives/{manifest.key}/{manifest.key}-{manifest.version}.tar.zst",
        size=archive.size,
        files=len(archive.contents.files),
        bytes=archive.contents.total_size,
        encoder=archive.contents.encoder,
    )
    # Independent of the file's name and the time, so that the same archive is always the same release.
    release = new_release(manifest, archive=totals, contents=archive.place, published="1970-01-01T00:00:00Z")
    compressed = archive.read(archive.place.offset, archive.place.length)
    origin = archive.path.resolve().as_uri()
    return Available(release=release, compressed=compressed, contents=archive.contents, source=archive, origin=origin)


def choose_files(contents: Contents, only: Sequence[str]) -> tuple[FileEntry, ...]:
    """Return ``package.json`` and the files that globs match; all files without globs.

    Raises:
        UsageError: A glob matches no file.
    """
    if not only:
        return contents.files
    chosen = {MANIFEST_NAME}
    for glob in only:
        matches = list(filter(compile_glob(glob).fullmatch, contents.by_path))
        if not matches:
            close = nearest(glob, list(contents.by_path))
            hint = f"Did you mean {' or '.join(close)}?" if close else "Give a glob over paths, such as 'data/**'."
            raise UsageError(f"--only {glob!r} matches no file of the package.", hint=hint)
        chosen.update(matches)
    return tuple(file for file in contents.files if file.path in chosen)


def plan(store: Store, available: Available, *, policy: Policy, only: Sequence[str] = ()) -> InstallPlan:
    """Plan an install without changing anything.

    Raises:
        OrbitError: The policy refuses the release.
        UsageError: A glob of ``only`` matches no file.
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
    """Install a release, or complete a partial installation of it.

    Data that an interrupted attempt fetched is used.

    Args:
        store: The store to install into.
        available: The release.
        policy: Checked before anything is written.
        pool: The workers that transfer and write.
        only: Globs of the files to install; all files when empty.
        reporter: Receives progress.

    Raises:
        OrbitError: The policy refuses the release.
        UsageError: A glob of ``only`` matches no file.
        IntegrityError: Data is not what was published, or other content is installed under this version.
        RepositoryError: The archive cannot be read.
        StorageError: The store cannot be written, or the disk is full.
    """
    release = available.release
    chosen = choose_files(available.contents, only)
    # A file of a forbidden format must not reach the disk, not even in the staging folder.
    policy.check(Candidate.of_release(release, chosen, origin=available.origin))

    def waiting() -> None:
        reporter.note(f"Waiting for another process that is installing {release.label}")

    def needless() -> bool:
        return _is_complete(store, release)

    installed = open_package(store.layout, release.key, release.version)
    if installed is not None and installed.is_complete and not _missing(store, available, chosen):
        return installed  # without a lock, because a store that has everything may be read-only
    with store.lock(release, on_wait=waiting, needless=needless) as held:
        # Another process may have installed the release while this one waited for the lock.
        missing = _missing(store, available, chosen)
        installed = open_package(store.layout, release.key, release.version)
        if installed is not None and not missing:
            return _complete_if_possible(store, installed, available)
        staging = store.stage(release, origin=available.origin)
        try:
            _fill(store, staging, available, missing, pool=pool, held=held, reporter=reporter)
            _check_agreement(staging, available, missing)
            if installed is not None:
                _clear_way(store, release, missing)
            with held.while_system_works():
                return store.commit(
                    staging, available.compressed, available.contents, missing, installed=installed is not None
                )
        except (IntegrityError, StorageError):
            # Wrong data stays wrong, and a full disk needs its space. Only work that the network or the user
            # interrupted is worth continuing.
            store.discard(staging)
            raise
        except BaseException:
            store.offer_for_reuse(staging)
            raise


def _is_complete(store: Store, release: Release) -> bool:
    """Return whether a release is complete by its record, which is quick to see."""
    try:
        package = open_package(store.layout, release.key, release.version)
    except StorageError:
        return False
    return package is not None and package.is_complete and package.digest == release.digest


def _clear_way(store: Store, release: Release, missing: Sequence[FileEntry]) -> None:
    """Move away what is in the way of missing files, as :func:`find_obstacles` finds it."""
    obstacles = find_obstacles(store.layout, release.key, release.version, missing)
    move_aside(store.layout, release.key, release.version, obstacles)


class _ReportingChunks:
    """A source of chunks that reports progress to the processes that wait for the lock of an install."""

    def __init__(self, source: ChunkSource, held: HeldLock) -> None:
        self._source = source
        self._held = held

    def read_into(self, chunk: Chunk, buffer: memoryview, *, verify: bool) -> bool:
        self._held.progress()
        return self._source.read_into(chunk, buffer, verify=verify)


def _check_agreement(staging: Staging, available: Available, files: Sequence[FileEntry]) -> None:
    """Compare the manifest with the record before either becomes visible."""
    entry = manifest_entry(available.release, available.contents)
    # A release that is completed was checked when it was installed in part.
    if entry in files:
        with storage_errors(staging.files):
            data = read_bounded(staging.path(entry), max_bytes=entry.size)
        check_manifest(available.release, data, where=available.origin)


def _complete_if_possible(store: Store, installed: Package, available: Available) -> Package:
    if installed.is_complete or _missing(store, available, available.contents.files):
        return installed
    return store.complete(available.release, available.contents)


def _missing(store: Store, available: Available, files: Sequence[FileEntry]) -> tuple[FileEntry, ...]:
    """Return the files that are not installed, or are not as the release has them by their status."""
    release = available.release
    try:
        installed = open_package(store.layout, release.key, release.version)
    except StorageError:  # damaged, and restored by an install
        installed = None
    if installed is not None and installed.digest != release.digest:
        _check_same(installed, available)
    if installed is None:
        return tuple(files)
    lost = frozenset(find_missing(installed, [file.path for file in files]))
    if any(path.startswith("../") for path in lost):
        return tuple(files)
    return tuple(file for file in files if file.path in lost)


def _check_same(installed: Package, available: Available) -> None:
    if installed.contents.same_files(available.contents):
        return
    release = available.release
    raise IntegrityError(
        f"{release.label} from {available.origin} differs from the installed {release.label}, which came from "
        f"{installed.origin}.",
        hint=f"To replace the installed release, run orbitpkg remove {release} and install it again.",
    )


def _fill(
    store: Store,
    staging: Staging,
    available: Available,
    files: Sequence[FileEntry],
    *,
    pool: Pool,
    held: HeldLock,
    reporter: Reporter,
) -> None:
    release = available.release
    with storage_errors(staging.folder), held.while_system_works():
        left = _link_blobs(store, staging, files, pool)
        present = present_chunks(available.contents, left, staging, pool)
        local = InstalledChunks(store.layout, release, available.contents)
        steps = plan_install(available.contents, left, present=present, local=local.digests)
        # Fail before the download, not at its end.
        _check_space(staging, steps)
    with reporter.task(f"Installing {release.label}", steps.bytes_to_fetch) as task:

        def advance(amount: int) -> None:
            held.progress()
            task.advance(amount)

        fetch(
            steps,
            available.source,
            staging,
            contents=available.contents,
            pool=pool,
            local=_ReportingChunks(local, held),
            where=f"{release.label} in {available.origin}",
            finished=store.keep_blob,
            progress=advance,
        )


def _link_blobs(store: Store, staging: Staging, files: Sequence[FileEntry], pool: Pool) -> list[FileEntry]:
    """Create the files that blobs supply, and return the others."""
    linked: set[str] = set()

    def link(file: FileEntry) -> None:
        if store.link_blob(file, staging.path(file)):
            linked.add(file.path)

    pool.run(partial(link, file) for file in files if store.has_blob(file))
    return [file for file in files if file.path not in linked]


def _check_space(staging: Staging, steps: InstallPlan) -> None:
    free = free_bytes(staging.folder)
    needed = steps.bytes_to_write - sum(work.chunk.length for work in steps.present)
    if free is not None and needed > free:
        raise NoSpace(
            f"{staging.release.label} needs {needed:,} more bytes, but {staging.folder} has only {free:,} free.",
            hint="Free space (orbitpkg remove, orbitpkg gc), or set ORBITPKG_HOME to a larger disk.",
            needed=needed,
            free=free,
        )
