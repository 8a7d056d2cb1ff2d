"""Building an archive from a directory with Sputnik's ``package.json``.

``include`` has Sputnik's meaning: each entry is a list of path components with the wildcards ``*``, ``?`` and ``[…]``,
which never match a leading dot. Entries without a match and unknown keys are ignored. Keys that only orbitpkg has, such
as ``dependencies``, ``exclude`` and ``metadata``, have their meaning in orbitpkg.
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
from orbitpkg.files.content import clone_or_link
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.names import disk_path, text_path
from orbitpkg.files.reading import read_bounded
from orbitpkg.model.jsontext import load_json, parse_json, pretty_json
from orbitpkg.model.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, parse_manifest
from orbitpkg.model.schemas import load_schema

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.archive.tree import SourceTree

__all__ = ["build_archive"]

_log = logging.getLogger(__name__)
_CONVERTED = {"name", "version", "description", "license", "compatibility", "include"}


def build_archive(folder: Path, target: Path) -> Path:
    """Build the archive of a directory.

    Args:
        folder: The directory.
        target: The archive's path, or a directory for ``NAME-VERSION.sputnik``.

    Returns:
        The archive's path.

    Raises:
        ValidationException: The ``package.json`` is invalid.
        InvalidPathException: It includes a path outside the directory.
        EmptyArchiveException: It includes no file.
        StorageError: A file cannot be read or written.
    """
    document = _read_document(folder)
    text = _converted(document, folder)
    manifest = parse_manifest(text)
    path = target / f"{manifest.name}-{manifest.version}{SUFFIX}" if target.is_dir() else target
    picked = _pick(folder, document.get("include"), path)
    # Hard links need the same file system, which the directory of the archive usually is.
    with scratch_folder(path.absolute().parent) as scratch:
        write_archive(_staged(folder, picked, text, scratch), path)
    return path


def _read_document(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST_NAME
    with storage_errors(str(path)):
        data = read_bounded(path, max_bytes=MAX_MANIFEST_BYTES)
    try:
        document = parse_json(data, what=str(path), max_bytes=MAX_MANIFEST_BYTES)
    except IntegrityError as error:
        raise ValidationException(error.message, hint=error.hint) from error
    for key in ("name", "version", "include"):
        if not isinstance(document, dict) or document.get(key) is None:
            raise ValidationException(f"{path}: {key!r} is missing.")
    assert isinstance(document, dict)
    return document


def _converted(document: dict[str, Any], folder: Path) -> bytes:
    """Return the text of the archive's manifest: Sputnik's keys, converted, and those that only orbitpkg has."""
    where = str(folder / MANIFEST_NAME)
    known = set(load_schema("package")["properties"])
    unknown = sorted(document.keys() - known)
    if unknown:
        _log.warning("%s: ignored unknown keys: %s", where, ", ".join(unknown))
    more = {key: document[key] for key in document if key in known - _CONVERTED and document[key] is not None}
    try:
        fields = {**load_json(convert_manifest(document, where=where)), **more}
        text = pretty_json(fields).encode()
        parse_manifest(text, where=where)
    except (ArchiveError, ManifestError) as error:
        raise ValidationException(error.message, hint=error.hint) from error
    return text


def _pick(folder: Path, include: object, archive: Path) -> list[str]:
    """List the included files except the archive itself, as paths with slashes."""
    found: set[str] = set()
    for entry in include if isinstance(include, list) else [include]:
        pattern = disk_path("/".join(_parts(entry, folder)))
        for path in glob.iglob(pattern, root_dir=folder, recursive=True):  # noqa: PTH207 - Path.glob takes dotfiles
            file = folder / path
            if file.is_file() and not (archive.exists() and file.samefile(archive)):
                if not file.resolve().is_relative_to(folder.resolve()):
                    raise InvalidPathException(
                        f"{file} is a link to a file outside {folder}.", hint="Replace the link with a copy."
                    )
                found.add(text_path(Path(path).as_posix()))
    found.discard(MANIFEST_NAME)
    if not found:
        raise EmptyArchiveException(
            f"{folder / MANIFEST_NAME} includes no files.", hint='Example of "include": [["data", "*"]]'
        )
    return sorted(found)


def _parts(entry: object, folder: Path) -> list[str]:
    parts = entry.split("/") if isinstance(entry, str) else entry
    if not isinstance(parts, list) or not parts or not all(isinstance(part, str) for part in parts):
        raise ValidationException(
            f"{folder / MANIFEST_NAME}: the entry {entry!r} of include must be a list of path components."
        )
    for part in parts:
        if part in {"", ".", ".."} or "/" in part or "\\" in part:
            raise InvalidPathException(
                f"{folder / MANIFEST_NAME}: the entry {entry!r} of include has an invalid component {part!r}.",
                hint="List each directory and the file as separate components, relative to the package's directory.",
            )
    return parts


def _staged(folder: Path, paths: Iterable[str], manifest: bytes, scratch: Path) -> SourceTree:
    """Place the selected files and the manifest in an empty directory."""
    with storage_errors(str(scratch)):
        for path in paths:
            target = scratch / disk_path(path)
            target.parent.mkdir(parents=True, exist_ok=True)
            clone_or_link(str((folder / disk_path(path)).resolve()), str(target))
        (scratch / MANIFEST_NAME).write_bytes(manifest)
    try:
        return read_tree(scratch)
    except ManifestError as error:
        raise ValidationException(error.message, hint=error.hint) from error
