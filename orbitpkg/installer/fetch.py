"""Doing what a plan says: ranges read in parallel, decompressed, written where they belong, verified.

Each worker takes one request through all steps, a few chunks at a time as its bytes arrive, so that no step of one
waits for a step of another, memory holds some chunks for each worker, and a process that is killed has written nearly
all that it received. A file is done when all of its slices are there *and* they hash to its digest: the digest is the
name under which other releases will reuse the file, so a lie about it must not get through.

A request whose connection fails is asked again from the first chunk that is still missing, after a pause that grows
and varies; one that made progress starts counting anew. A store that says it is overloaded is asked by fewer workers
at once.
"""

from __future__ import annotations

import os
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
from orbitpkg.files.folders import make_folders
from orbitpkg.files.writing import write_at
from orbitpkg.installer.batches import Batch, FrameRoom
from orbitpkg.installer.growing import GrowingFile
from orbitpkg.installer.local import present_chunks
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

# What is written at once.
_BATCH_BYTES = 1024 * 1024
_UNREACHABLE = RetryPolicy(tries=6, first_pause=0.5)
# Wrong bytes may come from the network or a cache on the way, once.
_WRONG_BYTES = RetryPolicy(tries=2)
# A request is about 8 MiB: whoever takes longer for it is given up and asked again where it stopped.
_REQUEST_SECONDS = 600.0


class ByteSource(Protocol):
    """Where an archive's bytes come from; called from several threads at once."""

    def stream(self, start: int, length: int) -> Iterator[memoryview]:
        """Give exactly ``length`` bytes from ``start``, in pieces of any size, as they come."""


class ChunkSource(Protocol):
    """Where chunks may be had without the archive; called from several threads at once."""

    def read_into(self, chunk: Chunk, room: memoryview, *, verify: bool) -> bool:
        """Read a chunk into memory of just its length; says whether it was there."""


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
    """Read what a plan says and write it into a staging folder.

    Each file is held against its digest, which says the same as those of its chunks and is needed anyway. Only when it
    is wrong are the chunks asked which of them is: those are fetched, and all of the file is verified chunk by chunk.

    Args:
        plan: What to do.
        source: The archive.
        staging: Where the files go.
        contents: Of the archive.
        pool: Whose workers do it.
        local: Where the chunks that the plan reuses come from; one that is not there after all is fetched.
        where: How to call the archive in an error.
        finished: Called with each file that is whole, verified and read-only, and its path.
        progress: Called with the number of bytes read from the archive since the last call.

    Raises:
        ArchiveError: Bytes are not those promised, twice in a row.
        RepositoryError: The archive cannot be read.
        StorageError: The disk did not take the files.
    """
    run = partial(_Fetch, source, staging, pool=pool, local=local, where=where, finished=finished, progress=progress)
    doubtful = run(plan, by_chunk=False).run()
    if doubtful:
        present = present_chunks(contents, doubtful, staging, pool)
        reusable = {work.chunk.blake3 for work in plan.reuse}
        run(plan_install(contents, doubtful, present=present, local=reusable), by_chunk=True).run()


