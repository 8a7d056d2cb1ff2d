"""``meta.json``, Sputnik's description of an archive.

::

    {"archive": ["archive.gz", MD5],
     "manifest": [{"path": ["data", "model"], "size": 6, "noffset": 34, "checksum": ["md5", HEX]}, …],
     "package": {"name": …, "version": …, "description": …, "license": …, "compatibility": {APP: SPECIFIER or null}}}

``archive.gz`` has one gzip member (RFC 1952) for each file, in the order of the manifest. ``noffset`` is the position
where a member ends and the next one begins. Source: sputnik 0.9.3, as published on PyPI.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from orbitpkg.compat.sputnik.formats.conversion import convert_manifest
from orbitpkg.errors import ArchiveError, IntegrityError
from orbitpkg.model.contents import MAX_FILES
from orbitpkg.model.jsontext import parse_json
from orbitpkg.model.manifest import MANIFEST_NAME, parse_manifest
from orbitpkg.model.paths import path_problem, tree_problems

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.model.manifest import Manifest

__all__ = ["ARCHIVE_NAME", "MAX_META_BYTES", "META_NAME", "Member", "Meta", "parse_meta"]

META_NAME = "meta.json"
ARCHIVE_NAME = "archive.gz"
MAX_META_BYTES = 64 * 1024 * 1024

T = TypeVar("T")

_DIGEST_DIGITS = {"md5": 32, "sha1": 40, "sha224": 56, "sha256": 64, "sha384": 96, "sha512": 128}
_HEX = re.compile(r"[0-9a-f]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A file in an archive.

    Attributes:
        path: Its path in the package, with slashes.
        start: The first byte of its gzip member.
        end: The byte after the last of it.
        size: Uncompressed, in bytes.
        algorithm: The digest's algorithm, as :mod:`hashlib` names it.
        digest: The digest of its uncompressed bytes, in lower-case hexadecimal.
    """

    path: str
    start: int
    end: int
    size: int
    algorithm: str
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """A validated ``meta.json``.

    Attributes:
        ident: Name and version, joined by a hyphen.
        package: The package's metadata, unchanged.
        members: The files, in the order of the archive.
        archive: The file name of the archive.
        archive_md5: The archive's MD5.
    """

    ident: str
    package: Mapping[str, Any]
    members: tuple[Member, ...]
    archive: str
    archive_md5: str

    @property
    def archive_size(self) -> int:
        """The size of the archive, in bytes."""
        return self.members[-1].end

    @property
    def total_size(self) -> int:
        """The sum of the sizes of the files, in bytes."""
        return sum(member.size for member in self.members)

    def manifest_text(self) -> bytes:
        """Convert the metadata to the text of a manifest.

        Raises:
            ArchiveError: The metadata cannot be converted.
        """
        return convert_manifest(self.package, where=self.ident, archive_md5=self.archive_md5)

    def manifest(self) -> Manifest:
        """Convert the metadata to a manifest.

        Raises:
            ArchiveError: The name or the version cannot be converted.
            ManifestError: Another field is invalid.
        """
        return parse_manifest(self.manifest_text(), where=self.ident)


def parse_meta(data: bytes, *, where: str, ident: str | None = None) -> Meta:
    """Parse a ``meta.json``.

    Args:
        data: The text.
        where: The archive that it describes, for messages.
        ident: The ident that it must have; any when None.

    Raises:
        IntegrityError: The text is not valid JSON, not in Sputnik's format, or describes another package.
    """
    table = parse_json(data, what=f"{META_NAME} of {where}", max_bytes=MAX_META_BYTES)
    try:
        package, archive = _of(dict, table["package"]), _of(list, table["archive"])  # type: ignore[index]
        name, version = _of(str, package["name"]), _of(str, package["version"])
        members = _members(_of(list, table["manifest"]))  # type: ignore[index]
        meta = Meta(
            ident=f"{name}-{version}",
            package=package,
            members=members,
            archive=_of(str, archive[0]),
            archive_md5=_digest("md5", archive[1]),
        )
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise ArchiveError(f"{META_NAME} of {where} is not in Sputnik's format: {_why(error)}.") from error
    if ident is not None and meta.ident != ident:
        raise IntegrityError(f"{META_NAME} of {where} describes another package: {meta.ident!r:.200}.")
    _check_paths(meta, where)
    return meta


def _members(rows: list[Any]) -> tuple[Member, ...]:
    if not 0 < len(rows) <= MAX_FILES:
        raise ValueError(f"it lists {len(rows):,} files")
    members, start = [], 0
    for row in rows:
        end, size, checksum = _of(int, row["noffset"]), _of(int, row["size"]), _of(list, row["checksum"])
        path = _joined(_of(list, row["path"]))
        if end <= start or size < 0:
            raise ValueError(f"{path!r} has {size} bytes between bytes {start} and {end}")
        algorithm = _of(str, checksum[0])
        digest = _digest(algorithm, checksum[1])
        members.append(Member(path=path, start=start, end=end, size=size, algorithm=algorithm, digest=digest))
        start = end
    return tuple(members)


def _joined(parts: list[Any]) -> str:
    for part in parts:
        if "/" in _of(str, part):
            raise ValueError(f"the path component {part!r:.100} contains a slash")
    return "/".join(parts)


def _digest(algorithm: str, value: object) -> str:
    digits = _DIGEST_DIGITS.get(algorithm)
    if digits is None:
        raise ValueError(f"the digest algorithm {algorithm!r:.50} is not supported")
    text = _of(str, value).lower()
    if len(text) != digits or not _HEX.fullmatch(text):
        raise ValueError(f"{text!r:.150} is not a valid {algorithm} digest")
    return text


def _of(kind: type[T], value: object) -> T:
    # bool is a subclass of int.
    if not isinstance(value, kind) or isinstance(value, bool):
        raise TypeError(f"expected {kind.__name__}, found {value!r:.100}")
    return value


def _why(error: Exception) -> str:
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)


def _check_paths(meta: Meta, where: str) -> None:
    problem = path_problem(meta.archive) or ("contains a directory" if "/" in meta.archive else None)
    if problem:
        raise ArchiveError(f"{META_NAME} of {where} names the archive {meta.archive!r:.200}, which {problem}.")
    for path, what in tree_problems(member.path for member in meta.members):
        raise ArchiveError(
            f"{where} contains {path!r:.300}, which {what}.",
            hint="Rename the file and build the archive again.",
            path=path[:300],
        )
    if any(member.path.startswith(f"{MANIFEST_NAME}/") for member in meta.members):
        raise ArchiveError(f"{where} contains a directory named {MANIFEST_NAME!r}, which is reserved for the manifest.")
