"""Releases and installed packages as JSON data for ``--json``, and their total sizes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from orbitpkg.cli.layout import count, size
from orbitpkg.store.records import load_release

if TYPE_CHECKING:
    from orbitpkg.model.release import Release
    from orbitpkg.store.package import Package

__all__ = ["Totals", "installed_release", "package_facts", "release_facts", "totals"]

# The publication time in the record of an archive that was never published.
_NEVER = "1970-01-01T00:00:00Z"


class Totals(NamedTuple):
    """A number of files and their total size.

    Attributes:
        files: The number of files.
        bytes: Their total size in bytes.
    """

    files: int
    bytes: int

    def __str__(self) -> str:
        return f"{count(self.files, 'file')}, {size(self.bytes)}"


def installed_release(package: Package) -> Release:
    """Read the release record of an installed package."""
    return load_release(os.path.dirname(package.path))  # noqa: PTH120


def totals(package: Package) -> Totals:
    """Count the installed files of a package."""
    if package.is_complete:
        archive = installed_release(package).archive
        return Totals(archive.files, archive.bytes)
    installed = [package.contents.by_path[path] for path in package.files()]
    return Totals(len(installed), sum(file.size for file in installed))


def package_facts(package: Package) -> dict[str, object]:
    """Return an installed package as JSON data."""
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
    """Return a release record as JSON data."""
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
