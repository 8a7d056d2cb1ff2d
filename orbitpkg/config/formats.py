"""Which formats of files may not be installed, and that they are not.

``ORBITPKG_FORBID``, the project's file and the user's configuration say it; what one of them forbids, none allows.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import ForbiddenFormat
from orbitpkg.model.executables import check_formats, executable_files, forbidden_files

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["executable_in", "forbidden_formats", "refuse_forbidden"]

_VARIABLE = "ORBITPKG_FORBID"


def executable_in(folder: str | os.PathLike[str]) -> dict[str, tuple[str, ...]]:
    """Give the files of a package's directory that can run code, by format.

    Raises:
        ManifestError: The package is not valid.
        StorageError: The directory cannot be read.
    """
    from orbitpkg.archive.tree import read_tree

    return executable_files(file.path for file in read_tree(Path(folder)).files)


def forbidden_formats() -> frozenset[str]:
    """Say which formats may not be installed.

    Raises:
        UsageError: A word is no format that is known.
        ProjectError: A file of settings cannot be used.
    """
    from orbitpkg.config.settings import find_project, read_document, user_config_path

    words = os.environ.get(_VARIABLE, "").replace(",", " ").split()
    said = set(check_formats(words, where=_VARIABLE))
    for file in (find_project(), read_document(user_config_path())):
        said.update(file.document.forbid if file is not None else ())
    return frozenset(said)


def refuse_forbidden(release: object, paths: Iterable[str], forbidden: frozenset[str]) -> None:
    """Refuse files of forbidden formats.

    Args:
        release: Whose files they are, for the message.
        paths: Of the files.
        forbidden: Which formats.

    Raises:
        ForbiddenFormat: One of them is.
    """
    found = forbidden_files(paths, forbidden) if forbidden else {}
    if found:
        files = [path for each in found.values() for path in each]
        more = f" and {len(files) - 3} more" if len(files) > 3 else ""  # noqa: PLR2004
        raise ForbiddenFormat(
            f"{release} holds {' and '.join(found)} files, which can run code when they are loaded, and are forbidden "
            f"here: {', '.join(files[:3])}{more}.",
            hint="Install only the others (--only), or ask for a release without them (safetensors, ONNX).",
            formats={form: list(paths) for form, paths in found.items()},
        )
