"""Changing a project's file, or the user's configuration: what a person wrote there, comments and order, stays.

A file is replaced whole or not at all. What comes of an edit is read before it is written: an edit that would leave
settings that cannot be used changes nothing.
"""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any

import tomlkit
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Array

from orbitpkg.config.settings import PROJECT_NAME, project_tables
from orbitpkg.errors import ProjectError, UsageError
from orbitpkg.files.errors import storage_errors
from orbitpkg.model.project import parse_project
from orbitpkg.model.requirements import parse_requirement

if TYPE_CHECKING:
    from collections.abc import Iterable, MutableMapping, Sequence
    from pathlib import Path

    from orbitpkg.model.project import RepositorySetting
    from orbitpkg.model.requirements import Requirement

__all__ = ["put_repository", "put_requirements", "remove_repository", "write_text"]

_NEW_PROJECT = "# What this project uses. orbitpkg add, lock and sync keep orbit.lock in step with it.\n"


def put_requirements(path: Path, requirements: Iterable[Requirement]) -> str:
    """Give a project's file with requirements in it; one for the same package takes the place of the old one.

    Args:
        path: The file; one that is not there yet is begun.
        requirements: What to put in.

    Raises:
        ProjectError: The file cannot be used.
    """
    document = _opened(path)
    table = _table(document, project_tables(path))
    array = table.setdefault("requirements", tomlkit.array().multiline(multiline=True))
    if not isinstance(array, Array):
        raise ProjectError(f"{path}: requirements is not an array of strings.")
    for requirement in requirements:
        _put(array, requirement)
    return _checked(document, path)


def _put(array: Array, requirement: Requirement) -> None:
    for place, text in enumerate(array):
        try:
            there = parse_requirement(str(text))
        except UsageError:  # told when the whole file is checked
            continue
        if there.key == requirement.key:
            array[place] = str(requirement)
            return
    array.append(str(requirement))


def put_repository(path: Path, setting: RepositorySetting) -> str:
    """Give a file of settings with a repository in it; one of the same name is replaced, what it binds is kept.

    Raises:
        ProjectError: The file cannot be used.
    """
    document = _opened(path)
    repositories = _table(document, (*project_tables(path), "repositories"))
    row: MutableMapping[str, Any] = repositories.setdefault(setting.name, tomlkit.table())
    row["url"] = setting.url
    for key, values in (("mirrors", setting.mirrors), ("packages", setting.packages)):
        there = [str(value) for value in row.get(key, [])]
        added = [value for value in values if value not in there]
        if added:
            row[key] = [*there, *added]
    return _checked(document, path)


def remove_repository(path: Path, name: str) -> str:
    """Give a file of settings without a repository.

    Raises:
        UsageError: It names no such repository.
    """
    document = _opened(path)
    repositories = _table(document, (*project_tables(path), "repositories"))
    if name not in repositories:
        raise UsageError(f"{path} names no repository {name!r}.", hint="See: orbitpkg repo list")
    del repositories[name]
    return _checked(document, path)


def write_text(path: Path, text: str) -> None:
    """Write a file so that others see it as it was or as it is, never between.

    Raises:
        StorageError: It cannot be written.
    """
    with storage_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A link stays one: what it leads to is replaced.
        target = path.resolve()
        part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
        try:
            part.write_text(text, encoding="utf-8", newline="")
            if target.exists():
                part.chmod(target.stat().st_mode & 0o777)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


def _opened(path: Path) -> tomlkit.TOMLDocument:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return tomlkit.parse(file.read())
    except FileNotFoundError:
        return tomlkit.parse(_NEW_PROJECT if path.name == PROJECT_NAME else "")
    except UnicodeDecodeError:
        raise ProjectError(f"{path} is not UTF-8.") from None
    except TOMLKitError as error:
        raise ProjectError(f"{path} cannot be read: {error}.", hint="It is TOML: https://toml.io") from error


def _table(document: MutableMapping[str, Any], keys: Sequence[str]) -> MutableMapping[str, Any]:
    table = document
    for number, key in enumerate(keys):
        # [repositories.ours] needs no [repositories] above it, and [tool.orbitpkg] no [tool].
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
    # Held against the parser that will read it, as well: what cannot be read again is not written.
    tomlkit.parse(text)
    return text
