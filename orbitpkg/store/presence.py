"""A cheap look at an installed release: whether all of its files are there, by their status and not by their bytes.

A cleaner of scratch disks, or a hand, may have taken files from a store whose record still says that all are
installed. So every install and every sync looks at each file: its type, its size and its executable bit. Only
``orbitpkg verify`` reads the bytes.

The look uses ``listing``, a file that the store derives from the contents, because it needs nothing but JSON to read:
a script that installs an exact version at every start must not wait for a decompressor to load.
"""

from __future__ import annotations

import json
import os

from orbitpkg.files.names import disk_path
from orbitpkg.store.layout import CONTENTS_NAME, LISTING_NAME, ORIGIN_NAME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from typing import TypeAlias

    from orbitpkg.model.contents import Contents
    from orbitpkg.store.package import Package

    Row: TypeAlias = tuple[str, int, bool]

__all__ = ["find_missing", "is_whole", "listing_of", "read_listing", "read_listing_bytes"]

_FORMAT = 1
_MAX_BYTES = 1 << 31
# S_IFMT and S_IFREG, the same on every system. Importing ``stat`` for them takes longer than the call.
_FILE_TYPE = 0o170000
_REGULAR = 0o100000


class _Listing:
    """The paths, sizes and executable bits of a release's files."""

    __slots__ = ("executable", "paths", "sizes")

    def __init__(self, paths: list[str], sizes: list[int], executable: list[int]) -> None:
        self.paths = paths
        self.sizes = sizes
        self.executable = executable


def listing_of(contents: Contents, digest: str) -> bytes:
    """Return the listing of a release.

    Args:
        contents: Its contents.
        digest: The BLAKE3 digest of its compressed contents, as its record has it.
    """
    document = {
        "format": _FORMAT,
        "contents": digest,
        "paths": [file.path for file in contents.files],
        "sizes": [file.size for file in contents.files],
        "executable": [index for index, file in enumerate(contents.files) if file.executable],
    }
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def read_listing(package: Package) -> _Listing | None:
    """Read the listing of an installed release. None if it is missing or belongs to other contents."""
    home = os.path.dirname(package.folder)  # noqa: PTH120
    try:
        document = json.loads(read_listing_bytes(home))
        if document["format"] != _FORMAT or document["contents"] != json.loads(package.record)["contents"]["blake3"]:
            return None
        paths, sizes, executable = document["paths"], document["sizes"], document["executable"]
        if len(paths) != len(sizes) or not {str}.issuperset(map(type, paths)):
            return None
        return _Listing(paths, sizes, executable)
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None


def read_listing_bytes(home: str) -> bytes:
    """Return the bytes of a release's listing; none if it is missing or not a file."""
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0)
    try:
        with open(os.open(f"{home}/{LISTING_NAME}", flags), "rb") as file:  # noqa: PTH123 - a descriptor
            return file.read(_MAX_BYTES)
    except OSError:
        return b""


def is_whole(package: Package) -> bool | None:
    """Return whether an installed release has all of its files; None if that takes more than a cheap look."""
    listing = read_listing(package)
    if listing is None:
        return None
    return not _lacks_own_files(package) and not any(_wrong(package, listing, None))


def find_missing(package: Package, paths: Collection[str] | None = None) -> list[str]:
    """Return the paths of files of an installed release that are missing, of another size, or not regular files.

    Of the store's own files, the contents and the origin count, as paths that begin with ``../``. A file that lost its
    executable bit counts where the file system keeps modes.

    Args:
        package: The release.
        paths: The files to look at; all of them when None.

    Raises:
        OrbitError: The contents are needed and damaged.
    """
    missing = _lacks_own_files(package)
    if missing:
        return missing
    listing = read_listing(package)
    if listing is None:
        files = package.contents.files
        listing = _Listing(
            [file.path for file in files],
            [file.size for file in files],
            [index for index, file in enumerate(files) if file.executable],
        )
    wanted = None if paths is None else frozenset(paths)
    return [path for path, _ in _wrong(package, listing, wanted)]


def _lacks_own_files(package: Package) -> list[str]:
    home = os.path.dirname(package.folder)  # noqa: PTH120
    record = json.loads(package.record)
    length = record["contents"].get("length") if isinstance(record.get("contents"), dict) else None
    found = []
    for name, size in ((CONTENTS_NAME, length), (ORIGIN_NAME, None)):
        try:
            status = os.lstat(f"{home}/{name}")
        except OSError:
            found.append(f"../{name}")
            continue
        if status.st_mode & _FILE_TYPE != _REGULAR or (size is not None and status.st_size != size):
            found.append(f"../{name}")
    return found


def _wrong(package: Package, listing: _Listing, wanted: frozenset[str] | None) -> Iterator[tuple[str, bool]]:
    """Yield the paths that are wrong, and whether only the executable bit is."""
    try:
        folder = os.open(package.folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0))
    except OSError:
        yield from ((path, False) for path in listing.paths if wanted is None or path in wanted)
        return
    executable = frozenset(listing.executable)
    keeps_modes: bool | None = None
    try:
        for index, (path, size) in enumerate(zip(listing.paths, listing.sizes, strict=True)):
            if wanted is not None and path not in wanted:
                continue
            try:
                # Relative paths are half as expensive as long absolute ones.
                status = os.stat(disk_path(path), dir_fd=folder, follow_symlinks=False)
            except (OSError, ValueError):
                yield path, False
                continue
            if status.st_size != size or status.st_mode & _FILE_TYPE != _REGULAR:
                yield path, False
            elif index in executable and not status.st_mode & 0o100:
                if keeps_modes is None:
                    from orbitpkg.files.folders import keeps_modes as probe

                    keeps_modes = bool(probe(package.folder))
                if keeps_modes:
                    yield path, True
    finally:
        os.close(folder)
