"""Where things are: the home folder, and the repositories in effect.

The environment is read here and nowhere below, except for the credentials of object stores and the time to wait for a
lock: ``ORBITPKG_HOME`` (the home folder), ``ORBITPKG_REPOSITORY`` (the repository when none is given),
``ORBITPKG_OFFLINE``. It is read at each call; nothing is remembered between calls.
"""

from __future__ import annotations

import os
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from orbitpkg.config.settings import Settings
    from orbitpkg.model.project import RepositorySetting
    from orbitpkg.objects import ObjectStore
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.places import Places
    from orbitpkg.repository.repository import Repository

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = [
    "default_repository",
    "home",
    "home_folder",
    "is_offline",
    "open_places",
    "open_repository",
    "repository_url",
    "settings",
    "sputnik_caches",
    "takes_network",
]


def home() -> Path:
    """Give the home folder: ``ORBITPKG_HOME``, or else the platform's folder for a user's data."""
    return Path(home_folder())


def home_folder() -> str:
    """Give the home folder's path as a text: what an app's start needs."""
    said = os.environ.get("ORBITPKG_HOME")
    if said:
        return os.path.abspath(os.path.expanduser(said))  # noqa: PTH100, PTH111 - an app's start counts microseconds
    from platformdirs import user_data_dir

    return user_data_dir("orbitpkg", appauthor=False)


def default_repository() -> str:
    """Give the address of the repository that is used when none is named: a directory in the home folder."""
    return Path(home_folder(), "repository").as_uri()


def settings(repository: PathLike | None = None) -> Settings:
    """Say which repositories are in effect, and who says so.

    Args:
        repository: What the caller says: an address, the path of a directory (a ``Path``, or a text that begins with
            ``.``, ``/`` or ``~``), or the name of a configured repository. When None, ``ORBITPKG_REPOSITORY`` says it,
            else the project's file, else the user's configuration, else it is the default one.

    Raises:
        ProjectError: A file of settings cannot be used.
        UsageError: A name is none of a repository.
    """
    from orbitpkg.config.settings import read_settings

    return read_settings(repository, default_repository)


def repository_url(said: PathLike | None = None, *, package: str | None = None) -> str:
    """Give the address of a repository.

    Args:
        said: As for :func:`settings`.
        package: What it is to hold; where several are in effect, the one that this package is bound to is meant.

    Raises:
        UsageError: Several are in effect, and none of them is meant for sure.
    """
    return _setting(said, package).url


def _setting(said: PathLike | None, package: str | None = None) -> RepositorySetting:
    from orbitpkg.errors import UsageError
    from orbitpkg.model.project import bound_to

    found = settings(said)
    if len(found.repositories) == 1:
        return found.repositories[0]
    bound = bound_to(package, found.repositories) if package is not None else None
    if bound is not None:
        return bound
    names = [each.name for each in found.repositories]
    raise UsageError(
        f"Which of the repositories {', '.join(names)} is meant, nobody said.",
        hint=f"Say it: --repository {names[0]}" + (f", or bind {package} to one: packages" if package else ""),
        repositories=names,
    )


def is_offline(*, said: bool = False) -> bool:
    """Say whether the network may not be used: because the caller says so, or ``ORBITPKG_OFFLINE`` does."""
    return said or os.environ.get("ORBITPKG_OFFLINE", "").lower() not in {"", "0", "false", "no"}


def open_repository(
    repository: PathLike | None = None, *, offline: bool = False, package: str | None = None
) -> Repository:
    """Open a repository; nothing is asked of it yet.

    Args:
        repository: As for :func:`settings`.
        offline: Refuse one that takes a network.
        package: As for :func:`repository_url`.

    Raises:
        UsageError: The address cannot be read.
        OfflineError: It takes a network.
    """
    from orbitpkg.errors import OfflineError

    setting = _setting(repository, package)
    if is_offline(said=offline) and takes_network(setting.url):
        raise OfflineError(
            f"{setting.url} cannot be reached: offline mode is on.",
            hint="Leave out --offline, or unset ORBITPKG_OFFLINE.",
            url=setting.url,
        )
    return _opened_repository(setting)


def open_places(
    repository: PathLike | None = None, *, offline: bool = False, reporter: Reporter | None = None
) -> Places:
    """Give the repositories in effect; each is opened when it is first asked.

    Offline, those that take a network answer from what this machine keeps of them, and no socket is opened.

    Args:
        repository: As for :func:`settings`.
        offline: Use no network.
        reporter: Told when a mirror takes the place of a repository, and of what is downloaded from one of Sputnik's.
    """
    from functools import partial

    from orbitpkg.repository.cache import Cache
    from orbitpkg.repository.places import Places

    effect = settings(repository)
    opener = partial(_opened_repository, offline=is_offline(said=offline), reporter=reporter)
    cache = Cache(Path(home_folder(), "cache"))
    return Places(effect.repositories, opener, cache=cache, is_said=effect.is_said)


def _opened_repository(
    setting: RepositorySetting, *, offline: bool = False, reporter: Reporter | None = None
) -> Repository:
    from orbitpkg.objects.offline import OfflineStore
    from orbitpkg.reporting import SILENT
    from orbitpkg.repository.mirrors import MirroredStore
    from orbitpkg.repository.repository import Repository

    urls, report = [setting.url, *setting.mirrors], reporter or SILENT
    stores = [OfflineStore(url) if offline and takes_network(url) else _opened_store(url, report) for url in urls]
    if len(stores) == 1:
        return Repository(stores[0])
    return Repository(MirroredStore(stores, tell=report.note))


def _opened_store(url: str, reporter: Reporter) -> ObjectStore:
    if url.startswith("sputnik+"):
        from orbitpkg.compat.sputnik.formats.store import open_sputnik_store

        return open_sputnik_store(url, sputnik_caches(), reporter=reporter)
    from orbitpkg.objects import open_store

    return open_store(url)


def sputnik_caches() -> Path:
    """Give the folder for what is kept of repositories of Sputnik's; makes the home folder that it is in."""
    import contextlib

    from orbitpkg.files.folders import make_private_folder

    with contextlib.suppress(OSError):  # Who needs to write there is told then.
        make_private_folder(home_folder())
    return Path(home_folder(), "cache", "sputnik")


def takes_network(url: str) -> bool:
    """Say whether an address is reached by a network."""
    return not url.removeprefix("sputnik+").startswith(("file:", "memory:"))
