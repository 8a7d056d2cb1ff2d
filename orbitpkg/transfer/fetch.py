"""Doing what a plan says: ranges read in parallel, verified, decompressed, written where they belong.

Each worker takes one request through all steps, so that no step of one waits for a step of another, and what is in
memory is a request for each worker. A file is done when all of its slices are there *and* they hash to its digest:
the digest is the name under which other releases will reuse the file, so a lie about it must not get through.
"""

from __future__ import annotations

import contextlib
import os
import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from orbitpkg.archive.frames import decompress_chunk
from orbitpkg.errors import ArchiveError, IntegrityError
from orbitpkg.store.durable import storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable

    from orbitpkg.model.contents import FileEntry
    from orbitpkg.store.store import Staging
    from orbitpkg.transfer.plan import ChunkWork, InstallPlan, RangeRequest, Target

__all__ = ["ByteSource", "fetch"]

_WORKERS = 8
_READ_BYTES = 1024 * 1024


class ByteSource(Protocol):
    """Where an archive's bytes come from; called from several threads at once."""

    def read(self, start: int, length: int) -> bytes | memoryview:
        """Give exactly ``length`` bytes from ``start``."""


def fetch(
    plan: InstallPlan,
    source: ByteSource,
    staging: Staging,
    *,
    where: str,
    finished: Callable[[FileEntry, str], None],
    progress: Callable[[int], None] | None = None,
) -> None:
    """Read what a plan says and write it into a staging folder.

    Args:
        plan: What to do.
        source: The archive.
        staging: Where the files go.
        where: How to call the archive in an error.
        finished: Called with each file that is whole, verified and read-only, and its path.
        progress: Called with the number of bytes read from the archive since the last call.

    Raises:
        ArchiveError: Bytes are not those promised, twice in a row.
        RepositoryError: The archive cannot be read.
        StorageError: The disk did not take the files.
    """
    _Fetch(plan, source, staging, where=where, finished=finished, progress=progress).run()


class _Fetch:
    def __init__(
        self,
        plan: InstallPlan,
        source: ByteSource,
        staging: Staging,
        *,
        where: str,
        finished: Callable[[FileEntry, str], None],
        progress: Callable[[int], None] | None,
    ) -> None:
        self._plan = plan
        self._source = source
        self._staging = staging
        self._where = where
        self._finished = finished
        self._progress = progress
        self._stop = threading.Event()
        self._growing: dict[str, _GrowingFile] = {}

    def run(self) -> None:
        with storage_errors(self._staging.files):
            self._make_folders()
            for file in self._plan.empty:
                self._write_whole(file, b"")
        self._growing = {file.path: _GrowingFile(file, self._staging.path(file)) for file in self._shared_files()}
        with ThreadPoolExecutor(_WORKERS, "orbitpkg-fetch") as pool:
            futures = [pool.submit(self._request, request) for request in self._plan.requests]
            try:
                done, _ = wait(futures, return_when=FIRST_EXCEPTION)
                for future in done:
                    future.result()
            except BaseException:
                # Ctrl-C as well: what is not begun is dropped, what is begun ends at its next chunk.
                self._stop.set()
                pool.shutdown(wait=False, cancel_futures=True)
                raise

    def _make_folders(self) -> None:
        for folder in sorted({os.path.dirname(self._staging.path(file)) for file in self._plan.files}):  # noqa: PTH120
            os.makedirs(folder, exist_ok=True)  # noqa: PTH103

    def _shared_files(self) -> list[FileEntry]:
        """The files that come in more than one slice."""
        slices: dict[str, int] = {}
        for request in self._plan.requests:
            for work in request.work:
                for target in work.targets:
                    slices[target.file.path] = slices.get(target.file.path, 0) + 1
        return [file for file in self._plan.files if slices.get(file.path, 0) > 1]

    def _request(self, request: RangeRequest) -> None:
        try:
            pending = list(request.work)
            self._take(request, pending)
        except ArchiveError:
            # The wire, or a cache on the way, may have done it: once more, for the chunks that are still missing.
            self._take(request, pending)

    def _take(self, request: RangeRequest, pending: list[ChunkWork]) -> None:
        start = pending[0].chunk.position
        length = request.start + request.length - start
        data = memoryview(self._source.read(start, length))
        if len(data) != length:
            raise IntegrityError(f"{self._where} gave {len(data):,} bytes where {length:,} were asked for.")
        while pending and not self._stop.is_set():
            chunk = pending[0].chunk
            begin = chunk.position - start
            plain = decompress_chunk(data[begin : begin + chunk.stored], chunk, where=self._where)
            self._write(pending[0], memoryview(plain))
            pending.pop(0)
            if self._progress:
                self._progress(chunk.stored)

    def _write(self, work: ChunkWork, plain: memoryview) -> None:
        with storage_errors(self._staging.files):
            for target in work.targets:
                data = plain[target.chunk_offset : target.chunk_offset + target.length]
                growing = self._growing.get(target.file.path)
                if growing is None:
                    self._write_whole(target.file, data)
                elif growing.write(target, data):
                    self._finished(target.file, growing.path)

    def _write_whole(self, file: FileEntry, data: bytes | memoryview) -> None:
        _check(file, blake3(data).hexdigest(), self._where)
        path = self._staging.path(file)
        with contextlib.suppress(FileNotFoundError):  # what an earlier attempt left
            os.unlink(path)  # noqa: PTH108
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o555 if file.executable else 0o444)
        try:
            _write_all(descriptor, data, 0)
        finally:
            os.close(descriptor)
        self._finished(file, path)