class _Fetch:
    """One go at a plan.

    Args:
        by_chunk: Whether each chunk is verified; otherwise files alone, and those that are wrong are named in the end.
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
        self._growing: dict[str, GrowingFile] = {}
        self._gone: list[ChunkWork] = []
        self._doubtful: list[FileEntry] = []

    def run(self) -> list[FileEntry]:
        with storage_errors(self._staging.files):
            self._make_folders()
            for file in self._plan.empty:
                self._write_whole(file, b"")
            self._growing = {growing.file.path: growing for growing in self._growing_files()}
        # Requests first: the network is asked while the disk is read.
        works = [partial(self._request, request) for request in self._plan.requests]
        # What waits for no network is done faster by few threads, and comes in better order.
        left = deque(self._plan.reuse)
        readers = usable_cores() + 1 if left else 0
        self._pool.run([*works, *[partial(self._reuse_all, left)] * readers])
        self._pool.run(partial(self._request, request) for request in plan_requests(self._gone))
        holes = [path for path, growing in self._growing.items() if not growing.is_whole]
        if holes:
            raise IntegrityError(
                f"{holes[0]!r} in {self._where} is not whole; nothing of it was installed.", path=holes[0]
            )
        return self._doubtful

    def _make_folders(self) -> None:
        for folder in sorted({os.path.dirname(self._staging.path(file)) for file in self._plan.files}):  # noqa: PTH120
            make_folders(folder)

    def _growing_files(self) -> Iterator[GrowingFile]:
        """The files that come in more than one slice, or of which a slice is there."""
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
                growing = GrowingFile(file, self._staging.path(file), there)
                if growing.is_whole:
                    self._end(growing)
                yield growing

    def _reuse_all(self, left: deque[ChunkWork]) -> None:
        room = memoryview(bytearray(_BATCH_BYTES + MAX_CHUNK_BYTES))
        while left:
            if self._pool.stopping.is_set():
                raise StoppedError
            batch = Batch()
            while left and batch.length < _BATCH_BYTES:
                try:
                    work = left.popleft()
                except IndexError:  # another thread was faster
                    break
                data = room[batch.length : batch.length + work.chunk.length]
                if self._local.read_into(work.chunk, data, verify=self._by_chunk):
                    batch.add(work, data)
                else:
                    self._gone.append(work)
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
                if len(pending) < before:
                    retries.reset()
                if isinstance(error, RepositoryUnreachable):
                    self._pool.gate.pause(error)
                retries.failed(error, policy=_WRONG_BYTES if isinstance(error, ArchiveError) else None)

    def _take(self, request: RangeRequest, pending: list[ChunkWork]) -> None:
        """Read what is missing of a request and write each chunk as soon as it is there."""
        start = pending[0].chunk.position
        deadline = time.monotonic() + _REQUEST_SECONDS
        frame = FrameRoom(pending)
        decoder = ChunkDecoder(self._where, verify=self._by_chunk)
        batch = Batch()
        try:
            for piece in self._source.stream(start, request.start + request.length - start):
                for whole in frame.take(start, piece):
                    work = pending[len(batch)]
                    batch.add(work, memoryview(decoder.decode(whole, work.chunk)))
                    if batch.length >= _BATCH_BYTES:
                        self._place(batch, pending)
                        batch = Batch()
                start += len(piece)
                if self._pool.stopping.is_set():
                    return
                self._check_time(deadline)
        except (ArchiveError, RepositoryUnreachable):
            self._place(batch, pending)
            raise
        self._place(batch, pending)
        if pending:
            raise RepositoryUnreachable(f"{self._where}: the answer was cut short.")

    def _check_time(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise RepositoryUnreachable(f"{self._where} is too slow: 8 MiB took over {_REQUEST_SECONDS:.0f} s.")

    def _place(self, batch: Batch, pending: list[ChunkWork]) -> None:
        self._write(batch)
        if self._progress:
            self._progress(sum(work.chunk.stored for work in pending[: len(batch)]))
        del pending[: len(batch)]

    def _write(self, batch: Batch) -> None:
        with storage_errors(self._staging.files):
            for run in batch.runs():
                growing = self._growing.get(run.file.path)
                if growing is None:
                    (piece,) = run.pieces
                    self._write_whole(run.file, piece)
                elif growing.write(run.offset, run.pieces):
                    self._end(growing)

    def _end(self, growing: GrowingFile) -> None:
        if self._is_sound(growing.file, growing.digest):
            os.chmod(growing.path, os.stat(growing.path).st_mode & 0o555)  # noqa: PTH101, PTH116
            self._finished(growing.file, growing.path)

    def _is_sound(self, file: FileEntry, digest: str) -> bool:
        if digest == file.blake3:
            return True
        if self._by_chunk:
            raise IntegrityError(
                f"{file.path!r} in {self._where} is not the file its contents promise: "
                "the release is damaged or forged.",
                hint="Tell its publisher; nothing of it was installed.",
                path=file.path,
            )
        self._doubtful.append(file)
        return False

    def _write_whole(self, file: FileEntry, data: bytes | memoryview) -> None:
        if not self._is_sound(file, blake3(data).hexdigest()):
            return
        path = self._staging.path(file)
        mode = 0o555 if file.executable else 0o444
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:  # what an earlier attempt left
            os.unlink(path)  # noqa: PTH108
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        try:
            write_at(descriptor, data, 0)
        finally:
            os.close(descriptor)
        self._finished(file, path)
