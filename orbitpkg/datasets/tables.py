"""The catalogue as a table: DuckDB queries over the cached parts.

Filters run in a sandbox that can only read the parts: no other files, no network, no settings. Duplicate rows of a
datum, which concurrent registrations or an interrupted compaction can leave, are returned once. A datum that another
one supersedes is not returned.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.datasets.columns import FIXED, Kind
from orbitpkg.datasets.filters import (
    advice,
    check_filter,
    columns_used,
    folded,
    refusal,
    unknown_column,
    with_casts,
)
from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from duckdb import DuckDBPyConnection

__all__ = ["Table", "connect", "footer_of", "quoted", "read_parts"]

_MEMORY: Final = "200MB"
_THREADS: Final = 4
_BATCH: Final = 2048
_KINDS: Final = {"BOOLEAN": Kind.BOOLEAN, "BIGINT": Kind.INTEGER, "DOUBLE": Kind.NUMBER}
_SQL_TYPES: Final = dict.fromkeys(FIXED, "VARCHAR") | {
    "size": "BIGINT",
    "registered": "TIMESTAMP",
    "modified": "TIMESTAMP",
    "lineage": "VARCHAR[]",
    "tags": "MAP(VARCHAR, VARCHAR)",
}


def connect(*, spill: Path | None = None, memory: str = _MEMORY, threads: int = _THREADS) -> DuckDBPyConnection:
    """Open an in-memory database with a memory limit.

    Args:
        spill: A directory for data that does not fit in memory.
        memory: The memory limit in DuckDB's notation.
        threads: The maximum number of threads.

    Raises:
        MissingExtra: DuckDB is not installed.
    """
    duckdb = require("duckdb", extra="query", what="Searching a catalogue")
    settings = {"memory_limit": memory, "threads": threads, "autoinstall_known_extensions": False}
    if spill is not None:
        settings["temp_directory"] = str(spill)
    connection: DuckDBPyConnection = duckdb.connect(":memory:", config=settings)
    # The columns hold times in UTC without a zone. In any other zone, comparing them with now() would shift them.
    connection.execute("SET TimeZone = 'UTC'")
    return connection


def quoted(text: str) -> str:
    """Return text as an SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def read_parts(parts: Sequence[Path], *, name_column: str | None = None) -> str:
    """Return the SQL that reads parts as a table with the union of their columns.

    Args:
        parts: The files.
        name_column: The name of an additional column for the path of each row's file, or None.
    """
    names = ", ".join(quoted(str(part)) for part in parts)
    more = f", filename = {quoted(name_column)}" if name_column is not None else ""
    return f"read_parquet([{names}], union_by_name = true{more})"


def footer_of(part: Path, *, where: str) -> dict[str, str]:
    """Read the key-value metadata of a Parquet file.

    Raises:
        IntegrityError: The file is not a Parquet file or is damaged.
    """
    duckdb = require("duckdb", extra="query", what="Reading a catalogue")
    with connect() as connection:
        try:
            found = connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(part)]).fetchall()
        except duckdb.Error as error:
            raise IntegrityError(f"{where} is not a valid Parquet file: {_first_line(error)}") from error
    return {bytes(key).decode("utf-8", "replace"): bytes(value).decode("utf-8", "replace") for key, value in found}


