"""Commands that search datasets, ``dataset query`` and ``dataset describe``, and the options that select data."""

from __future__ import annotations

import csv
import io
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from orbitpkg.cli.options import at_option, command
from orbitpkg.errors import UsageError
from orbitpkg.model.jsontext import json_text, load_json

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.datasets.dataset import Selection
    from orbitpkg.datasets.datum import Datum

__all__ = ["IDS", "WHERE", "describe", "query", "select"]

_BUFFER = 2**20


_OFFLINE = click.option("--offline", is_flag=True, help="Search the cached catalogue without using the network.")
WHERE = click.option("--where", "condition", metavar="FILTER", help="Select files with an SQL condition on columns.")
IDS = click.option("--id", "ids", metavar="DATUM", multiple=True, help="Select a file by its ID or an ID prefix.")


def select(
    identifier: str,
    condition: str | None,
    repository: str | None,
    *,
    ids: Sequence[str] = (),
    offline: bool = False,
) -> Selection:
    """Select data of a dataset by the options of the command line."""
    from orbitpkg.datasets.dataset import dataset

    return dataset(identifier, repository, offline=offline).where(condition, ids=ids)


@command(
    "query",
    "orbitpkg dataset query recordings \"robot = 'sawyer' and action_T >= 15\"",
    "orbitpkg dataset query recordings \"name like '%.h5'\" --columns name,size,robot --csv",
)
@click.argument("identifier", metavar="ID")
@click.argument("condition", metavar="[FILTER]", required=False)
@click.option(
    "--columns", metavar="NAME,NAME", help="The columns to print, or * for all. Default: name, size and filter columns."
)
@click.option("--limit", metavar="N", type=click.IntRange(min=0), help="The maximum number of rows.")
@click.option("--csv", "as_csv", is_flag=True, help="Print all columns as comma-separated values with a header.")
@_OFFLINE
@at_option(verb="look in")
def query(
    console: Console,
    identifier: str,
    condition: str | None,
    *,
    columns: str | None,
    limit: int | None,
    as_csv: bool,
    offline: bool,
    repository: str | None,
) -> dict[str, object]:
    """Search the catalogue of a dataset.

    FILTER is an SQL condition (DuckDB) on the columns that orbitpkg dataset info lists. Only new parts of the
    catalogue are downloaded, and no data.
    """
    selection = select(identifier, condition, repository, offline=offline)
    names = _columns(selection, columns, every=as_csv or console.as_json)
    rows = selection.rows(columns=names, limit=limit)
    if console.as_json:
        return {"id": selection.dataset.id, "filter": condition, "rows": [_json_row(row) for row in rows]}
    if as_csv:
        _print_csv(console, names or list(selection.dataset.columns()), rows)
        return {}
    shown = [[_cell(value) for value in row.values()] for row in rows]
    console.rows(shown)
    console.note(_row_count(len(shown), limit))
    return {}


def _columns(selection: Selection, names: str | None, *, every: bool) -> list[str] | None:
    if names is not None:
        return None if names.strip() == "*" else [name.strip() for name in names.split(",") if name.strip()]
    if every:
        return None
    return list(dict.fromkeys(["name", "size", *selection.filter_columns()]))


def _row_count(number: int, limit: int | None) -> str:
    from orbitpkg.cli.layout import count

    return count(number, "file") + (" (limit reached; more files may match)" if number == limit else "")


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case str():
            return value
        case bool():
            return "true" if value else "false"
        case datetime():
            return value.isoformat(sep=" ", timespec="seconds")
        case dict() | list():
            return json_text(value) if value else ""
    return str(value)


def _json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json_value(name, value) for name, value in row.items()}


def _json_value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return load_json(value) if name == "metadata" and value else value


def _print_csv(console: Console, names: Sequence[str], rows: Iterator[dict[str, Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow(_cell(value) for value in row.values())
        if buffer.tell() > _BUFFER:
            console.exact(buffer.getvalue().removesuffix("\n"))
            buffer.seek(0)
            buffer.truncate()
    if buffer.tell():
        console.exact(buffer.getvalue().removesuffix("\n"))


@command(
    "describe",
    "orbitpkg dataset describe recordings --id 5169e31b",
    "orbitpkg dataset describe recordings --where \"robot = 'sawyer'\" --json",
)
@click.argument("identifier", metavar="ID")
@IDS
@WHERE
@_OFFLINE
@at_option(verb="look in")
def describe(
    console: Console,
    identifier: str,
    *,
    ids: tuple[str, ...],
    condition: str | None,
    offline: bool,
    repository: str | None,
) -> dict[str, object]:
    """Show all details of files in a dataset.

    Prints the name, size, digests, location, tags, metadata and lineage of each file.
    """
    selection = select(identifier, condition, repository, ids=ids, offline=offline)
    found = list(selection.data())
    for number, datum in enumerate(found):
        if number:
            console.lines([""])
        console.pairs(_pairs(datum), unwrapped={"uri"})
    _refuse_missing(ids, found, selection.dataset.id)
    return {"id": selection.dataset.id, "data": [_facts(datum) for datum in found]}


def _refuse_missing(ids: Sequence[str], found: Sequence[Datum], dataset: str) -> None:
    missing = [word for word in ids if not any(datum.id.startswith(word.lower()) for datum in found)]
    if missing:
        raise UsageError(
            f"No datum {', '.join(missing)} found in {dataset}.", hint="Check the ID. A --where filter may exclude it."
        )


def _pairs(datum: Datum) -> Iterator[tuple[str, str]]:
    for name, value in _facts(datum).items():
        if isinstance(value, dict):
            yield from ((f"{name}.{key}", _cell(each)) for key, each in value.items())
        else:
            yield name, ", ".join(value) if isinstance(value, list) else _cell(value)


def _facts(datum: Datum) -> dict[str, Any]:
    return {
        "id": datum.id,
        "name": datum.name,
        "size": datum.size,
        "blake3": datum.blake3,
        "sha256": datum.sha256,
        "registered": datum.registered.isoformat(),
        "uri": datum.uri,
        "etag": datum.etag,
        "version": datum.version,
        "modified": datum.modified.isoformat() if datum.modified else None,
        "lineage": list(datum.lineage),
        "supersedes": datum.supersedes,
        "tags": dict(datum.tags),
        "metadata": dict(datum.metadata),
    }
