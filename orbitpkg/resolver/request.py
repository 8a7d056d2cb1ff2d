"""A resolution request. Variations of it are solved, too, to find out what would make it solvable."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orbitpkg.resolver.facts import Facts, SupportFound
from orbitpkg.resolver.nogoods import Clash, Search

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.packages import Packages

__all__ = ["Request"]

# Resolving a thousand packages takes some hundred conflicts, a hard case up to two thousand. This many take minutes.
_MAX_CONFLICTS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request to resolve requirements.

    Attributes:
        packages: The packages of the source.
        asked: The user's requirements.
        prefer: Versions to prefer to newer ones, by canonical name.
        prereleases: Whether pre-releases of all packages are candidates.
        yanked: Whether all yanked versions are candidates.
        max_conflicts: The maximum number of conflicts before giving up.
    """

    packages: Packages
    asked: tuple[Requirement, ...]
    prefer: Mapping[str, Version] = field(default_factory=dict)
    prereleases: bool = False
    yanked: bool = False
    max_conflicts: int = _MAX_CONFLICTS

    def solve(self) -> dict[str, int]:
        """Select a version of each required package. Dependencies come before the packages that depend on them.

        Raises:
            Clash: No solution exists.
            TooHardError: No solution was found within the limit.
        """
        facts = Facts(self.packages, self.asked, self.prefer, prereleases=self.prereleases, yanked=self.yanked)
        while True:
            search = Search(facts.states, facts.choose, facts.facts_about, max_conflicts=self.max_conflicts)
            try:
                chosen = self._needed(search.run(facts.first()))
            except SupportFound:
                continue
            except Clash as clash:
                if facts.find_support(nogood.fact for nogood in clash.nogoods):
                    continue
                raise
            if facts.is_founded(chosen):
                return chosen

    def _needed(self, found: Mapping[str, int]) -> dict[str, int]:
        """Sort the selected packages so that dependencies come first, and drop those that nothing depends on."""
        ordered: dict[str, int] = {}
        seen: set[str] = set()
        path: list[str] = []
        # Not recursive: a chain of dependencies may exceed the recursion limit.
        stack = [iter(sorted({requirement.key for requirement in self.asked}))]
        while stack:
            key = next(stack[-1], None)
            if key is None:
                stack.pop()
                if path:
                    done = path.pop()
                    ordered[done] = found[done]
            elif key not in seen:
                seen.add(key)
                path.append(key)
                stack.append(iter(sorted(wanted.key for wanted in self.packages.dependencies(key, found[key]))))
        return ordered
