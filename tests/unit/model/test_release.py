"""Release records: written from a manifest, read back, and what their digest commits to."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import pytest

from orbitpkg.errors import ManifestError
from orbitpkg.model.manifest import Manifest, parse_manifest
from orbitpkg.model.release import (
    MAX_RECORD_BYTES,
    ArchiveTotals,
    ContentsLocation,
    Release,
    new_release,
    parse_release,
    release_digest,
)
from orbitpkg.model.versions import parse_version

TOTALS = ArchiveTotals(
    key="archives/my-model/my-model-1.0.0-0123456789ab.tar.zst", size=1064, files=3, bytes=5000, encoder="zstd 1"
)
PLACE = ContentsLocation(offset=800, length=200, raw_length=900, blake3="ab" * 32)
PUBLISHED = "2026-01-31T12:00:00Z"


def manifest(**fields: object) -> Manifest:
    document = {"name": "My_Model", "version": "1.0.0", "include": ["**"], **fields}
    return parse_manifest(json.dumps(document).encode())


def released(**fields: object) -> Release:
    return new_release(manifest(**fields), archive=TOTALS, contents=PLACE, published=PUBLISHED)


FULL = {
    "description": "Gr\u00f6\u00dfe",
    "license": "MIT",
    "compatibility": {"app": ">=1"},
    "dependencies": {"other": ">=1.0"},
    "keywords": ["b", "a"],
    "metadata": {"accuracy": 0.97, "nested": {"z": [1, None]}},
}


def test_a_record_contains_the_values_of_the_manifest() -> None:
    release = released(**FULL)
    assert (release.name, release.key, str(release.version)) == ("My_Model", "my-model", "1.0.0")
    assert str(release) == "My_Model==1.0.0"
    assert (release.archive, release.contents, release.published) == (TOTALS, PLACE, PUBLISHED)
    assert {key: getattr(release, key) for key in FULL} == {**FULL, "keywords": ("b", "a")}


def test_a_record_of_a_plain_manifest_holds_no_empty_fields() -> None:
    release = released()
    assert set(json.loads(release.raw)) == {
        *("format", "name", "version", "archive", "contents", "files", "bytes", "encoder", "published")
    }
    assert (release.description, release.license, release.keywords) == ("", None, ())
    assert (release.compatibility, release.dependencies, release.metadata) == ({}, {}, {})


def test_a_record_is_read_back() -> None:
    release = released(**FULL)
    again = parse_release(release.raw, name="my-model", version=parse_version("1.0.0"))
    assert again == release


def test_the_digest_is_the_sha256_of_the_record() -> None:
    release = released()
    assert release.digest == release_digest(release.raw) == hashlib.sha256(release.raw).hexdigest()


def test_a_record_is_written_in_one_way_only() -> None:
    assert released(**FULL).raw == released(**dict(reversed(FULL.items()))).raw
    assert released(metadata={"b": 1, "a": 2}).raw == released(metadata={"a": 2, "b": 1}).raw


def test_every_change_of_a_release_changes_its_digest() -> None:
    digests = {
        release.digest
        for release in [
            released(),
            released(description="x"),
            released(version="1.0.1"),
            new_release(manifest(), archive=replace(TOTALS, size=1065), contents=PLACE, published=PUBLISHED),
            new_release(manifest(), archive=TOTALS, contents=replace(PLACE, blake3="cd" * 32), published=PUBLISHED),
            new_release(manifest(), archive=TOTALS, contents=PLACE, published="2026-01-31T12:00:01Z"),
        ]
    }
    assert len(digests) == 6


def with_text(length: int) -> Release:
    # Manifests read from files have a lower limit, which leaves space for fields added by other tools.
    long = replace(manifest(), metadata={"text": "x" * length})
    return new_release(long, archive=TOTALS, contents=PLACE, published=PUBLISHED)


def test_a_record_may_be_of_exactly_the_limit() -> None:
    room = MAX_RECORD_BYTES - len(released(metadata={"text": ""}).raw)
    assert len(with_text(room).raw) == MAX_RECORD_BYTES
    with pytest.raises(ManifestError) as caught:
        with_text(room + 1)
    (problem,) = caught.value.problems
    assert problem.pointer == "/metadata"
    assert "would have 65,537 bytes; the maximum is 65,536" in problem.message
    assert problem.hint == "put large values in a file of the package"
