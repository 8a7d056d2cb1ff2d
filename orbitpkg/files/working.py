"""The working directory, which can be deleted while a process is in it."""

from __future__ import annotations

import os

__all__ = ["absolute_path", "working_folder"]


def working_folder() -> str | None:
    """Return the path of the working directory, or None if it was deleted or its path cannot be found out."""
    try:
        return os.getcwd()  # noqa: PTH109 - pathlib takes longer to import than this function to run
    except OSError:
        return None


def absolute_path(path: str | os.PathLike[str]) -> str:
    """Return a path as an absolute and normalized one, without following links.

    Raises:
        StorageError: The path is relative, and the working directory was deleted.
    """
    name = os.fspath(path)
    if not os.path.isabs(name):  # noqa: PTH117
        folder = working_folder()
        if folder is None:
            from orbitpkg.errors import StorageError

            raise StorageError(
                f"{name or '.'} cannot be found, because the working directory was deleted.",
                hint="Change to a directory that exists, or use absolute paths.",
            )
        name = f"{folder}/{name}"
    return os.path.normpath(name)
