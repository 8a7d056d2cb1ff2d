"""Directories for one tool in one repetition, whose removal does not slow down later measurements.

ext4 does not reuse an inode for some minutes after its deletion, but examines each such inode whenever it creates a
file. Deleting ten thousand files therefore slows down every later step by tenths of a second. For this reason, the
files of a used directory are only truncated, and all directories are deleted after the last measurement.
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
    """Make a subdirectory, and free the space of its large files at the end."""
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
    """Delete all such directories, including those of earlier runs."""
    shutil.rmtree(folder / _NAME, ignore_errors=True)
