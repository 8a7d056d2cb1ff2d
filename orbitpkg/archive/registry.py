"""The registry of archive formats: which code opens a file that is not one of orbitpkg's own archives.

orbitpkg's own format has the suffix ``.tar.zst``. Another distribution adds a format through the entry-point group
``orbitpkg.archives``, under the format's suffix without its dot; a program adds one for itself with
``register_format``. Either provides an ``ArchiveFormat``.

A suffix only decides that a word on the command line is a file. What a file is, its first bytes tell; a file that
begins as orbitpkg's own archives do is never offered to a plug-in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orbitpkg.files.errors import READ, storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orbitpkg.archive.reader import LocalArchive

__all__ = ["GROUP", "OWN_SUFFIX", "ArchiveFormat", "find_format", "has_suffix", "register_format", "unregister_format"]

GROUP: Final = "orbitpkg.archives"
"""The entry-point group of archive formats."""

OWN_SUFFIX: Final = ".tar.zst"
"""The suffix of orbitpkg's own archives."""

_SUFFIX: Final = re.compile(r"[a-z][a-z0-9]*")
# RFC 8878, sections 3.1.1 and 3.1.2: a Zstandard frame, and the sixteen kinds of skippable frames.
_FRAME: Final = b"\x28\xb5\x2f\xfd"
_SKIPPABLE: Final = re.compile(rb"[\x50-\x5f]\x2a\x4d\x18")


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveFormat:
    """How to open the archives of a format.

    Attributes:
        recognizes: Returns whether a regular file is of this format, by its content.
        open: Opens a file as the archive that orbitpkg would make of the same files. The second argument is a folder
            for temporary files. It raises ``IntegrityError`` for a damaged file, ``ManifestError`` for a package that
            cannot be represented, and ``StorageError``.
    """

    recognizes: Callable[[Path], bool]
    open: Callable[[Path, Path], LocalArchive]


_registered: Final[dict[str, ArchiveFormat]] = {}


def register_format(suffix: str, form: ArchiveFormat) -> None:
    """Open files of a format with ``form`` in this process.

    Args:
        suffix: The suffix of its files in lower case, without the dot.
        form: How to open them.

    Raises:
        ValueError: ``suffix`` is not a lower-case word.
    """
    if not _SUFFIX.fullmatch(suffix):
        raise ValueError(f"{suffix!r} is not a valid suffix")
    _registered[suffix] = form


def unregister_format(suffix: str) -> None:
    """Undo ``register_format``; a suffix that is not registered is ignored."""
    _registered.pop(suffix, None)


def has_suffix(name: str) -> bool:
    """Return whether a file name ends in the suffix of a known archive format."""
    if name.endswith(OWN_SUFFIX):
        return True
    suffix = name.rpartition(".")[2]
    # The end of a version, as in "model==1.0", is not a suffix: no plug-ins are searched for every requirement.
    if suffix == name or not _SUFFIX.fullmatch(suffix):
        return False
    from orbitpkg.plugins import find_plugins

    return suffix in _registered or suffix in find_plugins(GROUP)


def find_format(path: Path) -> ArchiveFormat | None:
    """Return the format of a file, by its content; None for orbitpkg's own, and for a file that no format recognizes.

    Raises:
        StorageError: The file cannot be read.
        PluginError: A plug-in cannot be loaded.
    """
    with storage_errors(path, READ):
        if not path.is_file():
            return None
        with path.open("rb") as file:
            start = file.read(4)
    if start == _FRAME or _SKIPPABLE.fullmatch(start):
        return None
    from orbitpkg.plugins import find_plugins, load_plugin

    plugins = {suffix: entry for suffix, entry in find_plugins(GROUP).items() if suffix not in _registered}
    for form in _registered.values():
        if form.recognizes(path):
            return form
    loaded = (load_plugin(entry, ArchiveFormat) for entry in plugins.values())
    return next((form for form in loaded if form.recognizes(path)), None)
