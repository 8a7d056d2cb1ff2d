"""The policy in effect: what the environment, the project and the user allow to be installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.config.formats import forbidden_formats
from orbitpkg.installer.policy import Candidate, Policy

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.resolver.apps import Apps
    from orbitpkg.store.package import Package

__all__ = ["check_package", "read_policy"]


def read_policy(apps: Apps | None = None, *, project: Path | None = None) -> Policy:
    """Read the policy in effect.

    Args:
        apps: The apps that will use what is installed; None to ignore compatibility with apps.
        project: A directory of the project whose settings apply; the working directory when None.

    Raises:
        UsageError: ``ORBITPKG_FORBID`` is invalid.
        ProjectError: A settings file is invalid.
    """
    return Policy(forbidden=forbidden_formats(project), apps=apps)


def check_package(package: Package, policy: Policy | None = None) -> Package:
    """Return an installed package if the policy allows it.

    Args:
        package: The package.
        policy: The policy; the one in effect when None.

    Raises:
        OrbitError: The policy refuses the package.
    """
    (policy or read_policy()).check(Candidate.of_package(package))
    return package
