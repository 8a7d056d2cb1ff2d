"""A Sputnik repository as the object store of an orbitpkg repository, for all code that reads repositories.

The store has an index for each package, made from its ``meta.json`` files, and a record for each version. The archive
of a version is built when it or its record is first read, from files that are downloaded and verified then. Records are
cached between runs, so an installed package is not downloaded again just to find out its digest. Archives are deleted
with the store.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import threading
import weakref
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from orbitpkg.archive.frames import ENCODER
from orbitpkg.archive.reader import LocalArchive
from orbitpkg.archive.writer import write_archive
from orbitpkg.compat.sputnik.formats.archives import SCRATCH, sweep
from orbitpkg.compat.sputnik.formats.fetching import Fetcher, write_cached
from orbitpkg.compat.sputnik.formats.listing import (
    ListedPackage,
    Listing,
    may_be_release,
    may_have_name,
    read_listing,
    reason_of,
)
from orbitpkg.compat.sputnik.formats.repositories import open_sputnik_repository
from orbitpkg.config.caches import open_cache
from orbitpkg.errors import ArchiveError, IntegrityError, ObjectNotFound, OrbitError, ReadOnlyRepository, UsageError
from orbitpkg.escaping import shell_word
from orbitpkg.files.errors import storage_errors
from orbitpkg.model.release import ArchiveTotals, new_release, parse_release, release_digest
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.objects import open_store
from orbitpkg.objects.directory import DirectoryStore
from orbitpkg.objects.protocol import ObjectInfo
from orbitpkg.objects.read_only import ReadOnlyStore
from orbitpkg.objects.registry import StoreScheme
from orbitpkg.reporting import SILENT
from orbitpkg.repository.index import Index, IndexEntry, newest
from orbitpkg.repository.layout import (
    ARCHIVES,
    CONFIG_KEY,
    RELEASES,
    index_key,
    record_key,
    releases_prefix,
    version_of_record,
)
from orbitpkg.repository.repository import RepositoryConfig

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orbitpkg.objects import ObjectStore
    from orbitpkg.objects.registry import OpenRequest
    from orbitpkg.reporting import Reporter

__all__ = ["SCHEME", "SputnikStore", "open_sputnik_store"]

_INDEX_PREFIX, _INDEX_SUFFIX = index_key("\0").split("\0")


def open_sputnik_store(
    url: str, cache: Path, *, reporter: Reporter = SILENT, opener: Callable[[str], ObjectStore] = open_store
) -> SputnikStore:
    """Open a Sputnik repository as a store; no request is made yet.

    Args:
        url: Its address, as ``orbitpkg.compat.sputnik.formats.repositories.open_sputnik_repository`` accepts it.
        cache: A directory for files that are kept of such repositories.
        reporter: Receives the progress of downloads, and notes about packages that are left out.
        opener: Opens the store that holds the packages.

    Raises:
        UsageError: The address is not valid.
    """
    repository = open_sputnik_repository(url, opener=opener)
    folder = cache / hashlib.sha256(repository.url.encode()).hexdigest()[:16]
    return SputnikStore(Fetcher(repository, folder, reporter=reporter))


def _open(request: OpenRequest) -> SputnikStore:
    opener = partial(open_store, env=request.env, timeouts=request.timeouts)
    temporary = None if request.cache else tempfile.TemporaryDirectory(prefix="orbitpkg-")
    cache = Path(temporary.name) if temporary else request.cache
    assert cache is not None
    store = open_sputnik_store(request.url, cache, reporter=request.reporter, opener=opener)
    if temporary:
        weakref.finalize(store, temporary.cleanup)
    return store


SCHEME = StoreScheme(open=_open)
"""The plug-in that orbitpkg's own entry point ``sputnik+`` refers to."""


