"""The settings files: finding them, reading them, and choosing the repositories in effect.

The sources, in order of precedence: the caller, ``ORBITPKG_REPOSITORY``, the project's file, the user's configuration
(``ORBITPKG_CONFIG``, else ``config.toml`` in the platform's configuration directory). The first source that names
repositories replaces those of all later ones. So a user's own configuration never changes a project that names its
repositories.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orbitpkg.config.discovery import (
    MAX_SETTINGS_BYTES,
    PROJECT_NAME,
    PYPROJECT_NAME,
    folders_above,
    is_hidden,
    may_configure,
)
from orbitpkg.config.environment import read_variable
from orbitpkg.config.home import user_config_file
from orbitpkg.config.owners import check_owner
from orbitpkg.errors import ProjectError, StorageError
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.files.reading import read_owned
from orbitpkg.files.tilde import expand_home
from orbitpkg.files.working import absolute_path
from orbitpkg.model.names import is_valid_name, nearest
from orbitpkg.model.project import DEFAULT_NAME, ProjectDocument, RepositorySetting, parse_project
from orbitpkg.model.tomltext import load_toml

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

__all__ = [
    "ProjectFile",
    "Settings",
    "address_of",
    "check_lock_owner",
    "find_project",
    "project_tables",
    "read_document",
    "read_settings",
    "read_user_config",
    "user_config_path",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """The settings file of a project or of the user.

    Attributes:
        path: Its path.
        document: Its contents.
    """

    path: Path
    document: ProjectDocument

    @property
    def folder(self) -> Path:
        """The directory that holds the file: the project's root."""
        return self.path.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The repositories in effect.

    Attributes:
        repositories: At least one, in order.
        source: Where they are configured: "the caller", a variable, a file's path, or "" for the default repository.
        is_explicit: Whether the caller or ``ORBITPKG_REPOSITORY`` chose the repository.
    """

    repositories: tuple[RepositorySetting, ...]
    source: str
    is_explicit: bool = False


def user_config_path() -> Path:
    """Return the path of the user's configuration, whether or not the file exists.

    Raises:
        StorageError: The user has no home directory, and ``ORBITPKG_CONFIG`` is unset.
    """
    path = user_config_file()
    if path is None:
        raise StorageError(
            "This user has no home directory, so there is no user configuration.",
            hint="Set ORBITPKG_CONFIG to the path of a file.",
        )
    return Path(path)


def read_user_config() -> ProjectFile | None:
    """Read the user's configuration; return None if there is none.

    Raises:
        ProjectError: It is invalid.
        StorageError: It cannot be read.
    """
    path = user_config_file()
    return read_document(Path(path)) if path is not None else None


def check_lock_owner(path: str | os.PathLike[str], owner: int | None) -> None:
    """Refuse a lockfile of another user, unless its directory is trusted; see :func:`.check_owner`."""
    check_owner(path, owner, _trusted_folders)


def _trusted_folders() -> tuple[str, ...]:
    user = read_user_config()
    return user.document.trusted if user is not None else ()


def project_tables(path: Path) -> tuple[str, ...]:
    """Return the path of the TOML table that holds orbitpkg's settings in a file."""
    return ("tool", "orbitpkg") if path.name == PYPROJECT_NAME else ()


def find_project(start: Path | None = None) -> ProjectFile | None:
    """Find the project's file in a directory or its nearest parent that has one; return None if there is no file.

    Args:
        start: The directory; the working directory when None.

    Raises:
        ProjectError: The file is invalid.
    """
    for folder in map(Path, folders_above(start)):
        for name in (PROJECT_NAME, PYPROJECT_NAME):
            found = read_document(folder / name)
            if found is not None:
                return found
    return None


