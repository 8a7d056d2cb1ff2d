"""The installed releases as a source for the resolver. Needs no network and no archive reader."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orbitpkg.errors import NotInstalled
from orbitpkg.model.names import nearest
from orbitpkg.model.patterns import compile_glob
from orbitpkg.resolver.offers import Offer
from orbitpkg.store.package import installed_names, installed_versions, open_package
from orbitpkg.store.records import load_release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package

__all__ = ["InstalledSource"]


class InstalledSource:
    """The installed releases.

    Args:
        layout: The layout of the store.
        origin: Consider only releases that came from this address.
        only: Globs of the files that an incomplete release must have to be considered.
    """

    def __init__(self, layout: Layout, *, origin: str | None = None, only: Sequence[str] = ()) -> None:
        self._layout = layout
        self._origin = origin
        self._only = only

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package; empty when none is installed."""
        return [version for version in installed_versions(self._layout, name) if self._usable(name, version)]

    def offer(self, name: str, version: Version) -> Offer | None:
        """Return the metadata of a version; None if it is not installed."""
        return Offer.of(self.release(name, version)) if self._usable(name, version) else None

    def release(self, name: str, version: Version) -> Release:
        """Read the record of a release.

        Raises:
            NotInstalled: The release is not installed.
        """
        if not self._usable(name, version):
            raise self.not_found_error(name, f"{name}=={version}", self.versions(name))
        return load_release(self._layout.release(name, version))

    def not_found_error(self, name: str, wanted: str, versions: list[Version]) -> NotInstalled:
        """Return the error for a requirement that no installed version meets; it names those that are installed."""
        if versions:
            listed = ", ".join(map(str, versions))
            return NotInstalled(f"No installed version of {name} satisfies {wanted}. Installed: {listed}.", name=name)
        close = nearest(name, installed_names(self._layout))
        hint = f"Did you mean {' or '.join(close)}?" if close else None
        return NotInstalled(f"{name} is not installed in {self._layout.home}.", hint=hint, name=name)

    def _usable(self, name: str, version: Version) -> bool:
        package = open_package(self._layout, name, version)
        if package is None or (self._origin is not None and package.origin != self._origin):
            return False
        return package.is_complete or (bool(self._only) and self._has_wanted(package))

    def _has_wanted(self, package: Package) -> bool:
        folder = package.path
        wanted = [
            path for glob in self._only for path in filter(compile_glob(glob).fullmatch, package.contents.by_path)
        ]
        return bool(wanted) and all(os.path.exists(f"{folder}/{path}") for path in wanted)  # noqa: PTH110
