"""The repositories that Sputnik's functions search: orbitpkg's own, and those of Sputnik and PyOrbital.

An address that begins with ``sputnik+`` is a Sputnik repository. Any other address may be either kind, since apps have
the address of their old server in their code; ``orbitpkg.json`` exists only in orbitpkg's own. In PyOrbital's bucket
both kinds are searched, so the bucket stays in use during a migration.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.compat.sputnik.api.apps import excluded_by
from orbitpkg.compat.sputnik.api.errors import CompatiblePackageNotFoundException, PackageNotFoundException
from orbitpkg.compat.sputnik.api.packages import PackageStub
from orbitpkg.compat.sputnik.formats.repositories import SCHEME_PREFIX, is_sputnik_address
from orbitpkg.config.repositories import open_repositories, open_repository, settings
from orbitpkg.errors import PackageNotFound, RepositoryNotFound, ResolutionError
from orbitpkg.installer.sources import RepositorySource, resolve_as_recorded
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.store.store import Store

if TYPE_CHECKING:
    import os

    from orbitpkg.compat.sputnik.api.constraints import PackageString
    from orbitpkg.model.versions import Version
    from orbitpkg.repository.catalogue import Catalogue
    from orbitpkg.repository.repository_set import RepositorySet
    from orbitpkg.resolver.apps import Apps
    from orbitpkg.resolver.resolver import Resolution
    from orbitpkg.store.layout import Layout

__all__ = ["Found", "choose", "default_repository", "installable", "repositories_of", "use_bucket"]


class _Default:
    """The default repository, a process-wide setting because ``patch_sputnik`` is one."""

    url: str | None = None


def use_bucket(url: str | None) -> None:
    """Make a bucket the default repository; None removes it."""
    _Default.url = url


def default_repository(repository_url: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    """Return the repository to upload to: the given one, else the bucket, else None for orbitpkg's settings."""
    return repository_url if repository_url is not None else _Default.url


def repositories_of(repository_url: str | os.PathLike[str] | None) -> list[RepositorySet]:
    """Return the repositories to search, each of which may have packages that the others lack.

    Raises:
        UsageError: The address is invalid.
        RepositoryError: The repository cannot be reached.
    """
    if repository_url is None and _Default.url is not None:
        return [open_repositories(_Default.url), open_repositories(f"{SCHEME_PREFIX}{_Default.url}")]
    if repository_url is None:
        return [open_repositories()]
    url = settings(repository_url).repositories[0].url
    if not is_sputnik_address(url):
        # Only orbitpkg writes a configuration, so its absence tells the kind of the repository.
        try:
            open_repository(repository_url).config()
        except RepositoryNotFound:
            return [open_repositories(f"{SCHEME_PREFIX}{url}")]
    return [open_repositories(repository_url)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A package to install.

    Attributes:
        source: The source of its release.
        resolution: Its release and those of its dependencies.
    """

    source: RepositorySource
    resolution: Resolution


def choose(layout: Layout, wanted: PackageString, apps: Apps, repository_url: str | os.PathLike[str] | None) -> Found:
    """Choose the newest version in all repositories that matches a package string and is compatible with the app.

    Raises:
        PackageNotFoundException: No repository has the package.
        CompatiblePackageNotFoundException: No repository has a version that matches.
        RepositoryError: A repository cannot be read.
    """
    requirement = parse_requirement(wanted.requirement)
    refusals: list[ResolutionError] = []
    for repositories in _best_first(repositories_of(repository_url), wanted, apps):
        source = RepositorySource(repositories, Store(layout.home), {})
        try:
            resolution = resolve_as_recorded([requirement], source, apps=apps, prereleases=True)
        except RepositoryNotFound as error:
            refusals.append(PackageNotFound(error.message, hint=error.hint))
        except ResolutionError as error:
            refusals.append(error)
        else:
            return Found(source=source, resolution=resolution)
    raise _refusal(refusals)


def _best_first(asked: list[RepositorySet], wanted: PackageString, apps: Apps) -> list[RepositorySet]:
    """Sort repositories by the newest version in their indexes: reading a Sputnik record downloads its archive."""
    if len(asked) == 1:
        return asked
    newest: dict[int, Version] = {}
    for at, repositories in enumerate(asked):
        offered = _offered(repositories.catalogue(repositories.settings[0]), wanted.key, wanted, apps)
        newest |= {at: max(version for _, version in offered)} if offered else {}
    order = sorted(newest, key=newest.__getitem__, reverse=True)
    return [asked[at] for at in dict.fromkeys([*order, *range(len(asked))])]


def _refusal(refusals: list[ResolutionError]) -> PackageNotFoundException | CompatiblePackageNotFoundException:
    # A repository that has the package but no matching version gives the more useful error.
    error = min(refusals, key=lambda each: isinstance(each, PackageNotFound))
    kind = PackageNotFoundException if isinstance(error, PackageNotFound) else CompatiblePackageNotFoundException
    return kind(error.message, hint=error.hint, **error.data)


def installable(wanted: PackageString, apps: Apps, repository_url: str | os.PathLike[str] | None) -> list[PackageStub]:
    """List all versions in all repositories that match a package string and the app, by name, oldest first.

    Raises:
        RepositoryError: A repository cannot be read.
    """
    found: dict[tuple[str, Version], PackageStub] = {}
    for repositories in repositories_of(repository_url):
        for setting in repositories.settings:
            catalogue = repositories.catalogue(setting)
            for name in [wanted.key] if wanted.name else catalogue.repository.names():
                found = {**_offered(catalogue, name, wanted, apps), **found}
    return [found[key] for key in sorted(found)]


def _offered(
    catalogue: Catalogue, name: str, wanted: PackageString, apps: Apps
) -> dict[tuple[str, Version], PackageStub]:
    stock, offered = catalogue.stock(name), {}
    entries = {version: stock.entry(version) for version in stock.versions if wanted.allows(version)}
    head = catalogue.repository.summary(name) if entries else None
    for version, entry in entries.items():
        if head is None or entry is None or entry.yanked is not None or excluded_by(apps, entry.compatibility):
            continue
        fields = {
            "name": head.name,
            "version": str(version),
            "description": head.description or None,
            "compatibility": {app: text or None for app, text in entry.compatibility.items()} or None,
        }
        offered[name, version] = PackageStub(fields)
    return offered
