"""Requirements -> one release of each package, with all their dependencies.

Newest first, those asked for before those that they need; what cannot be is learned from (:mod:`.nogoods`). Yanked
releases and pre-releases are taken only when asked for. The resolver reads what it needs through a :class:`Source` and
touches nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.errors import ResolutionError
from orbitpkg.resolver.apps import Apps
from orbitpkg.resolver.explanation import explain
from orbitpkg.resolver.nogoods import Clash, TooHardError
from orbitpkg.resolver.offers import Offer
from orbitpkg.resolver.request import Request
from orbitpkg.resolver.shelves import Shelves

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orbitpkg.model.release import Release
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.offers import Source

__all__ = ["Resolution", "resolve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """What is to be installed.

    Attributes:
        releases: One of each package, by canonical name; dependencies before what needs them.
        offers: What the source said of each, by canonical name: whether it is yanked, where it is from.
        unchecked: Apps of unknown version that a release names, by the release's canonical name.
    """

    releases: Mapping[str, Release]
    offers: Mapping[str, Offer]
    unchecked: Mapping[str, tuple[str, ...]]


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
    asked, held = tuple(requirements), apps or Apps()
    exact = {requirement.key: requirement.range.exact for requirement in asked if requirement.range.exact}
    shelves = Shelves(source, held, exact)
    request = Request(shelves=shelves, asked=asked, prefer=prefer or {}, prereleases=prereleases)
    try:
        chosen = request.solve()
    except Clash as clash:
        raise explain(request, clash, source) from clash
    except TooHardError as error:
        raise ResolutionError(
            "No solution was found in reasonable time.", hint="Narrow the ranges of the requirements."
        ) from error
    versions = {key: shelves.shelf(key).version(state) for key, state in chosen.items()}
    releases = {key: source.release(key, version) for key, version in versions.items()}
    unchecked = {key: held.verdict(release.compatibility).unchecked for key, release in releases.items()}
    return Resolution(
        releases=releases,
        offers={key: shelves.offer(key, state) or Offer() for key, state in chosen.items()},
        unchecked={key: names for key, names in unchecked.items() if names},
    )
