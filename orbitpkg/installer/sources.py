"""Repositories and local archives as a source of releases for the resolver and the installer."""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from orbitpkg.archive.reader import LocalArchive
from orbitpkg.errors import OfflineError, OrbitError, PackageNotFound, ResolutionError, UsageError
from orbitpkg.escaping import shell_word
from orbitpkg.installer.install import available_release
from orbitpkg.model.project import bound_to
from orbitpkg.model.requirements import Requirement, find_newest, parse_range
from orbitpkg.repository.indexing import read_all
from orbitpkg.resolver.offers import Offer
from orbitpkg.resolver.resolver import resolve

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from orbitpkg.installer.install import Available
    from orbitpkg.model.release import Release
    from orbitpkg.model.requirements import VersionRange
    from orbitpkg.model.versions import Version
    from orbitpkg.repository.catalogue import Catalogue
    from orbitpkg.repository.repository_set import RepositorySet
    from orbitpkg.resolver.apps import Apps
    from orbitpkg.resolver.resolver import Resolution
    from orbitpkg.store.store import Store

__all__ = ["RepositorySource", "resolve_as_recorded"]

# The number of records read before the resolver reports that no solution exists. Most of them are cached.
_CHECKED_OFFERS = 32


class RepositorySource:
    """Repositories and local archives as one source of releases.

    Args:
        repositories: The repositories to search.
        store: The store for the temporary copy of an archive that can only be read as a whole.
        archives: Archives by the canonical names of their packages. They hide the other releases of these packages.
    """

    def __init__(self, repositories: RepositorySet, store: Store, archives: Mapping[str, Available]) -> None:
        self.repositories = repositories
        self._store = store
        self._archives = archives
        # The offers that came from indexes, in the order in which they were requested.
        self._offered: dict[tuple[str, Version], None] = {}
        self._states: dict[tuple[str, Version], dict[str, str]] = {}

    @property
    def corrections(self) -> int:
        """The number of records that differed from their offers. When it grows, releases must be resolved again."""
        return sum(self.repositories.catalogue(setting).corrections for setting in self.repositories.opened)

    def look_ahead(self, requirements: Iterable[Requirement], prefer: Mapping[str, Version]) -> None:
        """Read indexes in parallel that the resolver would read one after another.

        The first round reads the required packages, the next ones the dependencies of the likely versions. There are
        as many rounds as the dependencies are deep.

        Args:
            requirements: The user's requirements.
            prefer: The versions to prefer to newer ones, by canonical name.

        Raises:
            RepositoryError: The index of a required package cannot be read.
        """
        wave = self._new(requirements, set())
        asked = set(wave)
        needs = read_all(lambda want: self._likely_needs(want, prefer, exact=want.range.exact), wave.values())
        while any(needs):
            wave = self._new(itertools.chain.from_iterable(needs), asked)
            asked |= wave.keys()
            needs = read_all(lambda want: self._supposed_needs(want, prefer), wave.values())

    @staticmethod
    def _new(requirements: Iterable[Requirement], asked: set[str]) -> dict[str, Requirement]:
        return {requirement.key: requirement for requirement in requirements if requirement.key not in asked}

    def _supposed_needs(self, want: Requirement, prefer: Mapping[str, Version]) -> list[Requirement]:
        # The package may turn out not to be needed. If it is, the resolver reports the error.
        with contextlib.suppress(OrbitError):
            return self._likely_needs(want, prefer, exact=None)
        return []

    def _likely_needs(
        self, want: Requirement, prefer: Mapping[str, Version], *, exact: Version | None
    ) -> list[Requirement]:
        """Return the dependencies of the version that will probably be selected."""
        try:
            version = exact or self._likely_version(want, prefer.get(want.key))
            offer = self.offer(want.key, version) if version is not None else None
            if offer is not None and offer.yanked is None:
                return [Requirement(name, parse_range(text)) for name, text in offer.dependencies.items()]
        except (OfflineError, UsageError):
            pass  # The resolver reports the error if it needs this version.
        return []

    def _likely_version(self, want: Requirement, preferred: Version | None) -> Version | None:
        # The resolver will list the versions in any case; then the index answers for the preferred one, too.
        versions = self.versions(want.key)
        if preferred in versions and preferred is not None and want.range.allows(preferred):
            return preferred
        return self.newest(want.key, [want.range])

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package; empty if the package does not exist."""
        if name in self._archives:
            return [self._archives[name].release.version]
        return self._catalogue(name).stock(name).versions

    def newest(self, name: str, ranges: Sequence[VersionRange], *, prereleases: bool = False) -> Version | None:
        """Return the newest version of a package that all ranges match and that is not yanked, or None."""

        def is_available(version: Version) -> bool:
            offer = self.offer(name, version)
            return offer is not None and offer.yanked is None

        return find_newest(self.versions(name), ranges, prereleases=prereleases, accept=is_available)

    def offer(self, name: str, version: Version) -> Offer | None:
        """Return the metadata of a version; None if the version does not exist."""
        there = self._archives.get(name)
        if there is not None:
            return Offer.of(there.release) if there.release.version == version else None
        catalogue = self._catalogue(name)
        home = self.repositories.home(name).name
        stock = catalogue.seen(name)
        if stock is None:
            # For an exact version, one request for its record is cheaper than the index.
            release = catalogue.release(name, version)
            return None if release is None else Offer.of(release, repository=home)
        entry = stock.entry(version)
        if entry is None:
            return None
        if entry.digest:  # Without a digest, the record is generated from the entry and cannot differ.
            self._offered[name, version] = None
        return Offer(
            dependencies=entry.dependencies,
            compatibility=entry.compatibility,
            yanked=entry.yanked,
            repository=home,
        )

    def check_offers(self) -> None:
        """Compare the first offers with their records; the number is limited to save time."""
        with contextlib.suppress(OfflineError):
            for name, version in list(self._offered)[:_CHECKED_OFFERS]:
                self._catalogue(name).release(name, version)

    def release(self, name: str, version: Version) -> Release:
        """Read the record of a release.

        Raises:
            VersionNotFound: The release does not exist.
        """
        there = self._archives.get(name)
        if there is not None:
            return there.release
        catalogue = self._catalogue(name)
        release = catalogue.release(name, version)
        if release is None:
            stock = catalogue.stock(name)
            raise self.not_found_error(name, f"{name}=={version}", list(stock.versions))
        return release

    def warnings(self, name: str, version: Version) -> list[str]:
        """Return warnings for a user who installs a release: that it is yanked or deprecated, and why."""
        return [
            f"{name} {version} is {state}{f': {reason}' if reason else ''}."
            for state, reason in self.states(name, version).items()
        ]

    def states(self, name: str, version: Version) -> dict[str, str]:
        """Return the known states of a release, ``yanked`` or ``deprecated``, each with its reason."""
        if (name, version) not in self._states:
            self._states[name, version] = {} if name in self._archives else self._asked_states(name, version)
        return self._states[name, version]

    def _asked_states(self, name: str, version: Version) -> dict[str, str]:
        catalogue = self._catalogue(name)
        stock = catalogue.seen(name)
        entry = stock.entry(version) if stock is not None else None
        if entry is None:
            status = catalogue.status(name, version)
            return {} if status is None else {str(status.state): status.reason}
        states = {"yanked": entry.yanked, "deprecated": entry.deprecated}
        return {state: reason for state, reason in states.items() if reason is not None}

    @contextlib.contextmanager
    def opened(self, release: Release, *, repository: str | None = None) -> Iterator[Available]:
        """Open a release for installation.

        Args:
            release: The release.
            repository: The name of the repository it comes from, if known.
        """
        there = self._archives.get(release.key)
        if there is not None:
            yield there
            return
        home = self.repositories.named(repository) if repository else self.repositories.home(release.key)
        available = available_release(self.repositories.catalogue(home).repository, release, self._store)
        try:
            yield available
        finally:
            if isinstance(available.source, LocalArchive):  # a temporary download
                available.source.close()

    def not_found_error(self, name: str, wanted: str, versions: list[Version]) -> OrbitError:
        """Return the error for a requirement that no version meets; it names what exists instead.

        Raises:
            RepositoryNotFound: The repository itself does not exist.
        """
        repository = self._catalogue(name).repository
        error = repository.not_found_error(name, wanted, versions)
        if isinstance(error, PackageNotFound):
            self._mention_repositories(name, error)
        return error

    def _mention_repositories(self, name: str, error: PackageNotFound) -> None:
        """Add to an error which repositories were searched. Raise an error if the only one does not exist."""
        settings = self.repositories.settings
        if len(settings) == 1:
            if not error.data.get("nearest"):
                self._catalogue(name).repository.config()
            return
        bound = bound_to(name, settings)
        if bound is None:
            searched = ", ".join(setting.name for setting in settings)
            error.message = f"There is no package {name} in the repositories {searched}."
        else:
            self._catalogue(name).check_exists()
            for other in self.repositories.kept_elsewhere(name)[:1]:
                bind = f"orbitpkg repo add {other.name} {shell_word(other.url)} --packages {name}"
                error.hint = f"It was found in {other.name} before. To use that repository: {bind}"
            error.hint = f"{name} is bound to {bound.name}, so only {bound.name} was searched. {error.hint or ''}"

    def _catalogue(self, name: str) -> Catalogue:
        return self.repositories.catalogue(self.repositories.home(name))


def resolve_as_recorded(
    requirements: Sequence[Requirement],
    source: RepositorySource,
    *,
    apps: Apps | None = None,
    prereleases: bool = False,
    prefer: Mapping[str, Version] | None = None,
) -> Resolution:
    """Resolve requirements as :func:`~orbitpkg.resolver.resolver.resolve` does, with records having the last word.

    The resolver works with indexes and then reads the records of the selected releases. If a record differs from its
    index, the requirements are resolved again with the record. If no solution exists, some records are read before
    the error is raised, because a wrong index may be the reason.
    """
    asked = list(requirements)
    source.look_ahead(asked, prefer or {})
    while True:
        before = source.corrections
        try:
            resolution = resolve(asked, source, apps=apps, prereleases=prereleases, prefer=prefer)
        except ResolutionError:
            # A missing record has corrected its index already. Otherwise, a wrong index may be the reason.
            if source.corrections == before:
                source.check_offers()
            if source.corrections == before:
                raise
        else:
            if source.corrections == before:
                return resolution
