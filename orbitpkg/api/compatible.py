"""Installed packages that an app can use: no network, no write; the apps and nothing else are asked about."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING

from orbitpkg.config.apps import read_apps
from orbitpkg.errors import NotInstalled
from orbitpkg.resolver.apps import app_names
from orbitpkg.store.package import installed_versions, not_installed, open_package

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from orbitpkg.model.requirements import Requirement
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package

__all__ = ["find_suiting"]

_log = logging.getLogger(__name__)


def find_suiting(
    layout: Layout,
    requirement: Requirement,
    apps: Sequence[str],
    *,
    python: str | os.PathLike[str] | None = None,
    prereleases: bool = False,
) -> Package:
    """Give the best installed version that a requirement allows and that works with apps.

    Args:
        layout: Of the store.
        requirement: What is asked for.
        apps: ``NAME==VERSION`` or ``NAME`` of each; the package's word on others does not count.
        python: The interpreter beside which versions are looked up; the running one when None.
        prereleases: Whether pre-releases are candidates.

    Raises:
        UsageError: An app cannot be read.
        NotInstalled: There is none; the message says what stands against each that is there.
    """
    held, named = read_apps(apps, python=python), app_names(apps)
    there = installed_versions(layout, requirement.key)
    willing = prereleases or requirement.range.mentions_prerelease
    misfits = []
    for version in reversed(there):
        if not requirement.range.allows(version) or (version.prerelease and not willing):
            continue
        package = open_package(layout, requirement.key, version)
        if package is None:
            continue
        verdict = held.verdict({app: text for app, text in package.compatibility.items() if named(app)})
        if not verdict.excluded:
            if verdict.unchecked:
                unchecked = ", ".join(verdict.unchecked)
                said = f"{package.name} {package.version}"
                _log.warning("Whether %s works with %s was not checked: no version of it is known.", said, unchecked)
            return package
        misfits.append(f"{package.name} {package.version} does not work with {' nor '.join(verdict.excluded)}")
    if not misfits:
        raise not_installed(layout, requirement, there)
    options = " ".join(f"--app {app}" for app in apps)
    raise NotInstalled(
        "\n".join(
            [
                f"No installed version of {requirement.name} fits {requirement} and the app:",
                *(f"  {line}" for line in misfits),
            ]
        ),
        hint=f"orbitpkg install {shlex.quote(str(requirement))} {options}",
        name=requirement.name,
        installed=[str(version) for version in there],
        because=misfits,
    )
