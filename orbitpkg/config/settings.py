"""Which repositories are in effect, and who said so; where a project begins.

A word of the caller counts before ``ORBITPKG_REPOSITORY``, that before the project's file, and that before the user's
configuration (``ORBITPKG_CONFIG``, else ``config.toml`` in the platform's folder for configuration). Whoever of them
names repositories replaces those of all who come after: a colleague's own configuration changes nothing in a project
that names its repositories.
"""

from __future__ import annotations

import os
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orbitpkg.errors import ProjectError, StorageError
from orbitpkg.files.tilde import expanded
from orbitpkg.model.names import is_valid_name, nearest
from orbitpkg.model.project import DEFAULT_NAME, ProjectDocument, RepositorySetting, parse_project

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "PROJECT_NAME",
    "PYPROJECT_NAME",
    "ProjectFile",
    "Settings",
    "address_of",
    "find_project",
    "project_tables",
    "read_document",
    "read_settings",
    "user_config_path",
]

PROJECT_NAME = "orbit.toml"
PYPROJECT_NAME = "pyproject.toml"
_MAX_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectFile:
    """The file in which a project, or a user, says what they want.

    Attributes:
        path: Its path.
        document: What it says.
    """

    path: Path
    document: ProjectDocument

    @property
    def folder(self) -> Path:
        """The folder it is in, which is the project's."""
        return self.path.parent


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The repositories in effect.

    Attributes:
        repositories: In their order; at least one.
        said_by: Who says so: the caller, a variable, a file, or "" when nobody does.
        is_said: Whether a caller or a variable named one for this very command.
    """

    repositories: tuple[RepositorySetting, ...]
    said_by: str
    is_said: bool = False


def user_config_path() -> Path:
    """Where the user's configuration is, or would be."""
    said = os.environ.get("ORBITPKG_CONFIG")
    if said:
        return expanded(said).absolute()
    from platformdirs import user_config_path as platform_path

    return platform_path("orbitpkg", appauthor=False) / "config.toml"


def project_tables(path: Path) -> tuple[str, ...]:
    """Say in which table of a file orbitpkg's settings are."""
    return ("tool", "orbitpkg") if path.name == PYPROJECT_NAME else ()


def find_project(start: Path | None = None) -> ProjectFile | None:
    """Find the project's file: in a folder, or the nearest one above it; None when there is none.

    Args:
        start: The folder; the working directory when None.

    Raises:
        ProjectError: It cannot be used.
    """
    folder = (start or Path.cwd()).absolute()
    for place in (folder, *folder.parents):
        for name in (PROJECT_NAME, PYPROJECT_NAME):
            found = read_document(place / name)
            if found is not None:
                return found
    return None


def read_document(path: Path) -> ProjectFile | None:
    """Read orbitpkg's settings in a file; None when there is no such file, or none of them in it.

    Raises:
        ProjectError: They cannot be used.
    """
    try:
        data = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > _MAX_BYTES:
        raise ProjectError(f"{path} has {len(data):,} bytes; {_MAX_BYTES:,} is the most.")
    tables = project_tables(path)
    # A broken pyproject.toml that is not about us is not ours to complain of.
    if tables and b"orbitpkg" not in data:
        return None
    table = _table_in(_parsed(data, path), tables)
    if table is None:
        return None
    where = f"{path}: [{'.'.join(tables)}]" if tables else str(path)
    document = parse_project(table, where=where)
    repositories = tuple(_placed(setting, path.parent) for setting in document.repositories)
    return ProjectFile(path=path, document=replace(document, repositories=repositories))


def _placed(setting: RepositorySetting, folder: Path) -> RepositorySetting:
    """Read the paths in a setting from the folder of the file that holds it."""
    url, *mirrors = (address_of(url, folder=folder) for url in (setting.url, *setting.mirrors))
    return replace(setting, url=url, mirrors=tuple(mirrors))


def _parsed(data: bytes, path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(data.decode())
    except UnicodeDecodeError:
        raise ProjectError(f"{path} is not UTF-8.") from None
    except (ValueError, RecursionError) as error:  # an integer of 5,000 digits is TOML, and too long for Python
        raise ProjectError(f"{path} cannot be read: {error}.", hint="It is TOML: https://toml.io") from None


def _table_in(table: object, keys: Sequence[str]) -> dict[str, Any] | None:
    for key in keys:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, dict) else None


def read_settings(said: str | os.PathLike[str] | None, default: Callable[[], str]) -> Settings:
    """Find out which repositories are in effect.

    Args:
        said: What the caller says: an address, the path of a directory, or the name of a configured repository.
        default: Gives the address of the repository that is used when nobody says anything.

    Raises:
        ProjectError: A file of settings cannot be used.
        UsageError: A name is none of a repository.
    """
    word, by = said, "the caller"
    if not word:
        word, by = os.environ.get("ORBITPKG_REPOSITORY"), "ORBITPKG_REPOSITORY"
    if word:
        return Settings(repositories=(_named_or_address(word),), said_by=by, is_said=True)
    configured = _configured()
    if configured is not None:
        return Settings(repositories=configured.document.repositories, said_by=str(configured.path))
    only = RepositorySetting(name=DEFAULT_NAME, url=default())
    return Settings(repositories=(only,), said_by="")


def _configured() -> ProjectFile | None:
    """Give the file whose repositories count; None when there is none."""
    project = find_project()
    if project is not None and project.document.repositories:
        return project
    user = read_document(user_config_path())
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
            hint = f"Did you mean {close[0]}?" if close else "Give an address, or name one: orbitpkg repo add NAME URL"
            raise UsageError(f"There is no repository {word!r}.", hint=hint)
        word = Path(word)
    return RepositorySetting(name=DEFAULT_NAME, url=address_of(word))


def address_of(word: str | os.PathLike[str], *, folder: Path | None = None) -> str:
    """Give the address that a word means: the word, or that of the directory whose path it is.

    A path is a ``Path``, or a text that begins with ``.``, ``/`` or ``~``.

    Args:
        word: The word.
        folder: Where a relative path begins; the working directory when None.
    """
    if isinstance(word, str) and not word.startswith((".", "/", "~")):
        return word
    path = (folder or Path()).absolute() / expanded(word)
    return Path(os.path.normpath(path)).as_uri()
