"""What orbitpkg does for a project: the use cases around ``orbit.toml`` and ``orbit.lock``.

The project is that of the working directory: the nearest file with orbitpkg's settings, there or above. Its lockfile
is beside that file. An app that uses a project needs neither the file nor a network: :func:`project`.

Everything here is loaded when it is first asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg.projects.locking import Locked, lock
    from orbitpkg.projects.looking import Branch, Outdated, dependency_tree, diff, outdated
    from orbitpkg.projects.naming import add_repository, remove_repository
    from orbitpkg.projects.syncing import add, sync
    from orbitpkg.projects.using import project

__all__ = [
    "Branch",
    "Locked",
    "Outdated",
    "add",
    "add_repository",
    "dependency_tree",
    "diff",
    "lock",
    "outdated",
    "project",
    "remove_repository",
    "sync",
]

# Where each name is.
_ROOMS = {
    "Branch": "orbitpkg.projects.looking",
    "Locked": "orbitpkg.projects.locking",
    "Outdated": "orbitpkg.projects.looking",
    "add": "orbitpkg.projects.syncing",
    "add_repository": "orbitpkg.projects.naming",
    "dependency_tree": "orbitpkg.projects.looking",
    "diff": "orbitpkg.projects.looking",
    "lock": "orbitpkg.projects.locking",
    "outdated": "orbitpkg.projects.looking",
    "project": "orbitpkg.projects.using",
    "remove_repository": "orbitpkg.projects.naming",
    "sync": "orbitpkg.projects.syncing",
}


def __getattr__(name: str) -> object:
    room = _ROOMS.get(name)
    if room is None:
        msg = f"module 'orbitpkg.projects' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
