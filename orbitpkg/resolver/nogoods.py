"""A search for an assignment of states to variables in which no nogood holds. It learns from each conflict.

A variable has a key and states. States are numbered from 0, and a set of states is an integer whose bits are the
states. State 0 means "absent": the search decides on a variable only once state 0 is excluded. A nogood maps some
variables to sets of states; it holds, and so forbids an assignment, when each variable's state is in its set.

This is PubGrub (Natalie Weizenbaum, "PubGrub: Next-Generation Version Solving", 2018), which is conflict-driven clause
learning over version sets, with two simplifications that finite sets allow: positive and negative terms are both sets
of states, and the knowledge about a variable is one set. What the states mean is up to the caller.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["ABSENT", "Clash", "Nogood", "Search", "TooHardError"]

ABSENT = 1
"""The set that holds state 0 alone."""

# The number of conflicts after which a variable is decided on before all others. A single conflict may be chance: with
# 1, some registries of a thousand packages take eight times as many conflicts.
_SUSPECT = 2


class Nogood:
    """States that cannot occur together.

    Attributes:
        terms: A set of states for each variable concerned.
        fact: The caller's fact behind the nogood; None for a learned nogood.
        parents: The nogoods that a learned one was derived from.
    """

    __slots__ = ("fact", "parents", "terms")

    def __init__(
        self, terms: Mapping[str, int], *, fact: object | None = None, parents: tuple[Nogood, ...] = ()
    ) -> None:
        self.terms = terms
        self.fact = fact
        self.parents = parents

    def roots(self) -> list[Nogood]:
        """Return the nogoods with facts that this one was derived from, directly or indirectly."""
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
    """No solution exists.

    Attributes:
        nogoods: Facts that together exclude every solution.
    """

    def __init__(self, nogoods: list[Nogood]) -> None:
        super().__init__()
        self.nogoods = nogoods


class TooHardError(Exception):
    """The search reached its limit of conflicts."""


class _Step(NamedTuple):
    before: int
    level: int
    position: int
    cause: Nogood | None


class Search:
    """A search.

    Args:
        states: Returns all states of a variable.
        choose: Returns one state of a set, as a set.
        tell: Yields the nogoods that the search must know before it decides on a state. Called once for each state.
        max_conflicts: The number of conflicts after which the search gives up.
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
        # The nogoods about a variable, by the states that keep them from holding, which many have in common.
        self._about: dict[str, dict[int, list[Nogood]]] = {}
        self._steps: dict[str, list[_Step]] = {}
        self._trail: list[str] = []
        self._level = 0
        # Undecided variables that cannot be absent, in order. A plain dict is slow at removing its first key.
        self._open: OrderedDict[str, None] = OrderedDict()
        self._told: dict[str, int] = {}
        self._blamed: dict[str, int] = {}
        self._suspects: set[str] = set()
        # Narrowed variables whose consequences are not drawn yet, with their states before.
        self._changed: list[tuple[str, int]] = []

    def run(self, nogoods: Iterable[Nogood]) -> dict[str, int]:
        """Find a state for each variable that cannot be absent.

        Args:
            nogoods: The nogoods to start with.

        Returns:
            The states, each as a set of one.

        Raises:
            Clash: No solution exists.
            TooHardError: The limit of conflicts was reached.
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
        """Return the variable to decide on: the one with the most conflicts, or else the one waiting longest."""
        suspects = self._suspects & self._open.keys()
        if suspects:
            return max(suspects, key=lambda key: (self._blamed[key], key))
        return next(iter(self._open), None)

    def _advance(self, key: str) -> None:
        """Decide on a state of a variable, unless the nogoods known by now exclude it."""
        level, state = self._level, self._choose(key, self._possible[key])
        self._recall(key, state)
        if not self._told.get(key, 0) & state:
            self._told[key] = self._told.get(key, 0) | state
            self._add(self._tell(key, state))
            self._propagate()
        # The new nogoods may have undone this level or excluded the state. Then the search decides again.
        if self._level == level and key in self._open and self._possible[key] & state:
            self._level += 1
            self._narrow(key, state, None)
            del self._open[key]

    def _recall(self, key: str, state: int) -> None:
        """Draw conclusions against a state again that were lost when the search left another branch."""
        for lacking, nogoods in self._about[key].items():
            if not lacking & state:
                for nogood in nogoods:
                    if self._holds(nogood):
                        self._learn(nogood)
                        return

    def _add(self, nogoods: Iterable[Nogood]) -> None:
        for nogood in nogoods:
            # A nogood without terms always holds, so nothing can satisfy the request.
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
        """Draw all conclusions. Learn from a conflict, and undo its cause."""
        while self._changed:
            key, before = self._changed.pop()
            conflict = self._drawn(key, before)
            if conflict is not None:
                self._learn(conflict)
                # The remaining changes may concern the state that the search went back to.
                self._changed.append((key, self._all[key]))

    def _drawn(self, key: str, before: int) -> Nogood | None:
        """Draw the conclusions from a change of a variable; return a nogood that holds, or None."""
        possible = self._possible[key]
        for lacking, nogoods in self._about[key].items():
            # Only nogoods with a term that holds since this change can hold now, or lack a single term.
            if not possible & lacking and before & lacking:
                for nogood in nogoods:
                    if self._holds(nogood):
                        return nogood
        return None

    def _holds(self, nogood: Nogood) -> bool:
        """Return whether a nogood holds. If all terms but one hold, exclude the states of that one."""
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
        """Learn from a nogood that holds, and go back to the level where the conflict could have been avoided.

        A nogood that holds and the nogood that made its latest term hold imply a third one without that step
        (resolution). This is repeated until the latest term is the only one of its level.
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
        # At the earlier level, all terms but one of the learned nogood hold, so it excludes the states of that one.
        self._narrow(latest, ~terms[latest], learned)

    def _latest(self, terms: Mapping[str, int]) -> tuple[str, _Step, int]:
        """Return the term that came to hold last, the step that caused it, and the level at which all others held."""
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
