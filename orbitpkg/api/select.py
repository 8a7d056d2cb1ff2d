"""Parsing requirements, and choosing the releases that meet them."""

from __future__ import annotations

import os
from pathlib import Path

from orbitpkg.escaping import shell_word
from orbitpkg.model.requirements import Requirement, parse_requirement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from contextlib import ExitStack

    from orbitpkg.api.options import InstallOptions, PathLike
    from orbitpkg.errors import OrbitError
    from orbitpkg.installer.install import Available
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.resolver.apps import Apps
    from orbitpkg.resolver.resolver import Resolution
    from orbitpkg.store.layout import Layout

__all__ = ["choose_releases", "parse_requirements"]


def parse_requirements(
    requirements: Sequence[PathLike], stack: ExitStack
) -> tuple[list[Requirement], dict[str, Available]]:
    """Parse requirements, and open the archives among them until the stack is closed.

    Returns:
        The requirements, and the archives by the canonical names of their packages.
    """
    from orbitpkg.api.publish import is_archive, opened_archive

    archives: dict[str, Available] = {}
    wanted: list[Requirement] = []
    for word in requirements:
        if is_archive(word):
            from orbitpkg.installer.install import available_archive

            available = available_archive(stack.enter_context(opened_archive(Path(word))))
            archives[available.release.key] = available
            wanted.append(parse_requirement(str(available.release)))
        else:
            wanted.append(parse_requirement(os.fspath(word)))
    return wanted, archives


def choose_releases(
    layout: Layout,
    wanted: Sequence[Requirement],
    archives: Mapping[str, Available],
    apps: Apps,
    options: InstallOptions,
) -> tuple[Resolution, RepositorySource | None]:
    """Choose releases.

    Args:
        layout: The layout of the store.
        wanted: The requirements.
        archives: Archives on this machine, by the canonical names of their packages.
        apps: The apps that will use the packages.
        options: The other options.

    Returns:
        The releases, and the source to install them from; None when all are installed and no repository is needed.

    Raises:
        ResolutionError: No set of releases meets the requirements.
        RepositoryError: A repository cannot be read.
    """
    from orbitpkg.config.home import home_folder
    from orbitpkg.config.repositories import is_offline, needs_network, open_repositories, settings
    from orbitpkg.errors import OrbitError
    from orbitpkg.installer.installed import InstalledSource
    from orbitpkg.resolver.resolver import resolve

    effect = settings(options.repository)
    remote = [needs_network(setting.url) for setting in effect.repositories]
    # Without any configured repository, the default one counts only if it exists.
    is_alone = not effect.source and not Path(home_folder(), "repository").is_dir()
    local_only = is_offline(requested=options.offline) and (any(remote) or is_alone)
    damage: Sequence[str] = ()
    exact = not archives and all(requirement.range.exact for requirement in wanted)
    if exact or (local_only and not archives):
        # A package must come from the repository that the user names; without one, its origin does not matter.
        origin = effect.repositories[0].url if effect.is_explicit and not local_only else None
        installed = InstalledSource(layout, origin=origin, only=options.only)
        try:
            return resolve(wanted, installed, apps=apps, prereleases=options.prereleases), None
        except OrbitError as error:
            if local_only and (all(remote) or is_alone):
                error.hint = f"In offline mode, only installed packages count. {error.hint or ''}".rstrip()
                _mention_damage(error, installed.damage, wanted)
                raise
            damage = installed.damage
    from orbitpkg.installer.sources import RepositorySource, resolve_as_recorded
    from orbitpkg.store.store import Store

    try:
        repositories = open_repositories(options.repository, offline=options.offline, reporter=options.reporter)
        source = RepositorySource(repositories, Store(layout.home), archives)
        return resolve_as_recorded(wanted, source, apps=apps, prereleases=options.prereleases), source
    except OrbitError as error:
        _mention_damage(error, damage, wanted)
        raise


def _mention_damage(error: OrbitError, damage: Sequence[str], wanted: Sequence[Requirement]) -> None:
    """Mention installed releases that would have done, if they did not lack files, in the hint of an error."""
    if damage:
        requirements = " ".join(shell_word(str(requirement)) for requirement in wanted)
        restore = f"To restore the files: orbitpkg verify --repair {requirements}"
        error.hint = " ".join([*dict.fromkeys(damage), restore, *filter(None, [error.hint])])
