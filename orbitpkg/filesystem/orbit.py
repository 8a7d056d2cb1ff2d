"""The fsspec file system ``orbit://``, through which pandas, dask, pyarrow and zarr open files of packages.

``orbit://model@2.0.0/data/x.csv`` names a file of that release. A range may follow the ``@`` (``model@~=2.1``).
``orbit://model/data/x.csv`` names a file of the best installed version, or else of the best published version.

Files of installed releases are read from the disk, without a network. Files of other releases are read from the
repository: only the chunks that contain the requested bytes, each verified against its digest. Reading a file does not
install its package. An open file keeps its release, even if a new version is published.

This module requires fsspec (``pip install 'orbitpkg[fsspec]'``), whose entry point loads it.
"""

from __future__ import annotations

import threading
import time
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from orbitpkg.api.policy import read_policy
from orbitpkg.errors import (
    FileNotInPackage,
    IntegrityError,
    NotInstalled,
    PackageNotFound,
    ReadOnlyRepository,
    UsageError,
    VersionNotFound,
)
from orbitpkg.filesystem.browsing import InstalledFiles, Tree
from orbitpkg.filesystem.slices import ChunkCache, PublishedFiles
from orbitpkg.installer.policy import Candidate
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.store.layout import Layout
from orbitpkg.store.records import load_release

try:
    from fsspec.implementations.local import LocalFileOpener, LocalFileSystem
    from fsspec.spec import AbstractBufferedFile, AbstractFileSystem
except ImportError as error:
    raise ImportError(
        "orbit:// addresses require fsspec, which is not installed: pip install 'orbitpkg[fsspec]'"
    ) from error

if TYPE_CHECKING:
    import os

    from orbitpkg.filesystem.browsing import Source
    from orbitpkg.model.contents import FileEntry
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.store.package import Package

__all__ = ["OrbitFile", "OrbitFileSystem"]

_CACHE_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 4 * 1024 * 1024
_KEPT_RELEASES = 32
_OPERATORS = "=!<>~^"


class OrbitFile(AbstractBufferedFile):  # type: ignore[misc]
    """A file of a published release, open for reading."""

    def __init__(self, filesystem: OrbitFileSystem, path: str, source: Source, file: FileEntry, **options: Any) -> None:
        self._source = source
        self._file = file
        super().__init__(filesystem, path, mode="rb", size=file.size, **options)

    def _fetch_range(self, start: int, end: int) -> bytes:
        return self._source.read(self._file, start, end)


