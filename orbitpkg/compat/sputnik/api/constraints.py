"""Package strings: a name and constraints that must all hold, like ``"my_model >=1.0.0,<2.0.0"``.

Empty constraints and spaces are ignored. Missing numbers of a version are zeros (``>=1.0`` means ``>=1.0.0``). Versions
are compared as SemVer, including pre-releases: ``<2.0.0`` allows 2.0.0-rc.1.
"""

from __future__ import annotations

import operator
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orbitpkg.compat.sputnik.api.errors import InvalidConstraintException
from orbitpkg.compat.sputnik.formats.conversion import convert_version
from orbitpkg.errors import UsageError
from orbitpkg.model.names import canonical_name, is_valid_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from orbitpkg.model.versions import Version

__all__ = ["PackageString", "constraint_match", "parse_package_string"]

_OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "=": operator.eq,
    "!=": operator.ne,
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
}
_CLAUSE = re.compile(r"(==|!=|>=|<=|=|>|<)\s*(.+)")
_NAME = re.compile(r"[A-Za-z0-9._-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageString:
    """A parsed package string.

    Attributes:
        text: The text.
        name: The package's name as written; "" for any package.
        clauses: The operators, each with the version to compare with.
    """

    text: str
    name: str
    clauses: tuple[tuple[str, Version], ...]

    @property
    def key(self) -> str:
        """The canonical name; "" for any package."""
        return canonical_name(self.name) if self.name else ""

    @property
    def requirement(self) -> str:
        """The equivalent orbitpkg requirement."""
        return self.name + ",".join(f"{'==' if sign == '=' else sign}{version}" for sign, version in self.clauses)

    @property
    def is_exact(self) -> bool:
        """Whether it consists of a name and a single ``==`` constraint."""
        return [sign for sign, _ in self.clauses] in (["=="], ["="])

    def allows(self, version: Version) -> bool:
        """Return whether a version satisfies all constraints."""
        return all(_OPERATORS[sign](version, bound) for sign, bound in self.clauses)

    def is_about(self, name: str, version: str) -> bool:
        """Return whether a package of this name and version matches."""
        return self.key in {"", canonical_name(name)} and self.allows(convert_version(version))


def parse_package_string(text: str | None, *, named: bool = False) -> PackageString:
    """Parse a package string.

    Args:
        text: The text; None and "" mean every package.
        named: Whether a name is required.

    Raises:
        InvalidConstraintException: The text is invalid.
    """
    stripped = (text or "").strip()
    found = _NAME.match(stripped)
    name = found[0] if found else ""
    if (name and not is_valid_name(name)) or (named and not name):
        raise InvalidConstraintException(
            f"{text!r} does not begin with a package name.", hint="Example: 'my_model >=1.0.0,<2.0.0'"
        )
    return PackageString(text=stripped, name=name, clauses=_clauses(stripped[len(name) :]))


def constraint_match(constraint_string: str | None, version: str) -> bool:
    """Return whether a version satisfies constraints like ``">=1.0.0, <2.0.0"``.

    Raises:
        InvalidConstraintException: A constraint or the version is invalid.
    """
    clauses = _clauses(constraint_string or "")
    return PackageString(text="", name="", clauses=clauses).allows(_version(version, version))


def _clauses(text: str) -> tuple[tuple[str, Version], ...]:
    parts = (part.strip() for part in text.split(","))
    return tuple(_clause(part) for part in parts if part)


def _clause(text: str) -> tuple[str, Version]:
    found = _CLAUSE.fullmatch(text)
    if found is None:
        raise InvalidConstraintException(f"Invalid constraint {text!r}.", hint="Examples: >=1.0.0, ==2.1.0")
    return found[1], _version(found[2], text)


def _version(text: str, where: str) -> Version:
    try:
        return convert_version(text.strip())
    except UsageError as error:
        raise InvalidConstraintException(f"{where!r}: {error.message}", hint=error.hint) from error
