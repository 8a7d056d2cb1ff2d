"""The packages and versions in a Sputnik repository, after conversion.

Two packages may convert to the same name and version (``model-1.0`` and ``model-1.0.0``). Then the one whose version
did not change takes precedence, else the first by ident. The other is reported as a problem.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from orbitpkg.compat.sputnik.formats.conversion import convert_version
from orbitpkg.compat.sputnik.formats.meta import META_NAME
from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import ArchiveError, IntegrityError, ManifestError, ObjectNotFound, OrbitError, UsageError
from orbitpkg.model.names import canonical_name, is_valid_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from orbitpkg.compat.sputnik.formats.fetching import Fetcher
    from orbitpkg.compat.sputnik.formats.meta import Meta
    from orbitpkg.model.manifest import Manifest
    from orbitpkg.model.versions import Version

__all__ = ["PACKAGE_ERRORS", "ListedPackage", "Listing", "may_be_release", "may_have_name", "read_listing", "reason_of"]

PACKAGE_ERRORS = (IntegrityError, ManifestError, ObjectNotFound)
"""Errors of a single package. Other errors concern the repository or this machine."""

_AT_ONCE = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedPackage:
    """A package that can be installed.

    Attributes:
        ident: Its name and version in Sputnik.
        meta: Its metadata in Sputnik.
        manifest: The converted manifest.
    """

    ident: str
    meta: Meta
    manifest: Manifest


@dataclass(slots=True, kw_only=True)
class Listing:
    """The contents of a repository.

    Attributes:
        packages: The packages that can be installed, by canonical name and version.
        problems: The errors of the other packages, by ident.
    """

    packages: dict[str, dict[Version, ListedPackage]] = field(default_factory=dict)
    problems: dict[str, OrbitError] = field(default_factory=dict)

    def all(self) -> list[ListedPackage]:
        """List the packages that can be installed, by name, oldest version first."""
        return [versions[version] for _, versions in sorted(self.packages.items()) for version in sorted(versions)]


def reason_of(ident: str, error: OrbitError) -> str:
    """Return the message of an error without the package's ident at its beginning."""
    return error.message.removeprefix(f"{ident}: ")


def may_have_name(ident: str, name: str) -> bool:
    """Return whether an ident may belong to a package of this canonical name; only its ``meta.json`` decides."""
    return any(_is_name(before, name) for before, _ in _splits(ident))


def may_be_release(ident: str, name: str, version: Version) -> bool:
    """Return whether an ident may belong to this version of a package."""
    return any(_is_name(before, name) and _is_version(after, version) for before, after in _splits(ident))


def _splits(ident: str) -> Iterator[tuple[str, str]]:
    at = ident.find("-")
    while at > 0:
        yield ident[:at], ident[at + 1 :]
        at = ident.find("-", at + 1)


def _is_name(text: str, name: str) -> bool:
    return is_valid_name(text) and canonical_name(text) == name


def _is_version(text: str, version: Version) -> bool:
    try:
        return convert_version(text) == version
    except UsageError:
        return False


def read_listing(fetcher: Fetcher, idents: Iterable[str]) -> Listing:
    """Read the metadata of packages in parallel.

    Args:
        fetcher: Reads the metadata.
        idents: The packages.

    Raises:
        RepositoryError: The repository cannot be read.
    """
    listing, ordered = Listing(), sorted(idents)
    with Pool(_AT_ONCE, "orbitpkg-sputnik") as pool:
        found = list(pool.map(partial(_read, fetcher), ordered))
    for ident, answer in zip(ordered, found, strict=True):
        if isinstance(answer, OrbitError):
            listing.problems[ident] = answer
        else:
            _put(listing, answer)
    return listing


def _read(fetcher: Fetcher, ident: str) -> ListedPackage | OrbitError:
    try:
        meta = fetcher.meta(ident)
        return ListedPackage(ident=ident, meta=meta, manifest=meta.manifest())
    except ObjectNotFound as error:
        # ObjectNotFound would mean that the package does not exist, but it is incomplete.
        return ArchiveError(f"{ident} has no {META_NAME}: {error.message}", hint=error.hint)
    except PACKAGE_ERRORS as error:
        return error


def _put(listing: Listing, new: ListedPackage) -> None:
    versions = listing.packages.setdefault(new.manifest.key, {})
    version = new.manifest.version
    there = versions.get(version)
    if there is None:
        versions[version] = new
        return
    kept, other = (new, there) if _keeps_its_version(new) and not _keeps_its_version(there) else (there, new)
    versions[version] = kept
    listing.problems[other.ident] = ArchiveError(
        f"{other.ident} and {kept.ident} both convert to {new.manifest.name} {version}.",
        hint="Build one of them again with another version.",
    )


def _keeps_its_version(package: ListedPackage) -> bool:
    return bool(package.meta.package["version"] == str(package.manifest.version))
