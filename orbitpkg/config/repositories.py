"""The home directory, offline mode, and the repositories in effect.

Settings are read at each call; nothing is cached between calls.
"""

from __future__ import annotations

from pathlib import Path

from orbitpkg.config.environment import is_set
from orbitpkg.config.home import home_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from typing import TypeAlias

    from orbitpkg.config.settings import Settings
    from orbitpkg.model.project import RepositorySetting
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository
    from orbitpkg.repository.repository_set import RepositorySet

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = [
    "default_repository",
    "home",
    "is_offline",
    "needs_network",
    "open_repositories",
    "open_repository",
    "refuse_offline",
    "repository_url",
    "settings",
    "store_cache_folder",
]


def home() -> Path:
    """Return the home directory: ``ORBITPKG_HOME``, or else the platform's directory for a user's data."""
    return Path(home_folder())


def default_repository() -> str:
    """Return the address of the default repository: a directory in the home directory."""
    return Path(home_folder(), "repository").as_uri()


def settings(repository: PathLike | None = None) -> Settings:
    """Return the repositories in effect, and where they are configured.

    Args:
        repository: An address, the path of a directory (a ``Path``, or a string that begins with ``.``, ``/`` or
            ``~``), or the name of a configured repository. When None, ``ORBITPKG_REPOSITORY`` applies, else the
            project's file, else the user's configuration, else the default repository.

    Raises:
        ProjectError: A settings file is invalid.
        UsageError: A repository name is unknown.
    """
    from orbitpkg.config.settings import read_settings

    return read_settings(repository, default_repository)


def repository_url(repository: PathLike | None = None, *, package: str | None = None) -> str:
    """Return the address of the single repository to use.

    Args:
        repository: As for :func:`settings`.
        package: A package's name. If several repositories are in effect, the one that it is bound to is used.

    Raises:
        UsageError: Several repositories are in effect, and the package is bound to none of them.
    """
    return _setting(repository, package).url


def _setting(repository: PathLike | None, package: str | None = None) -> RepositorySetting:
    from orbitpkg.errors import UsageError
    from orbitpkg.model.project import bound_to

    found = settings(repository)
    if len(found.repositories) == 1:
        return found.repositories[0]
    bound = bound_to(package, found.repositories) if package is not None else None
    if bound is not None:
        return bound
    names = [each.name for each in found.repositories]
    raise UsageError(
        f"Several repositories are configured: {', '.join(names)}.",
        hint=f"To choose one, add --repository {names[0]}."
        + (f" Or add {package} to the packages of one of them." if package else ""),
        repositories=names,
    )


def is_offline(*, requested: bool = False) -> bool:
    """Return whether offline mode is on: because the caller requests it, or ``ORBITPKG_OFFLINE`` is set."""
    return requested or is_set("ORBITPKG_OFFLINE")


def refuse_offline(url: str, *, requested: bool = False) -> None:
    """Refuse an address that needs a network when offline mode is on.

    Raises:
        OfflineError: The address is refused.
    """
    if is_offline(requested=requested) and needs_network(url):
        from orbitpkg.errors import OfflineError
        from orbitpkg.redaction import redacted

        raise OfflineError(
            f"Cannot access {redacted(url)} in offline mode.",
            hint="Omit --offline, or unset ORBITPKG_OFFLINE.",
            url=redacted(url),
        )


def open_repository(
    repository: PathLike | None = None, *, offline: bool = False, package: str | None = None
) -> Repository:
    """Open a repository, without contacting it.

    Args:
        repository: As for :func:`settings`.
        offline: Refuse a repository that needs a network.
        package: As for :func:`repository_url`.

    Raises:
        UsageError: The address is invalid.
        OfflineError: The repository needs a network, and offline mode is on.
    """
    setting = _setting(repository, package)
    refuse_offline(setting.url, requested=offline)
    return _open_repository(setting)


def open_repositories(
    repository: PathLike | None = None, *, offline: bool = False, reporter: Reporter | None = None
) -> RepositorySet:
    """Return the repositories in effect; each is opened at its first use.

    Offline, repositories that need a network answer from this machine's cache of them, and no socket is opened.

    Args:
        repository: As for :func:`settings`.
        offline: Use no network.
        reporter: Receives a note when a mirror replaces a repository, and the progress of downloads that indexing a
            repository of another format takes.
    """
    from functools import partial

    from orbitpkg.repository.cache import Cache
    from orbitpkg.repository.repository_set import RepositorySet

    effect = settings(repository)
    opener = partial(_open_repository, offline=is_offline(requested=offline), reporter=reporter)
    cache = Cache(Path(home_folder(), "cache"))
    return RepositorySet(effect.repositories, opener, cache=cache, is_explicit=effect.is_explicit)


def _open_repository(
    setting: RepositorySetting, *, offline: bool = False, reporter: Reporter | None = None
) -> Repository:
    from orbitpkg.objects import open_store
    from orbitpkg.reporting import SILENT
    from orbitpkg.repository.known import KnownReleases
    from orbitpkg.repository.mirrors import MirroredStore
    from orbitpkg.repository.repository import Repository

    cache, report = store_cache_folder(setting), reporter or SILENT
    stores = [open_store(url, cache=cache, reporter=report, offline=offline) for url in (setting.url, *setting.mirrors)]
    known = KnownReleases(home_folder(), stores[0].url) if _is_lasting(setting.url) else None
    if len(stores) == 1:
        return Repository(stores[0], known=known, is_default=setting.url == default_repository())
    return Repository(MirroredStore(stores, tell=report.note), known=known)


def _is_lasting(url: str) -> bool:
    """Return whether what was read from a store once can be expected of it for ever.

    A store in memory starts empty in each process, and the stores of plug-ins may convert a record again.
    """
    return url.startswith(("file:", "s3:", "https:", "http:"))


def store_cache_folder(setting: RepositorySetting | None = None) -> Path:
    """Return the directory in which stores of plug-ins keep files between runs.

    The home directory that contains it is created for this user alone, unless only built-in stores are to be opened.
    """
    from orbitpkg.files.folders import make_private_folder
    from orbitpkg.objects.schemes import is_builtin

    if setting is None or not all(map(is_builtin, (setting.url, *setting.mirrors))):
        import contextlib

        # A process that needs to write there gets its own error.
        with contextlib.suppress(OSError):
            make_private_folder(home_folder())
    return Path(home_folder(), "cache")


def needs_network(url: str) -> bool:
    """Return whether the store at an address is reached through a network."""
    # The common schemes are decided without importing stores: what is installed starts faster.
    if url.startswith(("s3://", "https://", "http://", "file://")):
        return not url.startswith("file://")
    from orbitpkg.objects.schemes import needs_network as needs

    return needs(url)