class OrbitFileSystem(AbstractFileSystem):  # type: ignore[misc]
    """The files of packages, installed or published. Read-only and thread-safe.

    Args:
        repository: The repository, as for :func:`orbitpkg.config.repositories.settings`. If it is given, packages that
            were installed from another repository are not used.
        offline: Use installed packages only.
        prereleases: Whether pre-releases are candidates.
        max_age: How many seconds the published version chosen for a name or a range stays in use. Installed versions
            are looked up at each call, and exact versions never change.
        cache_bytes: The maximum number of bytes of chunks in memory.
        options: The options of all fsspec file systems.
    """

    protocol: ClassVar[str] = "orbit"
    root_marker: ClassVar[str] = ""

    def __init__(
        self,
        *,
        repository: str | os.PathLike[str] | None = None,
        offline: bool = False,
        prereleases: bool = False,
        max_age: float = 30.0,
        cache_bytes: int = _CACHE_BYTES,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        self._repository = repository
        self._offline = offline
        self._prereleases = prereleases
        self._max_age = max_age
        self._chunks = ChunkCache(cache_bytes)
        self._installed: dict[tuple[str, str], Tree] = {}
        self._published: dict[object, tuple[float, Tree]] = {}
        self._lock = threading.Lock()

    # Listing.

    def ls(self, path: str, detail: bool = True, **options: Any) -> list[Any]:
        """List a directory. The root lists the installed packages.

        Raises:
            FileNotFoundError: The directory does not exist.
        """
        from orbitpkg.api.packages import packages

        del options
        path = self._strip_protocol(path)
        if not path:
            rows = [_folder_row(f"{package.name}@{package.version}") for package in packages()]
        else:
            tree, inner = self._located(path)
            file, folder = tree.file(inner), tree.folder(inner)
            if file is not None:
                rows = [_file_row(path, file)]
            elif folder is None:
                raise tree.missing(inner)
            else:
                rows = [_row(f"{path}/{name}", entry) for name, entry in sorted(folder.items())]
        return rows if detail else [row["name"] for row in rows]

    def info(self, path: str, **options: Any) -> dict[str, Any]:
        """Return the ``name``, ``type`` and ``size`` of a path, and the ``blake3`` and ``executable`` of a file.

        Raises:
            FileNotFoundError: It does not exist.
        """
        del options
        path = self._strip_protocol(path)
        if not path:
            return _folder_row("")
        tree, inner = self._located(path)
        file = tree.file(inner)
        if file is not None:
            return _file_row(path, file)
        if tree.folder(inner) is None:
            raise tree.missing(inner)
        return _folder_row(path)

    def exists(self, path: str, **options: Any) -> bool:
        """Return whether a file or a directory exists. A failure to find out is an error, not False."""
        try:
            self.info(path, **options)
        except FileNotFoundError:
            return False
        return True

    def isfile(self, path: str) -> bool:
        """Return whether a path is a file."""
        return self.exists(path) and bool(self.info(path)["type"] == "file")

    def isdir(self, path: str) -> bool:
        """Return whether a path is a directory."""
        return self.exists(path) and bool(self.info(path)["type"] == "directory")

    def ukey(self, path: str) -> str:
        """Return the BLAKE3 digest of a file; for a directory, the digest of its release and its path."""
        tree, inner = self._located(self._strip_protocol(path))
        file = tree.file(inner)
        return file.blake3 if file is not None else f"{tree.release.digest}/{inner}"

    def checksum(self, path: str) -> int:
        """Return :meth:`ukey` as a number."""
        return int(self.ukey(path)[:16], 16)

    def created(self, path: str) -> datetime:
        """Return when the release of a file was published."""
        tree, _ = self._located(self._strip_protocol(path))
        return datetime.fromisoformat(tree.release.published)

    modified = created

    def invalidate_cache(self, path: str | None = None) -> None:
        """Forget the versions chosen for names and ranges."""
        del path
        with self._lock:
            self._published.clear()

    # Reading.

    def _open(self, path: str, mode: str = "rb", block_size: int | None = None, **options: Any) -> Any:
        if mode != "rb":
            self._refuse(path)
        tree, inner, file = self._file(path)
        source = tree.source
        if isinstance(source, InstalledFiles):
            # Unlike a plain file, this one can be pickled, knows its size, and closes when it is garbage-collected.
            return LocalFileOpener(str(source.path(file)), "rb", fs=LocalFileSystem())
        wanted = {name: options[name] for name in ("cache_type", "cache_options") if options.get(name) is not None}
        pinned = f"{tree.release.name}@{tree.release.version}/{inner}"
        return OrbitFile(self, pinned, source, file, block_size=block_size or _BLOCK_BYTES, **wanted)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **options: Any) -> bytes:
        """Read the bytes of a file from ``start`` to ``end``, exclusive. Negative positions count from its end."""
        del options
        tree, _, file = self._file(self._strip_protocol(path))
        first = _position(start, 0, file.size)
        return tree.source.read(file, first, max(first, _position(end, file.size, file.size)))

    def _file(self, path: str) -> tuple[Tree, str, FileEntry]:
        """Find a file, in the store if it is installed or else in its repository."""
        tree, inner = self._located(path)
        file = tree.file(inner)
        if file is None:
            if tree.folder(inner) is not None:
                raise IsADirectoryError(f"{self.unstrip_protocol(path)} is a directory.")
            raise tree.missing(inner)
        source = tree.source
        if isinstance(source, InstalledFiles):
            assert tree.package is not None
            if not source.has(file):
                tree = self._left_out(tree.package, file)
        read_policy().check(Candidate.of_release(tree.release, [file], origin=tree.source.origin))
        return tree, inner, file

    def _left_out(self, package: Package, file: FileEntry) -> Tree:
        """Return the published release of a package of which only some files are installed."""
        wanted = parse_requirement(f"{package.name}=={package.version}")
        try:
            tree = self._from_repository(wanted, self._repository or package.origin)
        except IntegrityError as error:
            if "found" not in error.data:
                raise
            package.file_path(file.path)  # another release under this version does not have the file either
            raise
        there = tree.file(file.path)
        if there is None or there.blake3 != file.blake3:
            package.file_path(file.path)  # raises an error that tells how to install the file
            raise tree.missing(file.path)
        return tree

    # Finding the release.

    def _located(self, path: str) -> tuple[Tree, str]:
        """Return the release that a path begins with, and the rest of the path."""
        word, _, inner = path.partition("/")
        if inner and not {"", ".", ".."}.isdisjoint(inner.split("/")):
            raise FileNotInPackage(f"{inner!r} cannot be the path of a file in a package.", path=inner)
        wanted = _requirement(word)
        try:
            return self._tree(wanted), inner
        except (NotInstalled, PackageNotFound, VersionNotFound) as error:
            # Callers of a file system expect FileNotFoundError, which FileNotInPackage is.
            raise FileNotInPackage(error.message, hint=error.hint, path=path, **error.data) from error

    def _tree(self, wanted: Requirement) -> Tree:
        from orbitpkg.api.packages import package as open_package
        from orbitpkg.config.repositories import repository_url

        try:
            package = open_package(str(wanted), prereleases=self._prereleases)
        except NotInstalled:
            return self._from_repository(wanted, self._repository)
        if self._repository is not None and package.origin != repository_url(self._repository):
            return self._from_repository(wanted, self._repository)
        return self._from_store(package)

    def _from_store(self, package: Package) -> Tree:
        # The directory changes when a package is removed and reinstalled.
        from orbitpkg.config.repositories import home

        key = (package.digest, str(package.path))
        with self._lock:
            kept = self._installed.get(key)
        if kept is not None:
            return kept
        layout, wanted = Layout(home()), parse_requirement(f"{package.name}=={package.version}")
        release = load_release(layout.release(wanted.key, package.version))
        tree = Tree(InstalledFiles(package, release), package)
        with self._lock:
            _keep(self._installed, key, tree)
        return tree

    def _from_repository(self, wanted: Requirement, repository: str | os.PathLike[str] | None) -> Tree:
        from orbitpkg.api.search import located
        from orbitpkg.config.repositories import settings

        effect = settings(repository)
        key = (tuple(setting.url for setting in effect.repositories), wanted.key, wanted.range.text)
        with self._lock:
            chosen, kept = self._published.get(key, (0.0, None))
        if kept is not None and (wanted.range.exact or time.monotonic() - chosen < self._max_age):
            return kept
        release, place = located(
            str(wanted), repository=repository, offline=self._offline, prereleases=self._prereleases
        )
        if kept is None or kept.release.digest != release.digest:
            kept = Tree(PublishedFiles(place, release, self._chunks))
        with self._lock:
            _keep(self._published, key, (time.monotonic(), kept))
        return kept

    # Writing.

    def _refuse(self, path: object = "", *others: object, **options: object) -> NoReturn:
        del others, options
        raise ReadOnlyRepository(
            f"{self.unstrip_protocol(str(path))} cannot be written: published releases never change.",
            hint="Write to a directory. To publish it as a new version: orbitpkg publish DIR",
        )

    mkdir = makedirs = rmdir = rm = rm_file = _rm = cp_file = mv = pipe_file = touch = _refuse

    def put_file(self, lpath: object, rpath: object, *others: object, **options: object) -> NoReturn:
        """Refuse to write."""
        del lpath, others, options
        self._refuse(rpath)


