"""Upload files under the digest of their content. Existing content is not uploaded again.

A small file is read into memory once. A larger file is read twice: once to compute its digest, and once during the
multipart upload. The object becomes visible only if the uploaded bytes have the digest in its key.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from blake3 import blake3

from orbitpkg.concurrency.pool import Pool
from orbitpkg.datasets.layout import blob_key
from orbitpkg.errors import AccessDenied, ObjectExists, ObjectNotFound, StorageError, TreeChanged
from orbitpkg.files.errors import READ, storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectStore, Upload

__all__ = ["Digests", "Sender", "digests_of", "send_file"]

_SMALL: Final = 8 * 2**20
_PART: Final = 8 * 2**20
_IN_FLIGHT: Final = 3
_MAX_PARTS: Final = 9_000
_BLOCK: Final = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Digests:
    """The size and the digests of a file.

    Attributes:
        size: The size in bytes.
        blake3: The BLAKE3 of the content.
        sha256: The SHA-256 of the content.
    """

    size: int
    blake3: str
    sha256: str


class Sender:
    """Uploads files to a repository as blobs. Thread-safe.

    Args:
        objects: The object store of the repository.
        progress: Receives the number of bytes processed, whether uploaded or already present.
    """

    def __init__(self, objects: ObjectStore, *, progress: Callable[[int], None]) -> None:
        self._objects = objects
        self._progress = progress
        # Each large upload holds some parts in memory.
        self._large = threading.Semaphore(2)
        self._under_way: set[str] = set()
        self._ended = threading.Condition()

    def send(self, path: Path) -> tuple[Digests, bool]:
        """Upload a file unless the repository has its content. Returns its digests and whether it was uploaded.

        Raises:
            TreeChanged: The file changed during the upload. No part of it is visible.
            StorageError: The file is not a regular file or cannot be read.
            RepositoryError: The repository could not be written.
        """
        with _held_still(path) as (file, size):
            if size <= _SMALL:
                return self._send_small(file, path, size)
            digests = _digests(file, path, size)
            with self._turn(digests):
                if self._is_there(digests):
                    self._progress(size)
                    return digests, False
                with self._large:
                    _send_parts(
                        self._objects, blob_key(digests.blake3), file, path, digests=digests, progress=self._progress
                    )
            return digests, True

    def _send_small(self, file: IO[bytes], path: Path, size: int) -> tuple[Digests, bool]:
        data = file.read(size + 1)
        if len(data) != size:
            raise _changed(path)
        digests = Digests(size=size, blake3=blake3(data).hexdigest(), sha256=hashlib.sha256(data).hexdigest())
        with self._turn(digests):
            is_there = self._is_there(digests)
            if not is_there:
                self._put(digests, data)
        self._progress(size)
        return digests, not is_there

    @contextmanager
    def _turn(self, digests: Digests) -> Iterator[None]:
        """Wait while another thread sends the same bytes."""
        with self._ended:
            self._ended.wait_for(lambda: digests.blake3 not in self._under_way)
            self._under_way.add(digests.blake3)
        try:
            yield
        finally:
            with self._ended:
                self._under_way.discard(digests.blake3)
                self._ended.notify_all()

    def _put(self, digests: Digests, data: bytes) -> None:
        key = blob_key(digests.blake3)
        try:
            self._objects.create(key, data)
        except ObjectExists:
            # Another process, or an earlier attempt whose reply was lost, wrote it. Replace it only if truncated.
            if not self._is_there(digests):
                self._objects.put(key, data)

    def _is_there(self, digests: Digests) -> bool:
        try:
            return self._objects.head(blob_key(digests.blake3)).size == digests.size
        except (ObjectNotFound, AccessDenied):  # without permission to list, S3 returns 403 for a missing key
            return False


def send_file(objects: ObjectStore, key: str, path: Path) -> None:
    """Upload a file under a key, and replace an existing object.

    Raises:
        TreeChanged: The file changed during the upload.
        RepositoryError: The repository could not be written.
    """
    with _held_still(path) as (file, size):
        if size <= _SMALL:
            objects.put(key, file.read())
        else:
            _send_parts(objects, key, file, path, digests=_digests(file, path, size), progress=lambda _: None)


def digests_of(path: Path) -> Digests:
    """Compute the digests of a file.

    Raises:
        TreeChanged, StorageError: As for :meth:`Sender.send`.
    """
    with _held_still(path) as (file, size):
        return _digests(file, path, size)


def _send_parts(
    objects: ObjectStore, key: str, file: IO[bytes], path: Path, *, digests: Digests, progress: Callable[[int], None]
) -> None:
    upload = objects.start_upload(key)
    try:
        if _sent_digest(upload, file, digests.size, objects.part_limits.min_bytes, progress) != digests.blake3:
            raise _changed(path)  # noqa: TRY301 - the upload is aborted as after any other failure
        upload.complete()
    except BaseException:
        upload.abort()
        raise


def _sent_digest(upload: Upload, file: IO[bytes], size: int, least: int, progress: Callable[[int], None]) -> str:
    """Upload a file in parts, a few at a time, and return the BLAKE3 of the uploaded bytes."""
    step = max(_PART, least, -(-size // _MAX_PARTS))
    digest = blake3()
    file.seek(0)

    def read() -> Iterator[tuple[int, int, bytes]]:
        for number, offset in enumerate(range(0, size, step), start=1):
            data = file.read(min(step, size - offset))
            digest.update(data)
            yield number, offset, data

    def put(part: tuple[int, int, bytes]) -> None:
        upload.put_part(*part)
        progress(len(part[2]))

    with Pool(_IN_FLIGHT, "orbitpkg-parts") as pool:
        for _ in pool.map(put, read(), ahead=_IN_FLIGHT):
            pass
    return digest.hexdigest()


def _digests(file: IO[bytes], path: Path, size: int) -> Digests:
    first, second, read = blake3(), hashlib.sha256(), 0
    while block := file.read(_BLOCK):
        first.update(block)
        second.update(block)
        read += len(block)
    if read != size:
        raise _changed(path)
    return Digests(size=size, blake3=first.hexdigest(), sha256=second.hexdigest())


@contextmanager
def _held_still(path: Path) -> Iterator[tuple[IO[bytes], int]]:
    """Open a regular file and check on exit that it did not change. Yields the file and its size."""
    with storage_errors(path, READ):
        # Opening a FIFO must not wait for a writer.
        file = os.fdopen(os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0)), "rb")
    with file, storage_errors(path, READ):
        before = os.fstat(file.fileno())
        if not stat.S_ISREG(before.st_mode):
            raise StorageError(f"{path} is not a regular file.", path=str(path))
        try:
            yield file, before.st_size
            now, named = os.fstat(file.fileno()), os.stat(path)  # noqa: PTH116 - of bytes, too
        except FileNotFoundError as error:
            raise _changed(path) from error
    if not _identity(before) == _identity(now) == _identity(named):
        raise _changed(path)


def _identity(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _changed(path: Path) -> TreeChanged:
    return TreeChanged(
        f"{path} changed while it was being read.",
        hint="Wait until it is no longer being written, then register it again.",
        path=str(path),
    )
