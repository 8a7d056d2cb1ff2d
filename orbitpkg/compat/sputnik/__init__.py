"""Sputnik's API on top of orbitpkg's store and repositories.

::

    import orbitpkg.compat.sputnik as sputnik

    archive = sputnik.build("sample")
    sputnik.install("my_library", "1.0.0", archive.path, data_path="packages")
    package = sputnik.package("my_library", "1.0.0", "my_model", data_path="packages")

The functions have the names and the order of arguments of Sputnik 0.9.3 (MIT licence, 2015-2016 Henning Peters, spaCy
GmbH, ExplosionAI UG). ``docs/sputnik.md`` lists the differences. ``data_path`` is the home folder of a store, by
default orbitpkg's own.
"""

from __future__ import annotations

from orbitpkg.compat.sputnik.api import errors
from orbitpkg.compat.sputnik.api.commands import (
    build,
    files,
    find,
    install,
    package,
    purge,
    remove,
    search,
    update,
    upload,
)
from orbitpkg.compat.sputnik.api.constraints import constraint_match
from orbitpkg.compat.sputnik.api.errors import *  # noqa: F403 - the names are listed there
from orbitpkg.compat.sputnik.api.packages import Archive, DirPackage, Package, PackageStub

__all__ = [
    "Archive",
    "DirPackage",
    "Package",
    "PackageStub",
    "build",
    "constraint_match",
    "files",
    "find",
    "install",
    "package",
    "purge",
    "remove",
    "search",
    "update",
    "upload",
]
__all__ += errors.__all__
