"""Deleting folders without following a link, even if another user replaces parts of them meanwhile.

Every folder is opened through its parent's descriptor, and never as a link. At any time, one folder is open, however
deep the tree is.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Final

__all__ = ["delete_contents", "delete_tree"]

_BY_DESCRIPTOR: Final = os.open in os.supports_dir_fd and hasattr(os, "O_NOFOLLOW") and hasattr(os, "O_DIRECTORY")


def delete_tree(path: str | os.PathLike[str]) -> bool:
    """Delete a folder with everything in it, or a file or a link. What cannot be deleted stays.

    Returns:
        Whether everything was removed.
    """
    name = os.fspath(path)
    if not _BY_DESCRIPTOR:  # Windows
        shutil.rmtree(name, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.unlink(name)  # noqa: PTH108
        return not os.path.lexists(name)
    with contextlib.suppress(OSError):
        if not os.path.isdir(name) or os.path.islink(name):  # noqa: PTH112, PTH114
            os.unlink(name)  # noqa: PTH108
        else:
            _delete_below(_open(name))
            os.rmdir(name)  # noqa: PTH106
    return not os.path.lexists(name)


def delete_contents(descriptor: int) -> None:
    """Delete everything in an open folder that can be deleted. The folder stays, and stays open."""
    _delete_below(os.dup(descriptor))


def _open(name: str, folder: int | None = None) -> int:
    # O_DIRECTORY also keeps the call from waiting for the writer of a FIFO.
    return os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)


def _delete_below(folder: int) -> None:
    """Empty an open folder, and close it."""
    # The folders above the open one: the name of the next, the identity to expect on the way back, the remaining names.
    above: list[tuple[str, tuple[int, int], list[str]]] = []
    try:
        left = _delete_files(folder)
        while True:
            if left:
                name = left.pop()
                try:
                    inner = _open(name, folder)
                except OSError:
                    continue
                above.append((name, _identity(folder), left))
                os.close(folder)
                folder = inner
                left = _delete_files(folder)
            elif above:
                name, identity, left = above.pop()
                outer = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=folder)
                os.close(folder)
                folder = outer
                if _identity(folder) != identity:
                    return  # somebody moved the folder away meanwhile
                with contextlib.suppress(OSError):
                    os.rmdir(name, dir_fd=folder)
            else:
                return
    finally:
        os.close(folder)


def _delete_files(folder: int) -> list[str]:
    """Delete everything in an open folder but the folders, whose names are returned."""
    folders = []
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    for name in names:
        try:
            os.unlink(name, dir_fd=folder)
        except IsADirectoryError:
            folders.append(name)
        except OSError:
            # Some systems report a folder as a refusal.
            with contextlib.suppress(OSError):
                os.close(_open(name, folder))
                folders.append(name)
    return folders


def _identity(folder: int) -> tuple[int, int]:
    status = os.fstat(folder)
    return status.st_dev, status.st_ino
