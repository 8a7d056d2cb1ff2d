"""The free space of a disk."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import os

__all__ = ["free_bytes"]


def free_bytes(folder: str | os.PathLike[str]) -> int | None:
    """Return the number of bytes that this user can still write where a folder is, or None if that is unknown.

    Some network and FUSE file systems report 0 bytes at all times, and some sandboxes refuse the question. A disk that
    is really full says so when something is written to it.
    """
    try:
        return shutil.disk_usage(folder).free or None
    except OSError:
        return None
