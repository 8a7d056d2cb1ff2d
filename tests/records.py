"""Records of releases that were never built, for tests of what reads records and nothing else."""

from __future__ import annotations

import json
from typing import Any

from orbitpkg.archive.frames import archive_size
from orbitpkg.model.manifest import parse_manifest
from orbitpkg.model.release import ArchiveTotals, ContentsLocation, Release, new_release

__all__ = ["RECORD", "record_of"]

RECORD: dict[str, Any] = {
    "format": 1,
    "name": "model",
    "version": "1.0.0",
    "archive": {"key": "archives/model/model-1.0.0-0123456789ab.tar.zst", "size": 1064},
    "contents": {"offset": 800, "length": 200, "raw_length": 900, "blake3": "ab" * 32},
    "files": 3,
    "bytes": 5000,
    "encoder": "by hand",
    "published": "2026-01-31T12:00:00Z",
    "description": "A model",
    "license": "MIT",
    "compatibility": {"app": ">=1"},
    "dependencies": {"other": ">=1.0"},
    "keywords": ["one"],
    "metadata": {"accuracy": 0.97},
}
"""The record of a release, with every field."""

_PLACE = ContentsLocation(offset=800, length=200, raw_length=900, blake3="ab" * 32)


def record_of(name: str, version: str, **manifest: object) -> Release:
    """Make a release that a repository takes."""
    document = {"name": name, "version": version, "include": ["**"], **manifest}
    read = parse_manifest(json.dumps(document).encode())
    totals = ArchiveTotals(
        key=f"archives/{read.key}/{read.key}-{version}-0123456789ab.tar.zst",
        size=archive_size(_PLACE),
        files=1,
        bytes=100,
        encoder="none",
    )
    return new_release(read, archive=totals, contents=_PLACE, published="2026-01-31T12:00:00Z")
