"""A package manager for versioned models and data. A repository is a bucket or a directory; there is no server.

::

    import orbitpkg

    model = orbitpkg.package("digits")
    weights = model.file_path("model", "weights.safetensors")

Installed packages need no network. Each name is imported when it is first used.
"""

from __future__ import annotations

from orbitpkg.lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg._version import __version__ as __version__
    from orbitpkg.api.install import install as install
    from orbitpkg.api.packages import Removed as Removed
    from orbitpkg.api.packages import package as package
    from orbitpkg.api.packages import packages as packages
    from orbitpkg.api.packages import remove as remove
    from orbitpkg.api.project.packages import project as project
    from orbitpkg.api.publish import build as build
    from orbitpkg.api.publish import publish as publish
    from orbitpkg.datasets.dataset import Dataset as Dataset
    from orbitpkg.datasets.dataset import Selection as Selection
    from orbitpkg.datasets.dataset import create_dataset as create_dataset
    from orbitpkg.datasets.dataset import dataset as dataset
    from orbitpkg.datasets.dataset import list_datasets as list_datasets
    from orbitpkg.datasets.freezing import Frozen as Frozen
    from orbitpkg.datasets.freezing import frozen as frozen
    from orbitpkg.errors import FileNotInPackage as FileNotInPackage
    from orbitpkg.errors import IntegrityError as IntegrityError
    from orbitpkg.errors import ManifestError as ManifestError
    from orbitpkg.errors import NotInstalled as NotInstalled
    from orbitpkg.errors import OrbitError as OrbitError
    from orbitpkg.errors import RepositoryError as RepositoryError
    from orbitpkg.errors import ResolutionError as ResolutionError
    from orbitpkg.errors import StorageError as StorageError
    from orbitpkg.errors import UsageError as UsageError
    from orbitpkg.publisher.publish import Published as Published
    from orbitpkg.reporting import Reporter as Reporter
    from orbitpkg.store.package import Package as Package
    from orbitpkg.store.project import Project as Project
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orbitpkg._version": ("__version__",),
            "orbitpkg.api.install": ("install",),
            "orbitpkg.api.packages": ("Removed", "package", "packages", "remove"),
            "orbitpkg.api.project.packages": ("project",),
            "orbitpkg.api.publish": ("build", "publish"),
            "orbitpkg.datasets.dataset": ("Dataset", "Selection", "create_dataset", "dataset", "list_datasets"),
            "orbitpkg.datasets.freezing": ("Frozen", "frozen"),
            "orbitpkg.errors": (
                "FileNotInPackage",
                "IntegrityError",
                "ManifestError",
                "NotInstalled",
                "OrbitError",
                "RepositoryError",
                "ResolutionError",
                "StorageError",
                "UsageError",
            ),
            "orbitpkg.publisher.publish": ("Published",),
            "orbitpkg.reporting": ("Reporter",),
            "orbitpkg.store.package": ("Package",),
            "orbitpkg.store.project": ("Project",),
        },
    )
