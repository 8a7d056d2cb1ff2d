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
    from orbitpkg.api.install import install
    from orbitpkg.api.packages import Removed, package, packages, remove
    from orbitpkg.api.project.packages import project
    from orbitpkg.api.publish import build, publish
    from orbitpkg.datasets.dataset import Dataset, create_dataset, dataset, list_datasets
    from orbitpkg.datasets.freezing import Frozen, frozen
    from orbitpkg.datasets.selection import Selection
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
    from orbitpkg.publisher.publish import Published
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.package import Package
    from orbitpkg.store.project import Project

__all__ = [
    "Dataset",
    "FileNotInPackage",
    "Frozen",
    "IntegrityError",
    "ManifestError",
    "NotInstalled",
    "OrbitError",
    "Package",
    "Project",
    "Published",
    "Removed",
    "Reporter",
    "RepositoryError",
    "ResolutionError",
    "Selection",
    "StorageError",
    "UsageError",
    "__version__",
    "build",
    "create_dataset",
    "dataset",
    "frozen",
    "install",
    "list_datasets",
    "package",
    "packages",
    "project",
    "publish",
    "remove",
]

# Where each name is, but for the errors.
_ROOMS = {
    "Dataset": "orbitpkg.datasets.dataset",
    "Frozen": "orbitpkg.datasets.freezing",
    "Package": "orbitpkg.store.package",
    "Project": "orbitpkg.store.project",
    "Published": "orbitpkg.publisher.publish",
    "Removed": "orbitpkg.api.packages",
    "Reporter": "orbitpkg.reporting",
    "Selection": "orbitpkg.datasets.selection",
    "build": "orbitpkg.api.publish",
    "create_dataset": "orbitpkg.datasets.dataset",
    "dataset": "orbitpkg.datasets.dataset",
    "frozen": "orbitpkg.datasets.freezing",
    "install": "orbitpkg.api.install",
    "list_datasets": "orbitpkg.datasets.dataset",
    "package": "orbitpkg.api.packages",
    "packages": "orbitpkg.api.packages",
    "project": "orbitpkg.api.project.packages",
    "publish": "orbitpkg.api.publish",
    "remove": "orbitpkg.api.packages",
}


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module 'orbitpkg' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(_ROOMS.get(name, "orbitpkg.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
