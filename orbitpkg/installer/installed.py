"""The installed releases as a source for the resolver. Needs no network and no archive reader."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.errors import NotInstalled, StorageError
from orbitpkg.model.names import nearest
from orbitpkg.model.patterns import compile_glob
from orbitpkg.resolver.offers import Offer
from orbitpkg.store.package import installed_names, installed_versions, open_package
from orbitpkg.store.presence import find_missing
from orbitpkg.store.records import load_release

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package

__all__ = ["InstalledSource"]

_NAMED_FILES = 3


class InstalledSource:
    """The installed releases.

    Args:
        layout: The layout of the store.
        origin: Consider only releases that came from this address.
        only: Globs of the files that an incomplete release must have to be considered.

    Attributes:
        damage: Sentences about releases that were not considered because they are damaged or files are missing.
    """

    def __init__(self, layout: Layout, *, origin: str | None = None, only: Sequence[str] = ()) -> None:
        self._layout = layout
        self._origin = origin
        self._only = only
        self._whole: dict[tuple[str, Version], bool] = {}
        self.damage: list[str] = []

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package; empty when none is installed."""
        return [version for version in installed_versions(self._layout, name) if self._usable(name, version)]

    def offer(self, name: str, version: Version) -> Offer | None:
        """Return the metadata of a version; None if it is not installed."""
        if not self._usable(name, version) or not self._is_whole(name, version):
            return None
        return Offer.of(self.release(name, version))

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
        try:
            package = open_package(self._layout, name, version)
            if package is None or (self._origin is not None and package.origin != self._origin):
                return False
        except StorageError as error:  # a damaged release keeps no other one from being used
            self.damage.append(error.message)
            return False
        return package.is_complete or (bool(self._only) and self._has_wanted(package))

    def _has_wanted(self, package: Package) -> bool:
        wanted = [
            path for glob in self._only for path in filter(compile_glob(glob).fullmatch, package.contents.by_path)
        ]
        return bool(wanted) and not find_missing(package, wanted)

    def _is_whole(self, name: str, version: Version) -> bool:
        """Return whether the files of a usable release are there. Each release is looked at once."""
        if (name, version) not in self._whole:
            package = open_package(self._layout, name, version)
            missing = find_missing(package) if package is not None and package.is_complete else []
            if missing:
                paths = ", ".join(missing[:_NAMED_FILES]) + (" and others" if len(missing) > _NAMED_FILES else "")
                self.damage.append(f"Files of the installed {name} {version} are missing or damaged: {paths}.")
            self._whole[name, version] = not missing
        return self._whole[name, version]
