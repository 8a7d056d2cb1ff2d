"""Where settings files are, and whether one is in effect, without parsing TOML.

``orbitpkg install`` of what is installed asks only whether there are any settings, so this module imports nothing slow.
"""

from __future__ import annotations

import os

from orbitpkg.config.home import user_config_file
from orbitpkg.files.reading import foreign_owner, read_bounded
from orbitpkg.files.working import absolute_path, working_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "MAX_SETTINGS_BYTES",
    "PROJECT_NAME",
    "PYPROJECT_NAME",
    "folders_above",
    "has_settings",
    "is_hidden",
    "may_configure",
    "may_forbid",
]

PROJECT_NAME = "orbit.toml"
PYPROJECT_NAME = "pyproject.toml"
# Editing a file of this size takes a few seconds, and the time grows faster than the size.
MAX_SETTINGS_BYTES = 1024 * 1024


def folders_above(start: str | os.PathLike[str] | None = None) -> Iterator[str]:
    """Yield a directory and those above it; none if it is the working directory, which was deleted.

    Args:
        start: The directory; the working directory when None.
    """
    folder = working_folder() if start is None else absolute_path(start)
    while folder is not None:
        yield folder
        above = os.path.dirname(folder)  # noqa: PTH120
        folder = above if above != folder else None


def is_hidden(path: str | os.PathLike[str]) -> bool:
    """Return whether this user may not read a file and it holds no settings for this user.

    That is so if the directory is closed, for any ``pyproject.toml``, of which most have no settings for orbitpkg, and
    for the file of another user.
    """
    try:
        status = os.lstat(path)
    except PermissionError:
        return True
    except OSError:
        return False
    name = os.path.basename(path)  # noqa: PTH119
    return not os.access(path, os.R_OK) and (name == PYPROJECT_NAME or foreign_owner(status) is not None)


def has_settings() -> bool:
    """Return whether a settings file of a project or of the user may be in effect in the working directory."""
    user = user_config_file()
    if user is not None and os.path.lexists(user):
        return True
    return any(
        os.path.lexists(f"{folder}/{PROJECT_NAME}") or _configures(f"{folder}/{PYPROJECT_NAME}")
        for folder in folders_above()
    )


def may_forbid(start: str | None = None) -> bool:
    """Return whether a settings file may forbid file formats. False is certain.

    Args:
        start: A directory of the project; the working directory when None.
    """
    user = user_config_file()
    if user is not None and _mentions_forbid(user):
        return True
    return any(
        _mentions_forbid(f"{folder}/{name}")
        for folder in folders_above(start)
        for name in (PROJECT_NAME, PYPROJECT_NAME)
    )


def _mentions_forbid(path: str) -> bool:
    data = _read(path)
    # With a backslash, letters of a key may be escaped.
    return data is None or b"forbid" in data or b"\\u" in data.lower()


def _configures(path: str) -> bool:
    data = _read(path)
    return data is None or may_configure(data)


def _read(path: str) -> bytes | None:
    """Return the content of a file, empty if there is none; None if reading the settings will report an error."""
    try:
        return read_bounded(path, max_bytes=MAX_SETTINGS_BYTES)
    except (FileNotFoundError, NotADirectoryError):
        return b""
    except PermissionError:
        return b"" if is_hidden(path) else None
    except OSError:
        return None


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
