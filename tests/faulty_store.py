"""A store in memory that misbehaves on demand, in the ways that real stores do.

A create-only write overwrites, a reply is lost after the work was done, bytes differ from those written, or an object
changes during a download. Importing this module makes ``memory://`` addresses of this process open such a store, so
that code under test that opens stores by their address meets the faults, too.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Literal

from orbitpkg.errors import RepositoryUnreachable, UnsupportedByStore
from orbitpkg.objects.addresses import parse_address
from orbitpkg.objects.memory import MemoryObject, MemoryStore, MemoryUpload
from orbitpkg.objects.protocol import ObjectInfo, check_key, check_metadata, check_prefix
from orbitpkg.objects.registry import OpenRequest, StoreScheme, register_scheme

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["Fault", "Faults", "FaultyStore", "Request"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request as the store received it.

    Attributes:
        operation: The protocol's name for it: ``get``, ``create``, ``put_part``…
        key: Its key or prefix.
        start: The first byte requested or sent.
        length: The number of bytes requested (``get_range``, ``copy_part``) or sent; otherwise 0.
    """

    operation: str
    key: str
    start: int = 0
    length: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One kind of misbehaviour, and the requests that it affects.

    Attributes:
        kind: ``before``: ``error`` is raised before the work. ``after``: the work is done, then ``error`` is
            raised (a lost reply). ``corrupt``: one bit of the bytes read is flipped. ``truncate``: the object is read
            as if its last byte were missing. ``change``: the object is written again, with the same bytes and another
            ETag, before the request is served.
        operation: A pattern (``fnmatch``) of the affected operations.
        key: A pattern of the affected keys.
        nth: The first matching request that is affected, counted from 1.
        times: The number of matching requests affected from there on; None for all.
        error: Makes the error of ``before`` and ``after``.
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
    """How a store misbehaves, and the requests that it received.

    Attributes:
        ignore_create_only: ``create`` overwrites and reports success, as rclone's S3 server does.
        no_ranges: ``get_range`` raises ``UnsupportedByStore``.
        no_listing: ``list`` and ``list_folders`` raise ``UnsupportedByStore``, as for a static web server.
        no_replace: ``replace`` raises ``UnsupportedByStore``.
        no_part_copies: ``copy_part`` raises ``UnsupportedByStore``.
        faults: The faults of single requests.
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
        """Record ``request`` and return the faults that affect it."""
        with self._lock:
            self.requests.append(request)
            return [fault for index, fault in enumerate(self.faults) if self._affects(index, fault, request)]

    def _affects(self, index: int, fault: Fault, request: Request) -> bool:
        if not (fnmatchcase(request.operation, fault.operation) and fnmatchcase(request.key, fault.key)):
            return False
        count = self._seen[index] = self._seen.get(index, 0) + 1
        return fault.nth <= count and (fault.times is None or count < fault.nth + fault.times)

    def lacks(self, operation: str) -> bool:
        """Return whether the store does not support an operation."""
        missing = {
            "get_range": self.no_ranges,
            "list": self.no_listing,
            "list_folders": self.no_listing,
            "replace": self.no_replace,
            "copy_part": self.no_part_copies,
        }
        return missing.get(operation, False)


_faults: dict[str, Faults] = {}


class FaultyStore(MemoryStore):
    """A ``MemoryStore`` that misbehaves. Stores of the same name share their objects and faults.

    Args:
        name: The name to share by.
        faults: How all stores of this name misbehave from now on.
    """

    def __init__(self, name: str | None = None, *, faults: Faults | None = None) -> None:
        super().__init__(name)
        self._shared = name
        self._own = faults or Faults()
        self._affecting = threading.local()
        if name is not None and (faults is not None or name not in _faults):
            _faults[name] = self._own

    @property
    def faults(self) -> Faults:
        """How this store misbehaves, and the requests that it received."""
        return self._own if self._shared is None else _faults[self._shared]

    @staticmethod
    def forget(name: str) -> None:
        """Drop the objects and the faults shared under ``name``."""
        MemoryStore.forget(name)
        _faults[name] = Faults()

    @contextmanager
    def request(self, operation: str, key: str, start: int = 0, length: int = 0) -> Iterator[list[Fault]]:
        """Serve one request, with the faults that affect it."""
        request = Request(operation=operation, key=key, start=start, length=length)
        affecting = self.faults.record(request)
        for fault in affecting:
            if fault.kind == "before":
                raise fault.error()
        if any(fault.kind == "change" for fault in affecting):
            self._rewrite(key)
        if self.faults.lacks(operation):
            raise UnsupportedByStore(f"{self.url} does not support {operation}.")
        self._affecting.faults = affecting
        try:
            yield affecting
        finally:
            self._affecting.faults = []
        for fault in affecting:
            if fault.kind == "after":
                raise fault.error()

    def _rewrite(self, key: str) -> None:
        with self._bucket.lock:
            if found := self._bucket.objects.get(key):
                self._bucket.write(key, found.data, found.metadata)

    def _read(self, key: str) -> MemoryObject:
        found = super()._read(key)
        for fault in getattr(self._affecting, "faults", []):
            if fault.kind == "truncate":
                info = replace(found.info, size=max(found.info.size - 1, 0))
                found = MemoryObject(found.data[:-1], info, found.metadata)
        return found

    def _check_absent(self, key: str) -> None:
        if not self.faults.ignore_create_only:
            super()._check_absent(key)

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        with self.request("get", check_key(key)) as faults:
            data, info = super().get(key, max_bytes=max_bytes, version=version)
            return bytes(_spoilt(data, faults)), info

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        with self.request("get_if_changed", check_key(key)) as faults:
            found = super().get_if_changed(key, etag=etag, max_bytes=max_bytes)
            return found and (bytes(_spoilt(found[0], faults)), found[1])

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        with self.request("get_range", check_key(key), start, length) as faults:
            return _spoilt(super().get_range(key, start, length, etag=etag, version=version), faults)

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        with self.request("head", check_key(key)):
            return super().head(key, version=version)

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        with self.request("metadata", check_key(key)):
            return super().metadata(key, version=version)

    def list_folders(self, prefix: str) -> list[str]:
        with self.request("list_folders", check_prefix(prefix)):
            return super().list_folders(prefix)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        with self.request("list", check_prefix(prefix)):
            return super().list(prefix)

    def put(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        check_metadata(metadata)
        with self.request("put", check_key(key), 0, len(data)):
            return super().put(key, data, metadata=metadata)

    def copy(self, source: str, key: str) -> ObjectInfo:
        check_key(key)
        with self.request("copy", check_key(source)):
            return super().copy(source, key)

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        check_metadata(metadata)
        with self.request("create", check_key(key), 0, len(data)):
            return super().create(key, data, metadata=metadata)

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:
        with self.request("replace", check_key(key), 0, len(data)):
            return super().replace(key, data, etag=etag)

    def delete(self, key: str) -> None:
        with self.request("delete", check_key(key)):
            super().delete(key)

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> FaultyUpload:
        with self.request("start_upload", check_key(key)):
            return FaultyUpload(self, key, check_metadata(metadata))


class FaultyUpload(MemoryUpload):
    """An upload to a ``FaultyStore``."""

    def __init__(self, store: FaultyStore, key: str, metadata: Mapping[str, str]) -> None:
        super().__init__(store, key, metadata)
        self._faulty = store

    def put_part(self, number: int, offset: int, data: bytes | memoryview) -> None:
        with self._faulty.request("put_part", self._key, offset, len(data)):
            super().put_part(number, offset, data)

    def copy_part(self, number: int, offset: int, source: str, start: int, length: int) -> None:
        with self._faulty.request("copy_part", check_key(source), start, length):
            super().copy_part(number, offset, source, start, length)

    def complete(self, *, create_only: bool = False) -> ObjectInfo:
        with self._faulty.request("complete", self._key):
            return super().complete(create_only=create_only)

    def abort(self) -> None:
        with self._faulty.request("abort", self._key):
            super().abort()


def _spoilt(data: bytes | memoryview, faults: list[Fault]) -> bytes | memoryview:
    """Return the bytes of an answer, with one bit flipped if a fault requires it."""
    if not data or not any(fault.kind == "corrupt" for fault in faults):
        return data
    spoilt = bytearray(data)
    spoilt[len(spoilt) // 2] ^= 1
    return bytes(spoilt)


def _open(request: OpenRequest) -> FaultyStore:
    return FaultyStore(parse_address(request.url).location)


register_scheme("memory", StoreScheme(open=_open, needs_network=False))
