"""Commands that look into datasets, and fetch from them: ``dataset query``, ``describe``, ``download`` and others."""

from __future__ import annotations

import csv
import io
import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orbitpkg.cli.options import address, command
from orbitpkg.errors import PartlyDone, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.cli.options import Decorator
    from orbitpkg.datasets.datum import Datum
    from orbitpkg.datasets.fetching import Fetched
    from orbitpkg.datasets.registration import Failure
    from orbitpkg.datasets.selection import Selection

__all__ = ["at_option", "describe", "download", "freeze", "query", "refuse_partly", "sync", "thaw"]

_BUFFER = 2**20
_FOLDER = click.Path(file_okay=False, path_type=Path)


def at_option(*, verb: str) -> Decorator:
    """Add ``--at``, which ``--repository`` is called here, too; ``verb`` says what the command does there."""
    return click.option(
        "--at",
        "-r",
        "--repository",
        "repository",
        metavar="URL",
        callback=address,
        help=f"The repository to {verb}: s3://bucket/prefix, file:///dir, or a directory's path. "
        "Default: as for all commands.",
    )


_OFFLINE = click.option("--offline", is_flag=True, help="Use no network: the catalogue is what is on this machine.")
_WHERE = click.option("--where", "condition", metavar="FILTER", help="Only these: a condition in SQL over the columns.")
_IDS = click.option("--id", "ids", metavar="DATUM", multiple=True, help="Only this one, by its id or its first digits.")
_FORCE = click.option("--force", is_flag=True, help="Replace files that are there and have other content.")


