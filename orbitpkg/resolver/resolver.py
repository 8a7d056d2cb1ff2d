"""Requirements -> one release of each package, with all their dependencies.

Newest first, with backtracking (``resolvelib``). Yanked releases and pre-releases are taken only when asked for. The
resolver reads what it needs through a :class:`Source` and touches nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from resolvelib import AbstractProvider, BaseReporter, ResolutionImpossible, ResolutionTooDeep
from resolvelib import Resolver as _Resolver

from orbitpkg.errors import OrbitError, ResolutionError
from orbitpkg.model.requirements import Requirement, parse_range
from orbitpkg.resolver.apps import AppVerdict, check_apps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version

__all__ = ["Resolution", "Source", "resolve"]

_MAX_ROUNDS = 20_000


class Source(Protocol):
    """Where releases are found."""

    def versions(self, name: str) -> Sequence[Version]:
        """List the versions of a package; empty when there is no such package."""

    def release(self, name: str, version: Version) -> Release:
        """Read a release."""

    def nothing_found(self, name: str, wanted: str, versions: list[Version]) -> OrbitError:
        """Say that nothing fits a requirement, and what there is instead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What is to be installed.

    Attributes:
        releases: One of each package, by canonical name; dependencies before what needs them.
        unchecked: Apps of unknown version that a release names, by the release's name.
    """

    releases: Mapping[str, Release]
    unchecked: Mapping[str, tuple[str, ...]]


class _Want(NamedTuple):
    requirement: Requirement
    parent: Release | None


class _Candidate(NamedTuple):
    key: str
    version: Version


def resolve(
    requirements: Iterable[Requirement],
    source: Source,
    *,
    apps: Mapping[str, str] | None = None,
    prereleases: bool = False,
    check: Callable[[Mapping[str, str], Mapping[str, str]], AppVerdict] = check_apps,
) -> Resolution:
    """Choose releases.

    Args:
        requirements: What is asked for.
        source: Where releases are found.
        apps: Versions of apps, by canonical name, besides those that are installed.
        prereleases: Whether pre-releases are candidates everywhere.
        check: Holds a release's compatibility against the apps.

    Raises:
        ResolutionError: Nothing fits; the message says why.
        RepositoryError: A source could not be read.
    """
    provider = _Provider(source, apps or {}, check, prereleases=prereleases)
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
    return Resolution(releases=_ordered(chosen), unchecked={key: names for key, names in unchecked.items() if names})


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
    def __init__(
        self,
        source: Source,
        apps: Mapping[str, str],
        check: Callable[[Mapping[str, str], Mapping[str, str]], AppVerdict],
        *,
        prereleases: bool,
    ) -> None:
        self._source = source
        self._apps = apps
        self._check = check
        self._prereleases = prereleases
        self._versions: dict[str, list[Version]] = {}
        self._releases: dict[_Candidate, Release] = {}
        self._refused: dict[_Candidate, tuple[str, ...]] = {}

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
            versions = [exact] if exact else reversed(self.versions(identifier))
            for version in versions:
                if version in bad or (version.prerelease and not pre):
                    continue
                candidate = _Candidate(identifier, version)
                if all(given.allows(version) for given in ranges) and self._usable(candidate):
                    yield candidate

        return matches

    def is_satisfied_by(self, requirement: _Want, candidate: _Candidate) -> bool:
        return requirement.requirement.range.allows(candidate.version)

    def get_dependencies(self, candidate: _Candidate) -> list[_Want]:
        release = self.release(candidate)
        return [
            _Want(Requirement(name, parse_range(text)), release) for name, text in sorted(release.dependencies.items())
        ]

    def versions(self, key: str) -> list[Version]:
        if key not in self._versions:
            self._versions[key] = sorted(self._source.versions(key))
        return self._versions[key]

    def release(self, candidate: _Candidate) -> Release:
        if candidate not in self._releases:
            self._releases[candidate] = self._source.release(candidate.key, candidate.version)
        return self._releases[candidate]

    def verdict(self, release: Release) -> AppVerdict:
        return self._check(release.compatibility, self._apps)

    def _usable(self, candidate: _Candidate) -> bool:
        try:
            self.release(candidate)
        except ResolutionError:  # an exact version that is not there
            return False
        verdict = self.verdict(self.release(candidate))
        if verdict.excluded:
            self._refused[candidate] = verdict.excluded
        return not verdict.excluded

    def explain(self, wants: Sequence[_Want]) -> OrbitError:
        keys = {want.requirement.key for want in wants}
        key = min(keys)
        versions = self.versions(key)
        if len(wants) == 1 or not versions:
            refused = sorted((c for c in self._refused if c.key == key), key=lambda c: c.version)
            if not refused:
                return self._unanswered(wants[0], versions)
            lines = [f"  {c.key} {c.version} does not work with {' nor '.join(self._refused[c])}" for c in refused]
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
