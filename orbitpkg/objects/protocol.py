"""What every object store offers, whatever it is made of: one small protocol, and the rules for keys.

Promises: whole values in, whole values out; a write is visible whole or not at all; only errors of
``orbitpkg.errors`` come out; and ``ObjectNotFound`` means that the store said, for certain, that there is nothing.
Refuses: streams (a large object is read by ranges and written by parts), renames, and keys that could be read in two
ways.
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
"""About how large the pieces of a stream are: large enough that a piece costs nothing, small beside a chunk.

Larger ones are put together from what came, in memory that is new each time: 1 MiB took twice the processor time.
"""

MAX_KEY_BYTES: Final = 1024
"""The longest key S3 takes, in bytes of UTF-8 (Amazon S3 User Guide, "Creating object key names")."""

_METADATA_BYTES: Final = 2048
_TOKEN: Final = re.compile(r"[a-z0-9][a-z0-9-]*")


@dataclass(frozen=True, slots=True, kw_only=True)
class ObjectInfo:
    """What a store says about one object.

    Attributes:
        key: The object's name in the store, ``/``-separated, without the store's own prefix.
        size: Its length in bytes.
        etag: The store's word for this content of the object, as the store spells it (quotes and all); None when the
            store has no such thing. Two contents of one key never share it; one content may have several.
        modified: When it was written, with a time zone; None when the store does not say.
        version: The store's name for this state of the object, where it keeps older ones and says so (S3's
            ``VersionId``; listings do not say).
    """

    key: str
    size: int
    etag: str | None
    modified: datetime | None
    version: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PartLimits:
    """How an upload may be cut.

    Attributes:
        min_bytes: The smallest length of every part but the last.
        max_bytes: The largest length of a part; None when there is no bound.
        max_parts: The highest part number; None when there is no bound.
    """

    min_bytes: int = 0
    max_bytes: int | None = None
    max_parts: int | None = None


class Upload(Protocol):
    """One large object on its way: parts from several threads, in any order, then all or nothing.

    Parts are numbered from 1. A part whose reply was lost may be given again with the same bytes (and with others, to
    all stores but rclone's).
    """

    @property
    def id(self) -> str:
        """The store's name for this upload, by which ``resume_upload`` finds it; empty where that cannot be."""

    def adopt_part(self, number: int, offset: int, length: int) -> bool:
        """Count part ``number`` of an upload that goes on as sent, if the store has one of this length."""

    def put_part(self, number: int, offset: int, data: bytes | memoryview) -> None:
        """Send part ``number``, whose first byte is byte ``offset`` of the object.

        Raises:
            RepositoryError: The store did not take it; the upload may go on with another try.
        """

    def copy_part(self, number: int, offset: int, source: str, start: int, length: int) -> None:
        """Have the store copy ``length`` bytes of its object ``source``, from byte ``start`` on, as part ``number``.

        Raises:
            UnsupportedByStore: The store cannot copy parts. Abort this upload, begin another and send the bytes:
                some stores have taken the request for a part of no bytes.
            ObjectNotFound: There is no object ``source``.
            IntegrityError: ``source`` ends before ``start + length``.
        """

    def complete(self, *, create_only: bool = False) -> ObjectInfo:
        """Make the object visible, replacing one of the same key.

        Args:
            create_only: Do not replace one. A store may ignore that, as it may with ``create``: Ceph's gateway and
                rclone's server do.

        Raises:
            ValueError: The parts leave a gap, overlap or are none.
            ObjectExists: There is one, which was not to be replaced; perhaps this very one, as with ``create``.
            RepositoryError: The store did not do it; nothing became visible that is not whole.
        """

    def abort(self) -> None:
        """Forget the upload and what was sent. One that is gone already, or complete, is left as it is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UploadInfo:
    """An upload that is neither complete nor aborted.

    Attributes:
        key: Of the object that it was to become; empty where the store does not say.
        id: The store's name for it.
        started: When it began.
    """

    key: str
    id: str
    started: datetime


class ObjectStore(Protocol):
    """A flat space of keys and bytes. Safe to use from several threads at once.

    Every method raises ``RepositoryUnreachable``, ``CredentialsError``, ``AccessDenied`` or another
    ``RepositoryError`` (``StorageError`` for a local disk) when the store cannot be asked or says no, and
    ``RepositoryError`` for a key that ``check_key`` refuses.
    """

    @property
    def url(self) -> str:
        """Where this is, as ``open_store`` takes it; never with credentials."""

    @property
    def part_limits(self) -> PartLimits:
        """How ``start_upload``'s parts may be cut."""

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; an older state of it when there is a ``version``.

        Raises:
            ObjectNotFound: There is none.
            IntegrityError: It is larger than ``max_bytes``; it has not been read whole.
            UnsupportedByStore: There is a ``version``, and the store keeps none.
        """

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read a whole object, or None when it is still in the state that ``etag`` names: no byte of it is sent then.

        A store that takes no such condition, or judges it wrongly, sends an unchanged object again.

        Raises:
            ObjectNotFound: There is none.
            IntegrityError: It is larger than ``max_bytes``; it has not been read whole.
        """

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read exactly ``length`` bytes, at least one, from byte ``start`` on; of an older state, by its ``version``.

        Raises:
            ValueError: ``start`` is negative or ``length`` is not positive.
            ObjectNotFound: There is no such object.
            ObjectChanged: ``etag`` is given and the object's is another.
            IntegrityError: The object ends before ``start + length``.
            UnsupportedByStore: The store answers with something else than the range: read the whole object. Or there
                is a ``version``, and it keeps none.
        """

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read ``length`` bytes from byte ``start`` on, in pieces, as they come; without a length the whole object.

        Nothing is tried again here: who reads knows what it has, and asks for the rest.

        Raises:
            ObjectNotFound: There is no such object.
            IntegrityError: The object ends before ``start + length``.
            UnsupportedByStore: The store answers with something else than the range: read the whole object.
            RepositoryUnreachable: The answer was cut short; what came before is right.
        """

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Tell about an object without reading it; about an older state of it when there is a ``version``.

        Raises:
            ObjectNotFound: There is none.
            UnsupportedByStore: There is a ``version``, and the store keeps none.
        """

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Give what an object's writer said of it: S3's user metadata, names in lower case without ``x-amz-meta-``.

        A store that keeps no such thing gives an empty one.

        Raises:
            ObjectNotFound: There is no such object.
            UnsupportedByStore: There is a ``version``, and the store keeps none.
        """

    def list_folders(self, prefix: str) -> list[str]:
        """Name what stands between ``prefix`` (empty, or ending in ``/``) and the next ``/``, sorted.

        Raises:
            UnsupportedByStore: The store cannot list.
        """

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Tell about all objects whose key begins with ``prefix`` (a plain string, not a folder), in key order.

        Nothing there is an empty iterator, not an error. Keys that ``is_valid_key`` refuses are passed over: orbitpkg
        wrote none of them.

        Raises:
            UnsupportedByStore: The store cannot list.
        """

    def put(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object in one request, replacing one of the same key; for small objects.

        Raises:
            UsageError: ``check_metadata`` refuses ``metadata``. A store that keeps none drops it.
        """

    def copy(self, source: str, key: str) -> ObjectInfo:
        """Have the store write a copy of its object ``source``, with its metadata, over or as ``key``.

        Raises:
            ObjectNotFound: There is no object ``source``.
        """

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object only if there is none of this key.

        A reply can be lost after the store did the work; the try that follows then finds one's own object. So
        ``ObjectExists`` means "there is one", not "somebody else's": read it back before judging.

        Raises:
            ObjectExists: There is one.
        """

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:
        """Write over an object only if it is still in the state that ``etag`` names.

        As with ``create``, a lost reply can make one's own write look like somebody else's: read back.

        Raises:
            ObjectChanged: It is in another state, or gone.
            UnsupportedByStore: The store has no dependable way to do this.
        """

    def delete(self, key: str) -> None:
        """Remove an object; one that is not there is fine."""

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> Upload:
        """Begin to write a large object by parts.

        Raises:
            UsageError: ``check_metadata`` refuses ``metadata``.
        """

    def resume_upload(self, key: str, upload: str) -> Upload | None:
        """Go on with an upload by its name; None when the store knows of none such, or cannot go on with any."""

    def list_uploads(self) -> Iterator[UploadInfo]:
        """Tell about all uploads that are neither complete nor aborted."""

    def abort_upload(self, info: UploadInfo) -> None:
        """Forget an upload that ``list_uploads`` told of. One that is gone already is left as it is."""

    def close(self) -> None:
        """Let go of connections. Closing twice is fine."""


def check_key(key: str) -> str:
    """Give ``key`` back if every store can hold it under that very name.

    Raises:
        RepositoryError: It has an empty, ``.`` or ``..`` part, a backslash or a control character, cannot be written
            in UTF-8, or is longer than ``MAX_KEY_BYTES``. It is an error of the tree, not a ``ValueError``, because
            a key can come out of a document that somebody else wrote.
    """
    if fault := _fault_of(key):
        raise RepositoryError(f"The object key {key[:200]!r} cannot be used: {fault}.", key=key[:MAX_KEY_BYTES])
    return key


def is_valid_key(key: str) -> bool:
    """Tell whether ``check_key`` takes ``key``."""
    return _fault_of(key) is None


def check_prefix(prefix: str) -> str:
    """Give ``prefix`` back if it begins some usable key.

    Raises:
        RepositoryError: No key that ``check_key`` takes begins so.
    """
    folder, _, name = prefix.rpartition("/")
    if folder or prefix.startswith("/"):
        check_key(folder)
    # "." and ".." are no parts of keys, yet ".hidden" begins so.
    if name.strip("."):
        check_key(name)
    return prefix


def _fault_of(key: str) -> str | None:
    if any(part in ("", ".", "..") for part in key.split("/")):
        return "it has an empty part, a '.' or a '..'"
    if not key.isprintable() or "\\" in key:
        return "it has a backslash, a control character or one that cannot be seen"
    # isprintable() has refused lone surrogates, so that this cannot fail.
    if len(key.encode()) > MAX_KEY_BYTES:
        return f"it is longer than {MAX_KEY_BYTES} bytes"
    return None


def check_metadata(metadata: Mapping[str, str] | None) -> dict[str, str]:
    """Give metadata with its names in lower case, if every store that keeps any can hold it.

    Raises:
        UsageError: A name has other characters than letters, digits and hyphens (Ceph's gateway reads ``_`` as ``-``),
            two names differ in case only, a value is not plain ASCII without spaces at its ends (HTTP strips those,
            and each store has its own idea of other characters), or all together is larger than the 2 KB of S3
            (Amazon S3 User Guide, "Working with object metadata").
    """
    found = {name.lower(): value for name, value in (metadata or {}).items()}
    for name, value in found.items():
        if not _TOKEN.fullmatch(name):
            raise UsageError(f"{name!r} cannot be a name of metadata.", hint="Use letters, digits and hyphens.")
        if not (value.isascii() and (value.isprintable() or not value)) or value != value.strip():
            raise UsageError(
                f"The value of the metadata {name!r} cannot be kept: {value[:100]!r}.",
                hint="Use printable ASCII characters.",
            )
    if len(found) != len(metadata or {}):
        raise UsageError("Two names of metadata differ only in upper and lower case.")
    if (size := sum(len(name) + len(value) for name, value in found.items())) > _METADATA_BYTES:
        raise UsageError(f"The metadata has {size:,} bytes; {_METADATA_BYTES:,} is the most.")
    return found


def check_range(start: int, length: int) -> None:
    """Refuse what is no range of bytes.

    Raises:
        ValueError: ``start`` is negative or ``length`` is not positive.
    """
    if start < 0 or length <= 0:
        raise ValueError(f"{length} bytes from byte {start} is no range")


def joined_length(parts: Mapping[int, tuple[int, int]]) -> int:
    """Give the length of the object that ``parts`` (number → offset, length) make when joined by number.

    Raises:
        ValueError: There are none, or the numbers or the offsets leave a gap or overlap.
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
