"""Encoding a directory tree into the chunks of its archive, in one pass.

The reading thread writes the files into one stream, digests each, and cuts the stream by content (FastCDC). Worker
threads digest and compress the chunks, and the caller receives them in order. Every step releases the interpreter's
lock, so all cores work. The data in flight is bounded, and so is memory, whatever the tree's size.

Source of the cut points: Xia et al., "The Design of Fast Content-Defined Chunking for Data Deduplication Based Storage
Systems" (IEEE TPDS 2020), normalised chunking 1, the paper's own gear table.
"""

from __future__ import annotations

import os
from collections import deque
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyfastcdc
from blake3 import blake3

from orbitpkg.archive.frames import ENCODER, compress_chunk, contents_frame, digest_of
from orbitpkg.archive.tarstream import END_OF_STREAM, member_header, padding_after
from orbitpkg.concurrency.cores import usable_cores
from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import TreeChanged
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry, FileIdentity, identity_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from orbitpkg.archive.tree import SourceFile, SourceTree
    from orbitpkg.concurrency.pool import Future
    from orbitpkg.model.release import ContentsLocation

__all__ = ["EncodedChunk", "TreeEncoder", "average_chunk_bytes", "hash_tree"]

_AVERAGE_BYTES = 256 * 1024
_LARGEST_AVERAGE_BYTES = 1024 * 1024
# A longer list of chunks would cost memory and time wherever it is read, so the average chunk size is doubled instead.
_MANY_CHUNKS = 1 << 15
# The stream is cut in segments of this size, or of twice the largest chunk if that is more. Larger segments would save
# little copying and take more memory.
_SEGMENT_BYTES = 4 * 1024 * 1024
# The maximum amount of data that is read and not yet consumed; at least three times the largest chunk.
_IN_FLIGHT_BYTES = 8 * 1024 * 1024
# More threads compress faster than one thread reads, and each takes memory.
_MAX_THREADS = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedChunk:
    """An encoded chunk.

    Attributes:
        chunk: Its location in the stream and in the archive.
        frame: Its zstd frame; None for a known chunk, whose frame the caller has elsewhere.
        plain: Its uncompressed bytes. Valid until the next chunk is requested.
    """

    chunk: Chunk
    frame: bytes | None
    plain: memoryview


class TreeEncoder:
    """An encoder of one tree. Each instance is used once.

    Args:
        tree: The tree to encode.
        known: The frame lengths of chunks that need not be compressed, by digest.
        progress: Called in the reading thread with the number of bytes read since the last call.
        threads: The number of compressing threads; the number of usable cores, but at most eight, when None.
    """

    def __init__(
        self,
        tree: SourceTree,
        *,
        known: Mapping[Blake3, int] | None = None,
        progress: Callable[[int], None] | None = None,
        threads: int | None = None,
    ) -> None:
        self._tree = tree
        self._known = known or {}
        self._progress = progress
        self._threads = threads or min(usable_cores(), _MAX_THREADS)
        self._in_flight = max(_IN_FLIGHT_BYTES, 3 * _largest_chunk(tree))
        self._files: list[FileEntry] = []
        self._chunks: list[Chunk] = []

    def chunks(self) -> Iterator[EncodedChunk]:
        """Read the tree and yield its chunks in order.

        Raises:
            TreeChanged: The tree changed meanwhile. The chunks yielded so far must not be used.
            StorageError: A file cannot be read.
        """
        with (
            Pool(self._threads, "orbitpkg-encode") as pool,
            closing(_Cutter(self._tree, self._files, self._progress).pieces()) as pieces,
        ):
            pending: deque[tuple[Future[tuple[Blake3, bytes | None, int]], _Piece]] = deque()
            in_flight = 0
            try:
                for piece in pieces:
                    pending.append((pool.submit(self._encode, piece.data), piece))
                    in_flight += len(piece.data)
                    # Chunks that are done are passed on at once. Otherwise, waiting for the first one bounds the
                    # memory.
                    while in_flight > self._in_flight or (pending and pending[0][0].done()):
                        future, first = pending.popleft()
                        yield self._locate(future, first.data)
                        in_flight -= len(first.data)
                        first.release()
                while pending:
                    future, first = pending.popleft()
                    yield self._locate(future, first.data)
            finally:
                # The consumer may stop early, for instance when an upload fails. What is queued need not be compressed.
                for future, _ in pending:
                    future.cancel()
        # Reading takes time. A file that was added meanwhile would be missing from the archive.
        self._tree.check_unchanged()

    def finish(self) -> tuple[Contents, bytes, ContentsLocation]:
        """Return the contents, the archive's last frame, and the location of the contents in the archive.

        Call it after :meth:`chunks` is exhausted.
        """
        contents = Contents(tuple(self._files), tuple(self._chunks), ENCODER)
        return contents, *contents_frame(contents)

    def _encode(self, piece: memoryview) -> tuple[Blake3, bytes | None, int]:
        digest = digest_of(piece)
        stored = self._known.get(digest)
        if stored is not None:
            return digest, None, stored
        frame = compress_chunk(piece)
        return digest, frame, len(frame)

    def _locate(self, future: Future[tuple[Blake3, bytes | None, int]], plain: memoryview) -> EncodedChunk:
        digest, frame, stored = future.result()
        last = self._chunks[-1] if self._chunks else None
        chunk = Chunk(
            index=len(self._chunks),
            offset=last.offset + last.length if last else 0,
            length=len(plain),
            position=last.position + last.stored if last else 0,
            stored=stored,
            blake3=digest,
        )
        self._chunks.append(chunk)
        return EncodedChunk(chunk=chunk, frame=frame, plain=plain)


