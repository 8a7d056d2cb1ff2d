"""Checking an installed release: its files against its contents, and its contents against its record.

By default every byte is hashed. A quick check compares sizes, and hashes only files that are newer than the release's
record, which is written after all files. So it misses a change that keeps the size and the time of a file (a failing
disk, ``touch -r``).
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from blake3 import blake3

from orbitpkg.errors import IntegrityError
from orbitpkg.files.anchors import READ_SAFELY
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.names import disk_path, text_path
from orbitpkg.store.layout import CONTENTS_NAME, ORIGIN_NAME, RECORD_NAME
from orbitpkg.store.package import open_package
from orbitpkg.store.records import load_release

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orbitpkg.model.contents import FileEntry
    from orbitpkg.model.versions import Version
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package

__all__ = ["OWN_FILES", "Condition", "Finding", "Flaw", "check_release", "file_digest", "find_flaws"]

_READ_BYTES = 1024 * 1024

OWN_FILES = {f"../{name}": name for name in (RECORD_NAME, CONTENTS_NAME, ORIGIN_NAME)}
"""The store's own files of a release, by their path relative to its files. No package contains paths with ``..``."""


class Flaw(StrEnum):
    """The ways in which an installed file can differ from its release."""

    MISSING = "missing"
    ALTERED = "altered"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A file that differs from its release.

    Attributes:
        path: The path relative to the release's files; for the store's own files, one of :data:`OWN_FILES`.
        flaw: How it differs.
    """

    path: str
    flaw: Flaw


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
        findings += find_flaws(package, quick=quick, progress=progress)
        if not os.path.exists(f"{home}/{ORIGIN_NAME}"):  # noqa: PTH110
            findings.append(Finding(path=f"../{ORIGIN_NAME}", flaw=Flaw.MISSING))
    if not os.path.isdir(home):  # noqa: PTH112
        return None
    return Condition(
        name=key if package is None else package.name,
        key=key,
        version=version,
        package=package,
        findings=tuple(sorted(findings, key=lambda finding: finding.path)),
    )


def _open(layout: Layout, key: str, version: Version) -> tuple[Package | None, list[Finding]]:
    home = layout.release(key, version)
    for name in (RECORD_NAME, CONTENTS_NAME):
        if not os.path.exists(f"{home}/{name}"):  # noqa: PTH110
            return None, [Finding(path=f"../{name}", flaw=Flaw.MISSING)]
    try:
        load_release(home)
    except IntegrityError:
        return None, [Finding(path=f"../{RECORD_NAME}", flaw=Flaw.ALTERED)]
    package = open_package(layout, key, version)
    try:
        assert package is None or package.contents
    except IntegrityError:
        return None, [Finding(path=f"../{CONTENTS_NAME}", flaw=Flaw.ALTERED)]
    return package, []


def find_flaws(
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
    findings = [Finding(path=path, flaw=Flaw.EXTRA) for path in found - expected.keys()]
    if package.is_complete:
        findings += [Finding(path=path, flaw=Flaw.MISSING) for path in expected.keys() - found]
    for path in sorted(expected.keys() & found):
        place = f"{root}/{disk_path(path)}"
        with storage_errors(place):
            if not _is_good(place, expected[path], recorded):
                findings.append(Finding(path=path, flaw=Flaw.ALTERED))
        if progress:
            progress(expected[path].size)
    return sorted(findings, key=lambda finding: finding.path)


def _is_good(path: str, file: FileEntry, recorded: int | None) -> bool:
    status = os.lstat(path)
    # Checked before it is opened: opening a FIFO would wait for a writer.
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
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
