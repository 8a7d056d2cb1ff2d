"""Assembling an archive from new frames and from ranges of earlier archives, as parts of a multipart upload.

S3 requires at least 5 MiB for every part except the last, including copied parts. Therefore:

- A shorter run of known chunks is compressed and sent like new ones.
- New frames that are too short for a part are appended to the end of the preceding run. The store does so in a
  temporary object, which is then copied as one part.
- Short new frames without a preceding run are sent together with the known chunks that follow them.

The chunks of a run are kept in memory only until the run is long enough to be copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import compress_chunk
from orbitpkg.objects.transfer.journal import sent_identity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orbitpkg.archive.encoder import EncodedChunk

__all__ = ["Assembler", "ComposedPart", "CopiedPart", "KnownFrame", "Part", "SentPart", "part_identity"]

# A store copies this much in about a second, and several copies run in parallel.
_MAX_COPY_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFrame:
    """The location of a chunk's frame in an archive of the repository.

    Attributes:
        key: The key of the archive.
        position: The offset of the frame in it.
        stored: The length of the frame in bytes.
    """

    key: str
    position: int
    stored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SentPart:
    """A part whose bytes are sent."""

    data: bytes | bytearray

    @property
    def length(self) -> int:
        """In bytes."""
        return len(self.data)


@dataclass(frozen=True, slots=True, kw_only=True)
class CopiedPart:
    """A part that the store copies from another of its objects.

    Attributes:
        source: The key of that object.
        start: The offset of the part in it.
        length: The length in bytes.
    """

    source: str
    start: int
    length: int

    def continues_at(self, other: KnownFrame | CopiedPart) -> bool:
        """Return whether another range begins in the same object where this one ends."""
        key, start = (other.key, other.position) if isinstance(other, KnownFrame) else (other.source, other.start)
        return self.source == key and self.start + self.length == start

    def grown(self, length: int) -> CopiedPart:
        """Return the part extended by some bytes."""
        return CopiedPart(source=self.source, start=self.start, length=self.length + length)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedPart:
    """A part that the store composes of a copied beginning and a sent end, which is too short for a separate part."""

    copied: CopiedPart
    sent: SentPart

    @property
    def length(self) -> int:
        """In bytes."""
        return self.copied.length + self.sent.length


Part = SentPart | CopiedPart | ComposedPart


class Assembler:
    """Turns an archive's chunks, in order, into parts, in order.

    Args:
        least: The minimum size in bytes of a part other than the last.
        usual: The approximate size in bytes of a sent part.
    """

    def __init__(self, *, least: int, usual: int) -> None:
        self._least = max(1, least)
        self._usual = max(self._least, usual)
        self._sending = bytearray()
        self._run: CopiedPart | None = None
        self._ended: CopiedPart | None = None
        self._held: list[bytes] = []

    def add_frame(self, frame: bytes) -> Iterator[Part]:
        """Add a frame that no earlier archive contains, and yield the parts that it completes."""
        yield from self._end_run()
        yield from self._send(frame)

    def add_known(self, frames: Sequence[KnownFrame], encoded: EncodedChunk) -> Iterator[Part]:
        """Add a chunk whose frame earlier archives contain, and yield the parts that it completes."""
        run = self._run
        known = next((frame for frame in frames if run is not None and run.continues_at(frame)), None)
        if run is not None and known is not None:
            self._run = run.grown(known.stored)
        else:
            known = frames[0]
            yield from self._end_run()
            # The waiting frames are too short for a part, and no earlier run exists to append them to.
            if 0 < len(self._sending) < self._least and self._ended is None:
                yield from self._send(compress_chunk(encoded.plain))
                return
            self._run = CopiedPart(source=known.key, start=known.position, length=known.stored)
        yield from self._hold(encoded.plain)

    def finish(self, last: bytes) -> Iterator[Part]:
        """Add the archive's last frame, and yield the remaining parts."""
        yield from self._end_run()
        yield from self._release()
        self._sending += last
        yield from self._flush()

    def _hold(self, plain: memoryview) -> Iterator[Part]:
        assert self._run is not None
        if self._run.length < self._least:
            self._held.append(bytes(plain))
            return
        # The run is long enough to be copied, so the frames before it become a separate part.
        self._held.clear()
        yield from self._flush()
        if self._run.length >= _MAX_COPY_BYTES:
            yield from self._end_run()

    def _end_run(self) -> Iterator[Part]:
        run, self._run = self._run, None
        if run is None:
            return
        if self._ended is not None and not self._sending and self._ended.continues_at(run):
            self._ended = self._ended.grown(run.length)  # the rest of a run that was split at the maximum
            self._held.clear()
            return
        if run.length >= self._least:
            yield from self._release()
            self._ended = run
            return
        held, self._held = self._held, []
        for plain in held:
            yield from self._send(compress_chunk(plain))

    def _send(self, frame: bytes) -> Iterator[Part]:
        self._sending += frame
        if len(self._sending) >= self._usual:
            yield from self._flush()

    def _flush(self) -> Iterator[Part]:
        if 0 < len(self._sending) < self._least and self._ended is not None:
            yield from self._compose(self._ended)
            return
        yield from self._release()
        if self._sending:
            yield SentPart(data=self._sending)
            self._sending = bytearray()

    def _release(self) -> Iterator[Part]:
        if self._ended is not None:
            yield self._ended
            self._ended = None

    def _compose(self, ended: CopiedPart) -> Iterator[Part]:
        """Append the frames to send to the end of the preceding run. The rest of the run becomes a part if possible."""
        rest = ended.length - self._least
        if rest >= self._least:
            yield CopiedPart(source=ended.source, start=ended.start, length=rest)
            ended = CopiedPart(source=ended.source, start=ended.start + rest, length=self._least)
        yield ComposedPart(copied=ended, sent=SentPart(data=self._sending))
        self._ended, self._sending = None, bytearray()


def part_identity(part: Part) -> str:
    """Return a text that two parts share only if they have the same bytes."""
    if isinstance(part, CopiedPart):
        return f"copy {part.source} {part.start} {part.length}"
    if isinstance(part, ComposedPart):
        return f"{part_identity(part.copied)}, {part_identity(part.sent)}"
    return sent_identity(part.data)
