"""Where settings files are, and whether one is in effect, without parsing TOML.

``orbitpkg install`` of what is installed asks only whether there are any settings, so this module imports nothing slow.
"""

from __future__ import annotations

import os

from orbitpkg.config.home import user_config_file

__all__ = ["PROJECT_NAME", "PYPROJECT_NAME", "has_settings", "may_configure", "may_forbid"]

PROJECT_NAME = "orbit.toml"
PYPROJECT_NAME = "pyproject.toml"


def has_settings() -> bool:
    """Return whether a settings file of a project or of the user may be in effect in the working directory."""
    if os.path.lexists(user_config_file()):
        return True
    folder = os.getcwd()  # noqa: PTH109 - pathlib takes longer to import than this function to run
    while True:
        if os.path.lexists(f"{folder}/{PROJECT_NAME}") or _configures(f"{folder}/{PYPROJECT_NAME}"):
            return True
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return False
        folder = above


def may_forbid(start: str | None = None) -> bool:
    """Return whether a settings file may forbid file formats. False is certain.

    Args:
        start: A folder of the project; the working directory when None.
    """
    folder = os.path.abspath(start or ".")  # noqa: PTH100
    paths = [user_config_file()]
    while True:
        paths += [f"{folder}/{PROJECT_NAME}", f"{folder}/{PYPROJECT_NAME}"]
        above = os.path.dirname(folder)  # noqa: PTH120
        if above == folder:
            return any(map(_mentions_forbid, paths))
        folder = above


def _mentions_forbid(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            data = file.read()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # reading the settings reports the error
    return b"forbid" in data or b"\\u" in data.lower()  # escaped letters of a key


def _configures(path: str) -> bool:
    try:
        with open(path, "rb") as file:  # noqa: PTH123
            return may_configure(file.read())
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True  # reading the settings reports the error


def may_configure(pyproject: bytes) -> bool:
    """Return whether a ``pyproject.toml`` may hold a table ``tool.orbitpkg``. False is certain.

    The name appears in many that do not: of projects that depend on orbitpkg, for one. The table is written as
    ``[tool.orbitpkg]`` or as another line with both words, in a table ``[tool]``, or in a key ``tool = {…}``.
    """
    if b"orbitpkg" not in pyproject:
        return False
    if b"\\u" in pyproject.lower():  # escaped letters of a key
        return True
    for line in pyproject.splitlines():
        if b"tool" in line:
            bare = line.translate(None, b" \t\"'")
            if b"orbitpkg" in line or bare.startswith((b"[tool]", b"tool=")):
                return True
    return False
