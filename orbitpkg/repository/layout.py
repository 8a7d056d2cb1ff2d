"""The keys of a repository. ``docs/formats.md`` tells what lies under each."""

from __future__ import annotations

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
    "is_marker",
    "markers_prefix",
    "new_archive_key",
    "new_marker_key",
    "new_piece_key",
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


def new_archive_key(name: str, version: Version) -> str:
    """Give a key for an archive that nobody else has or will have: racing publishers never write to one key."""
    return f"{ARCHIVES}{name}/{name}-{version}-{secrets.token_hex(6)}.tar.zst"


def new_piece_key(archive: str) -> str:
    """Give a key for a piece of an archive, which is needed only until the archive is whole."""
    return f"{archive.rpartition('/')[0]}/{_PIECES}{secrets.token_hex(16)}"


def releases_prefix(name: str) -> str:
    """Where the records of a package are, by its canonical name."""
    return f"{RELEASES}{name}/"


def record_key(name: str, version: Version) -> str:
    """Where the record of a release is."""
    return f"{RELEASES}{name}/{version}{_RECORD_SUFFIX}"


def version_of_record(key: str, name: str) -> str | None:
    """Give the version that a record's key names, unread; None for a key that is no record's."""
    return _version_in(key, releases_prefix(name))


def _version_in(key: str, prefix: str) -> str | None:
    if not key.startswith(prefix) or not key.endswith(_RECORD_SUFFIX):
        return None
    return key[len(prefix) : -len(_RECORD_SUFFIX)]


def markers_prefix(name: str) -> str:
    """Where those who change a package say so, until its index tells of it; listed with its records."""
    return f"{releases_prefix(name)}{_MARKERS}"


def new_marker_key(name: str) -> str:
    """Give a key for a marker that nobody else has or will have."""
    return f"{markers_prefix(name)}{secrets.token_hex(16)}"


def is_marker(key: str, name: str) -> bool:
    """Say whether a key is that of a marker of this package."""
    return key.startswith(markers_prefix(name))


def statuses_prefix(name: str) -> str:
    """Where the statuses of a package's releases are."""
    return f"{_STATUS}{name}/"


def status_key(name: str, version: Version) -> str:
    """Where the status of a release is, if anybody ever set one."""
    return f"{_STATUS}{name}/{version}{_RECORD_SUFFIX}"


def version_of_status(key: str, name: str) -> str | None:
    """Give the version that a status's key names, unread; None for a key that is no status's."""
    return _version_in(key, statuses_prefix(name))


def index_key(name: str) -> str:
    """Where the index of a package is."""
    return f"index/{name}.json"
