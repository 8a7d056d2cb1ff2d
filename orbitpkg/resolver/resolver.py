"""Resolution of requirements to one release of each package, including all dependencies.

Newer versions are tried first, and required packages before their dependencies. The search learns from conflicts
(:mod:`.nogoods`). Yanked releases and pre-releases are selected only on request. All data comes from a :class:`Source`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.errors import ResolutionError
from orbitpkg.resolver.apps import Apps
from orbitpkg.resolver.explanation import explain
from orbitpkg.resolver.nogoods import Clash, TooHardError
from orbitpkg.resolver.offers import Offer
from orbitpkg.resolver.packages import Packages
from orbitpkg.resolver.request import Request

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from orbitpkg.errors import OrbitError
    from orbitpkg.model.release import Release
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.offers import Source

__all__ = ["Resolution", "resolve"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolution:
    """The result of a resolution.

    Attributes:
        releases: The selected release of each package, by canonical name. Dependencies come first.
        offers: The offer of each, by canonical name: whether it is yanked, and which repository it comes from.
        unchecked: By canonical name, the apps that the release's compatibility names and whose version is unknown.
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
    """Select releases that satisfy all requirements.

    A yanked version is a candidate only if a requirement names it exactly or ``prefer`` contains it.

    Args:
        requirements: The user's requirements.
        source: The source of releases.
        apps: The apps that will use the releases; None to ignore compatibility with apps.
        prereleases: Whether pre-releases of all packages are candidates.
        prefer: Versions, such as locked ones, to prefer to newer ones, by canonical name. They are candidates even if
            they are pre-releases.

    Raises:
        ResolutionError: No solution exists; the message explains why.
        RepositoryError: The source could not be read.
    """
    asked, known = tuple(requirements), apps or Apps()
    exact = {requirement.key: requirement.range.exact for requirement in asked if requirement.range.exact}
    packages = Packages(source, known, exact)
    request = Request(packages=packages, asked=asked, prefer=prefer or {}, prereleases=prereleases)
    error: OrbitError
    try:
        chosen = request.solve()
    except Clash as clash:
        error = explain(request, clash, source)
    except TooHardError:
        error = ResolutionError(
            "No solution was found within the limit of conflicts.", hint="Narrow the ranges of the requirements."
        )
    else:
        return _resolution(chosen, packages, source, known)
    # Raised outside the handlers: the internal exception, and its traceback, would tell the user nothing more.
    raise error


def _resolution(chosen: Mapping[str, int], packages: Packages, source: Source, apps: Apps) -> Resolution:
    versions = {key: packages.package(key).version(state) for key, state in chosen.items()}
    # Offers may come from an index, which can be outdated. Records contain the digests.
    releases = {key: source.release(key, version) for key, version in versions.items()}
    unchecked = {key: apps.verdict(release.compatibility).unchecked for key, release in releases.items()}
    return Resolution(
        releases=releases,
        offers={key: packages.offer(key, state) or Offer() for key, state in chosen.items()},
        unchecked={key: names for key, names in unchecked.items() if names},
    )
