"""What is installed under a data path, and what of it fits."""

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
from orbitpkg.model.versions import parse_version
from orbitpkg.store.layout import Layout
from orbitpkg.store.package import installed_names, installed_packages, installed_versions, open_package

if TYPE_CHECKING:
    from orbitpkg.compat.sputnik.api.constraints import PackageString
    from orbitpkg.resolver.apps import Apps
    from orbitpkg.store.package import Package as InstalledPackage

__all__ = ["best_installed", "fitting", "layout_of"]


def layout_of(data_path: str | os.PathLike[str] | None) -> Layout:
    """Give the store under a data path; without one, orbitpkg's own.

    Raises:
        InvalidDataPathException: It is empty.
    """
    if data_path is None:
        return Layout(home_folder())
    if not os.fspath(data_path):
        raise InvalidDataPathException("The data path is empty.", hint="Name a folder, or leave it out.")
    return Layout(data_path)


def fitting(layout: Layout, wanted: PackageString) -> list[InstalledPackage]:
    """List what is installed and fits a package string, by name, oldest version first."""
    if wanted.name:
        versions = installed_versions(layout, wanted.key)
        found = (open_package(layout, wanted.key, version) for version in versions if wanted.allows(version))
        return [package for package in found if package is not None]
    return [package for package in installed_packages(layout) if wanted.allows(parse_version(package.version))]


def best_installed(layout: Layout, wanted: PackageString, apps: Apps) -> Package:
    """Give the newest installed version that fits a package string and the app.

    Raises:
        PackageNotFoundException: No version of the package is installed.
        CompatiblePackageNotFoundException: None of those that are fits.
    """
    versions = installed_versions(layout, wanted.key)
    if not versions:
        raise _not_installed(layout, wanted)
    misfits = []
    for package in reversed(fitting(layout, wanted)):
        excluded = excluded_by(apps, package.compatibility)
        if excluded is None:
            return Package(package)
        misfits.append(f"{package.name} {package.version} does not work with {excluded}.")
    raise CompatiblePackageNotFoundException(
        " ".join(
            [f"No installed version of {wanted.name} fits {wanted.text!r} and the app.", *misfits]
            if misfits
            else [f"No installed version of {wanted.name} fits {wanted.text!r}: {', '.join(map(str, versions))}."]
        ),
        hint="Install one that does, or give None for the app's name and version to check nothing."
        if misfits
        else "Install one that does.",
        name=wanted.name,
        versions=[str(version) for version in versions],
    )


def _not_installed(layout: Layout, wanted: PackageString) -> PackageNotFoundException:
    close = nearest(wanted.name, installed_names(layout))
    hint = f"Did you mean {' or '.join(close)}?" if close else f"Install it: sputnik.install(…, {wanted.text!r})"
    if any(Path(layout.home).glob(f"{wanted.name}-*/{META_NAME}")):
        hint = f"What Sputnik itself has installed there is not used. {hint}"
    return PackageNotFoundException(f"{wanted.name} is not installed in {layout.home}.", hint=hint, name=wanted.name)
