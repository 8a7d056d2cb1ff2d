"""The compatibility of packages with the app that the caller names.

Other apps are not checked, and without an app there is no check. Trailing dots and spaces in an app's version, which
PEP 440 does not allow, are ignored, since PyOrbital's README has such a version.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.compat.sputnik.api.errors import InvalidAppNameException, InvalidAppVersionException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.resolver.apps import Apps

__all__ = ["excluded_by", "read_app"]


def read_app(app_name: str | None, app_version: str | None) -> Apps:
    """Parse the app for the resolver.

    Args:
        app_name: The app's name; None for no app.
        app_version: The app's version; None for the installed one, if any.

    Raises:
        InvalidAppNameException: The name is invalid.
        InvalidAppVersionException: The version is invalid.
    """
    from packaging.utils import InvalidName, canonicalize_name
    from packaging.version import InvalidVersion, Version

    from orbitpkg.config.apps import installed_app_version
    from orbitpkg.resolver.apps import Apps

    if app_name is None:
        return Apps({}, lambda _: None)
    try:
        key = str(canonicalize_name(app_name, validate=True))
    except InvalidName as error:
        hint = "Give the name of its distribution, or None to skip the check."
        raise InvalidAppNameException(f"Invalid app name {app_name!r}.", hint=hint) from error
    if app_version is None:
        installed = installed_app_version(app_name)
        return Apps({key: installed} if installed else {}, lambda _: None)
    version = str(app_version).strip().rstrip(".")
    try:
        Version(version)
    except InvalidVersion as error:
        hint = "Give a PEP 440 version like 1.0.0, or None for both name and version to skip the check."
        raise InvalidAppVersionException(f"Invalid version of {app_name}: {app_version!r}.", hint=hint) from error
    return Apps({key: version}, lambda _: None)


def excluded_by(apps: Apps, compatibility: Mapping[str, str]) -> str | None:
    """Return the app and version that exclude a package, to complete a message, or None if it is compatible."""
    return " nor ".join(apps.verdict(compatibility).excluded) or None
