"""What a project, or a user, writes down: requirements, and repositories by name. Pure.

In ``orbit.toml``, in ``[tool.orbitpkg]`` of ``pyproject.toml``, or in the user's configuration::

    requirements = ["digits>=1.0", "tokenizer"]

    [repositories.ours]
    url = "s3://our-models"
    mirrors = ["https://models.example.org"]
    packages = ["acme-*"]

Repositories are in the order of the file. ``packages`` binds names: what is bound to one repository is never looked
for in another.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from orbitpkg.errors import ProjectError, UsageError
from orbitpkg.model.executables import check_formats
from orbitpkg.model.names import canonical_name, is_valid_name, nearest
from orbitpkg.model.requirements import Requirement, parse_requirement

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
"""The name of a repository that nobody named."""

_KEYS = ("requirements", "repositories", "forbid")
_REPOSITORY_KEYS = ("url", "mirrors", "packages")


@dataclass(frozen=True, slots=True, kw_only=True)
class RepositorySetting:
    """A repository as it is configured.

    Attributes:
        name: Its name.
        url: Its address.
        mirrors: Addresses of copies, in the order in which they are tried when it does not answer.
        packages: Globs over canonical names that are bound to it.
    """

    name: str
    url: str
    mirrors: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectDocument:
    """What a project's file, or a user's configuration, says.

    Attributes:
        requirements: What the project uses, in the order of the file.
        repositories: In the order of the file.
        forbid: Formats of files that are not installed.
    """

    requirements: tuple[Requirement, ...] = ()
    repositories: tuple[RepositorySetting, ...] = field(default=())
    forbid: tuple[str, ...] = ()


def parse_project(table: Mapping[str, Any], *, where: str) -> ProjectDocument:
    """Read what a project says.

    Args:
        table: The TOML, parsed.
        where: Where it is from, for messages.

    Raises:
        ProjectError: Something in it cannot be used; the message says where.
    """
    _refuse_unknown(table, _KEYS, where)
    repositories = table.get("repositories", {})
    if not isinstance(repositories, dict):
        raise ProjectError(f"{where}: repositories is not a table.", hint=_EXAMPLE)
    return ProjectDocument(
        requirements=_requirements(_texts(table.get("requirements", []), f"{where}: requirements"), where),
        repositories=tuple(_repository(name, row, where) for name, row in repositories.items()),
        forbid=_formats(_texts(table.get("forbid", []), f"{where}: forbid"), where),
    )


_EXAMPLE = 'Write it like [repositories.ours], then url = "s3://our-models".'


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
                f"{where}: requirements: {there} and {requirement} are about one package.",
                hint=f"Make them one: {there.name}{','.join(filter(None, [there.range.text, requirement.range.text]))}",
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
    _refuse_unknown(row, _REPOSITORY_KEYS, place)
    url = row.get("url")
    if not isinstance(url, str) or not url:
        raise ProjectError(f"{place} says no url.", hint=_EXAMPLE)
    packages = _texts(row.get("packages", []), f"{place}.packages")
    try:
        bindings = tuple(check_binding(text) for text in packages)
    except UsageError as error:
        raise ProjectError(f"{place}.packages: {error.message}", hint=error.hint) from error
    mirrors = tuple(_texts(row.get("mirrors", []), f"{place}.mirrors"))
    return RepositorySetting(name=name, url=url, mirrors=mirrors, packages=bindings)


def check_repository_name(name: str) -> str:
    """Give the name of a repository back if it may be one: letters, digits, ``.``, ``_`` and ``-``.

    Raises:
        UsageError: It may not.
    """
    if not is_valid_name(name):
        raise UsageError(
            f"{name!r} is not a name for a repository.", hint="Letters and digits, with . _ - between them."
        )
    return name


def check_binding(text: str) -> str:
    """Give a glob over names in the form in which names are compared.

    Raises:
        UsageError: No name can match it.
    """
    # A name with stars in it: what stands between them is spelled as names are.
    pieces = [piece.lower().replace("_", "-").replace(".", "-") for piece in text.split("*")]
    if not text or not all(is_valid_name(f"a{piece}a") for piece in pieces):
        raise UsageError(f"{text!r} matches no package's name.", hint="Write a name, or a glob like 'acme-*'.")
    return "*".join(pieces)


def bound_to(name: str, repositories: Sequence[RepositorySetting]) -> RepositorySetting | None:
    """Give the repository that a package is bound to; None when it is bound to none.

    A whole name counts before a glob.

    Raises:
        ProjectError: It is bound to two.
    """
    key = canonical_name(name)
    for matches in (_is_named, _is_matched):
        found = [repository for repository in repositories if matches(key, repository)]
        if len(found) > 1:
            names = " and ".join(repository.name for repository in found)
            raise ProjectError(
                f"{name} is bound to {names}.",
                hint=f'Bind it to one by its whole name: packages = ["{key}"]',
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


def _refuse_unknown(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            close = nearest(key, known, n=1)
            hint = f"Did you mean {close[0]}?" if close else f"There are {', '.join(known)}."
            raise ProjectError(f"{where}: there is no setting {key!r}.", hint=hint)