class Table:
    """The rows of a catalogue's parts. A context manager; not thread-safe.

    Args:
        parts: The files.
        spill: A directory for data that does not fit in memory.
    """

    def __init__(self, parts: Sequence[Path], *, spill: Path | None = None) -> None:
        self._duckdb = require("duckdb", extra="query", what="Searching a catalogue")
        self._connection = connect(spill=spill)
        paths = ", ".join(quoted(str(part)) for part in parts)
        if parts:
            self._connection.execute(f"SET allowed_paths = [{paths}]")
            self._connection.execute("SET enable_external_access = false")
            self._connection.execute("SET lock_configuration = true")
        source = f"SELECT * FROM {read_parts(parts)}" if parts else _no_rows()  # noqa: S608 - of our own paths
        with self._integrity():
            self._connection.execute(f"CREATE VIEW data AS {source}")
            described = self._connection.execute("DESCRIBE data").fetchall()
        self.columns = {str(row[0]): str(row[1]) for row in described}
        self._is_one_part = len(parts) < 2  # noqa: PLR2004

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def kinds(self) -> dict[str, tuple[str, Kind]]:
        """Return the spelling and the type of all columns except the fixed ones, by case-folded name."""
        return {
            name.casefold(): (name, _KINDS.get(kind, Kind.TEXT))
            for name, kind in self.columns.items()
            if name not in FIXED
        }

    def rows(
        self, filters: Sequence[str] = (), *, columns: Sequence[str] | None = None, limit: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that satisfy all filters, in the order of the parts: roughly the order of registration.

        Args:
            filters: Conditions in SQL.
            columns: The columns to return, or None for all.
            limit: The maximum number of rows.

        Raises:
            UsageError: A filter is invalid, or a column is unknown.
            IntegrityError: A part cannot be read.
        """
        with self._translate_errors(filters):
            cursor = self._connection.execute(self._query(filters, columns, limit))
            while batch := cursor.fetchmany(_BATCH):
                yield from batch

    def to_pandas(self, filters: Sequence[str] = ()) -> Any:
        """Give the rows that all filters let pass as a pandas ``DataFrame``."""
        with self._translate_errors(filters):
            return self._connection.sql(self._query(filters, None, None)).df()

    def to_arrow(self, filters: Sequence[str] = ()) -> Any:
        """Give the rows that all filters let pass as a ``pyarrow.Table``."""
        with self._translate_errors(filters):
            return self._connection.sql(self._query(filters, None, None)).to_arrow_table()

    def columns_in(self, filters: Sequence[str]) -> list[str]:
        """Return the columns that filters use, in order of appearance.

        Raises:
            UsageError: A filter is invalid.
        """
        spelling = {folded(name): name for name in self.columns}
        found = (name for text in filters for name, _ in columns_used(check_filter(self._connection, text)))
        return list(dict.fromkeys(spelling[folded(name)] for name in found if folded(name) in spelling))

    def count(self, filters: Sequence[str] = ()) -> tuple[int, int]:
        """Return the number of data that satisfy all filters, and their total size in bytes."""
        with self._translate_errors(filters):
            query = f"SELECT count(*), coalesce(sum(size), 0)::BIGINT FROM {self._source(filters)}"  # noqa: S608
            [(number, size)] = self._connection.execute(query).fetchall()
        return int(number), int(size)

    def present(self, ids: Sequence[str]) -> set[str]:
        """Return which of these IDs are in the catalogue."""
        found = self._connection.execute("SELECT DISTINCT id FROM data WHERE id IN (SELECT unnest(?))", [list(ids)])
        return {str(row[0]) for row in found.fetchall()}

    def newest(self, uris: Sequence[str]) -> list[tuple[str, str, str | None, str | None]]:
        """Return the address, id, ETag and BLAKE3 of the newest datum of each of these addresses."""
        query = "SELECT DISTINCT ON (uri) uri, id, etag, blake3 FROM data WHERE uri IN (SELECT unnest(?))"
        return self._connection.execute(f"{query} ORDER BY uri, registered DESC", [list(uris)]).fetchall()

    def _query(self, filters: Sequence[str], columns: Sequence[str] | None, limit: int | None) -> str:
        wanted = [self._known(name) for name in columns] if columns is not None else list(self.columns)
        chosen = ", ".join(_identifier(name) for name in wanted)
        several = f" LIMIT {int(limit)}" if limit is not None else ""
        # Keep the order of the parts, because sorting a million rows needs memory for all of them.
        return f"SELECT {chosen} FROM {self._source(filters)}{several}"  # noqa: S608 - checked expressions

    def _source(self, filters: Sequence[str]) -> str:
        condition = " AND ".join(["true", *(self._checked(text) for text in filters)])
        if self._finds("SELECT 1 FROM data WHERE supersedes IS NOT NULL"):
            condition += " AND id NOT IN (SELECT supersedes FROM data WHERE supersedes IS NOT NULL)"
        if self._is_one_part or not self._finds_repeated(condition):
            return f"data WHERE {condition}"
        return (
            f"(SELECT * FROM data WHERE {condition} AND id NOT IN (SELECT id FROM repeated) "  # noqa: S608
            f"UNION ALL (SELECT * FROM (SELECT DISTINCT ON (id) * FROM data WHERE {condition} "
            "AND id IN (SELECT id FROM repeated) ORDER BY id, registered) ORDER BY registered, name, id))"
        )

    def _finds_repeated(self, condition: str) -> bool:
        """Find data with several rows by comparing IDs, and return whether there are any."""
        query = f"SELECT id FROM data WHERE {condition} GROUP BY id HAVING count(*) > 1"  # noqa: S608
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE repeated AS {query}")
        return self._finds("SELECT 1 FROM repeated")

    def _checked(self, text: str) -> str:
        """Return a filter in parentheses, after checking that it is an expression over known columns."""
        tree = check_filter(self._connection, text, columns=self.columns)
        error = unknown_column(text, tree, list(self.columns))
        if error is not None:
            raise error
        numbers = {name for name, kind in self.columns.items() if _KINDS.get(kind) in {Kind.INTEGER, Kind.NUMBER}}
        return f"(\n{with_casts(text, tree, numbers=numbers, is_mixed=self._is_mixed)}\n)"

    def _is_mixed(self, name: str, cast: str) -> bool:
        """Return whether a name is that of a text column of metadata in which ``cast`` has a value for some row."""
        texts = {folded(each) for each, kind in self.columns.items() if kind == "VARCHAR" and each not in FIXED}
        return folded(name) in texts and self._finds(f"SELECT 1 FROM data WHERE {cast} IS NOT NULL")  # noqa: S608

    def _finds(self, query: str) -> bool:
        return bool(self._connection.execute(f"{query} LIMIT 1").fetchall())

    def _known(self, name: str) -> str:
        spelling = {folded(each): each for each in self.columns}.get(folded(name))
        if spelling is None:
            from orbitpkg.model.names import nearest

            close = nearest(name, self.columns)
            there = ", ".join(list(self.columns)[:40])
            hint = f"Did you mean {' or '.join(close)}?" if close else f"The columns are {there}."
            raise UsageError(f"Unknown column {name!r}.", hint=hint)
        return spelling

    @contextlib.contextmanager
    def _translate_errors(self, filters: Sequence[str]) -> Iterator[None]:
        """Translate DuckDB's errors."""
        from orbitpkg.errors import NoSpace

        try:
            with self._integrity():
                yield
        except self._duckdb.OutOfMemoryException as error:
            hint = "Select fewer rows or fewer columns."
            raise NoSpace("The result does not fit in memory.", hint=hint) from error
        except self._duckdb.Error as error:
            text = " AND ".join(filters)
            raise refusal(text, None, _first_line(error), advice(text, str(error))) from error

    @contextlib.contextmanager
    def _integrity(self) -> Iterator[None]:
        try:
            yield
        except (self._duckdb.IOException, self._duckdb.InvalidInputException) as error:
            if not re.search(r"parquet|magic|footer|file", str(error), re.IGNORECASE):
                raise
            raise IntegrityError(
                f"A part of the catalogue cannot be read: {_first_line(error)}",
                hint="Delete its local cache and try again, which fetches it again.",
            ) from error


def _no_rows() -> str:
    columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in _SQL_TYPES.items())
    return f"SELECT {columns} WHERE false"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: BaseException) -> str:
    """Return DuckDB's message without the error type and the excerpt of our generated statement."""
    message = re.split(r"\n\nLINE |\s+Candidate functions:", str(error))[0].replace("\n", " ")
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", message).strip().rstrip(".!?")
