"""Why nothing fits, in words that a person can act on.

The facts that a search ended on are a proof that there is no solution. It is made small: requirements are left out
one by one, and then facts, as long as what remains rules every solution out. What is left is told; and what would
change the outcome (a pre-release, a yanked version, another range) is tried out before it is recommended.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from orbitpkg.errors import ResolutionError
from orbitpkg.model.requirements import Requirement, VersionRange
from orbitpkg.resolver.facts import Asked, Needs, Refused, Withheld
from orbitpkg.resolver.nogoods import ABSENT, Clash, Nogood, Search, TooHardError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from orbitpkg.errors import OrbitError
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.offers import Source
    from orbitpkg.resolver.request import Request
    from orbitpkg.resolver.shelves import Shelf, Shelves

    AboutVersions: TypeAlias = Needs | Refused | Withheld
    Fact: TypeAlias = Asked | AboutVersions

__all__ = ["explain"]

# Each attempt to leave something out is a search of its own. More than these make no explanation shorter that anybody
# would read, and somebody is waiting for it.
_PATIENCE = 1_000
_MAX_ATTEMPTS = 300
_MAX_ASKED = 10
_MAX_LINES = 12
_MAX_RUNS = 4
_SHORT_RUN = 3


def explain(request: Request, clash: Clash, source: Source) -> OrbitError:
    """Say why nothing fits.

    Args:
        request: What has no solution.
        clash: The proof.
        source: Where releases were looked for.
    """
    # Where a package was asked for exactly, no other version was looked at, and what follows from that is no proof.
    request = replace(request, shelves=request.shelves.whole(), patience=_PATIENCE)
    clash = _clash_of(request) or clash
    facts = _fewest(clash.nogoods, request)
    for fact in [fact for fact in facts if isinstance(fact, Asked)][:_MAX_ASKED]:
        # Without it the proof falls, but there may be another.
        found = _clash_of(replace(request, asked=_asked_in(facts, without=fact)))
        facts = _fewest(found.nogoods, request) if found is not None else facts
    # In the order in which they were asked for.
    needed = {id(requirement) for requirement in _asked_in(facts)}
    asked = tuple(requirement for requirement in request.asked if id(requirement) in needed)
    return _Case(replace(request, asked=asked), source, facts).error()


def _asked_in(facts: Sequence[Fact], *, without: Fact | None = None) -> tuple[Requirement, ...]:
    return tuple(fact.requirement for fact in facts if isinstance(fact, Asked) and fact is not without)


def _clash_of(request: Request) -> Clash | None:
    try:
        request.solve()
    except Clash as clash:
        return clash
    except TooHardError:
        pass
    return None


def _fewest(nogoods: Sequence[Nogood], request: Request) -> list[Fact]:
    """Leave out each fact without which the others rule everything out too."""
    kept = list(nogoods)
    for nogood in list(nogoods)[:_MAX_ATTEMPTS]:
        if nogood in kept:
            found = _proof([other for other in kept if other is not nogood], request.shelves)
            kept = kept if found is None else found
    return [cast("Fact", nogood.fact) for nogood in kept]


def _proof(nogoods: Sequence[Nogood], shelves: Shelves) -> list[Nogood] | None:
    search = Search(
        lambda key: shelves.shelf(key).all,
        lambda _, states: ABSENT << states.bit_length() - 1,
        lambda _key, _state: (),
        max_conflicts=_PATIENCE,
    )
    try:
        search.run(nogoods)
    except Clash as clash:
        return clash.nogoods
    except TooHardError:
        pass
    return None


class _Case:
    """The facts to be told."""

    def __init__(self, request: Request, source: Source, facts: Sequence[Fact]) -> None:
        self._request = request
        self._shelves = request.shelves
        self._source = source
        self._asked = request.asked
        self._facts = facts

    def error(self) -> OrbitError:
        """Make the error that tells them."""
        dead_ends = list(self._dead_ends())
        if len(dead_ends) == 1 and self._all_leads_to(dead_ends[0]):
            return self._not_there(dead_ends[0])
        lines = list(self._lines())
        head = self._head()
        return ResolutionError(
            _told(f"{head}:", lines) if lines else f"{head}{self._what_there_is()}.",
            hint=" ".join(self._hints()) or None,
            requirements=[str(requirement) for requirement in self._asked],
            because=lines,
        )

    def _what_there_is(self) -> str:
        shelf = self._shelf(self._asked[0])
        return f"; there is {_runs(shelf, shelf.all & ~ABSENT)}"

    # What there is not.

    def _dead_ends(self) -> Iterator[Requirement]:
        """Give the requirements that nothing at all can meet."""
        facts = [fact for fact in self._facts if not _needs_itself(fact)]
        for requirement in dict.fromkeys(fact.requirement for fact in facts if isinstance(fact, Asked | Needs)):
            if not self._shelf(requirement).allowed(requirement.range):
                yield requirement

    def _all_leads_to(self, dead_end: Requirement) -> bool:
        """Whether nothing is told but who needs what there is not."""
        if len(self._asked) > 1 or any(isinstance(fact, Refused | Withheld) for fact in self._facts):
            return False
        needs = [fact for fact in self._facts if isinstance(fact, Needs)]
        needy = {fact.key for fact in needs}
        return all(fact.requirement == dead_end or fact.requirement.key in needy for fact in needs)

    def _not_there(self, requirement: Requirement) -> OrbitError:
        """Let the source say what there is instead, and say who wanted it."""
        error = self._source.nothing_found(requirement.key, str(requirement), self._shelf(requirement).versions)
        lines = list(self._lines(remarks=False))
        if lines:
            error.message = _told(error.message, lines)
            error.data["because"] = lines
        return error

    # What is told.

    def _head(self) -> str:
        words = [str(requirement) for requirement in self._asked]
        if len(words) == 1:
            return f"Nothing fits {words[0]}"
        return f"Nothing fits {'both ' if len(words) == 2 else 'all of '}{_listed(words)}"  # noqa: PLR2004

    def _lines(self, *, remarks: bool = True) -> Iterator[str]:
        """Tell the facts, from what was asked for to what that needs; ``remarks`` say what there is not."""
        keys = list(dict.fromkeys(requirement.key for requirement in self._asked))
        for key in keys:
            for fact in self._merged(key):
                yield self._said(fact) + (self._remark(fact) if remarks else "")
                if isinstance(fact, Needs) and fact.requirement.key not in keys:
                    keys.append(fact.requirement.key)

    def _merged(self, key: str) -> list[AboutVersions]:
        """Give the facts about a package's versions, those that say the same of several as one; the newest first."""
        merged: dict[tuple[object, ...], AboutVersions] = {}
        for fact in self._facts:
            if isinstance(fact, Asked) or fact.key != key:
                continue
            said = type(fact), _matter(fact)
            before = merged.get(said)
            states = fact.states | (before.states if before is not None else 0)
            merged[said] = replace(fact, states=states & (self._relevant(key) or states))
        # A proof may speak of versions that nobody wants: there is nothing to say of those.
        return sorted((fact for fact in merged.values() if fact.states), key=lambda fact: -fact.states)

    def _relevant(self, key: str) -> int:
        """The versions of a package that anybody wants."""
        shelf = self._shelves.shelf(key)
        found = shelf.all
        for fact in self._facts:
            if isinstance(fact, Asked) and fact.requirement.key == key:
                found &= shelf.allowed(fact.requirement.range)
        if found != shelf.all:
            return found
        found = 0
        for fact in self._facts:
            if isinstance(fact, Asked | Needs) and fact.requirement.key == key:
                found |= shelf.allowed(fact.requirement.range)
        return found

    def _said(self, fact: AboutVersions) -> str:
        shelf = self._shelves.shelf(fact.key)
        subject, several = f"{fact.key} {_runs(shelf, fact.states)}", fact.states.bit_count() > 1
        match fact:
            case Needs():
                return f"{subject} {'need' if several else 'needs'} {fact.requirement}"
            case Refused():
                return f"{subject} {fact.flaw.several if several else fact.flaw.one}"
            case Withheld(reason=None):
                return f"{subject} {'are pre-releases' if several else 'is a pre-release'}"
            case Withheld():
                return f"{subject} {'were' if several else 'was'} yanked{f': {fact.reason}' if fact.reason else ''}"

    def _remark(self, fact: Fact) -> str:
        if not isinstance(fact, Needs):
            return ""
        if _needs_itself(fact):
            return ", another version of itself"
        requirement, shelf = fact.requirement, self._shelf(fact.requirement)
        if not shelf.versions:
            return f", and there is no package {requirement.name}"
        if not shelf.allowed(requirement.range):
            return f", and there is only {_runs(shelf, shelf.all & ~ABSENT)}"
        return ""

    def _shelf(self, requirement: Requirement) -> Shelf:
        return self._shelves.shelf(requirement.key)

    # What can be done.

    def _hints(self) -> Iterator[str]:
        yield from self._hint_prereleases()
        yield from self._hint_yanked()
        yield from dict.fromkeys(fact.flaw.hint for fact in self._facts if isinstance(fact, Refused) and fact.flaw.hint)
        yield from list(self._hint_ranges()) or self._hint_others()

    def _hint_prereleases(self) -> Iterator[str]:
        found = self._tried(prereleases=True)
        if found:
            there = [f"{key} {version}" for key, version in found.items() if version.prerelease]
            yield f"With pre-releases there is a way: --pre takes {_listed(there)}."

    def _hint_yanked(self) -> Iterator[str]:
        found = self._tried(yanked=True)
        for key, version in (found or {}).items():
            offer = self._shelves.offer(key, self._shelves.shelf(key).state(version))
            if offer is not None and offer.yanked is not None:
                why = f": {offer.yanked}" if offer.yanked else ""
                yield f"{key} {version} would fit, but was yanked{why}. To have it all the same: {key}=={version}"

    def _hint_ranges(self) -> Iterator[str]:
        for requirement in self._asked if len(self._asked) > 1 else ():
            others = tuple(other for other in self._asked if other is not requirement)
            bare = Requirement(requirement.name, VersionRange(()))
            found = self._tried(asked=(*others, bare)) if requirement.range.text else None
            if found:
                yield f"Instead of {requirement}, {requirement.key} {found[requirement.key]} would fit."

    def _hint_others(self) -> Iterator[str]:
        for requirement in self._asked if len(self._asked) > 1 else ():
            others = tuple(other for other in self._asked if other is not requirement)
            if self._tried(asked=others) is not None:
                rest = str(others[0]) if len(others) == 1 else "the others"
                yield f"Without {requirement}, {rest} can be had."

    def _tried(self, **changes: object) -> dict[str, Version] | None:
        try:
            found = replace(self._request, **changes).solve()  # type: ignore[arg-type]
        except (Clash, TooHardError):
            return None
        return {key: self._shelves.shelf(key).version(state) for key, state in found.items()}


