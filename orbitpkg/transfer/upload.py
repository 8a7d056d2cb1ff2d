"""Sending an archive while it is being made.

A small archive is one object put at once. A larger one goes as parts, a few at a time, so that encoding and sending
overlap and memory holds a few parts, never the archive.
"""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from orbitpkg.objects.protocol import ObjectStore, PartLimits, Upload

__all__ = ["part_bytes", "upload"]

_PART_BYTES = 8 * 1024 * 1024
_SENDERS = 4
_DEFAULT_MAX_PARTS = 10_000


def part_bytes(limits: PartLimits, expected: int) -> int:
    """Choose how large the parts of an upload are, so that they suffice for about ``expected`` bytes."""
    # Twice what is expected still fits: zstd can grow what it cannot compress, and cut parts are rarely full.
    needed = 2 * expected // (limits.max_parts or _DEFAULT_MAX_PARTS)
    return max(_PART_BYTES, limits.min_bytes, needed)


def upload(
    objects: ObjectStore,
    key: str,
    pieces: Iterable[bytes],
    *,
    expected: int,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Send pieces, one after the other, as one object. All or nothing.

    Args:
        objects: Where to.
        key: The object's key; there must be none of this key.
        pieces: The bytes.
        expected: About how many bytes they will be.
        progress: Called with the number of bytes sent since the last call.

    Returns:
        The object's size.

    Raises:
        RepositoryError: The store did not take it.
    """
    sender = _Sender(objects, key, part_bytes(objects.part_limits, expected), progress)
    try:
        for piece in pieces:
            sender.add(piece)
        return sender.finish()
    except BaseException:
        sender.abort()
        raise


class _Sender:
    def __init__(self, objects: ObjectStore, key: str, size: int, progress: Callable[[int], None] | None) -> None:
        self._objects = objects
        self._key = key
        self._size = size
        self._progress = progress
        self._buffer = bytearray()
        self._sent = 0
        self._parts = 0
        self._upload: Upload | None = None
        self._pool = ThreadPoolExecutor(_SENDERS, "orbitpkg-upload")
        self._pending: deque[Future[None]] = deque()

    def add(self, piece: bytes) -> None:
        self._buffer += piece
        if len(self._buffer) >= self._size:
            self._flush()

    def finish(self) -> int:
        with self._pool:
            if self._upload is None:
                self._objects.create(self._key, bytes(self._buffer))
                self._sent = len(self._buffer)
                self._report(self._sent)
                return self._sent
            if self._buffer:
                self._flush()
            while self._pending:
                self._pending.popleft().result()
            self._upload.complete()
            return self._sent

    def abort(self) -> None:
        self._pool.shutdown(wait=True, cancel_futures=True)
        if self._upload is not None:
            self._upload.abort()

    def _flush(self) -> None:
        if self._upload is None:
            self._upload = self._objects.start_upload(self._key)
        while len(self._pending) >= _SENDERS:
            self._pending.popleft().result()
        self._parts += 1
        self._pending.append(self._pool.submit(self._send, self._upload, self._parts, self._sent, self._buffer))
        self._sent += len(self._buffer)
        self._buffer = bytearray()

    def _send(self, upload: Upload, number: int, offset: int, data: bytearray) -> None:
        upload.put_part(number, offset, memoryview(data))
        self._report(len(data))

    def _report(self, count: int) -> None:
        if self._progress:
            self._progress(count)