class _Segment:
    """A buffer that is filled and cut, and reused when none of its pieces is in use. Fresh memory would cost more."""

    __slots__ = ("free", "memory", "pieces")

    def __init__(self, length: int, free: list[_Segment]) -> None:
        self.memory = memoryview(bytearray(length))
        self.pieces = 0
        self.free = free


@dataclass(frozen=True, slots=True)
class _Piece:
    """A piece of the stream, in a segment."""

    data: memoryview
    segment: _Segment

    def release(self) -> None:
        """Allow the bytes to be overwritten."""
        self.segment.pieces -= 1
        if not self.segment.pieces:
            self.segment.free.append(self.segment)


class _Cutter:
    """Writes the stream of a tree into segments of memory, and cuts it into pieces."""

    def __init__(self, tree: SourceTree, files: list[FileEntry], progress: Callable[[int], None] | None) -> None:
        self._tree = tree
        self._files = files
        self._progress = progress
        largest = _largest_chunk(tree)
        self._cdc = pyfastcdc.FastCDC(largest // 4, min_size=largest // 16, max_size=largest)
        self._length = max(_SEGMENT_BYTES, 2 * largest)
        self._free: list[_Segment] = []
        self._segment = _Segment(self._length, self._free)
        self._filled = 0
        self._offset = 0

    def pieces(self) -> Generator[_Piece, None, None]:
        for source in self._tree.files:
            yield from self._write(member_header(source.path, size=source.size, executable=source.executable))
            yield from self._write_file(source)
            yield from self._write(bytes(padding_after(source.size)))
        yield from self._write(END_OF_STREAM)
        yield from self._cut(final=True)

    def _write(self, data: bytes) -> Iterator[_Piece]:
        while data:
            count = min(len(data), self._length - self._filled)
            self._segment.memory[self._filled : self._filled + count] = data[:count]
            data = data[count:]
            yield from self._advance(count)

    def _advance(self, count: int) -> Iterator[_Piece]:
        self._filled += count
        self._offset += count
        if self._filled == self._length:
            yield from self._cut(final=False)

    def _write_file(self, source: SourceFile) -> Iterator[_Piece]:
        start = self._offset
        digest = blake3()
        descriptor = _open(source)
        try:
            while (left := start + source.size - self._offset) > 0:
                buffer = self._segment.memory[self._filled : min(self._length, self._filled + left)]
                count = _read(descriptor, buffer, source)
                digest.update(buffer[:count])
                if self._progress:
                    self._progress(count)
                yield from self._advance(count)
            # A file that was overwritten in place while it was being read may still have the same size.
            source.check_unchanged(os.fstat(descriptor))
        finally:
            os.close(descriptor)
        self._files.append(
            FileEntry(
                path=source.path,
                size=source.size,
                offset=start,
                executable=source.executable,
                blake3=Blake3(digest.hexdigest()),
            )
        )

    def _cut(self, *, final: bool) -> Iterator[_Piece]:
        """Yield the pieces of the segment. The bytes after the last certain cut move to the next segment.

        A cut depends only on the bytes since the previous cut. So a piece that ends before the segment does also ends
        there in the whole stream.
        """
        segment = self._segment
        cuts = [(cut.offset, cut.offset + cut.length) for cut in self._cdc.cut_buf(segment.memory[: self._filled])]
        if not final:
            # The last cut is only where the segment ends. More data may move it.
            start, end = cuts.pop()
            self._segment = self._free.pop() if self._free else _Segment(self._length, self._free)
            self._filled = end - start
            self._segment.memory[: self._filled] = segment.memory[start:end]
        segment.pieces = len(cuts)
        for start, end in cuts:
            yield _Piece(segment.memory[start:end], segment)


def average_chunk_bytes(tree_bytes: int) -> int:
    """Return the average size of the chunks of a tree in bytes. Chunks have between a quarter and four times that size.

    Args:
        tree_bytes: The sum of the files' sizes.
    """
    average = _AVERAGE_BYTES
    # The size depends on nothing but the tree, so the same files give the same archive on every machine.
    while average < _LARGEST_AVERAGE_BYTES and tree_bytes > average * _MANY_CHUNKS:
        average *= 2
    return average


def _largest_chunk(tree: SourceTree) -> int:
    return 4 * average_chunk_bytes(sum(file.size for file in tree.files))


def hash_tree(tree: SourceTree, *, progress: Callable[[int], None] | None = None) -> frozenset[FileIdentity]:
    """Return the identities of a tree's files without encoding them, to compare them with those of an archive.

    Raises:
        TreeChanged: The tree changed meanwhile.
        StorageError: A file cannot be read.
    """
    files: list[FileEntry] = []
    # The pieces are not used, but cutting them is how the files are read and digested.
    for piece in _Cutter(tree, files, progress).pieces():
        piece.release()
    tree.check_unchanged()
    return frozenset(map(identity_of, files))


def _open(source: SourceFile) -> int:
    with storage_errors(source.source, READ):
        try:
            # If the file has been replaced by a FIFO, opening it must not wait for a writer.
            descriptor = os.open(source.source, os.O_RDONLY | os.O_NONBLOCK)
        except FileNotFoundError as error:
            raise TreeChanged(
                f"{source.source} is gone: it was there when the directory was listed.", path=source.source
            ) from error
    try:
        # The path may lead to another file than when the directory was listed, such as the target of a new link.
        source.check_unchanged(os.fstat(descriptor))
    except TreeChanged:
        os.close(descriptor)
        raise
    return descriptor


def _read(descriptor: int, buffer: memoryview, source: SourceFile) -> int:
    with storage_errors(source.source, READ):
        count = os.readv(descriptor, [buffer])
    if not count:
        raise TreeChanged(f"{source.source} became shorter while it was being read.", path=source.source)
    return count