def _matter(fact: AboutVersions) -> object:
    """What a fact says of versions, whichever these are."""
    match fact:
        case Needs():
            return str(fact.requirement)
        case Refused():
            return fact.flaw
        case Withheld():
            return fact.reason


def _needs_itself(fact: Fact) -> bool:
    return isinstance(fact, Needs) and fact.requirement.key == fact.key


def _told(head: str, lines: Sequence[str]) -> str:
    if len(lines) > _MAX_LINES:
        lines = [*lines[: _MAX_LINES - 1], f"and {len(lines) - _MAX_LINES + 1} more like these"]
    return "\n".join([head, *(f"  {line}" for text in lines for line in text.split("\n"))])


def _runs(shelf: Shelf, states: int) -> str:
    """Name versions; many that follow one another by the first and the last of them."""
    runs: list[list[Version]] = []
    before = -1
    for at, version in enumerate(shelf.versions):
        if states & shelf.state(version):
            if at != before + 1 or not runs:
                runs.append([])
            runs[-1].append(version)
            before = at
    words = [word for run in runs for word in (map(str, run) if len(run) <= _SHORT_RUN else [f"{run[0]} to {run[-1]}"])]
    return _listed(words if len(words) <= _MAX_RUNS else [*words[:_MAX_RUNS], f"{len(words) - _MAX_RUNS} more"])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
