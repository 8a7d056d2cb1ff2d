"""Inspecting the packages of a project: their dependencies, newer versions, and differences between releases."""

from __future__ import annotations

import contextlib

from orbitpkg.api.project.lock import open_source
from orbitpkg.config.repositories import home
from orbitpkg.store.layout import Layout
from orbitpkg.store.project import open_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence
    from typing import TypeAlias

    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.model.contents import Contents
    from orbitpkg.model.difference import Difference
    from orbitpkg.model.release import Release
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["Branch", "Outdated", "dependency_tree", "diff", "outdated"]


class Outdated:
    """A package with a newer version than the one in use.

    Attributes:
        name: The name of the package.
        current: The version in use.
        allowed: The newest version that all requirements allow.
        newest: The newest version.
    """

    __slots__ = ("allowed", "current", "name", "newest")

    def __init__(self, name: str, current: str, allowed: str, newest: str) -> None:
        self.name = name
        self.current = current
        self.allowed = allowed
        self.newest = newest


class Branch:
    """A package in a tree of dependencies.

    Attributes:
        name: The name of the package.
        wanted: The range that the dependent requires; "" for any version.
        version: The version in use; None if the package is missing.
        needs: The dependencies of the package; empty if they are listed elsewhere in the tree.
        repeated: Whether the dependencies are listed elsewhere.
    """

    __slots__ = ("name", "needs", "repeated", "version", "wanted")

    def __init__(self, name: str, wanted: str, version: str | None) -> None:
        self.name = name
        self.wanted = wanted
        self.version = version
        self.needs: list[Branch] = []
        self.repeated = False


def outdated(*, repository: PathLike | None = None, offline: bool = False) -> list[Outdated]:
    """List the locked packages, or without a project the installed ones, that have a newer version.

    Raises:
        LockfileError: The project's lockfile is missing or invalid.
        RepositoryNotFound: None of the packages was found, and a repository does not exist.
        RepositoryError: A repository cannot be read.
    """
    source = open_source(repository, offline=offline)
    found: list[Outdated] = []
    used, repositories = _in_use()
    for name in repositories:
        source.repositories.named(name)
    source.repositories.look_up(key for _, key, _, _ in used)
    if (used or repository) and not any(source.versions(key) for _, key, _, _ in used):
        # A mistyped address has no packages either, and must not look as if everything were up to date.
        for setting in source.repositories.settings:
            source.repositories.catalogue(setting).repository.config()
    for name, key, current, wants in used:
        allowed = source.newest(key, [want.range for want in wants]) or current
        newest = source.newest(key, []) or current
        if newest > current or allowed > current:
            found.append(Outdated(name, str(current), str(max(allowed, current)), str(newest)))
    return found


def _in_use() -> tuple[list[tuple[str, str, Version, list[Requirement]]], set[str]]:
    """Return name, key, version and requirements of each package in use, and the names of their repositories."""
    from orbitpkg.config.settings import check_lock_owner, find_project
    from orbitpkg.model.lockfile import package_requirements

    found = find_project()
    if found is None or not found.document.requirements:
        return _newest_installed(), set()
    lock = open_project(Layout(home()), found.folder, check_owner=check_lock_owner).lock
    wants: dict[str, list[Requirement]] = {}
    for requirement in found.document.requirements:
        wants.setdefault(requirement.key, []).append(requirement)
    for package in lock.packages.values():
        for requirement in package_requirements(package):
            wants.setdefault(requirement.key, []).append(requirement)
    used = [(each.name, key, each.version, wants.get(key, [])) for key, each in lock.packages.items()]
    return used, {each.repository for each in lock.packages.values()}


def _newest_installed() -> list[tuple[str, str, Version, list[Requirement]]]:
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.versions import parse_version
    from orbitpkg.store.package import installed_packages

    newest = {canonical_name(package.name): package for package in installed_packages(Layout(home()))}
    return [(package.name, key, parse_version(package.version), []) for key, package in newest.items()]


def dependency_tree() -> list[Branch]:
    """Return the packages of the project, or without a project the installed ones, with their dependencies."""
    from orbitpkg.config.settings import check_lock_owner, find_project

    found = find_project()
    if found is None or not found.document.requirements:
        return _installed_tree()
    lock = open_project(Layout(home()), found.folder, check_owner=check_lock_owner).lock
    needs = {key: package.dependencies for key, package in lock.packages.items()}
    names = {key: (package.name, str(package.version)) for key, package in lock.packages.items()}
    return _build_tree([str(requirement) for requirement in found.document.requirements], names, needs)


def _installed_tree() -> list[Branch]:
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.store.package import installed_packages

    newest = {canonical_name(package.name): package for package in installed_packages(Layout(home()))}
    needs = {
        key: tuple(f"{name}{text}" for name, text in sorted(package.dependencies.items()))
        for key, package in newest.items()
    }
    needed = {parse_requirement(text).key for texts in needs.values() for text in texts}
    # If all packages depend on one another in a cycle, each of them is a root.
    tops = [key for key in newest if key not in needed] or list(newest)
    names = {key: (package.name, package.version) for key, package in newest.items()}
    return _build_tree([names[key][0] for key in tops], names, needs)


def _build_tree(
    tops: Sequence[str], names: Mapping[str, tuple[str, str]], needs: Mapping[str, Sequence[str]]
) -> list[Branch]:
    from orbitpkg.model.requirements import parse_requirement

    listed: set[str] = set()

    def grow(text: str) -> Branch:
        want = parse_requirement(text)
        name, version = names.get(want.key, (want.name, None))
        branch = Branch(name, want.range.text, version)
        branch.repeated = want.key in listed and bool(needs.get(want.key))
        if want.key not in listed:
            listed.add(want.key)
            branch.needs = [grow(need) for need in needs.get(want.key, ())]
        return branch

    return [grow(text) for text in tops]


def diff(
    old: str, new: str, *, repository: PathLike | None = None, offline: bool = False
) -> tuple[Release, Release, Difference]:
    """Compare two releases by their contents, without reading files. Installed releases need no repository.

    Args:
        old: A requirement. The newest release that it matches is compared.
        new: Another requirement.
        repository: The repository of both releases; installed ones are then ignored.
        offline: Refuse the network.

    Raises:
        ResolutionError: A requirement matches no release.
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.model.difference import difference

    source = open_source(repository, offline=offline)
    (one, before), (other, after) = (_contents(text, source, installed=repository is None) for text in (old, new))
    return one, other, difference(before, after)


def _contents(text: str, source: RepositorySource, *, installed: bool) -> tuple[Release, Contents]:
    from pathlib import Path

    from orbitpkg.errors import NotInstalled
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.store.package import find_package
    from orbitpkg.store.records import load_release

    wanted = parse_requirement(text)
    if installed:
        with contextlib.suppress(NotInstalled):
            package = find_package(Layout(home()), wanted)
            return load_release(str(Path(package.path).parent)), package.contents
    version = wanted.range.exact or source.newest(wanted.key, [wanted.range])
    if version is None:
        raise source.not_found_error(wanted.key, str(wanted), source.versions(wanted.key))
    release = source.release(wanted.key, version)
    repository = source.repositories.catalogue(source.repositories.home(wanted.key)).repository
    return release, repository.contents(release)[1]
