"""Writing several parts of a catalogue as one file: each datum once, in the order of the parts, in bounded memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orbitpkg.datasets.tables import connect, quoted, read_parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

__all__ = ["write_together"]

# Each thread that writes Parquet holds row groups of its own, and the metadata of one row may be megabytes.
_MEMORY: Final = "500MB"
_THREADS: Final = 1
_ROW_GROUP: Final = 50_000
_PLACES: Final = "filename, file_row_number"


def write_together(parts: Sequence[Path], target: Path, *, footer: str, spill: Path) -> int:
    """Write the rows of parts as one file; returns how many there are.

    Nothing is sorted and only ids are compared, so that the rows of a million data stream through.

    Args:
        parts: The files, the oldest first.
        target: The file to write.
        footer: What it says of itself.
        spill: A folder for what does not fit into memory.
    """
    source = read_parts(parts, places=True)
    with connect(spill=spill, memory=_MEMORY, threads=_THREADS) as connection:
        _find_repeated(connection, source)
        query = (
            f"SELECT * EXCLUDE ({_PLACES}) FROM {source} AS row WHERE NOT EXISTS "  # noqa: S608 - of our own paths
            "(SELECT 1 FROM repeated WHERE (repeated.filename, repeated.file_row_number) "
            "= (row.filename, row.file_row_number))"
        )
        options = (
            f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}, KV_METADATA {{orbitpkg: {quoted(footer)}}}"
        )
        [(rows,)] = connection.execute(f"COPY ({query}) TO {quoted(str(target))} ({options})").fetchall()
    return int(rows)


def _find_repeated(connection: DuckDBPyConnection, source: str) -> None:
    """Note the places of all rows but the first of each datum. Names of parts sort by their time."""
    connection.execute(
        f"CREATE TEMP TABLE twice AS SELECT id FROM {source} GROUP BY id HAVING count(*) > 1"  # noqa: S608
    )
    connection.execute(
        f"CREATE TEMP TABLE repeated AS SELECT {_PLACES} FROM {source} WHERE id IN (SELECT id FROM twice) "  # noqa: S608
        f"QUALIFY row_number() OVER (PARTITION BY id ORDER BY {_PLACES}) > 1"
    )
