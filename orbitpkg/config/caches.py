"""The folders of caches in the home directory, which several users may share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.config.repositories import home
from orbitpkg.files.anchors import open_below
from orbitpkg.files.atomic import atomic_write

if TYPE_CHECKING:
    from orbitpkg.files.anchors import Anchor

__all__ = ["open_cache", "write_cache_file"]


def open_cache(folder: Path, *, root: Path | None = None) -> Anchor:
    """Open a folder of a cache, and create it if needed.

    In a home directory that other users can write to, no link that one of them made is followed.

    Args:
        folder: The folder.
        root: The folder of the cache, if the user may have configured one outside of the home directory; ``folder`` by
            default.

    Raises:
        StorageError: One of the folders is a link of another user.
        OSError: A folder cannot be opened or created.
    """
    path, base = Path(os.path.abspath(folder)), Path(os.path.abspath(home()))  # noqa: PTH100 - links are kept
    if not path.is_relative_to(base):
        base = Path(os.path.abspath(root or folder))  # noqa: PTH100
    base.mkdir(parents=True, exist_ok=True)
    return open_below(str(base), *path.relative_to(base).parts, make=True)


def write_cache_file(path: Path, data: bytes, *, root: Path | None = None) -> None:
    """Write a file of a cache, as :func:`open_cache` opens its folder. It need not survive a power cut.

    Raises:
        StorageError: One of the folders is a link of another user.
        OSError: The file cannot be written.
    """
    with open_cache(path.parent, root=root) as folder:
        atomic_write(f"{folder.path}/{path.name}", data, durable=False, follow=False)
