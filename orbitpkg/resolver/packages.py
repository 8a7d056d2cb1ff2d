"""Packages as variables of the search, and their versions as states. Each answer of the source is read once.

State 0 means that the package is absent; state n is its n-th oldest version. A set of states is an integer, as in
:mod:`orbitpkg.resolver.nogoods`.
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

__all__ = ["Exclusion", "PackageVersions", "Packages"]

_TRY_ANOTHER = "Require another range, or use a version of the app that one of these versions supports."


class Exclusion(NamedTuple):
    """The reason why a version cannot be selected.

    Attributes:
        one: The predicate of a sentence whose subject is one version.
        several: The predicate of a sentence whose subject is several versions.
        hint: What the user can do, or None.
    """

    one: str
    several: str
    hint: str | None = None


class PackageVersions:
    """The versions of one package.

    Attributes:
        key: The package's canonical name.
        versions: Oldest first.
        all: All states, including absence.
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
        """Return the state of a version, or the empty set if the version does not exist."""
        return self._states.get(version, 0)

    def allowed(self, range_: VersionRange) -> int:
        """Return the states that a range matches."""
        # A search evaluates the same range for many versions.
        found = self._allowed.get(range_.text)
        if found is None:
            found = sum((ABSENT << end + 1) - (ABSENT << at + 1) for at, end in range_.allowed_slices(self._points))
            self._allowed[range_.text] = found
        return found

    def version(self, state: int) -> Version:
        """Return the newest version among states."""
        return self.versions[state.bit_length() - 2]

    def versions_in(self, states: int) -> list[Version]:
        """Return the versions of states, oldest first."""
        return [version for version in self.versions if states & self._states[version]]

    def around(self, state: int, reach: int) -> Iterator[Iterator[int]]:
        """Yield the neighbours of a state in two directions, older and newer versions, nearest first.

        Args:
            state: The state.
            reach: The maximum number of neighbours in each direction.
        """
        at = state.bit_length() - 1
        yield (ABSENT << near for near in range(at - 1, max(0, at - 1 - reach), -1))
        yield (ABSENT << near for near in range(at + 1, min(len(self.versions), at + reach) + 1))


class Packages:
    """All packages of a source.

    Args:
        source: The source of releases.
        apps: The apps that releases must be compatible with.
        exact: Exact versions that the user requires, by canonical name. The other versions of these packages are not
            listed, which saves a request.
    """

    def __init__(self, source: Source, apps: Apps, exact: Mapping[str, Version]) -> None:
        self._source = source
        self._apps = apps
        self._exact = exact
        self._packages: dict[str, PackageVersions] = {}
        self._offers: dict[tuple[str, Version], Offer | None] = {}
        self._read_offers: dict[tuple[str, int], tuple[tuple[Requirement, ...], Exclusion | None]] = {}
        self._requirements: dict[tuple[str, str], Requirement] = {}

    def whole(self) -> Packages:
        """Return the same packages with all versions, also of packages that the user requires in an exact version."""
        if not self._exact:
            return self
        whole = Packages(self._source, self._apps, {})
        whole._offers = self._offers
        return whole

    def package(self, key: str) -> PackageVersions:
        """Return the versions of a package."""
        found = self._packages.get(key)
        if found is None:
            found = self._packages[key] = PackageVersions(key, self._list_versions(key))
        return found

    def _list_versions(self, key: str) -> Iterable[Version]:
        exact = self._exact.get(key)
        if exact is None:
            return self._source.versions(key)
        offer = self._source.offer(key, exact)
        self._offers[key, exact] = offer
        return [] if offer is None else [exact]

    def offer(self, key: str, state: int) -> Offer | None:
        """Return the metadata of a version; None if the version no longer exists."""
        release = key, self.package(key).version(state)
        if release not in self._offers:
            self._offers[release] = self._source.offer(*release)
        return self._offers[release]

    def dependencies(self, key: str, state: int) -> tuple[Requirement, ...]:
        """Return the dependencies of a version; empty if the version is excluded."""
        return self._read(key, state)[0]

    def exclusion(self, key: str, state: int) -> Exclusion | None:
        """Return why a version cannot be selected; None if it can."""
        return self._read(key, state)[1]

    def _read(self, key: str, state: int) -> tuple[tuple[Requirement, ...], Exclusion | None]:
        found = self._read_offers.get((key, state))
        if found is None:
            found = self._read_offers[key, state] = self._parse_offer(self.offer(key, state))
        return found

    def _parse_offer(self, offer: Offer | None) -> tuple[tuple[Requirement, ...], Exclusion | None]:
        if offer is None:
            return (), Exclusion("is listed but no longer exists", "are listed but no longer exist")
        excluded = self._apps.verdict(offer.compatibility).excluded
        if excluded:
            apps = " or ".join(excluded)
            return (), Exclusion(f"does not work with {apps}", f"do not work with {apps}", _TRY_ANOTHER)
        try:
            return tuple(self._requirement(name, text) for name, text in offer.dependencies.items()), None
        except UsageError as error:
            return (), Exclusion(
                f"has an invalid dependency. {error.message}", f"have an invalid dependency. {error.message}"
            )

    def _requirement(self, name: str, text: str) -> Requirement:
        found = self._requirements.get((name, text))
        if found is None:
            found = self._requirements[name, text] = Requirement(name, parse_range(text))
        return found
