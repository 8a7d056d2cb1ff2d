"""What was asked for, to be solved: as it is, or with something changed, to find out what stands against it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orbitpkg.resolver.facts import Facts, SupportFound
from orbitpkg.resolver.nogoods import Clash, Search

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.shelves import Shelves

__all__ = ["Request"]

# A request for all of a thousand packages takes some hundred, a hard one a thousand or two; this many take minutes.
_MAX_CONFLICTS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request.

    Attributes:
        shelves: The packages there are.
        asked: What was asked for.
        prefer: Versions to take before newer ones, by canonical name.
        prereleases: Whether pre-releases are candidates everywhere.
        yanked: Whether yanked versions are.
        patience: After how many conflicts to give up.
    """

    shelves: Shelves
    asked: tuple[Requirement, ...]
    prefer: Mapping[str, Version] = field(default_factory=dict)
    prereleases: bool = False
    yanked: bool = False
    patience: int = _MAX_CONFLICTS

    def solve(self) -> dict[str, int]:
        """Choose a state of each package that is needed; dependencies before what needs them.

        Raises:
            Clash: There is no solution.
            TooHardError: None was found.
        """
        facts = Facts(self.shelves, self.asked, self.prefer, prereleases=self.prereleases, yanked=self.yanked)
        while True:
            search = Search(facts.states, facts.choose, facts.tell, max_conflicts=self.patience)
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
        """Put dependencies before what needs them."""
        ordered: dict[str, int] = {}
        seen: set[str] = set()
        path: list[str] = []
        # Not by recursion: a chain of dependencies may be as long as there are packages.
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
                stack.append(iter(sorted(wanted.key for wanted in self.shelves.wants(key, found[key]))))
        return ordered
