"""From a directory with a ``package.json`` of Sputnik's to an archive.

``include`` is read as Sputnik reads it: a list of path parts with ``*``, ``?`` and ``[…]``, which match no name that
begins with a dot; an entry that matches nothing is passed over, and so are keys that nobody knows. What only orbitpkg
knows (``dependencies``, ``exclude``, ``metadata`` and so on) counts as it does there.
"""

from __future__ import annotations

import glob
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orbitpkg.archive.tree import read_tree
from orbitpkg.archive.writer import write_archive
from orbitpkg.compat.sputnik.api.errors import EmptyArchiveException, InvalidPathException, ValidationException
from orbitpkg.compat.sputnik.formats.archives import SUFFIX, scratch_folder
from orbitpkg.compat.sputnik.formats.conversion import convert_manifest
from orbitpkg.errors import ArchiveError, IntegrityError, ManifestError
from orbitpkg.files.durable import clone_or_link
from orbitpkg.files.errors import storage_errors
from orbitpkg.model.jsontext import load_json, parse_json, pretty_json
from orbitpkg.model.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, parse_manifest
from orbitpkg.model.schemas import load_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.archive.tree import SourceTree

__all__ = ["build_archive"]

_log = logging.getLogger(__name__)
_ADAPTED = {"name", "version", "description", "license", "compatibility", "include"}


def build_archive(folder: Path, target: Path) -> Path:
    """Build the archive of a directory.

    Args:
        folder: The directory.
        target: The file; or the folder to put ``NAME-VERSION.sputnik`` into.

    Returns:
        The file.

    Raises:
        ValidationException: The ``package.json`` cannot be used.
        InvalidPathException: It includes a path that is not in the directory.
        EmptyArchiveException: It includes no file.
        StorageError: Something cannot be read or written.
    """
    document = _read_document(folder)
    text = _adapted(document, folder)
    manifest = parse_manifest(text)
    path = target / f"{manifest.name}-{manifest.version}{SUFFIX}" if target.is_dir() else target
    picked = _pick(folder, document.get("include"), path)
    # Beside the archive, so that links to the files can stand for them.
    with scratch_folder(path.absolute().parent) as scratch:
        write_archive(_staged(folder, picked, text, scratch), path)
    return path


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    with storage_errors(str(path)):
        data = path.read_bytes()
    try:
        document = parse_json(data, what=str(path), max_bytes=MAX_MANIFEST_BYTES)
    except IntegrityError as error:
        raise ValidationException(error.message, hint=error.hint) from error
    for key in ("name", "version", "include"):
        if not isinstance(document, dict) or document.get(key) is None:
            raise ValidationException(f"{path} lacks {key!r}.")
    assert isinstance(document, dict)
    return document


def _adapted(document: dict[str, Any], folder: Path) -> bytes:
    """Write the manifest that goes into the archive: what Sputnik knows, adapted, and what only orbitpkg does."""
    where = str(folder / MANIFEST_NAME)
    known = set(load_schema("package")["properties"])
    unknown = sorted(document.keys() - known)
    if unknown:
        _log.warning("%s: unknown keys are left out: %s", where, ", ".join(unknown))
    more = {key: document[key] for key in document if key in known - _ADAPTED and document[key] is not None}
    try:
        said = {**load_json(convert_manifest(document, where=where)), **more}
        text = pretty_json(said).encode()
        parse_manifest(text, where=where)
    except (ArchiveError, ManifestError) as error:
        raise ValidationException(error.message, hint=error.hint) from error
    return text


def _pick(folder: Path, include: object, archive: Path) -> list[str]:
    """List the files that are included, as paths with slashes; the archive itself is none of them."""
    found: set[str] = set()
    for entry in include if isinstance(include, list) else [include]:
        pattern = "/".join(_parts(entry, folder))
        for path in glob.iglob(pattern, root_dir=folder, recursive=True):  # noqa: PTH207 - Path.glob takes dotfiles
            place = folder / path
            if place.is_file() and not (archive.exists() and place.samefile(archive)):
                if not place.resolve().is_relative_to(folder.resolve()):
                    raise InvalidPathException(f"{place} is a link out of {folder}.", hint="Copy the file there.")
                found.add(Path(path).as_posix())
    found.discard(MANIFEST_NAME)
    if not found:
        raise EmptyArchiveException(
            f"{folder / MANIFEST_NAME} includes no file.", hint='Write "include" like [["data", "*"]].'
        )
    return sorted(found)


def _parts(entry: object, folder: Path) -> list[str]:
    parts = entry.split("/") if isinstance(entry, str) else entry
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise ValidationException(f"{folder / MANIFEST_NAME}: the entry {entry!r} of include is no list of path parts.")
    for part in parts:
        if part in {"", ".", ".."} or "/" in part or "\\" in part:
            raise InvalidPathException(
                f"{folder / MANIFEST_NAME}: the entry {entry!r} of include has the part {part!r}.",
                hint="Give each folder as a part of its own, from the package's directory downwards.",
            )
    return parts


def _staged(folder: Path, paths: Iterable[str], manifest: bytes, scratch: Path) -> SourceTree:
    """Put what is picked, and the manifest, into a folder, where nothing else lies."""
    with storage_errors(str(scratch)):
        for path in paths:
            target = scratch / path
            target.parent.mkdir(parents=True, exist_ok=True)
            clone_or_link(str((folder / path).resolve()), str(target))
        (scratch / MANIFEST_NAME).write_bytes(manifest)
    try:
        return read_tree(scratch)
    except ManifestError as error:
        raise ValidationException(error.message, hint=error.hint) from error
