"""Commands about the life of a release: ``yank``, ``deprecate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import command, repository_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "deprecate", "yank"]


def _options(function: Callable[..., Any]) -> Callable[..., Any]:
    reason = click.option("--reason", metavar="TEXT", help="Why; told to whoever gets it.")
    undo = click.option("--undo", is_flag=True, help="Take it back.")
    return click.argument("requirement", metavar="REQ")(reason(undo(function)))


@command(
    "yank",
    "orbitpkg yank digits==1.0.0 --reason 'the labels are off by one'",
    "orbitpkg yank digits==1.0.0 --undo",
)
@_options
@repository_options(verb="change")
def yank(
    console: Console, requirement: str, repository: str | None, *, reason: str | None, undo: bool, offline: bool
) -> dict[str, object]:
    """Have nobody choose a release any more.

    Who names it exactly (==), or has it locked, still gets it, with a warning. Nothing is deleted.
    """
    if not undo and not reason:
        raise click.UsageError("Say why: --reason TEXT.")
    return _mark(console, requirement, "available" if undo else "yanked", reason, repository, offline=offline)


@command(
    "deprecate",
    "orbitpkg deprecate 'digits<2' --reason 'use digits 2: it reads colour, too'",
    "orbitpkg deprecate digits --undo",
)
@_options
@repository_options(verb="change")
def deprecate(
    console: Console, requirement: str, repository: str | None, *, reason: str | None, undo: bool, offline: bool
) -> dict[str, object]:
    """Warn whoever installs a release.

    It is chosen as before.
    """
    if not undo and not reason:
        raise click.UsageError("Say why: --reason TEXT.")
    return _mark(console, requirement, "available" if undo else "deprecated", reason, repository, offline=offline)


def _mark(
    console: Console, requirement: str, state: str, reason: str | None, repository: str | None, *, offline: bool
) -> dict[str, object]:
    from orbitpkg.api.repository import mark

    name, versions, url = mark(requirement, state, reason=reason or "", repository=repository, offline=offline)
    for version in versions:
        console.account(f"{name} {version} is {state}", f"in {url}")
    return {"name": name, "versions": versions, "state": state, "reason": reason or "", "repository": url}


EXPORTS = {"yank": yank, "deprecate": deprecate}
