"""The parts of a catalogue: Parquet files with one row for each datum.

The ``orbitpkg`` key in the footer holds the format number, the dataset, and the names of the parts that a compacted
part replaces. Times are in UTC, but stored without a time zone (Parquet's ``isAdjustedToUTC`` is false), because query
engines disagree on how to read the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.datasets.columns import FIXED, MAX_COLUMNS, Kind, column_values, in_kind, joined_kind, kind_of
from orbitpkg.errors import IntegrityError
from orbitpkg.extras import require
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.model.wording import UPGRADE_HINT, unsupported_format

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from orbitpkg.datasets.datum import Datum

__all__ = ["FORMAT", "Description", "describe_part", "footer_text", "write_part"]

FORMAT: Final = 1
_FOOTER: Final = "orbitpkg"
_MAX_FOOTER_BYTES: Final = 16 * 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """The description in the footer of a part.

    Attributes:
        dataset: The canonical ID of the dataset.
        replaces: The names of the parts whose rows this part contains.
    """

    dataset: str
    replaces: tuple[str, ...] = ()


def footer_text(description: Description) -> str:
    """Serialize the description of a part."""
    fields = {"format": FORMAT, "dataset": description.dataset, "replaces": list(description.replaces)}
    return canonical_json(fields).decode()


def write_part(data: Sequence[Datum], *, dataset: str, known: Mapping[str, tuple[str, Kind]]) -> bytes:
    """Serialize data to a part.

    Args:
        data: The rows, at least one.
        dataset: The canonical ID of the dataset.
        known: The spelling and the type of the catalogue's columns, by case-folded name. They are reused if they can
            hold the values of this part, which gives other programs the same type in all parts.

    Raises:
        MissingExtra: pyarrow is not installed.
    """
    arrow = require("pyarrow", extra="query", what="Writing a catalogue")
    parquet = require("pyarrow.parquet", extra="query", what="Writing a catalogue")
    columns = _fixed_columns(arrow, data) | _metadata_columns(arrow, data, known)
    schema = arrow.schema(
        [arrow.field(name, column.type) for name, column in columns.items()],
        metadata={_FOOTER: footer_text(Description(dataset=dataset))},
    )
    sink = arrow.BufferOutputStream()
    with parquet.ParquetWriter(sink, schema, compression="zstd") as writer:
        writer.write_table(arrow.table(columns, schema=schema))
    written: bytes = sink.getvalue().to_pybytes()
    return written


def _fixed_columns(arrow: Any, data: Sequence[Datum]) -> dict[str, Any]:
    text, time = arrow.string(), arrow.timestamp("us")
    types = dict.fromkeys(FIXED, text) | {
        "size": arrow.int64(),
        "registered": time,
        "modified": time,
        "lineage": arrow.list_(text),
        "tags": arrow.map_(text, text),
    }
    rows = [_fixed_values(datum) for datum in data]
    return {name: arrow.array([row[name] for row in rows], types[name]) for name in FIXED}


def _fixed_values(datum: Datum) -> dict[str, object]:
    return {
        **{name: getattr(datum, name) for name in FIXED},
        "registered": datum.registered.replace(tzinfo=None),
        "modified": datum.modified.replace(tzinfo=None) if datum.modified else None,
        "lineage": list(datum.lineage),
        "tags": sorted(datum.tags.items()),
        "metadata": canonical_json(datum.metadata).decode() if datum.metadata else None,
    }


def _metadata_columns(arrow: Any, data: Sequence[Datum], known: Mapping[str, tuple[str, Kind]]) -> dict[str, Any]:
    values: dict[str, dict[int, object]] = {}
    names: dict[str, str] = {}
    for number, datum in enumerate(data):
        for name, value in column_values(datum.tags, datum.metadata).items():
            folded = name.casefold()
            names.setdefault(folded, known[folded][0] if folded in known else name)
            values.setdefault(folded, {})[number] = value
    types = {
        Kind.BOOLEAN: arrow.bool_(),
        Kind.INTEGER: arrow.int64(),
        Kind.NUMBER: arrow.float64(),
        Kind.TEXT: arrow.string(),
    }
    columns = {}
    for folded in _most_used(values):
        there = values[folded]
        kind = _kind(there.values(), known.get(folded))
        cells = (in_kind(there.get(number), kind) for number in range(len(data)))
        columns[names[folded]] = arrow.array(cells, types[kind], size=len(data))
    return columns


def _most_used(values: Mapping[str, Mapping[int, object]]) -> list[str]:
    """Return the most frequent columns, up to the limit of a part, in order of appearance."""
    if len(values) <= MAX_COLUMNS:
        return list(values)
    chosen = set(sorted(values, key=lambda name: (-len(values[name]), name))[:MAX_COLUMNS])
    return [name for name in values if name in chosen]


def _kind(values: Iterable[object], known: tuple[str, Kind] | None) -> Kind:
    kinds = {kind_of(value) for value in values}
    return joined_kind(kinds | {known[1]}) if known else joined_kind(kinds)


def describe_part(footer: Mapping[str, str], *, where: str) -> Description:
    """Parse the description of a part.

    Args:
        footer: The key-value metadata of its Parquet footer.
        where: The name of the part in error messages.

    Raises:
        IntegrityError: The file is not a part of a catalogue, or has a newer format.
    """
    if _FOOTER not in footer:
        raise IntegrityError(f"{where} is a Parquet file, but not a part of a catalogue.")
    fields = parse_json(footer[_FOOTER].encode(), what=f"the footer of {where}", max_bytes=_MAX_FOOTER_BYTES)
    if not isinstance(fields, dict) or type(fields.get("format")) is not int:
        raise IntegrityError(f"{where} has a damaged footer.")
    if fields["format"] > FORMAT:
        raise IntegrityError(unsupported_format(where, fields["format"], FORMAT), hint=UPGRADE_HINT)
    dataset, replaces = fields.get("dataset"), fields.get("replaces")
    if not isinstance(dataset, str) or not isinstance(replaces, list):
        raise IntegrityError(f"{where} has a damaged footer.")
    return Description(dataset=dataset, replaces=tuple(name for name in replaces if isinstance(name, str)))
