"""The command group ``dataset``, and its commands that create, fill and describe datasets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.dataset_fetch import check_failures, download, freeze, sync, thaw
from orbitpkg.cli.dataset_query import describe, query
from orbitpkg.cli.dataset_show import show
from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import at_option, command, command_group, unsafe_single_writer_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "compact", "create", "dataset", "index", "info", "list_datasets", "note", "register"]


@command_group("dataset")
def dataset() -> None:
    """Manage growing, searchable collections of files."""


@command(
    "create",
    "orbitpkg dataset create recordings --at s3://my-bucket/lab",
    "orbitpkg dataset create recordings --description 'Robot arms, 2026'",
    group=dataset,
)
@click.argument("identifier", metavar="ID")
@click.option("--description", default="", metavar="TEXT", help="A description of the dataset.")
@unsafe_single_writer_option
@at_option(verb="create the dataset in")
def create(
    console: Console,
    identifier: str,
    *,
    description: str,
    unsafe_single_writer: bool,
    repository: str | None,
) -> dict[str, object]:
    """Create a dataset.

    Fails if a dataset with this ID already exists in the repository.
    """
    from orbitpkg.datasets.dataset import create_dataset

    created = create_dataset(identifier, repository, description=description, unsafe_single_writer=unsafe_single_writer)
    console.report(f"Created dataset {created.id} in {created.repository}")
    console.hint(f"To add files: orbitpkg dataset register {created.id} FILE...")
    return {
        "id": created.id,
        "created": created.created.isoformat(),
        "description": description,
        "repository": created.repository,
    }


@command("list", "orbitpkg dataset list", "orbitpkg dataset list --at s3://my-bucket/lab --json", group=dataset)
@at_option(verb="read from")
def list_datasets(console: Console, *, repository: str | None) -> dict[str, object]:
    """List the datasets of a repository.

    Prints one line per dataset: ID, creation date and description.
    """
    from orbitpkg.config.repositories import repository_url
    from orbitpkg.datasets.dataset import list_datasets

    found = list_datasets(repository)
    console.rows((each.id, f"{each.created:%Y-%m-%d}", each.description) for each in found)
    url = repository_url(repository)
    if not found:
        console.note(f"No datasets found in {url}")
    rows = [{"id": each.id, "created": each.created.isoformat(), "description": each.description} for each in found]
    return {"repository": url, "datasets": rows}


@command("info", "orbitpkg dataset info recordings", group=dataset)
@click.argument("identifier", metavar="ID")
@at_option(verb="read from")
def info(console: Console, identifier: str, *, repository: str | None) -> dict[str, object]:
    """Show details of a dataset.

    Prints its creation time, number of files and size, searchable columns and notes.
    """
    from orbitpkg.datasets.dataset import dataset as open_dataset

    found = open_dataset(identifier, repository)
    with found.table(reporter=console.reporter()) as table:
        (files, total), columns = table.count(), table.columns
    notes = found.notes()
    console.pairs(
        [
            ("id", found.id),
            ("description", found.description),
            ("created", f"{found.created:%Y-%m-%d %H:%M:%S} UTC"),
            ("repository", found.repository),
            ("contents", f"{count(files, 'file')}, {size(total)}"),
            ("columns", ", ".join(columns)),
            *((f"{each.written:%Y-%m-%d %H:%M}", each.text) for each in notes),
        ],
        unwrapped={"repository"},
    )
    return {
        "id": found.id,
        "description": found.description,
        "created": found.created.isoformat(),
        "repository": found.repository,
        "files": files,
        "bytes": total,
        "columns": columns,
        "notes": [{"written": each.written.isoformat(), "text": each.text} for each in notes],
    }


@command("note", "orbitpkg dataset note recordings 'The second camera was moved on Monday'", group=dataset)
@click.argument("identifier", metavar="ID")
@click.argument("text")
@at_option(verb="read from")
def note(console: Console, identifier: str, text: str, *, repository: str | None) -> dict[str, object]:
    """Add a note to a dataset.

    Notes are timestamped and permanent. To read them: orbitpkg dataset info ID.
    """
    from orbitpkg.datasets.dataset import dataset as open_dataset

    found = open_dataset(identifier, repository)
    written = found.note(text)
    console.report(f"Added a note to {found.id}")
    return {"id": found.id, "written": written.written.isoformat(), "text": text}


_TAG = click.option(
    "--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Tag all files with this text value. Can be repeated."
)
_METADATA = click.option(
    "--metadata",
    metavar="KEY=VALUE",
    multiple=True,
    help="Set metadata for all files. Numbers, true, false and JSON keep their types. Overrides metadata in the files.",
)


@command(
    "register",
    "orbitpkg dataset register recordings run-1.h5 run-2.h5 --tag robot=sawyer",
    "orbitpkg dataset register recordings ./today --metadata action_T=15",
    "orbitpkg dataset register recordings mean.h5 --from-datum 5169e31b",
    group=dataset,
)
@click.argument("identifier", metavar="ID")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@_TAG
@_METADATA
@click.option(
    "--from-datum",
    "lineage",
    metavar="DATUM",
    multiple=True,
    help="The ID of a datum that the files were derived from. Can be repeated.",
)
@at_option(verb="write to")
def register(
    console: Console,
    identifier: str,
    files: tuple[Path, ...],
    *,
    tags: tuple[str, ...],
    metadata: tuple[str, ...],
    lineage: tuple[str, ...],
    repository: str | None,
) -> dict[str, object]:
    """Add files, or all files in directories, to a dataset.

    Files with the same content are stored once. Metadata is read from HDF5, netCDF, Parquet, safetensors and image
    files, and from FILE.json next to a file. To resume after an interruption, run the command again: files already
    uploaded are skipped.
    """
    from orbitpkg.datasets.dataset import dataset as open_dataset
    from orbitpkg.datasets.datum import parse_assignments, parse_metadata_words

    tag_values = parse_assignments(tags, option="--tag")
    metadata_values = parse_metadata_words(metadata, option="--metadata")
    found = open_dataset(identifier, repository)
    done = found.register(
        files, tags=tag_values, metadata=metadata_values, lineage=lineage, reporter=console.reporter()
    )
    _warn(console, done.warnings)
    console.report(
        f"Registered {count(len(done.data), 'file')} in {found.id}: {done.new:,} new, {size(done.sent)} uploaded"
    )
    check_failures(
        console,
        done.failures,
        f"Could not register {len(done.failures):,} of {count(len(done.data) + len(done.failures), 'file')}.",
        hint="Fix the problems and run the same command again. Files already uploaded are skipped.",
    )
    return {
        "id": found.id,
        "repository": found.repository,
        "new": done.new,
        "sent": done.sent,
        "data": [{"name": name, "id": datum} for name, datum in done.data],
        "warnings": [{"name": name, "message": text} for name, text in done.warnings],
    }


def _warn(console: Console, warnings: Sequence[tuple[str, str]]) -> None:
    for name, text in warnings:
        # A warning about a sidecar names the sidecar, whose name begins with that of the file.
        console.warn(text if name in text else f"{name}: {text}")


@command(
    "index",
    "orbitpkg dataset index s3://rail-robots/mini --into robots",
    "orbitpkg dataset index s3://their-bucket/runs --into robots --at s3://my-bucket/lab --read",
    group=dataset,
)
@click.argument("url", metavar="URL")
@click.option(
    "--into", "identifier", metavar="ID", help="The dataset, created if needed. Default: the last part of the URL."
)
@_TAG
@_METADATA
@click.option(
    "--read", is_flag=True, help="Download each new object once to compute its digests and read its metadata."
)
@at_option(verb="store the catalogue in")
def index(
    console: Console,
    url: str,
    *,
    identifier: str | None,
    tags: tuple[str, ...],
    metadata: tuple[str, ...],
    read: bool,
    repository: str | None,
) -> dict[str, object]:
    """Make the objects of a bucket searchable in place.

    The objects are not moved or changed. Only the catalogue is written, to the repository. Metadata is read from object
    headers, including deon's metajson. Later runs index only new and changed objects.
    """
    from orbitpkg.datasets.dataset import create_dataset, find_dataset
    from orbitpkg.datasets.datum import parse_assignments, parse_metadata_words

    tag_values = parse_assignments(tags, option="--tag")
    metadata_values = parse_metadata_words(metadata, option="--metadata")
    name = identifier or url.rstrip("/").rpartition("/")[2]
    found = find_dataset(name, repository) or create_dataset(name, repository, description=f"The objects of {url}")
    done = found.index(url, tags=tag_values, metadata=metadata_values, read=read, reporter=console.reporter())
    _warn(console, done.warnings)
    console.report(f"Indexed {count(done.found, 'object')} into {found.id}: {done.new:,} new or changed")
    check_failures(
        console,
        done.failures,
        f"Could not index {len(done.failures):,} of {count(done.found, 'object')}.",
        hint="Fix the problems and run the same command again.",
    )
    return {
        "id": found.id,
        "repository": found.repository,
        "url": url,
        "found": done.found,
        "new": done.new,
        "warnings": [{"name": each, "message": text} for each, text in done.warnings],
    }


@command("compact", "orbitpkg dataset compact recordings", group=dataset)
@click.argument("identifier", metavar="ID")
@at_option(verb="read from")
def compact(console: Console, identifier: str, *, repository: str | None) -> dict[str, object]:
    """Merge the parts of a catalogue into one.

    Each registration adds a part. A single part is faster to read and has one type per column. Other users can
    register and search files while this command runs.
    """
    from orbitpkg.datasets.dataset import dataset as open_dataset

    found = open_dataset(identifier, repository)
    done = found.compact()
    console.report(
        f"The catalogue of {found.id} is already compact"
        if done.before <= done.after
        else f"Compacted the catalogue of {found.id} from {count(done.before, 'part')} to {done.after:,}"
    )
    return {"id": found.id, "before": done.before, "after": done.after, "rows": done.rows}


for _command in (describe, query, download, sync, freeze, thaw, show):
    dataset.add_command(_command)

EXPORTS = {"dataset": dataset}
