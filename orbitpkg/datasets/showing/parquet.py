"""Inspect Parquet files: list their columns."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.datasets.showing import Array, Node
from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["describe", "open_array"]

# For the internal use of Arrow.
_BOOKKEEPING = b"ARROW:schema"


def describe(path: Path) -> Node:
    """Describe the content of the file, from its footer."""
    with _open(path) as file:
        footer, schema = file.metadata, file.schema_arrow
        leaves = _leaves(footer)
    pairs = {key.decode(errors="replace"): text for key, text in (footer.metadata or {}).items() if key != _BOOKKEEPING}
    groups = f"{footer.num_row_groups} row group{'s' * (footer.num_row_groups != 1)}"
    return Node(
        name="",
        kind="group",
        details=(f"{footer.num_rows:,} rows", groups, *([footer.created_by] if footer.created_by else [])),
        attributes=to_object(pairs, what="The key").metadata,
        children=tuple(_column(field.name, str(field.type), footer.num_rows, leaves) for field in schema),
    )


@contextmanager
def open_array(path: Path, name: str) -> Iterator[Array | None]:
    """Open a column, or yield None if it does not exist. In numeric columns, null is read as NaN."""
    with _open(path) as file:
        if name not in file.schema_arrow.names:
            yield None
            return
        # Every type, including dates and nested values, converts to a numpy array.
        array: Array = file.read(columns=[name]).column(name).to_numpy()
        yield array


def _open(path: Path) -> Any:
    return require("pyarrow.parquet", extra="query", what="Reading Parquet files").ParquetFile(path)


def _leaves(footer: Any) -> dict[str, tuple[int, int, str]]:
    """Return the uncompressed size, the compressed size and the compression of each top-level column."""
    found: dict[str, tuple[int, int, str]] = {}
    for group in range(footer.num_row_groups):
        for number in range(footer.num_columns):
            chunk = footer.row_group(group).column(number)
            name = chunk.path_in_schema.partition(".")[0]
            plain, packed, _ = found.get(name, (0, 0, ""))
            packed += chunk.total_compressed_size
            found[name] = (plain + chunk.total_uncompressed_size, packed, chunk.compression)
    return found


def _column(name: str, kind: str, rows: int, leaves: dict[str, tuple[int, int, str]]) -> Node:
    # If the name of a column contains a dot, its sizes are unknown.
    plain, packed, compression = leaves.get(name, (None, None, ""))
    details = (compression.lower(),) if compression and compression != "UNCOMPRESSED" else ()
    return Node(name=name, kind="column", shape=(rows,), type=kind, bytes=plain, stored=packed, details=details)
