"""Checking an installed release: its files against its contents, and its contents against its record.

By default every byte is hashed. A quick check compares sizes, and hashes only files that are newer than the release's
record, which is written after all files. So it misses a change that keeps the size and the time of a file (a failing
disk, ``touch -r``).
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from blake3 import blake3

from orbitpkg.errors import IntegrityError
from orbitpkg.files.anchors import READ_SAFELY
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.folders import keeps_modes
from orbitpkg.files.names import disk_path, text_path
from orbitpkg.store.layout import CONTENTS_NAME, LISTING_NAME, ORIGIN_NAME, RECORD_NAME
from orbitpkg.store.package import open_package
from orbitpkg.store.presence import listing_of, read_listing_bytes
from orbitpkg.store.records import load_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orbitpkg.model.contents import FileEntry
    from orbitpkg.model.versions import Version
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package

__all__ = ["OWN_FILES", "Condition", "Finding", "FindingKind", "check_release", "file_digest", "list_findings"]

_READ_BYTES = 1024 * 1024

OWN_FILES = {f"../{name}": name for name in (RECORD_NAME, CONTENTS_NAME, ORIGIN_NAME, LISTING_NAME)}
"""The store's own files of a release, by their path relative to its files. No package contains paths with ``..``."""


class FindingKind(StrEnum):
    """The ways in which an installed file can differ from its release."""

    MISSING = "missing"
    ALTERED = "altered"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A file that differs from its release.

    Attributes:
        path: The path relative to the release's files; for the store's own files, one of :data:`OWN_FILES`.
        kind: How it differs.
    """

    path: str
    kind: FindingKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """The result of checking an installed release.

    Attributes:
        name: The name of the package; the canonical name if the record cannot be read.
        key: The canonical name.
        version: The version of the release.
        package: The release; None if its record or its contents are missing or altered.
        findings: The files that differ, by path.
    """

    name: str
    key: str
    version: Version
    package: Package | None
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def check_release(
    layout: Layout,
    key: str,
    version: Version,
    *,
    quick: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Condition | None:
    """Check an installed release. Returns None if it is not installed.

    Args:
        layout: The layout of the store.
        key: The canonical name of the package.
        version: The version of the release.
        quick: Compare sizes, and hash only files that are newer than the record.
        progress: Called with the number of bytes checked since the last call.

    Raises:
        StorageError: A file cannot be read.
    """
    home = layout.release(key, version)
    package, findings = _open(layout, key, version)
    if package is not None:
        findings += list_findings(package, quick=quick, progress=progress)
        if not os.path.exists(f"{home}/{ORIGIN_NAME}"):  # noqa: PTH110
            findings.append(Finding(path=f"../{ORIGIN_NAME}", kind=FindingKind.MISSING))
        findings += _check_listing(package, home)
    if _is_empty(home):
        return None
    return Condition(
        name=key if package is None else package.name,
        key=key,
        version=version,
        package=package,
        findings=tuple(sorted(findings, key=lambda finding: finding.path)),
    )


def _is_empty(home: str) -> bool:
    """Return whether a folder is missing or empty. Programs that delete old files often leave the folders."""
    try:
        return not os.listdir(home)
    except (FileNotFoundError, NotADirectoryError):
        return True
    except OSError as error:
        # A link that leads to itself, like one that leads nowhere, is not a release.
        if error.errno != errno.ELOOP:
            raise
        return True


def _check_listing(package: Package, home: str) -> list[Finding]:
    """Compare the listing with the contents that it is derived from. Releases of older installs have none."""
    place = f"{home}/{LISTING_NAME}"
    if not os.path.lexists(place):
        return []
    digest = load_release(home).contents.blake3
    listed = read_listing_bytes(home)
    is_good = listed == listing_of(package.contents, digest)
    return [] if is_good else [Finding(path=f"../{LISTING_NAME}", kind=FindingKind.ALTERED)]


def _open(layout: Layout, key: str, version: Version) -> tuple[Package | None, list[Finding]]:
    home = layout.release(key, version)
    for name in (RECORD_NAME, CONTENTS_NAME):
        if not os.path.exists(f"{home}/{name}"):  # noqa: PTH110
            return None, [Finding(path=f"../{name}", kind=FindingKind.MISSING)]
    try:
        load_release(home)
    except IntegrityError:
        return None, [Finding(path=f"../{RECORD_NAME}", kind=FindingKind.ALTERED)]
    package = open_package(layout, key, version)
    if package is not None:
        try:
            package.contents  # noqa: B018 - reading it verifies it
        except IntegrityError:
            return None, [Finding(path=f"../{CONTENTS_NAME}", kind=FindingKind.ALTERED)]
    return package, []


def list_findings(
    package: Package, *, quick: bool = False, progress: Callable[[int], None] | None = None
) -> list[Finding]:
    """Return the files of an installed release that differ from its contents, by path.

    Args:
        package: The release.
        quick: As for :func:`check_release`.
        progress: As for :func:`check_release`.

    Raises:
        IntegrityError: The record or the contents are altered.
        StorageError: A file cannot be read.
    """
    root, expected = str(package.path), package.contents.by_path
    home = os.path.dirname(root)  # noqa: PTH120
    with storage_errors(root):
        found = set(_paths(root)) if os.path.isdir(root) else set()  # noqa: PTH112
        recorded = os.stat(f"{home}/{RECORD_NAME}").st_mtime_ns if quick else None  # noqa: PTH116
    modes = _Modes(root)
    findings = [Finding(path=path, kind=FindingKind.EXTRA) for path in found - expected.keys()]
    if package.is_complete:
        findings += [Finding(path=path, kind=FindingKind.MISSING) for path in expected.keys() - found]
    for path in sorted(expected.keys() & found):
        place = f"{root}/{disk_path(path)}"
        with storage_errors(place):
            if not _is_good(place, expected[path], recorded, modes):
                findings.append(Finding(path=path, kind=FindingKind.ALTERED))
        if progress:
            progress(expected[path].size)
    return sorted(findings, key=lambda finding: finding.path)


class _Modes:
    """Whether the file system of a folder keeps modes. Tried when a file lacks a mode, and only then."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._are_kept: bool | None = None

    def are_kept(self) -> bool:
        if self._are_kept is None:
            # Where nothing can be written, nothing shows that modes are not kept.
            self._are_kept = keeps_modes(self._folder) is not False
        return self._are_kept


def _is_good(path: str, file: FileEntry, recorded: int | None, modes: _Modes) -> bool:
    status = os.lstat(path)
    # Checked before it is opened: opening a FIFO would wait for a writer.
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        return False
    if file.executable and not status.st_mode & 0o100 and modes.are_kept():
        return False
    if recorded is not None and status.st_mtime_ns <= recorded:
        return True
    return file_digest(path) == file.blake3


def _paths(root: str) -> Iterator[str]:
    """Yield the paths of everything below a folder except folders. Links to folders are included."""
    folders = [""]
    while folders:
        prefix = folders.pop()
        with os.scandir(f"{root}/{prefix}") as entries:
            for entry in entries:
                path = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                else:
                    yield text_path(path)


def file_digest(path: str) -> str:
    """Return the BLAKE3 of a file's content.

    The file is read rather than mapped: truncating a mapped file kills the process that reads it.
    """
    hasher = blake3()
    buffer = memoryview(bytearray(_READ_BYTES))
    with open(os.open(path, READ_SAFELY), "rb", buffering=0) as file:  # noqa: PTH123 - a descriptor
        while count := file.readinto(buffer):
            hasher.update(buffer[:count])
    return hasher.hexdigest()
