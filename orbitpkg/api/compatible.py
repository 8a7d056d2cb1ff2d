"""Finding an installed package that works with an app. Reads the store only: no network and no writes."""

from __future__ import annotations

import logging
import shlex
from typing import TYPE_CHECKING

from orbitpkg.config.apps import read_apps
from orbitpkg.errors import NotInstalled
from orbitpkg.model.requirements import find_newest
from orbitpkg.resolver.apps import app_names
from orbitpkg.store.package import installed_versions, not_installed, open_package

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package

__all__ = ["find_compatible"]

_log = logging.getLogger(__name__)


def find_compatible(
    layout: Layout,
    requirement: Requirement,
    apps: Sequence[str],
    *,
    python: str | os.PathLike[str] | None = None,
    prereleases: bool = False,
) -> Package:
    """Return the newest installed version that meets a requirement and works with the apps.

    Args:
        layout: The layout of the store.
        requirement: The requirement.
        apps: ``NAME==VERSION`` or ``NAME`` of each app. A package's compatibility with other apps is ignored.
        python: The interpreter whose installed apps are looked up; the running interpreter when None.
        prereleases: Whether pre-releases are candidates.

    Raises:
        UsageError: An app is invalid.
        NotInstalled: No installed version qualifies; the message says why each is excluded.
    """
    known, is_named = read_apps(apps, python=python), app_names(apps)
    installed = installed_versions(layout, requirement.key)
    found: list[Package] = []
    reasons: list[str] = []

    def works(version: Version) -> bool:
        package = open_package(layout, requirement.key, version)
        if package is None:
            return False
        verdict = known.verdict({app: text for app, text in package.compatibility.items() if is_named(app)})
        if verdict.excluded:
            excluded = " or ".join(verdict.excluded)
            reasons.append(f"{package.name} {package.version} does not work with {excluded}")
            return False
        if verdict.unchecked:
            label, unchecked = f"{package.name} {package.version}", ", ".join(verdict.unchecked)
            _log.warning("Compatibility of %s was not checked with %s: the version is unknown.", label, unchecked)
        found.append(package)
        return True

    if find_newest(installed, [requirement.range], prereleases=prereleases, accept=works) is not None:
        return found[0]
    if not reasons:
        raise not_installed(layout, requirement, installed)
    options = " ".join(f"--app {app}" for app in apps)
    lines = "\n".join(f"  {line}" for line in reasons)
    raise NotInstalled(
        f"No installed version of {requirement.name} meets {requirement} and works with the app:\n{lines}",
        hint=f"To install it: orbitpkg install {shlex.quote(str(requirement))} {options}",
        name=requirement.name,
        installed=[str(version) for version in installed],
        because=reasons,
    )
