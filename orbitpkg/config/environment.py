"""The environment variables that orbitpkg reads, and the functions that read them.

Other packages read the environment through this module. There are three exceptions: ``objects`` reads credentials and
proxies, ``store`` reads the lock timeout, and ``cli`` reads what terminals and shells set. A variable is read at each
call, so a program may change it while it runs. An empty variable counts as unset.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["VARIABLES", "environment", "is_set", "read_variable"]

VARIABLES: Mapping[str, str] = {
    "ORBITPKG_HOME": "the home directory, which holds the store, the caches and the default repository",
    "ORBITPKG_REPOSITORY": "the repository to use when a command or a call names none",
    "ORBITPKG_CONFIG": "the path of the user's configuration file",
    "ORBITPKG_TRUSTED_FOLDERS": "directories in which settings and lockfiles of other users count",
    "ORBITPKG_TRUSTED_ADDRESSES": "addresses that may be read even if others wrote them into a catalogue or a release",
    "ORBITPKG_REMOTE_CACHE": "the directory that caches remote files",
    "ORBITPKG_REMOTE_FILE_MODE": "the permissions of cached remote files, in octal digits",
    "ORBITPKG_OFFLINE": "whether to use no network",
    "ORBITPKG_FORBID": "file formats that may not be installed",
    "ORBITPKG_LOCK_TIMEOUT": "how many seconds to wait for another process that installs the same release",
    "ORBITPKG_MIN_SPEED": "the minimum speed of a server, in bytes per second",
    "ORBITPKG_DEBUG": "whether whole tracebacks are shown: of bugs, and of errors in Python programs",
}
"""Every variable of orbitpkg's own, and what it sets."""

_FALSE = {"0", "false", "no"}


def read_variable(name: str) -> str | None:
    """Return the value of a variable, or None when it is unset or empty."""
    return os.environ.get(name) or None


def is_set(name: str) -> bool:
    """Return whether a variable switches something on: any value except ``0``, ``false`` and ``no``."""
    value = read_variable(name)
    return value is not None and value.lower() not in _FALSE


def environment() -> Mapping[str, str]:
    """Return the environment of this process, from which object stores take their credentials."""
    return os.environ
