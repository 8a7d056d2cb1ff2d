"""The keys of datasets in a repository. ``docs/datasets.md`` tells what lies under each."""

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
    """Where the record of a dataset is, by its canonical id: created once."""
    return f"{DATASETS}{dataset}/dataset.json"


def notes_prefix(dataset: str) -> str:
    """Where the notes of a dataset are; in the order of their keys, the oldest first."""
    return f"{DATASETS}{dataset}/notes/"


def new_note_key(dataset: str, now: datetime) -> str:
    """Give a key for a note that nobody else has or will have."""
    return f"{notes_prefix(dataset)}{now.astimezone(UTC).strftime(_TIME)}-{secrets.token_hex(4)}.json"


def catalogue_prefix(dataset: str) -> str:
    """Where the parts of a dataset's catalogue are, and nothing else."""
    return f"{DATASETS}{dataset}/catalogue/"


def part_key(dataset: str, now: datetime, digest: str) -> str:
    """Where a part of a catalogue is.

    Args:
        dataset: Its canonical id.
        now: When it was made: parts are listed in this order.
        digest: The first 32 digits of the BLAKE3 of its bytes.
    """
    return f"{catalogue_prefix(dataset)}part-{now.astimezone(UTC).strftime(_TIME)}-{digest}.parquet"


def part_time(key: str) -> tuple[datetime, str] | None:
    """Give the time and the digest that the key of a part names; None for what is no part."""
    match = _PART.fullmatch(key.rpartition("/")[2])
    if match is None:
        return None
    return datetime.strptime(match[1], _TIME).replace(tzinfo=UTC), match[2]


def blob_key(blake3: str) -> str:
    """Where the bytes with this BLAKE3 are, for all datasets of the repository."""
    return f"{BLOBS}{blake3[:2]}/{blake3}"
