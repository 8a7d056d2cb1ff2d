"""The catalogue as a table: DuckDB over the parts on this machine, for one question.

A filter runs where it can do nothing but read the parts: no other files, no network, no settings. Rows of one datum
(which two who register at the same time can leave, or a compaction that was stopped) are one row here, and a datum that
another one supersedes is none.
"""

from __future__ import annotations

import contextlib
import re
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.datasets.columns import FIXED, Kind
from orbitpkg.datasets.filters import advice, check_filter, columns_used, folded, refusal, unknown_column
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
    """Open a database in memory, of bounded size.

    Args:
        spill: A folder for what does not fit.
        memory: How much fits, as DuckDB writes it.
        threads: How many it may use.

    Raises:
        MissingExtra: DuckDB is not installed.
    """
    duckdb = require("duckdb", extra="query", what="Searching a catalogue")
    settings = {"memory_limit": memory, "threads": threads, "autoinstall_known_extensions": False}
    if spill is not None:
        settings["temp_directory"] = str(spill)
    connection: DuckDBPyConnection = duckdb.connect(":memory:", config=settings)
    return connection


def quoted(text: str) -> str:
    """Write a text as SQL does."""
    return "'" + text.replace("'", "''") + "'"


def read_parts(parts: Sequence[Path], *, name_column: str | None = None) -> str:
    """Give the SQL that reads parts as one table, whose columns are the union of theirs.

    Args:
        parts: The files.
        name_column: A column to say in of each row which file it is from; none when None.
    """
    names = ", ".join(quoted(str(part)) for part in parts)
    more = f", filename = {quoted(name_column)}" if name_column is not None else ""
    return f"read_parquet([{names}], union_by_name = true{more})"


def footer_of(part: Path, *, where: str) -> dict[str, str]:
    """Read the key-value metadata of a Parquet file.

    Raises:
        IntegrityError: It is not Parquet, or torn.
    """
    duckdb = require("duckdb", extra="query", what="Reading a catalogue")
    with connect() as connection:
        try:
            found = connection.execute("SELECT key, value FROM parquet_kv_metadata(?)", [str(part)]).fetchall()
        except duckdb.Error as error:
            raise IntegrityError(f"{where} is not Parquet, or torn: {_first_line(error)}") from error
    return {bytes(key).decode("utf-8", "replace"): bytes(value).decode("utf-8", "replace") for key, value in found}


