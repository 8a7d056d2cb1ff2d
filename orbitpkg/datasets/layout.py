"""The object keys of datasets in a repository. ``docs/datasets.md`` describes the objects."""

from __future__ import annotations

import re
import secrets
from datetime import UTC, datetime

__all__ = [
    "BLOBS",
    "DATASETS",
    "blob_key",
    "catalogue_prefix",
    "new_note_key",
    "notes_prefix",
    "part_key",
    "part_time",
    "record_key",
]

DATASETS = "datasets/"
BLOBS = "blobs/"
_TIME = "%Y%m%dT%H%M%S.%fZ"
_PART = re.compile(r"part-([0-9]{8}T[0-9]{6}\.[0-9]{6}Z)-([0-9a-f]{32})\.parquet")


def record_key(dataset: str) -> str:
    """Return the key of a dataset's record. The record is created once and never changed."""
    return f"{DATASETS}{dataset}/dataset.json"


def notes_prefix(dataset: str) -> str:
    """Return the prefix of a dataset's notes. Their keys sort by time."""
    return f"{DATASETS}{dataset}/notes/"


def new_note_key(dataset: str, now: datetime) -> str:
    """Return a unique key for a new note."""
    return f"{notes_prefix(dataset)}{now.astimezone(UTC).strftime(_TIME)}-{secrets.token_hex(4)}.json"


def catalogue_prefix(dataset: str) -> str:
    """Return the prefix of a dataset's catalogue, which holds only its parts."""
    return f"{DATASETS}{dataset}/catalogue/"


def part_key(dataset: str, now: datetime, digest: str) -> str:
    """Return the key of a part of a catalogue.

    Args:
        dataset: The canonical ID of the dataset.
        now: The time of creation, by which keys sort.
        digest: The first 32 digits of the BLAKE3 of the part.
    """
    return f"{catalogue_prefix(dataset)}part-{now.astimezone(UTC).strftime(_TIME)}-{digest}.parquet"


def part_time(key: str) -> tuple[datetime, str] | None:
    """Return the time and the digest in the key of a part, or None for any other key."""
    match = _PART.fullmatch(key.rpartition("/")[2])
    if match is None:
        return None
    return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC), match[2]


def blob_key(blake3: str) -> str:
    """Return the key of the content with this BLAKE3, which all datasets of the repository share."""
    return f"{BLOBS}{blake3[:2]}/{blake3}"
