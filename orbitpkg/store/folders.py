"""Opening and creating the folders of a store, unless a newer version of orbitpkg uses it."""

from __future__ import annotations

import logging
import os
import stat
from typing import TYPE_CHECKING

from orbitpkg.errors import StorageError
from orbitpkg.files.anchors import keeps_owners, open_below
from orbitpkg.files.folders import make_private_folder
from orbitpkg.files.reading import foreign_owner
from orbitpkg.store.layout import FORMAT, newer_store

if TYPE_CHECKING:
    from orbitpkg.files.anchors import Anchor
    from orbitpkg.store.layout import Layout

__all__ = ["make_folder", "open_folder"]

_log = logging.getLogger("orbitpkg.store")


def make_folder(layout: Layout, path: str) -> None:
    """Create a folder of a store and its missing parents. Only this user can enter the home folder.

    Raises:
        StorageError: The home folder is a link to nothing, or has a store of a newer format and none of this one, or
            another user put a link in the folder's path.
        OSError: A folder cannot be created.
    """
    open_folder(layout, path, make=True).close()


def open_folder(layout: Layout, path: str, *, make: bool = False) -> Anchor:
    """Open a folder below the home folder, so that no other user of a shared store can redirect its path.

    Args:
        layout: The layout of the store.
        path: The path of the folder.
        make: Whether to create it, as :func:`make_folder` does.

    Raises:
        StorageError: As for :func:`make_folder`.
        OSError: A folder does not exist, or cannot be opened or created.
    """
    if make:
        _make_home(layout)
    parts = path[len(layout.home) + 1 :].split("/")
    return open_below(layout.home, *filter(None, parts), make=make, durable=make)


def _make_home(layout: Layout) -> None:
    if os.path.islink(layout.home) and not os.path.exists(layout.home):  # noqa: PTH110, PTH114
        target = os.path.realpath(layout.home)
        raise StorageError(
            f"{layout.home} is a link to {target}, which does not exist.",
            hint="Mount the disk that it is on, or set ORBITPKG_HOME to another directory.",
            path=layout.home,
        )
    make_private_folder(layout.home)
    _announce_exposure(layout.home)
    if not os.path.isdir(layout.root):  # noqa: PTH112
        _refuse_newer(layout)


_announced: set[str] = set()


def _announce_exposure(home: str) -> None:
    """Warn, once for each process, that users other than those of a shared store can change this one."""
    if home in _announced or os.name == "nt":
        return
    _announced.add(home)
    status = os.stat(home)  # noqa: PTH116
    if status.st_mode & 0o002:
        reason = "Every user of this machine can change the files in"
    elif foreign_owner(status) is not None and not status.st_mode & stat.S_ISGID and keeps_owners(home):
        reason = "Another user owns, and can change the files in"
    else:
        return
    _log.warning(
        "%s %s, the home directory of orbitpkg. To share it with a group: orbitpkg store share. Otherwise set "
        "ORBITPKG_HOME to a directory that you own.",
        reason,
        home,
    )


def _refuse_newer(layout: Layout) -> None:
    newer = newer_store(layout)
    if newer is not None:
        raise StorageError(
            f"{newer} is the store of a newer version of orbitpkg; this version supports format {FORMAT}.",
            hint="To upgrade orbitpkg: pip install -U orbitpkg. Or set ORBITPKG_HOME to another directory.",
            path=newer,
        )
