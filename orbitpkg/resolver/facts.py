"""The facts that exclude versions, as nogoods: requirements, dependencies, exclusions and withheld versions.

The search receives the facts about a version when it is about to select it, so irrelevant versions are never read.
Each time it returns to a package, one fact covers twice as many neighbouring versions with the same dependency. So a
hundred versions that share an unsatisfiable dependency are excluded in a few steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orbitpkg.resolver.nogoods import ABSENT, Nogood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.packages import Exclusion, Packages, PackageVersions

__all__ = ["Excluded", "Facts", "Needs", "Required", "SupportFound", "Withheld"]


# Two to this power exceeds the number of versions of any package.
_MAX_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Required:
    """The user requires a package."""

    requirement: Requirement


@dataclass(frozen=True, slots=True)
class Needs:
    """Some versions of a package depend on another."""

    key: str
    states: int
    requirement: Requirement


@dataclass(frozen=True, slots=True)
class Excluded:
    """Some versions of a package cannot be selected."""

    key: str
    states: int
    exclusion: Exclusion


@dataclass(frozen=True, slots=True)
class Withheld:
    """Some versions are selected only on request. ``reason`` is why one was yanked; it is None for pre-releases."""

    key: str
    states: int
    reason: str | None


class SupportFound(Exception):
    """A release turned out to request a version that was considered withheld: the search must start again."""


class _Guard(NamedTuple):
    """The withheld versions of a package: its pre-releases (state 0), or one yanked version (its state)."""

    key: str
    state: int


class Facts:
    """The facts about one request.

    Args:
        packages: The packages of the source.
        asked: The user's requirements.
        prefer: Versions to prefer to newer ones, by canonical name. They are never withheld.
        prereleases: Whether pre-releases are candidates by default.
        yanked: Whether yanked versions are candidates by default.
    """

    def __init__(
        self,
        packages: Packages,
        asked: Sequence[Requirement],
        prefer: Mapping[str, Version],
        *,
        prereleases: bool = False,
        yanked: bool = False,
    ) -> None:
        self._packages = packages
        self._asked = asked
        self._prefer = prefer
        self._named = {requirement.key for requirement in asked if requirement.range.mentions_prerelease}
        self._exact = {(requirement.key, requirement.range.exact) for requirement in asked if requirement.range.exact}
        self._prereleases = prereleases
        self._yanked = yanked
        # Which versions of which packages request withheld versions. Kept when the search starts again.
        self._support: dict[_Guard, dict[str, int]] = {}
        self._unfounded: set[tuple[_Guard, str]] = set()
        self._begin()

    def _begin(self) -> None:
        self._guarded: set[_Guard] = set()
        self._seen: set[str] = set()
        self._given: dict[tuple[str, str, str], int] = {}
        self._visits: dict[str, int] = {}

    def first(self) -> Iterator[Nogood]:
        """Yield the nogoods to start a search with. Facts given to an earlier search are given again."""
        self._begin()
        for requirement in self._asked:
            package = self._packages.package(requirement.key)
            yield from self._opening(package)
            states = package.all & ~package.allowed(requirement.range)
            yield Nogood(_without(package, {package.key: states}), fact=Required(requirement))

    def states(self, key: str) -> int:
        """Return all states of a package."""
        return self._packages.package(key).all

    def choose(self, key: str, states: int) -> int:
        """Return the preferred version among states, or else the newest."""
        version = self._prefer.get(key)
        preferred = self._packages.package(key).state(version) & states if version is not None else 0
        return preferred or ABSENT << states.bit_length() - 1

    def facts_about(self, key: str, state: int) -> Iterator[Nogood]:
        """Yield the facts that the search must know before it selects a version."""
        visits = self._visits.get(key, 0)
        self._visits[key] = visits + 1
        package, reach = self._packages.package(key), (1 << min(visits, _MAX_DOUBLINGS)) - 1
        exclusion = self._packages.exclusion(key, state)
        if exclusion is not None:
            states = self._alike(package, state, reach, lambda near: self._packages.exclusion(key, near) == exclusion)
            yield Nogood({key: states}, fact=Excluded(key, states, exclusion))
            return
        yield from self._yank(package, state)
        for requirement in self._packages.dependencies(key, state):
            yield from self._need(package, state, reach, requirement)

    def is_founded(self, chosen: Mapping[str, int]) -> bool:
        """Return whether a selected package requests each withheld version that was selected.

        If not, the next search will not select it for the same reason.

        Args:
            chosen: The selected states of all packages that are needed.
        """
        unsupported = {
            (guard, key)
            for guard, supporters in self._support.items()
            if guard in self._guarded and self._breaks(guard, chosen)
            if not any(chosen.get(key, 0) & states for key, states in supporters.items())
            for key in supporters
            if key not in chosen
        }
        self._unfounded |= unsupported
        return not unsupported

    def find_support(self, facts: Iterable[object]) -> bool:
        """Return whether any reachable version requests a version that was considered withheld.

        If so, the search must start again. This reads every version of every reachable package, so it is done only
        before the request is declared unsolvable.

        Args:
            facts: The facts that the search ended on.
        """
        guards = {
            _Guard(fact.key, 0 if fact.reason is None else fact.states) for fact in facts if isinstance(fact, Withheld)
        }
        found = False
        for key, state, requirement in self._reachable() if guards else ():
            for guard in guards.intersection(self._guards_named(key, requirement)):
                supporters = self._support.setdefault(guard, {})
                found |= (guard, key) not in self._unfounded and not supporters.get(key, 0) & state
                supporters[key] = supporters.get(key, 0) | state
        return found

    def _reachable(self) -> Iterator[tuple[str, int, Requirement]]:
        keys = list(dict.fromkeys(requirement.key for requirement in self._asked))
        # Dependencies can form cycles.
        seen = set(keys)
        for key in keys:
            package = self._packages.package(key)
            for state in map(package.state, package.versions):
                for requirement in self._packages.dependencies(key, state):
                    yield key, state, requirement
                    if requirement.key not in seen:
                        seen.add(requirement.key)
                        keys.append(requirement.key)

    def _breaks(self, guard: _Guard, chosen: Mapping[str, int]) -> bool:
        held = guard.state or self._withheld_prereleases(self._packages.package(guard.key))
        return bool(chosen.get(guard.key, 0) & held)

    def _need(self, package: PackageVersions, state: int, reach: int, requirement: Requirement) -> Iterator[Nogood]:
        link = package.key, requirement.key, requirement.range.text
        if self._given.get(link, 0) & state:
            return
        states = self._alike(package, state, reach, lambda near: self._wants_the_same(package.key, near, requirement))
        self._given[link] = self._given.get(link, 0) | states
        other = self._packages.package(requirement.key)
        self._note_support(package.key, states, requirement)
        yield from self._opening(other)
        lacking = other.all & ~other.allowed(requirement.range)
        if other is package:
            # A version that depends on a different version of its own package excludes itself.
            terms = {package.key: states & lacking} if states & lacking else None
        else:
            terms = _without(other, {package.key: states, other.key: lacking})
        if terms is not None:
            yield Nogood(terms, fact=Needs(package.key, states, requirement))

    def _wants_the_same(self, key: str, state: int, requirement: Requirement) -> bool:
        text = requirement.range.text
        return any(
            other.key == requirement.key and other.range.text == text
            for other in self._packages.dependencies(key, state)
        )

    def _alike(self, package: PackageVersions, state: int, reach: int, test: Callable[[int], bool]) -> int:
        """Return the contiguous states around one that pass a test."""
        found = state
        for direction in package.around(state, reach):
            for near in direction:
                if not test(near):
                    break
                found |= near
        return found

    def _opening(self, package: PackageVersions) -> Iterator[Nogood]:
        """Yield the nogood that withholds a package's pre-releases, the first time the package comes up."""
        if package.key in self._seen:
            return
        self._seen.add(package.key)
        states = self._withheld_prereleases(package)
        if states:
            yield self._guard(_Guard(package.key, 0), Withheld(package.key, states, None))

    def _withheld_prereleases(self, package: PackageVersions) -> int:
        if self._prereleases or package.key in self._named:
            return 0
        preferred = self._prefer.get(package.key)
        return package.prereleases & ~(package.state(preferred) if preferred is not None else 0)

    def _yank(self, package: PackageVersions, state: int) -> Iterator[Nogood]:
        offer, version = self._packages.offer(package.key, state), package.version(state)
        if offer is None or offer.yanked is None or self._yanked:
            return
        if (package.key, version) not in self._exact and self._prefer.get(package.key) != version:
            guard = _Guard(package.key, state)
            if guard not in self._guarded:
                yield self._guard(guard, Withheld(package.key, state, offer.yanked))

    def _guard(self, guard: _Guard, fact: Withheld) -> Nogood:
        """Return the nogood that withheld versions require one of the versions that request them."""
        self._guarded.add(guard)
        terms = {fact.key: fact.states}
        for key, states in self._support.get(guard, {}).items():
            if (guard, key) not in self._unfounded:
                terms[key] = self._packages.package(key).all & ~states
        return Nogood(terms, fact=fact)

    def _note_support(self, key: str, states: int, requirement: Requirement) -> None:
        for guard in self._guards_named(key, requirement):
            supporters = self._support.setdefault(guard, {})
            before = supporters.get(key, 0)
            supporters[key] = before | states
            if guard in self._guarded and states & ~before and (guard, key) not in self._unfounded:
                raise SupportFound

    def _guards_named(self, key: str, requirement: Requirement) -> list[_Guard]:
        """Return the withheld versions that a dependency requests; a package cannot request its own."""
        if requirement.key == key:
            return []
        guards = [_Guard(requirement.key, 0)] if requirement.range.mentions_prerelease else []
        exact = requirement.range.exact
        state = self._packages.package(requirement.key).state(exact) if exact is not None else 0
        return [*guards, _Guard(requirement.key, state)] if state else guards


def _without(package: PackageVersions, terms: dict[str, int]) -> dict[str, int]:
    """Remove the term of a package if it always holds."""
    return {key: states for key, states in terms.items() if key != package.key or package.all & ~states}
