"""Commands that look after what is installed: ``remove``, ``verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command, installed_names
from orbitpkg.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Finding

__all__ = ["EXPORTS", "remove", "verify"]


@command("remove", "orbitpkg remove digits==1.0.0", "orbitpkg remove digits --dry-run")
@click.argument("requirements", metavar="REQ...", nargs=-1, required=True, shell_complete=installed_names)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and change nothing.")
def remove(console: Console, requirements: tuple[str, ...], *, dry_run: bool) -> dict[str, object]:
    """Remove installed packages.

    Every version that a REQ allows goes; with a bare name, all versions. What is published stays published.
    """
    from orbitpkg import api

    # All of them are looked up first: nothing goes when a word is mistyped, and nothing twice.
    found = [each for requirement in requirements for each in api.remove(requirement, dry_run=True)]
    chosen = {f"{each.name}=={each.version}": each for each in found}
    removed = []
    for name, planned in chosen.items():
        each = planned if dry_run else api.remove(name)[0]
        said = f"{each.name} {each.version}"
        console.account(
            f"Would remove {said} (up to {size(each.freed)})"
            if dry_run
            else f"Removed {said} ({size(each.freed)} freed)"
        )
        removed.append({"name": each.name, "version": each.version, "freed_bytes": each.freed})
    return {"dry_run": dry_run, "removed": removed}


@command("verify", "orbitpkg verify", "orbitpkg verify digits==1.0.0 --json")
@click.argument("requirements", metavar="[REQ]...", nargs=-1, shell_complete=installed_names)
def verify(console: Console, requirements: tuple[str, ...]) -> dict[str, object]:
    """Hash what is installed and list what is damaged.

    Every installed version that a REQ allows is looked at; without a REQ, everything. Exits 1 if a file is missing,
    altered, or not of the package.
    """
    from orbitpkg import api

    results = api.verify(requirements, reporter=console.reporter())
    for package, findings in results:
        console.data([f"{package.name} {package.version}  {'damaged' if findings else 'good'}"])
        console.data(f"  {finding.flaw}  {finding.path}" for finding in findings)
    if not results:
        console.note(f"Nothing is installed in {api.home()}")
    data: dict[str, object] = {"packages": [_facts(package, findings) for package, findings in results]}
    damaged = [(package, findings) for package, findings in results if findings]
    if damaged:
        raise _damage(damaged, data)
    return data


def _facts(package: Package, findings: Sequence[Finding]) -> dict[str, object]:
    flaws = [{"path": finding.path, "flaw": str(finding.flaw)} for finding in findings]
    return {"name": package.name, "version": package.version, "good": not findings, "findings": flaws}


def _damage(damaged: Sequence[tuple[Package, Sequence[Finding]]], data: dict[str, object]) -> IntegrityError:
    number = sum(len(findings) for _, findings in damaged)
    names = [f"{package.name}=={package.version}" for package, _ in damaged]
    verb = "is" if number == 1 else "are"
    return IntegrityError(
        f"{count(number, 'file')} of {', '.join(names)} {verb} not as published.",
        hint=f"Install it anew: orbitpkg remove {' '.join(names)}, then orbitpkg install {' '.join(names)}",
        **data,
    )


EXPORTS = {"remove": remove, "verify": verify}
