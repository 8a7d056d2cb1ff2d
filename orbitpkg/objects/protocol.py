"""The protocol that every object store implements, and the rules for keys, ranges and metadata.

Promises: a write becomes visible as a whole or not at all; only errors of ``orbitpkg.errors`` are raised; and
``ObjectNotFound`` means that the store answered that the object does not exist. Refuses: renames, and keys that two
stores could read differently.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from orbitpkg.errors import RepositoryError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

__all__ = [
    "MAX_KEY_BYTES",
    "STREAM_BYTES",
    "Capabilities",
    "ObjectInfo",
    "ObjectStore",
    "PartLimits",
    "Upload",
    "UploadInfo",
    "check_key",
    "check_metadata",
    "check_prefix",
    "check_range",
    "is_valid_key",
    "joined_length",
]

STREAM_BYTES: Final = 128 * 1024
"""The approximate size of a piece of a stream: large enough to cost little, small beside a chunk.

Larger pieces would be assembled in newly allocated memory; 1 MiB pieces took twice the processor time.
"""

MAX_KEY_BYTES: Final = 1024
"""The longest key that S3 accepts, in bytes of UTF-8 (Amazon S3 User Guide, "Creating object key names")."""

_METADATA_BYTES: Final = 2048
_TOKEN: Final = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """The facts that a store reports about an object.

    Attributes:
        key: The object's name in the store, ``/``-separated, without the store's own prefix.
        size: Its length in bytes.
        etag: An identifier of this content of the object, quoted as the store quotes it, or None if the store has
            none. Two contents under one key never share it; one content may have several.
        modified: When it was written, with a time zone; None if the store does not report it.
        version: The identifier of this version of the object, in stores that keep older versions (S3's
            ``VersionId``). Listings do not report it.
    """

    key: str
    size: int
    etag: str | None
    modified: datetime | None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLimits:
    """The limits on the parts of an upload.

    Attributes:
        min_bytes: The minimum length of every part but the last.
        max_bytes: The maximum length of a part; None if unlimited.
        max_parts: The highest part number; None if unlimited.
    """

    min_bytes: int = 0
    max_bytes: int | None = None
    max_parts: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capabilities:
    """What a kind of store can do beyond reading objects.

    A capability that is False is reliably absent. One with the value True can still fail on a particular server with
    ``UnsupportedByStore``; ``orbitpkg.repository.probe`` tries those that publishing depends on.

    Attributes:
        listing: ``list`` and ``list_folders``.
        writing: ``put``, ``create``, ``delete``, ``copy`` and uploads.
        replacing: ``replace``, a write on the condition that the object is unchanged.
        part_copies: ``Upload.copy_part``, a copy inside the store.
        metadata: Metadata that is written with an object is kept.
        versions: Older versions of an object can be read.
        remote_copies: ``copy_from``, a copy from another store of the same service.
        foreign_keys: ``list_everything`` also reports keys that ``is_valid_key`` refuses.
    """

    listing: bool = True
    writing: bool = True
    replacing: bool = True
    part_copies: bool = True
    metadata: bool = False
    versions: bool = False
    remote_copies: bool = False
    foreign_keys: bool = False


class Upload(Protocol):
    """A large object that is being written in parts, from several threads and in any order.

    Parts are numbered from 1. A part whose reply was lost may be sent again with the same bytes (and with others, to
    every store but rclone's).
    """

    @property
    def id(self) -> str:
        """The store's identifier of this upload, for ``resume_upload``; empty if it cannot be resumed."""

    def reuse_part(self, number: int, offset: int, length: int) -> bool:
        """Count part ``number`` of a resumed upload as sent, if the store has one of this length."""

    def put_part(self, number: int, offset: int, data: bytes | memoryview) -> None:
        """Send part ``number``, whose first byte is byte ``offset`` of the object.

        Raises:
            RepositoryError: The store did not accept it; it may be sent again.
        """

    def copy_part(self, number: int, offset: int, source: str, start: int, length: int) -> None:
        """Have the store copy ``length`` bytes of its object ``source``, from byte ``start`` on, as part ``number``.

        Raises:
            UnsupportedByStore: The store cannot copy parts. Abort this upload and send the bytes in another one:
                some stores have stored an empty part.
            ObjectNotFound: The object ``source`` does not exist.
            IntegrityError: ``source`` ends before ``start + length``.
        """

    def complete(self, *, create_only: bool = False) -> ObjectInfo:
        """Make the object visible, replacing an existing one.

        Args:
            create_only: Do not replace an existing object. As with ``create``, a store may ignore this: Ceph's
                gateway and rclone's server do.

        Raises:
            ValueError: There are no parts, or they leave a gap or overlap.
            ObjectExists: The object exists and was not to be replaced; perhaps it is this very one, as with
                ``create``.
            RepositoryError: The store failed; nothing incomplete became visible.
        """

    def abort(self) -> None:
        """Discard the upload and its parts. An upload that is complete or already gone is left alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadInfo:
    """An upload that is neither complete nor aborted.

    Attributes:
        key: The key of the object to be written; empty if the store does not report it.
        id: The store's identifier of the upload.
        started: When it began.
    """

    key: str
    id: str
    started: datetime


class ObjectStore(Protocol):
    """A flat space of keys and bytes. Safe to use from several threads.

    Every method raises ``RepositoryUnreachable``, ``CredentialsError``, ``AccessDenied`` or another
    ``RepositoryError`` (``StorageError`` for a local disk) when the store does not respond or refuses, and
    ``RepositoryError`` for a key that ``check_key`` refuses.
    """

    @property
    def url(self) -> str:
        """The address, as ``open_store`` accepts it, without credentials."""

    @property
    def capabilities(self) -> Capabilities:
        """What this kind of store can do."""

    @property
    def part_limits(self) -> PartLimits:
        """The limits on the parts of ``start_upload``."""

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object, or an older ``version`` of it.

        Raises:
            ObjectNotFound: The object does not exist.
            IntegrityError: It is larger than ``max_bytes``; not all of it was read.
            UnsupportedByStore: A ``version`` is given, and the store keeps none.
        """

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read a whole object; return None without transferring it if it still has the ETag ``etag``.

        A store that does not support this condition sends an unchanged object again.

        Raises:
            ObjectNotFound: The object does not exist.
            IntegrityError: It is larger than ``max_bytes``; not all of it was read.
        """

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read exactly ``length`` bytes, at least one, from byte ``start`` on.

        Raises:
            ValueError: ``start`` is negative or ``length`` is not positive.
            ObjectNotFound: The object does not exist.
            ObjectChanged: The object's ETag is not ``etag``.
            IntegrityError: The object ends before ``start + length``.
            UnsupportedByStore: The store does not support ranged reads: read the whole object. Or a ``version`` is
                given, and the store keeps none.
        """

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read ``length`` bytes from byte ``start`` on in pieces, or the whole object if no length is given.

        Failures are not retried: the caller knows what arrived and requests the rest.

        Raises:
            ObjectNotFound: The object does not exist.
            IntegrityError: The object ends before ``start + length``.
            UnsupportedByStore: The store does not support ranged reads: read the whole object.
            RepositoryUnreachable: The answer was cut short; the pieces before are correct.
        """

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the facts about an object, or about an older ``version`` of it, without reading it.

        Raises:
            ObjectNotFound: The object does not exist.
            UnsupportedByStore: A ``version`` is given, and the store keeps none.
        """

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Return the metadata written with an object: S3's user metadata, in lower case without ``x-amz-meta-``.

        A store that keeps no metadata returns an empty dictionary.

        Raises:
            ObjectNotFound: The object does not exist.
            UnsupportedByStore: A ``version`` is given, and the store keeps none.
        """

    def part_size(self, key: str) -> int | None:
        """Return the size in bytes of the first part that an object was uploaded in, or None if it is unknown."""

    def list_folders(self, prefix: str) -> list[str]:
        """Return the names between ``prefix`` (empty, or ending in ``/``) and the next ``/``, sorted.

        Raises:
            UnsupportedByStore: The store cannot list.
        """

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List the objects whose key begins with ``prefix`` (a plain string, not a folder), in key order.

        Without matches, the iterator is empty. Keys that ``is_valid_key`` refuses are skipped: orbitpkg wrote none
        of them.

        Raises:
            UnsupportedByStore: The store cannot list.
        """

    def list_everything(self, prefix: str) -> Iterator[ObjectInfo]:
        """List as ``list`` does, including keys that no other method accepts, if the store has such keys."""

    def put(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write a small object in one request, replacing an existing one.

        Raises:
            UsageError: ``check_metadata`` refuses ``metadata``. A store that keeps no metadata drops it.
        """

    def copy(self, source: str, key: str) -> ObjectInfo:
        """Have the store copy its object ``source``, with its metadata, to ``key``.

        Raises:
            ObjectNotFound: The object ``source`` does not exist.
        """

    def copy_from(self, other: ObjectStore, source: str, key: str) -> ObjectInfo:
        """Have the service copy the object ``source`` of another store, with its metadata, to ``key``.

        Raises:
            UnsupportedByStore: The stores do not belong to one service, or the object is too large for one request.
            ObjectNotFound: The object ``source`` does not exist.
        """

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object only if the key is unused.

        If a reply is lost after the store did the work, the retry finds the caller's own object. So ``ObjectExists``
        does not mean that another process wrote it: read the object before concluding that.

        Raises:
            ObjectExists: The object exists.
        """

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:
        """Overwrite an object only if it still has the ETag ``etag``.

        As with ``create``, a lost reply can make the caller's own write look like that of another process.

        Raises:
            ObjectChanged: The object has another ETag or is gone.
            UnsupportedByStore: The store cannot do this reliably.
        """

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is ignored."""

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin to write a large object in parts.

        Raises:
            UsageError: ``check_metadata`` refuses ``metadata``.
        """

    def resume_upload(self, key: str, upload: str) -> Upload | None:
        """Resume an upload by its identifier; return None if it is gone or the store cannot resume uploads."""

    def list_uploads(self) -> Iterator[UploadInfo]:
        """List the uploads that are neither complete nor aborted."""

    def abort_upload(self, info: UploadInfo) -> None:
        """Discard an upload that ``list_uploads`` reported. An upload that is already gone is ignored."""

    def close(self) -> None:
        """Close connections. Closing twice is allowed."""


def check_key(key: str) -> str:
    """Return ``key`` if every store can hold an object under exactly this name.

    Raises:
        RepositoryError: The key has an empty, ``.`` or ``..`` part, a backslash or a control character, cannot be
            encoded in UTF-8, or is longer than ``MAX_KEY_BYTES``. This is not a ``ValueError``, because keys also
            come from documents in the repository.
    """
    if flaw := _problem_of(key):
        raise RepositoryError(f"The object key {key[:200]!r} is not valid: {flaw}.", key=key[:MAX_KEY_BYTES])
    return key


def is_valid_key(key: str) -> bool:
    """Return whether ``check_key`` accepts ``key``."""
    return _problem_of(key) is None


def check_prefix(prefix: str) -> str:
    """Return ``prefix`` if some valid key begins with it.

    Raises:
        RepositoryError: No key that ``check_key`` accepts begins with it.
    """
    folder, _, name = prefix.rpartition("/")
    if folder or prefix.startswith("/"):
        check_key(folder)
    # "." and ".." are not valid parts of keys, but ".hidden" begins with one.
    if name.strip("."):
        check_key(name)
    return prefix


def _problem_of(key: str) -> str | None:
    if any(part in ("", ".", "..") for part in key.split("/")):
        return "it has an empty part, a '.' or a '..'"
    if not key.isprintable() or "\\" in key:
        return "it has a backslash, a control character or an invisible one"
    # isprintable() has refused lone surrogates, so encoding cannot fail.
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"it is longer than {MAX_KEY_BYTES} bytes"
    return None


def check_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Return metadata with its names in lower case, if every store that keeps metadata can hold it.

    Raises:
        UsageError: A name has characters other than letters, digits and hyphens (Ceph's gateway reads ``_`` as
            ``-``), two names differ only in case, a value is not plain ASCII without surrounding spaces (HTTP strips
            those, and stores disagree about other characters), or the total exceeds S3's 2 KB (Amazon S3 User
            Guide, "Working with object metadata").
    """
    found = {name.lower(): value for name, value in (metadata or {}).items()}
    for name, value in found.items():
        if not _TOKEN.fullmatch(name):
            raise UsageError(f"{name!r} is not a valid metadata name.", hint="Use letters, digits and hyphens.")
        if not (value.isascii() and (value.isprintable() or not value)) or value != value.strip():
            raise UsageError(
                f"The value of the metadata {name!r} cannot be stored: {value[:100]!r}.",
                hint="Use printable ASCII characters.",
            )
    if len(found) != len(metadata or {}):
        raise UsageError("Two metadata names differ only in upper and lower case.")
    if (size := sum(len(name) + len(value) for name, value in found.items())) > _METADATA_BYTES:
        raise UsageError(f"The metadata has {size:,} bytes; the maximum is {_METADATA_BYTES:,}.")
    return found


def check_range(start: int, length: int) -> None:
    """Check a range of bytes.

    Raises:
        ValueError: ``start`` is negative or ``length`` is not positive.
    """
    if start < 0 or length <= 0:
        raise ValueError(f"{length} bytes from byte {start} is not a range")


def joined_length(parts: Mapping[int, tuple[int, int]]) -> int:
    """Return the length of the object that ``parts`` (number → offset, length) form when joined by number.

    Raises:
        ValueError: There are no parts, or the numbers or the offsets leave a gap or overlap.
    """
    if not parts:
        raise ValueError("an upload needs at least one part")
    end = 0
    for expected, number in enumerate(sorted(parts), start=1):
        offset, length = parts[number]
        if number != expected or offset != end:
            raise ValueError(f"part {number} begins at byte {offset}; expected part {expected} at byte {end}")
        end += length
    return end
