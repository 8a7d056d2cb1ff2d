"""Where releases to install are found: in a repository and in archives at hand, or in what is installed already.

Both are sources for the resolver; the first can also make a release :class:`~orbitpkg.transfer.install.Available`.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from orbitpkg.archive.reader import LocalArchive
from orbitpkg.errors import NotInstalled, PackageNotFound
from orbitpkg.model.names import nearest
from orbitpkg.model.patterns import compile_glob
from orbitpkg.resolver.offers import Offer
from orbitpkg.store.package import installed_names, installed_versions, open_package
from orbitpkg.store.records import load_release
from orbitpkg.transfer.install import available_release

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orbitpkg.errors import OrbitError
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.repository.repository import Repository
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Store
    from orbitpkg.transfer.install import Available

__all__ = ["InstalledSource", "RepositorySource"]


class RepositorySource:
    """A repository, and archives that stand for the packages they hold.

    Args:
        repository: The repository.
        store: Where an archive is kept while it is read, if it can only be read whole.
        archives: Archives by the canonical names of their packages; of such a package nothing else is offered.
    """

    def __init__(self, repository: Repository, store: Store, archives: Mapping[str, Available]) -> None:
        self._repository = repository
        self._store = store
        self._archives = archives
        self._releases: dict[tuple[str, Version], Release] = {
            (name, there.release.version): there.release for name, there in archives.items()
        }

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package; empty when there is no such package."""
        if name in self._archives:
            return [self._archives[name].release.version]
        return self._repository.versions(name)

    def release(self, name: str, version: Version) -> Release:
        """Read a release."""
        if (name, version) not in self._releases:
            self._releases[name, version] = self._repository.release(name, version)
        return self._releases[name, version]

    def offer(self, name: str, version: Version) -> Offer | None:
        """Say what is known of a version; None when there is no such version."""
        there = self._archives.get(name)
        if there is not None:
            return Offer.of(there.release) if there.release.version == version else None
        if (name, version) not in self._releases:
            release = self._repository.find_release(name, version)
            if release is None:
                return None
            self._releases[name, version] = release
        return Offer.of(self._releases[name, version])

    @contextlib.contextmanager
    def opened(self, release: Release) -> Iterator[Available]:
        """Read what installing a release takes."""
        there = self._archives.get(release.key)
        if there is not None:
            yield there
            return
        available = available_release(self._repository, release, self._store)
        try:
            yield available
        finally:
            if isinstance(available.source, LocalArchive):  # one that could only be had whole
                available.source.close()

    def nothing_found(self, name: str, wanted: str, versions: list[Version]) -> OrbitError:
        """Say that nothing fits a requirement, and what there is instead.

        Raises:
            RepositoryNotFound: There is no repository to begin with.
        """
        error = self._repository.nothing_found(name, wanted, versions)
        if isinstance(error, PackageNotFound) and not error.data.get("nearest"):
            self._repository.config()
        return error


class InstalledSource:
    """What is installed.

    Args:
        layout: Of the store.
        origin: Consider only what came from this address.
        only: Globs: of a release that is not whole, at least these files must be there.
    """

    def __init__(self, layout: Layout, *, origin: str | None = None, only: Sequence[str] = ()) -> None:
        self._layout = layout
        self._origin = origin
        self._only = only

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package; empty when none is installed."""
        return [version for version in installed_versions(self._layout, name) if self._usable(name, version)]

    def offer(self, name: str, version: Version) -> Offer | None:
        """Say what is known of a version; None when it is not installed."""
        return Offer.of(self.release(name, version)) if self._usable(name, version) else None

    def release(self, name: str, version: Version) -> Release:
        """Read a release.

        Raises:
            NotInstalled: It is not installed.
        """
        if not self._usable(name, version):
            raise self.nothing_found(name, f"{name}=={version}", self.versions(name))
        return load_release(self._layout.release(name, version))

    def nothing_found(self, name: str, wanted: str, versions: list[Version]) -> NotInstalled:
        """Say that nothing installed fits a requirement, and what there is instead."""
        if versions:
            there = ", ".join(map(str, versions))
            return NotInstalled(f"No installed version of {name} fits {wanted}; installed: {there}.", name=name)
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
