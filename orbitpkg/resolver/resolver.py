"""Requirements -> one release of each package, with all their dependencies.

Newest first, with backtracking (``resolvelib``). Yanked releases and pre-releases are taken only when asked for. The
resolver reads what it needs through a :class:`Source` and touches nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib import Resolver as _Resolver

from orbitpkg.errors import ResolutionError
from orbitpkg.model.requirements import Requirement, parse_range
from orbitpkg.resolver.apps import Apps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orbitpkg.errors import OrbitError
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.apps import AppVerdict
    from orbitpkg.resolver.offers import Offer, Source

__all__ = ["Resolution", "resolve"]

_MAX_ROUNDS = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What is to be installed.

    Attributes:
        releases: One of each package, by canonical name; dependencies before what needs them.
        offers: What the source said of each, by canonical name: whether it is yanked, where it is from.
        unchecked: Apps of unknown version that a release names, by the release's name.
    """

    releases: Mapping[str, Release]
    offers: Mapping[str, Offer]
    unchecked: Mapping[str, tuple[str, ...]]


class _Want(NamedTuple):
    requirement: Requirement
    parent: _Candidate | None


class _Candidate(NamedTuple):
    key: str
    version: Version
    offer: Offer

    def __str__(self) -> str:
        return f"{self.key}=={self.version}"


def resolve(
    requirements: Iterable[Requirement],
    source: Source,
    *,
    apps: Apps | None = None,
    prereleases: bool = False,
    prefer: Mapping[str, Version] | None = None,
) -> Resolution:
    """Choose releases.

    A yanked version is a candidate only when a requirement names it exactly, or it is the preferred one.

    Args:
        requirements: What is asked for.
        source: Where releases are found.
        apps: The apps that will use them; those beside the running interpreter when None.
        prereleases: Whether pre-releases are candidates everywhere.
        prefer: Versions to take before newer ones where they fit (what is locked), by canonical name. A pre-release
            among them is a candidate.

    Raises:
        ResolutionError: Nothing fits; the message says why.
        RepositoryError: A source could not be read.
    """
    provider = _Provider(source, apps or Apps(), prefer or {}, prereleases=prereleases)
    wants = [_Want(requirement, None) for requirement in requirements]
    try:
        result = _Resolver(provider, BaseReporter()).resolve(wants, max_rounds=_MAX_ROUNDS)
    except ResolutionImpossible as error:
        raise provider.explain([cause.requirement for cause in error.causes]) from error
    except ResolutionTooDeep as error:
        raise ResolutionError(
            f"No solution was found in {_MAX_ROUNDS:,} steps.", hint="Narrow the ranges of the requirements."
        ) from error
    chosen = {key: provider.release(candidate) for key, candidate in result.mapping.items()}
    unchecked = {key: provider.verdict(release).unchecked for key, release in chosen.items()}
    return Resolution(
        releases=_ordered(chosen),
        offers={key: candidate.offer for key, candidate in result.mapping.items()},
        unchecked={key: names for key, names in unchecked.items() if names},
    )


def _ordered(releases: Mapping[str, Release]) -> dict[str, Release]:
    """Put dependencies before what needs them; packages that need each other, by name."""
    from orbitpkg.model.names import canonical_name

    ordered: dict[str, Release] = {}
    visiting: set[str] = set()

    def visit(key: str) -> None:
        if key in visiting or key not in releases:
            return
        visiting.add(key)
        for name in sorted(releases[key].dependencies):
            visit(canonical_name(name))
        ordered[key] = releases[key]

    for key in sorted(releases):
        visit(key)
    return ordered


