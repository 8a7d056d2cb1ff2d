"""Explanations of why a package is needed, and why a requirement cannot be met.

They concern the project of the working directory if it has a lockfile or requirements, and the installed packages
otherwise.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.api.options import InstallOptions
from orbitpkg.config.repositories import home
from orbitpkg.errors import NotInstalled, ResolutionError
from orbitpkg.model.names import canonical_name, nearest
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.store.layout import Layout

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence

    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.resolver.resolver import Resolution

__all__ = ["Chain", "Objection", "Why", "why", "why_not"]

# Half of a large store may depend on a package. Longer lists are of no use to a reader.
_MAX_CHAINS = 100


@dataclass(frozen=True, slots=True)
class Chain:
    """A chain of dependencies that leads to a package.

    Attributes:
        asked: The project's requirement that starts the chain; None if it starts with a package nothing depends on.
        links: The dependencies along the chain, each as a release (``NAME==VERSION``) and its requirement.
    """

    asked: str | None
    links: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Why:
    """Why a package is needed.

    Attributes:
        name: The name of the package.
        versions: Its locked or installed versions.
        lock: The path of the lockfile; None if the answer concerns the installed packages.
        chains: The shortest chain through each release that depends on the package.
    """

    name: str
    versions: tuple[str, ...]
    lock: str | None
    chains: tuple[Chain, ...]


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a requirement cannot be met, if so.

    Attributes:
        error: The resolver's explanation; None if the requirement can be met.
        asked: All requirements considered, each with its source: the project's file, or "you".
        releases: The versions that would be selected, by name; empty if the requirement cannot be met.
        warnings: Sentences for the user: a selected release is yanked or deprecated.
    """

    error: ResolutionError | None
    asked: Mapping[str, str]
    releases: Mapping[str, str]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Node:
    key: str
    name: str
    version: Version
    needs: tuple[Requirement, ...]

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def why(name: str) -> Why:
    """Explain why a package is needed, from the project's lockfile or else from the installed packages.

    Raises:
        UsageError: The name is invalid.
        NotInstalled: The package is not there, and nothing depends on it.
        LockfileError: The lockfile is invalid.
    """
    from orbitpkg.model.lockfile import LOCK_NAME
    from orbitpkg.store.project import find_lock

    wanted = parse_requirement(name)
    folder = find_lock()
    nodes, asked = _locked(str(folder)) if folder is not None else (_installed(), [])
    versions = tuple(str(node.version) for node in nodes if node.key == wanted.key)
    chains = tuple(_chains(wanted.key, nodes, asked))
    place = None if folder is None else str(folder / LOCK_NAME)
    if not versions and not chains:
        raise _unknown(wanted, nodes, place)
    return Why(wanted.name, versions, place, chains)


def _unknown(wanted: Requirement, nodes: Sequence[_Node], place: str | None) -> NotInstalled:
    close = nearest(wanted.key, sorted({node.key for node in nodes}))
    hint = f"Did you mean {' or '.join(close)}?" if close else None
    where = f"locked in {place}" if place is not None else f"installed in {home()}"
    return NotInstalled(f"{wanted.name} is not {where}, and nothing there needs it.", hint=hint, name=wanted.name)


def _locked(folder: str) -> tuple[list[_Node], list[Requirement]]:
    from orbitpkg.config.settings import check_lock_owner, find_project
    from orbitpkg.store.project import open_project

    lock = open_project(Layout(home()), folder, check_owner=check_lock_owner).lock
    project = find_project()
    asked = list(project.document.requirements) if project is not None else []
    nodes = [
        _Node(key, package.name, package.version, tuple(map(parse_requirement, package.dependencies)))
        for key, package in lock.packages.items()
    ]
    return nodes, asked


def _installed() -> list[_Node]:
    from orbitpkg.model.versions import parse_version
    from orbitpkg.store.package import installed_packages

    return [
        _Node(
            canonical_name(package.name),
            package.name,
            parse_version(package.version),
            tuple(
                parse_requirement(f"{name}{'' if text == '*' else text}") for name, text in package.dependencies.items()
            ),
        )
        for package in installed_packages(Layout(home()))
    ]


