"""An object store in the memory of this process, for tests and for trying things out."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import IntegrityError, ObjectChanged, ObjectExists, ObjectNotFound, RepositoryError
from orbitpkg.objects.protocol import (
    STREAM_BYTES,
    Capabilities,
    ObjectInfo,
    UploadInfo,
    check_key,
    check_metadata,
    check_prefix,
    check_range,
    is_valid_key,
    joined_length,
)
from orbitpkg.objects.read_only import SimpleStore, check_size

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["MemoryObject", "MemoryStore", "MemoryUpload"]


@dataclass(frozen=True, slots=True)
class MemoryObject:
    """An object and everything known about it."""

    data: bytes
    info: ObjectInfo
    metadata: Mapping[str, str] = field(default_factory=dict)


class _Bucket:
    """The objects of one name, shared by all stores opened under that name."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.objects: dict[str, MemoryObject] = {}
        self._writes = 0

    def write(self, key: str, data: bytes | memoryview, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Store ``data``; the caller holds the lock."""
        self._writes += 1
        info = ObjectInfo(key=key, size=len(data), etag=f'"{self._writes:x}"', modified=datetime.now(UTC))
        self.objects[key] = MemoryObject(bytes(data), info, dict(metadata or {}))
        return info


_named: Final[dict[str, _Bucket]] = {}
_named_lock: Final = threading.Lock()


class MemoryStore(SimpleStore):
    """An ``ObjectStore`` in memory. Stores of the same name share their objects within the process.

    Args:
        name: The name to share objects by; without one, no other store sees them.
    """

    capabilities = Capabilities(metadata=True)

    def __init__(self, name: str | None = None) -> None:
        self.url = f"memory://{name or ''}"
        if name is None:
            self._bucket = _Bucket()
        else:
            with _named_lock:
                self._bucket = _named.setdefault(name, _Bucket())

    @staticmethod
    def forget(name: str) -> None:
        """Drop the objects shared under ``name``; stores that are open keep them."""
        with _named_lock:
            _named.pop(name, None)

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""
        self._check_current(version)
        with self._bucket.lock:
            found = self._read(key)
            check_size(self.url, found.info, max_bytes)
            return found.data, found.info

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``."""
        with self._bucket.lock:
            found = self._read(key)
            if found.info.etag == etag:
                return None
            check_size(self.url, found.info, max_bytes)
            return found.data, found.info

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read a range; see ``ObjectStore.get_range``."""
        self._check_current(version)
        with self._bucket.lock:
            found = self._read(key)
            if etag is not None and found.info.etag != etag:
                raise ObjectChanged(f"{self._name(key)} changed while it was being read.", key=key)
            return self._slice(found, start, length)

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read in pieces; see ``ObjectStore.stream``."""
        data = self.get(key)[0] if length is None else self.get_range(key, start, length)
        for position in range(0, len(data), STREAM_BYTES):
            yield memoryview(data)[position : position + STREAM_BYTES]

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the facts about an object; see ``ObjectStore.head``."""
        self._check_current(version)
        with self._bucket.lock:
            return self._read(key).info

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Return an object's metadata; see ``ObjectStore.metadata``."""
        self._check_current(version)
        with self._bucket.lock:
            return dict(self._read(key).metadata)

    def list_folders(self, prefix: str) -> list[str]:
        """List the folders directly below a prefix; see ``ObjectStore.list_folders``."""
        rests = [info.key.removeprefix(prefix) for info in self._listed(prefix)]
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects; see ``ObjectStore.list``."""
        return iter(self._listed(prefix))

    def _listed(self, prefix: str) -> tuple[ObjectInfo, ...]:
        check_prefix(prefix)
        with self._bucket.lock:
            objects = self._bucket.objects
            return tuple(objects[key].info for key in sorted(objects) if key.startswith(prefix) and is_valid_key(key))

    def put(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object; see ``ObjectStore.put``."""
        checked = check_metadata(metadata)
        check_key(key)
        with self._bucket.lock:
            return self._bucket.write(key, data, checked)

    def copy(self, source: str, key: str) -> ObjectInfo:
        """Copy an object; see ``ObjectStore.copy``."""
        check_key(key)
        with self._bucket.lock:
            found = self._read(source)
            return self._bucket.write(key, found.data, found.metadata)

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object only if it does not exist; see ``ObjectStore.create``."""
        checked = check_metadata(metadata)
        check_key(key)
        with self._bucket.lock:
            self._check_absent(key)
            return self._bucket.write(key, data, checked)

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:
        """Overwrite an unchanged object; see ``ObjectStore.replace``."""
        check_key(key)
        with self._bucket.lock:
            found = self._bucket.objects.get(key)
            if found is None or found.info.etag != etag:
                raise ObjectChanged(f"{self._name(key)} has changed.", key=key)
            return self._bucket.write(key, data)

    def delete(self, key: str) -> None:
        """Delete an object; see ``ObjectStore.delete``."""
        check_key(key)
        with self._bucket.lock:
            self._bucket.objects.pop(key, None)

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> MemoryUpload:
        """Begin to write in parts; see ``ObjectStore.start_upload``."""
        return MemoryUpload(self, check_key(key), check_metadata(metadata))

    def resume_upload(self, key: str, upload: str) -> None:
        """Return None: an upload ends with the process that began it; see ``ObjectStore.resume_upload``."""
        del key, upload

    def list_uploads(self) -> Iterator[UploadInfo]:
        """List none: an upload without an owner is gone; see ``ObjectStore.list_uploads``."""
        return iter(())

    def abort_upload(self, info: UploadInfo) -> None:
        """Do nothing, because uploads keep no state. See ``ObjectStore.abort_upload``."""

    def _name(self, key: str) -> str:
        return f"{self.url}/{key}"

    def _read(self, key: str) -> MemoryObject:
        found = self._bucket.objects.get(check_key(key))
        if found is None:
            raise ObjectNotFound(f"{self._name(key)} does not exist.", key=key)
        return found

    def _check_absent(self, key: str) -> None:
        if key in self._bucket.objects:
            raise ObjectExists(f"{self._name(key)} already exists.", key=key)

    def _slice(self, found: MemoryObject, start: int, length: int) -> memoryview:
        check_range(start, length)
        size = len(found.data)
        if start + length > size:
            raise IntegrityError(
                f"{self._name(found.info.key)} ends at byte {size}; bytes {start} to {start + length} were requested."
            )
        return memoryview(found.data)[start : start + length]


class MemoryUpload:
    """An ``Upload`` whose parts are kept in a dictionary.

    Args:
        store: The store to write to.
        key: The key of the object.
        metadata: The metadata of the object.
    """

    id = ""

    def __init__(self, store: MemoryStore, key: str, metadata: Mapping[str, str]) -> None:
        self._store = store
        self._bucket = store._bucket  # noqa: SLF001 - two halves of one store
        self._key = key
        self._metadata = metadata
        self._parts: dict[int, tuple[int, bytes]] | None = {}

    def reuse_part(self, number: int, offset: int, length: int) -> bool:  # noqa: ARG002
        """Return False: there is nothing to resume; see ``Upload.reuse_part``."""
        return False

    def put_part(self, number: int, offset: int, data: bytes | memoryview) -> None:
        """Send a part; see ``Upload.put_part``."""
        with self._bucket.lock:
            self._open_parts()[number] = offset, bytes(data)

    def copy_part(self, number: int, offset: int, source: str, start: int, length: int) -> None:
        """Copy a part; see ``Upload.copy_part``."""
        with self._bucket.lock:
            data = self._store._slice(self._store._read(source), start, length)  # noqa: SLF001
            self._open_parts()[number] = offset, bytes(data)

    def complete(self, *, create_only: bool = False) -> ObjectInfo:
        """Make the object visible; see ``Upload.complete``."""
        with self._bucket.lock:
            parts = self._open_parts()
            joined_length({number: (offset, len(data)) for number, (offset, data) in parts.items()})
            if create_only:
                self._store._check_absent(self._key)  # noqa: SLF001
            self._parts = None
            return self._bucket.write(self._key, b"".join(parts[number][1] for number in sorted(parts)), self._metadata)

    def abort(self) -> None:
        """Discard the parts; see ``Upload.abort``."""
        with self._bucket.lock:
            self._parts = None

    def _open_parts(self) -> dict[int, tuple[int, bytes]]:
        if self._parts is None:
            raise RepositoryError(f"The upload of {self._store.url}/{self._key} has ended.")
        return self._parts
