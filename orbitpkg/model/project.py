"""The configuration of a project or a user: requirements, named repositories, forbidden formats, trusted folders.

It is in ``orbit.toml``, in the ``[tool.orbitpkg]`` table of ``pyproject.toml``, or in the user's configuration file::

    requirements = ["digits>=1.0", "tokenizer"]

    [repositories.ours]
    url = "s3://our-models"
    mirrors = ["https://models.example.org"]
    packages = ["acme-*"]

Repositories are searched in the order of the file. ``packages`` binds package names to a repository; a bound package is
never searched for in another one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from orbitpkg.errors import ProjectError, UsageError
from orbitpkg.model.executables import check_formats
from orbitpkg.model.names import MAX_NAME_LENGTH, canonical_name, is_valid_name
from orbitpkg.model.requirements import Requirement, parse_requirement
from orbitpkg.model.wording import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "DEFAULT_NAME",
    "ProjectDocument",
    "RepositorySetting",
    "bound_to",
    "check_binding",
    "check_repository_name",
    "parse_project",
]

DEFAULT_NAME = "default"
"""The name of a repository without a configured name."""

_SEPARATORS = re.compile(r"[-_.]+")
_KEYS = ("requirements", "repositories", "forbid")
_USER_KEYS = (*_KEYS, "trusted")
_REPOSITORY_KEYS = ("url", "mirrors", "packages")
# A package that is not bound is searched for in every repository, and each of its names is compared with every binding.
_MOST_REPOSITORIES = 1_000
_MOST_BINDINGS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySetting:
    """A configured repository.

    Attributes:
        name: The name of the repository.
        url: Its address.
        mirrors: Addresses of copies to try, in order, if the repository does not respond.
        packages: Globs of the canonical package names that are bound to the repository.
    """

    name: str
    url: str
    mirrors: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDocument:
    """The parsed configuration of a project or a user.

    Attributes:
        requirements: The packages that the project uses, in the order of the file.
        repositories: The repositories, in the order of the file.
        forbid: File formats that must not be installed.
        trusted: Folders in which the settings of other users count; only a user's own configuration sets this.
    """

    requirements: tuple[Requirement, ...] = ()
    repositories: tuple[RepositorySetting, ...] = field(default=())
    forbid: tuple[str, ...] = ()
    trusted: tuple[str, ...] = ()


def parse_project(table: Mapping[str, Any], *, where: str, is_user: bool = False) -> ProjectDocument:
    """Parse the configuration of a project or a user.

    Args:
        table: The parsed TOML.
        where: The name of the file in error messages.
        is_user: Whether the table is a user's own configuration, not a project's.

    Raises:
        ProjectError: A setting is unknown or invalid.
    """
    if "trusted" in table and not is_user:
        raise ProjectError(
            f"{where}: trusted is not a setting of projects: a project cannot declare itself trusted.",
            hint="Set it in your own configuration, or set ORBITPKG_TRUSTED_FOLDERS.",
        )
    _check_keys(table, _USER_KEYS if is_user else _KEYS, where)
    repositories = table.get("repositories", {})
    if not isinstance(repositories, dict):
        raise ProjectError(f"{where}: repositories is not a table.", hint=_EXAMPLE)
    if len(repositories) > _MOST_REPOSITORIES:
        raise ProjectError(f"{where}: {len(repositories):,} repositories; the maximum is {_MOST_REPOSITORIES:,}.")
    return ProjectDocument(
        requirements=_requirements(_texts(table.get("requirements", []), f"{where}: requirements"), where),
        repositories=tuple(_repository(name, row, where) for name, row in repositories.items()),
        forbid=_formats(_texts(table.get("forbid", []), f"{where}: forbid"), where),
        trusted=tuple(_texts(table.get("trusted", []), f"{where}: trusted")),
    )


_EXAMPLE = 'Write a table [repositories.ours] with url = "s3://our-models".'


def _formats(texts: Iterable[str], where: str) -> tuple[str, ...]:
    try:
        return check_formats(texts, where=f"{where}: forbid")
    except UsageError as error:
        raise ProjectError(error.message, hint=error.hint) from error


def _requirements(texts: Iterable[str], where: str) -> tuple[Requirement, ...]:
    found: dict[str, Requirement] = {}
    for text in texts:
        try:
            requirement = parse_requirement(text)
        except UsageError as error:
            raise ProjectError(f"{where}: requirements: {error.message}", hint=error.hint) from error
        there = found.setdefault(requirement.key, requirement)
        if there is not requirement:
            raise ProjectError(
                f"{where}: requirements: {there} and {requirement} name the same package.",
                hint=f"Merge them: {there.name}{','.join(filter(None, [there.range.text, requirement.range.text]))}",
            )
    return tuple(found.values())


def _repository(name: str, row: object, where: str) -> RepositorySetting:
    place = f"{where}: repositories.{name}"
    try:
        check_repository_name(name)
    except UsageError as error:
        raise ProjectError(f"{place}: {error.message}", hint=error.hint) from error
    if not isinstance(row, dict):
        raise ProjectError(f"{place} is not a table.", hint=_EXAMPLE)
    _check_keys(row, _REPOSITORY_KEYS, place)
    url = row.get("url")
    if not isinstance(url, str) or not url:
        raise ProjectError(f"{place} has no url.", hint=_EXAMPLE)
    packages = _texts(row.get("packages", []), f"{place}.packages")
    if len(packages) > _MOST_BINDINGS:
        raise ProjectError(f"{place}.packages: {len(packages):,} names; the maximum is {_MOST_BINDINGS:,}.")
    try:
        bindings = tuple(check_binding(text) for text in packages)
    except UsageError as error:
        raise ProjectError(f"{place}.packages: {error.message}", hint=error.hint) from error
    mirrors = tuple(_texts(row.get("mirrors", []), f"{place}.mirrors"))
    return RepositorySetting(name=name, url=url, mirrors=mirrors, packages=bindings)


def check_repository_name(name: str) -> str:
    """Validate the name of a repository and return it.

    Raises:
        UsageError: The name is invalid.
    """
    if not is_valid_name(name):
        hint = "Use letters and digits, with '.', '_' or '-' between them."
        raise UsageError(f"{name!r} is not a valid repository name.", hint=hint)
    return name


def check_binding(text: str) -> str:
    """Validate a glob over package names and return its canonical form.

    Raises:
        UsageError: The glob cannot match any package name.
    """
    pieces = [_SEPARATORS.sub("-", piece.lower()) for piece in text.split("*")]
    # Names begin and end with a letter or digit, so 'acme-' and '-*' match none.
    outer = is_valid_name(f"{pieces[0] or 'a'}a") and is_valid_name(f"a{pieces[-1] or 'a'}")
    if len(pieces) == 1:
        outer = is_valid_name(text)
    if len(pieces) > 1 and len("".join(pieces)) > MAX_NAME_LENGTH:
        outer = False
    if not text or not outer or not all(is_valid_name(f"a{piece}a") for piece in pieces):
        message = f"{text!r} is not a valid package name or pattern."
        raise UsageError(message, hint="Use a name, or a pattern such as 'acme-*'.")
    return "*".join(pieces)


def bound_to(name: str, repositories: Sequence[RepositorySetting]) -> RepositorySetting | None:
    """Return the repository to which a package is bound, or None if it is not bound.

    A literal name takes precedence over a glob.

    Raises:
        ProjectError: The package is bound to several repositories.
    """
    key = canonical_name(name)
    for matches in (_is_named, _is_matched):
        found = [repository for repository in repositories if matches(key, repository)]
        if len(found) > 1:
            names = " and ".join(repository.name for repository in found)
            raise ProjectError(
                f"{name} is bound to several repositories: {names}.",
                hint=f'Bind it to one of them by its full name: packages = ["{key}"]',
                name=key,
            )
        if found:
            return found[0]
    return None


def _is_named(key: str, repository: RepositorySetting) -> bool:
    return key in repository.packages


def _is_matched(key: str, repository: RepositorySetting) -> bool:
    return any(fnmatchcase(key, glob) for glob in repository.packages)


def _texts(value: object, where: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ProjectError(f"{where} is not an array of strings.")
    return value


def _check_keys(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            hint = did_you_mean(key, known) or f"The settings are {', '.join(known)}."
            raise ProjectError(f"{where}: unknown setting {key!r}.", hint=hint)
