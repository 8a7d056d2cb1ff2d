"""Edits to a project's file or the user's configuration that keep the user's comments and order.

A file is replaced as a whole. Every edit is parsed before it is written, so an edit that would make the settings
invalid changes nothing. Whoever reads a file to change it holds :func:`edit_lock`, so that no change is lost.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array

from orbitpkg.config.discovery import MAX_SETTINGS_BYTES, PROJECT_NAME
from orbitpkg.config.settings import project_tables, user_config_path
from orbitpkg.errors import ProjectError, UsageError
from orbitpkg.files.atomic import atomic_write
from orbitpkg.files.editing import editing
from orbitpkg.files.errors import READ, USER_FILE, storage_errors
from orbitpkg.files.reading import read_bounded
from orbitpkg.model.project import parse_project
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.model.tomltext import check_keys

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableMapping, Sequence
    from pathlib import Path

    from orbitpkg.model.project import RepositorySetting
    from orbitpkg.model.requirements import Requirement

__all__ = ["edit_lock", "has_repository", "put_repository", "put_requirements", "remove_repository", "write_text"]

_NEW_PROJECT = (
    "# The packages that this project uses. orbitpkg add, lock and sync keep orbit.lock up to date with it.\n"
)


@contextlib.contextmanager
def edit_lock(path: Path) -> Iterator[None]:
    """Keep other processes from editing a settings file, or the lockfile beside it, for the duration of the block.

    Args:
        path: The settings file or the lockfile. Its directory is created if it does not exist.

    Raises:
        LockTimeout: Another process was editing for longer than ``ORBITPKG_LOCK_TIMEOUT`` seconds.
        StorageError: The lock cannot be created.
    """
    from orbitpkg.store.store import lock_seconds

    # A link is followed as atomic_write follows it, so that all names of one file share one lock.
    folder = path.resolve().parent
    with contextlib.ExitStack() as stack:
        with storage_errors(path, USER_FILE):
            folder.mkdir(parents=True, exist_ok=True)
            stack.enter_context(editing(folder, seconds=lock_seconds()))
        yield


def put_requirements(path: Path, requirements: Iterable[Requirement]) -> str:
    """Return the text of a project's file with requirements added; one for a package already listed replaces it.

    Args:
        path: The file. If it does not exist, the text of a new one is returned.
        requirements: The requirements to add.

    Raises:
        ProjectError: The file is invalid.
    """
    document = _open_document(path)
    table = _table(document, project_tables(path))
    array = table.setdefault("requirements", tomlkit.array().multiline(multiline=True))
    if not isinstance(array, Array):
        raise ProjectError(f"{path}: requirements is not an array of strings.")
    for requirement in requirements:
        _put(array, requirement)
    return _checked(document, path)


def _put(array: Array, requirement: Requirement) -> None:
    for index, text in enumerate(array):
        try:
            listed = parse_requirement(str(text))
        except UsageError:  # _checked reports it with the rest of the file
            continue
        if listed.key == requirement.key:
            array[index] = str(requirement)
            return
    array.append(str(requirement))


def put_repository(path: Path, setting: RepositorySetting) -> str:
    """Return the text of a settings file with a repository added; one of the same name keeps the packages bound to it.

    Raises:
        ProjectError: The file is invalid.
    """
    document = _open_document(path)
    repositories = _table(document, (*project_tables(path), "repositories"))
    row: MutableMapping[str, Any] = repositories.setdefault(setting.name, tomlkit.table())
    row["url"] = setting.url
    for key, values in (("mirrors", setting.mirrors), ("packages", setting.packages)):
        listed = [str(value) for value in row.get(key, [])]
        added = [value for value in values if value not in listed]
        if added:
            row[key] = [*listed, *added]
    return _checked(document, path)


def has_repository(path: Path, name: str) -> bool:
    """Return whether a settings file names a repository.

    Raises:
        ProjectError: The file is invalid.
    """
    return name in _table(_open_document(path), (*project_tables(path), "repositories"))


def remove_repository(path: Path, name: str) -> str:
    """Return the text of a settings file without a repository.

    Raises:
        UsageError: The file names no such repository.
    """
    document = _open_document(path)
    repositories = _table(document, (*project_tables(path), "repositories"))
    if name not in repositories:
        hint = "To list the repositories: orbitpkg repo list"
        raise UsageError(f"{path} has no repository named {name!r}.", hint=hint)
    del repositories[name]
    return _checked(document, path)


def write_text(path: Path, text: str) -> None:
    """Replace a text file atomically, creating missing directories. Only its user can read the user's configuration.

    Raises:
        StorageError: The file cannot be written.
    """
    with storage_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Addresses in the user's configuration may hold passwords.
        atomic_write(path, text.encode(), mode=0o600 if path == user_config_path() else None)


def _open_document(path: Path) -> tomlkit.TOMLDocument:
    try:
        with storage_errors(path, READ):
            try:
                data = read_bounded(path, max_bytes=MAX_SETTINGS_BYTES)
            except FileNotFoundError:
                return tomlkit.parse(_NEW_PROJECT if path.name == PROJECT_NAME else "")
        text = data.decode("utf-8-sig")
        check_keys(text)
        return tomlkit.parse(text)
    except UnicodeDecodeError:
        raise ProjectError(f"{path} is not UTF-8.") from None
    except (TOMLKitError, ValueError, RecursionError) as error:
        raise ProjectError(f"{path} is not valid TOML: {error}.", hint="See https://toml.io") from error


def _table(document: MutableMapping[str, Any], keys: Sequence[str]) -> MutableMapping[str, Any]:
    table = document
    for number, key in enumerate(keys):
        # Super tables write [repositories.ours] and [tool.orbitpkg] without an empty [repositories] or [tool] above.
        table = table.setdefault(key, tomlkit.table(is_super_table=number < len(keys) - 1 or key == "repositories"))
        if isinstance(table, AoT | Array) or not hasattr(table, "setdefault"):
            raise ProjectError(f"{'.'.join(keys[: number + 1])} is not a table.")
    return table


def _checked(document: tomlkit.TOMLDocument, path: Path) -> str:
    table: Any = document.unwrap()
    for key in project_tables(path):
        table = table[key]
    parse_project(table, where=str(path))
    text = tomlkit.dumps(document)
    # tomlkit may write what it would refuse to read back.
    tomlkit.parse(text)
    return text
