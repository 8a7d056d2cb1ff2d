"""Releases and installed packages as the JSON that ``--json`` prints, and how many files and bytes they are."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orbitpkg.cli.layout import count, size
from orbitpkg.store.records import load_release

if TYPE_CHECKING:
    from orbitpkg.model.release import Release
    from orbitpkg.store.package import Package

__all__ = ["Totals", "installed_release", "package_facts", "release_facts", "totals"]

# What the release made of an archive that was never published has for its time.
_NEVER = "1970-01-01T00:00:00Z"


class Totals(NamedTuple):
    """How much something is.

    Attributes:
        files: How many files.
        bytes: The sum of their sizes.
    """

    files: int
    bytes: int

    def __str__(self) -> str:
        return f"{count(self.files, 'file')}, {size(self.bytes)}"


def installed_release(package: Package) -> Release:
    """Read the record of an installed package."""
    return load_release(os.path.dirname(package.path))  # noqa: PTH120


def totals(package: Package) -> Totals:
    """Count what is installed of a package."""
    if package.is_complete:
        archive = installed_release(package).archive
        return Totals(archive.files, archive.bytes)
    there = [package.contents.by_path[path] for path in package.files()]
    return Totals(len(there), sum(file.size for file in there))


def package_facts(package: Package) -> dict[str, object]:
    """Say of an installed package what it is and where."""
    amount = totals(package)
    return {
        "name": package.name,
        "version": package.version,
        "description": package.description,
        "complete": package.is_complete,
        "files": amount.files,
        "bytes": amount.bytes,
        "path": str(package.path),
        "origin": package.origin,
        "digest": package.digest,
    }


def release_facts(release: Release) -> dict[str, object]:
    """Say of a release what its record does."""
    return {
        "name": release.name,
        "version": str(release.version),
        "description": release.description,
        "license": release.license,
        "compatibility": dict(release.compatibility),
        "dependencies": dict(release.dependencies),
        "keywords": list(release.keywords),
        "metadata": dict(release.metadata),
        "files": release.archive.files,
        "bytes": release.archive.bytes,
        "archive_bytes": release.archive.size,
        "published": None if release.published == _NEVER else release.published,
        "digest": release.digest,
    }
