"""Folders for one tool in one repetition, whose removal costs nobody who comes after.

ext4 does not give out again an inode that was deleted in the last minutes; it looks at each such one whenever a file is
made. Deleting ten thousand files thus makes every later step slower by tenths of a second, whatever tool it measures.
So a folder that is done with is only emptied, and all are deleted when everything was measured.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["clear_workplaces", "workplace"]

_NAME = "work"
_SMALL_BYTES = 1 << 16


@contextmanager
def workplace(folder: Path) -> Iterator[Path]:
    """Make a folder below another, and give the space of its large files back at the end."""
    parent = folder / _NAME
    parent.mkdir(parents=True, exist_ok=True)
    place = Path(tempfile.mkdtemp(dir=parent))
    try:
        yield place
    finally:
        for path in place.rglob("*"):
            if path.is_file() and not path.is_symlink() and path.stat().st_size > _SMALL_BYTES:
                path.chmod(0o600)
                os.truncate(path, 0)


def clear_workplaces(folder: Path) -> None:
    """Delete all of them, those of earlier runs included."""
    shutil.rmtree(folder / _NAME, ignore_errors=True)
