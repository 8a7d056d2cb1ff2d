"""Commands that download or freeze dataset files: ``dataset download``, ``sync``, ``freeze`` and ``thaw``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orbitpkg.cli.dataset_query import IDS, WHERE, select
from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import at_option, command
from orbitpkg.errors import PartlyDone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.datasets.fetching import Fetched
    from orbitpkg.datasets.registration import Failure

__all__ = ["check_failures", "download", "freeze", "sync", "thaw"]

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FORCE = click.option("--force", is_flag=True, help="Overwrite existing files that differ.")


def _dir_option(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.option(
        "--dir",
        "-d",
        "folder",
        metavar="DIR",
        type=_FOLDER,
        required=True,
        help="The target directory, which is created if needed.",
    )(function)


@command(
    "download",
    "orbitpkg dataset download recordings --dir ./runs",
    "orbitpkg dataset download recordings --dir ./runs --where \"robot = 'sawyer'\"",
)
@click.argument("identifier", metavar="ID")
@_dir_option
@IDS
@WHERE
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
    """Download files of a dataset under their original names.

    Verifies each file. If two files have the same name, the first one registered keeps it, and the other gets its ID
    before the suffix. Exits with code 1 if a file could not be downloaded.
    """
    selection = select(identifier, condition, repository, ids=ids)
    done = selection.fetch(folder, force=force, reporter=console.reporter())
    return _report(console, done, folder)


@command(
    "sync",
    "orbitpkg dataset sync recordings --where \"robot = 'sawyer'\" --dir ./sawyer",
    "orbitpkg dataset sync recordings --dir ./all --delete",
)
@click.argument("identifier", metavar="ID")
@_dir_option
@WHERE
@click.option("--delete", is_flag=True, help="Delete files from earlier runs that are no longer selected.")
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
    """Update a directory to match a filter.

    Downloads the selected files that are missing, wherever they are stored. Files from an earlier run that are no
    longer selected are reported, and deleted with --delete.
    """
    selection = select(identifier, condition, repository)
    done = selection.fetch(folder, force=force, delete=delete, reporter=console.reporter())
    if done.left and not delete:
        verb = "is" if len(done.left) == 1 else "are"
        left = count(len(done.left), "file")
        console.note(f"{left} in {folder} {verb} no longer selected. To delete unselected files, use --delete.")
    return _report(console, done, folder) | {"deleted" if delete else "left": done.left}


def _report(console: Console, done: Fetched, folder: Path) -> dict[str, object]:
    if done.fetched:
        downloaded = f"Downloaded {count(len(done.fetched), 'file')}, {size(done.size)}"
        console.report(downloaded + (f"; {done.present:,} already up to date" if done.present else ""), str(folder))
    elif not done.failures:
        console.report("Nothing to download" + (f": {count(done.present, 'file')} up to date" if done.present else ""))
    total = len(done.fetched) + done.present + len(done.failures)
    check_failures(
        console,
        done.failures,
        f"Could not download {len(done.failures):,} of {count(total, 'file')}.",
        hint="To replace local files, add --force."
        if all("conflict" in each.error.data for each in done.failures)
        else "Run the same command again. Files already downloaded are skipped.",
    )
    return {"folder": str(folder), "fetched": done.fetched, "present": done.present, "bytes": done.size}


def check_failures(console: Console, failures: Sequence[Failure], message: str, *, hint: str) -> None:
    """Report the files that failed, and why.

    Raises:
        PartlyDone: At least one file failed.
    """
    if not failures:
        return
    if not console.as_json:
        for each in failures:
            console.write_stderr(
                f"{each.name}: {each.error.message}" + (f" {each.error.hint}" if each.error.hint else "")
            )
    shown = [{"name": each.name, "code": each.error.code, "message": each.error.message} for each in failures]
    raise PartlyDone(message, hint=hint, failures=shown)


@command(
    "freeze",
    "orbitpkg dataset freeze recordings --where \"robot = 'sawyer'\" --as sawyer==1.2.0",
    "orbitpkg dataset freeze recordings --as recordings==1.0.0 --pack",
)
@click.argument("identifier", metavar="ID")
@WHERE
@click.option("--as", "release", metavar="NAME==VERSION", required=True, help="The release to publish.")
@click.option("--pack", is_flag=True, help="Copy the files into the release. Default: refer to them where they are.")
@at_option(verb="read from and publish to")
def freeze(
    console: Console,
    identifier: str,
    *,
    condition: str | None,
    release: str,
    pack: bool,
    repository: str | None,
) -> dict[str, object]:
    """Publish a selection of files as a release.

    The release can be installed and locked like any other. To get its files, use orbitpkg dataset thaw, or
    orbitpkg.frozen in Python.
    """
    selection = select(identifier, condition, repository)
    done = selection.freeze(release, pack=pack, reporter=console.reporter())
    totals: Any = done.release.metadata["dataset"]
    label = f"{done.release.name} {done.release.version}"
    amount = f"{count(totals['files'], 'file')}, {size(totals['bytes'])}, {'packed' if pack else 'not copied'}"
    console.report(
        f"Published {label}: {amount}"
        if done.outcome == "published"
        else f"{label} is already published with the same content",
        f"orbitpkg install {done.release.name}=={done.release.version}",
    )
    return {
        "name": done.release.name,
        "version": str(done.release.version),
        "digest": done.release.digest,
        "outcome": str(done.outcome),
        "files": totals["files"],
        "bytes": totals["bytes"],
        "packed": pack,
    }


@command("thaw", "orbitpkg dataset thaw sawyer==1.2.0 --dir ./sawyer")
@click.argument("requirement", metavar="REQ")
@_dir_option
@_FORCE
def thaw(console: Console, requirement: str, folder: Path, *, force: bool) -> dict[str, object]:
    """Download the files of a frozen release.

    The release must be installed. Downloads exactly the files that were frozen, and fails if one has changed since.
    """
    from orbitpkg.datasets.freezing import frozen

    found = frozen(requirement)
    done = found.fetch(folder, force=force, reporter=console.reporter())
    return _report(console, done, folder)