def _requirement(word: str) -> Requirement:
    name, _, version = word.partition("@")
    is_exact = version[:1] not in _OPERATORS  # an empty version is "in" every string, and so not exact
    try:
        return parse_requirement(f"{name}=={version}" if is_exact else f"{name}{version}")
    except UsageError as error:
        error.hint = f"{error.hint or ''} Use orbit://NAME@VERSION/path or orbit://NAME/path.".strip()
        raise


def _keep(kept: dict[Any, Any], key: object, value: object) -> None:
    """Store a value as the newest, and drop the oldest ones beyond the limit."""
    kept.pop(key, None)
    kept[key] = value
    while len(kept) > _KEPT_RELEASES:
        del kept[next(iter(kept))]


def _position(position: int | None, default: int, size: int) -> int:
    if position is None:
        return default
    return max(0, size + position) if position < 0 else min(position, size)


def _row(path: str, file: FileEntry | None) -> dict[str, Any]:
    return _folder_row(path) if file is None else _file_row(path, file)


def _folder_row(path: str) -> dict[str, Any]:
    return {"name": path, "type": "directory", "size": 0}


def _file_row(path: str, file: FileEntry) -> dict[str, Any]:
    return {"name": path, "type": "file", "size": file.size, "blake3": file.blake3, "executable": file.executable}
