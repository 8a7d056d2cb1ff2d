"""Opening and verifying an archive on the local disk."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from blake3 import blake3

from orbitpkg.archive.frames import (
    FOOTER_BYTES,
    SKIPPABLE_HEADER_BYTES,
    archive_size,
    decompress_chunk,
    digest_of,
    parse_footer,
    skippable_header,
    unpack_contents,
)
from orbitpkg.archive.tarstream import END_OF_STREAM, member_header, padding_after
from orbitpkg.concurrency.cores import usable_cores
from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import ArchiveError
from orbitpkg.files.errors import READ, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

    from orbitpkg.model.contents import Chunk, Contents, FileEntry
    from orbitpkg.model.release import ContentsLocation

__all__ = ["LocalArchive", "verify_archive"]

# Chunks have up to 4 MiB, and each waits in memory until the ones before it are verified.
_AHEAD = 6
_STREAM_BYTES = 1024 * 1024
_EMPTY = digest_of(b"")


@dataclass(frozen=True, slots=True)
class LocalArchive:
    """An open archive on the disk. A context manager. Several threads may call :meth:`read`.

    Attributes:
        path: The path of the archive.
        place: The location of its contents.
        contents: Its contents.
    """

    path: Path
    place: ContentsLocation
    contents: Contents
    _descriptor: int

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open an archive and read its contents.

        Raises:
            StorageError: The file cannot be read.
            ArchiveError: The file is not an archive, or damaged. Only the contents are verified here; each chunk is
                verified when it is decompressed.
        """
        with storage_errors(path, READ):
            # O_NONBLOCK: opening a FIFO must not wait for a writer.
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
        try:
            place, contents = _read_contents(descriptor, path)
        except BaseException:
            os.close(descriptor)
            raise
        return cls(path, place, contents, descriptor)

    @property
    def size(self) -> int:
        """The archive's size in bytes."""
        return archive_size(self.place)

    def read(self, start: int, length: int) -> bytes:
        """Read bytes of the archive.

        Raises:
            ArchiveError: The file became shorter.
            StorageError: It cannot be read.
        """
        data = _read(self._descriptor, start, length, self.path)
        # At the end of a file, pread returns fewer bytes without an error.
        if len(data) != length:
            raise ArchiveError(f"{self.path} became shorter while it was being read.")
        return data

    def stream(self, start: int, length: int) -> Iterator[memoryview]:
        """Read bytes of the archive in pieces. Raises the errors of :meth:`read`."""
        for position in range(start, start + length, _STREAM_BYTES):
            yield memoryview(self.read(position, min(_STREAM_BYTES, start + length - position)))

    def read_file(self, file: FileEntry) -> bytes:
        """Decompress a file as a whole; meant for small files.

        Raises:
            ArchiveError: The file is damaged.
            StorageError: The archive cannot be read.
        """
        data = b"".join(
            decompress_chunk(self.read(chunk.position, chunk.stored), chunk, where=str(self.path))
            for chunk in self.contents.chunks_of(file)
        )
        if not data:
            return data
        start = file.offset - self.contents.chunks_of(file)[0].offset
        return data[start : start + file.size]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)


def _read(descriptor: int, start: int, length: int, path: Path) -> bytes:
    with storage_errors(path, READ):
        # pread has no position, so several threads can share the descriptor.
        return os.pread(descriptor, length, start)


def _read_contents(descriptor: int, path: Path) -> tuple[ContentsLocation, Contents]:
    size, where = os.fstat(descriptor).st_size, str(path)
    footer = _read(descriptor, max(0, size - FOOTER_BYTES), FOOTER_BYTES, path)
    place = parse_footer(footer, archive_size=size, where=where)
    header = _read(descriptor, place.offset - SKIPPABLE_HEADER_BYTES, SKIPPABLE_HEADER_BYTES, path)
    contents = unpack_contents(_read(descriptor, place.offset, place.length, path), place, where=where)
    # Other tools skip the table of contents by this header. No digest covers it, so it is compared.
    if header != skippable_header(place):
        raise ArchiveError(f"{where} is damaged: the header before its table of contents is altered.")
    return place, contents


def verify_archive(archive: LocalArchive) -> None:
    """Verify every byte of an archive against its table of contents.

    Checks the digests of chunks and files, and that the tar stream is exactly what :mod:`orbitpkg.archive.tarstream`
    would write, so that ``tar`` and an installer extract the same tree.

    Raises:
        ArchiveError: Something differs. The message names the first difference.
    """
    where = str(archive.path)

    def load(chunk: Chunk) -> bytes:
        return decompress_chunk(archive.read(chunk.position, chunk.stored), chunk, where=where)

    with Pool(usable_cores() + 1, "orbitpkg-verify") as pool:
        stream = _Stream(pool.map(load, archive.contents.chunks, ahead=_AHEAD))
        for file in archive.contents.files:
            _verify_member(stream, file, where)
        stream.expect(END_OF_STREAM, f"the end of the tar stream in {where}")
        if stream.offset != archive.contents.stream_length:
            raise ArchiveError(f"{where} contains data after the end of its tar stream.")


def _verify_member(stream: _Stream, file: FileEntry, where: str) -> None:
    header = member_header(file.path, size=file.size, executable=file.executable)
    if not stream.skip(header):  # it differs, or is in two pieces of the stream
        stream.expect(header, f"the tar header of {file.path!r} in {where}")
    # A small archive may have a million empty files, so as little as possible is done for one.
    if not file.size and file.blake3 == _EMPTY and stream.offset == file.offset:
        return
    what = f"{file.path!r} in {where}"
    # An installer finds files by offset, and tar by headers. If these differ, the two extract different trees.
    if stream.offset != file.offset:
        raise ArchiveError(f"The tar stream and the table of contents give different offsets for {what}.")
    digest = blake3()
    for piece in stream.take(file.size, what):
        digest.update(piece)
    if digest.hexdigest() != file.blake3:
        raise ArchiveError(
            f"{what} is damaged: its BLAKE3 digest does not match the table of contents.", path=file.path
        )
    # tar ignores the padding. Other bytes in it would give the same files another digest.
    stream.expect(bytes(padding_after(file.size)), f"the padding after {what}")


class _Stream:
    """The uncompressed stream, read piece by piece."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        self._pieces = pieces
        self._rest = memoryview(b"")
        self.offset = 0

    def skip(self, data: bytes) -> bool:
        """Skip these bytes if the current piece continues with them, and return whether it does."""
        length = len(data)
        if self._rest[:length] != data:
            return False
        self._rest = self._rest[length:]
        self.offset += length
        return True

    def take(self, length: int, what: str) -> Iterator[memoryview]:
        while length:
            if not self._rest:
                piece = next(self._pieces, None)
                if piece is None:
                    raise ArchiveError(f"The tar stream is truncated: {what} is incomplete.")
                self._rest = memoryview(piece)
            taken = self._rest[:length]
            self._rest = self._rest[len(taken) :]
            self.offset += len(taken)
            length -= len(taken)
            yield taken

    def expect(self, data: bytes, what: str) -> None:
        if b"".join(self.take(len(data), what)) != data:
            raise ArchiveError(f"{what[0].upper()}{what[1:]} does not match the table of contents.")
