"""Commands of a project: ``add``, ``lock``, ``sync``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.facts import package_facts, totals
from orbitpkg.cli.layout import count
from orbitpkg.cli.options import app_options, command, repository_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orbitpkg.api.install import Installed
    from orbitpkg.api.project.lock import Locked
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "add", "lock", "sync"]

_ALL = "*"


@command("add", "orbitpkg add digits", "orbitpkg add 'digits>=1.2,<2' tokenizer")
@click.argument("requirements", metavar="REQ...", nargs=-1, required=True)
@repository_options(verb="install from")
@app_options
def add(
    console: Console,
    requirements: tuple[str, ...],
    repository: str | None,
    *,
    offline: bool,
    apps: tuple[str, ...],
    python: str | None,
) -> dict[str, object]:
    """Have the project use packages.

    Puts each REQ into orbit.toml (or [tool.orbitpkg] in pyproject.toml), locks it and installs what is locked. Without
    a project, one is begun here. What is locked already stays as far as it can.
    """
    from orbitpkg.api.project.sync import add

    locked, installed = add(
        requirements, repository=repository, apps=apps, python=python, offline=offline, reporter=console.reporter()
    )
    _tell_lock(console, locked)
    _tell_installed(console, installed)
    return {**_lock_facts(locked), **_installed_facts(installed)}


@command("lock", "orbitpkg lock", "orbitpkg lock --upgrade", "orbitpkg lock --upgrade digits")
@click.option(
    "--upgrade",
    metavar="[NAME]",
    is_flag=False,
    flag_value=_ALL,
    multiple=True,
    help="Choose this package anew, or all without a NAME. May be given again.",
)
@repository_options(verb="choose from")
@app_options
def lock(
    console: Console,
    repository: str | None,
    *,
    upgrade: tuple[str, ...],
    offline: bool,
    apps: tuple[str, ...],
    python: str | None,
) -> dict[str, object]:
    """Choose what the project uses, and write orbit.lock.

    What is locked stays as far as the requirements allow; nothing is installed.
    """
    from orbitpkg.api.project.lock import lock

    anew: bool | Sequence[str] = True if _ALL in upgrade else upgrade
    locked = lock(
        upgrade=anew, repository=repository, apps=apps, python=python, offline=offline, reporter=console.reporter()
    )
    _tell_lock(console, locked)
    return _lock_facts(locked)


@command("sync", "orbitpkg sync", "orbitpkg sync --locked", "orbitpkg sync --frozen")
@click.option("--locked", is_flag=True, help="Fail if orbit.lock does not answer the project; never change it.")
@click.option("--frozen", is_flag=True, help="Go by orbit.lock alone: ask for the records it names and nothing else.")
@repository_options(verb="install from")
@app_options
def sync(
    console: Console,
    repository: str | None,
    *,
    locked: bool,
    frozen: bool,
    offline: bool,
    apps: tuple[str, ...],
    python: str | None,
) -> dict[str, object]:
    """Install what is locked.

    Exactly those releases, byte for byte. If orbit.lock does not answer what the project asks for, it is brought up to
    it first, unless --locked or --frozen.
    """
    from orbitpkg.api.project.sync import sync

    if locked and frozen:
        raise click.UsageError("--locked and --frozen exclude each other.")
    result, installed = sync(
        locked=locked,
        frozen=frozen,
        repository=repository,
        apps=apps,
        python=python,
        offline=offline,
        reporter=console.reporter(),
    )
    if result is not None:
        _tell_lock(console, result)
    _tell_installed(console, installed)
    facts = _lock_facts(result) if result is not None else {"changes": []}
    return {**facts, **_installed_facts(installed)}


def _tell_lock(console: Console, locked: Locked) -> None:
    if not locked.changes:
        said = "stays as it is" if not locked.is_rewritten else "has noted what was yanked"
        console.account(f"orbit.lock {said}: {count(len(locked.lock.packages), 'package')}")
    else:
        lines = [_change(*change) for change in locked.changes]
        console.account(f"Locked {count(len(locked.lock.packages), 'package')}", *lines)
    for line in locked.warnings:
        console.note(line)
    for name, apps in locked.unchecked.items():
        console.note(f"Whether {name} works with {', '.join(apps)} was not checked: no version of it is known here.")


def _change(name: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"+ {name} {new}"
    if new is None:
        return f"- {name} {old}"
    return f"  {name} {old} -> {new}" if old != new else f"  {name} {new}, another release"


def _tell_installed(console: Console, installed: Installed) -> None:
    for package in installed.new:
        console.account(f"Installed {package.name} {package.version}: {totals(package)}")
    there = len(installed.packages) + len(installed.dependencies) - len(installed.new)
    if not installed.new:
        console.account(f"Everything that is locked is installed: {count(there, 'package')}")
    for line in installed.warnings:
        console.note(line)


def _lock_facts(locked: Locked) -> dict[str, object]:
    return {
        "lock": str(locked.path),
        "locked": [
            {
                "name": package.name,
                "version": str(package.version),
                "digest": package.digest,
                "archive_bytes": package.size,
                "repository": package.repository,
                "dependencies": list(package.dependencies),
                "yanked": package.yanked,
            }
            for package in locked.lock.packages.values()
        ],
        "changes": [{"name": name, "old": old, "new": new} for name, old, new in locked.changes],
        "warnings": list(locked.warnings),
        "unchecked": {name: list(apps) for name, apps in locked.unchecked.items()},
    }


def _installed_facts(installed: Installed) -> Mapping[str, object]:
    return {
        "packages": [package_facts(package) for package in installed.packages],
        "dependencies": [package_facts(package) for package in installed.dependencies],
        "new": [f"{package.name}=={package.version}" for package in installed.new],
        "install_warnings": list(installed.warnings),
    }


EXPORTS = {"add": add, "lock": lock, "sync": sync}
