"""What orbitpkg does, as functions: the command line and ``import orbitpkg`` both offer these.

One module for each kind of use; what is in them is found here, and loaded when it is first asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg.api.installing import (
        Installed,
        install,
        install_all,
        install_releases,
        installed_of,
        plan_all,
        warnings_of,
    )
    from orbitpkg.api.keeping import collect_repository, doctor, init_repository, mark, reindex
    from orbitpkg.api.looking import Found, home_of, located, released, search, versions
    from orbitpkg.api.making import build, check_manifest, init, is_archive, publish
    from orbitpkg.api.places import (
        default_repository,
        home,
        is_offline,
        open_places,
        open_repository,
        repository_url,
        settings,
    )
    from orbitpkg.api.using import Removed, package, packages, remove, verify

__all__ = [
    "Found",
    "Installed",
    "Removed",
    "build",
    "check_manifest",
    "collect_repository",
    "default_repository",
    "doctor",
    "home",
    "home_of",
    "init",
    "init_repository",
    "install",
    "install_all",
    "install_releases",
    "installed_of",
    "is_archive",
    "is_offline",
    "located",
    "mark",
    "open_places",
    "open_repository",
    "package",
    "packages",
    "plan_all",
    "publish",
    "reindex",
    "released",
    "remove",
    "repository_url",
    "search",
    "settings",
    "verify",
    "versions",
    "warnings_of",
]

# Where each name is.
_ROOMS = {
    "Found": "orbitpkg.api.looking",
    "Installed": "orbitpkg.api.installing",
    "Removed": "orbitpkg.api.using",
    "build": "orbitpkg.api.making",
    "check_manifest": "orbitpkg.api.making",
    "collect_repository": "orbitpkg.api.keeping",
    "default_repository": "orbitpkg.api.places",
    "doctor": "orbitpkg.api.keeping",
    "home": "orbitpkg.api.places",
    "home_of": "orbitpkg.api.looking",
    "init": "orbitpkg.api.making",
    "init_repository": "orbitpkg.api.keeping",
    "install": "orbitpkg.api.installing",
    "install_all": "orbitpkg.api.installing",
    "install_releases": "orbitpkg.api.installing",
    "installed_of": "orbitpkg.api.installing",
    "is_archive": "orbitpkg.api.making",
    "is_offline": "orbitpkg.api.places",
    "located": "orbitpkg.api.looking",
    "mark": "orbitpkg.api.keeping",
    "open_places": "orbitpkg.api.places",
    "open_repository": "orbitpkg.api.places",
    "package": "orbitpkg.api.using",
    "packages": "orbitpkg.api.using",
    "plan_all": "orbitpkg.api.installing",
    "publish": "orbitpkg.api.making",
    "reindex": "orbitpkg.api.keeping",
    "released": "orbitpkg.api.looking",
    "remove": "orbitpkg.api.using",
    "repository_url": "orbitpkg.api.places",
    "search": "orbitpkg.api.looking",
    "settings": "orbitpkg.api.places",
    "verify": "orbitpkg.api.using",
    "versions": "orbitpkg.api.looking",
    "warnings_of": "orbitpkg.api.installing",
}


def __getattr__(name: str) -> object:
    room = _ROOMS.get(name)
    if room is None:
        msg = f"module 'orbitpkg.api' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
