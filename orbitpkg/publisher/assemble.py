"""Putting an archive together from new frames and from pieces of earlier archives, in the parts that a store takes.

S3 wants every part but the last to have at least 5 MiB, copied ones too. So a run of known chunks that is shorter is
compressed and sent after all, and new frames that are fewer are put behind the end of the run before them: by the
store, as the last part of an object of their own, which then is copied as one part. New frames with no run before them
take the known chunks that follow them along.

The chunks of a run are held in memory only until the run is long enough to be copied.
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

# A copy of this size takes a store about a second; several run side by side.
_MAX_COPY_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownFrame:
    """Where a chunk's frame lies in an archive of the repository.

    Attributes:
        key: Of the archive.
        position: Of the frame in it.
        stored: The frame's length in bytes.
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
        start: Where in it the part begins.
        length: In bytes.
    """

    source: str
    start: int
    length: int

    def continues_at(self, other: KnownFrame | CopiedPart) -> bool:
        """Say whether something begins in the same object where this ends."""
        key, start = (other.key, other.position) if isinstance(other, KnownFrame) else (other.source, other.start)
        return self.source == key and self.start + self.length == start

    def grown(self, length: int) -> CopiedPart:
        """Give the part with so many bytes more."""
        return CopiedPart(source=self.source, start=self.start, length=self.length + length)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposedPart:
    """A part of which the store copies the beginning, and the end is sent: it is too small for a part of its own."""

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
        least: How many bytes a part must have, but for the last.
        usual: How many bytes are sent as one part, about.
    """

    def __init__(self, *, least: int, usual: int) -> None:
        self._least = max(1, least)
        self._usual = max(self._least, usual)
        self._sending = bytearray()
        self._run: CopiedPart | None = None
        self._ended: CopiedPart | None = None
        self._held: list[bytes] = []

    def add_frame(self, frame: bytes) -> Iterator[Part]:
        """Add bytes that no archive holds; gives the parts that are finished with them."""
        yield from self._end_run()
        yield from self._send(frame)

    def add_known(self, places: Sequence[KnownFrame], encoded: EncodedChunk) -> Iterator[Part]:
        """Add a chunk whose frame archives hold, in one place or in several; gives the parts finished with it."""
        run = self._run
        known = next((place for place in places if run is not None and run.continues_at(place)), None)
        if run is not None and known is not None:
            self._run = run.grown(known.stored)
        else:
            known = places[0]
            yield from self._end_run()
            if 0 < len(self._sending) < self._least and self._ended is None:
                yield from self._send(compress_chunk(encoded.plain))
                return
            self._run = CopiedPart(source=known.key, start=known.position, length=known.stored)
        yield from self._hold(encoded.plain)

    def finish(self, last: bytes) -> Iterator[Part]:
        """Add the archive's last frame; gives the parts that are left."""
        yield from self._end_run()
        yield from self._release()
        self._sending += last
        yield from self._flush()

    def _hold(self, plain: memoryview) -> Iterator[Part]:
        assert self._run is not None
        if self._run.length < self._least:
            self._held.append(bytes(plain))
            return
        # The run is going to be copied, so what stands before it is a part of its own.
        self._held.clear()
        yield from self._flush()
        if self._run.length >= _MAX_COPY_BYTES:
            yield from self._end_run()

    def _end_run(self) -> Iterator[Part]:
        run, self._run = self._run, None
        if run is None:
            return
        if self._ended is not None and not self._sending and self._ended.continues_at(run):
            self._ended = self._ended.grown(run.length)  # what is left of a run that had become too long for one copy
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
        """Put what is to be sent behind the end of the run before it; the rest of the run is a part if it can be."""
        rest = ended.length - self._least
        if rest >= self._least:
            yield CopiedPart(source=ended.source, start=ended.start, length=rest)
            ended = CopiedPart(source=ended.source, start=ended.start + rest, length=self._least)
        yield ComposedPart(copied=ended, sent=SentPart(data=self._sending))
        self._ended, self._sending = None, bytearray()


def part_identity(part: Part) -> str:
    """Give a text that two parts share only if they are the same bytes, or copies of the same bytes."""
    if isinstance(part, CopiedPart):
        return f"copy {part.source} {part.start} {part.length}"
    if isinstance(part, ComposedPart):
        return f"{part_identity(part.copied)}, {part_identity(part.sent)}"
    return sent_identity(part.data)
