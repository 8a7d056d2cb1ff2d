"""The locked packages of a project, for its app: neither the project's file nor a network is needed."""

from __future__ import annotations

from orbitpkg.config.home import home_folder
from orbitpkg.store.layout import Layout
from orbitpkg.store.project import Project, open_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

__all__ = ["project"]


def project(path: str | os.PathLike[str] | None = None) -> Project:
    """Give the locked packages of a project. Works offline, and in a store that may only be read.

    Args:
        path: A folder of the project; the working directory when None. The lockfile is there or above.

    Raises:
        LockfileError: There is no lockfile, or it cannot be used.
    """
    return open_project(Layout(home_folder()), path)
