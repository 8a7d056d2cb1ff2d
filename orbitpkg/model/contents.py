"""The contents of an archive: its files, and the chunks its bytes come in.

This is the table an installer works from; it never parses tar. It maps files to ranges of one uncompressed stream and
that stream to compressed pieces of the archive. What :func:`parse_contents` returns is consistent: chunks follow one
another without gap or overlap from the first byte of the stream to the last, every file lies within it, files do not
overlap, and every path is one that :mod:`orbitpkg.model.paths` admits.

On disk the table is JSON by columns (``docs/formats.md``): an array for each attribute, digests run together in one
hexadecimal string. A million rows parse in seconds that way, and like compresses beside like.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NewType

from orbitpkg.errors import ArchiveError, IntegrityError
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.model.paths import tree_problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "MAX_CHUNK_BYTES",
    "MAX_CONTENTS_BYTES",
    "MAX_FILES",
    "Blake3",
    "Chunk",
    "Contents",
    "FileEntry",
    "FileIdentity",
    "identity_of",
    "parse_contents",
]

Blake3 = NewType("Blake3", str)
"""A BLAKE3 digest: 64 lower-case hexadecimal digits."""

FileIdentity = NewType("FileIdentity", tuple[str, int, bool, Blake3])
"""A file's path, size, executable bit and digest."""

MAX_FILES = 1_000_000
MAX_CHUNK_BYTES = 4 * 1024 * 1024
# 1,000,000 files with paths of 200 bytes and as many chunks fit; what is larger is an attack or a mistake.
MAX_CONTENTS_BYTES = 512 * 1024 * 1024
_FORMAT = 1
_HEX = re.compile("[0-9a-f]*+")
_DIGEST_LENGTH = 64
_MAX_STREAM = 1 << 62


@dataclass(frozen=True, slots=True, kw_only=True)
class FileEntry:
    """A file of a package.

    Attributes:
        path: Relative, ``/``-separated.
        size: In bytes.
        offset: Where its first byte lies in the uncompressed stream.
        executable: Whether its mode is 0755 rather than 0644.
        blake3: Of its content.
    """

    path: str
    size: int
    offset: int
    executable: bool
    blake3: Blake3


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A piece of the uncompressed stream, and where its compressed form lies in the archive.

    Attributes:
        index: Its place among the chunks, from 0.
        offset: Where it begins in the uncompressed stream.
        length: Its uncompressed length in bytes.
        position: Where its zstd frame begins in the archive.
        stored: The length of that frame in bytes.
        blake3: Of the uncompressed bytes.
    """

    index: int
    offset: int
    length: int
    position: int
    stored: int
    blake3: Blake3


@dataclass(frozen=True)
class Contents:
    """The table of an archive.

    Attributes:
        files: In the order of the stream, which is that of their paths but for ``package.json``, the first.
        chunks: In the order of the stream.
        encoder: What cut and compressed them; frames of one encoder can stand for one another.
    """

    files: tuple[FileEntry, ...]
    chunks: tuple[Chunk, ...]
    encoder: str

    @property
    def stream_length(self) -> int:
        """The length of the uncompressed tar stream in bytes."""
        return self.chunks[-1].offset + self.chunks[-1].length if self.chunks else 0

    @property
    def stored_length(self) -> int:
        """The length in bytes of all frames, which is where the contents' own frame begins."""
        return self.chunks[-1].position + self.chunks[-1].stored if self.chunks else 0

    @property
    def total_size(self) -> int:
        """The sum of the files' sizes in bytes."""
        return sum(file.size for file in self.files)

    @cached_property
    def by_path(self) -> Mapping[str, FileEntry]:
        """The files by their paths."""
        return {file.path: file for file in self.files}

    @cached_property
    def _chunk_offsets(self) -> list[int]:
        return [chunk.offset for chunk in self.chunks]

    def chunks_of(self, file: FileEntry) -> Sequence[Chunk]:
        """Give the chunks that hold any byte of a file, in order; none for an empty file."""
        if not file.size:
            return ()
        first = bisect_right(self._chunk_offsets, file.offset) - 1
        last = bisect_right(self._chunk_offsets, file.offset + file.size - 1) - 1
        return self.chunks[first : last + 1]

    def same_files(self, other: Contents) -> bool:
        """Say whether both hold the same files: paths, modes and bytes, however they are compressed."""
        return self.identities == other.identities

    @property
    def identities(self) -> frozenset[FileIdentity]:
        """What the files are, without where they lie."""
        return frozenset(map(identity_of, self.files))

    def to_json(self) -> bytes:
        """Write the table; :func:`parse_contents` reads it back."""
        executable = [index for index, file in enumerate(self.files) if file.executable]
        return canonical_json(
            {
                "format": _FORMAT,
                "encoder": self.encoder,
                "files": {
                    "path": [file.path for file in self.files],
                    "size": [file.size for file in self.files],
                    "offset": [file.offset for file in self.files],
                    "executable": executable,
                    "blake3": "".join(file.blake3 for file in self.files),
                },
                "chunks": {
                    "length": [chunk.length for chunk in self.chunks],
                    "stored": [chunk.stored for chunk in self.chunks],
                    "blake3": "".join(chunk.blake3 for chunk in self.chunks),
                },
            }
        )


def identity_of(file: FileEntry) -> FileIdentity:
    """Give what a file is, without where it lies."""
    return FileIdentity((file.path, file.size, file.executable, file.blake3))


