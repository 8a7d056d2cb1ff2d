"""The file formats that may not be installed, and the check that refuses them.

``ORBITPKG_FORBID``, the project's file and the user's configuration each add to the list. None of them can allow a
format that another forbids.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.config.environment import read_variable
from orbitpkg.errors import ForbiddenFormat
from orbitpkg.model.executables import check_formats, executable_files, forbidden_files

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

__all__ = ["executable_in", "forbidden_formats", "refuse_forbidden"]

_VARIABLE = "ORBITPKG_FORBID"


def executable_in(folder: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Return the files in a package's directory that can run code, by format.

    Raises:
        ManifestError: The package is not valid.
        StorageError: The directory cannot be read.
    """
    from orbitpkg.archive.tree import read_tree

    return executable_files(file.path for file in read_tree(Path(folder)).files)


def forbidden_formats() -> frozenset[str]:
    """Return the formats that may not be installed.

    Raises:
        UsageError: A format is unknown.
        ProjectError: A settings file is invalid.
    """
    from orbitpkg.config.settings import find_project, read_document, user_config_path

    words = (read_variable(_VARIABLE) or "").replace(",", " ").split()
    forbidden = set(check_formats(words, where=_VARIABLE))
    for file in (find_project(), read_document(user_config_path())):
        forbidden.update(file.document.forbid if file is not None else ())
    return frozenset(forbidden)


def refuse_forbidden(release: object, paths: Iterable[str], forbidden: frozenset[str]) -> None:
    """Refuse a release that has files of a forbidden format.

    Args:
        release: The release, for the message.
        paths: The paths of its files.
        forbidden: The forbidden formats.

    Raises:
        ForbiddenFormat: A file has a forbidden format.
    """
    found = forbidden_files(paths, forbidden) if forbidden else {}
    if found:
        files = [path for each in found.values() for path in each]
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""  # noqa: PLR2004
        raise ForbiddenFormat(
            f"{release} has {' and '.join(found)} files, which can run code when they are loaded and are forbidden "
            f"here: {', '.join(files[:3])}{more}.",
            hint="Install the other files only (--only), or ask the publisher for safe formats (safetensors, ONNX).",
            formats={form: list(paths) for form, paths in found.items()},
        )
