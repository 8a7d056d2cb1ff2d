"""The command ``gc``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "gc"]


@command(
    "gc",
    "orbitpkg gc",
    "orbitpkg gc --keep-last 2 --dry-run",
    "orbitpkg gc --keep-last 1 --older-than 30d --max-size 50GB",
)
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and change nothing.")
@click.option("--keep-last", type=click.IntRange(min=0), metavar="N", help="Old versions, too: all but the newest N.")
@click.option("--older-than", metavar="TIME", help="Only old versions installed longer ago than this, like 30d.")
@click.option("--max-size", metavar="SIZE", help="Only until the store is no larger than this, like 50GB.")
def gc(
    console: Console, *, dry_run: bool, keep_last: int | None, older_than: str | None, max_size: str | None
) -> dict[str, object]:
    """Free what nobody needs.

    That is what installs and uploads left that were stopped, blobs that no installed release holds, and caches that
    were not used for long. With options, old versions, too: those to which all options apply. What a lockfile that was
    synced names, what another package needs and what a process has open stays.
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
        console.note(f"{kept.name} stays: {kept.reason} needs it")
    done = "Would delete" if dry_run else "Deleted"
    left = "would take" if dry_run else "takes"
    things = count(len(garbage.items), "thing")
    console.sentence(f"{done} {things} ({size(garbage.freed)}). The store {left} {size(garbage.size)}.")
    over = max(0, garbage.size - policy.max_size) if policy.max_size is not None else 0
    if over:
        console.note(f"That is {size(over)} more than --max-size says; what is left is needed, or too new.")
    return {
        "dry_run": dry_run,
        "deleted": [{"kind": str(item.kind), "name": item.name, "bytes": item.size} for item in garbage.items],
        "kept": [{"name": kept.name, "reason": kept.reason} for kept in garbage.kept],
        "freed_bytes": garbage.freed,
        "size_bytes": garbage.size,
        "over_bytes": over,
    }


EXPORTS = {"gc": gc}
