"""The group ``dataset``: making datasets, and filling them. What looks into them is in ``selecting``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.fetching import download, freeze, refuse_partly, sync, thaw
from orbitpkg.cli.options import command, global_options
from orbitpkg.cli.selecting import at_option, describe, query
from orbitpkg.cli.showing import show

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "compact", "create", "dataset", "index", "info", "list_datasets", "note", "register"]


@click.group("dataset", no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
def dataset() -> None:
    """Keep growing collections of files in a bucket, and search them."""


dataset.params += global_options()


@command(
    "create",
    "orbitpkg dataset create recordings --at s3://my-bucket/lab",
    "orbitpkg dataset create recordings --description 'Robot arms, 2026'",
    group=dataset,
)
@click.argument("identifier", metavar="ID")
@click.option("--description", default="", metavar="TEXT", help="What it is about.")
@click.option(
    "--unsafe-single-writer",
    is_flag=True,
    help="Make it even where the store ignores create-only writes: nobody else writes there.",
)
@at_option(verb="make it in")
def create(
    console: Console,
    identifier: str,
    *,
    description: str,
    unsafe_single_writer: bool,
    repository: str | None,
) -> dict[str, object]:
    """Make a dataset.

    An id is taken once in a repository, whoever asks at the same time.
    """
    from orbitpkg.datasets.dataset import create_dataset

    made = create_dataset(identifier, repository, description=description, unsafe_single_writer=unsafe_single_writer)
    console.account(f"Made the dataset {made.id} in {made.repository}")
    console.hint(f"Fill it: orbitpkg dataset register {made.id} FILE...")
    return {
        "id": made.id,
        "created": made.created.isoformat(),
        "description": description,
        "repository": made.repository,
    }


@command("list", "orbitpkg dataset list", "orbitpkg dataset list --at s3://my-bucket/lab --json", group=dataset)
@at_option(verb="look in")
def list_datasets(console: Console, *, repository: str | None) -> dict[str, object]:
    """List the datasets of a repository.

    One a line: id, date, description.
    """
    from orbitpkg.config.repositories import repository_url
    from orbitpkg.datasets import dataset as rooms

    found = rooms.list_datasets(repository)
    console.rows((each.id, f"{each.created:%Y-%m-%d}", each.description) for each in found)
    url = repository_url(repository)
    if not found:
        console.note(f"There is no dataset in {url}")
    rows = [{"id": each.id, "created": each.created.isoformat(), "description": each.description} for each in found]
    return {"repository": url, "datasets": rows}


@command("info", "orbitpkg dataset info recordings", group=dataset)
@click.argument("identifier", metavar="ID")
@at_option(verb="look in")
def info(console: Console, identifier: str, *, repository: str | None) -> dict[str, object]:
    """Tell about a dataset.

    When it was made, how much is in it, what can be searched for, and the notes.
    """
    from orbitpkg.cli.layout import count, size
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
            ("holds", f"{count(files, 'file')}, {size(total)}"),
            ("columns", ", ".join(columns)),
            *((f"{each.written:%Y-%m-%d %H:%M}", each.text) for each in notes),
        ],
        whole={"repository"},
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
@at_option(verb="look in")
def note(console: Console, identifier: str, text: str, *, repository: str | None) -> dict[str, object]:
    """Note something about a dataset.

    With the time. Notes are not changed, and dataset info shows them.
    """
    from orbitpkg.datasets.dataset import dataset as open_dataset

    found = open_dataset(identifier, repository)
    written = found.note(text)
    console.account(f"Noted about {found.id}")
    return {"id": found.id, "written": written.written.isoformat(), "text": text}


_TAG = click.option(
    "--tag", "tags", metavar="KEY=VALUE", multiple=True, help="Said of all of them, a text. May be given again."
)
_METADATA = click.option(
    "--metadata",
    metavar="KEY=VALUE",
    multiple=True,
    help="The same; numbers, true, false and JSON are taken as such. Goes before what a file says of itself.",
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
    help="The id of a datum that they were made from. May be given again.",
)
@at_option(verb="look in")
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
    """Register files, or all files in folders.

    Their bytes are stored once, whatever they are called. Metadata is read from HDF5, netCDF, Parquet, safetensors and
    image files, and from FILE.json beside a file. Run it again after a stop: what is there is not sent again.
    """
    from orbitpkg.cli.layout import count, size
    from orbitpkg.datasets.dataset import dataset as open_dataset
    from orbitpkg.datasets.datum import parse_assignments, parse_metadata_words

    said = parse_assignments(tags, option="--tag")
    facts = parse_metadata_words(metadata, option="--metadata")
    found = open_dataset(identifier, repository)
    done = found.register(files, tags=said, metadata=facts, lineage=lineage, reporter=console.reporter())
    _warn(console, done.warnings)
    console.account(
        f"Registered {count(len(done.data), 'file')} in {found.id}: {done.new:,} new, {size(done.sent)} sent"
    )
    refuse_partly(
        console,
        done.failures,
        f"{len(done.failures):,} of {count(len(done.data) + len(done.failures), 'file')} could not be registered.",
        hint="Run the same command again when that is mended: what is there is not sent again.",
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
        console.note(f"{name}: {text}")


@command(
    "index",
    "orbitpkg dataset index s3://rail-robots/mini --into robots",
    "orbitpkg dataset index s3://their-bucket/runs --into robots --at s3://my-bucket/lab --read",
    group=dataset,
)
@click.argument("url", metavar="URL")
@click.option("--into", "identifier", metavar="ID", help="The dataset; made if need be. Default: the URL's last part.")
@_TAG
@_METADATA
@click.option("--read", is_flag=True, help="Read each new object once, for its digests and the metadata within it.")
@at_option(verb="keep the catalogue in")
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
    """Make the objects of a bucket searchable where they are.

    Nothing there is moved or written; only the catalogue is kept elsewhere. Metadata is what headers say, deon's
    metajson among them. Again: only what is new or was written over.
    """
    from orbitpkg.cli.layout import count
    from orbitpkg.datasets.dataset import create_dataset, find_dataset
    from orbitpkg.datasets.datum import parse_assignments, parse_metadata_words

    said = parse_assignments(tags, option="--tag")
    facts = parse_metadata_words(metadata, option="--metadata")
    name = identifier or url.rstrip("/").rpartition("/")[2]
    found = find_dataset(name, repository) or create_dataset(name, repository, description=f"The objects of {url}")
    done = found.index(url, tags=said, metadata=facts, read=read, reporter=console.reporter())
    _warn(console, done.warnings)
    console.account(f"Indexed {count(done.found, 'object')} into {found.id}: {done.new:,} new or altered")
    refuse_partly(
        console,
        done.failures,
        f"{len(done.failures):,} of {count(done.found, 'object')} could not be indexed.",
        hint="Run the same command again when that is mended.",
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
@at_option(verb="look in")
def compact(console: Console, identifier: str, *, repository: str | None) -> dict[str, object]:
    """Write the parts of a catalogue as one.

    Each registration leaves a part; one part is read faster, and has one type for each column. Others may register
    and search meanwhile.
    """
    from orbitpkg.cli.layout import count
    from orbitpkg.datasets.dataset import dataset as open_dataset

    found = open_dataset(identifier, repository)
    done = found.compact()
    console.account(f"The catalogue of {found.id} had {count(done.before, 'part')} and has {done.after:,}")
    return {"id": found.id, "before": done.before, "after": done.after, "rows": done.rows}


for _command in (describe, query, download, sync, freeze, thaw, show):
    dataset.add_command(_command)

EXPORTS = {"dataset": dataset}
