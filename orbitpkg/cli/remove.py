"""The command ``remove``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import size
from orbitpkg.cli.options import command, dry_run_option, installed_names

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "remove"]


@command("remove", "orbitpkg remove digits==1.0.0", "orbitpkg remove digits --dry-run")
@click.argument("requirements", metavar="REQ...", nargs=-1, required=True, shell_complete=installed_names)
@dry_run_option
def remove(console: Console, requirements: tuple[str, ...], *, dry_run: bool) -> dict[str, object]:
    """Remove installed packages.

    Removes every installed version that REQ allows. A name without a version range removes all versions. Published
    releases are not affected.
    """
    from orbitpkg.api.packages import find_dependents, remove

    # Look up all requirements before removing anything, so that a typo in one leaves every package installed.
    found = [each for requirement in requirements for each in remove(requirement, dry_run=True)]
    chosen = {f"{each.name}=={each.version}": each for each in found}
    dependents = find_dependents(found)
    removed = []
    for name, planned in chosen.items():
        each = planned if dry_run else remove(name)[0]
        label = f"{each.name} {each.version}"
        console.report(
            f"Would remove {label} (frees up to {size(each.freed)})"
            if dry_run
            else f"Removed {label} ({size(each.freed)} freed)"
        )
        if label in dependents:
            console.warn(f"{label} is a dependency of {', '.join(dependents[label])}")
        removed.append({"name": each.name, "version": each.version, "freed_bytes": each.freed})
    return {"dry_run": dry_run, "removed": removed}


EXPORTS = {"remove": remove}
