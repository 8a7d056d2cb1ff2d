"""The tar stream of an unpacked tree, read piece by piece.

The contents alone define the layout, so any chunk of the stream can be rebuilt from the files it covers. That makes an
installed release, or the staging folder of an interrupted install, a source of chunks.
"""

from __future__ import annotations

import os
from bisect import bisect_right
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import digest_of
from orbitpkg.archive.tarstream import member_header, padding_after
from orbitpkg.files.names import disk_path

if TYPE_CHECKING:
    from orbitpkg.model.contents import Chunk, Contents, FileEntry

__all__ = ["TreeStream"]


class TreeStream:
    """The stream of a tree of files on the disk. Thread-safe.

    Args:
        contents: The contents that define the layout.
        folder: The folder with all or some of the files.
    """

    def __init__(self, contents: Contents, folder: str) -> None:
        self._files = contents.files
        self._folder = folder
        self._ends = [file.offset + file.size + padding_after(file.size) for file in contents.files]

    def read(self, chunk: Chunk) -> memoryview | None:
        """Return the verified bytes of a chunk; None if the files on the disk do not have them."""
        buffer = memoryview(bytearray(chunk.length))
        return buffer if self.read_into(chunk, buffer) else None

    def read_into(self, chunk: Chunk, buffer: memoryview, *, verify: bool = True) -> bool:
        """Read a chunk into a buffer of its length.

        Returns:
            Whether the files on the disk have its bytes; without ``verify``, whether they have its length.
        """
        end = chunk.offset + chunk.length
        for index in range(bisect_right(self._ends, chunk.offset), len(self._files)):
            header_start = self._ends[index - 1] if index else 0
            if header_start >= end:
                break
            file = self._files[index]
            if not self._copy(file, header_start, chunk.offset, buffer):
                return False
            # The padding of a file and the end of the stream are zeros.
            _clear(buffer, file.offset + file.size - chunk.offset, self._ends[index] - chunk.offset)
        _clear(buffer, self._ends[-1] - chunk.offset, chunk.length)
        return not verify or digest_of(buffer) == chunk.blake3

    def _copy(self, file: FileEntry, header_start: int, start: int, data: memoryview) -> bool:
        """Copy the part of a file's header and bytes that lies in a piece of the stream that begins at ``start``."""
        if file.offset > start:
            header = member_header(file.path, size=file.size, executable=file.executable)
            if header_start + len(header) != file.offset:
                return False
            skipped = max(0, start - header_start)
            buffer = data[header_start + skipped - start : file.offset - start]
            buffer[:] = header[skipped : skipped + len(buffer)]
        begin = max(0, start - file.offset)
        buffer = data[max(0, file.offset - start) :][: max(0, file.size - begin)]
        return not buffer or self._read(file, begin, buffer)

    def _read(self, file: FileEntry, begin: int, buffer: memoryview) -> bool:
        try:
            descriptor = os.open(f"{self._folder}/{disk_path(file.path)}", os.O_RDONLY)
        except OSError:
            return False
        try:
            while buffer:
                count = os.preadv(descriptor, [buffer], begin)
                if not count:
                    return False
                buffer = buffer[count:]
                begin += count
        except OSError:
            return False
        finally:
            os.close(descriptor)
        return True


def _clear(buffer: memoryview, start: int, end: int) -> None:
    """Write zeros to the part of a buffer between ``start`` and ``end``."""
    part = buffer[max(0, start) : end]
    part[:] = bytes(len(part))
