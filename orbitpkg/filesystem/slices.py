"""Partial reads of a published release's files from its archive, without installing it.

The requested bytes are mapped to chunks, and the chunks to ranged reads of the archive, which run in parallel. Each
chunk is verified and decompressed as in an installation. So the result is what was published, or an error.

Chunks stay in memory under their digests, up to a limit. A chunk is read once for adjacent reads, for small files in
the same chunk, for versions that share it, and for threads that need it at the same time.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import decompress_chunk
from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import ArchiveError, UnsupportedByStore
from orbitpkg.installer.agreement import check_manifest, manifest_entry
from orbitpkg.installer.plan import ChunkWork, RangeRequest, plan_requests

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.repository.repository import Repository

__all__ = ["ChunkCache", "PublishedFiles"]

# A smaller archive is read as a whole, in one request instead of one for its contents and more for its chunks.
_WHOLE_BYTES = 4 * 1024 * 1024
_READERS = 8
# The bytes in memory while a long slice is read: about two requests.
_WINDOW_BYTES = 16 * 1024 * 1024


class ChunkCache:
    """The bytes of the most recently used chunks. Thread-safe.

    Args:
        max_bytes: The maximum size, in bytes.
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
        """Return the bytes of chunks.

        Args:
            chunks: The chunks.
            load: Reads the chunks missing from memory, and yields them in any order. Its errors are passed on.
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
                self._release(mine)
            # The other thread may fail, or its chunks may be evicted at once. Then the next turn reads them here.
            for event in others:
                event.wait()
        return found

    def _claim(self, chunks: Sequence[Chunk], found: dict[Blake3, bytes]) -> tuple[list[Chunk], list[threading.Event]]:
        """Collect the chunks in memory; return those for the caller to read, and events to wait for the others."""
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

    def _release(self, chunks: Iterable[Chunk]) -> None:
        with self._lock:
            for chunk in chunks:
                self._loading.pop(chunk.blake3).set()


class PublishedFiles:
    """The files of a published release. Thread-safe.

    Args:
        repository: The repository.
        release: The release.
        cache: The chunks in memory, which several releases may share.

    Attributes:
        release: The release.
        contents: Its files and chunks.

    Raises:
        IntegrityError: The archive is missing, or does not match the release's record.
        UnsupportedByStore: The archive is large, and the store does not support ranged reads.
        RepositoryError: The archive cannot be read.
    """

    def __init__(self, repository: Repository, release: Release, cache: ChunkCache) -> None:
        self.release = release
        self.contents: Contents
        self.origin = repository.url
        self._repository = repository
        self._cache = cache
        self._whole: memoryview | None = None
        if release.archive.size <= _WHOLE_BYTES:
            data = repository.whole_archive(release)
            self._whole = memoryview(data)
            _, self.contents = repository.contents(release, archive=data)
            self._check_manifest()
            return
        try:
            _, self.contents = repository.contents(release)
        except UnsupportedByStore as error:
            error.hint = f"To install the release instead: orbitpkg install {release.key}=={release.version}"
            raise
        self._check_manifest()

    def _check_manifest(self) -> None:
        """Compare the manifest in the archive with the record, as an installation does."""
        entry = manifest_entry(self.release, self.contents)
        check_manifest(self.release, self.read(entry, 0, entry.size), where=self.origin)

    def read(self, file: FileEntry, start: int, end: int) -> bytes:
        """Return the bytes of a file from ``start`` to ``end``, exclusive; fewer if the file is shorter.

        Raises:
            ArchiveError: The archive is damaged.
            RepositoryError: The archive cannot be read.
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
            # The connection or a proxy's cache may have corrupted the bytes, so read them once more.
            return self._verified(request)

    def _verified(self, request: RangeRequest) -> list[tuple[Chunk, bytes]]:
        data = memoryview(self._bytes_of(request))
        where = f"{self.release.label} in {self._repository.url}"
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
