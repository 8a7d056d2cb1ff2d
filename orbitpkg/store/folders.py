"""Creating the folders of a store, unless a newer version of orbitpkg uses it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orbitpkg.errors import StorageError
from orbitpkg.files.folders import make_folders, make_private_folder
from orbitpkg.store.layout import FORMAT, newer_store

if TYPE_CHECKING:
    from orbitpkg.store.layout import Layout

__all__ = ["make_folder"]


def make_folder(layout: Layout, path: str) -> None:
    """Create a folder of a store and its missing parents. Only this user can enter the home folder.

    Raises:
        StorageError: The home folder has a store of a newer format and none of this one.
        OSError: A folder cannot be created.
    """
    make_private_folder(layout.home)
    if not os.path.isdir(layout.root):  # noqa: PTH112
        _refuse_newer(layout)
    make_folders(path, durable=True)


def _refuse_newer(layout: Layout) -> None:
    newer = newer_store(layout)
    if newer is not None:
        raise StorageError(
            f"{newer} is the store of a newer version of orbitpkg; this version supports format {FORMAT}.",
            hint="Upgrade orbitpkg: pip install -U orbitpkg. Or set ORBITPKG_HOME to another folder.",
            path=newer,
        )
