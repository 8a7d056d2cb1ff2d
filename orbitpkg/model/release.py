"""Release records: the small object in a repository that publishes a version.

A record is canonical JSON, and its SHA-256 is the digest of the release. The record names the archive and contains the
BLAKE3 of the archive's table of contents, which in turn contains the BLAKE3 of every chunk and file. The digest thus
commits to every byte of the release. The result of :func:`parse_release` is valid against
``schemas/release.schema.json`` and describes the requested package and version.
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
from orbitpkg.model.wording import UPGRADE_HINT, as_subject, unsupported_format

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.model.manifest import Manifest

__all__ = [
    "MAX_RECORD_BYTES",
    "ArchiveTotals",
    "ContentsLocation",
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
class ContentsLocation:
    """The location of the compressed table of contents in an archive.

    Attributes:
        offset: The offset of its first byte in the archive.
        length: The compressed length in bytes.
        raw_length: The uncompressed length in bytes.
        blake3: The digest of the compressed bytes.
    """

    offset: int
    length: int
    raw_length: int
    blake3: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveTotals:
    """The facts about an archive in a release record.

    Attributes:
        key: The key of the archive in the repository.
        size: The size of the archive in bytes.
        files: The number of files in it.
        bytes: The total size of those files.
        encoder: The chunker and compressor that wrote it.
    """

    key: str
    size: int
    files: int
    bytes: int
    encoder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Release:
    """A published version.

    Attributes:
        name: The package name as its author spells it.
        version: The version.
        archive: The archive.
        contents: The location of the table of contents in the archive.
        published: The time of publication in UTC, in RFC 3339 form.
        description: A short description; may be empty.
        license: The license, or None.
        compatibility: PEP 440 specifiers by application.
        dependencies: Version ranges by package.
        keywords: Search keywords.
        metadata: Other facts that the author provides.
        raw: The bytes of the record.
    """

    name: str
    version: Version
    archive: ArchiveTotals
    contents: ContentsLocation
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
        """The canonical name."""
        return canonical_name(self.name)

    @property
    def digest(self) -> ReleaseDigest:
        """The digest of the release."""
        return release_digest(self.raw)

    def __str__(self) -> str:
        return f"{self.name}=={self.version}"

    @property
    def label(self) -> str:
        """The name and the version as messages show them."""
        return f"{self.name} {self.version}"


def release_digest(record: bytes) -> ReleaseDigest:
    """Return the digest of a record."""
    return ReleaseDigest(hashlib.sha256(record).hexdigest())


def new_release(manifest: Manifest, *, archive: ArchiveTotals, contents: ContentsLocation, published: str) -> Release:
    """Create the record of a release.

    Args:
        manifest: The manifest of the package.
        archive: The archive.
        contents: The location of the table of contents in the archive.
        published: The time of publication in UTC, in RFC 3339 form.

    Raises:
        ManifestError: The record would be larger than :data:`MAX_RECORD_BYTES`.
    """
    optional = {
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
            **{key: value for key, value in optional.items() if value},
        }
    )
    if len(raw) > MAX_RECORD_BYTES:
        problem = Problem(
            "/metadata",
            f"the release record would have {len(raw):,} bytes; the maximum is {MAX_RECORD_BYTES:,}",
            "put large values in a file of the package",
        )
        raise ManifestError(f"{manifest.name} {manifest.version}", [problem])
    return parse_release(raw, name=manifest.key, version=manifest.version)


def parse_release(raw: bytes, *, name: str, version: Version) -> Release:
    """Parse a release record.

    Args:
        raw: The bytes of the record.
        name: The expected canonical name.
        version: The expected version.

    Raises:
        IntegrityError: The record is invalid, has a newer format, or describes another package or version.
    """
    what = f"the record of {name} {version}"
    record = parse_json(raw, what=what, max_bytes=MAX_RECORD_BYTES)
    if isinstance(record, dict) and type(record.get("format")) is int and record["format"] > _FORMAT:
        raise IntegrityError(unsupported_format(what, record["format"], _FORMAT), hint=UPGRADE_HINT)
    if not follows_rules(record):
        _check_schema(record, what)
    try:
        release = _release(cast("dict[str, Any]", record), raw)
        key = release.key
    except (ValueError, UsageError) as error:
        raise IntegrityError(f"{as_subject(what)} is not valid: {error}.") from error
    if (key, release.version) != (name, version):
        raise IntegrityError(f"{as_subject(what)} describes {release.name} {release.version} instead.")
    return release


def _release(record: dict[str, Any], raw: bytes) -> Release:
    return Release(
        name=record["name"],
        version=parse_version(record["version"]),
        archive=ArchiveTotals(
            **record["archive"], files=record["files"], bytes=record["bytes"], encoder=record["encoder"]
        ),
        contents=ContentsLocation(**record["contents"]),
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

    # JSON Schema accepts 1.0 as an integer, but code that counts bytes does not.
    types = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
    validator = extend(Draft202012Validator, type_checker=types)  # type: ignore[no-untyped-call]
    error = best_match(validator(load_schema("release")).iter_errors(record))
    if error is not None:
        pointer = "/".join(map(str, error.absolute_path))
        raise IntegrityError(f"{as_subject(what)} is not valid: /{pointer}: {error.message}.")