def _check(file: FileEntry, digest: str, where: str) -> None:
    if digest != file.blake3:
        raise IntegrityError(
            f"{file.path!r} in {where} is not the file its contents promise: the release is damaged or forged.",
            hint="Tell its publisher; nothing of it was installed.",
            path=file.path,
        )


def _write_all(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    left = memoryview(data)
    while left:
        count = os.pwrite(descriptor, left, offset)
        left = left[count:]
        offset += count


class _GrowingFile:
    """A file that comes in slices, from several threads, in nearly the right order.

    It is hashed as it grows: a slice that continues what is hashed is hashed from memory, one that came early is read
    back when its turn comes, while it is still in the system's cache.
    """

    def __init__(self, file: FileEntry, path: str) -> None:
        self.path = path
        self._file = file
        self._lock = threading.Lock()
        self._hasher = blake3()
        self._hashed = 0
        self._early: dict[int, int] = {}
        with contextlib.suppress(FileNotFoundError):
            # What an earlier attempt left may be a read-only file, or a link to a blob: neither may be written to.
            os.unlink(path)  # noqa: PTH108

    def write(self, target: Target, data: memoryview) -> bool:
        """Write a slice. Returns whether the file is whole and verified with it."""
        mode = 0o755 if self._file.executable else 0o644
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, mode)
        try:
            _write_all(descriptor, data, target.file_offset)
            with self._lock:
                self._hash(descriptor, target, data)
                if self._hashed < self._file.size:
                    return False
            _check(self._file, self._hasher.hexdigest(), self.path)
            os.fchmod(descriptor, os.fstat(descriptor).st_mode & 0o555)
        finally:
            os.close(descriptor)
        return True

    def _hash(self, descriptor: int, target: Target, data: memoryview) -> None:
        if target.file_offset != self._hashed:
            self._early[target.file_offset] = target.length
            return
        self._hasher.update(data)
        self._hashed += target.length
        while (length := self._early.pop(self._hashed, None)) is not None:
            end = self._hashed + length
            while self._hashed < end:
                piece = os.pread(descriptor, min(_READ_BYTES, end - self._hashed), self._hashed)
                if not piece:
                    raise IntegrityError(f"{self.path} became shorter while it was being written.")
                self._hasher.update(piece)
                self._hashed += len(piece)
