"""Looking into repositories."""

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
    """A package that a search found.

    Attributes:
        name: As its author writes it.
        newest: Its newest version.
        description: What its author says of it.
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
        PackageNotFound: Nobody published a package of this name there.
        RepositoryError: The repository cannot be read.
    """
    key, source = parse_requirement(name).key, _source(repository, offline=offline)
    found = source.versions(key)
    if not found:
        raise source.nothing_found(key, key, [])
    return [str(version) for version in found]


def _source(repository: PathLike | None, *, offline: bool) -> RepositorySource:
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.store.store import Store

    return RepositorySource(open_repositories(repository, offline=offline), Store(home_folder()), {})


def home_of(name: str, repository: PathLike | None = None, *, offline: bool = False) -> str:
    """Give the address of the repository that a package comes from.

    Raises:
        ResolutionError: Two repositories have it, and it is bound to neither.
        RepositoryError: A repository did not say.
    """
    return open_repositories(repository, offline=offline).home(parse_requirement(name).key).url


@public
def released(
    requirement: str, *, repository: PathLike | None = None, offline: bool = False, prereleases: bool = False
) -> Release:
    """Read the record of the best published release that a requirement allows; a yanked one only if it is named.

    Raises:
        PackageNotFound, VersionNotFound: There is none.
        RepositoryError: The repository cannot be read.
    """
    return _released(requirement, _source(repository, offline=offline), prereleases=prereleases)


def located(
    requirement: str, *, repository: PathLike | None = None, offline: bool = False, prereleases: bool = False
) -> tuple[Release, Repository]:
    """Give what :func:`released` gives, and the repository that it is in; arguments and errors are the same."""
    source = _source(repository, offline=offline)
    release = _released(requirement, source, prereleases=prereleases)
    return release, source.repositories.catalogue(source.repositories.home(release.key)).repository


def _released(requirement: str, source: RepositorySource, *, prereleases: bool) -> Release:
    wanted = parse_requirement(requirement)
    if wanted.range.exact:
        return source.release(wanted.key, wanted.range.exact)
    version = source.newest(wanted.key, [wanted.range], prereleases=prereleases)
    if version is None:
        raise source.nothing_found(wanted.key, str(wanted), source.versions(wanted.key))
    return source.release(wanted.key, version)


@public
def search(text: str = "", *, repository: PathLike | None = None, offline: bool = False) -> list[Found]:
    """List the packages of a repository whose name, description or keywords hold a text; all of them for "".

    Raises:
        UnsupportedByStore: The repository cannot be listed (a static web server).
        RepositoryError: It cannot be read.
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
