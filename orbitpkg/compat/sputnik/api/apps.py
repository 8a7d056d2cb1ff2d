"""The app that asks, held against what packages say they work with.

Only the app that the caller names counts; a caller who names none asks for no check. Dots and spaces at the end of an
app's version, which PEP 440 knows nothing of, are passed over: the README of PyOrbital writes one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.compat.sputnik.api.errors import InvalidAppNameException, InvalidAppVersionException

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.resolver.apps import Apps

__all__ = ["excluded_by", "read_app"]


def read_app(app_name: str | None, app_version: str | None) -> Apps:
    """Give the app as the resolver holds releases against it; of other apps it knows nothing.

    Args:
        app_name: None is no app.
        app_version: None is the version that is installed beside the interpreter, if it is.

    Raises:
        InvalidAppNameException: The name is none.
        InvalidAppVersionException: The version is none.
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
        hint = "Give its distribution's name, or None to check nothing."
        raise InvalidAppNameException(f"{app_name!r} is not the name of an app.", hint=hint) from error
    said = app_version if app_version is None else str(app_version).strip().rstrip(".")
    if said is None:
        said = installed_app_version(app_name)
        return Apps({key: said} if said else {}, lambda _: None)
    try:
        Version(said)
    except InvalidVersion as error:
        hint = "Give it like 1.0.0 (PEP 440), or None for both name and version to check nothing."
        raise InvalidAppVersionException(f"{app_version!r} is not a version of {app_name}.", hint=hint) from error
    return Apps({key: said}, lambda _: None)


def excluded_by(apps: Apps, compatibility: Mapping[str, str]) -> str | None:
    """Say which app keeps a package out, as the end of a sentence; None when none does."""
    return " nor ".join(apps.verdict(compatibility).excluded) or None
