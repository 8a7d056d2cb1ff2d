"""The two folders of a user: the one for data, which holds the store, and the one for configuration.

An app that starts imports this module, so it avoids ``pathlib`` and, on Linux, ``platformdirs``, which together take
longer to import than everything else on that path.
"""

from __future__ import annotations

import os
import sys

from orbitpkg.config.environment import read_variable

__all__ = ["home_folder", "user_config_file"]

_NAME = "orbitpkg"


def home_folder() -> str:
    """Return the home folder: ``ORBITPKG_HOME``, or else the platform's folder for a user's data."""
    configured = read_variable("ORBITPKG_HOME")
    if configured is not None:
        return os.path.abspath(os.path.expanduser(configured))  # noqa: PTH100, PTH111 - see the module
    folder = _xdg_folder("XDG_DATA_HOME", ".local/share")
    if folder is not None:
        return folder
    from platformdirs import user_data_dir

    return user_data_dir(_NAME, appauthor=False)


def user_config_file() -> str:
    """Return the file of the user's configuration: ``ORBITPKG_CONFIG``, or else one in the platform's folder for it."""
    configured = read_variable("ORBITPKG_CONFIG")
    if configured is not None:
        return os.path.abspath(os.path.expanduser(configured))  # noqa: PTH100, PTH111 - see the module
    folder = _xdg_folder("XDG_CONFIG_HOME", ".config")
    if folder is None:
        from platformdirs import user_config_dir

        folder = user_config_dir(_NAME, appauthor=False)
    return f"{folder}/config.toml"


def _xdg_folder(variable: str, default: str) -> str | None:
    """Return orbitpkg's folder by the XDG Base Directory Specification; None where platformdirs has to decide.

    That is so on systems other than Linux (Android counts as one), and where the versions of platformdirs differ:
    without an absolute home folder, and with a relative path in the variable.
    """
    if sys.platform != "linux" or "ANDROID_DATA" in os.environ:
        return None
    base = os.environ.get(variable, "")
    if not base.strip():
        base = f"{os.environ.get('HOME', '').rstrip('/')}/{default}"
        if "HOME" not in os.environ:
            return None
    return f"{base.rstrip('/')}/{_NAME}" if base.startswith("/") else None
