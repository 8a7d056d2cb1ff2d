"""The plan of an install: what it reads, and where each byte goes.

A plan is a value made by a pure function before anything is read, so ``--dry-run`` shows exactly what an install does.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry

__all__ = ["ChunkWork", "InstallPlan", "RangeRequest", "Target", "plan_install", "plan_requests"]

_REQUEST_BYTES = 8 * 1024 * 1024
# Up to this many bytes, reading what is not needed is cheaper than another request. A round trip of 30 ms at 1 Gbit/s
# is worth 4 MiB, but stores also charge for bytes.
_GAP_BYTES = 32 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A slice of a chunk, and its place in a file.

    Attributes:
        file: The file.
        file_offset: The offset of the slice in the file.
        chunk_offset: The offset of the slice in the chunk.
        length: The length in bytes.
    """

    file: FileEntry
    file_offset: int
    chunk_offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ChunkWork:
    """A chunk to obtain, and all slices of files that it fills."""

    chunk: Chunk
    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RangeRequest:
    """A range of the archive to read with one request.

    Attributes:
        start: The offset of the first byte.
        length: The length in bytes.
        work: The chunks in the range, in order.
    """

    start: int
    length: int
    work: tuple[ChunkWork, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class InstallPlan:
    """What an install does.

    Attributes:
        files: The files to write.
        empty: The empty ones among them.
        present: Chunks that an interrupted install has written already.
        reuse: Chunks that other installed releases contain.
        requests: The ranges to read from the archive, in order.
    """

    files: tuple[FileEntry, ...]
    empty: tuple[FileEntry, ...]
    present: tuple[ChunkWork, ...]
    reuse: tuple[ChunkWork, ...]
    requests: tuple[RangeRequest, ...]

    @property
    def bytes_to_fetch(self) -> int:
        """The number of bytes to read from the archive."""
        return sum(request.length for request in self.requests)

    @property
    def bytes_reused(self) -> int:
        """The number of uncompressed bytes that come from this disk instead."""
        return sum(work.chunk.length for work in (*self.present, *self.reuse))

    @property
    def bytes_to_write(self) -> int:
        """The disk space that the files take, in bytes."""
        return sum(file.size for file in self.files)


def plan_install(
    contents: Contents,
    files: Iterable[FileEntry],
    *,
    present: Collection[Blake3] = (),
    local: Collection[Blake3] = (),
) -> InstallPlan:
    """Plan how to obtain files of an archive.

    A chunk that occurs more than once is read once.

    Args:
        contents: The contents of the archive.
        files: The files to obtain.
        present: The digests of chunks that are written already.
        local: The digests of chunks that installed releases contain.
    """
    # The files may come from a generator, and are needed twice.
    wanted = tuple(files)
    targets: defaultdict[Blake3, list[Target]] = defaultdict(list)
    first: dict[Blake3, Chunk] = {}
    for file in wanted:
        for chunk in contents.chunks_of(file):
            targets[chunk.blake3].append(_target(file, chunk))
            first.setdefault(chunk.blake3, chunk)
    work = [ChunkWork(chunk=chunk, targets=tuple(targets[digest])) for digest, chunk in first.items()]
    missing = [piece for piece in work if piece.chunk.blake3 not in present]
    return InstallPlan(
        files=wanted,
        empty=tuple(file for file in wanted if not file.size),
        present=tuple(piece for piece in work if piece.chunk.blake3 in present),
        reuse=tuple(piece for piece in missing if piece.chunk.blake3 in local),
        requests=plan_requests(piece for piece in missing if piece.chunk.blake3 not in local),
    )


def plan_requests(work: Iterable[ChunkWork]) -> tuple[RangeRequest, ...]:
    """Merge chunks that lie close together in the archive into requests of about 8 MiB."""
    ordered = sorted(work, key=lambda piece: piece.chunk.position)
    return tuple(_request(group) for group in _groups(ordered))


def _target(file: FileEntry, chunk: Chunk) -> Target:
    start = max(file.offset, chunk.offset)
    end = min(file.offset + file.size, chunk.offset + chunk.length)
    return Target(file=file, file_offset=start - file.offset, chunk_offset=start - chunk.offset, length=end - start)


def _groups(work: Sequence[ChunkWork]) -> Iterator[list[ChunkWork]]:
    group: list[ChunkWork] = []
    for piece in work:
        if group and not _fits(group, piece.chunk):
            yield group
            group = []
        group.append(piece)
    if group:
        yield group


def _fits(group: Sequence[ChunkWork], chunk: Chunk) -> bool:
    last = group[-1].chunk
    gap = chunk.position - (last.position + last.stored)
    return gap <= _GAP_BYTES and chunk.position + chunk.stored - group[0].chunk.position <= _REQUEST_BYTES


def _request(group: Sequence[ChunkWork]) -> RangeRequest:
    start, last = group[0].chunk.position, group[-1].chunk
    return RangeRequest(start=start, length=last.position + last.stored - start, work=tuple(group))
