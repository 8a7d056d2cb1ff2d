"""Paths that begin with a tilde."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["expanded"]


def expanded(path: str | os.PathLike[str]) -> Path:
    """Put the home folder in a tilde's place.

    As a shell does, and unlike ``Path.expanduser``, this leaves the tilde of a user nobody knows, and of one without a
    home (a container's user may have none), as it is.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - see above
