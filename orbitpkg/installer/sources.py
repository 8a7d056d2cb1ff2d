"""Where releases to install are found: in repositories, and in archives at hand.

A source for the resolver, which can also make a release :class:`~orbitpkg.installer.install.Available`.
"""

from __future__ import annotations

import contextlib
import itertools
from typing import TYPE_CHECKING

from orbitpkg.archive.reader import LocalArchive
from orbitpkg.errors import OfflineError, OrbitError, PackageNotFound, ResolutionError, UsageError
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

# How many records are read before it is said that nothing fits; most of them are kept on this machine.
_CHECKED_OFFERS = 32


class RepositorySource:
    """Repositories, and archives that stand for the packages they hold.

    Args:
        repositories: The repositories to search.
        store: Where an archive is kept while it is read, if it can only be read whole.
        archives: Archives by the canonical names of their packages; of such a package nothing else is offered.
    """

    def __init__(self, repositories: RepositorySet, store: Store, archives: Mapping[str, Available]) -> None:
        self.repositories = repositories
        self._store = store
        self._archives = archives
        # Of what indexes say, in the order in which it was asked for.
        self._offered: dict[tuple[str, Version], None] = {}
        self._states: dict[tuple[str, Version], dict[str, str]] = {}

    @property
    def corrections(self) -> int:
        """How often a record was found not to be what was offered; then what was chosen must be chosen again."""
        return sum(self.repositories.catalogue(setting).corrections for setting in self.repositories.opened)

    def look_ahead(self, requirements: Iterable[Requirement], prefer: Mapping[str, Version]) -> None:
        """Ask for several packages at once, which would be asked for one after another.

        First those of the requirements, then those that the likely choices need, and so on: as many rounds as
        dependencies are deep.

        Args:
            requirements: What is asked for.
            prefer: The versions that are taken where they fit, by canonical name.

        Raises:
            RepositoryError: A repository did not say what there is of a package that is asked for.
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
        # What nobody may come to need is no reason to fail: if somebody does, it fails then.
        with contextlib.suppress(OrbitError):
            return self._likely_needs(want, prefer, exact=None)
        return []

    def _likely_needs(
        self, want: Requirement, prefer: Mapping[str, Version], *, exact: Version | None
    ) -> list[Requirement]:
        """Say what the version needs that will be taken if nothing speaks against it."""
        preferred = prefer.get(want.key)
        if exact is None and preferred is not None and want.range.allows(preferred):
            exact = preferred
        try:
            version = exact or self.newest(want.key, [want.range])
            offer = self.offer(want.key, version) if version is not None else None
            if offer is not None and offer.yanked is None:
                return [Requirement(name, parse_range(text)) for name, text in offer.dependencies.items()]
        except (OfflineError, UsageError):
            pass  # what is not kept, or cannot be read, is told when it is needed
        return []

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package; empty when there is no such package."""
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
        """Say what is known of a version; None when there is no such version."""
        there = self._archives.get(name)
        if there is not None:
            return Offer.of(there.release) if there.release.version == version else None
        catalogue = self._catalogue(name)
        home = self.repositories.home(name).name
        stock = catalogue.seen(name)
        if stock is None:
            # An exact version: its record says all, with one request.
            release = catalogue.release(name, version)
            return None if release is None else Offer.of(release, repository=home)
        entry = stock.entry(version)
        if entry is None:
            return None
        if entry.digest:  # Else the record has yet to be made, and would say what the entry does.
            self._offered[name, version] = None
        return Offer(
            dependencies=entry.dependencies,
            compatibility=entry.compatibility,
            yanked=entry.yanked,
            repository=home,
        )

    def check_offers(self) -> None:
        """Hold what was offered first against its records, as far as that takes no long time."""
        with contextlib.suppress(OfflineError):
            for name, version in list(self._offered)[:_CHECKED_OFFERS]:
                self._catalogue(name).release(name, version)

    def release(self, name: str, version: Version) -> Release:
        """Read a release.

        Raises:
            VersionNotFound: It is gone, or was never there.
        """
        there = self._archives.get(name)
        if there is not None:
            return there.release
        catalogue = self._catalogue(name)
        release = catalogue.release(name, version)
        if release is None:
            stock = catalogue.stock(name)
            raise self.nothing_found(name, f"{name}=={version}", list(stock.versions))
        return release

    def warnings(self, name: str, version: Version) -> list[str]:
        """Say what the one who installs a release should know: that it was yanked or deprecated, and why."""
        return [
            f"{name} {version} is {state}{f': {reason}' if reason else ''}."
            for state, reason in self.states(name, version).items()
        ]

    def states(self, name: str, version: Version) -> dict[str, str]:
        """Say what is thought of a release, and why: ``yanked`` or ``deprecated``, as far as that can be known."""
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
        """Read what installing a release takes.

        Args:
            release: Which one.
            repository: The name of the repository it is from, if that is known.
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
            if isinstance(available.source, LocalArchive):  # one that could only be had whole
                available.source.close()

    def nothing_found(self, name: str, wanted: str, versions: list[Version]) -> OrbitError:
        """Say that nothing fits a requirement, and what there is instead.

        Raises:
            RepositoryNotFound: There is no repository to begin with.
        """
        repository = self._catalogue(name).repository
        error = repository.nothing_found(name, wanted, versions)
        if isinstance(error, PackageNotFound):
            self._say_elsewhere(name, error)
        return error

    def _say_elsewhere(self, name: str, error: PackageNotFound) -> None:
        """Say that other repositories were not asked, or that there is no repository to begin with."""
        settings = self.repositories.settings
        if len(settings) == 1:
            if not error.data.get("nearest"):
                self._catalogue(name).repository.config()
            return
        bound = bound_to(name, settings)
        if bound is None:
            error.message = f"There is no package {name} in {', '.join(setting.name for setting in settings)}."
        else:
            for other in self.repositories.kept_elsewhere(name)[:1]:
                bind = f"orbitpkg repo add {other.name} {other.url} --packages {name}"
                error.hint = f"It was seen in {other.name} before. If that one is meant: {bind}"
            error.hint = f"{name} is bound to {bound.name}, so that it was looked for nowhere else. {error.hint or ''}"

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
    """Choose releases as :func:`~orbitpkg.resolver.resolver.resolve` does, from what records say.

    What is chosen is chosen by what indexes say; then the records of the chosen are read. Where one says something
    else than its index did, all is chosen again, with what the record says. Where nothing fits, records of what was
    offered are read before that is said.
    """
    asked = list(requirements)
    source.look_ahead(asked, prefer or {})
    while True:
        before = source.corrections
        try:
            resolution = resolve(asked, source, apps=apps, prereleases=prereleases, prefer=prefer)
        except ResolutionError:
            # A record that was gone has corrected its index already. Else an index may say what is not so and be the
            # reason why nothing fits.
            if source.corrections == before:
                source.check_offers()
            if source.corrections == before:
                raise
        else:
            if source.corrections == before:
                return resolution
