"""Execution of an install plan: ranges are read in parallel, decompressed, written and verified.

Each worker takes a request through all steps, a few chunks at a time as they arrive. Workers never wait for each other,
memory use is small, and a killed process loses little. A file is complete when all its slices are written and match its
digest. Other releases reuse the file by that digest, so it must be verified first.

When a connection fails, the request is repeated from the first missing chunk after a growing, random pause. Progress
resets the number of attempts. Fewer workers send requests to a store that reports an overload.
"""

from __future__ import annotations

import os
import stat
import time
from collections import deque
from functools import partial
from typing import TYPE_CHECKING, Protocol

from blake3 import blake3

from orbitpkg.archive.frames import ChunkDecoder
from orbitpkg.concurrency.cores import usable_cores
from orbitpkg.concurrency.pool import StoppedError
from orbitpkg.errors import ArchiveError, IntegrityError, RepositoryUnreachable
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.folders import make_folders, set_mode
from orbitpkg.files.writing import write_at
from orbitpkg.installer.batches import Batch, FrameBuffer
from orbitpkg.installer.local import present_chunks
from orbitpkg.installer.partial_file import PartialFile
from orbitpkg.installer.plan import plan_install, plan_requests
from orbitpkg.model.contents import MAX_CHUNK_BYTES
from orbitpkg.objects.retry import Retries, RetryPolicy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.installer.plan import ChunkWork, InstallPlan, RangeRequest, Target
    from orbitpkg.model.contents import Chunk, Contents, FileEntry
    from orbitpkg.store.store import Staging

__all__ = ["ByteSource", "ChunkSource", "fetch"]

# The amount of data written at once.
_BATCH_BYTES = 1024 * 1024
_UNREACHABLE = RetryPolicy(tries=6, first_pause=0.5)
# Wrong bytes may come from the network or a cache on the way, once.
_WRONG_BYTES = RetryPolicy(tries=2)
# A request is about 8 MiB. One that takes longer is aborted and continued with a new request.
_REQUEST_SECONDS = 600.0


class ByteSource(Protocol):
    """A source of an archive's bytes. Called from several threads at once."""

    def stream(self, start: int, length: int) -> Iterator[memoryview]:
        """Yield exactly ``length`` bytes from ``start``, in pieces of any size, as they arrive."""


class ChunkSource(Protocol):
    """A source of chunks other than the archive. Called from several threads at once."""

    def read_into(self, chunk: Chunk, buffer: memoryview, *, verify: bool) -> bool:
        """Read a chunk into a buffer of its length, and return whether it was available."""


def fetch(
    plan: InstallPlan,
    source: ByteSource,
    staging: Staging,
    *,
    contents: Contents,
    pool: Pool,
    local: ChunkSource,
    where: str,
    finished: Callable[[FileEntry, str], None],
    progress: Callable[[int], None] | None = None,
) -> None:
    """Read what a plan lists, and write it into a staging folder.

    The digest of each file is verified. Only if it is wrong are the digests of its chunks verified, to find the wrong
    ones and fetch them again.

    Args:
        plan: The plan.
        source: The archive.
        staging: The folder to write into.
        contents: The contents of the archive.
        pool: The workers.
        local: The source of the chunks that the plan reuses. A chunk that is not available after all is fetched.
        where: The name of the archive in error messages.
        finished: Called with each file that is complete, verified and read-only, and its path.
        progress: Called with the number of bytes read from the archive since the last call.

    Raises:
        ArchiveError: The data was wrong twice in a row.
        IntegrityError: A file does not match its digest although its chunks do.
        RepositoryError: The archive cannot be read.
        StorageError: The files cannot be written.
    """
    run = partial(_Fetch, source, staging, pool=pool, local=local, where=where, finished=finished, progress=progress)
    mismatched = run(plan, by_chunk=False).run()
    if mismatched:
        present = present_chunks(contents, mismatched, staging, pool)
        reusable = {work.chunk.blake3 for work in plan.reuse}
        run(plan_install(contents, mismatched, present=present, local=reusable), by_chunk=True).run()


