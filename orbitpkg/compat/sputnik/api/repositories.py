"""The repositories that Sputnik's functions ask: orbitpkg's, and what Sputnik or PyOrbital left.

An address that begins with ``sputnik+`` is what Sputnik left. At any other address that is named to these functions
there may be either, and ``orbitpkg.json`` tells which: Sputnik's users have the address of their old server in their
code. Where PyOrbital keeps its packages both are asked, so that a bucket can be used on while it is being left.
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

__all__ = ["Found", "choose", "default_repository", "installable", "places_of", "use_bucket"]


class _Default:
    """Which repository is asked when none is named; set by ``patch_sputnik``, for that is what it is for."""

    url: str | None = None


def use_bucket(url: str | None) -> None:
    """Have a bucket be asked when no repository is named; None ends that."""
    _Default.url = url


def default_repository(repository_url: str | os.PathLike[str] | None) -> str | os.PathLike[str] | None:
    """Give the repository to upload to: the one that is named, else the bucket, else None for orbitpkg's settings."""
    return repository_url if repository_url is not None else _Default.url


def places_of(repository_url: str | os.PathLike[str] | None) -> list[RepositorySet]:
    """Give the repositories to ask, of which each may have what the others lack.

    Raises:
        UsageError: The address cannot be read.
        RepositoryError: It cannot be asked what is there.
    """
    if repository_url is None and _Default.url is not None:
        return [open_repositories(_Default.url), open_repositories(f"{SCHEME_PREFIX}{_Default.url}")]
    if repository_url is None:
        return [open_repositories()]
    url = settings(repository_url).repositories[0].url
    if not is_sputnik_address(url):
        try:
            open_repository(repository_url).config()
        except RepositoryNotFound:
            return [open_repositories(f"{SCHEME_PREFIX}{url}")]
    return [open_repositories(repository_url)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What is to be installed.

    Attributes:
        source: Where it is.
        resolution: What it is, with what it depends on.
    """

    source: RepositorySource
    resolution: Resolution


def choose(layout: Layout, wanted: PackageString, apps: Apps, repository_url: str | os.PathLike[str] | None) -> Found:
    """Choose the newest version, of all repositories, that fits a package string and the app.

    Raises:
        PackageNotFoundException: None of them has the package.
        CompatiblePackageNotFoundException: None of them has a version that fits.
        RepositoryError: One of them did not say.
    """
    requirement = parse_requirement(wanted.requirement)
    refusals: list[ResolutionError] = []
    for places in _best_first(places_of(repository_url), wanted, apps):
        source = RepositorySource(places, Store(layout.home), {})
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
    """Put those that offer the newest version first, as indexes tell: a record of Sputnik's takes its archive."""
    if len(asked) == 1:
        return asked
    newest: dict[int, Version] = {}
    for at, places in enumerate(asked):
        offered = _offered(places.catalogue(places.settings[0]), wanted.key, wanted, apps)
        newest |= {at: max(version for _, version in offered)} if offered else {}
    order = sorted(newest, key=newest.__getitem__, reverse=True)
    return [asked[at] for at in dict.fromkeys([*order, *range(len(asked))])]


def _refusal(refusals: list[ResolutionError]) -> PackageNotFoundException | CompatiblePackageNotFoundException:
    # Who has the package and no fitting version says more than who lacks it.
    error = min(refusals, key=lambda each: isinstance(each, PackageNotFound))
    kind = PackageNotFoundException if isinstance(error, PackageNotFound) else CompatiblePackageNotFoundException
    return kind(error.message, hint=error.hint, **error.data)


def installable(wanted: PackageString, apps: Apps, repository_url: str | os.PathLike[str] | None) -> list[PackageStub]:
    """List all versions, in all repositories, that fit a package string and the app, by name, oldest first.

    Raises:
        RepositoryError: One of them did not say.
    """
    found: dict[tuple[str, Version], PackageStub] = {}
    for places in places_of(repository_url):
        for setting in places.settings:
            catalogue = places.catalogue(setting)
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
        said = {
            "name": head.name,
            "version": str(version),
            "description": head.description or None,
            "compatibility": {app: text or None for app, text in entry.compatibility.items()} or None,
        }
        offered[name, version] = PackageStub(said)
    return offered
