"""The file formats that may not be installed.

``ORBITPKG_FORBID``, the project's file and the user's configuration each add to the list. None of them can allow a
format that another forbids.
"""

from __future__ import annotations

import os
from pathlib import Path

from orbitpkg.config.discovery import may_forbid
from orbitpkg.config.environment import read_variable
from orbitpkg.model.executables import check_formats, executable_files

__all__ = ["executable_in", "forbidden_formats"]

_VARIABLE = "ORBITPKG_FORBID"


def executable_in(folder: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Return the files in a package's directory that can run code, by format.

    Raises:
        ManifestError: The package is not valid.
        StorageError: The directory cannot be read.
    """
    from orbitpkg.archive.tree import read_tree

    return executable_files(file.path for file in read_tree(Path(folder)).files)


def forbidden_formats(project: Path | None = None) -> frozenset[str]:
    """Return the formats that may not be installed.

    Args:
        project: A directory of the project whose settings apply; the working directory when None.

    Raises:
        UsageError: A format is unknown.
        ProjectError: A settings file is invalid.
    """
    words = (read_variable(_VARIABLE) or "").replace(",", " ").split()
    forbidden = set(check_formats(words, where=_VARIABLE))
    if not may_forbid(os.fspath(project) if project is not None else None):
        return frozenset(forbidden)  # An app that opens a project's packages must not wait for the settings parser.
    from orbitpkg.config.settings import find_project, read_user_config

    for file in (find_project(project), read_user_config()):
        forbidden.update(file.document.forbid if file is not None else ())
    return frozenset(forbidden)
