"""From what Sputnik says of a package to a manifest.

The rules:

1. The name stays as it is, if a package may be called so.
2. The version stays as it is, if it is SemVer. Numbers that are missing are zeros (``1.0`` is ``1.0.0``) and a ``v``
   before them is dropped; any other version is refused.
3. A ``compatibility`` of null allows every version of the app, as ``""`` does here; what is no PEP 440 specifier is
   refused, for leaving it out would allow what its author did not.
4. Ident, version and the archive's MD5, as they were, are kept in ``metadata`` under ``sputnik``.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orbitpkg.errors import ArchiveError, UsageError
from orbitpkg.model.jsontext import pretty_json
from orbitpkg.model.names import canonical_name
from orbitpkg.model.versions import parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.model.versions import Version

__all__ = ["METADATA_KEY", "convert_manifest", "convert_version"]

METADATA_KEY = "sputnik"
"""Where in the metadata of a release it says what it was called before."""

_SHORT_VERSION = re.compile(r"[vV]?((?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){0,2})(-.+)?")
_NUMBERS = 3


def convert_version(text: str) -> Version:
    """Give the version that a version of Sputnik's stands for.

    Raises:
        UsageError: It stands for none.
    """
    short = _SHORT_VERSION.fullmatch(text)
    if short is None:
        return parse_version(text)
    numbers = short[1].split(".")
    return parse_version(".".join(numbers + ["0"] * (_NUMBERS - len(numbers))) + (short[2] or ""))


def convert_manifest(package: Mapping[str, Any], *, where: str, archive_md5: str | None = None) -> bytes:
    """Write the manifest of a package of Sputnik's; it picks every file beside it.

    What it says is checked by whoever reads it, as that of any manifest is.

    Args:
        package: What Sputnik says: ``name`` and ``version``, perhaps ``description``, ``license``, ``compatibility``.
        where: What this is about, for messages.
        archive_md5: The MD5 of its ``archive.gz``; without one, nothing is kept of how it was called before.

    Raises:
        ArchiveError: The name or the version cannot be had, or one of the others is of the wrong type.
    """
    name, version = _text(package, "name", where), _text(package, "version", where)
    try:
        canonical_name(name)
        adapted = convert_version(version)
    except UsageError as error:
        raise ArchiveError(f"{where}: {error.message}", hint=error.hint) from error
    kept = {"ident": f"{name}-{version}", "version": version, "archive_md5": archive_md5}
    metadata = {METADATA_KEY: kept} if archive_md5 else {}
    manifest = {
        "name": name,
        "version": str(adapted),
        "description": _text_or_none(package, "description", where),
        "license": _text_or_none(package, "license", where),
        "include": ["**"],
        "compatibility": _compatibility(package, where),
        "metadata": metadata,
    }
    said = {key: value for key, value in manifest.items() if value}
    return pretty_json(said).encode()


def _text(package: Mapping[str, Any], key: str, where: str) -> str:
    value = package.get(key)
    if not isinstance(value, str):
        raise ArchiveError(f"{where}: its {key} is {value!r:.100}, which is no text.")
    return value


def _text_or_none(package: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if package.get(key) is None else _text(package, key, where)


def _compatibility(package: Mapping[str, Any], where: str) -> dict[str, str]:
    value = package.get("compatibility")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str | None) for each in value.values()):
        raise ArchiveError(f"{where}: its compatibility is {value!r:.100}, which is no table of apps and specifiers.")
    return {app: specifier or "" for app, specifier in value.items()}
