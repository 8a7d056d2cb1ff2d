"""Download of an object to a local file, and upload of a file to an object: parallel, resumable, all or nothing.

A download reads ranges, each checked against the object's ETag, into a hidden file beside its target. A journal records
which ranges arrived and their digests, so a later download continues with them and notices ranges that the disk lost.
The target appears through one rename. An upload reads the file once, in order, while its parts are sent.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from blake3 import blake3

from orbitpkg.concurrency.pool import WORKERS, Pool
from orbitpkg.errors import (
    AccessDenied,
    ObjectChanged,
    ObjectExists,
    RepositoryError,
    RepositoryUnreachable,
    StorageError,
    TreeChanged,
    UnsupportedByStore,
)
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.objects.retry import AT_ONCE, OVERLOAD, retry
from orbitpkg.objects.transfer.journal import sent_identity
from orbitpkg.objects.transfer.partial import PartialFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore, Upload
    from orbitpkg.objects.transfer.journal import Journal

__all__ = ["Downloaded", "Uploaded", "download_object", "follow_changes", "upload_object"]

T = TypeVar("T")

_PART_BYTES: Final = 8 << 20
_MEMORY_BYTES: Final = 64 << 20
_MAX_PARTS: Final = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Downloaded:
    """The result of a download.

    Attributes:
        info: The facts about the object.
        blake3: The digest of the file, 64 hexadecimal digits.
        size: The size of the file in bytes.
    """

    info: ObjectInfo
    blake3: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploaded:
    """The result of an upload.

    Attributes:
        info: The facts about the object.
        blake3: The digest of the file, 64 hexadecimal digits.
        size: Of the file in bytes.
    """

    info: ObjectInfo
    blake3: str
    size: int


def download_object(
    store: ObjectStore,
    key: str,
    path: Path,
    *,
    info: ObjectInfo | None = None,
    version: str | None = None,
    progress: Callable[[int], None] | None = None,
    durable: bool = True,
) -> Downloaded:
    """Download an object to a file, which appears, or replaces an existing one, when it is complete.

    Args:
        store: The store of the object.
        key: The key of the object.
        path: The path of the file; missing parent folders are created.
        info: The facts about the object, if they were just requested.
        version: The version of the object, in stores that keep several.
        progress: Called, from several threads, with the number of bytes received since the last call.
        durable: Whether the file must be on the disk, and survive a power failure, on return.

    Raises:
        ObjectNotFound: The object does not exist.
        ObjectChanged: The object changed during the download; an existing file is unchanged.
        StorageError: The file cannot be written.
    """
    # The ETag of this state is checked by every ranged read, so that the file is not a mixture of two states.
    info = store.head(key, version=version) if info is None else info
    with storage_errors(path, USER_FILE):
        path.parent.mkdir(parents=True, exist_ok=True)
        # A rename could not replace a directory, which would be noticed only after the download.
        if path.is_dir():
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
        with PartialFile(path, identity=_identity(store, key, info, version), size=info.size) as part:
            try:
                _fill(part, store, key, info, version=version, progress=progress or _nothing)
            except UnsupportedByStore:
                _fill_whole(part, store, key, info, progress or _nothing)
            except ObjectChanged:
                part.forget()
                raise
            return Downloaded(info=info, blake3=part.publish(durable=durable), size=info.size)


def follow_changes(
    store: ObjectStore, key: str, info: ObjectInfo, work: Callable[[ObjectInfo], T], *, version: str | None = None
) -> T:
    """Call ``work`` with the facts about an object, and with its new facts if it changes during the work.

    Args:
        store: The store of the object.
        key: Its key.
        info: Its facts at present.
        work: Raises ``ObjectChanged`` if the object is no longer as described.
        version: The version of the object, in stores that keep several.

    Raises:
        ObjectChanged: The object changed again and again.
    """

    def has_changed(error: Exception) -> bool:
        nonlocal info
        if not isinstance(error, ObjectChanged):
            return False
        info = store.head(key, version=version)
        return True

    return retry(lambda: work(info), policy=AT_ONCE, when=has_changed)


def _nothing(_: int) -> None:
    pass


def _identity(store: ObjectStore, key: str, info: ObjectInfo, version: str | None) -> str:
    """Return a text that two states of an object share only if their bytes are equal; empty if there is none."""
    return repr((store.url, key, version, info.etag, info.size)) if info.etag else ""


def _fill(
    part: PartialFile,
    store: ObjectStore,
    key: str,
    info: ObjectInfo,
    *,
    version: str | None,
    progress: Callable[[int], None],
) -> None:
    missing = []
    for start in range(0, info.size, _PART_BYTES):
        length = min(_PART_BYTES, info.size - start)
        if part.has(start, length):
            progress(length)
        else:
            missing.append((start, length))

    def read(pool: Pool, start: int, length: int) -> None:
        data = _persist(pool, lambda: store.get_range(key, start, length, etag=info.etag, version=version))
        part.write(start, data)
        progress(length)

    if missing:
        with Pool() as pool:
            pool.run(partial(read, pool, start, length) for start, length in missing)


def _fill_whole(
    part: PartialFile, store: ObjectStore, key: str, info: ObjectInfo, progress: Callable[[int], None]
) -> None:
    """Download from a store without ranged reads, whose answer cannot be checked against an ETag meanwhile."""
    part.forget()
    position = 0
    for piece in store.stream(key):
        position += len(piece)
        # The object changed, or the server sends an endless response.
        if position > info.size:
            break
        part.write(position - len(piece), piece)
        progress(len(piece))
    found = store.head(key)
    if position != info.size or (found.etag, found.modified) != (info.etag, info.modified):
        raise ObjectChanged(f"{store.url}/{key} changed while it was being read.", key=key)


def _persist(pool: Pool, work: Callable[[], T]) -> T:
    """Do ``work`` again when the store does not respond, with fewer requests at once if it is overloaded."""

    def attempt() -> T:
        with pool.gate:
            return work()

    def may_retry(error: Exception) -> bool:
        if not isinstance(error, RepositoryUnreachable):
            return False
        pool.gate.pause(error)
        return True

    return retry(attempt, policy=OVERLOAD, when=may_retry, stopping=pool.stopping)


def upload_object(
    store: ObjectStore,
    key: str,
    path: Path,
    *,
    metadata: Mapping[str, str] | None = None,
    create_only: bool = False,
    journal: Journal | None = None,
    progress: Callable[[int], None] | None = None,
) -> Uploaded:
    """Upload a file as an object, which becomes visible when it is complete.

    Args:
        store: The store to write to.
        key: The key of the object.
        path: The path of a regular file.
        metadata: Metadata to write with the object, if the store keeps any.
        create_only: Do not replace an existing object. Not every store respects this, see ``Upload.complete``.
        journal: A journal for this upload alone. With it, an interrupted upload stays in the store and is resumed the
            next time; without it, an interrupted upload is discarded.
        progress: Called, from several threads, with the number of bytes sent since the last call.

    Raises:
        ObjectExists: Another object exists and was not to be replaced.
        TreeChanged: The file changed during the upload; nothing became visible.
        StorageError: The file cannot be read.
    """
    with storage_errors(path, USER_FILE), _reading(path) as descriptor:
        source = _Source(path, descriptor)
        if source.size <= _PART_BYTES:
            info = _put(store, key, source, metadata, create_only=create_only)
            if progress:
                progress(source.size)
        else:
            parts = _Parts(store, key, source, journal=journal, progress=progress or _nothing)
            info = parts.send(metadata, create_only=create_only)
    return Uploaded(info=info, blake3=source.digest(), size=source.size)


@contextlib.contextmanager
def _reading(path: Path) -> Iterator[int]:
    # O_NONBLOCK: a FIFO must not block the reader.
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class _Source:
    """A file that is read once, in order, and must not change during that."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self._path = path
        self._descriptor = descriptor
        self._first = os.fstat(descriptor)
        self._hasher = blake3()
        self.size = self._first.st_size
        if not stat.S_ISREG(self._first.st_mode):
            raise StorageError(f"{path} is not a regular file.", path=str(path))

    def read(self, start: int, length: int) -> bytes:
        data = os.pread(self._descriptor, length, start)
        # At the end of a file, pread returns fewer bytes without an error.
        if len(data) != length:
            raise self._changed()
        self._hasher.update(data)
        return data

    def check(self) -> None:
        """Raise an error if the file has changed since it was opened."""
        now = os.fstat(self._descriptor)
        if (now.st_size, now.st_mtime_ns) != (self.size, self._first.st_mtime_ns):
            raise self._changed()

    def digest(self) -> str:
        return self._hasher.hexdigest()

    def _changed(self) -> TreeChanged:
        return TreeChanged(
            f"{self._path} changed while it was being read, and was not uploaded.",
            hint="Upload it again when no process writes to it.",
            path=str(self._path),
        )


