"""Explanations of why requirements cannot be satisfied.

The facts that a search ends on prove that no solution exists. The proof is minimized: requirements, and then facts,
are removed one by one as long as the rest still excludes every solution. The explanation states what remains. Each
recommendation (a pre-release, a yanked version, another range) is verified by solving the changed request.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from orbitpkg.errors import ResolutionError
from orbitpkg.model.requirements import Requirement, VersionRange
from orbitpkg.resolver.facts import Excluded, Needs, Required, Withheld
from orbitpkg.resolver.nogoods import ABSENT, Clash, Nogood, Search, TooHardError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from orbitpkg.errors import OrbitError
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.offers import Source
    from orbitpkg.resolver.packages import Packages, PackageVersions
    from orbitpkg.resolver.request import Request

    AboutVersions: TypeAlias = Needs | Excluded | Withheld
    Fact: TypeAlias = Required | AboutVersions

__all__ = ["explain"]

# Each attempt to remove a fact costs a search while the user waits, and an explanation that needs more than these is
# too long to read in any case.
_MAX_CONFLICTS = 1_000
_MAX_ATTEMPTS = 300
_MAX_ASKED = 10
_MAX_LINES = 12
_MAX_RUNS = 4
_SHORT_RUN = 3


def explain(request: Request, clash: Clash, source: Source) -> OrbitError:
    """Return the error that explains why a request has no solution.

    Args:
        request: The request.
        clash: The proof that it has no solution.
        source: The source of releases.
    """
    # If the user requires an exact version, the search did not see the others, so its proof may not hold for them.
    request = replace(request, packages=request.packages.whole(), max_conflicts=_MAX_CONFLICTS)
    clash = _clash_of(request) or clash
    facts = _fewest(clash.nogoods, request)
    for fact in [fact for fact in facts if isinstance(fact, Required)][:_MAX_ASKED]:
        # Without this requirement the proof does not hold, but another one may.
        found = _clash_of(replace(request, asked=_asked_in(facts, without=fact)))
        facts = _fewest(found.nogoods, request) if found is not None else facts
    # The user's order.
    needed = {id(requirement) for requirement in _asked_in(facts)}
    asked = tuple(requirement for requirement in request.asked if id(requirement) in needed)
    return _Case(replace(request, asked=asked), source, facts).error()


def _asked_in(facts: Sequence[Fact], *, without: Fact | None = None) -> tuple[Requirement, ...]:
    return tuple(fact.requirement for fact in facts if isinstance(fact, Required) and fact is not without)


def _clash_of(request: Request) -> Clash | None:
    try:
        request.solve()
    except Clash as clash:
        return clash
    except TooHardError:
        pass
    return None


def _fewest(nogoods: Sequence[Nogood], request: Request) -> list[Fact]:
    """Remove each fact that is not needed to exclude every solution."""
    kept = list(nogoods)
    for nogood in list(nogoods)[:_MAX_ATTEMPTS]:
        if nogood in kept:
            found = _proof([other for other in kept if other is not nogood], request.packages)
            kept = kept if found is None else found
    return [cast("Fact", nogood.fact) for nogood in kept]


def _proof(nogoods: Sequence[Nogood], packages: Packages) -> list[Nogood] | None:
    search = Search(
        lambda key: packages.package(key).all,
        lambda _, states: ABSENT << states.bit_length() - 1,
        lambda _key, _state: (),
        max_conflicts=_MAX_CONFLICTS,
    )
    try:
        search.run(nogoods)
    except Clash as clash:
        return clash.nogoods
    except TooHardError:
        pass
    return None


class _Case:
    """The facts of a minimal proof, and the explanation made of them."""

    def __init__(self, request: Request, source: Source, facts: Sequence[Fact]) -> None:
        self._request = request
        self._packages = request.packages
        self._source = source
        self._asked = request.asked
        self._facts = facts

    def error(self) -> OrbitError:
        """Return the error with the explanation."""
        dead_ends = list(self._dead_ends())
        if len(dead_ends) == 1 and self._all_leads_to(dead_ends[0]):
            return self._not_there(dead_ends[0])
        lines = list(self._lines())
        head = self._head()
        return ResolutionError(
            _with_lines(f"{head}:", lines) if lines else f"{head}. {self._available()}",
            hint=" ".join(self._hints()) or None,
            requirements=[str(requirement) for requirement in self._asked],
            because=lines,
        )

    def _available(self) -> str:
        package = self._package(self._asked[0])
        return f"Available versions of {package.key}: {_runs(package, package.all & ~ABSENT)}."

    def _dead_ends(self) -> Iterator[Requirement]:
        """Yield the requirements that no version at all meets."""
        facts = [fact for fact in self._facts if not _needs_itself(fact)]
        for requirement in dict.fromkeys(fact.requirement for fact in facts if isinstance(fact, Required | Needs)):
            if not self._package(requirement).allowed(requirement.range):
                yield requirement

    def _all_leads_to(self, dead_end: Requirement) -> bool:
        """Return whether every fact is part of the chain of dependencies that leads to the dead end."""
        if len(self._asked) > 1 or any(isinstance(fact, Excluded | Withheld) for fact in self._facts):
            return False
        needs = [fact for fact in self._facts if isinstance(fact, Needs)]
        needy = {fact.key for fact in needs}
        return all(fact.requirement == dead_end or fact.requirement.key in needy for fact in needs)

    def _not_there(self, requirement: Requirement) -> OrbitError:
        """Return the source's error for a requirement that no version meets, with the packages that depend on it."""
        error = self._source.not_found_error(requirement.key, str(requirement), self._package(requirement).versions)
        lines = list(self._lines(remarks=False))
        if lines:
            error.message = _with_lines(error.message, lines)
            error.data["because"] = lines
        return error

    def _head(self) -> str:
        words = [str(requirement) for requirement in self._asked]
        if len(words) == 1:
            return f"No release satisfies {words[0]}"
        return f"No set of releases satisfies {'both ' if len(words) == 2 else 'all of '}{_listed(words)}"  # noqa: PLR2004

    def _lines(self, *, remarks: bool = True) -> Iterator[str]:
        """Yield the facts as lines, from the required packages to their dependencies.

        Args:
            remarks: Whether to add why no version meets a dependency.
        """
        keys = list(dict.fromkeys(requirement.key for requirement in self._asked))
        for key in keys:
            for fact in self._merged(key):
                yield self._sentence(fact) + (self._remark(fact) if remarks else "")
                if isinstance(fact, Needs) and fact.requirement.key not in keys:
                    keys.append(fact.requirement.key)

    def _merged(self, key: str) -> list[AboutVersions]:
        """Return the facts about a package, newest versions first, with equal facts about several versions merged."""
        merged: dict[tuple[object, ...], AboutVersions] = {}
        for fact in self._facts:
            if isinstance(fact, Required) or fact.key != key:
                continue
            kind = type(fact), _matter(fact)
            before = merged.get(kind)
            states = fact.states | (before.states if before is not None else 0)
            merged[kind] = replace(fact, states=states & (self._relevant(key) or states))
        # A proof may contain facts about versions that no requirement matches. They would only confuse.
        return sorted((fact for fact in merged.values() if fact.states), key=lambda fact: -fact.states)

    def _relevant(self, key: str) -> int:
        """Return the versions of a package that the requirements match."""
        package = self._packages.package(key)
        found = package.all
        for fact in self._facts:
            if isinstance(fact, Required) and fact.requirement.key == key:
                found &= package.allowed(fact.requirement.range)
        if found != package.all:
            return found
        found = 0
        for fact in self._facts:
            if isinstance(fact, Required | Needs) and fact.requirement.key == key:
                found |= package.allowed(fact.requirement.range)
        return found

    def _sentence(self, fact: AboutVersions) -> str:
        package = self._packages.package(fact.key)
        subject, several = f"{fact.key} {_runs(package, fact.states)}", fact.states.bit_count() > 1
        match fact:
            case Needs():
                return f"{subject} {'depend' if several else 'depends'} on {fact.requirement}"
            case Excluded():
                return f"{subject} {fact.exclusion.several if several else fact.exclusion.one}"
            case Withheld(reason=None):
                return f"{subject} {'are pre-releases' if several else 'is a pre-release'}"
            case Withheld():
                return f"{subject} {'were' if several else 'was'} yanked{f': {fact.reason}' if fact.reason else ''}"

    def _remark(self, fact: Fact) -> str:
        if not isinstance(fact, Needs):
            return ""
        if _needs_itself(fact):
            return ", a different version of itself"
        requirement, package = fact.requirement, self._package(fact.requirement)
        if not package.versions:
            return f", but there is no package {requirement.name}"
        if not package.allowed(requirement.range):
            return f", but {requirement.name} has only {_runs(package, package.all & ~ABSENT)}"
        return ""

    def _package(self, requirement: Requirement) -> PackageVersions:
        return self._packages.package(requirement.key)

    def _hints(self) -> Iterator[str]:
        yield from self._hint_prereleases()
        yield from self._hint_yanked()
        yield from dict.fromkeys(
            fact.exclusion.hint for fact in self._facts if isinstance(fact, Excluded) and fact.exclusion.hint
        )
        yield from list(self._hint_ranges()) or self._hint_others()

    def _hint_prereleases(self) -> Iterator[str]:
        found = self._tried(prereleases=True)
        if found:
            selected = [f"{key} {version}" for key, version in found.items() if version.prerelease]
            yield f"Allow pre-releases (--pre) to get {_listed(selected)}."

    def _hint_yanked(self) -> Iterator[str]:
        found = self._tried(yanked=True)
        for key, version in (found or {}).items():
            offer = self._packages.offer(key, self._packages.package(key).state(version))
            if offer is not None and offer.yanked is not None:
                reason = f" ({offer.yanked})" if offer.yanked else ""
                yield f"{key} {version} was yanked{reason}. To install it anyway, request {key}=={version}."

    def _hint_ranges(self) -> Iterator[str]:
        verb = "Change"
        for requirement in self._asked if len(self._asked) > 1 else ():
            others = tuple(other for other in self._asked if other is not requirement)
            bare = Requirement(requirement.name, VersionRange(()))
            found = self._tried(asked=(*others, bare)) if requirement.range.text else None
            if found:
                yield f"{verb} {requirement} to allow {requirement.key} {found[requirement.key]}."
                verb = "Or change"

    def _hint_others(self) -> Iterator[str]:
        for requirement in self._asked if len(self._asked) > 1 else ():
            others = tuple(other for other in self._asked if other is not requirement)
            if self._tried(asked=others) is not None:
                rest = str(others[0]) if len(others) == 1 else "the others"
                yield f"Without {requirement}, {rest} can be installed."

    def _tried(self, **changes: object) -> dict[str, Version] | None:
        try:
            found = replace(self._request, **changes).solve()  # type: ignore[arg-type]
        except (Clash, TooHardError):
            return None
        return {key: self._packages.package(key).version(state) for key, state in found.items()}