def _chains(key: str, nodes: Sequence[_Node], asked: Sequence[Requirement]) -> Iterator[Chain]:
    """Yield the shortest chain through each release that depends on a package; the project's own first."""
    direct = [requirement for requirement in asked if requirement.key == key]
    yield from (Chain(str(requirement), ()) for requirement in direct)
    needers = [(node, need) for node in nodes for need in node.needs if need.key == key and node.key != key]
    for node, need in needers[:_MAX_CHAINS]:
        top, links = _upwards(node, nodes, asked)
        yield Chain(top, (*links, (str(node), str(need))))


def _upwards(
    node: _Node, nodes: Sequence[_Node], asked: Sequence[Requirement]
) -> tuple[str | None, tuple[tuple[str, str], ...]]:
    """Find the nearest dependent that the project requires, or else one that nothing depends on."""
    wanted = {requirement.key: str(requirement) for requirement in asked}
    seen = {str(node)}
    level: list[tuple[_Node, tuple[tuple[str, str], ...]]] = [(node, ())]
    last: tuple[tuple[str, str], ...] = ()
    while level:
        above: list[tuple[_Node, tuple[tuple[str, str], ...]]] = []
        for lower, links in level:
            if lower.key in wanted:
                return wanted[lower.key], links
            last = links
            for upper in nodes:
                for need in upper.needs:
                    if need.key == lower.key and need.range.allows(lower.version) and str(upper) not in seen:
                        seen.add(str(upper))
                        above.append((upper, ((str(upper), str(need)), *links)))
        level = above
    return None, last


def why_not(
    requirement: str,
    beside: Sequence[str] = (),
    *,
    repository: str | os.PathLike[str] | None = None,
    apps: Sequence[str] = (),
    python: str | os.PathLike[str] | None = None,
    offline: bool = False,
    prereleases: bool = False,
) -> Objection:
    """Explain why a requirement cannot be met.

    Args:
        requirement: The requirement.
        beside: Other requirements to meet at the same time, in addition to those of the project.
        repository: The repository to use, as for :func:`orbitpkg.api.settings`.
        apps: ``NAME==VERSION`` of each app that will use the packages.
        python: The interpreter whose other apps count; the running interpreter when None.
        offline: Refuse the network; only cached indexes and records are used.
        prereleases: Whether pre-releases are candidates.

    Raises:
        UsageError: A requirement is invalid.
        ProjectError: The project's file is invalid.
        RepositoryError: A repository cannot be read.
    """
    from orbitpkg.config.settings import find_project

    project = find_project()
    asked = {str(parse_requirement(word)): "you" for word in (requirement, *beside)}
    if project is not None:
        asked = {**{str(each): project.path.name for each in project.document.requirements}, **asked}
    try:
        resolution, warnings = _resolved(
            list(map(parse_requirement, asked)),
            InstallOptions(
                repository=repository, apps=tuple(apps), python=python, offline=offline, prereleases=prereleases
            ),
        )
    except ResolutionError as error:
        return Objection(error, asked, {})
    releases = {release.name: str(release.version) for release in resolution.releases.values()}
    return Objection(None, asked, dict(sorted(releases.items())), tuple(warnings))


def _resolved(wanted: Sequence[Requirement], options: InstallOptions) -> tuple[Resolution, list[str]]:
    from orbitpkg.config.apps import read_apps
    from orbitpkg.config.repositories import open_repositories
    from orbitpkg.config.settings import check_lock_owner
    from orbitpkg.installer.sources import RepositorySource, resolve_as_recorded
    from orbitpkg.store.project import find_lock, open_project
    from orbitpkg.store.store import Store

    folder = find_lock()
    lock = open_project(Layout(home()), folder, check_owner=check_lock_owner).lock if folder is not None else None
    prefer = {key: package.version for key, package in lock.packages.items()} if lock is not None else {}
    source = RepositorySource(open_repositories(options.repository, offline=options.offline), Store(home()), {})
    apps = read_apps(options.apps, python=options.python)
    resolution = resolve_as_recorded(wanted, source, apps=apps, prereleases=options.prereleases, prefer=prefer)
    chosen = {key: release.version for key, release in resolution.releases.items()}
    warnings = [line for key, version in chosen.items() for line in source.warnings(key, version)]
    return resolution, warnings + source.repositories.differences
