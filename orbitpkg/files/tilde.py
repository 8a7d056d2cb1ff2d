"""Paths that begin with a tilde."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["expand_home"]


def expand_home(path: str | os.PathLike[str]) -> Path:
    """Replace a leading tilde with the home folder, as a shell does.

    Unlike ``Path.expanduser``, this leaves the tilde in place if the user is unknown or has no home folder, as the user
    of a container may not have one.
    """
    return Path(os.path.expanduser(path))  # noqa: PTH111 - see above