class SputnikStore(ReadOnlyStore):
    """A read-only ``ObjectStore`` with the objects that an orbitpkg repository of these packages would have.

    Args:
        fetcher: Downloads the packages.
    """

    def __init__(self, fetcher: Fetcher) -> None:
        self.url = fetcher.repository.url
        self.fetcher = fetcher
        self._packages: dict[str, dict[Version, ListedPackage]] = {}
        self._problems: dict[str, OrbitError] = {}
        self._built: Path | None = None
        # Reentrant, since reading an archive builds it, which creates the directory of archives.
        self._building = threading.RLock()

    # Reading.

    def get(
        self,
        key: str,
        *,
        max_bytes: int | None = None,
        version: str | None = None,
    ) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""
        if key.startswith(ARCHIVES):
            return self._archives(key).get(key, max_bytes=max_bytes, version=version)
        data = self._document(key)
        if max_bytes is not None and len(data) > max_bytes:
            raise IntegrityError(f"{self.url}/{key} has {len(data)} bytes; at most {max_bytes} expected.")
        return data, _info(key, data)

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``."""
        data, info = self.get(key, max_bytes=max_bytes)
        return None if info.etag == etag else (data, info)

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read a range of an archive; see ``ObjectStore.get_range``."""
        return self._archives(key).get_range(key, start, length, etag=etag, version=version)

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read an archive in pieces; see ``ObjectStore.stream``."""
        yield from self._archives(key).stream(key, start, length)

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the status of an object; see ``ObjectStore.head``."""
        if key.startswith(ARCHIVES):
            return self._archives(key).head(key, version=version)
        return _info(key, self._document(key))

    def list_folders(self, prefix: str) -> list[str]:
        """List the packages; see ``ObjectStore.list_folders``."""
        if prefix != RELEASES:
            return []
        listing = read_listing(self.fetcher, self.fetcher.idents())
        self._packages |= listing.packages
        self._report(listing)
        return sorted(listing.packages)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List records; see ``ObjectStore.list``. Their sizes are 0, since a size is known only once it is built."""
        name, slash, _ = prefix.removeprefix(RELEASES).partition("/")
        if not prefix.startswith(RELEASES):
            return
        names = [name] if slash else [each for each in self.list_folders(RELEASES) if each.startswith(name)]
        for each in names:
            keys = sorted(record_key(each, version) for version in self._versions(each))
            yield from (ObjectInfo(key=key, size=0, etag=None, modified=None) for key in keys if key.startswith(prefix))

    # Indexes and records.

    def _versions(self, name: str) -> dict[Version, ListedPackage]:
        """Return the versions of a package that can be installed.

        Raises:
            ArchiveError: The package exists, but none of its versions can be installed.
        """
        if name not in self._packages:
            idents = [ident for ident in self.fetcher.idents() if may_have_name(ident, name)]
            listing = read_listing(self.fetcher, idents)
            found = listing.packages.get(name, {})
            if not found and listing.problems:
                raise _no_valid_version(name, listing, self.url)
            self._packages[name] = found
            self._report(listing)
        return self._packages[name]

    def _report(self, listing: Listing) -> None:
        for ident, error in listing.problems.items():
            if ident not in self._problems:
                self._problems[ident] = error
                self.fetcher.reporter.note(f"Skipped {ident} in {self.url}: {reason_of(ident, error)}")

    def _document(self, key: str) -> bytes:
        if key == CONFIG_KEY:
            # The capabilities do not matter, since every write is refused.
            identity = hashlib.sha256(self.url.encode()).hexdigest()[:32]
            return RepositoryConfig(id=identity, create_only=True, part_copies=False).to_json()
        if key.startswith(_INDEX_PREFIX) and key.endswith(_INDEX_SUFFIX):
            return self._index(key[len(_INDEX_PREFIX) : -len(_INDEX_SUFFIX)])
        name = key.removeprefix(RELEASES).partition("/")[0]
        text = version_of_record(key, name) if key.startswith(releases_prefix(name)) else None
        version = _version(text) if text else None
        if version is None:
            raise ObjectNotFound(f"{self.url}/{key} does not exist.", key=key)
        package = self._versions(name).get(version)
        if package is None:
            raise self._absence(name, version)
        return self._record(package)

    def _absence(self, name: str, version: Version) -> OrbitError:
        for ident, error in self._problems.items():
            if may_be_release(ident, name, version):
                return error
        return ObjectNotFound(f"{self.url} has no {name} {version}.", key=record_key(name, version))

    def _index(self, name: str) -> bytes:
        versions = self._versions(name)
        latest = newest(versions)
        if latest is None:
            raise ObjectNotFound(f"{self.url} has no package {name}.", key=index_key(name))
        head = versions[latest].manifest
        entries = {version: self._entry(package) for version, package in versions.items()}
        return Index(name=head.name, description=head.description, releases=entries).to_json()

    def _entry(self, package: ListedPackage) -> IndexEntry:
        record = self._cached_record(package)
        if record is not None:
            return IndexEntry.of(parse_release(record, name=package.manifest.key, version=package.manifest.version))
        return IndexEntry(
            digest="",
            size=package.meta.archive_size,
            published=self._published(package),
            compatibility=package.manifest.compatibility,
        )

    def _published(self, package: ListedPackage) -> str:
        moment = self.fetcher.modified(package.ident) or datetime.fromtimestamp(0, UTC)
        return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

    # Building archives and their records.

    def _record(self, package: ListedPackage) -> bytes:
        return self._cached_record(package) or self._build(package)

    def _record_path(self, package: ListedPackage) -> Path:
        # The record contains a digest of the archive, whose bytes depend on the encoder.
        tag = self.fetcher.idents().get(package.ident, "")
        name = hashlib.sha256(f"{package.ident}\n{tag}\n{ENCODER}".encode("utf-8", "replace")).hexdigest()[:32]
        return self.fetcher.folder / "records" / name

    def _cached_record(self, package: ListedPackage) -> bytes | None:
        try:
            digest, _, raw = self._record_path(package).read_bytes().partition(b"\n")
        except OSError:
            return None
        return raw if release_digest(raw).encode() == digest else None

    def _archives(self, key: str) -> DirectoryStore:
        """Return the store of an archive, which is built if necessary."""
        with self._building:
            folder = self._folder()
            if not (folder / key).exists():
                self._build(self._package_of(key))
            return DirectoryStore(folder)

    def _package_of(self, key: str) -> ListedPackage:
        name = key.removeprefix(ARCHIVES).partition("/")[0]
        for package in self._versions(name).values():
            if _archive_key(package) == key:
                return package
        raise ObjectNotFound(f"{self.url}/{key} does not exist.", key=key)

    def _folder(self) -> Path:
        if self._built is None:
            runs = self.fetcher.folder / "runs"
            with storage_errors(str(runs)):
                open_cache(runs).close()
                sweep(runs)
                self._built = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=runs))
            # Not all callers close a store, so its files live as long as the object.
            weakref.finalize(self, shutil.rmtree, self._built, ignore_errors=True)
        return self._built

    def _build(self, package: ListedPackage) -> bytes:
        """Build the archive of a package and return its record."""
        with self._building, self.fetcher.tree(package.ident) as tree:
            key = _archive_key(package)
            target = self._folder() / key
            contents = write_archive(tree, target)
            with LocalArchive.open(target) as archive:
                place, size = archive.place, archive.size
            totals = ArchiveTotals(
                key=key, size=size, files=len(contents.files), bytes=contents.total_size, encoder=contents.encoder
            )
            release = new_release(tree.manifest, archive=totals, contents=place, published=self._published(package))
            write_cached(self._record_path(package), f"{release.digest}\n".encode() + release.raw)
            return release.raw

    def _refuse(self, key: str) -> NoReturn:
        raise ReadOnlyRepository(
            f"{self.url}/{key} cannot be written: Sputnik repositories are read-only.",
            hint=f"To import its packages elsewhere: orbitpkg import {shell_word(self.url)} --repository URL",
        )


def _archive_key(package: ListedPackage) -> str:
    manifest = package.manifest
    return f"{ARCHIVES}{manifest.key}/{manifest.key}-{manifest.version}-{package.meta.archive_md5[:12]}.tar.zst"


def _version(text: str) -> Version | None:
    try:
        return parse_version(text)
    except UsageError:
        return None


def _info(key: str, data: bytes) -> ObjectInfo:
    return ObjectInfo(key=key, size=len(data), etag=f'"{hashlib.sha256(data).hexdigest()}"', modified=None)


def _no_valid_version(name: str, listing: Listing, url: str) -> ArchiveError:
    lines = [f"  {ident}: {reason_of(ident, error)}" for ident, error in listing.problems.items()]
    first = next(iter(listing.problems.values()))
    return ArchiveError(
        "\n".join([f"No version of {name} in {url} can be installed:", *lines]), hint=first.hint, name=name
    )
