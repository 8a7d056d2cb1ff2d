"""Commands that manage a project's packages: ``add``, ``lock`` and ``sync``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.facts import package_facts, totals
from orbitpkg.cli.install import unchecked_note
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
    """Add packages to the project.

    Adds each REQ to orbit.toml (or [tool.orbitpkg] in pyproject.toml), then locks and installs it. Outside a project,
    creates orbit.toml in the working directory. Versions that are already locked are kept where possible.
    """
    from orbitpkg.api.project.sync import add

    locked, installed = add(
        requirements, repository=repository, apps=apps, python=python, offline=offline, reporter=console.reporter()
    )
    _report_lock(console, locked)
    _report_installed(console, installed)
    return {**_lock_facts(locked), **_installed_facts(installed)}


@command("lock", "orbitpkg lock", "orbitpkg lock --upgrade", "orbitpkg lock --upgrade digits")
@click.option(
    "--upgrade",
    metavar="[NAME]",
    is_flag=False,
    flag_value=_ALL,
    multiple=True,
    help="Upgrade this package, or all packages if no NAME is given. Can be repeated.",
)
@repository_options(verb="lock from")
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
    """Update the project's lockfile, orbit.lock.

    Keeps the locked versions where the requirements allow it. Installs nothing.
    """
    from orbitpkg.api.project.lock import lock

    upgraded: bool | Sequence[str] = True if _ALL in upgrade else upgrade
    locked = lock(
        upgrade=upgraded, repository=repository, apps=apps, python=python, offline=offline, reporter=console.reporter()
    )
    _report_lock(console, locked)
    return _lock_facts(locked)


@command("sync", "orbitpkg sync", "orbitpkg sync --locked", "orbitpkg sync --frozen")
@click.option("--locked", is_flag=True, help="Fail if orbit.lock is out of date, instead of updating it.")
@click.option("--frozen", is_flag=True, help="Install from orbit.lock without checking whether it is up to date.")
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
    """Install the project's locked packages.

    Installs exactly the releases in orbit.lock, byte for byte. An outdated orbit.lock is updated first, unless
    --locked or --frozen is given.
    """
    from orbitpkg.api.project.sync import sync

    if locked and frozen:
        raise click.UsageError("--locked cannot be used with --frozen.")
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
        _report_lock(console, result)
    _report_installed(console, installed)
    facts = _lock_facts(result) if result is not None else {"changes": []}
    return {**facts, **_installed_facts(installed)}


def _report_lock(console: Console, locked: Locked) -> None:
    if not locked.changes:
        console.report(_unchanged(locked))
    else:
        lines = [_change(*change) for change in locked.changes]
        console.report(f"Locked {count(len(locked.lock.packages), 'package')}", *lines)
    for line in locked.warnings:
        console.warn(line)
    for name, apps in locked.unchecked.items():
        console.note(unchecked_note(name, apps))


def _unchanged(locked: Locked) -> str:
    """Describe a lock with the same versions as before."""
    if locked.yanked:
        verb = "is" if locked.yanked == 1 else "are"
        return f"Updated orbit.lock: {count(locked.yanked, 'release')} {verb} now marked as yanked"
    status = "Updated orbit.lock" if locked.is_rewritten else "orbit.lock is up to date"
    return f"{status}: {count(len(locked.lock.packages), 'package')}"


def _change(name: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"+ {name} {new}"
    if new is None:
        return f"- {name} {old}"
    return f"  {name} {old} -> {new}" if old != new else f"  {name} {new}, from a different release"


def _report_installed(console: Console, installed: Installed) -> None:
    for package in installed.new:
        console.report(f"Installed {package.name} {package.version}: {totals(package)}")
    if not installed.new:
        total = len(installed.packages) + len(installed.dependencies)
        console.report(f"All locked packages are installed: {count(total, 'package')}")
    for line in installed.warnings:
        console.warn(line)


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
