"""The tar stream of an unpacked tree, read again piece by piece.

The layout is known from the contents alone, so any chunk of the stream can be made from the files it covers: that is
how an installed release, or what an install that was stopped left behind, serves as a source of chunks.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import digest_of
from orbitpkg.archive.tarstream import member_header, padding_after

if TYPE_CHECKING:
    from orbitpkg.model.contents import Chunk, Contents, FileEntry

__all__ = ["TreeStream"]


class TreeStream:
    """The stream of a tree of files on the disk. Safe to read from several threads.

    Args:
        contents: The layout.
        folder: Where the files are, or some of them.
    """

    def __init__(self, contents: Contents, folder: str) -> None:
        self._files = contents.files
        self._folder = folder
        self._ends = [file.offset + file.size + padding_after(file.size) for file in contents.files]

    def read(self, chunk: Chunk) -> memoryview | None:
        """Give a chunk's bytes, verified; None when the files on the disk do not hold them (any more)."""
        room = memoryview(bytearray(chunk.length))
        return room if self.read_into(chunk, room) else None

    def read_into(self, chunk: Chunk, room: memoryview, *, verify: bool = True) -> bool:
        """Read a chunk into memory of just its length.

        Returns:
            Whether the files on the disk hold its bytes; without ``verify`` only that they have its length.
        """
        end = chunk.offset + chunk.length
        for index in range(bisect_right(self._ends, chunk.offset), len(self._files)):
            header_start = self._ends[index - 1] if index else 0
            if header_start >= end:
                break
            file = self._files[index]
            if not self._copy(file, header_start, chunk.offset, room):
                return False
            # What pads a file to whole blocks is zeros, and so is the end of the stream.
            _clear(room, file.offset + file.size - chunk.offset, self._ends[index] - chunk.offset)
        _clear(room, self._ends[-1] - chunk.offset, chunk.length)
        return not verify or digest_of(room) == chunk.blake3

    def _copy(self, file: FileEntry, header_start: int, start: int, data: memoryview) -> bool:
        """Copy a file's header and bytes to where they lie in a piece of the stream that begins at ``start``."""
        if file.offset > start:
            header = member_header(file.path, size=file.size, executable=file.executable)
            if header_start + len(header) != file.offset:
                return False
            skipped = max(0, start - header_start)
            room = data[header_start + skipped - start : file.offset - start]
            room[:] = header[skipped : skipped + len(room)]
        begin = max(0, start - file.offset)
        room = data[max(0, file.offset - start) :][: max(0, file.size - begin)]
        return not room or self._read(file, begin, room)

    def _read(self, file: FileEntry, begin: int, room: memoryview) -> bool:
        try:
            descriptor = os.open(f"{self._folder}/{file.path}", os.O_RDONLY)
        except OSError:
            return False
        try:
            while room:
                count = os.preadv(descriptor, [room], begin)
                if not count:
                    return False
                room = room[count:]
                begin += count
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def _clear(room: memoryview, start: int, end: int) -> None:
    """Write zeros over what of ``start`` to ``end`` lies in some memory."""
    part = room[max(0, start) : end]
    part[:] = bytes(len(part))
