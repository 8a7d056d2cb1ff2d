"""Commands that fetch data of datasets, or freeze them: ``dataset download``, ``sync``, ``freeze``, ``thaw``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from orbitpkg.cli.options import command
from orbitpkg.cli.selecting import IDS, WHERE, at_option, selected
from orbitpkg.errors import PartlyDone

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.datasets.fetching import Fetched
    from orbitpkg.datasets.registration import Failure

__all__ = ["download", "freeze", "refuse_partly", "sync", "thaw"]

_FOLDER = click.Path(file_okay=False, path_type=Path)
_FORCE = click.option("--force", is_flag=True, help="Replace files that are there and have other content.")


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
    """Download data under their original names.

    Verified. Of two files of one name the one registered first keeps it; the other gets its id before its suffix. Exits
    1 if any could not be downloaded.
    """
    selection = selected(identifier, condition, repository, ids=ids)
    done = selection.fetch(folder, force=force, reporter=console.reporter())
    return _account(console, done, folder)


@command(
    "sync",
    "orbitpkg dataset sync recordings --where \"robot = 'sawyer'\" --dir ./sawyer",
    "orbitpkg dataset sync recordings --dir ./all --delete",
)
@click.argument("identifier", metavar="ID")
@_dir_option
@WHERE
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
    selection = selected(identifier, condition, repository)
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
@WHERE
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

    selection = selected(identifier, condition, repository)
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
