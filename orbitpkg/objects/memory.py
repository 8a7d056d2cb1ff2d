"""An object store in this process's memory that can be told to misbehave.

It keeps the same promises as the real ones (one suite of tests runs over all), and breaks them in the ways real ones
do when its ``Faults`` say so: a create-only write that overwrites, a reply lost after the work was done, bytes that
are not the ones that were written, an object that changes under a download.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final, Literal, Self

from orbitpkg.errors import (
    IntegrityError,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    RepositoryError,
    RepositoryUnreachable,
    UnsupportedByStore,
)
from orbitpkg.objects.protocol import (
    STREAM_BYTES,
    ObjectInfo,
    PartLimits,
    UploadInfo,
    check_key,
    check_metadata,
    check_prefix,
    check_range,
    is_valid_key,
    joined_length,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Fault", "Faults", "MemoryStore", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request as the store saw it.

    Attributes:
        operation: The protocol's name for it: ``get``, ``create``, ``put_part``…
        key: The key or prefix it was about.
        start: The first byte asked for or sent.
        length: How many bytes were asked for (``get_range``, ``copy_part``) or sent; 0 for the others.
    """

    operation: str
    key: str
    start: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One misdeed, and the request it befalls.

    Attributes:
        kind: ``before``: ``error`` is raised and nothing is done. ``after``: the work is done, then ``error`` is
            raised (a lost reply). ``corrupt``: one bit of the bytes read is flipped. ``truncate``: the object is read
            as if its last byte were missing. ``change``: the object is written anew, with the same bytes and another
            ETag, before the request is served.
        operation: A pattern (``fnmatch``) of the operations it befalls.
        key: A pattern of their keys.
        nth: The first matching request that it befalls, counted from 1.
        times: How many matching requests from there on; None for all.
        error: Makes what ``before`` and ``after`` raise.
    """

    kind: Literal["before", "after", "corrupt", "truncate", "change"]
    operation: str = "*"
    key: str = "*"
    nth: int = 1
    times: int | None = 1
    error: Callable[[], Exception] = field(
        default=lambda: RepositoryUnreachable("The connection to the store was reset.")
    )


@dataclass(slots=True, kw_only=True)
class Faults:
    """How a ``MemoryStore`` misbehaves, and what it was asked.

    Attributes:
        ignore_create_only: ``create`` overwrites and reports success, as rclone's S3 server does.
        no_ranges: ``get_range`` raises ``UnsupportedByStore``.
        no_listing: ``list`` and ``list_folders`` raise ``UnsupportedByStore``, as for a static web server.
        no_replace: ``replace`` raises ``UnsupportedByStore``.
        no_part_copies: ``copy_part`` raises ``UnsupportedByStore``.
        faults: What befalls single requests.
        requests: All requests so far, in order.
    """

    ignore_create_only: bool = False
    no_ranges: bool = False
    no_listing: bool = False
    no_replace: bool = False
    no_part_copies: bool = False
    faults: list[Fault] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    _seen: dict[int, int] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def record(self, request: Request) -> list[Fault]:
        """Write ``request`` down and give the faults that befall it."""
        with self._lock:
            self.requests.append(request)
            return [fault for index, fault in enumerate(self.faults) if self._befalls(index, fault, request)]

    def _befalls(self, index: int, fault: Fault, request: Request) -> bool:
        if not (fnmatchcase(request.operation, fault.operation) and fnmatchcase(request.key, fault.key)):
            return False
        count = self._seen[index] = self._seen.get(index, 0) + 1
        return fault.nth <= count and (fault.times is None or count < fault.nth + fault.times)


@dataclass(frozen=True, slots=True)
class _Stored:
    data: bytes
    info: ObjectInfo
    metadata: Mapping[str, str] = field(default_factory=dict)


class _Bucket:
    """The objects of one name, shared by all stores opened on it."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.objects: dict[str, _Stored] = {}
        self.faults = Faults()
        self._writes = 0

    def write(self, key: str, data: bytes | memoryview, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Store ``data``; the caller holds the lock."""
        self._writes += 1
        info = ObjectInfo(key=key, size=len(data), etag=f'"{self._writes:x}"', modified=datetime.now(UTC))
        self.objects[key] = _Stored(bytes(data), info, dict(metadata or {}))
        return info


_named: Final[dict[str, _Bucket]] = {}
_named_lock: Final = threading.Lock()


class MemoryStore:
    """An ``ObjectStore`` in memory. Stores of one name share their objects and faults within the process.

    Args:
        name: The name to share by; without one, the objects are this store's own.
        faults: How it is to misbehave from now on; for a shared store, in everybody's hands.
    """

    part_limits: Final = PartLimits()

    def __init__(self, name: str | None = None, *, faults: Faults | None = None) -> None:
        self.url: Final = f"memory://{name or ''}"
        if name is None:
            self._bucket = _Bucket()
        else:
            with _named_lock:
                self._bucket = _named.setdefault(name, _Bucket())
        if faults is not None:
            self._bucket.faults = faults

    @staticmethod
    def forget(name: str) -> None:
        """Drop the objects shared under ``name``; stores opened before keep theirs."""
        with _named_lock:
            _named.pop(name, None)

    @property
    def faults(self) -> Faults:
        """How this store misbehaves, and what it was asked."""
        return self._bucket.faults

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""
        self._only_current(version)
        with self._request("get", check_key(key)) as request:
            stored = request.read()
            if max_bytes is not None and stored.info.size > max_bytes:
                raise IntegrityError(f"{self._name(key)} has {stored.info.size} bytes; at most {max_bytes} expected.")
            return bytes(request.spoil(stored.data)), stored.info

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``."""
        with self._request("get_if_changed", check_key(key)) as request:
            stored = request.read()
            if stored.info.etag == etag:
                return None
            if max_bytes is not None and stored.info.size > max_bytes:
                raise IntegrityError(f"{self._name(key)} has {stored.info.size} bytes; at most {max_bytes} expected.")
            return bytes(request.spoil(stored.data)), stored.info

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read a range; see ``ObjectStore.get_range``."""
        self._only_current(version)
        with self._request("get_range", check_key(key), start, length) as request:
            if self.faults.no_ranges:
                raise UnsupportedByStore(f"{self.url} does not answer ranged reads.")
            stored = request.read()
            if etag is not None and stored.info.etag != etag:
                raise ObjectChanged(f"{self._name(key)} changed while it was being read.")
            return request.spoil(_slice(self._name(key), stored.data, start, length))

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read in pieces; see ``ObjectStore.stream``."""
        data = self.get(key)[0] if length is None else self.get_range(key, start, length)
        for position in range(0, len(data), STREAM_BYTES):
            yield memoryview(data)[position : position + STREAM_BYTES]

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Tell about an object; see ``ObjectStore.head``."""
        self._only_current(version)
        with self._request("head", check_key(key)) as request:
            return request.read().info

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Give an object's metadata; see ``ObjectStore.metadata``."""
        self._only_current(version)
        with self._request("metadata", check_key(key)) as request:
            return dict(request.read().metadata)

    def list_folders(self, prefix: str) -> list[str]:
        """Name the folders right below a prefix; see ``ObjectStore.list_folders``."""
        with self._request("list_folders", check_prefix(prefix)):
            rests = [info.key.removeprefix(prefix) for info in self._list(prefix)]
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    def _list(self, prefix: str) -> tuple[ObjectInfo, ...]:
        if self.faults.no_listing:
            raise UnsupportedByStore(f"{self.url} cannot list its objects.")
        objects = self._bucket.objects
        return tuple(objects[key].info for key in sorted(objects) if key.startswith(prefix) and is_valid_key(key))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Tell about all objects under a prefix; see ``ObjectStore.list``."""
        with self._request("list", check_prefix(prefix)):
            return iter(self._list(prefix))

    def put(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object; see ``ObjectStore.put``."""
        kept = check_metadata(metadata)
        with self._request("put", check_key(key), 0, len(data)):
            return self._bucket.write(key, data, kept)

    def copy(self, source: str, key: str) -> ObjectInfo:
        """Copy an object; see ``ObjectStore.copy``."""
        check_key(key)
        with self._request("copy", check_key(source)) as request:
            stored = request.read()
            return self._bucket.write(key, stored.data, stored.metadata)

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object only if it is absent; see ``ObjectStore.create``."""
        kept = check_metadata(metadata)
        with self._request("create", check_key(key), 0, len(data)):
            if key in self._bucket.objects and not self.faults.ignore_create_only:
                raise ObjectExists(f"{self._name(key)} exists already.", key=key)
            return self._bucket.write(key, data, kept)

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:
        """Write over an unchanged object; see ``ObjectStore.replace``."""
        with self._request("replace", check_key(key), 0, len(data)):
            if self.faults.no_replace:
                raise UnsupportedByStore(f"{self.url} cannot write on condition that an object is unchanged.")
            stored = self._bucket.objects.get(key)
            if stored is None or stored.info.etag != etag:
                raise ObjectChanged(f"{self._name(key)} is not the object it was.", key=key)
            return self._bucket.write(key, data)

    def delete(self, key: str) -> None:
        """Remove an object; see ``ObjectStore.delete``."""
        with self._request("delete", check_key(key)):
            self._bucket.objects.pop(key, None)

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> _MemoryUpload:
        """Begin to write by parts; see ``ObjectStore.start_upload``."""
        with self._request("start_upload", check_key(key)):
            return _MemoryUpload(self, key, check_metadata(metadata))

    def resume_upload(self, key: str, upload: str) -> None:
        """Go on with none: uploads live as long as the process that began them."""
        del key, upload

    def list_uploads(self) -> Iterator[UploadInfo]:
        """Tell of none: an upload that nobody holds is gone."""
        return iter(())

    def abort_upload(self, info: UploadInfo) -> None:
        """Do nothing: there is none to abort."""

    def close(self) -> None:
        """Do nothing: shared objects outlive the stores opened on them."""

    def _only_current(self, version: str | None) -> None:
        if version is not None:
            raise UnsupportedByStore(f"{self.url} keeps no versions of its objects.")

    def _name(self, key: str) -> str:
        return f"{self.url}/{key}"

    def _request(self, operation: str, key: str, start: int = 0, length: int = 0) -> _Serving:
        return _Serving(
            self._bucket, self._name(key), Request(operation=operation, key=key, start=start, length=length)
        )


class _Serving:
    """One request being served: holds the bucket's lock, and lets the faults happen around the work."""

    def __init__(self, bucket: _Bucket, name: str, request: Request) -> None:
        self._bucket = bucket
        self._name = name
        self._key = request.key
        self._faults = bucket.faults.record(request)

    def __enter__(self) -> Self:
        for fault in self._faults:
            if fault.kind == "before":
                raise fault.error()
        self._bucket.lock.acquire()
        if any(fault.kind == "change" for fault in self._faults) and self._key in self._bucket.objects:
            stored = self._bucket.objects[self._key]
            self._bucket.write(self._key, stored.data, stored.metadata)
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self._bucket.lock.release()
        for fault in self._faults:
            if fault.kind == "after" and kind is None:
                raise fault.error()

    def read(self) -> _Stored:
        """Give the object, as the faults leave it."""
        stored = self._bucket.objects.get(self._key)
        if stored is None:
            raise ObjectNotFound(f"{self._name} does not exist.", key=self._key)
        for fault in self._faults:
            if fault.kind == "truncate":
                info = stored.info
                cut = replace(info, size=max(info.size - 1, 0))
                stored = _Stored(stored.data[:-1], cut, stored.metadata)
        return stored

    def spoil(self, data: bytes | memoryview) -> bytes | memoryview:
        """Give what is about to be answered, with one bit flipped if a fault says so."""
        if not data or not any(fault.kind == "corrupt" for fault in self._faults):
            return data
        spoilt = bytearray(data)
        spoilt[len(spoilt) // 2] ^= 1
        return bytes(spoilt)


def _slice(name: str, data: bytes, start: int, length: int) -> memoryview:
    check_range(start, length)
    if start + length > len(data):
        raise IntegrityError(f"{name} ends at byte {len(data)}; bytes {start} to {start + length} were asked for.")
    return memoryview(data)[start : start + length]


class _MemoryUpload:
    """An ``Upload`` whose parts wait in a dict."""

    def __init__(self, store: MemoryStore, key: str, metadata: Mapping[str, str]) -> None:
        self._store = store
        self._key = key
        self._metadata = metadata
        self._parts: dict[int, tuple[int, bytes]] | None = {}

    id = ""

    def adopt_part(self, number: int, offset: int, length: int) -> bool:  # noqa: ARG002
        return False

    def put_part(self, number: int, offset: int, data: bytes | memoryview) -> None:
        with self._store._request("put_part", self._key, offset, len(data)):  # noqa: SLF001 - two halves of one store
            self._open_parts()[number] = offset, bytes(data)

    def copy_part(self, number: int, offset: int, source: str, start: int, length: int) -> None:
        with self._store._request("copy_part", check_key(source), start, length) as request:  # noqa: SLF001
            if self._store.faults.no_part_copies:
                raise UnsupportedByStore(f"{self._store.url} cannot copy parts of objects.")
            data = _slice(f"{self._store.url}/{source}", request.read().data, start, length)
            self._open_parts()[number] = offset, bytes(data)

    def complete(self, *, create_only: bool = False) -> ObjectInfo:
        bucket = self._store._bucket  # noqa: SLF001
        with self._store._request("complete", self._key):  # noqa: SLF001
            parts = self._open_parts()
            joined_length({number: (offset, len(data)) for number, (offset, data) in parts.items()})
            if create_only and self._key in bucket.objects and not bucket.faults.ignore_create_only:
                raise ObjectExists(f"{self._store.url}/{self._key} exists already.", key=self._key)
            self._parts = None
            return bucket.write(self._key, b"".join(parts[number][1] for number in sorted(parts)), self._metadata)

    def abort(self) -> None:
        with self._store._request("abort", self._key):  # noqa: SLF001
            self._parts = None

    def _open_parts(self) -> dict[int, tuple[int, bytes]]:
        if self._parts is None:
            raise RepositoryError(f"The upload of {self._store.url}/{self._key} is over.")
        return self._parts
