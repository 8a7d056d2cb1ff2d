"""What an install holds in memory between the network and the disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orbitpkg.installer.plan import ChunkWork
    from orbitpkg.model.contents import FileEntry

__all__ = ["Batch", "FrameRoom", "Run"]


@dataclass(slots=True)
class Run:
    """Pieces of a file that follow one another.

    Attributes:
        file: Which file.
        offset: Where the first piece begins in it.
        end: Where the last one ends.
        pieces: In order.
    """

    file: FileEntry
    offset: int
    end: int
    pieces: list[memoryview]


class Batch:
    """Chunks that are written together: what takes turns in a process (its lock, a file's) is taken once for all.

    Attributes:
        length: Of all chunks, uncompressed, in bytes.
    """

    def __init__(self) -> None:
        self._chunks: list[tuple[ChunkWork, memoryview]] = []
        self.length = 0

    def __len__(self) -> int:
        return len(self._chunks)

    def add(self, work: ChunkWork, plain: memoryview) -> None:
        """Take a chunk, and its uncompressed bytes."""
        self._chunks.append((work, plain))
        self.length += len(plain)

    def runs(self) -> Iterator[Run]:
        """Give all that is to be written, put together as far as it goes on where it stopped."""
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


class FrameRoom:
    """Memory for one frame, filled again and again: fresh memory for each costs more than filling it.

    Args:
        pending: The chunks whose frames are wanted, in the order of their positions.
    """

    def __init__(self, pending: Sequence[ChunkWork]) -> None:
        self._room = memoryview(bytearray(max(work.chunk.stored for work in pending)))
        self._wanted = iter([(work.chunk.position, work.chunk.stored) for work in pending])
        self._position, self._length = next(self._wanted)
        self._filled = 0

    def take(self, position: int, piece: memoryview) -> Iterator[memoryview]:
        """Take a piece of the archive that lies at ``position``; gives the frames that are whole with it."""
        end = position + len(piece)
        while self._length and self._position + self._filled < end:
            begin = self._position + self._filled - position
            part = piece[begin : begin + self._length - self._filled]
            self._room[self._filled : self._filled + len(part)] = part
            self._filled += len(part)
            if self._filled < self._length:
                return
            yield self._room[: self._length]
            self._position, self._length = next(self._wanted, (end, 0))
            self._filled = 0
