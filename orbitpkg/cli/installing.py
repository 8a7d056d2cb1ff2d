"""The command ``install``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.facts import Totals, package_facts, totals
from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import app_options, command, repository_options

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.installer.plan import InstallPlan
    from orbitpkg.model.release import Release
    from orbitpkg.store.package import Package

__all__ = ["EXPORTS", "install"]


@command(
    "install",
    "orbitpkg install digits",
    "orbitpkg install 'digits>=1.2,<2' --repository s3://my-bucket/models",
    "orbitpkg install digits==1.0.0 --only 'model/*.safetensors' --app my_library==2.1.0",
)
@click.argument("requirements", metavar="REQ|ARCHIVE...", nargs=-1, required=True)
@repository_options(verb="install from")
@click.option(
    "--only", metavar="GLOB", multiple=True, help="Only files that match, like 'data/**'. May be given again."
)
@app_options
@click.option("--pre", is_flag=True, help="Let pre-releases be chosen.")
@click.option("--dry-run", is_flag=True, help="Say what would be installed, and change nothing.")
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
    """Install packages, with what they depend on.

    Of each package, the newest release that fits. A REQ is a name with an optional range of versions: digits,
    digits==1.0.0, 'digits>=1.2,<2', digits~=1.4.
    """
    from orbitpkg.api.install import install_all, plan_all
    from orbitpkg.cli.memory import tune_heaps

    tune_heaps()

    if dry_run:
        plans = plan_all(
            requirements,
            repository=repository,
            apps=apps,
            python=python,
            only=only,
            offline=offline,
            prereleases=pre,
        )
        return _tell_plans(console, plans)
    result = install_all(
        requirements,
        repository=repository,
        apps=apps,
        python=python,
        only=only,
        offline=offline,
        prereleases=pre,
        reporter=console.reporter(),
    )
    new = {package.digest for package in result.new}
    for package in result.packages:
        said = _said(package, new=package.digest in new)
        console.account(f"{said}: {_amount(package)}", f"orbitpkg path {package.name}=={package.version}")
    for package in result.dependencies:
        console.account(f"{_said(package, new=package.digest in new)}, as a dependency: {_amount(package)}")
    for line in result.warnings:
        console.note(line)
    for name, unchecked in result.unchecked.items():
        console.note(_unchecked(name, unchecked))
    return {
        "packages": [package_facts(package) for package in result.packages],
        "dependencies": [package_facts(package) for package in result.dependencies],
        "new": [f"{package.name}=={package.version}" for package in result.new],
        "warnings": list(result.warnings),
        "unchecked": {name: list(unchecked) for name, unchecked in result.unchecked.items()},
    }


def _said(package: Package, *, new: bool) -> str:
    said = f"{package.name} {package.version}"
    return f"Installed {said}" if new else f"{said} is installed"


def _amount(package: Package) -> str:
    part = "" if package.is_complete else f" (of {count(len(package.contents.files), 'file')})"
    return f"{totals(package)}{part}"


def _unchecked(name: str, apps: Sequence[str]) -> str:
    example = " ".join(f"--app {app}==VERSION" for app in apps)
    return f"Whether {name} works with {', '.join(apps)} was not checked: no version of it is known here ({example})."


def _tell_plans(console: Console, plans: Sequence[tuple[Release, InstallPlan]]) -> Mapping[str, object]:
    for release, plan in plans:
        requests = "1 request" if len(plan.requests) == 1 else f"{len(plan.requests):,} requests"
        reused = f", {size(plan.bytes_reused)} from this disk" if plan.bytes_reused else ""
        console.account(
            f"Would install {release.name} {release.version}",
            f"{Totals(len(plan.files), plan.bytes_to_write)} to write",
            f"{size(plan.bytes_to_fetch)} to fetch in {requests}{reused}",
        )
    if not plans:
        console.account("Everything is installed already.")
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
