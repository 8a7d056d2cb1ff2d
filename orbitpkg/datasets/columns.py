"""The mapping of tags and metadata to the columns of a catalogue, with their types.

Column names are case-insensitive, as in most programs that read Parquet. A tag or a metadata key becomes a column of
the same name, unless that name is taken: by one of the fixed columns or, for metadata, by a tag. In that case the
column is ``tag_NAME`` or ``meta_NAME``. The columns ``tags`` and ``metadata`` always hold everything.
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
"""The maximum number of tag and metadata columns in a part. They enlarge the Parquet footer, which is always read."""

_MAX_NAME: Final = 255
_TAKEN: Final = frozenset(FIXED)


class Kind(StrEnum):
    """The type of a column."""

    BOOLEAN = "boolean"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"


def column_values(tags: Mapping[str, str], metadata: Mapping[str, object]) -> dict[str, object]:
    """Return the values of a datum by column, without the fixed columns.

    A null value has no column, and neither has a key that is empty, longer than 255 characters or contains unprintable
    characters.
    """
    found: dict[str, object] = {}
    taken = set(_TAKEN)
    for prefix, facts in (("tag_", tags), ("meta_", metadata)):
        for key in sorted(facts):
            if facts[key] is None or not _may_name_column(key):
                continue
            name = key if key.casefold() not in taken else f"{prefix}{key}"
            while name.casefold() in taken:
                name += "_"
            taken.add(name.casefold())
            found[name] = facts[key]
    return found


def _may_name_column(key: str) -> bool:
    return 0 < len(key) <= _MAX_NAME and key.isprintable() and not key.isspace()


def kind_of(value: object) -> Kind:
    """Return the type of column that holds a value."""
    match value:
        case bool():
            return Kind.BOOLEAN
        case int() if -(2**63) <= value < 2**63:
            return Kind.INTEGER
        case float():
            return Kind.NUMBER
    return Kind.TEXT


def joined_kind(kinds: Iterable[Kind]) -> Kind:
    """Return the type that holds the values of all these types: a number holds integers, and text holds anything."""
    found = set(kinds)
    if len(found) == 1:
        return found.pop()
    return Kind.NUMBER if found == {Kind.INTEGER, Kind.NUMBER} else Kind.TEXT


def in_kind(value: object, kind: Kind) -> object:
    """Convert a value to the type of its column. In a text column, other values become JSON."""
    if value is None:
        return None
    if kind is Kind.NUMBER:
        assert isinstance(value, int | float)
        return float(value)
    if kind is Kind.TEXT and not isinstance(value, str):
        return canonical_json(value).decode()
    return value