def _selected(
    identifier: str,
    condition: str | None,
    repository: str | None,
    *,
    ids: Sequence[str] = (),
    offline: bool = False,
) -> Selection:
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
    "--columns", metavar="NAME,NAME", help="Which columns; * for all. Default: name, size, and those searched."
)
@click.option("--limit", metavar="N", type=click.IntRange(min=0), help="How many rows at most.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated values with a header, of all columns.")
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

    FILTER is a condition in DuckDB's SQL over the columns that dataset info lists. Only what is new of the catalogue is
    fetched, and no data.
    """
    selection = _selected(identifier, condition, repository, offline=offline)
    names = _columns(selection, columns, every=as_csv or console.as_json)
    rows = selection.rows(columns=names, limit=limit)
    if console.as_json:
        return {"id": selection.dataset.id, "filter": condition, "rows": [_json_row(row) for row in rows]}
    if as_csv:
        _print_csv(console, names or list(selection.dataset.columns()), rows)
        return {}
    shown = [[_cell(value) for value in row.values()] for row in rows]
    console.rows(shown)
    console.note(_counted(len(shown), limit))
    return {}


def _columns(selection: Selection, said: str | None, *, every: bool) -> list[str] | None:
    if said is not None:
        return None if said.strip() == "*" else [name.strip() for name in said.split(",") if name.strip()]
    if every:
        return None
    return list(dict.fromkeys(["name", "size", *selection.filter_columns()]))


def _counted(number: int, limit: int | None) -> str:
    from orbitpkg.cli.layout import count

    return f"{count(number, 'file')}" + (", and perhaps more" if number == limit else "")


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
            return json.dumps(value, ensure_ascii=False) if value else ""
    return str(value)


def _json_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _json_value(name, value) for name, value in row.items()}


def _json_value(name: str, value: Any) -> Any:
    if isinstance(value, datetime):
        return f"{value.isoformat()}Z"
    return json.loads(value) if name == "metadata" and value else value


def _print_csv(console: Console, names: Sequence[str], rows: Iterator[dict[str, Any]]) -> None:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(names)
    for row in rows:
        writer.writerow(_cell(value) for value in row.values())
        if buffer.tell() > _BUFFER:
            console.data([buffer.getvalue().removesuffix("\n")])
            buffer.seek(0)
            buffer.truncate()
    if buffer.tell():
        console.data([buffer.getvalue().removesuffix("\n")])


@command(
    "describe",
    "orbitpkg dataset describe recordings --id 5169e31b",
    "orbitpkg dataset describe recordings --where \"robot = 'sawyer'\" --json",
)
@click.argument("identifier", metavar="ID")
@_IDS
@_WHERE
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
    """Tell all that is known of data.

    Of each: name, size, digests, where it lies, tags, metadata, and what it was made from.
    """
    selection = _selected(identifier, condition, repository, ids=ids, offline=offline)
    found = list(selection.data())
    for number, datum in enumerate(found):
        if number:
            console.data([""])
        console.pairs(_pairs(datum), whole={"uri"})
    _refuse_missing(ids, found, selection.dataset.id)
    return {"id": selection.dataset.id, "data": [_facts(datum) for datum in found]}


def _refuse_missing(ids: Sequence[str], found: Sequence[Datum], dataset: str) -> None:
    missing = [word for word in ids if not any(datum.id.startswith(word.lower()) for datum in found)]
    if missing:
        raise UsageError(f"There is no datum {', '.join(missing)} in {dataset}.", hint="Or --where leaves it out.")


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


def _dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--dir", "-d", "folder", metavar="DIR", type=_FOLDER, required=True, help="The folder; made if need be."
    )(function)


@command(
    "download",
    "orbitpkg dataset download recordings --dir ./runs",
    "orbitpkg dataset download recordings --dir ./runs --where \"robot = 'sawyer'\"",
)
@click.argument("identifier", metavar="ID")
@_dir_option
@_IDS
@_WHERE
@_FORCE
@at_option(verb="look in")
def download(
    console: Console,
    identifier: str,
    folder: Path,
    *,
    ids: tuple[str, ...],
    condition: str | None,
    force: bool,
    repository: str | None,
) -> dict[str, object]:
    """Download data under their original names.

    Verified. Of two files of one name the one registered first keeps it; the other gets its id before its suffix. Exits
    1 if any could not be downloaded.
    """
    selection = _selected(identifier, condition, repository, ids=ids)
    done = selection.fetch(folder, force=force, reporter=console.reporter())
    return _account(console, done, folder)


@command(
    "sync",
    "orbitpkg dataset sync recordings --where \"robot = 'sawyer'\" --dir ./sawyer",
    "orbitpkg dataset sync recordings --dir ./all --delete",
)
@click.argument("identifier", metavar="ID")
@_dir_option
@_WHERE
@click.option("--delete", is_flag=True, help="Delete what an earlier run put there and is not selected any more.")
@_FORCE
@at_option(verb="look in")
def sync(
    console: Console,
    identifier: str,
    folder: Path,
    *,
    condition: str | None,
    delete: bool,
    force: bool,
    repository: str | None,
) -> dict[str, object]:
    """Keep a folder at what a filter selects.

    Only what is not there is fetched, from whatever buckets it lies in. What an earlier run put there and is not
    selected any more is told, and left unless --delete is given.
    """
    selection = _selected(identifier, condition, repository)
    done = selection.fetch(folder, force=force, delete=delete, reporter=console.reporter())
    if done.left and not delete:
        console.note(f"{len(done.left):,} files in {folder} are not selected any more: --delete deletes them")
    return _account(console, done, folder) | {"deleted" if delete else "left": done.left}


def _account(console: Console, done: Fetched, folder: Path) -> dict[str, object]:
    from orbitpkg.cli.layout import count, size

    if done.fetched:
        said = f"Fetched {count(len(done.fetched), 'file')}, {size(done.size)}"
        console.account(said + (f"; {done.present:,} were there already" if done.present else ""), str(folder))
    elif not done.failures:
        console.account("Nothing to do" + (f": {count(done.present, 'file')} there" if done.present else ""))
    total = len(done.fetched) + done.present + len(done.failures)
    refuse_partly(
        console,
        done.failures,
        f"{len(done.failures):,} of {count(total, 'file')} could not be fetched.",
        hint="Run the same command again: what is there is not fetched again.",
    )
    return {"folder": str(folder), "fetched": done.fetched, "present": done.present, "bytes": done.size}


def refuse_partly(console: Console, failures: Sequence[Failure], said: str, *, hint: str) -> None:
    """Say which files could not be done, and why, if there are any.

    Raises:
        PartlyDone: There are.
    """
    if not failures:
        return
    if not console.as_json:
        for each in failures:
            console.remark(f"{each.name}: {each.error.message}" + (f" {each.error.hint}" if each.error.hint else ""))
    shown = [{"name": each.name, "code": each.error.code, "message": each.error.message} for each in failures]
    raise PartlyDone(said, hint=hint, failures=shown)


@command(
    "freeze",
    "orbitpkg dataset freeze recordings --where \"robot = 'sawyer'\" --as sawyer==1.2.0",
    "orbitpkg dataset freeze recordings --as recordings==1.0.0 --pack",
)
@click.argument("identifier", metavar="ID")
@_WHERE
@click.option("--as", "release", metavar="NAME==VERSION", required=True, help="The release that is published.")
@click.option("--pack", is_flag=True, help="Put the files into the release. Default: it refers to them where they lie.")
@at_option(verb="look in, and publish to")
def freeze(
    console: Console,
    identifier: str,
    *,
    condition: str | None,
    release: str,
    pack: bool,
    repository: str | None,
) -> dict[str, object]:
    """Publish a selection as a release.

    An ordinary one, which install and lock take. orbitpkg dataset thaw, and orbitpkg.frozen in Python, give its files.
    """
    from orbitpkg.cli.layout import count, size

    selection = _selected(identifier, condition, repository)
    done = selection.freeze(release, pack=pack, reporter=console.reporter())
    said: Any = done.release.metadata["dataset"]
    verb = "Published" if done.outcome == "published" else "Published before:"
    console.account(
        f"{verb} {done.release}: {count(said['files'], 'file')}, {size(said['bytes'])}, "
        + ("packed" if pack else "where they lie"),
        f"orbitpkg install {done.release.name}=={done.release.version}",
    )
    return {
        "name": done.release.name,
        "version": str(done.release.version),
        "digest": done.release.digest,
        "outcome": str(done.outcome),
        "files": said["files"],
        "bytes": said["bytes"],
        "packed": pack,
    }


@command("thaw", "orbitpkg dataset thaw sawyer==1.2.0 --dir ./sawyer")
@click.argument("requirement", metavar="REQ")
@_dir_option
@_FORCE
def thaw(console: Console, requirement: str, folder: Path, *, force: bool) -> dict[str, object]:
    """Download the files of a frozen release.

    One that is installed: those that were selected when it was frozen, with the very bytes of then, or an error.
    """
    from orbitpkg.datasets.freezing import frozen

    found = frozen(requirement)
    done = found.fetch(folder, force=force, reporter=console.reporter())
    return _account(console, done, folder)
