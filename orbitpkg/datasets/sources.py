"""The record and the notes of a dataset.

Ids are compared like package names (PEP 503). The record is stored under the canonical id with a create-only write: if
two processes create the same dataset at the same time, only one succeeds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from orbitpkg.concurrency.pool import Pool
from orbitpkg.datasets.layout import DATASETS, new_note_key, notes_prefix, record_key
from orbitpkg.errors import (
    DatasetExists,
    DatasetNotFound,
    IntegrityError,
    ObjectExists,
    ObjectNotFound,
    UnsafeRepository,
    UsageError,
)
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.model.names import canonical_name, is_valid_name, nearest
from orbitpkg.model.wording import UPGRADE_HINT, as_subject, unsupported_format

if TYPE_CHECKING:
    from orbitpkg.repository.repository import Repository

__all__ = [
    "Note",
    "Source",
    "add_note",
    "create_source",
    "find_source",
    "list_sources",
    "read_notes",
    "read_source",
    "source_key",
]

_FORMAT: Final = 1
_MAX_RECORD_BYTES: Final = 64 * 1024
_MAX_NOTE_BYTES: Final = 1024 * 1024
_READERS: Final = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The record of a dataset.

    Attributes:
        id: The id as its creator spelled it.
        created: The time of creation, UTC.
        description: A short description.
    """

    id: str
    created: datetime
    description: str = ""

    @property
    def key(self) -> str:
        """The canonical id."""
        return canonical_name(self.id)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """A note about a dataset.

    Attributes:
        written: The time when it was written, UTC.
        text: The text.
    """

    written: datetime
    text: str


def source_key(identifier: str) -> str:
    """Return the canonical form of a dataset id.

    Raises:
        UsageError: The id is invalid.
    """
    try:
        return canonical_name(identifier)
    except UsageError as error:
        raise UsageError(
            f"{identifier[:200]!r} is not a valid dataset ID: {error.data['reason']}.", hint=error.hint
        ) from None


def create_source(
    repository: Repository, identifier: str, *, description: str = "", unsafe_single_writer: bool = False
) -> Source:
    """Create a dataset, and its repository if needed.

    Raises:
        UsageError: The id is invalid.
        DatasetExists: A dataset with this id exists.
        UnsafeRepository: The store ignores create-only writes.
        RepositoryError: The repository cannot be written.
    """
    key = source_key(identifier)
    config, _ = repository.init()
    if not (config.create_only or unsafe_single_writer):
        raise UnsafeRepository(
            f"{repository.url} ignores create-only writes, so two processes could create the same dataset.",
            hint="If only one process writes to it, use --unsafe-single-writer.",
        )
    now = datetime.now(UTC)
    source = Source(id=identifier, created=now, description=description)
    data = canonical_json({"format": _FORMAT, "id": identifier, "created": now.isoformat(), "description": description})
    if len(data) > _MAX_RECORD_BYTES:
        raise UsageError("The description is too long.", hint="To add it as a note: orbitpkg dataset note")
    if not config.create_only and find_source(repository, identifier) is not None:
        raise _exists(repository, identifier)
    try:
        repository.objects.create(record_key(key), data)
    except ObjectExists:
        # Times are in microseconds, so an equal record was written by an earlier attempt whose reply was lost.
        if repository.objects.get(record_key(key), max_bytes=_MAX_RECORD_BYTES)[0] != data:
            raise _exists(repository, identifier) from None
    return source


def _exists(repository: Repository, identifier: str) -> DatasetExists:
    return DatasetExists(
        f"The dataset {identifier} already exists in {repository.url}.",
        hint=f"Choose another ID. To show the dataset: orbitpkg dataset info {identifier}",
        id=identifier,
    )


def find_source(repository: Repository, identifier: str) -> Source | None:
    """Read the record of a dataset, or return None if there is none.

    Raises:
        UsageError: The id is invalid.
        IntegrityError: The record is damaged.
    """
    key = source_key(identifier)
    try:
        data, _ = repository.objects.get(record_key(key), max_bytes=_MAX_RECORD_BYTES)
    except ObjectNotFound:
        return None
    return _parse_source(data, key, where=f"the record of the dataset {key} in {repository.url}")


def read_source(repository: Repository, identifier: str) -> Source:
    """Read the record of a dataset.

    Raises:
        DatasetNotFound: The dataset does not exist. The message suggests similar IDs.
    """
    found = find_source(repository, identifier)
    if found is not None:
        return found
    close = nearest(identifier, _keys(repository))
    raise DatasetNotFound(
        f"The dataset {identifier} does not exist in {repository.url}.",
        hint=f"Did you mean {' or '.join(close)}?" if close else "To list the datasets: orbitpkg dataset list",
        id=identifier,
        nearest=close,
    )


def list_sources(repository: Repository) -> list[Source]:
    """Read the records of all datasets, sorted by id."""
    with Pool(_READERS, "orbitpkg-datasets") as pool:
        found = pool.map(lambda key: find_source(repository, key), _keys(repository))
        return [source for source in found if source is not None]


def _keys(repository: Repository) -> list[str]:
    return [key for key in repository.objects.list_folders(DATASETS) if is_valid_name(key)]


def _parse_source(data: bytes, key: str, *, where: str) -> Source:
    fields = _parse(data, where, _MAX_RECORD_BYTES)
    match fields:
        case {"id": str(name), "created": str(created), "description": str(description)} if (
            is_valid_name(name) and canonical_name(name) == key
        ):
            return Source(id=name, created=_time(created, where), description=description)
    raise IntegrityError(f"{as_subject(where)} is damaged, or describes another dataset.")


def add_note(repository: Repository, key: str, text: str) -> Note:
    """Add a note to a dataset.

    Raises:
        UsageError: The note is empty or too long.
        RepositoryError: The repository could not be written.
    """
    note = Note(written=datetime.now(UTC), text=text)
    data = canonical_json({"format": _FORMAT, "written": note.written.isoformat(), "text": text})
    if not text.strip() or len(data) > _MAX_NOTE_BYTES:
        raise UsageError("The note is too long; the maximum is 1 MiB." if text.strip() else "The note is empty.")
    repository.objects.put(new_note_key(key, note.written), data)
    return note


def read_notes(repository: Repository, key: str) -> list[Note]:
    """Read the notes about a dataset, oldest first."""
    keys = [info.key for info in repository.objects.list(notes_prefix(key)) if info.key.endswith(".json")]
    with Pool(_READERS, "orbitpkg-notes") as pool:
        return list(pool.map(lambda each: _read_note(repository, each), keys))


def _read_note(repository: Repository, key: str) -> Note:
    where = f"the note {key} in {repository.url}"
    fields = _parse(repository.objects.get(key, max_bytes=_MAX_NOTE_BYTES)[0], where, _MAX_NOTE_BYTES)
    match fields:
        case {"written": str(written), "text": str(text)}:
            return Note(written=_time(written, where), text=text)
    raise IntegrityError(f"{as_subject(where)} is damaged.")


def _parse(data: bytes, where: str, most: int) -> dict[str, object]:
    fields = parse_json(data, what=where, max_bytes=most)
    if not isinstance(fields, dict) or type(fields.get("format")) is not int:
        raise IntegrityError(f"{as_subject(where)} is damaged.")
    if fields["format"] > _FORMAT:
        raise IntegrityError(unsupported_format(where, fields["format"], _FORMAT), hint=UPGRADE_HINT)
    return fields


def _time(text: str, where: str) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise IntegrityError(f"{as_subject(where)} contains an invalid time.") from None
    return time.astimezone(UTC)
