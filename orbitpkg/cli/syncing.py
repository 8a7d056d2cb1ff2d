"""``remote sync``: a local folder and objects, brought in step one way."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import command
from orbitpkg.errors import OrbitError, UsageError

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console
    from orbitpkg.remote.syncing import SyncResult

__all__ = ["remote_sync"]

_TOLD = 20


@command(
    "sync",
    "orbitpkg remote sync ./recordings s3://my-bucket/robot-7",
    "orbitpkg remote sync s3://my-bucket/robot-7 ./recordings --include '*.csv' --delete",
    "orbitpkg remote sync ./recordings s3://my-bucket/robot-7 --watch",
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--delete", is_flag=True, help="Delete at DST what SRC lost since both were last in step.")
@click.option(
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Only these: '*.csv' for names, 'data/**' for paths. May be given again.",
)
@click.option("--exclude", metavar="GLOB", multiple=True, help="Not these. May be given again.")
@click.option("--force", is_flag=True, help="Let SRC win conflicts: write over and delete what was edited at DST.")
@click.option("--dry-run", is_flag=True, help="Only tell what would be done.")
@click.option(
    "--watch", is_flag=True, help="Go on: upload what appears, each file once it stopped growing. Ctrl-C ends."
)
@click.option(
    "--settle",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch: how long a file must not have changed.",
)
def remote_sync(
    console: Console,
    source: str,
    destination: str,
    *,
    delete: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    force: bool,
    dry_run: bool,
    watch: bool,
    settle: float,
) -> dict[str, object]:
    """Give DST what SRC has.

    One of them is a local folder, the other s3://bucket/prefix.

    What was edited at DST since the last sync is not written over but told, and the exit code is 1; --force decides for
    SRC. Nothing is deleted without --delete. One file, or one object, goes to just the name that is given.
    """
    from orbitpkg.remote.syncing import sync

    if watch:
        if dry_run:
            raise UsageError("--watch and --dry-run do not go together.")
        return _watch(console, source, destination, delete=delete, include=include, exclude=exclude, force=force,
                      settle=settle)  # fmt: skip
    result = sync(
        source,
        destination,
        delete=delete,
        include=include,
        exclude=exclude,
        force=force,
        dry_run=dry_run,
        reporter=console.reporter(),
    )
    _tell(console, result, dry_run=dry_run)
    data = {"source": source, "destination": destination, "dry_run": dry_run, **_facts(result)}
    if not result.is_complete:
        console.fail(_incomplete(result, data), code="not-in-step")
        raise click.exceptions.Exit(1)
    return data


def _tell(console: Console, result: SyncResult, *, dry_run: bool) -> None:
    from orbitpkg.cli.layout import size

    if dry_run:
        console.rows((str(step.act), step.path, size(step.size) if step.size else "") for step in result.done)
    _tell_left(console, result)
    console.sentence(f"{'Would sync' if dry_run else 'Synced'} {_count(result)}; {result.unchanged:,} unchanged")


def _tell_left(console: Console, result: SyncResult) -> None:
    rows = [f"{row.path} was left alone: {row.reason}" for row in (*result.conflicts, *result.unusable)]
    rows += [f"{row.path} could not be synced: {row.error.message}" for row in result.failed]
    for row in rows[:_TOLD]:
        console.note(row)
    if len(rows) > _TOLD:
        console.note(f"And {len(rows) - _TOLD:,} more; --json has all")


def _deleted(result: SyncResult) -> int:
    from orbitpkg.remote.sync_plan import Act

    return sum(step.act in {Act.DELETE_FILE, Act.DELETE_OBJECT} for step in result.done)


def _count(result: SyncResult) -> str:
    from orbitpkg.cli.layout import count, size

    deleted = _deleted(result)
    text = f"{count(len(result.done) - deleted, 'file')} ({size(result.size)})"
    return f"{text}, deleted {deleted:,}" if deleted else text


def _incomplete(result: SyncResult, data: dict[str, object]) -> OrbitError:
    from orbitpkg.cli.layout import count

    parts, hints = [], []
    if result.conflicts:
        parts.append(f"{count(len(result.conflicts), 'path')} in conflict")
        hints.append("--force decides conflicts for the source.")
    if result.unusable:
        parts.append(f"{len(result.unusable):,} that cannot be at the destination")
        hints.append("--exclude leaves out what cannot be there.")
    if result.failed:
        parts.append(f"{len(result.failed):,} that failed")
        hints += dict.fromkeys(row.error.hint for row in result.failed[:3] if row.error.hint)
    return OrbitError(f"Not all is in step: {', '.join(parts)}.", hint=" ".join(hints), **data)


def _facts(result: SyncResult) -> dict[str, object]:
    return {
        "done": [{"act": str(step.act), "path": step.path, "bytes": step.size} for step in result.done],
        "bytes": result.size,
        "unchanged": result.unchanged,
        "conflicts": [{"path": row.path, "reason": row.reason} for row in result.conflicts],
        "unusable": [{"path": row.path, "reason": row.reason} for row in result.unusable],
        "failed": [{"path": row.path, "code": row.error.code, "message": row.error.message} for row in result.failed],
    }


def _watch(
    console: Console,
    source: str,
    destination: str,
    *,
    delete: bool,
    include: tuple[str, ...],
    exclude: tuple[str, ...],
    force: bool,
    settle: float,
) -> dict[str, object]:
    from orbitpkg.remote.watch import open_watch

    tally = {"uploaded": 0, "deleted": 0, "bytes": 0, "conflicts": 0}
    with closing(
        open_watch(source, destination, delete=delete, include=include, exclude=exclude, force=force, settle=settle)
    ) as watch:
        console.note(f"Watching {source}; Ctrl-C ends it")
        try:
            for result in watch.rounds(console.reporter()):
                _tell_round(console, result)
                deleted = _deleted(result)
                tally["uploaded"] += len(result.done) - deleted
                tally["deleted"] += deleted
                tally["bytes"] += result.size
                tally["conflicts"] += len(result.conflicts)
        except KeyboardInterrupt:
            console.note("Stopped; what is in step is noted")
    return {"source": source, "destination": destination, "dry_run": False, **tally}


def _tell_round(console: Console, result: SyncResult) -> None:
    from orbitpkg.cli.layout import size

    console.data(f"{step.act}  {step.path}  {size(step.size)}" for step in result.done)
    _tell_left(console, result)
