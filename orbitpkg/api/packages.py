"""Using what is installed, and removing it.

An app's start goes through :func:`package`, so this imports nothing that that does not need.
"""

from __future__ import annotations

from orbitpkg.api.boundary import public
from orbitpkg.config.home import home_folder
from orbitpkg.model.requirements import Requirement, parse_requirement
from orbitpkg.store.layout import Layout
from orbitpkg.store.package import Package, find_package

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from typing import TypeAlias

    from orbitpkg.model.versions import Version
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.store import Finding

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["Removed", "package", "packages", "remove", "verify"]


class Removed:
    """An installed release that was removed.

    Attributes:
        name: Of the package.
        version: Of the release.
        freed: How many bytes it and nothing else held.
    """

    __slots__ = ("freed", "name", "version")

    def __init__(self, name: str, version: str, freed: int) -> None:
        self.name = name
        self.version = version
        self.freed = freed


@public
def package(
    requirement: str,
    *,
    prereleases: bool = False,
    app: str | Iterable[str] | None = None,
    python: PathLike | None = None,
) -> Package:
    """Give the best installed version of a package. Works offline, and in a store that may only be read.

    Args:
        requirement: ``model``, ``model==2.0.0``, ``model>=1.2,<2`` …
        prereleases: Whether pre-releases are candidates; one that the requirement names is in any case.
        app: The app, or apps, that it must work with: ``NAME==VERSION``, or ``NAME`` of a distribution that is
            installed. One whose version nobody knows is not checked, which is logged as a warning.
        python: The interpreter that these are installed beside; the running one when None.

    Raises:
        UsageError: The requirement or an app cannot be read.
        NotInstalled: Nothing installed fits.
    """
    wanted = parse_requirement(requirement)
    if app is None:
        return find_package(Layout(home_folder()), wanted, prereleases=prereleases)
    from orbitpkg.api.compatible import find_compatible
    from orbitpkg.api.options import as_tuple

    return find_compatible(Layout(home_folder()), wanted, as_tuple(app), python=python, prereleases=prereleases)


@public
def packages() -> list[Package]:
    """List what is installed, by name, oldest version first."""
    from orbitpkg.store.package import installed_packages

    return installed_packages(Layout(home_folder()))


@public
def remove(requirement: str, *, dry_run: bool = False) -> list[Removed]:
    """Remove every installed version that a requirement allows.

    Args:
        requirement: ``model==2.0.0``; a bare name is all versions of that package.
        dry_run: Change nothing.

    Raises:
        UsageError: The requirement cannot be read.
        NotInstalled: Nothing installed fits.
        StorageError: The store cannot be written.
    """
    from orbitpkg.store.package import installed_versions, not_installed
    from orbitpkg.store.store import Store

    wanted, store = parse_requirement(requirement), Store(home_folder())
    there = installed_versions(store.layout, wanted.key)
    chosen = [version for version in there if wanted.range.allows(version)]
    if not chosen:
        error = not_installed(store.layout, wanted, there)
        error.hint = "See what is installed: orbitpkg list"
        raise error
    removed = []
    for version in chosen:
        name, size = _name_and_size(store.layout, wanted.key, version)
        freed = size if dry_run else store.remove(wanted.key, version)
        removed.append(Removed(name, str(version), freed))
    return removed


def _name_and_size(layout: Layout, key: str, version: Version) -> tuple[str, int]:
    """Give what a package is called and how large it is, as far as that can be read: what is damaged can be removed."""
    from contextlib import suppress

    from orbitpkg.errors import OrbitError
    from orbitpkg.store.package import open_package

    name = key
    with suppress(OrbitError):
        package = open_package(layout, key, version)
        if package is not None:
            name = package.name
            return name, package.contents.total_size
    return name, 0


@public
def verify(
    requirements: Sequence[str] = (), *, reporter: Reporter | None = None
) -> list[tuple[Package, list[Finding]]]:
    """Hash what is installed and say what is not as it was published.

    Args:
        requirements: What to look at: every installed version that one of them allows; everything without any.
        reporter: Told how far it is.

    Returns:
        Each release looked at, with what is wrong with it.

    Raises:
        NotInstalled: A requirement fits nothing.
        IntegrityError: The record or the contents of a release are altered themselves.
    """
    from orbitpkg.reporting import SILENT
    from orbitpkg.store.package import not_installed
    from orbitpkg.store.store import Store

    store = Store(home_folder())
    chosen = store.packages()
    if requirements:
        wanted = [parse_requirement(word) for word in requirements]
        for requirement in wanted:
            if not any(_fits(requirement, package) for package in chosen):
                raise not_installed(store.layout, requirement, [])
        chosen = [package for package in chosen if any(_fits(requirement, package) for requirement in wanted)]
    total = sum(package.contents.total_size for package in chosen)
    with (reporter or SILENT).task("Verifying", total) as task:
        return [(package, store.verify(package, progress=task.advance)) for package in chosen]


def _fits(requirement: Requirement, package: Package) -> bool:
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.versions import parse_version

    return requirement.key == canonical_name(package.name) and requirement.range.allows(parse_version(package.version))
