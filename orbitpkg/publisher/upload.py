"""Uploading an archive while it is being encoded.

A small archive is written with one request. A larger one is uploaded in parts, a few at a time, so that encoding and
sending overlap and memory holds a few parts, never the whole archive. The store itself copies what it already has.

An interrupted upload is resumed: its parts are encoded again, but those that arrived are not sent again.
"""

from __future__ import annotations

import contextlib
from collections import deque
from typing import TYPE_CHECKING

from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import AccessDenied, ObjectExists, ObjectNotFound, RepositoryError
from orbitpkg.publisher.assemble import ComposedPart, CopiedPart, SentPart, part_identity
from orbitpkg.repository.layout import new_piece_key

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.concurrency.pool import Future
    from orbitpkg.objects.protocol import ObjectStore, PartLimits, Upload
    from orbitpkg.objects.transfer.journal import Journal
    from orbitpkg.publisher.assemble import Part

__all__ = ["Sent", "least_part_bytes", "send_parts", "sent_bytes", "usual_part_bytes"]

_PART_BYTES = 5 * 1024 * 1024
_SENDERS = 4
_DEFAULT_MAX_PARTS = 10_000


def least_part_bytes(limits: PartLimits, expected: int) -> int:
    """Return the minimum size of the parts of an upload of about ``expected`` bytes."""
    # Twice the expected size must fit, because incompressible data grows.
    return max(limits.min_bytes, 2 * expected // (limits.max_parts or _DEFAULT_MAX_PARTS))


def usual_part_bytes(limits: PartLimits, expected: int) -> int:
    """Return the size of the sent parts of an upload of about ``expected`` bytes."""
    return max(_PART_BYTES, least_part_bytes(limits, expected))


class Sent:
    """The result of an upload.

    Attributes:
        key: The key of the object.
        size: The size of the object in bytes.
        sent: The number of bytes sent, now or by an earlier attempt.
        copied: The number of bytes that the store copied.
    """

    __slots__ = ("copied", "key", "sent", "size")

    def __init__(self, key: str) -> None:
        self.key = key
        self.size = 0
        self.sent = 0
        self.copied = 0


def sent_bytes(part: Part) -> int:
    """Return the number of bytes of a part that are sent. The store copies the others."""
    match part:
        case SentPart():
            return part.length
        case ComposedPart():
            return part.sent.length
        case CopiedPart():
            return 0


def send_parts(objects: ObjectStore, key: str, parts: Iterable[Part], *, journal: Journal) -> Sent:
    """Upload parts as one object. The object becomes visible when it is complete.

    Args:
        objects: The object store.
        key: A unique key for a new upload. A resumed upload keeps its key.
        parts: The parts of the object, in order.
        journal: The journal of this upload.

    Raises:
        UnsupportedByStore: The store cannot copy parts. Upload the object without copied parts.
        RepositoryError: The upload failed. The parts that arrived stay for the next attempt.
    """
    sender = _Sender(objects, key, journal)
    try:
        for part in parts:
            sender.add(part)
        return sender.finish()
    except BaseException as error:
        # If the network or the user stopped the upload, the next one can use the parts. After any other error, such as
        # a changed tree, the parts belong to an archive that will never exist.
        sender.stop(keep=isinstance(error, RepositoryError | KeyboardInterrupt))
        raise


class _Sender:
    def __init__(self, objects: ObjectStore, key: str, journal: Journal) -> None:
        self._objects = objects
        self._journal = journal
        self._sent = Sent(key)
        self._first: SentPart | None = None
        self._parts = 0
        self._upload: Upload | None = None
        self._pool = Pool(_SENDERS, "orbitpkg-upload")
        self._pending: deque[Future[None]] = deque()

    def add(self, part: Part) -> None:
        if self._upload is None:
            if self._first is None and isinstance(part, SentPart):
                # If no other part follows, a single request is enough.
                self._first = part
                return
            self._begin()
        self._submit(part)

    def finish(self) -> Sent:
        with self._pool:
            if self._upload is None:
                assert self._first is not None
                self._create(bytes(self._first.data))
                self._sent.size = self._sent.sent = self._first.length
            else:
                while self._pending:
                    self._pending.popleft().result()
                self._upload.complete()
            self._journal.forget()
            return self._sent

    def _create(self, data: bytes) -> None:
        try:
            self._objects.create(self._sent.key, data)
        except ObjectExists as error:
            # The key is unique, so an earlier request created the object and its reply was lost.
            try:
                there, _ = self._objects.get(self._sent.key, max_bytes=len(data))
            except ObjectNotFound:
                there = b""
            if there != data:
                raise RepositoryError(
                    f"{self._objects.url} reports that {self._sent.key} exists, but its content is not what was sent.",
                    hint="Nothing was published. Run the command again.",
                ) from error

    def stop(self, *, keep: bool) -> None:
        self._pool.stopping.set()
        self._pool.close()
        if self._upload is not None and not (keep and self._upload.id):
            self._upload.abort()
            self._journal.forget()

    def _begin(self) -> None:
        self._upload = self._resumed() or self._started()
        if self._first is not None:
            first, self._first = self._first, None
            self._submit(first)

    def _started(self) -> Upload:
        upload = self._objects.start_upload(self._sent.key)
        if upload.id:
            self._journal.begin(self._sent.key, upload.id)
        return upload

    def _resumed(self) -> Upload | None:
        if self._journal.key is None or self._journal.upload is None:
            return None
        try:
            upload = self._objects.resume_upload(self._journal.key, self._journal.upload)
        except AccessDenied:  # without permission to list parts, the upload starts again
            upload = None
        if upload is None:
            self._journal.forget()
        else:
            self._sent.key = self._journal.key
        return upload

    def _submit(self, part: Part) -> None:
        assert self._upload is not None
        # Encoding can be faster than the network. Waiting for the oldest part bounds the memory.
        while len(self._pending) >= _SENDERS:
            self._pending.popleft().result()
        self._parts += 1
        work = self._pool.submit(self._send, self._upload, self._parts, self._sent.size, part)
        self._pending.append(work)
        self._sent.size += part.length
        self._sent.sent += sent_bytes(part)
        self._sent.copied += part.length - sent_bytes(part)

    def _send(self, upload: Upload, number: int, offset: int, part: Part) -> None:
        identity = part_identity(part) if upload.id else ""
        # The store may have discarded the part since, so the journal alone is not enough.
        if identity and self._journal.has(number, identity) and upload.reuse_part(number, offset, part.length):
            return
        match part:
            case CopiedPart():
                upload.copy_part(number, offset, part.source, part.start, part.length)
            case SentPart():
                upload.put_part(number, offset, memoryview(part.data))
            case ComposedPart():
                self._compose(upload, number, offset, part)
        # Recorded only after the store accepted the part. If the process is killed before, the part is sent again.
        if identity:
            self._journal.arrived(number, identity)

    def _compose(self, upload: Upload, number: int, offset: int, part: ComposedPart) -> None:
        """Have the store compose a part as a temporary object, and copy that object."""
        key = new_piece_key(self._sent.key)
        piece = self._objects.start_upload(key)
        try:
            piece.copy_part(1, 0, part.copied.source, part.copied.start, part.copied.length)
            piece.put_part(2, part.copied.length, memoryview(part.sent.data))
            piece.complete()
        except BaseException:
            # The first error is the one to report.
            with contextlib.suppress(RepositoryError):
                piece.abort()
            raise
        try:
            upload.copy_part(number, offset, key, 0, part.length)
        finally:
            # Without permission to delete, `orbitpkg repo gc` deletes it later.
            with contextlib.suppress(RepositoryError):
                self._objects.delete(key)
