"""Conversion of Sputnik's package metadata to a manifest.

The rules:

1. A valid package name is kept. Any other is refused.
2. A SemVer version is kept. Missing numbers are zeros (``1.0`` becomes ``1.0.0``), and a leading ``v`` is dropped. Any
   other version is refused.
3. A ``compatibility`` of null allows every version of the app, like ``""`` in a manifest. An invalid PEP 440 specifier
   is refused, since dropping it would allow versions that the author excluded.
4. The original ident, version and MD5 of the archive are kept in ``metadata`` under ``sputnik``.
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
"""The key, in the metadata of a release, of its original ident, version and MD5."""

_SHORT_VERSION = re.compile(r"[vV]?((?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*)){0,2})(-.+)?")
_NUMBERS = 3


def convert_version(text: str) -> Version:
    """Convert a Sputnik version to SemVer.

    Raises:
        UsageError: The version cannot be converted.
    """
    short = _SHORT_VERSION.fullmatch(text)
    if short is None:
        return parse_version(text)
    numbers = short[1].split(".")
    return parse_version(".".join(numbers + ["0"] * (_NUMBERS - len(numbers))) + (short[2] or ""))


def convert_manifest(package: Mapping[str, Any], *, where: str, archive_md5: str | None = None) -> bytes:
    """Convert Sputnik's metadata to the text of a manifest that includes all files in its directory.

    The caller parses the text, which validates the remaining fields.

    Args:
        package: Sputnik's metadata: ``name`` and ``version``; optionally ``description``, ``license`` and
            ``compatibility``.
        where: The package, for messages.
        archive_md5: The MD5 of its ``archive.gz``. Without it, the manifest does not record the origin.

    Raises:
        ArchiveError: The name or the version cannot be converted, or another field has the wrong type.
    """
    name, version = _text(package, "name", where), _text(package, "version", where)
    try:
        canonical_name(name)
        converted = convert_version(version)
    except UsageError as error:
        raise ArchiveError(f"{where}: {error.message}", hint=error.hint) from error
    origin = {"ident": f"{name}-{version}", "version": version, "archive_md5": archive_md5}
    metadata = {METADATA_KEY: origin} if archive_md5 else {}
    manifest = {
        "name": name,
        "version": str(converted),
        "description": _text_or_none(package, "description", where),
        "license": _text_or_none(package, "license", where),
        "include": ["**"],
        "compatibility": _compatibility(package, where),
        "metadata": metadata,
    }
    present = {key: value for key, value in manifest.items() if value}
    return pretty_json(present).encode()


def _text(package: Mapping[str, Any], key: str, where: str) -> str:
    value = package.get(key)
    if not isinstance(value, str):
        raise ArchiveError(f"{where}: {key} must be a string, not {value!r:.100}.")
    return value


def _text_or_none(package: Mapping[str, Any], key: str, where: str) -> str | None:
    return None if package.get(key) is None else _text(package, key, where)


def _compatibility(package: Mapping[str, Any], where: str) -> dict[str, str]:
    value = package.get("compatibility")
    if value is None:
        return {}
    if not isinstance(value, dict) or not all(isinstance(each, str | None) for each in value.values()):
        raise ArchiveError(f"{where}: compatibility must map apps to version specifiers, not be {value!r:.100}.")
    return {app: specifier or "" for app, specifier in value.items()}
