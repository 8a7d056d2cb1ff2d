"""Merge several parts of a catalogue into one file, without duplicate rows and in bounded memory."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from orbitpkg.datasets.tables import connect, quoted, read_parts

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from duckdb import DuckDBPyConnection

__all__ = ["write_together"]

# Each thread that writes Parquet buffers its own row groups, and the metadata of a row can take megabytes.
_MEMORY: Final = "500MB"
_THREADS: Final = 1
_ROW_GROUP: Final = 50_000


def write_together(parts: Sequence[Path], target: Path, *, footer: str, spill: Path) -> int:
    """Merge parts into one file, in order, and return the number of rows.

    The rows are not sorted, and only IDs are compared, so a million rows can be streamed.

    Args:
        parts: The files, oldest first.
        target: The file to write.
        footer: The description to store in its footer.
        spill: A directory for data that does not fit in memory.
    """
    # A random name cannot clash with a metadata key.
    part = f"part {secrets.token_hex(16)}"
    source = read_parts(parts, name_column=part)
    with connect(spill=spill, memory=_MEMORY, threads=_THREADS) as connection:
        _find_repeated(connection, source, part)
        query = (
            f'SELECT * EXCLUDE ("{part}") FROM {source} AS rows WHERE NOT EXISTS '  # noqa: S608 - of our own paths
            f'(SELECT 1 FROM repeated WHERE (repeated.part, repeated.id) = (rows."{part}", rows.id))'
        )
        options = (
            f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_ROW_GROUP}, KV_METADATA {{orbitpkg: {quoted(footer)}}}"
        )
        [(count,)] = connection.execute(f"COPY ({query}) TO {quoted(str(target))} ({options})").fetchall()
    return int(count)


def _find_repeated(connection: DuckDBPyConnection, source: str, part: str) -> None:
    """Find the data that an older part also contains. The names of parts sort by time."""
    connection.execute(
        f"CREATE TEMP TABLE twice AS SELECT id FROM {source} GROUP BY id HAVING count(*) > 1"  # noqa: S608
    )
    connection.execute(
        f'CREATE TEMP TABLE repeated AS SELECT "{part}" AS part, id FROM {source} '  # noqa: S608
        f'WHERE id IN (SELECT id FROM twice) QUALIFY row_number() OVER (PARTITION BY id ORDER BY "{part}") > 1'
    )