class _Fetch:
    """One run of a plan.

    Args:
        by_chunk: Whether to verify each chunk. Otherwise only files are verified, and :meth:`run` returns wrong ones.
    """

    def __init__(
        self,
        source: ByteSource,
        staging: Staging,
        plan: InstallPlan,
        *,
        by_chunk: bool,
        pool: Pool,
        local: ChunkSource,
        where: str,
        finished: Callable[[FileEntry, str], None],
        progress: Callable[[int], None] | None,
    ) -> None:
        self._plan = plan
        self._by_chunk = by_chunk
        self._source = source
        self._staging = staging
        self._local = local
        self._where = where
        self._finished = finished
        self._progress = progress
        self._pool = pool
        self._partial: dict[str, PartialFile] = {}
        self._unavailable: list[ChunkWork] = []
        self._mismatched: list[FileEntry] = []

    def run(self) -> list[FileEntry]:
        with storage_errors(self._staging.files):
            self._make_folders()
            for file in self._plan.empty:
                self._write_whole(file, b"")
            self._partial = {partial_file.file.path: partial_file for partial_file in self._partial_files()}
        # Requests come first, so that the network is busy while the disk is read.
        works = [partial(self._request, request) for request in self._plan.requests]
        # Reading the disk is faster with few threads, and keeps a better order.
        left = deque(self._plan.reuse)
        readers = usable_cores() + 1 if left else 0
        self._pool.run([*works, *[partial(self._reuse_all, left)] * readers])
        self._pool.run(partial(self._request, request) for request in plan_requests(self._unavailable))
        # A file that is not complete was never compared with its digest.
        holes = [path for path, partial_file in self._partial.items() if not partial_file.is_complete]
        if holes:
            raise IntegrityError(f"{holes[0]!r} in {self._where} is incomplete. Nothing was installed.", path=holes[0])
        return self._mismatched

    def _make_folders(self) -> None:
        for folder in sorted({os.path.dirname(self._staging.path(file)) for file in self._plan.files}):  # noqa: PTH120
            make_folders(folder)

    def _partial_files(self) -> Iterator[PartialFile]:
        """Yield the files that arrive in more than one slice, or are partly written already."""
        slices: dict[str, int] = {}
        for work in (*self._plan.reuse, *(work for request in self._plan.requests for work in request.work)):
            for target in work.targets:
                slices[target.file.path] = slices.get(target.file.path, 0) + 1
        present: dict[str, list[Target]] = {}
        for work in self._plan.present:
            for target in work.targets:
                present.setdefault(target.file.path, []).append(target)
        for file in self._plan.files:
            there = present.get(file.path, [])
            if there or slices.get(file.path, 0) > 1:
                partial_file = PartialFile(file, self._staging.path(file), there)
                if partial_file.is_complete:
                    self._end(partial_file)
                yield partial_file

    def _reuse_all(self, left: deque[ChunkWork]) -> None:
        buffer = memoryview(bytearray(_BATCH_BYTES + MAX_CHUNK_BYTES))
        while left:
            if self._pool.stopping.is_set():
                raise StoppedError
            batch = Batch()
            while left and batch.length < _BATCH_BYTES:
                try:
                    work = left.popleft()
                except IndexError:  # another thread took the last one
                    break
                data = buffer[batch.length : batch.length + work.chunk.length]
                if self._local.read_into(work.chunk, data, verify=self._by_chunk):
                    batch.add(work, data)
                else:
                    self._unavailable.append(work)
            self._write(batch)

    def _request(self, request: RangeRequest) -> None:
        pending = list(request.work)
        retries = Retries(_UNREACHABLE, stopping=self._pool.stopping)
        while pending:
            retries.check()
            before = len(pending)
            try:
                with self._pool.gate:
                    self._take(request, pending)
            except (ArchiveError, RepositoryUnreachable) as error:
                # However often the connection breaks, a download that makes progress must be able to finish.
                if len(pending) < before:
                    retries.reset()
                if isinstance(error, RepositoryUnreachable):
                    self._pool.gate.pause(error)
                retries.failed(error, policy=_WRONG_BYTES if isinstance(error, ArchiveError) else None)

    def _take(self, request: RangeRequest, pending: list[ChunkWork]) -> None:
        """Read the missing part of a request, and write each chunk as soon as it arrives."""
        start = pending[0].chunk.position
        deadline = time.monotonic() + _REQUEST_SECONDS
        frame = FrameBuffer(pending)
        decoder = ChunkDecoder(self._where, verify=self._by_chunk)
        batch = Batch()
        try:
            for piece in self._source.stream(start, request.start + request.length - start):
                for whole in frame.take(start, piece):
                    work = pending[len(batch)]
                    batch.add(work, memoryview(decoder.decode(whole, work.chunk)))
                    if batch.length >= _BATCH_BYTES:
                        self._store(batch, pending)
                        batch = Batch()
                start += len(piece)
                if self._pool.stopping.is_set():
                    return
                self._check_time(deadline)
        except (ArchiveError, RepositoryUnreachable):
            # The next try then requests only what is still missing.
            self._store(batch, pending)
            raise
        self._store(batch, pending)
        if pending:
            raise RepositoryUnreachable(f"{self._where}: the response ended early.")

    def _check_time(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise RepositoryUnreachable(f"{self._where} is too slow: 8 MiB took more than {_REQUEST_SECONDS:.0f} s.")

    def _store(self, batch: Batch, pending: list[ChunkWork]) -> None:
        self._write(batch)
        if self._progress:
            self._progress(sum(work.chunk.stored for work in pending[: len(batch)]))
        del pending[: len(batch)]

    def _write(self, batch: Batch) -> None:
        with storage_errors(self._staging.files):
            for run in batch.runs():
                partial_file = self._partial.get(run.file.path)
                if partial_file is None:
                    (piece,) = run.pieces
                    self._write_whole(run.file, piece)
                elif partial_file.write(run.offset, run.pieces):
                    self._end(partial_file)

    def _end(self, partial_file: PartialFile) -> None:
        if self._is_sound(partial_file.file, partial_file.digest):
            set_mode(partial_file.path, stat.S_IMODE(os.stat(partial_file.path).st_mode) & 0o555)  # noqa: PTH116
            self._finished(partial_file.file, partial_file.path)

    def _is_sound(self, file: FileEntry, digest: str) -> bool:
        if digest == file.blake3:
            return True
        # Every chunk matches its digest, so another try would bring the same bytes.
        if self._by_chunk:
            raise IntegrityError(
                f"{file.path!r} in {self._where} does not match its digest: the release is damaged or forged.",
                hint="Nothing was installed. Report the problem to the publisher.",
                path=file.path,
            )
        self._mismatched.append(file)
        return False

    def _write_whole(self, file: FileEntry, data: bytes | memoryview) -> None:
        if not self._is_sound(file, blake3(data).hexdigest()):
            return
        path = self._staging.path(file)
        # Several releases may share the file through hard links, so no app may write to it.
        mode = 0o555 if file.executable else 0o444
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:  # left by an earlier attempt
            os.unlink(path)  # noqa: PTH108
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            write_at(descriptor, data, 0)
        finally:
            os.close(descriptor)
        self._finished(file, path)
