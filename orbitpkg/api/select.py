"""What callers ask for, understood, and the releases that answer it."""

from __future__ import annotations

import os
from pathlib import Path

from orbitpkg.model.requirements import Requirement, parse_requirement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from contextlib import ExitStack
    from typing import TypeAlias

    from orbitpkg.installer.install import Available
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.reporting import Reporter
    from orbitpkg.resolver.resolver import Resolution
    from orbitpkg.store.layout import Layout

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["choose", "listed", "understood"]


def listed(words: str | Iterable[str] | None) -> tuple[str, ...]:
    """Give one word, several or none as several."""
    if words is None:
        return ()
    return (words,) if isinstance(words, str) else tuple(words)


def understood(requirements: Sequence[PathLike], stack: ExitStack) -> tuple[list[Requirement], dict[str, Available]]:
    """Read requirements, and open the archives among them for as long as the stack lasts."""
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


def choose(
    layout: Layout,
    wanted: Sequence[Requirement],
    *,
    archives: Mapping[str, Available],
    repository: PathLike | None,
    apps: Sequence[str],
    python: PathLike | None,
    only: Sequence[str],
    offline: bool,
    prereleases: bool,
    reporter: Reporter | None = None,
) -> tuple[Resolution, RepositorySource | None]:
    """Choose releases; without a source when all of them are installed and nobody needs to be asked."""
    from orbitpkg.config.apps import read_apps
    from orbitpkg.config.repositories import is_offline, open_places, settings, takes_network
    from orbitpkg.errors import OrbitError
    from orbitpkg.installer.installed import InstalledSource
    from orbitpkg.resolver.resolver import resolve

    held = read_apps(apps, python=python)
    effect = settings(repository)
    networked = [takes_network(setting.url) for setting in effect.repositories]
    local_only = is_offline(said=offline) and any(networked)
    exact = not archives and all(requirement.range.exact for requirement in wanted)
    if exact or (local_only and not archives):
        # What somebody names a repository for must come from it; what nobody does, from anywhere.
        origin = effect.repositories[0].url if effect.is_said and not local_only else None
        try:
            return resolve(
                wanted, InstalledSource(layout, origin=origin, only=only), apps=held, prereleases=prereleases
            ), None
        except OrbitError as error:
            if local_only and all(networked):
                error.hint = f"Offline mode is on, so only what is installed can be had. {error.hint or ''}".rstrip()
                raise
    from orbitpkg.installer.sources import RepositorySource, resolve_as_recorded
    from orbitpkg.store.store import Store

    places = open_places(repository, offline=offline, reporter=reporter)
    source = RepositorySource(places, Store(layout.home), archives)
    return resolve_as_recorded(wanted, source, apps=held, prereleases=prereleases), source
