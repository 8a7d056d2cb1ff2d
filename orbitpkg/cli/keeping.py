"""Commands that look after what is installed: ``remove``, ``verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command, installed_names, repository_options
from orbitpkg.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.api.maintain import Checked
    from orbitpkg.cli.console import Console
    from orbitpkg.store.condition import Finding

__all__ = ["EXPORTS", "remove", "verify"]


@command("remove", "orbitpkg remove digits==1.0.0", "orbitpkg remove digits --dry-run")
@click.argument("requirements", metavar="REQ...", nargs=-1, required=True, shell_complete=installed_names)
@click.option("--dry-run", is_flag=True, help="Say what would be removed, and change nothing.")
def remove(console: Console, requirements: tuple[str, ...], *, dry_run: bool) -> dict[str, object]:
    """Remove installed packages.

    Every version that a REQ allows goes; with a bare name, all versions. What is published stays published.
    """
    from orbitpkg.api.packages import remove

    # All of them are looked up first: nothing goes when a word is mistyped, and nothing twice.
    found = [each for requirement in requirements for each in remove(requirement, dry_run=True)]
    chosen = {f"{each.name}=={each.version}": each for each in found}
    removed = []
    for name, planned in chosen.items():
        each = planned if dry_run else remove(name)[0]
        said = f"{each.name} {each.version}"
        console.account(
            f"Would remove {said} (up to {size(each.freed)})"
            if dry_run
            else f"Removed {said} ({size(each.freed)} freed)"
        )
        removed.append({"name": each.name, "version": each.version, "freed_bytes": each.freed})
    return {"dry_run": dry_run, "removed": removed}


@command(
    "verify",
    "orbitpkg verify",
    "orbitpkg verify digits==1.0.0 --json",
    "orbitpkg verify --quick",
    "orbitpkg verify digits --repair",
)
@click.argument("requirements", metavar="[REQ]...", nargs=-1, shell_complete=installed_names)
@click.option("--quick", is_flag=True, help="Compare sizes and times; hash only what is newer than its release.")
@click.option("--repair", is_flag=True, help="Make whole what is damaged; fetch only what is broken.")
@repository_options(verb="repair from, instead of where each release came from")
def verify(
    console: Console,
    requirements: tuple[str, ...],
    repository: str | None,
    *,
    quick: bool,
    repair: bool,
    offline: bool,
) -> dict[str, object]:
    """Hash what is installed and list what is damaged.

    Every installed version that a REQ allows is looked at; without a REQ, everything. The exit code is the sum of 16
    if a file is missing, 32 if one is altered, 64 if one is there that is none of the package; after --repair, of what
    could not be mended.
    """
    from orbitpkg.api import maintain
    from orbitpkg.config.repositories import home

    checked = maintain.check(
        requirements,
        quick=quick,
        repair=repair,
        repository=repository,
        offline=offline,
        reporter=console.reporter(),
    )
    for each in checked:
        console.data([f"{each.name} {each.version}  {_verdict(each)}"])
        console.data(f"  {finding.flaw}  {finding.path}" for finding in each.findings)
        if each.aside is not None:
            console.note(f"What is no file of {each.name} {each.version} is now in {each.aside}")
        if each.failure is not None:
            why = " ".join(filter(None, [each.failure.message, each.failure.hint]))
            console.note(f"{each.name} {each.version} could not be repaired. {why}")
    if not checked:
        console.note(f"Nothing is installed in {home()}")
    data: dict[str, object] = {"packages": [_facts(each) for each in checked]}
    bits = maintain.flaw_bits(finding.flaw for each in checked for finding in each.left)
    if bits:
        # Not raised: the exit code of what is raised says less.
        console.fail(_damage([each for each in checked if each.left], data))
        raise click.exceptions.Exit(bits)
    return data


def _verdict(checked: Checked) -> str:
    if checked.left:
        return "damaged"
    return "repaired" if checked.findings else "good"


def _facts(checked: Checked) -> dict[str, object]:
    return {
        "name": checked.name,
        "version": checked.version,
        "good": not checked.left,
        "findings": _rows(checked.findings),
        "left": _rows(checked.left),
        "fetched_bytes": checked.fetched,
        "aside": checked.aside,
        "failure": checked.failure.message if checked.failure else None,
    }


def _rows(findings: Sequence[Finding]) -> list[dict[str, str]]:
    return [{"path": finding.path, "flaw": str(finding.flaw)} for finding in findings]


def _damage(damaged: Sequence[Checked], data: dict[str, object]) -> IntegrityError:
    number = sum(len(each.left) for each in damaged)
    names = [f"{each.name}=={each.version}" for each in damaged]
    verb = "is" if number == 1 else "are"
    return IntegrityError(
        f"{count(number, 'file')} of {', '.join(names)} {verb} not as published.",
        hint=f"Mend it: orbitpkg verify --repair {' '.join(names)}",
        **data,
    )


EXPORTS = {"remove": remove, "verify": verify}