class _Provider(AbstractProvider):  # type: ignore[type-arg]
    def __init__(self, source: Source, apps: Apps, prefer: Mapping[str, Version], *, prereleases: bool) -> None:
        self._source = source
        self._apps = apps
        self._prefer = prefer
        self._prereleases = prereleases
        self._versions: dict[str, list[Version]] = {}
        self._candidates: dict[tuple[str, Version], _Candidate | None] = {}
        self._refused: dict[tuple[str, Version], tuple[str, ...]] = {}

    def identify(self, requirement_or_candidate: _Want | _Candidate) -> str:
        if isinstance(requirement_or_candidate, _Candidate):
            return requirement_or_candidate.key
        return requirement_or_candidate.requirement.key

    def get_preference(
        self,
        identifier: str,
        resolutions: Mapping[str, _Candidate],
        candidates: Mapping[str, Iterator[_Candidate]],
        information: Mapping[str, Iterator[object]],
        backtrack_causes: Sequence[object],
    ) -> tuple[bool, str]:
        del resolutions, candidates, backtrack_causes
        exact = any(info.requirement.requirement.range.exact for info in information[identifier])  # type: ignore[attr-defined]
        return not exact, identifier

    def find_matches(
        self,
        identifier: str,
        requirements: Mapping[str, Iterator[_Want]],
        incompatibilities: Mapping[str, Iterator[_Candidate]],
    ) -> Callable[[], Iterator[_Candidate]]:
        ranges = [want.requirement.range for want in requirements[identifier]]
        bad = {candidate.version for candidate in incompatibilities[identifier]}
        pre = self._prereleases or any(given.mentions_prerelease for given in ranges)
        exact = next((given.exact for given in ranges if given.exact), None)

        def matches() -> Iterator[_Candidate]:
            # An exact version needs no list: one request for its record says whether it is there.
            for version in [exact] if exact else self._newest_first(identifier):
                preferred = version == self._prefer.get(identifier)
                if version in bad or (version.prerelease and not pre and not preferred):
                    continue
                if not all(given.allows(version) for given in ranges):
                    continue
                candidate = self._candidate(identifier, version)
                if candidate is not None and self._usable(candidate, named=preferred or exact is not None):
                    yield candidate

        return matches

    def is_satisfied_by(self, requirement: _Want, candidate: _Candidate) -> bool:
        return requirement.requirement.range.allows(candidate.version)

    def get_dependencies(self, candidate: _Candidate) -> list[_Want]:
        return [
            _Want(Requirement(name, parse_range(text)), candidate)
            for name, text in sorted(candidate.offer.dependencies.items())
        ]

    def versions(self, key: str) -> list[Version]:
        if key not in self._versions:
            self._versions[key] = sorted(self._source.versions(key))
        return self._versions[key]

    def release(self, candidate: _Candidate) -> Release:
        return self._source.release(candidate.key, candidate.version)

    def verdict(self, release: Release) -> AppVerdict:
        return self._apps.verdict(release.compatibility)

    def _newest_first(self, key: str) -> Iterator[Version]:
        versions, preferred = self.versions(key), self._prefer.get(key)
        if preferred in versions:
            yield preferred
        yield from (version for version in reversed(versions) if version != preferred)

    def _candidate(self, key: str, version: Version) -> _Candidate | None:
        if (key, version) not in self._candidates:
            offer = self._source.offer(key, version)
            self._candidates[key, version] = None if offer is None else _Candidate(key, version, offer)
        return self._candidates[key, version]

    def _usable(self, candidate: _Candidate, *, named: bool) -> bool:
        if candidate.offer.yanked is not None and not named:
            return False
        verdict = self._apps.verdict(candidate.offer.compatibility)
        if verdict.excluded:
            self._refused[candidate.key, candidate.version] = verdict.excluded
        return not verdict.excluded

    def explain(self, wants: Sequence[_Want]) -> OrbitError:
        keys = {want.requirement.key for want in wants}
        key = min(keys)
        versions = self.versions(key)
        if len(wants) == 1 or not versions:
            refused = sorted(place for place in self._refused if place[0] == key)
            if not refused:
                return self._unanswered(wants[0], versions)
            lines = [f"  {key} {v} does not work with {' nor '.join(self._refused[key, v])}" for _, v in refused]
            asked = f"No release of {key} fits both {_said(wants[0])} and the apps:"
            hint = "Ask for another range, or use a version of the app that one of these works with."
            return ResolutionError("\n".join([asked, *lines]), hint=hint)
        lines = [f"  {_said(want)}" for want in wants]
        return ResolutionError(
            "\n".join([f"No release of {key} fits all that is asked of it:", *lines]),
            hint=f"Versions there are: {', '.join(map(str, versions))}. Loosen one of the requirements.",
            name=key,
        )

    def _unanswered(self, want: _Want, versions: list[Version]) -> OrbitError:
        error = self._source.nothing_found(want.requirement.key, str(want.requirement), versions)
        if want.parent is not None:
            error.message = f"{error.message} {want.parent} needs {want.requirement}."
        return error


def _said(want: _Want) -> str:
    if want.parent is None:
        return f"{want.requirement} (asked for)"
    return f"{want.requirement} (needed by {want.parent})"
