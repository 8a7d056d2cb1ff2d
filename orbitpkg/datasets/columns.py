"""Which columns the tags and the metadata of a datum become, and of which type. Pure.

Column names are compared without regard to letter case, for most programs that read Parquet do so. A tag has the
column of its own name, and so has a metadata key, unless the name is taken: by a column that every catalogue has, or,
for metadata, by a tag. Then it is ``tag_NAME`` or ``meta_NAME``. All of both is in ``tags`` and ``metadata`` anyhow.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Final

from orbitpkg.model.jsontext import canonical_json

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["FIXED", "MAX_COLUMNS", "Kind", "column_values", "in_kind", "joined_kind", "kind_of"]

FIXED: Final = (
    "id",
    "name",
    "size",
    "blake3",
    "sha256",
    "registered",
    "uri",
    "etag",
    "version",
    "modified",
    "lineage",
    "supersedes",
    "tags",
    "metadata",
)
"""The columns that every catalogue has."""

MAX_COLUMNS: Final = 1000
"""How many columns of tags and metadata a part may have: footers of Parquet grow with them, and are always read."""

_MAX_NAME: Final = 255
_TAKEN: Final = frozenset(FIXED)


class Kind(StrEnum):
    """What a column holds."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"


def column_values(tags: Mapping[str, str], metadata: Mapping[str, object]) -> dict[str, object]:
    """Give the columns of one datum, but for the fixed ones, with their values.

    What is null has no column, nor has a key that cannot name one: empty, longer than 255 characters, or with
    characters that cannot be seen.
    """
    found: dict[str, object] = {}
    taken = set(_TAKEN)
    for prefix, said in (("tag_", tags), ("meta_", metadata)):
        for key in sorted(said):
            if said[key] is None or not _may_name_column(key):
                continue
            name = key if key.casefold() not in taken else f"{prefix}{key}"
            while name.casefold() in taken:
                name += "_"
            taken.add(name.casefold())
            found[name] = said[key]
    return found


def _may_name_column(key: str) -> bool:
    return 0 < len(key) <= _MAX_NAME and key.isprintable() and not key.isspace()


def kind_of(value: object) -> Kind:
    """Give the kind of column that one value makes."""
    match value:
        case bool():
            return Kind.BOOLEAN
        case int() if -(2**63) <= value < 2**63:
            return Kind.INTEGER
        case float():
            return Kind.NUMBER
    return Kind.TEXT


def joined_kind(kinds: Iterable[Kind]) -> Kind:
    """Give the kind that holds the values of all of these: numbers take integers in, and text takes in anything."""
    found = set(kinds)
    if len(found) == 1:
        return found.pop()
    return Kind.NUMBER if found == {Kind.INTEGER, Kind.NUMBER} else Kind.TEXT


def in_kind(value: object, kind: Kind) -> object:
    """Write a value as its column holds it; what is no text is JSON in a column of text."""
    if value is None:
        return None
    if kind is Kind.NUMBER:
        assert isinstance(value, int | float)
        return float(value)
    if kind is Kind.TEXT and not isinstance(value, str):
        return canonical_json(value).decode()
    return value
