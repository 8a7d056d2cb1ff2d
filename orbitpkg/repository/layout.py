"""The keys of a repository. ``docs/formats.md`` describes the objects under them."""

from __future__ import annotations

import re
import secrets
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orbitpkg.model.versions import Version

__all__ = [
    "ARCHIVES",
    "CONFIG_KEY",
    "PROBES",
    "RELEASES",
    "index_key",
    "is_archive_key",
    "is_marker",
    "markers_prefix",
    "new_archive_key",
    "new_claim_key",
    "new_marker_key",
    "new_piece_key",
    "package_of_archive",
    "package_of_claim",
    "record_key",
    "releases_prefix",
    "status_key",
    "statuses_prefix",
    "version_of_record",
    "version_of_status",
]

CONFIG_KEY = "orbitpkg.json"
ARCHIVES = "archives/"
RELEASES = "releases/"
PROBES = "probes/"
_STATUS = "status/"
_RECORD_SUFFIX = ".json"
_MARKERS = "pending/"
_PIECES = "pieces/"
_CLAIMS = "claims/"
_ARCHIVE_SUFFIX = re.compile(r"(?:-[0-9a-f]{12})?\.tar\.zst")


def new_archive_key(name: str, version: Version) -> str:
    """Return a unique key for an archive: racing publishers never write to the same key."""
    return f"{ARCHIVES}{name}/{name}-{version}-{secrets.token_hex(6)}.tar.zst"


def new_piece_key(archive: str) -> str:
    """Return a unique key for a piece of an archive, which is needed only until the archive is complete."""
    return f"{archive.rpartition('/')[0]}/{_PIECES}{secrets.token_hex(16)}"


def is_archive_key(key: str, name: str, version: Version) -> bool:
    """Return whether a key is one that :func:`new_archive_key` makes for this release."""
    stem = f"{ARCHIVES}{name}/{name}-{version}"
    return key.startswith(stem) and _ARCHIVE_SUFFIX.fullmatch(key, len(stem)) is not None


def new_claim_key(name: str) -> str:
    """Return a unique key for a publisher's claim."""
    return f"{ARCHIVES}{name}/{_CLAIMS}{secrets.token_hex(16)}"


def package_of_archive(key: str) -> str:
    """Return the package that an archive or a piece belongs to; "" for any other key."""
    return key[len(ARCHIVES) :].partition("/")[0] if key.startswith(ARCHIVES) else ""


def package_of_claim(key: str) -> str:
    """Return the package that a claim belongs to; "" for any other key."""
    name = package_of_archive(key)
    return name if key.startswith(f"{ARCHIVES}{name}/{_CLAIMS}") else ""


def releases_prefix(name: str) -> str:
    """Return the prefix of the records of a package, given its canonical name."""
    return f"{RELEASES}{name}/"


def record_key(name: str, version: Version) -> str:
    """Return the key of the record of a release."""
    return f"{RELEASES}{name}/{version}{_RECORD_SUFFIX}"


def version_of_record(key: str, name: str) -> str | None:
    """Return the version in the key of a record, unparsed; None for any other key."""
    return _version_in(key, releases_prefix(name))


def _version_in(key: str, prefix: str) -> str | None:
    if not key.startswith(prefix) or not key.endswith(_RECORD_SUFFIX):
        return None
    return key[len(prefix) : -len(_RECORD_SUFFIX)]


def markers_prefix(name: str) -> str:
    """Return the prefix of the markers of changes that the index may not contain yet; they are listed with records."""
    return f"{releases_prefix(name)}{_MARKERS}"


def new_marker_key(name: str) -> str:
    """Return a unique key for a marker."""
    return f"{markers_prefix(name)}{secrets.token_hex(16)}"


def is_marker(key: str, name: str) -> bool:
    """Return whether a key belongs to a marker of this package."""
    return key.startswith(markers_prefix(name))


def statuses_prefix(name: str) -> str:
    """Return the prefix of the statuses of a package's releases."""
    return f"{_STATUS}{name}/"


def status_key(name: str, version: Version) -> str:
    """Return the key of the status of a release; the object exists only if a status was set."""
    return f"{_STATUS}{name}/{version}{_RECORD_SUFFIX}"


def version_of_status(key: str, name: str) -> str | None:
    """Return the version in the key of a status, unparsed; None for any other key."""
    return _version_in(key, statuses_prefix(name))


def index_key(name: str) -> str:
    """Return the key of the index of a package."""
    return f"index/{name}.json"
