"""Using, verifying and removing installed packages.

Apps call :func:`package` when they start, so this module imports only what that function needs.
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

__all__ = ["Removed", "find_dependents", "package", "packages", "remove", "verify"]


class Removed:
    """A removed release.

    Attributes:
        name: The name of the package.
        version: The version of the release.
        freed: The number of bytes freed, without those that other releases share.
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
    """Return the newest installed version of a package. Works offline and with a read-only store.

    Args:
        requirement: ``model``, ``model==2.0.0``, or ``model>=1.2,<2``.
        prereleases: Whether pre-releases are candidates. One that the requirement names is always a candidate.
        app: One or more apps that the package must work with: ``NAME==VERSION``, or the ``NAME`` of an installed
            distribution. An app of unknown version is not checked, which is logged as a warning.
        python: The interpreter whose distributions count; the running interpreter when None.

    Raises:
        UsageError: The requirement or an app is invalid.
        NotInstalled: No installed version qualifies.
    """
    wanted = parse_requirement(requirement)
    if app is None:
        return find_package(Layout(home_folder()), wanted, prereleases=prereleases)
    from orbitpkg.api.compatible import find_compatible
    from orbitpkg.api.options import as_tuple

    return find_compatible(Layout(home_folder()), wanted, as_tuple(app), python=python, prereleases=prereleases)


@public
def packages() -> list[Package]:
    """List the installed releases, by name, oldest version first."""
    from orbitpkg.store.package import installed_packages

    return installed_packages(Layout(home_folder()))


@public
def remove(requirement: str, *, dry_run: bool = False) -> list[Removed]:
    """Remove every installed version that a requirement matches.

    Args:
        requirement: ``model==2.0.0``. A bare name matches all versions.
        dry_run: Change nothing.

    Raises:
        UsageError: The requirement is invalid.
        NotInstalled: No installed version matches.
        StorageError: The store cannot be written.
    """
    from orbitpkg.store.package import installed_versions, not_installed
    from orbitpkg.store.store import Store

    wanted, store = parse_requirement(requirement), Store(home_folder())
    there = installed_versions(store.layout, wanted.key)
    chosen = [version for version in there if wanted.range.allows(version)]
    if not chosen:
        error = not_installed(store.layout, wanted, there)
        error.hint = "To list the installed packages: orbitpkg list"
        raise error
    removed = []
    for version in chosen:
        name, size = _name_and_size(store.layout, wanted.key, version)
        freed = size if dry_run else store.remove(wanted.key, version)
        removed.append(Removed(name, str(version), freed))
    return removed


def find_dependents(removed: Sequence[Removed]) -> dict[str, list[str]]:
    """Return the remaining installed releases that lose a dependency when releases are removed.

    Returns:
        By removed release (``NAME VERSION``), those that require it and that no other installed version satisfies.
    """
    from orbitpkg.model.names import canonical_name
    from orbitpkg.store.package import installed_packages

    lost = {(canonical_name(each.name), each.version): f"{each.name} {each.version}" for each in removed}
    remaining = [
        package
        for package in installed_packages(Layout(home_folder()))
        if (canonical_name(package.name), package.version) not in lost
    ]
    found: dict[str, list[str]] = {}
    for package in remaining:
        for name, text in package.dependencies.items():
            requirement = parse_requirement(f"{name}{text}")
            if any(_fits(requirement, other) for other in remaining):
                continue
            for each in removed:
                if _fits(requirement, each):
                    found.setdefault(f"{each.name} {each.version}", []).append(f"{package.name} {package.version}")
    return found


def _name_and_size(layout: Layout, key: str, version: Version) -> tuple[str, int]:
    """Return a package's name and size. A damaged package can be removed, so the key and 0 stand in for them."""
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
    """Hash installed files, and compare them with what was published.

    Args:
        requirements: Verify the installed versions that a requirement matches; all releases when empty.
        reporter: Receives progress.

    Returns:
        Each verified release, with the problems found.

    Raises:
        NotInstalled: A requirement matches no installed version.
        IntegrityError: The record or the contents of a release are altered.
    """
    from orbitpkg.reporting import SILENT
    from orbitpkg.store.package import installed_names, installed_versions, not_installed, open_package
    from orbitpkg.store.store import Store

    store = Store(home_folder())
    # A damaged release is an error here, whereas a list of packages leaves it out.
    chosen = [
        package
        for name in installed_names(store.layout)
        for version in installed_versions(store.layout, name)
        if (package := open_package(store.layout, name, version)) is not None
    ]
    if requirements:
        wanted = [parse_requirement(word) for word in requirements]
        for requirement in wanted:
            if not any(_fits(requirement, package) for package in chosen):
                raise not_installed(store.layout, requirement, [])
        chosen = [package for package in chosen if any(_fits(requirement, package) for requirement in wanted)]
    total = sum(package.contents.total_size for package in chosen)
    with (reporter or SILENT).task("Verifying", total) as task:
        return [(package, store.verify(package, progress=task.advance)) for package in chosen]


def _fits(requirement: Requirement, package: Package | Removed) -> bool:
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.versions import parse_version

    return requirement.key == canonical_name(package.name) and requirement.range.allows(parse_version(package.version))
