"""The command ``install``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.facts import Totals, package_facts, totals
from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import app_options, command, dry_run_option, pre_option, repository_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orbitpkg.api.install import Installed
    from orbitpkg.cli.console import Console
    from orbitpkg.installer.plan import InstallPlan
    from orbitpkg.model.release import Release
    from orbitpkg.store.package import Package

__all__ = ["EXPORTS", "install", "unchecked_note"]


@command(
    "install",
    "orbitpkg install digits",
    "orbitpkg install 'digits>=1.2,<2' --repository s3://my-bucket/models",
    "orbitpkg install digits==1.0.0 --only 'model/*.safetensors' --app my_library==2.1.0",
)
@click.argument("requirements", metavar="REQ|ARCHIVE...", nargs=-1, required=True)
@repository_options(verb="install from")
@click.option(
    "--only", metavar="GLOB", multiple=True, help="Install only matching files, like 'data/**'. Can be repeated."
)
@app_options
@pre_option
@dry_run_option
def install(
    console: Console,
    requirements: tuple[str, ...],
    repository: str | None,
    *,
    offline: bool,
    only: tuple[str, ...],
    apps: tuple[str, ...],
    python: str | None,
    pre: bool,
    dry_run: bool,
) -> Mapping[str, object]:
    """Install packages and their dependencies.

    Installs the newest compatible release of each package. REQ is a name with an optional version range: digits,
    digits==1.0.0, 'digits>=1.2,<2' or digits~=1.4.
    """
    from orbitpkg.api.install import install_all, plan_all
    from orbitpkg.api.options import InstallOptions
    from orbitpkg.cli.process import tune_heaps

    tune_heaps()
    options = InstallOptions(
        repository=repository,
        apps=apps,
        python=python,
        only=only,
        offline=offline,
        prereleases=pre,
        reporter=console.reporter(),
    )
    if dry_run:
        return _report_plans(console, plan_all(requirements, options))
    result = install_all(requirements, options)
    _report_installed(console, result)
    return {
        "packages": [package_facts(package) for package in result.packages],
        "dependencies": [package_facts(package) for package in result.dependencies],
        "new": [f"{package.name}=={package.version}" for package in result.new],
        "warnings": list(result.warnings),
        "unchecked": {name: list(unchecked) for name, unchecked in result.unchecked.items()},
    }


def _report_installed(console: Console, result: Installed) -> None:
    new = {package.digest for package in result.new}
    for package in result.packages:
        status = _status(package, new=package.digest in new)
        console.report(f"{status}: {_amount(package)}", f"orbitpkg path {package.name}=={package.version}")
    for package in result.dependencies:
        console.report(f"{_status(package, new=package.digest in new)}, as a dependency: {_amount(package)}")
    for line in result.warnings:
        console.warn(line)
    for name, apps in result.unchecked.items():
        console.note(unchecked_note(name, apps))


def _status(package: Package, *, new: bool) -> str:
    label = f"{package.name} {package.version}"
    return f"Installed {label}" if new else f"{label} is already installed"


def _amount(package: Package) -> str:
    part = "" if package.is_complete else f" (of {count(len(package.contents.files), 'file')})"
    return f"{totals(package)}{part}"


def unchecked_note(name: str, apps: Sequence[str]) -> str:
    """Return the note about apps whose compatibility with a package was not checked."""
    options = " ".join(f"--app {app}==VERSION" for app in apps)
    reason = "its version is unknown" if len(apps) == 1 else "their versions are unknown"
    return f"Did not check whether {name} works with {', '.join(apps)}: {reason}. To check, pass {options}."


def _report_plans(console: Console, plans: Sequence[tuple[Release, InstallPlan]]) -> Mapping[str, object]:
    for release, plan in plans:
        requests = "1 request" if len(plan.requests) == 1 else f"{len(plan.requests):,} requests"
        reused = f", {size(plan.bytes_reused)} reused from this machine" if plan.bytes_reused else ""
        console.report(
            f"Would install {release.name} {release.version}",
            f"{Totals(len(plan.files), plan.bytes_to_write)} to write",
            f"{size(plan.bytes_to_fetch)} to download in {requests}{reused}",
        )
    if not plans:
        console.report("Everything is already installed.")
    return {"plan": [_plan_facts(release, plan) for release, plan in plans]}


def _plan_facts(release: Release, plan: InstallPlan) -> dict[str, object]:
    return {
        "name": release.name,
        "version": str(release.version),
        "files": len(plan.files),
        "bytes": plan.bytes_to_write,
        "bytes_to_fetch": plan.bytes_to_fetch,
        "bytes_reused": plan.bytes_reused,
        "requests": len(plan.requests),
    }


EXPORTS = {"install": install}
