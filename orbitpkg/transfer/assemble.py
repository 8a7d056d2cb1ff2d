"""Putting an archive together from new frames and from pieces of earlier archives, in the parts that a store takes.

S3 wants every part but the last to have at least 5 MiB, copied ones too. So a run of known chunks that is shorter is
compressed and sent after all, and a piece of new frames that is shorter takes the known chunks that follow it along.
The chunks of a run are held in memory only until the run is long enough to be copied.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import compress_chunk

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.archive.encoder import EncodedChunk

__all__ = ["Assembler", "CopiedPart", "KnownFrame", "Part", "SentPart"]

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


Part = SentPart | CopiedPart


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
        self._held: list[bytes] = []

    def add_frame(self, frame: bytes) -> Iterator[Part]:
        """Add bytes that no archive holds; gives the parts that are finished with them."""
        yield from self._end_run()
        yield from self._send(frame)

    def add_known(self, known: KnownFrame, encoded: EncodedChunk) -> Iterator[Part]:
        """Add a chunk whose frame an archive holds; gives the parts that are finished with it."""
        run = self._run
        if run is not None and run.source == known.key and run.start + run.length == known.position:
            self._run = CopiedPart(source=run.source, start=run.start, length=run.length + known.stored)
        else:
            yield from self._end_run()
            if 0 < len(self._sending) < self._least:
                yield from self._send(compress_chunk(encoded.plain))
                return
            self._run = CopiedPart(source=known.key, start=known.position, length=known.stored)
        yield from self._hold(encoded.plain)

    def finish(self, last: bytes) -> Iterator[Part]:
        """Add the archive's last frame; gives the parts that are left."""
        yield from self._end_run()
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
        if run.length >= self._least:
            yield run
            return
        held, self._held = self._held, []
        for plain in held:
            yield from self._send(compress_chunk(plain))

    def _send(self, frame: bytes) -> Iterator[Part]:
        self._sending += frame
        if len(self._sending) >= self._usual:
            yield from self._flush()

    def _flush(self) -> Iterator[Part]:
        if self._sending:
            yield SentPart(data=self._sending)
            self._sending = bytearray()
