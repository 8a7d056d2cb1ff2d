"""The versions of packages as states of variables, and what each of them takes, read from a source once.

State 0 is to do without the package; state n is its n-th oldest version. A set of states is an integer, as
:mod:`orbitpkg.resolver.nogoods` has it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from orbitpkg.errors import UsageError
from orbitpkg.model.requirements import Requirement, VersionRange, parse_range
from orbitpkg.resolver.nogoods import ABSENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.apps import Apps
    from orbitpkg.resolver.offers import Offer, Source

__all__ = ["Flaw", "Shelf", "Shelves"]

_TRY_ANOTHER = "Ask for another range, or use a version of the app that one of these works with."


class Flaw(NamedTuple):
    """Why nobody here can have a version.

    Attributes:
        one: The end of a sentence that begins with it.
        several: That of one that begins with several.
        hint: What could be done, or None.
    """

    one: str
    several: str
    hint: str | None = None


class Shelf:
    """The versions of one package.

    Attributes:
        key: The package's canonical name.
        versions: Oldest first.
        all: All states, that of doing without it too.
    """

    def __init__(self, key: str, versions: Iterable[Version]) -> None:
        self.key = key
        self.versions = sorted(versions)
        self.all = (ABSENT << len(self.versions) + 1) - 1
        self._points = [version.precedence for version in self.versions]
        self._states = {version: ABSENT << at for at, version in enumerate(self.versions, 1)}
        self._allowed: dict[str, int] = {}

    @property
    def prereleases(self) -> int:
        """The states that are pre-releases."""
        return sum(self._states[version] for version in self.versions if version.prerelease)

    def state(self, version: Version) -> int:
        """Give the state of a version; an empty set when there is no such version."""
        return self._states.get(version, 0)

    def allowed(self, range_: VersionRange) -> int:
        """Give the states that a range allows."""
        found = self._allowed.get(range_.text)
        if found is None:
            found = sum((ABSENT << end + 1) - (ABSENT << at + 1) for at, end in range_.stretches(self._points))
            self._allowed[range_.text] = found
        return found

    def version(self, state: int) -> Version:
        """Give the version that is the newest of some states."""
        return self.versions[state.bit_length() - 2]

    def versions_in(self, states: int) -> list[Version]:
        """Give the versions of some states, oldest first."""
        return [version for version in self.versions if states & self._states[version]]

    def around(self, state: int, reach: int) -> Iterator[Iterator[int]]:
        """Give the states next to one: those of older versions, then those of newer ones, nearest first."""
        at = state.bit_length() - 1
        yield (ABSENT << near for near in range(at - 1, max(0, at - 1 - reach), -1))
        yield (ABSENT << near for near in range(at + 1, min(len(self.versions), at + reach) + 1))


class Shelves:
    """The packages there are.

    Args:
        source: Where they are found.
        apps: What they must work with.
        exact: Versions that were asked for exactly, by canonical name: of such a package no other is looked for, so
            that nobody need list them.
    """

    def __init__(self, source: Source, apps: Apps, exact: Mapping[str, Version]) -> None:
        self._source = source
        self._apps = apps
        self._exact = exact
        self._shelves: dict[str, Shelf] = {}
        self._offers: dict[tuple[str, Version], Offer | None] = {}
        self._wants: dict[tuple[str, int], tuple[tuple[Requirement, ...], Flaw | None]] = {}
        self._requirements: dict[tuple[str, str], Requirement] = {}

    def whole(self) -> Shelves:
        """Give the same packages with all versions of those of which one was asked for exactly."""
        if not self._exact:
            return self
        whole = Shelves(self._source, self._apps, {})
        whole._offers = self._offers
        return whole

    def shelf(self, key: str) -> Shelf:
        """Give the versions of a package."""
        found = self._shelves.get(key)
        if found is None:
            found = self._shelves[key] = Shelf(key, self._listed(key))
        return found

    def _listed(self, key: str) -> Iterable[Version]:
        exact = self._exact.get(key)
        if exact is None:
            return self._source.versions(key)
        offer = self._source.offer(key, exact)
        self._offers[key, exact] = offer
        return [] if offer is None else [exact]

    def offer(self, key: str, state: int) -> Offer | None:
        """Give what is known of a version; None when it is gone."""
        place = key, self.shelf(key).version(state)
        if place not in self._offers:
            self._offers[place] = self._source.offer(*place)
        return self._offers[place]

    def wants(self, key: str, state: int) -> tuple[Requirement, ...]:
        """Give what a version depends on; nothing when nobody can have it anyway."""
        return self._read(key, state)[0]

    def flaw(self, key: str, state: int) -> Flaw | None:
        """Say why nobody here can have a version; None if they can."""
        return self._read(key, state)[1]

    def _read(self, key: str, state: int) -> tuple[tuple[Requirement, ...], Flaw | None]:
        found = self._wants.get((key, state))
        if found is None:
            found = self._wants[key, state] = self._understood(self.offer(key, state))
        return found

    def _understood(self, offer: Offer | None) -> tuple[tuple[Requirement, ...], Flaw | None]:
        if offer is None:
            return (), Flaw("is listed, but gone", "are listed, but gone")
        excluded = self._apps.verdict(offer.compatibility).excluded
        if excluded:
            apps = " nor ".join(excluded)
            return (), Flaw(f"does not work with {apps}", f"do not work with {apps}", _TRY_ANOTHER)
        try:
            return tuple(self._requirement(name, text) for name, text in offer.dependencies.items()), None
        except UsageError as error:
            said = f"in words that cannot be read. {error.message}"
            return (), Flaw(f"says what it needs {said}", f"say what they need {said}")

    def _requirement(self, name: str, text: str) -> Requirement:
        found = self._requirements.get((name, text))
        if found is None:
            found = self._requirements[name, text] = Requirement(name, parse_range(text))
        return found
