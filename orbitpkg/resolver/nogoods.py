"""A search for one state of each variable such that no nogood holds; it learns from each conflict.

A variable is known by a key and has states, numbered from 0 and held in sets as the bits of an integer. State 0 is "not
there": a variable is decided on only once 0 is ruled out for it. A nogood is a set of states for each of some
variables: not all of them may be in those sets at once.

This is PubGrub (Natalie Weizenbaum, "PubGrub: Next-Generation Version Solving", 2018), which is conflict-driven clause
learning over version sets, with two simplifications that finite sets allow: positive and negative terms are both sets
of states, and what is known of a variable is one set. It is pure: what the states mean, the caller knows.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["ABSENT", "Clash", "Nogood", "Search", "TooHardError"]

ABSENT = 1
"""The set that holds state 0 alone."""

# Of how many conflicts a variable is decided on before all others. One conflict is chance: with 1 some registries of a
# thousand packages take eight times as many.
_SUSPECT = 2


class Nogood:
    """States that cannot be together.

    Attributes:
        terms: A set of states for each variable that this is about.
        fact: What the caller knows it from; None for what the search learned.
        parents: What it was learned from.
    """

    __slots__ = ("fact", "parents", "terms")

    def __init__(
        self, terms: Mapping[str, int], *, fact: object | None = None, parents: tuple[Nogood, ...] = ()
    ) -> None:
        self.terms = terms
        self.fact = fact
        self.parents = parents

    def roots(self) -> list[Nogood]:
        """Give the nogoods that this one was learned from in the end: those that state facts."""
        seen: set[int] = set()
        found: list[Nogood] = []
        stack = [self]
        while stack:
            nogood = stack.pop()
            if id(nogood) in seen:
                continue
            seen.add(id(nogood))
            if nogood.parents:
                stack.extend(reversed(nogood.parents))
            else:
                found.append(nogood)
        return found


class Clash(Exception):
    """There is no solution.

    Attributes:
        nogoods: The facts that rule out every one.
    """

    def __init__(self, nogoods: list[Nogood]) -> None:
        super().__init__()
        self.nogoods = nogoods


class TooHardError(Exception):
    """The search met more conflicts than it may."""


class _Step(NamedTuple):
    before: int
    level: int
    position: int
    cause: Nogood | None


class Search:
    """A search.

    Args:
        states: Gives all states of a variable.
        choose: Picks one state of a set for a variable, as a set.
        tell: Gives nogoods that the search must know of before it decides on a state of a variable; called once for
            each.
        max_conflicts: When to give up.
    """

    def __init__(
        self,
        states: Callable[[str], int],
        choose: Callable[[str, int], int],
        tell: Callable[[str, int], Iterable[Nogood]],
        *,
        max_conflicts: int,
    ) -> None:
        self._states = states
        self._choose = choose
        self._tell = tell
        self._conflicts_left = max_conflicts
        self._possible: dict[str, int] = {}
        self._all: dict[str, int] = {}
        # The nogoods about a variable, by the states of it that keep them from holding: many have these in common.
        self._about: dict[str, dict[int, list[Nogood]]] = {}
        self._steps: dict[str, list[_Step]] = {}
        self._trail: list[str] = []
        self._level = 0
        # What must be there and is undecided, in the order it came up; a dict is slow to take the first from.
        self._open: OrderedDict[str, None] = OrderedDict()
        self._told: dict[str, int] = {}
        self._blamed: dict[str, int] = {}
        self._suspects: set[str] = set()
        # What was narrowed and not looked at yet, and what was possible before.
        self._changed: list[tuple[str, int]] = []

    def run(self, nogoods: Iterable[Nogood]) -> dict[str, int]:
        """Find a state for each variable that cannot be absent.

        Args:
            nogoods: Those to begin with.

        Returns:
            The states, as sets of one.

        Raises:
            Clash: There is no solution.
            TooHardError: There were too many conflicts.
        """
        self._add(nogoods)
        while True:
            self._propagate()
            key = self._next()
            if key is None:
                break
            self._advance(key)
        return {key: state for key, state in self._possible.items() if not state & ABSENT}

    def _next(self) -> str | None:
        """The variable to decide on: the one that most conflicts were about, or else the one that waits longest."""
        suspects = self._suspects & self._open.keys()
        if suspects:
            return max(suspects, key=lambda key: (self._blamed[key], key))
        return next(iter(self._open), None)

    def _advance(self, key: str) -> None:
        """Decide on a state of a variable, unless what is known by now speaks against it."""
        level, state = self._level, self._choose(key, self._possible[key])
        self._recall(key, state)
        if not self._told.get(key, 0) & state:
            self._told[key] = self._told.get(key, 0) | state
            self._add(self._tell(key, state))
            self._propagate()
        if self._level == level and key in self._open and self._possible[key] & state:
            self._level += 1
            self._narrow(key, state, None)
            del self._open[key]

    def _recall(self, key: str, state: int) -> None:
        """Conclude anew what speaks against a state: what followed from facts found on a branch that was left."""
        for lacking, nogoods in self._about[key].items():
            if not lacking & state:
                for nogood in nogoods:
                    if self._holds(nogood):
                        self._learn(nogood)
                        return

    def _add(self, nogoods: Iterable[Nogood]) -> None:
        for nogood in nogoods:
            if not nogood.terms:
                raise Clash([nogood])
            for key in nogood.terms:
                if key not in self._possible:
                    self._possible[key] = self._all[key] = self._states(key)
                    self._about[key], self._steps[key] = {}, []
            self._register(nogood)
            if self._holds(nogood):
                self._learn(nogood)

    def _register(self, nogood: Nogood) -> None:
        for key, states in nogood.terms.items():
            self._about[key].setdefault(self._all[key] & ~states, []).append(nogood)

    def _narrow(self, key: str, states: int, cause: Nogood | None) -> None:
        before = self._possible[key]
        self._possible[key] = before & states
        self._steps[key].append(_Step(before, self._level, len(self._trail), cause))
        self._trail.append(key)
        self._changed.append((key, before))
        if before & ABSENT and not states & ABSENT:
            self._open[key] = None

    def _propagate(self) -> None:
        """Draw all conclusions; a conflict is learned from, and its cause taken back."""
        while self._changed:
            key, before = self._changed.pop()
            conflict = self._drawn(key, before)
            if conflict is not None:
                self._learn(conflict)
                # What was not looked at yet may speak of where the search is now.
                self._changed.append((key, self._all[key]))

    def _drawn(self, key: str, before: int) -> Nogood | None:
        """Draw the conclusions from what a variable became; gives a nogood that holds, if there is one."""
        possible = self._possible[key]
        for lacking, nogoods in self._about[key].items():
            # Only a term that holds by this change makes a nogood hold, or all but one of its terms.
            if not possible & lacking and before & lacking:
                for nogood in nogoods:
                    if self._holds(nogood):
                        return nogood
        return None

    def _holds(self, nogood: Nogood) -> bool:
        """Whether a nogood holds; if but one term of it is open, that one is ruled out."""
        possible, open_key, ruled_out = self._possible, None, 0
        for key, states in nogood.terms.items():
            there = possible[key]
            if there & ~states:
                if not there & states or open_key is not None:
                    return False
                open_key, ruled_out = key, states
        if open_key is None:
            return True
        self._narrow(open_key, ~ruled_out, nogood)
        return False

    def _learn(self, conflict: Nogood) -> None:
        """Learn why a nogood holds, and go back to where that could have been known.

        From a nogood that holds and the one that made its latest term hold, a third follows, without that step
        (resolution). It is repeated until the latest term is the only one of its level.
        """
        self._conflicts_left -= 1
        if self._conflicts_left < 0:
            raise TooHardError
        terms, parents = dict(conflict.terms), [conflict]
        while terms:
            latest, step, level_before = self._latest(terms)
            if step.level > level_before:
                break
            assert step.cause is not None, "a decision is the first step of its level"
            parents.append(step.cause)
            terms = self._resolve(terms, step.cause.terms, latest)
        learned = Nogood(terms, parents=tuple(parents)) if len(parents) > 1 else conflict
        if not terms:
            raise Clash(learned.roots())
        self._back_to(level_before)
        if learned is not conflict:
            self._register(learned)
        for key in terms:
            self._blamed[key] = self._blamed.get(key, 0) + 1
            if self._blamed[key] >= _SUSPECT:
                self._suspects.add(key)
        self._narrow(latest, ~terms[latest], learned)

    def _latest(self, terms: Mapping[str, int]) -> tuple[str, _Step, int]:
        """The term that came to hold last, the step that made it, and the level at which all others held."""
        steps = sorted(
            ((self._step_to(key, states), key) for key, states in terms.items()),
            key=lambda found: found[0].position,
        )
        step, key = steps[-1]
        return key, step, steps[-2][0].level if len(steps) > 1 else 0

    def _step_to(self, key: str, states: int) -> _Step:
        for step in reversed(self._steps[key]):
            if step.before & ~states:
                return step
        raise AssertionError(key)

    def _resolve(self, terms: Mapping[str, int], others: Mapping[str, int], on: str) -> dict[str, int]:
        resolved = dict(terms)
        for key, states in others.items():
            if key != on:
                resolved[key] = resolved.get(key, states) & states
        resolved[on] = terms[on] | others[on]
        if not self._all[on] & ~resolved[on]:
            del resolved[on]
        return resolved

    def _back_to(self, level: int) -> None:
        self._level = level
        for key in self._undone(level):
            step = self._steps[key].pop()
            self._possible[key] = step.before
            if step.before & ABSENT:
                self._open.pop(key, None)
            elif step.cause is None:
                self._open[key] = None

    def _undone(self, level: int) -> Iterator[str]:
        while self._trail and self._steps[self._trail[-1]][-1].level > level:
            yield self._trail.pop()
