"""The command ``verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.console import with_result
from orbitpkg.cli.layout import count
from orbitpkg.cli.options import command, installed_names, repository_options
from orbitpkg.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.api.maintain import Checked
    from orbitpkg.cli.console import Console
    from orbitpkg.store.condition import Finding

__all__ = ["EXPORTS", "verify"]


@command(
    "verify",
    "orbitpkg verify",
    "orbitpkg verify digits==1.0.0 --json",
    "orbitpkg verify --quick",
    "orbitpkg verify digits --repair",
)
@click.argument("requirements", metavar="[REQ]...", nargs=-1, shell_complete=installed_names)
@click.option("--quick", is_flag=True, help="Compare sizes and times. Hash only files changed after the install.")
@click.option("--repair", is_flag=True, help="Repair damaged packages. Fetches only damaged chunks.")
@repository_options(verb="repair from", default="the repository that each release was installed from")
def verify(
    console: Console,
    requirements: tuple[str, ...],
    repository: str | None,
    *,
    quick: bool,
    repair: bool,
    offline: bool,
) -> dict[str, object]:
    """Check installed packages for damage.

    Hashes the files of every installed version that REQ allows, or of all packages if no REQ is given. The exit code
    is the sum of 16 (files are missing), 32 (files are altered) and 64 (extra files). With --repair, it covers
    only the damage that could not be repaired.
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
        _report(console, each)
    if not checked:
        console.note(f"No packages are installed in {home()}")
    data: dict[str, object] = {"packages": [_facts(each) for each in checked]}
    bits = maintain.finding_bits(finding.kind for each in checked for finding in each.left)
    if bits:
        # Raising the error would exit with 1, which does not tell the kinds of damage apart.
        console.fail(with_result(_damage([each for each in checked if each.left]), data))
        raise click.exceptions.Exit(bits)
    return data


def _report(console: Console, checked: Checked) -> None:
    label = f"{checked.name} {checked.version}"
    console.lines([f"{label}  {_verdict(checked)}"])
    console.lines(f"  {finding.kind}  {finding.path}" for finding in checked.findings)
    if checked.aside is not None:
        console.note(f"Moved files that do not belong to {label} to {checked.aside}")
    if checked.failure is not None:
        reason = " ".join(filter(None, [checked.failure.message, checked.failure.hint]))
        console.warn(f"Could not repair {label}. {reason}")


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
    return [{"path": finding.path, "flaw": str(finding.kind)} for finding in findings]


def _damage(damaged: Sequence[Checked]) -> IntegrityError:
    number = sum(len(each.left) for each in damaged)
    names = [f"{each.name}=={each.version}" for each in damaged]
    labels = ", ".join(f"{each.name} {each.version}" for each in damaged)
    verb = "differs" if number == 1 else "differ"
    return IntegrityError(
        f"{count(number, 'file')} of {labels} {verb} from the published release.",
        hint=f"To repair: orbitpkg verify --repair {' '.join(names)}",
    )


EXPORTS = {"verify": verify}