def read_document(path: Path) -> ProjectFile | None:
    """Read orbitpkg's settings from a file; return None if the file does not exist or has no such settings.

    A file that this user may not even look for has no settings either.

    Raises:
        ProjectError: The settings are invalid, or belong to another user whom this user does not trust.
        StorageError: The file cannot be read.
    """
    is_user = _is_user_config(path)
    with storage_errors(path, READ):
        try:
            data, owner = read_owned(path, max_bytes=MAX_SETTINGS_BYTES)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError:
            if is_hidden(path) and not (is_user and read_variable("ORBITPKG_CONFIG")):
                return None
            raise
    tables = project_tables(path)
    # Other tools report a broken pyproject.toml that has no settings for orbitpkg.
    if tables and not may_configure(data):
        return None
    # The user's own configuration is where HOME or ORBITPKG_CONFIG says, so the user chose it, whoever owns it.
    if not is_user:
        check_owner(path, owner, _trusted_folders)
    table = _table_in(_parse_toml(data, path), tables)
    if table is None:
        return None
    where = f"{path}: [{'.'.join(tables)}]" if tables else str(path)
    document = parse_project(table, where=where, is_user=is_user)
    repositories = tuple(_resolve_paths(setting, path.parent) for setting in document.repositories)
    return ProjectFile(path=path, document=replace(document, repositories=repositories))


def _is_user_config(path: Path) -> bool:
    user = user_config_file()
    return user is not None and Path(user) == path


def _resolve_paths(setting: RepositorySetting, folder: Path) -> RepositorySetting:
    """Resolve the paths in a setting against the directory of the file that holds it."""
    url, *mirrors = (address_of(disk_path(url), folder=folder) for url in (setting.url, *setting.mirrors))
    return replace(setting, url=url, mirrors=tuple(mirrors))


def _parse_toml(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return load_toml(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise ProjectError(f"{path} is not UTF-8.") from None
    except (ValueError, RecursionError) as error:  # Python refuses an integer of 5,000 digits, which TOML allows
        raise ProjectError(f"{path} is not valid TOML: {error}.", hint="See https://toml.io") from None


def _table_in(table: object, keys: Sequence[str]) -> dict[str, Any] | None:
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None


def read_settings(repository: str | os.PathLike[str] | None, default: Callable[[], str]) -> Settings:
    """Find the repositories in effect.

    Args:
        repository: The caller's choice: an address, the path of a directory, or the name of a configured repository.
        default: Returns the address of the repository to use when no source names one.

    Raises:
        ProjectError: A settings file is invalid.
        UsageError: A repository name is unknown.
    """
    chosen, source = repository, "the caller"
    if not chosen:
        chosen, source = read_variable("ORBITPKG_REPOSITORY"), "ORBITPKG_REPOSITORY"
    if chosen:
        return Settings(repositories=(_named_or_address(chosen),), source=source, is_explicit=True)
    configured = _configured()
    if configured is not None:
        return Settings(repositories=configured.document.repositories, source=str(configured.path))
    only = RepositorySetting(name=DEFAULT_NAME, url=default())
    return Settings(repositories=(only,), source="")


def _configured() -> ProjectFile | None:
    """Return the file whose repositories apply, or None."""
    project = find_project()
    if project is not None and project.document.repositories:
        return project
    user = read_user_config()
    return user if user is not None and user.document.repositories else None


def _named_or_address(word: str | os.PathLike[str]) -> RepositorySetting:
    if isinstance(word, str) and is_valid_name(word):
        configured = _configured()
        named = {} if configured is None else {each.name: each for each in configured.document.repositories}
        if word in named:
            return named[word]
        if not Path(word).is_dir():
            from orbitpkg.errors import UsageError

            close = nearest(word, named, n=1)
            hint = f"Did you mean {close[0]}?" if close else "Give an address, or add it: orbitpkg repo add NAME URL"
            raise UsageError(f"Unknown repository {word!r}.", hint=hint)
        word = Path(word)
    return RepositorySetting(name=DEFAULT_NAME, url=address_of(word))


def address_of(word: str | os.PathLike[str], *, folder: Path | None = None) -> str:
    """Return the address of a repository given as an address or as the path of a directory.

    A path is a ``Path``, or a string that begins with ``.``, ``/`` or ``~``.

    Args:
        word: The address or path.
        folder: The directory that a relative path starts from; the working directory when None.
    """
    if isinstance(word, str) and not word.startswith((".", "/", "~")):
        return word
    return Path(absolute_path(Path(folder or "", expand_home(word)))).as_uri()
