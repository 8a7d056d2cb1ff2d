"""The command ``remote sync``, which copies changes one way between a local directory and a bucket."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, TypedDict

import click

from orbitpkg.cli.console import with_result
from orbitpkg.cli.options import command, dry_run_option
from orbitpkg.errors import OrbitError, UsageError

if TYPE_CHECKING:
    from typing import Unpack

    from orbitpkg.cli.console import Console
    from orbitpkg.remote.syncing import SyncResult

__all__ = ["remote_sync"]

_MAX_NOTES = 20


class _Options(TypedDict):
    """The options that a sync and a watch share, as :func:`orbitpkg.remote.syncing.sync` takes them."""

    delete: bool
    include: tuple[str, ...]
    exclude: tuple[str, ...]
    force: bool


@command(
    "sync",
    "orbitpkg remote sync ./recordings s3://my-bucket/robot-7",
    "orbitpkg remote sync s3://my-bucket/robot-7 ./recordings --include '*.csv' --delete",
    "orbitpkg remote sync ./recordings s3://my-bucket/robot-7 --watch",
)
@click.argument("source", metavar="SRC")
@click.argument("destination", metavar="DST")
@click.option("--delete", is_flag=True, help="Delete files at DST that were deleted at SRC since the last sync.")
@click.option(
    "--include",
    metavar="GLOB",
    multiple=True,
    help="Sync only matching names ('*.csv') or paths ('data/**'). Can be repeated.",
)
@click.option("--exclude", metavar="GLOB", multiple=True, help="Skip matching names or paths. Can be repeated.")
@click.option("--force", is_flag=True, help="Resolve conflicts in favour of SRC, overwriting changes at DST.")
@dry_run_option
@click.option("--watch", is_flag=True, help="Keep running and upload new and changed files. Stop with Ctrl-C.")
@click.option(
    "--settle",
    type=click.FloatRange(min=0.1),
    default=5.0,
    show_default=True,
    metavar="SECONDS",
    help="With --watch, how long a file must stay unchanged before it is uploaded.",
)
def remote_sync(
    console: Console,
    source: str,
    destination: str,
    *,
    dry_run: bool,
    watch: bool,
    settle: float,
    **options: Unpack[_Options],
) -> dict[str, object]:
    """Copy new and changed files from SRC to DST.

    One of the two is a local directory, the other s3://bucket/prefix. A single file or object is copied to exactly the
    name given as DST.

    Files changed at DST since the last sync are conflicts: they are kept and reported, and the exit code is 1, unless
    --force is given. Nothing is deleted without --delete.
    """
    from orbitpkg.remote.syncing import sync

    if watch:
        if dry_run:
            raise UsageError("--watch cannot be used with --dry-run.")
        return _watch(console, source, destination, settle=settle, **options)
    result = sync(source, destination, **options, dry_run=dry_run, reporter=console.reporter())
    _report(console, result, dry_run=dry_run)
    data = {"source": source, "destination": destination, "dry_run": dry_run, **_facts(result)}
    if not result.is_complete:
        console.fail(_incomplete(result, data), code="not-in-step")
        raise click.exceptions.Exit(1)
    return data


def _report(console: Console, result: SyncResult, *, dry_run: bool) -> None:
    from orbitpkg.cli.layout import size

    if dry_run:
        console.rows((str(step.act), step.path, size(step.size) if step.size else "") for step in result.done)
    _note_unsynced(console, result)
    console.sentence(f"{_summary(result, dry_run=dry_run)}; {result.unchanged:,} unchanged")


def _note_unsynced(console: Console, result: SyncResult) -> None:
    rows = [f"Skipped {row.path}: {row.reason}" for row in (*result.conflicts, *result.unusable)]
    rows += [f"Could not sync {row.path}: {row.error.message}" for row in result.failed]
    for row in rows[:_MAX_NOTES]:
        console.note(row)
    if len(rows) > _MAX_NOTES:
        console.note(f"{len(rows) - _MAX_NOTES:,} more paths were not synced. To list all of them, use --json.")


def _deleted(result: SyncResult) -> int:
    from orbitpkg.remote.sync_plan import Act

    return sum(step.act in {Act.DELETE_FILE, Act.DELETE_OBJECT} for step in result.done)


def _summary(result: SyncResult, *, dry_run: bool) -> str:
    from orbitpkg.cli.layout import count, size

    deleted = _deleted(result)
    text = f"{'Would sync' if dry_run else 'Synced'} {count(len(result.done) - deleted, 'file')} ({size(result.size)})"
    return f"{text}, {'would delete' if dry_run else 'deleted'} {deleted:,}" if deleted else text


def _incomplete(result: SyncResult, data: dict[str, object]) -> OrbitError:
    from orbitpkg.cli.layout import count

    parts, hints = [], []
    if result.conflicts:
        parts.append(count(len(result.conflicts), "conflict"))
        hints.append("To overwrite conflicting files at the destination, use --force.")
    if result.unusable:
        parts.append(f"{count(len(result.unusable), 'path')} not possible at the destination")
        hints.append("To skip paths that are not possible, use --exclude.")
    if result.failed:
        parts.append(count(len(result.failed), "failure"))
        hints += dict.fromkeys(row.error.hint for row in result.failed[:3] if row.error.hint)
    return with_result(OrbitError(f"Sync incomplete: {', '.join(parts)}.", hint=" ".join(hints)), data)


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
    console: Console, source: str, destination: str, *, settle: float, **options: Unpack[_Options]
) -> dict[str, object]:
    from orbitpkg.remote.watch import open_watch

    totals = {"uploaded": 0, "deleted": 0, "bytes": 0, "conflicts": 0}
    with closing(open_watch(source, destination, **options, settle=settle)) as watch:
        console.note(f"Watching {source}. Press Ctrl-C to stop.")
        try:
            for result in watch.rounds(console.reporter()):
                _report_round(console, result)
                deleted = _deleted(result)
                totals["uploaded"] += len(result.done) - deleted
                totals["deleted"] += deleted
                totals["bytes"] += result.size
                totals["conflicts"] += len(result.conflicts)
        except KeyboardInterrupt:
            console.note("Stopped. The next sync continues from here.")
    return {"source": source, "destination": destination, "dry_run": False, **totals}


def _report_round(console: Console, result: SyncResult) -> None:
    from orbitpkg.cli.layout import size

    console.lines(f"{step.act}  {step.path}  {size(step.size)}" for step in result.done)
    _note_unsynced(console, result)
