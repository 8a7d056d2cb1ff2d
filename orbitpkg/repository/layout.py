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
    "new_archive_key",
    "record_key",
    "releases_prefix",
    "version_of_record",
]

CONFIG_KEY = "orbitpkg.json"
ARCHIVES = "archives/"
RELEASES = "releases/"
PROBES = "probes/"
_RECORD_SUFFIX = ".json"


def new_archive_key(name: str, version: Version) -> str:
    """Give a key for an archive that nobody else has or will have: racing publishers never write to one key."""
    return f"{ARCHIVES}{name}/{name}-{version}-{secrets.token_hex(6)}.tar.zst"


def releases_prefix(name: str) -> str:
    """Where the records of a package are, by its canonical name."""
    return f"{RELEASES}{name}/"


def record_key(name: str, version: Version) -> str:
    """Where the record of a release is."""
    return f"{RELEASES}{name}/{version}{_RECORD_SUFFIX}"


def version_of_record(key: str, name: str) -> str | None:
    """Give the version that a record's key names, unread; None for a key that is no record's."""
    prefix = releases_prefix(name)
    if not key.startswith(prefix) or not key.endswith(_RECORD_SUFFIX):
        return None
    return key[len(prefix) : -len(_RECORD_SUFFIX)]


def index_key(name: str) -> str:
    """Where the index of a package is."""
    return f"index/{name}.json"
