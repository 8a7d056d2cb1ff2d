"""What rules versions out, as nogoods: what was asked for, what each version needs, what nobody may have unasked.

A search is told of the facts about a version when it is about to decide on it, so that nothing is read of versions
that do not matter. When it comes back to a package, the facts about more and more versions that need the same are told
as one (twice as many each time): a hundred versions that all need what cannot be had are ruled out in a few steps.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from orbitpkg.resolver.nogoods import ABSENT, Nogood

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.shelves import Flaw, Shelf, Shelves

__all__ = ["Asked", "Facts", "Needs", "Refused", "SupportFound", "Withheld"]


# More versions than this at once no package has.
_MAX_DOUBLINGS = 20


@dataclass(frozen=True, slots=True)
class Asked:
    """Somebody asked for a package."""

    requirement: Requirement


@dataclass(frozen=True, slots=True)
class Needs:
    """Some versions of a package depend on another."""

    key: str
    states: int
    requirement: Requirement


@dataclass(frozen=True, slots=True)
class Refused:
    """Nobody here can have some versions."""

    key: str
    states: int
    flaw: Flaw


@dataclass(frozen=True, slots=True)
class Withheld:
    """Some versions are had only by who names them; ``reason`` is why a version was yanked, None for pre-releases."""

    key: str
    states: int
    reason: str | None


class SupportFound(Exception):
    """A release turned out to name what was taken for withheld: the search must begin anew."""


class _Guard(NamedTuple):
    """What is withheld of a package: its pre-releases (state 0), or one yanked version (its state)."""

    key: str
    state: int


class Facts:
    """The facts about one request.

    Args:
        shelves: The packages there are.
        asked: What was asked for.
        prefer: Versions to take before newer ones, by canonical name; they are not withheld.
        prereleases: Whether pre-releases are not withheld.
        yanked: Whether yanked versions are not withheld.
    """

    def __init__(
        self,
        shelves: Shelves,
        asked: Sequence[Requirement],
        prefer: Mapping[str, Version],
        *,
        prereleases: bool = False,
        yanked: bool = False,
    ) -> None:
        self._shelves = shelves
        self._asked = asked
        self._prefer = prefer
        self._named = {requirement.key for requirement in asked if requirement.range.mentions_prerelease}
        self._exact = {(requirement.key, requirement.range.exact) for requirement in asked if requirement.range.exact}
        self._prereleases = prereleases
        self._yanked = yanked
        # Which versions of which packages name what is withheld; this outlives a search that begins anew.
        self._support: dict[_Guard, dict[str, int]] = {}
        self._unfounded: set[tuple[_Guard, str]] = set()
        self._begin()

    def _begin(self) -> None:
        self._guarded: set[_Guard] = set()
        self._seen: set[str] = set()
        self._told: dict[tuple[str, str, str], int] = {}
        self._visits: dict[str, int] = {}

    def first(self) -> Iterator[Nogood]:
        """Give the nogoods to begin a search with; what was told before is told again."""
        self._begin()
        for requirement in self._asked:
            shelf = self._shelves.shelf(requirement.key)
            yield from self._opening(shelf)
            states = shelf.all & ~shelf.allowed(requirement.range)
            yield Nogood(_without(shelf, {shelf.key: states}), fact=Asked(requirement))

    def states(self, key: str) -> int:
        """Give all states of a package."""
        return self._shelves.shelf(key).all

    def choose(self, key: str, states: int) -> int:
        """Pick the preferred version, or else the newest."""
        version = self._prefer.get(key)
        preferred = self._shelves.shelf(key).state(version) & states if version is not None else 0
        return preferred or ABSENT << states.bit_length() - 1

    def tell(self, key: str, state: int) -> Iterator[Nogood]:
        """Give what must be known of a version before it is decided on."""
        visits = self._visits.get(key, 0)
        self._visits[key] = visits + 1
        shelf, reach = self._shelves.shelf(key), (1 << min(visits, _MAX_DOUBLINGS)) - 1
        flaw = self._shelves.flaw(key, state)
        if flaw is not None:
            states = self._alike(shelf, state, reach, lambda near: self._shelves.flaw(key, near) == flaw)
            yield Nogood({key: states}, fact=Refused(key, states, flaw))
            return
        yield from self._yank(shelf, state)
        for requirement in self._shelves.wants(key, state):
            yield from self._need(shelf, state, reach, requirement)

    def is_founded(self, chosen: Mapping[str, int]) -> bool:
        """Whether somebody names each withheld version that was chosen; if not, a new search will not choose it so.

        Args:
            chosen: The states that were chosen, of packages that somebody needs.
        """
        strangers = {
            (guard, key)
            for guard, supporters in self._support.items()
            if guard in self._guarded and self._breaks(guard, chosen)
            if not any(chosen.get(key, 0) & states for key, states in supporters.items())
            for key in supporters
            if key not in chosen
        }
        self._unfounded |= strangers
        return not strangers

    def find_support(self, facts: Iterable[object]) -> bool:
        """Look whether anything that could be needed names what was taken for withheld; if so, search again.

        Every version of every such package is looked at, which only happens before it is said that nothing fits.

        Args:
            facts: Those that a search ended on.
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
        seen = set(keys)
        for key in keys:
            shelf = self._shelves.shelf(key)
            for state in map(shelf.state, shelf.versions):
                for requirement in self._shelves.wants(key, state):
                    yield key, state, requirement
                    if requirement.key not in seen:
                        seen.add(requirement.key)
                        keys.append(requirement.key)

    def _breaks(self, guard: _Guard, chosen: Mapping[str, int]) -> bool:
        held = guard.state or self._held_back(self._shelves.shelf(guard.key))
        return bool(chosen.get(guard.key, 0) & held)

    def _need(self, shelf: Shelf, state: int, reach: int, requirement: Requirement) -> Iterator[Nogood]:
        place = shelf.key, requirement.key, requirement.range.text
        if self._told.get(place, 0) & state:
            return
        states = self._alike(shelf, state, reach, lambda near: self._wants_the_same(shelf.key, near, requirement))
        self._told[place] = self._told.get(place, 0) | states
        other = self._shelves.shelf(requirement.key)
        self._note_support(shelf.key, states, requirement)
        yield from self._opening(other)
        lacking = other.all & ~other.allowed(requirement.range)
        if other is shelf:
            # A version that needs another version of its own package can never be had; one that allows itself is fine.
            terms = {shelf.key: states & lacking} if states & lacking else None
        else:
            terms = _without(other, {shelf.key: states, other.key: lacking})
        if terms is not None:
            yield Nogood(terms, fact=Needs(shelf.key, states, requirement))

    def _wants_the_same(self, key: str, state: int, requirement: Requirement) -> bool:
        text = requirement.range.text
        return any(
            other.key == requirement.key and other.range.text == text for other in self._shelves.wants(key, state)
        )

    def _alike(self, shelf: Shelf, state: int, reach: int, test: Callable[[int], bool]) -> int:
        """Give the states around one that are as it is, without a gap."""
        found = state
        for direction in shelf.around(state, reach):
            for near in direction:
                if not test(near):
                    break
                found |= near
        return found

    # What is withheld.

    def _opening(self, shelf: Shelf) -> Iterator[Nogood]:
        """Give what withholds the pre-releases of a package, when it is first met."""
        if shelf.key in self._seen:
            return
        self._seen.add(shelf.key)
        states = self._held_back(shelf)
        if states:
            yield self._guard(_Guard(shelf.key, 0), Withheld(shelf.key, states, None))

    def _held_back(self, shelf: Shelf) -> int:
        if self._prereleases or shelf.key in self._named:
            return 0
        preferred = self._prefer.get(shelf.key)
        return shelf.prereleases & ~(shelf.state(preferred) if preferred is not None else 0)

    def _yank(self, shelf: Shelf, state: int) -> Iterator[Nogood]:
        offer, version = self._shelves.offer(shelf.key, state), shelf.version(state)
        if offer is None or offer.yanked is None or self._yanked:
            return
        if (shelf.key, version) not in self._exact and self._prefer.get(shelf.key) != version:
            guard = _Guard(shelf.key, state)
            if guard not in self._guarded:
                yield self._guard(guard, Withheld(shelf.key, state, offer.yanked))

    def _guard(self, guard: _Guard, fact: Withheld) -> Nogood:
        """Say that what is withheld cannot be without one of those who name it."""
        self._guarded.add(guard)
        terms = {fact.key: fact.states}
        for key, states in self._support.get(guard, {}).items():
            if (guard, key) not in self._unfounded:
                terms[key] = self._shelves.shelf(key).all & ~states
        return Nogood(terms, fact=fact)

    def _note_support(self, key: str, states: int, requirement: Requirement) -> None:
        for guard in self._guards_named(key, requirement):
            supporters = self._support.setdefault(guard, {})
            before = supporters.get(key, 0)
            supporters[key] = before | states
            if guard in self._guarded and states & ~before and (guard, key) not in self._unfounded:
                raise SupportFound

    def _guards_named(self, key: str, requirement: Requirement) -> list[_Guard]:
        """Give what a requirement of a package's versions names, but for what is its own."""
        if requirement.key == key:
            return []
        guards = [_Guard(requirement.key, 0)] if requirement.range.mentions_prerelease else []
        exact = requirement.range.exact
        state = self._shelves.shelf(requirement.key).state(exact) if exact is not None else 0
        return [*guards, _Guard(requirement.key, state)] if state else guards


def _without(shelf: Shelf, terms: dict[str, int]) -> dict[str, int]:
    """Leave out a term that always holds."""
    return {key: states for key, states in terms.items() if key != shelf.key or shelf.all & ~states}