def parse_contents(data: bytes, *, what: str = "the contents") -> Contents:
    """Read a table and hold it against every rule of the format.

    Args:
        data: The JSON text.
        what: How to call it in an error.

    Raises:
        ArchiveError: The table is damaged, contradicts itself, lists a path that may not be, is larger than the
            bounds, or is of a newer format.
    """
    table = _object(_parse(data, what), what)
    del data  # A million files take 120 MB of text.
    version = table.get("format")
    # True and 1.0 equal 1 to Python, not to JSON.
    if type(version) is not int or version != _FORMAT:
        msg = f"{what} has format {version!r}; this orbitpkg reads format {_FORMAT}."
        raise ArchiveError(msg, hint="A newer orbitpkg may read it: upgrade with pip install -U orbitpkg.")
    _keys(table, {"format", "encoder", "files", "chunks"}, what)
    chunks = _parse_chunks(_object(table["chunks"], f"{what}: chunks"), f"{what}: chunks")
    files = _parse_files(_object(table["files"], f"{what}: files"), f"{what}: files")
    encoder = table["encoder"]
    if not isinstance(encoder, str):
        raise ArchiveError(f"{what}: encoder is not a string.")
    contents = Contents(files, chunks, encoder)
    _check_extents(contents, what)
    for path, problem in tree_problems(file.path for file in files):
        raise ArchiveError(f"{what} lists a path that may not be: {path!r} {problem}.", path=path)
    return contents


def _parse(data: bytes, what: str) -> object:
    try:
        # The table has 9 brackets; a document with no more of them than may be nested is not searched for depth.
        return parse_json(data, what=what, max_bytes=MAX_CONTENTS_BYTES, max_depth=16)
    except IntegrityError as error:
        raise ArchiveError(error.message) from error


def _object(value: object, what: str) -> dict[str, object]:
    if not isinstance(value, dict):
        raise ArchiveError(f"{what} is not a JSON object.")
    return value


def _keys(table: Mapping[str, object], keys: set[str], what: str) -> None:
    if table.keys() != keys:
        difference = ", ".join(sorted(table.keys() ^ keys))
        raise ArchiveError(f"{what} has missing or unknown keys: {difference}.")


def _numbers(table: Mapping[str, object], key: str, what: str, *, least: int, most: int) -> list[int]:
    column = table[key]
    if not isinstance(column, list):
        raise ArchiveError(f"{what}: {key} is not an array.")
    # bool is an int to Python, not to JSON. Columns are long: which row is wrong is asked when one is known to be.
    if not {int}.issuperset(map(type, column)) or (column and not least <= min(column) <= max(column) <= most):
        row = next(row for row, value in enumerate(column) if type(value) is not int or not least <= value <= most)
        raise ArchiveError(f"{what}: {key}[{row}] is not a number between {least} and {most}.")
    return column


def _digests(table: Mapping[str, object], what: str, *, count: int) -> list[Blake3]:
    text = table["blake3"]
    if not isinstance(text, str) or len(text) != count * _DIGEST_LENGTH or not _HEX.fullmatch(text):
        raise ArchiveError(f"{what}: blake3 is not {count} digests of {_DIGEST_LENGTH} hexadecimal digits.")
    return [Blake3(text[start : start + _DIGEST_LENGTH]) for start in range(0, len(text), _DIGEST_LENGTH)]


def _parse_chunks(table: Mapping[str, object], what: str) -> tuple[Chunk, ...]:
    _keys(table, {"length", "stored", "blake3"}, what)
    lengths = _numbers(table, "length", what, least=1, most=MAX_CHUNK_BYTES)
    # zstd never grows its input by more than this (ZSTD_compressBound, rounded up), plus frame header and checksum.
    stored = _numbers(table, "stored", what, least=1, most=MAX_CHUNK_BYTES + (MAX_CHUNK_BYTES >> 7) + 64)
    if len(stored) != len(lengths):
        raise ArchiveError(f"{what}: the columns differ in length.")
    digests = _digests(table, what, count=len(lengths))
    offsets = accumulate(lengths, initial=0)
    positions = accumulate(stored, initial=0)
    return tuple(
        Chunk(index=index, offset=offset, length=length, position=position, stored=size, blake3=digest)
        for index, (offset, length, position, size, digest) in enumerate(
            zip(offsets, lengths, positions, stored, digests, strict=False)
        )
    )


def _parse_files(table: Mapping[str, object], what: str) -> tuple[FileEntry, ...]:
    _keys(table, {"path", "size", "offset", "executable", "blake3"}, what)
    paths = table["path"]
    if not isinstance(paths, list) or not {str}.issuperset(map(type, paths)):
        raise ArchiveError(f"{what}: path is not an array of strings.")
    if not 1 <= len(paths) <= MAX_FILES:
        raise ArchiveError(f"{what}: {len(paths):,} files are listed; a package has 1 to {MAX_FILES:,}.")
    sizes = _numbers(table, "size", what, least=0, most=_MAX_STREAM)
    offsets = _numbers(table, "offset", what, least=0, most=_MAX_STREAM)
    executable = _numbers(table, "executable", what, least=0, most=len(paths) - 1)
    if not len(paths) == len(sizes) == len(offsets):
        raise ArchiveError(f"{what}: the columns differ in length.")
    if any(first >= second for first, second in pairwise(executable)):
        raise ArchiveError(f"{what}: executable is not in ascending order.")
    digests = _digests(table, what, count=len(paths))
    marked = frozenset(executable)
    rows = zip(paths, sizes, offsets, digests, strict=True)
    return tuple(
        FileEntry(path=path, size=size, offset=offset, executable=index in marked, blake3=digest)
        for index, (path, size, offset, digest) in enumerate(rows)
    )


def _check_extents(contents: Contents, what: str) -> None:
    end = 0
    for file in contents.files:
        if file.offset < end:
            raise ArchiveError(f"{what}: {file.path!r} overlaps the file before it.", path=file.path)
        end = file.offset + file.size
    if end > contents.stream_length:
        raise ArchiveError(f"{what}: the last file ends at {end}, the stream at {contents.stream_length}.")
