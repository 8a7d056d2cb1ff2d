"""Searching repositories."""

from __future__ import annotations

from orbitpkg.api.boundary import public
from orbitpkg.config.home import home_folder
from orbitpkg.config.repositories import open_repositories
from orbitpkg.model.requirements import parse_requirement

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import TypeAlias

    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.model.release import Release
    from orbitpkg.repository.repository import Repository

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["Found", "home_of", "located", "released", "search", "versions"]


class Found:
    """A search result.

    Attributes:
        name: The package's name, as its publisher writes it.
        newest: Its newest version.
        description: Its description.
    """

    __slots__ = ("description", "name", "newest")

    def __init__(self, name: str, newest: str, description: str) -> None:
        self.name = name
        self.newest = newest
        self.description = description


@public
def versions(name: str, *, repository: PathLike | None = None, offline: bool = False) -> list[str]:
    """List the published versions of a package, oldest first.

    Raises:
        PackageNotFound: The repositories have no package of this name.
        RepositoryError: The repository cannot be read.
    """
    key, source = parse_requirement(name).key, _source(repository, offline=offline)
    found = source.versions(key)
    if not found:
        raise source.not_found_error(key, key, [])
    return [str(version) for version in found]


def _source(repository: PathLike | None, *, offline: bool) -> RepositorySource:
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.store.store import Store

    return RepositorySource(open_repositories(repository, offline=offline), Store(home_folder()), {})


def home_of(name: str, repository: PathLike | None = None, *, offline: bool = False) -> str:
    """Return the address of the repository that a package comes from.

    Raises:
        ResolutionError: Several repositories have the package, and it is bound to none of them.
        RepositoryError: A repository cannot be read.
    """
    return open_repositories(repository, offline=offline).home(parse_requirement(name).key).url


@public
def released(
    requirement: str, *, repository: PathLike | None = None, offline: bool = False, prereleases: bool = False
) -> Release:
    """Read the record of the newest published release that a requirement matches.

    A yanked release is considered only if the requirement names its exact version.

    Raises:
        PackageNotFound, VersionNotFound: No release matches.
        RepositoryError: The repository cannot be read.
    """
    return _released(requirement, _source(repository, offline=offline), prereleases=prereleases)


def located(
    requirement: str, *, repository: PathLike | None = None, offline: bool = False, prereleases: bool = False
) -> tuple[Release, Repository]:
    """Return the result of :func:`released` and the repository it comes from. Raises the same errors."""
    source = _source(repository, offline=offline)
    release = _released(requirement, source, prereleases=prereleases)
    return release, source.repositories.catalogue(source.repositories.home(release.key)).repository


def _released(requirement: str, source: RepositorySource, *, prereleases: bool) -> Release:
    wanted = parse_requirement(requirement)
    if wanted.range.exact:
        return source.release(wanted.key, wanted.range.exact)
    version = source.newest(wanted.key, [wanted.range], prereleases=prereleases)
    if version is None:
        raise source.not_found_error(wanted.key, str(wanted), source.versions(wanted.key))
    return source.release(wanted.key, version)


@public
def search(text: str = "", *, repository: PathLike | None = None, offline: bool = False) -> list[Found]:
    """List the packages whose name, description or keywords contain a text; all packages for an empty text.

    Raises:
        UnsupportedByStore: The repository is a static web server, which cannot be listed.
        RepositoryError: A repository cannot be read.
    """
    from orbitpkg.concurrency.pool import Pool

    places, summaries = open_repositories(repository, offline=offline), []
    for setting in places.settings:
        source = places.catalogue(setting).repository
        names = source.names()
        if not names:
            source.config()
        with Pool(16, "orbitpkg-search") as pool:
            summaries += [index for index in pool.map(source.summary, names) if index.releases]
    word = text.casefold()
    return [
        Found(index.name, str(index.newest), index.description)
        for index in summaries
        if word in " ".join([index.name, index.description, *index.keywords]).casefold()
    ]
