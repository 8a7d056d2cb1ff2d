"""The buffers of an install, between the network and the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orbitpkg.installer.plan import ChunkWork
    from orbitpkg.model.contents import FileEntry

__all__ = ["Batch", "FrameBuffer", "Run"]


@dataclass(slots=True)
class Run:
    """Adjacent pieces of a file.

    Attributes:
        file: The file.
        offset: The offset of the first piece in the file.
        end: The offset where the last piece ends.
        pieces: The pieces, in order.
    """

    file: FileEntry
    offset: int
    end: int
    pieces: list[memoryview]


class Batch:
    """Chunks that are written together, so that locks are taken once for all of them.

    Attributes:
        length: The uncompressed length of all chunks in bytes.
    """

    def __init__(self) -> None:
        self._chunks: list[tuple[ChunkWork, memoryview]] = []
        self.length = 0

    def __len__(self) -> int:
        return len(self._chunks)

    def add(self, work: ChunkWork, plain: memoryview) -> None:
        """Add a chunk with its uncompressed bytes."""
        self._chunks.append((work, plain))
        self.length += len(plain)

    def runs(self) -> Iterator[Run]:
        """Yield what to write, with adjacent pieces of a file merged."""
        run: Run | None = None
        for work, plain in self._chunks:
            for target in work.targets:
                if run is None or run.file is not target.file or run.end != target.file_offset:
                    if run is not None:
                        yield run
                    run = Run(target.file, target.file_offset, target.file_offset, [])
                run.pieces.append(plain[target.chunk_offset : target.chunk_offset + target.length])
                run.end += target.length
        if run is not None:
            yield run


class FrameBuffer:
    """A buffer for one frame at a time. It is reused, because fresh memory costs more than filling it.

    Args:
        pending: The chunks whose frames to collect, in the order of their positions.
    """

    def __init__(self, pending: Sequence[ChunkWork]) -> None:
        self._buffer = memoryview(bytearray(max(work.chunk.stored for work in pending)))
        self._wanted = iter([(work.chunk.position, work.chunk.stored) for work in pending])
        self._position, self._length = next(self._wanted)
        self._filled = 0

    def take(self, position: int, piece: memoryview) -> Iterator[memoryview]:
        """Add the piece of the archive at ``position``, and yield the frames that it completes."""
        end = position + len(piece)
        while self._length and self._position + self._filled < end:
            begin = self._position + self._filled - position
            part = piece[begin : begin + self._length - self._filled]
            self._buffer[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            if self._filled < self._length:
                return
            yield self._buffer[: self._length]
            self._position, self._length = next(self._wanted, (end, 0))
            self._filled = 0