def _put(
    store: ObjectStore, key: str, source: _Source, metadata: Mapping[str, str] | None, *, create_only: bool
) -> ObjectInfo:
    data = source.read(0, source.size)
    source.check()
    if not create_only:
        return store.put(key, data, metadata=metadata)
    try:
        return store.create(key, data, metadata=metadata)
    except ObjectExists:
        # It may be the object of this upload, written by a request whose reply was lost.
        found = store.head(key)
        if found.size == len(data) and store.get(key, max_bytes=found.size)[0] == data:
            return found
        raise


class _Parts:
    """An upload in parts, which are read in order and sent in any order, a few at a time."""

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        source: _Source,
        *,
        journal: Journal | None,
        progress: Callable[[int], None],
    ) -> None:
        self._store = store
        self._key = key
        self._source = source
        self._journal = journal
        self._progress = progress
        limits = store.part_limits
        min_bytes = -(-source.size // (limits.max_parts or _MAX_PARTS))
        self._part = max(_PART_BYTES, limits.min_bytes, min_bytes)

    def send(self, metadata: Mapping[str, str] | None, *, create_only: bool) -> ObjectInfo:
        upload = self._resume() or self._start(metadata)
        # Each part in flight is in memory, and the parts of a huge file are large, because their number is limited.
        at_once = max(1, min(WORKERS, _MEMORY_BYTES // self._part))
        try:
            with Pool(at_once, "orbitpkg-upload") as pool:
                for _ in pool.map(partial(self._send, pool, upload), self._read(), ahead=at_once):
                    pass
            # The last moment at which a change of the file can still prevent a mixed object.
            self._source.check()
            info = upload.complete(create_only=create_only)
        except BaseException as error:
            # A store charges for the parts of an upload that nobody resumes.
            if self._journal is None or not upload.id or not _is_resumable(error):
                upload.abort()
                self._forget()
            raise
        self._forget()
        return info

    def _read(self) -> Iterator[tuple[int, int, bytes]]:
        for number, start in enumerate(range(0, self._source.size, self._part), start=1):
            yield number, start, self._source.read(start, min(self._part, self._source.size - start))

    def _resume(self) -> Upload | None:
        if self._journal is None or self._journal.upload is None:
            return None
        try:
            upload = self._store.resume_upload(self._key, self._journal.upload)
        except AccessDenied:  # without permission to list parts, the upload starts over
            upload = None
        if upload is None:
            self._journal.forget()
        return upload

    def _start(self, metadata: Mapping[str, str] | None) -> Upload:
        upload = self._store.start_upload(self._key, metadata=metadata)
        if self._journal is not None and upload.id:
            self._journal.begin(self._key, upload.id)
        return upload

    def _forget(self) -> None:
        if self._journal is not None:
            self._journal.forget()

    def _send(self, pool: Pool, upload: Upload, part: tuple[int, int, bytes]) -> None:
        number, start, data = part
        identity = sent_identity(data) if self._journal is not None and upload.id else ""
        if not (
            identity
            and self._journal
            and self._journal.has(number, identity)
            and upload.reuse_part(number, start, len(data))
        ):
            _persist(pool, lambda: upload.put_part(number, start, data))
            if identity and self._journal:
                self._journal.arrived(number, identity)
        self._progress(len(data))


def _is_resumable(error: BaseException) -> bool:
    return isinstance(error, RepositoryError | KeyboardInterrupt) and not isinstance(error, ObjectExists)
