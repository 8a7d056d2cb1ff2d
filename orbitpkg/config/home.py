"""The two folders of a user: the one for data, which holds the store, and the one for configuration.

An app that starts imports this module, so it avoids ``pathlib`` and, on Linux, ``platformdirs``, which together take
longer to import than everything else on that path.
"""

from __future__ import annotations

import os
import sys

from orbitpkg.config.environment import read_variable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg.errors import StorageError

__all__ = ["home_folder", "user_config_file"]

_NAME = "orbitpkg"


def home_folder() -> str:
    """Return the home directory: ``ORBITPKG_HOME``, or else the platform's directory for a user's data.

    Raises:
        StorageError: ``ORBITPKG_HOME`` is unset and the user has no home directory, as in some containers.
    """
    configured = read_variable("ORBITPKG_HOME")
    if configured is not None:
        return _configured(configured, "ORBITPKG_HOME")
    folder = _xdg_folder("XDG_DATA_HOME", ".local/share")
    if folder is not None:
        return folder
    from platformdirs import user_data_dir

    try:
        return _absolute(user_data_dir(_NAME, appauthor=False))
    except (RuntimeError, KeyError) as error:
        raise _homeless() from error


def user_config_file() -> str | None:
    """Return the file of the user's configuration: ``ORBITPKG_CONFIG``, or else one in the platform's directory for it.

    Returns:
        The path; None if ``ORBITPKG_CONFIG`` is unset and the user has no home directory.
    """
    configured = read_variable("ORBITPKG_CONFIG")
    if configured is not None:
        return _configured(configured, "ORBITPKG_CONFIG")
    folder = _xdg_folder("XDG_CONFIG_HOME", ".config")
    if folder is None:
        from platformdirs import user_config_dir

        try:
            folder = _absolute(user_config_dir(_NAME, appauthor=False))
        except (RuntimeError, KeyError):
            return None
    return f"{folder}/config.toml"


def _configured(path: str, variable: str) -> str:
    expanded = os.path.expanduser(path)  # noqa: PTH111 - see the module
    if os.path.isabs(expanded):  # noqa: PTH117
        return os.path.normpath(expanded)
    if expanded.startswith("~"):
        from orbitpkg.errors import StorageError

        raise StorageError(
            f"{variable} is {path}, and this user has no home directory.",
            hint=f"Set {variable} to an absolute path.",
        )
    from orbitpkg.files.working import absolute_path

    return absolute_path(expanded)


def _absolute(path: str) -> str:
    # platformdirs leaves the tilde in place if the user has no home directory.
    if not os.path.isabs(path):  # noqa: PTH117
        raise RuntimeError(path)
    return path


def _homeless() -> StorageError:
    from orbitpkg.errors import StorageError

    return StorageError(
        "This user has no home directory, so orbitpkg has no place for packages.",
        hint="Set ORBITPKG_HOME to a directory that this user can write to.",
    )


def _xdg_folder(variable: str, default: str) -> str | None:
    """Return orbitpkg's directory by the XDG Base Directory Specification; None where platformdirs has to decide.

    That is so on systems other than Linux (Android counts as one), and where the versions of platformdirs differ:
    without an absolute home directory, and with a relative path in the variable.
    """
    if sys.platform != "linux" or "ANDROID_DATA" in os.environ:
        return None
    base = os.environ.get(variable, "")
    if not base.strip():
        if not os.environ.get("HOME"):
            return None
        base = f"{os.environ['HOME'].rstrip('/')}/{default}"
    return f"{base.rstrip('/')}/{_NAME}" if base.startswith("/") else None
