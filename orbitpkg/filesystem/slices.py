"""Reading parts of a published release's files straight from its archive, without installing anything.

What is asked for is turned into chunks, those into ranged reads of the archive, several at once; each chunk is verified
and decompressed as an install does it. So what is given is what was published, or an error.

Chunks that were read are kept in memory, up to a bound, under their digests: neighbours in a file, small files of one
chunk, and versions that share a chunk read it once. Several threads that want one chunk at the same time read it once.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import decompress_chunk
from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import ArchiveError, UnsupportedByStore
from orbitpkg.installer.plan import ChunkWork, RangeRequest, plan_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.repository.repository import Repository

__all__ = ["ChunkCache", "PublishedFiles"]

# Up to here an archive is had whole with one request, instead of its contents first and then its chunks.
_WHOLE_BYTES = 4 * 1024 * 1024
_READERS = 8
# What is in hand at once while a long slice is read, and a chunk: two requests.
_WINDOW_BYTES = 16 * 1024 * 1024


class ChunkCache:
    """The bytes of chunks, those used last, up to a number of bytes. For several threads.

    Args:
        max_bytes: How much is kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._bytes = 0
        self._kept: OrderedDict[Blake3, bytes] = OrderedDict()
        self._loading: dict[Blake3, threading.Event] = {}
        self._lock = threading.Lock()

    def take(
        self, chunks: Iterable[Chunk], load: Callable[[Sequence[Chunk]], Iterator[tuple[Chunk, bytes]]]
    ) -> dict[Blake3, bytes]:
        """Give the bytes of chunks.

        Args:
            chunks: Which.
            load: Gives those that are not kept, in any order; what it raises is raised.
        """
        wanted = {chunk.blake3: chunk for chunk in chunks}
        found: dict[Blake3, bytes] = {}
        while len(found) < len(wanted):
            mine, others = self._claim([chunk for digest, chunk in wanted.items() if digest not in found], found)
            try:
                for chunk, data in load(mine) if mine else ():
                    found[chunk.blake3] = data
                    self._keep(chunk.blake3, data)
            finally:
                self._let_go(mine)
            # Whoever reads them may fail, or they may be crowded out at once: then this thread reads them itself.
            for event in others:
                event.wait()
        return found

    def _claim(self, chunks: Sequence[Chunk], found: dict[Blake3, bytes]) -> tuple[list[Chunk], list[threading.Event]]:
        """Take what is kept; say what the caller is to read, and what to wait for."""
        mine, others = [], []
        with self._lock:
            for chunk in chunks:
                data = self._kept.get(chunk.blake3)
                if data is not None:
                    self._kept.move_to_end(chunk.blake3)
                    found[chunk.blake3] = data
                elif chunk.blake3 in self._loading:
                    others.append(self._loading[chunk.blake3])
                else:
                    self._loading[chunk.blake3] = threading.Event()
                    mine.append(chunk)
        return mine, others

    def _keep(self, digest: Blake3, data: bytes) -> None:
        with self._lock:
            if digest not in self._kept:
                self._kept[digest] = data
                self._bytes += len(data)
            while self._bytes > self._max_bytes:
                _, dropped = self._kept.popitem(last=False)
                self._bytes -= len(dropped)

    def _let_go(self, chunks: Iterable[Chunk]) -> None:
        with self._lock:
            for chunk in chunks:
                self._loading.pop(chunk.blake3).set()


class PublishedFiles:
    """The files of a release in a repository. For several threads.

    Args:
        repository: Where it is.
        release: Which one.
        cache: Keeps chunks; several releases may share one.

    Attributes:
        release: Which one.
        contents: What it holds.

    Raises:
        IntegrityError: The archive is gone, or is not the one that the record commits to.
        UnsupportedByStore: It is too large to be read whole, and the store answers no ranged reads.
        RepositoryError: It cannot be read.
    """

    def __init__(self, repository: Repository, release: Release, cache: ChunkCache) -> None:
        self.release = release
        self.contents: Contents
        self._repository = repository
        self._cache = cache
        self._whole: memoryview | None = None
        if release.archive.size <= _WHOLE_BYTES:
            data = repository.whole_archive(release)
            self._whole = memoryview(data)
            _, self.contents = repository.contents(release, archive=data)
            return
        try:
            _, self.contents = repository.contents(release)
        except UnsupportedByStore as error:
            error.hint = f"Install it, which reads it whole: orbitpkg install {release.key}=={release.version}"
            raise

    def read(self, file: FileEntry, start: int, end: int) -> bytes:
        """Give the bytes of a file from ``start`` up to and without ``end``; fewer where the file ends before.

        Raises:
            ArchiveError: They are not those that were published.
            RepositoryError: They cannot be read.
        """
        first, last = file.offset + max(start, 0), file.offset + min(end, file.size)
        if first >= last:
            return b""
        chunks = [chunk for chunk in self.contents.chunks_of(file) if _overlaps(chunk, first, last)]
        pieces: list[memoryview] = []
        for window in _windows(chunks):
            found = self._cache.take(window, self._load)
            for chunk in window:
                data = memoryview(found[chunk.blake3])
                pieces.append(data[max(first - chunk.offset, 0) : min(last - chunk.offset, chunk.length)])
        return b"".join(pieces)

    def _load(self, chunks: Sequence[Chunk]) -> Iterator[tuple[Chunk, bytes]]:
        requests = plan_requests(ChunkWork(chunk=chunk, targets=()) for chunk in chunks)
        if len(requests) == 1 or self._whole is not None:
            for request in requests:
                yield from self._answer(request)
            return
        with Pool(min(_READERS, len(requests)), "orbitpkg-slices") as pool:
            for answer in pool.map(self._answer, requests):
                yield from answer

    def _answer(self, request: RangeRequest) -> list[tuple[Chunk, bytes]]:
        try:
            return self._verified(request)
        except ArchiveError:
            # Wrong bytes once may be the wire's, or those of a cache on the way.
            return self._verified(request)

    def _verified(self, request: RangeRequest) -> list[tuple[Chunk, bytes]]:
        data = memoryview(self._bytes_of(request))
        where = f"{self.release} in {self._repository.url}"
        answer = []
        for chunk in (work.chunk for work in request.work):
            frame = data[chunk.position - request.start :][: chunk.stored]
            answer.append((chunk, decompress_chunk(frame, chunk, where=where)))
        return answer

    def _bytes_of(self, request: RangeRequest) -> bytes | memoryview:
        if self._whole is not None:
            return self._whole[request.start : request.start + request.length]
        return self._repository.objects.get_range(self.release.archive.key, request.start, request.length)


def _windows(chunks: Iterable[Chunk]) -> Iterator[list[Chunk]]:
    window: list[Chunk] = []
    length = 0
    for chunk in chunks:
        if length >= _WINDOW_BYTES:
            yield window
            window, length = [], 0
        window.append(chunk)
        length += chunk.length
    if window:
        yield window


def _overlaps(chunk: Chunk, first: int, last: int) -> bool:
    return chunk.offset < last and first < chunk.offset + chunk.length
