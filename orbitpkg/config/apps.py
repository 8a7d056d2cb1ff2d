"""The apps that a caller names, and their versions as installed for a Python interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.resolver.apps import Apps, parse_app

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["installed_app_version", "read_apps"]


def installed_app_version(name: str) -> str | None:
    """Return the version of an app installed for the running interpreter, or None when it is not installed."""
    import platform
    from importlib import metadata

    if name == "python":
        return platform.python_version()
    try:
        # A distribution that was removed halfway has no version.
        return metadata.version(name) or None
    except (metadata.PackageNotFoundError, KeyError, ValueError):
        return None


def read_apps(texts: Iterable[str], *, python: str | os.PathLike[str] | None = None) -> Apps:
    """Parse the apps that a caller names.

    Args:
        texts: Each is ``NAME==VERSION`` or ``NAME``. The version of a bare ``NAME`` is looked up.
        python: The interpreter whose distributions are looked up; the running one when None.

    Raises:
        UsageError: A text is invalid, or the interpreter did not respond.
    """
    given = {name: version for name, version in map(parse_app, texts) if version is not None}
    if python is None:
        return Apps(given, installed_app_version)
    from packaging.utils import canonicalize_name

    from orbitpkg.config.interpreters import installed_in

    installed = installed_in(python)
    return Apps(given, lambda name: installed.get(canonicalize_name(name)))
