"""The locked packages of a project, for its app. Needs no network."""

from __future__ import annotations

from orbitpkg.api.boundary import public
from orbitpkg.config.home import home_folder
from orbitpkg.store.layout import Layout
from orbitpkg.store.project import Project, open_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from pathlib import Path

    from orbitpkg.store.package import Package

__all__ = ["project"]


@public
def project(path: str | os.PathLike[str] | None = None) -> Project:
    """Open the locked packages of a project. Works offline and with a read-only store.

    Args:
        path: A directory of the project; the working directory when None. The lockfile is in it or above it.

    Raises:
        LockfileError: There is no lockfile, or it is invalid.
    """
    return open_project(Layout(home_folder()), path, check=_check, check_owner=_check_owner)


def _check_owner(path: Path, owner: int) -> None:
    from orbitpkg.config.settings import check_lock_owner

    check_lock_owner(path, owner)


def _check(package: Package, folder: Path) -> None:
    from orbitpkg.api.policy import check_package, read_policy

    check_package(package, read_policy(project=folder))