def _matter(fact: AboutVersions) -> object:
    """Return what a fact states, apart from the versions it is about."""
    match fact:
        case Needs():
            return str(fact.requirement)
        case Excluded():
            return fact.exclusion
        case Withheld():
            return fact.reason


def _needs_itself(fact: Fact) -> bool:
    return isinstance(fact, Needs) and fact.requirement.key == fact.key


def _with_lines(head: str, lines: Sequence[str]) -> str:
    if len(lines) > _MAX_LINES:
        lines = [*lines[: _MAX_LINES - 1], f"... and {len(lines) - _MAX_LINES + 1} more"]
    return "\n".join([head, *(f"  {line}" for text in lines for line in text.split("\n"))])


def _runs(package: PackageVersions, states: int) -> str:
    """List versions; a long run of adjacent versions is written as a range."""
    runs: list[list[Version]] = []
    before = -1
    for at, version in enumerate(package.versions):
        if states & package.state(version):
            if at != before + 1 or not runs:
                runs.append([])
            runs[-1].append(version)
            before = at
    words = [word for run in runs for word in (map(str, run) if len(run) <= _SHORT_RUN else [f"{run[0]} to {run[-1]}"])]
    return _listed(words if len(words) <= _MAX_RUNS else [*words[:_MAX_RUNS], f"{len(words) - _MAX_RUNS} more"])


def _listed(words: Sequence[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