class Table:
    """The rows of some parts. A context manager; for one thread.

    Args:
        parts: The files.
        spill: A folder for what does not fit into memory.
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
        """Give the spelling and the kind of all columns but the fixed ones, by case-folded name."""
        return {
            name.casefold(): (name, _KINDS.get(kind, Kind.TEXT))
            for name, kind in self.columns.items()
            if name not in FIXED
        }

    def rows(
        self, filters: Sequence[str] = (), *, columns: Sequence[str] | None = None, limit: int | None = None
    ) -> Iterator[tuple[Any, ...]]:
        """Yield the rows that all filters let pass, in the order of the parts: about that of registration.

        Args:
            filters: Conditions in SQL.
            columns: Which; all of them when None.
            limit: How many rows at most.

        Raises:
            UsageError: The filter or a column cannot be used.
            IntegrityError: A part cannot be read.
        """
        with self._told(filters):
            cursor = self._connection.execute(self._query(filters, columns, limit))
            while batch := cursor.fetchmany(_BATCH):
                yield from batch

    def to_pandas(self, filters: Sequence[str] = ()) -> Any:
        """Give the rows that all filters let pass as a pandas ``DataFrame``."""
        with self._told(filters):
            return self._connection.sql(self._query(filters, None, None)).df()

    def to_arrow(self, filters: Sequence[str] = ()) -> Any:
        """Give the rows that all filters let pass as a ``pyarrow.Table``."""
        with self._told(filters):
            return self._connection.sql(self._query(filters, None, None)).to_arrow_table()

    def columns_in(self, filters: Sequence[str]) -> list[str]:
        """Give the columns that filters look at, in the order in which they do.

        Raises:
            UsageError: A filter cannot be used.
        """
        spelling = {folded(name): name for name in self.columns}
        found = (name for text in filters for name, _ in columns_used(check_filter(self._connection, text)))
        return list(dict.fromkeys(spelling[folded(name)] for name in found if folded(name) in spelling))

    def count(self, filters: Sequence[str] = ()) -> tuple[int, int]:
        """Count the data that all filters let pass, and the sum of their sizes in bytes."""
        with self._told(filters):
            query = f"SELECT count(*), coalesce(sum(size), 0)::BIGINT FROM {self._source(filters)}"  # noqa: S608
            [(number, size)] = self._connection.execute(query).fetchall()
        return int(number), int(size)

    def present(self, ids: Sequence[str]) -> set[str]:
        """Tell which of these ids there are data of."""
        found = self._connection.execute("SELECT DISTINCT id FROM data WHERE id IN (SELECT unnest(?))", [list(ids)])
        return {str(row[0]) for row in found.fetchall()}

    def newest(self, uris: Sequence[str]) -> list[tuple[str, str, str | None, str | None]]:
        """Give the newest datum of each of these addresses: the address, and its id, ETag and BLAKE3."""
        query = "SELECT DISTINCT ON (uri) uri, id, etag, blake3 FROM data WHERE uri IN (SELECT unnest(?))"
        return self._connection.execute(f"{query} ORDER BY uri, registered DESC", [list(uris)]).fetchall()

    def _query(self, filters: Sequence[str], columns: Sequence[str] | None, limit: int | None) -> str:
        wanted = [self._known(name) for name in columns] if columns is not None else list(self.columns)
        chosen = ", ".join(_identifier(name) for name in wanted)
        several = f" LIMIT {int(limit)}" if limit is not None else ""
        # In the order of the parts, as they are read: to sort a million rows takes memory for all of them.
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
        """Note the data of which there are several rows, by comparing ids alone; says whether there are any."""
        query = f"SELECT id FROM data WHERE {condition} GROUP BY id HAVING count(*) > 1"  # noqa: S608
        self._connection.execute(f"CREATE OR REPLACE TEMP TABLE repeated AS {query}")
        return self._finds("SELECT 1 FROM repeated")

    def _checked(self, text: str) -> str:
        """Put a filter between parentheses, if it is one expression over columns that are there."""
        tree = check_filter(self._connection, text, columns=self.columns)
        error = unknown_column(text, tree, list(self.columns))
        if error is not None:
            raise error
        return f"(\n{text}\n)"

    def _finds(self, query: str) -> bool:
        return bool(self._connection.execute(f"{query} LIMIT 1").fetchall())

    def _known(self, name: str) -> str:
        spelling = {folded(each): each for each in self.columns}.get(folded(name))
        if spelling is None:
            from orbitpkg.model.names import nearest

            close = nearest(name, self.columns)
            there = ", ".join(list(self.columns)[:40])
            hint = f"Did you mean {' or '.join(close)}?" if close else f"There are: {there}."
            raise UsageError(f"There is no column {name!r}.", hint=hint)
        return spelling

    @contextlib.contextmanager
    def _told(self, filters: Sequence[str]) -> Iterator[None]:
        """Turn what DuckDB says of a filter into what is said here."""
        from orbitpkg.errors import NoSpace

        try:
            with self._integrity():
                yield
        except self._duckdb.OutOfMemoryException as error:
            hint = "Ask for fewer rows, or fewer columns."
            raise NoSpace("The answer does not fit into memory.", hint=hint) from error
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
                hint="Delete what is kept of it, and ask again: it is fetched anew.",
            ) from error


def _no_rows() -> str:
    columns = ", ".join(f"NULL::{kind} AS {name}" for name, kind in _SQL_TYPES.items())
    return f"SELECT {columns} WHERE false"


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _first_line(error: BaseException) -> str:
    """Give what DuckDB says, without the kind of its error and the picture of a statement that nobody wrote."""
    said = re.split(r"\n\nLINE |\s+Candidate functions:", str(error))[0].replace("\n", " ")
    return re.sub(r"^[A-Z][A-Za-z ]* Error: ", "", said).strip().rstrip(".!?")
