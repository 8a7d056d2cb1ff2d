"""What is wrong with an installed release: each of its files held against its contents, and these against its record.

By default every byte is hashed. A quick look compares sizes and times: a file that was last written after its release's
record was is hashed, for the record is written when all files are; one that was not is believed. So what changes a
file and keeps its size and time (a failing disk, ``touch -r``) is found by hashing only.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from blake3 import blake3

from orbitpkg.errors import IntegrityError
from orbitpkg.files.errors import storage_errors
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
"""What the store keeps beside a release's files, by its path from these. No path of a package leads upwards."""


class Flaw(StrEnum):
    """What can be wrong with a file of an installed release."""

    MISSING = "missing"
    ALTERED = "altered"
    EXTRA = "extra"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One file that is not as its release says.

    Attributes:
        path: Relative to the release's files; one of :data:`OWN_FILES` for what the store keeps beside them.
        flaw: What is wrong with it.
    """

    path: str
    flaw: Flaw


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """How an installed release is.

    Attributes:
        name: The package's name; the canonical one when the record cannot be read.
        key: The canonical name.
        version: The release's version.
        package: The release; None when its record or its contents are missing or altered.
        findings: What is wrong with it, by path.
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
    """Say how an installed release is; None when it is not installed, or no longer.

    Args:
        layout: Of the store.
        key: The package's canonical name.
        version: Which one.
        quick: Compare sizes and times, and hash only what is newer than the record.
        progress: Called with the number of bytes looked at since the last call.

    Raises:
        StorageError: Something cannot be read.
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
    """Say which files of an installed release are not as its contents say, by path.

    Args:
        package: The release.
        quick: As for :func:`check_release`.
        progress: As for :func:`check_release`.

    Raises:
        IntegrityError: The record or the contents themselves are altered.
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
        with storage_errors(f"{root}/{path}"):
            if not _is_good(f"{root}/{path}", expected[path], recorded):
                findings.append(Finding(path=path, flaw=Flaw.ALTERED))
        if progress:
            progress(expected[path].size)
    return sorted(findings, key=lambda finding: finding.path)


def _is_good(path: str, file: FileEntry, recorded: int | None) -> bool:
    status = os.lstat(path)
    # Looked at before it is opened: opening a pipe that stands in a file's place would wait for ever.
    if not stat.S_ISREG(status.st_mode) or status.st_size != file.size:
        return False
    if recorded is not None and status.st_mtime_ns <= recorded:
        return True
    return file_digest(path) == file.blake3


def _paths(root: str) -> Iterator[str]:
    """Give what is below a folder and is no folder; a link to one is none."""
    folders = [""]
    while folders:
        prefix = folders.pop()
        with os.scandir(f"{root}/{prefix}") as entries:
            for entry in entries:
                path = f"{prefix}{entry.name}"
                if entry.is_dir(follow_symlinks=False):
                    folders.append(f"{path}/")
                else:
                    yield path


def file_digest(path: str) -> str:
    """Give the BLAKE3 of a file's content.

    Read, not mapped: a mapped file that another process cuts short kills the reader.
    """
    hasher = blake3()
    room = memoryview(bytearray(_READ_BYTES))
    with open(path, "rb", buffering=0) as file:  # noqa: PTH123 - the store's paths are strings
        while count := file.readinto(room):
            hasher.update(room[:count])
    return hasher.hexdigest()
