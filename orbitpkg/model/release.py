"""A release's record: the one small object that makes a version exist.

The record is canonical JSON; its SHA-256 is the release's digest. It names the archive and the BLAKE3 of the archive's
contents, which hold the BLAKE3 of every chunk and file: the digest commits to every byte of the release. What
:func:`parse_release` returns has passed ``schemas/release.schema.json`` and is about the package and version that were
asked for.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NewType, cast

from orbitpkg.errors import IntegrityError, ManifestError, Problem, UsageError
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.model.names import canonical_name
from orbitpkg.model.release_rules import follows_rules
from orbitpkg.model.versions import Version, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.model.manifest import Manifest

__all__ = [
    "MAX_RECORD_BYTES",
    "ArchiveTotals",
    "ContentsPlace",
    "Release",
    "ReleaseDigest",
    "new_release",
    "parse_release",
    "release_digest",
]

MAX_RECORD_BYTES = 64 * 1024
_FORMAT = 1

ReleaseDigest = NewType("ReleaseDigest", str)
"""The SHA-256 of a record: 64 lower-case hexadecimal digits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentsPlace:
    """Where the compressed contents lie in an archive.

    Attributes:
        offset: Of their first byte in the archive.
        length: Compressed, in bytes.
        raw_length: Uncompressed, in bytes.
        blake3: Of the compressed bytes.
    """

    offset: int
    length: int
    raw_length: int
    blake3: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTotals:
    """What a record says of its archive.

    Attributes:
        key: The archive's key in the repository.
        size: Of the archive in bytes.
        files: How many files it holds.
        bytes: The sum of their sizes.
        encoder: What compressed it.
    """

    key: str
    size: int
    files: int
    bytes: int
    encoder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """One published version.

    Attributes:
        name: As its author writes it.
        version: Its version.
        archive: Its archive.
        contents: Where in the archive its contents lie.
        published: When it was, in RFC 3339 form, UTC.
        compatibility: PEP 440 specifiers by app.
        dependencies: Version ranges by package.
        metadata: Whatever facts the author gives.
        raw: The record itself, byte for byte.
    """

    name: str
    version: Version
    archive: ArchiveTotals
    contents: ContentsPlace
    published: str
    description: str = ""
    license: str | None = None
    compatibility: Mapping[str, str] = field(default_factory=dict)
    dependencies: Mapping[str, str] = field(default_factory=dict)
    keywords: tuple[str, ...] = ()
    metadata: Mapping[str, object] = field(default_factory=dict)
    raw: bytes = field(repr=False)

    @property
    def key(self) -> str:
        """The name in the form that names are compared by."""
        return canonical_name(self.name)

    @property
    def digest(self) -> ReleaseDigest:
        """The release's digest."""
        return release_digest(self.raw)

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"


def release_digest(record: bytes) -> ReleaseDigest:
    """Give the digest of a record."""
    return ReleaseDigest(hashlib.sha256(record).hexdigest())


def new_release(manifest: Manifest, *, archive: ArchiveTotals, contents: ContentsPlace, published: str) -> Release:
    """Write the record of a release.

    Args:
        manifest: What its author says.
        archive: Its archive.
        contents: Where in that its contents lie.
        published: The time of publication, RFC 3339, UTC.

    Raises:
        ManifestError: The record would be larger than :data:`MAX_RECORD_BYTES`.
    """
    said = {
        "description": manifest.description,
        "license": manifest.license,
        "compatibility": dict(manifest.compatibility),
        "dependencies": dict(manifest.dependencies),
        "keywords": list(manifest.keywords),
        "metadata": dict(manifest.metadata),
    }
    raw = canonical_json(
        {
            "format": _FORMAT,
            "name": manifest.name,
            "version": str(manifest.version),
            "archive": {"key": archive.key, "size": archive.size},
            "contents": {
                "offset": contents.offset,
                "length": contents.length,
                "raw_length": contents.raw_length,
                "blake3": contents.blake3,
            },
            "files": archive.files,
            "bytes": archive.bytes,
            "encoder": archive.encoder,
            "published": published,
            **{key: value for key, value in said.items() if value},
        }
    )
    if len(raw) > MAX_RECORD_BYTES:
        problem = Problem(
            "/metadata",
            f"the release record would take {len(raw):,} bytes; {MAX_RECORD_BYTES:,} is the limit",
            "put large facts into a file of the package",
        )
        raise ManifestError(f"{manifest.name} {manifest.version}", [problem])
    return parse_release(raw, name=manifest.key, version=manifest.version)


def parse_release(raw: bytes, *, name: str, version: Version) -> Release:
    """Read a record.

    Args:
        raw: The record.
        name: The canonical name it must have.
        version: The version it must have.

    Raises:
        IntegrityError: It is no record, of a newer format, or of another package or version.
    """
    what = f"the record of {name} {version}"
    record = parse_json(raw, what=what, max_bytes=MAX_RECORD_BYTES)
    if isinstance(record, dict) and type(record.get("format")) is int and record["format"] > _FORMAT:
        raise IntegrityError(
            f"{what[0].upper()}{what[1:]} has format {record['format']}; this orbitpkg reads format {_FORMAT}.",
            hint="Upgrade with pip install -U orbitpkg.",
        )
    if not follows_rules(record):
        _check_schema(record, what)
    try:
        release = _release(cast("dict[str, Any]", record), raw)
        key = release.key
    except (ValueError, UsageError) as error:
        raise IntegrityError(f"{what[0].upper()}{what[1:]} is not valid: {error}.") from error
    if (key, release.version) != (name, version):
        raise IntegrityError(f"{what[0].upper()}{what[1:]} is about {release.name} {release.version}.")
    return release


def _release(record: dict[str, Any], raw: bytes) -> Release:
    return Release(
        name=record["name"],
        version=parse_version(record["version"]),
        archive=ArchiveTotals(
            **record["archive"], files=record["files"], bytes=record["bytes"], encoder=record["encoder"]
        ),
        contents=ContentsPlace(**record["contents"]),
        published=record["published"],
        description=record.get("description", ""),
        license=record.get("license"),
        compatibility=record.get("compatibility", {}),
        dependencies=record.get("dependencies", {}),
        keywords=tuple(record.get("keywords", ())),
        metadata=record.get("metadata", {}),
        raw=raw,
    )


def _check_schema(record: object, what: str) -> None:
    from jsonschema import Draft202012Validator
    from jsonschema.exceptions import best_match
    from jsonschema.validators import extend

    from orbitpkg.model.schemas import load_schema

    # 1.0 is an integer to JSON Schema; nothing that counts bytes takes it for one.
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator = extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]
    error = best_match(validator(load_schema("release")).iter_errors(record))
    if error is not None:
        place = "/".join(map(str, error.absolute_path))
        raise IntegrityError(f"{what[0].upper()}{what[1:]} is not valid: /{place}: {error.message}.")
