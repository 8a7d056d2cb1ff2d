"""The apps a caller names, with the versions installed beside an interpreter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.resolver.apps import Apps, parse_app

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["installed_app_version", "read_apps"]


def installed_app_version(name: str) -> str | None:
    """Give the version of an app beside the running interpreter; None when it is not installed there."""
    import platform
    from importlib import metadata

    if name == "python":
        return platform.python_version()
    try:
        # What was half removed has no version.
        return metadata.version(name) or None
    except (metadata.PackageNotFoundError, KeyError, ValueError):
        return None


def read_apps(texts: Iterable[str], *, python: str | os.PathLike[str] | None = None) -> Apps:
    """Make the apps of what a caller says.

    Args:
        texts: ``NAME==VERSION`` each, or ``NAME``: then the version is looked up.
        python: The interpreter beside which versions are looked up; the running one when None.

    Raises:
        UsageError: A text cannot be read, or the interpreter cannot be asked.
    """
    said = {name: version for name, version in map(parse_app, texts) if version is not None}
    if python is None:
        return Apps(said, installed_app_version)
    from packaging.utils import canonicalize_name

    from orbitpkg.config.interpreters import installed_in

    there = installed_in(python)
    return Apps(said, lambda name: there.get(canonicalize_name(name)))
