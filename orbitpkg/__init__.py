"""A package manager for versioned models and data, with nothing but a bucket behind it.

::

    import orbitpkg

    model = orbitpkg.package("digits")
    weights = model.file_path("model", "weights.safetensors")

An installed package is used without a network. Everything here is loaded when it is first asked for.
"""

from __future__ import annotations

from orbitpkg._version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg.api import build, install, package, packages, publish, remove
    from orbitpkg.errors import (
        FileNotInPackage,
        IntegrityError,
        ManifestError,
        NotInstalled,
        OrbitError,
        RepositoryError,
        ResolutionError,
        StorageError,
        UsageError,
    )
    from orbitpkg.store.package import Package

__all__ = [
    "FileNotInPackage",
    "IntegrityError",
    "ManifestError",
    "NotInstalled",
    "OrbitError",
    "Package",
    "RepositoryError",
    "ResolutionError",
    "StorageError",
    "UsageError",
    "__version__",
    "build",
    "install",
    "package",
    "packages",
    "publish",
    "remove",
]

_FUNCTIONS = frozenset({"build", "install", "package", "packages", "publish", "remove"})


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module 'orbitpkg' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    if name in _FUNCTIONS:
        room = "orbitpkg.api"
    else:
        room = "orbitpkg.store.package" if name == "Package" else "orbitpkg.errors"
    value = getattr(import_module(room), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
