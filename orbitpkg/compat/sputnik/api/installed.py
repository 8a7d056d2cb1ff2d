"""The packages installed in a data path, and the choice among them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.compat.sputnik.api.apps import excluded_by
from orbitpkg.compat.sputnik.api.errors import (
    CompatiblePackageNotFoundException,
    InvalidDataPathException,
    PackageNotFoundException,
)
from orbitpkg.compat.sputnik.api.packages import Package
from orbitpkg.compat.sputnik.formats.meta import META_NAME
from orbitpkg.config.home import home_folder
from orbitpkg.model.names import nearest
from orbitpkg.model.requirements import find_newest
from orbitpkg.model.versions import parse_version
from orbitpkg.store.layout import Layout
from orbitpkg.store.package import installed_names, installed_packages, installed_versions, open_package

if TYPE_CHECKING:
    from orbitpkg.compat.sputnik.api.constraints import PackageString
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.apps import Apps
    from orbitpkg.store.package import Package as InstalledPackage

__all__ = ["best_installed", "find_matching", "layout_of"]


def layout_of(data_path: str | os.PathLike[str] | None) -> Layout:
    """Return the store in a data path; without one, orbitpkg's own.

    Raises:
        InvalidDataPathException: The data path is empty.
    """
    if data_path is None:
        return Layout(home_folder())
    if not os.fspath(data_path):
        raise InvalidDataPathException("The data path is empty.", hint="Give a directory, or omit the data path.")
    return Layout(data_path)


def find_matching(layout: Layout, wanted: PackageString) -> list[InstalledPackage]:
    """List the installed packages that match a package string, by name, oldest version first."""
    if wanted.name:
        versions = installed_versions(layout, wanted.key)
        found = (open_package(layout, wanted.key, version) for version in versions if wanted.allows(version))
        return [package for package in found if package is not None]
    return [package for package in installed_packages(layout) if wanted.allows(parse_version(package.version))]


def best_installed(layout: Layout, wanted: PackageString, apps: Apps) -> Package:
    """Return the newest installed version that matches a package string and is compatible with the app.

    Raises:
        PackageNotFoundException: No version of the package is installed.
        CompatiblePackageNotFoundException: None of the installed versions matches.
    """
    versions = installed_versions(layout, wanted.key)
    if not versions:
        raise _not_installed(layout, wanted)
    packages = {parse_version(package.version): package for package in find_matching(layout, wanted)}
    incompatible = []

    def works(version: Version) -> bool:
        package = packages[version]
        excluded = excluded_by(apps, package.compatibility)
        if excluded is not None:
            incompatible.append(f"{package.name} {package.version} does not work with {excluded}.")
        return excluded is None

    newest = find_newest(packages, [], prereleases=True, accept=works)
    if newest is not None:
        return Package(packages[newest])
    raise _no_match(wanted, [str(version) for version in versions], incompatible)


def _no_match(
    wanted: PackageString, versions: list[str], incompatible: list[str]
) -> CompatiblePackageNotFoundException:
    if incompatible:
        lines = [f"No installed version of {wanted.name} matches {wanted.text!r} and the app.", *incompatible]
        hint = "Install another version, or give None for the app's name and version to skip the check."
    else:
        lines = [
            f"No installed version of {wanted.name} matches {wanted.text!r}.",
            f"Installed: {', '.join(versions)}.",
        ]
        hint = "Install a version that matches."
    return CompatiblePackageNotFoundException(" ".join(lines), hint=hint, name=wanted.name, versions=versions)


def _not_installed(layout: Layout, wanted: PackageString) -> PackageNotFoundException:
    close = nearest(wanted.name, installed_names(layout))
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Install it: sputnik.install(…, {wanted.text!r})"
    if any(Path(layout.home).glob(f"{wanted.name}-*/{META_NAME}")):
        hint = f"Packages that Sputnik itself installed there are not used. {hint}"
    return PackageNotFoundException(f"{wanted.name} is not installed in {layout.home}.", hint=hint, name=wanted.name)
