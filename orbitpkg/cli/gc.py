"""The command ``gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command, dry_run_option

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console
    from orbitpkg.store.garbage import Garbage

__all__ = ["EXPORTS", "gc"]


@command(
    "gc",
    "orbitpkg gc",
    "orbitpkg gc --keep-last 2 --dry-run",
    "orbitpkg gc --keep-last 1 --older-than 30d --max-size 50GB",
)
@dry_run_option
@click.option(
    "--keep-last", type=click.IntRange(min=0), metavar="N", help="Remove all but the newest N versions of each package."
)
@click.option("--older-than", metavar="TIME", help="Remove only versions installed longer ago than this, like 30d.")
@click.option("--max-size", metavar="SIZE", help="Remove versions only until the store is this small, like 50GB.")
def gc(
    console: Console, *, dry_run: bool, keep_last: int | None, older_than: str | None, max_size: str | None
) -> dict[str, object]:
    """Free unused disk space in the local store.

    Deletes the remains of interrupted installs and uploads, files that no installed release uses, and caches that have
    not been used for a long time. With options, also removes old versions that all given options apply to. Keeps
    releases that a synced lockfile, another package or a running process needs.
    """
    from orbitpkg.api import maintain
    from orbitpkg.model.quantities import parse_period, parse_size
    from orbitpkg.store.garbage import Policy

    policy = Policy(
        keep_last=keep_last,
        older_than=parse_period(older_than) if older_than is not None else None,
        max_size=parse_size(max_size) if max_size is not None else None,
    )
    garbage = maintain.tidy(policy, dry_run=dry_run)
    console.rows((str(item.kind), item.name, size(item.size)) for item in garbage.items)
    for kept in garbage.kept:
        console.note(f"Kept {kept.name.replace('==', ' ')}: {kept.reason} needs it")
    console.sentence(_summary(garbage, dry_run=dry_run))
    over = max(0, garbage.size - policy.max_size) if policy.max_size is not None else 0
    if over:
        console.note(f"The store exceeds --max-size by {size(over)}: the remaining files are in use or too new")
    return {
        "dry_run": dry_run,
        "deleted": [{"kind": str(item.kind), "name": item.name, "bytes": item.size} for item in garbage.items],
        "kept": [{"name": kept.name, "reason": kept.reason} for kept in garbage.kept],
        "freed_bytes": garbage.freed,
        "size_bytes": garbage.size,
        "over_bytes": over,
    }


def _summary(garbage: Garbage, *, dry_run: bool) -> str:
    if not garbage.items:
        return f"Nothing to delete. The store uses {size(garbage.size)}."
    verb, uses = ("Would delete", "would use") if dry_run else ("Deleted", "uses")
    return f"{verb} {count(len(garbage.items), 'item')} ({size(garbage.freed)}). The store {uses} {size(garbage.size)}."


EXPORTS = {"gc": gc}
