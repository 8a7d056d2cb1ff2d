"""Commands that mark published releases: ``yank`` and ``deprecate``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import command, repository_options

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "deprecate", "yank"]


def _options(*, undo: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        reason = click.option("--reason", metavar="TEXT", help="The reason, shown to users. Required without --undo.")
        undone = click.option("--undo", is_flag=True, help=undo)
        shared = repository_options(verb="change")
        return click.argument("requirement", metavar="REQ")(reason(undone(shared(function))))

    return decorate


@command(
    "yank",
    "orbitpkg yank digits==1.0.0 --reason 'the labels are off by one'",
    "orbitpkg yank digits==1.0.0 --undo",
)
@_options(undo="Undo the yank.")
def yank(
    console: Console, requirement: str, repository: str | None, *, reason: str | None, undo: bool, offline: bool
) -> dict[str, object]:
    """Withdraw a release from new installs.

    A yanked release is installed only if a requirement names its exact version (==) or a lockfile contains it, and
    then with a warning. Nothing is deleted.
    """
    return _mark(console, requirement, "yanked", reason, repository, undo=undo, offline=offline)


@command(
    "deprecate",
    "orbitpkg deprecate 'digits<2' --reason 'use digits 2: it reads colour, too'",
    "orbitpkg deprecate digits --undo",
)
@_options(undo="Undo the deprecation.")
def deprecate(
    console: Console, requirement: str, repository: str | None, *, reason: str | None, undo: bool, offline: bool
) -> dict[str, object]:
    """Show a warning when a release is installed.

    Deprecated releases are still chosen as before.
    """
    return _mark(console, requirement, "deprecated", reason, repository, undo=undo, offline=offline)


def _mark(
    console: Console,
    requirement: str,
    marked: str,
    reason: str | None,
    repository: str | None,
    *,
    undo: bool,
    offline: bool,
) -> dict[str, object]:
    from orbitpkg.api.repository import mark

    if not undo and not reason:
        raise click.UsageError("Missing option '--reason'.")
    state = "available" if undo else marked
    name, versions, url = mark(requirement, state, reason=reason or "", repository=repository, offline=offline)
    for version in versions:
        console.report(f"{name} {version} is now {state}", f"in {url}")
    return {"name": name, "versions": versions, "state": state, "reason": reason or "", "repository": url}


EXPORTS = {"yank": yank, "deprecate": deprecate}
