"""The table of contents of an archive: its files and its compressed chunks.

The installer works from this table and never parses tar. The table maps files to ranges of a single uncompressed
stream, and the stream to compressed frames in the archive. The result of :func:`parse_contents` is consistent: the
chunks cover the stream without gaps or overlaps, every file is within the stream, files do not overlap, and every path
satisfies :mod:`orbitpkg.model.paths`.

On disk, the table is column-oriented JSON (``docs/formats.md``): one array for each attribute, and all digests
concatenated in one hexadecimal string. This way, a million rows parse in seconds and compress well.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, NamedTuple, NewType

from orbitpkg.errors import ArchiveError, IntegrityError
from orbitpkg.model.jsontext import canonical_json, decode_json, parse_json_text
from orbitpkg.model.paths import tree_problems
from orbitpkg.model.release_rules import MAX_CONTENTS_BYTES
from orbitpkg.model.wording import UPGRADE_HINT, unsupported_format

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = [
    "MAX_CHUNK_BYTES",
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
_FORMAT = 1
_HEX = re.compile("[0-9a-f]*+")
_DIGEST_LENGTH = 64
_MAX_SHARED = 65_536
_MAX_STREAM = 1 << 62


class FileEntry(NamedTuple):
    """A file of a package. A package may have a million, and tuples are made four times as fast as other objects.

    Attributes:
        path: The relative path, ``/``-separated.
        size: The size in bytes.
        offset: The offset of its first byte in the uncompressed stream.
        executable: Whether its mode is 0755 rather than 0644.
        blake3: The digest of its content.
    """

    path: str
    size: int
    offset: int
    executable: bool
    blake3: Blake3


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """A range of the uncompressed stream, and its compressed frame in the archive.

    Attributes:
        index: The index of the chunk, from 0.
        offset: The offset of the chunk in the uncompressed stream.
        length: The uncompressed length in bytes.
        position: The offset of its zstd frame in the archive.
        stored: The length of the frame in bytes.
        blake3: The digest of the uncompressed bytes.
    """

    index: int
    offset: int
    length: int
    position: int
    stored: int
    blake3: Blake3


@dataclass(frozen=True)
class Contents:
    """The table of contents of an archive.

    Attributes:
        files: The files in stream order: ``package.json`` first, then sorted by path.
        chunks: The chunks in stream order.
        encoder: The chunker and compressor. Equal chunks of the same encoder have equal frames.
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
        """The length of all frames in bytes, which is the offset of the frame that holds this table."""
        return self.chunks[-1].position + self.chunks[-1].stored if self.chunks else 0

    @property
    def total_size(self) -> int:
        """The sum of the files' sizes in bytes."""
        return sum(file.size for file in self.files)

    @cached_property
    def by_path(self) -> Mapping[str, FileEntry]:
        """The files by path."""
        return {file.path: file for file in self.files}

    @cached_property
    def _chunk_offsets(self) -> list[int]:
        return [chunk.offset for chunk in self.chunks]

    def chunks_of(self, file: FileEntry) -> Sequence[Chunk]:
        """Return the chunks that contain a file, in order. An empty file has none."""
        if not file.size:
            return ()
        first = bisect_right(self._chunk_offsets, file.offset) - 1
        last = bisect_right(self._chunk_offsets, file.offset + file.size - 1) - 1
        return self.chunks[first : last + 1]

    def same_files(self, other: Contents) -> bool:
        """Return whether both contain the same paths, modes and bytes, however they are compressed."""
        return self.identities == other.identities

    @property
    def identities(self) -> frozenset[FileIdentity]:
        """The identities of all files, regardless of their position in the stream."""
        return frozenset(map(identity_of, self.files))

    def to_json(self) -> bytes:
        """Serialize the table. :func:`parse_contents` is the inverse."""
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
    """Return the identity of a file, regardless of its position in the stream."""
    return FileIdentity((file.path, file.size, file.executable, file.blake3))


def parse_contents(data: bytes, *, what: str = "the contents") -> Contents:
    """Parse a table of contents and check it against every rule of the format.

    Args:
        data: The JSON text.
        what: The name of the table in error messages.

    Raises:
        ArchiveError: The table is damaged or inconsistent, lists an invalid path, exceeds a limit, or uses an
            unsupported format.
    """
    text = _decode(data, what)
    # A million files take 120 MB of text. Each copy is freed as soon as possible.
    del data
    table = _object(_parse(text, what), what)
    del text
    version = table.get("format")
    # True and 1.0 equal 1 in Python, but not in JSON.
    if type(version) is not int or version != _FORMAT:
        raise ArchiveError(unsupported_format(what, version, _FORMAT), hint=UPGRADE_HINT)
    _keys(table, {"format", "encoder", "files", "chunks"}, what)
    chunks = _parse_chunks(_object(table["chunks"], f"{what}: chunks"), f"{what}: chunks")
    files = _parse_files(_object(table["files"], f"{what}: files"), f"{what}: files")
    encoder = table["encoder"]
    if not isinstance(encoder, str):
        raise ArchiveError(f"{what}: encoder is not a string.")
    contents = Contents(files, chunks, encoder)
    _check_extents(contents, what)
    for path, problem in tree_problems([file.path for file in files]):
        raise ArchiveError(f"{what} lists an invalid path: {path!r} {problem}.", path=path)
    return contents


def _decode(data: bytes, what: str) -> str:
    try:
        return decode_json(data, what=what, max_bytes=MAX_CONTENTS_BYTES)
    except IntegrityError as error:
        raise ArchiveError(error.message) from error


def _parse(text: str, what: str) -> object:
    try:
        # A valid table has 9 brackets. At a limit of 16, the scan for deep nesting can be skipped.
        return parse_json_text(text, what=what, max_depth=16)
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
    # bool is an int in Python, but not in JSON. Columns are long, so find the invalid row only if there is one.
    if not {int}.issuperset(map(type, column)) or (column and not least <= min(column) <= max(column) <= most):
        row = next(row for row, value in enumerate(column) if type(value) is not int or not least <= value <= most)
        raise ArchiveError(f"{what}: {key}[{row}] is not an integer between {least} and {most}.")
    return column


def _digests(table: Mapping[str, object], what: str, *, count: int) -> list[Blake3]:
    text = table["blake3"]
    if not isinstance(text, str) or len(text) != count * _DIGEST_LENGTH or not _HEX.fullmatch(text):
        raise ArchiveError(f"{what}: blake3 is not {count} digests of {_DIGEST_LENGTH} hexadecimal digits.")
    # Equal files share one string, of 113 bytes. The number of strings is limited, because most digests occur once.
    shared: dict[str, Blake3] = {}
    digests = []
    for start in range(0, len(text), _DIGEST_LENGTH):
        digest = Blake3(text[start : start + _DIGEST_LENGTH])
        found = shared.get(digest)
        if found is None and len(shared) < _MAX_SHARED:
            shared[digest] = digest
        digests.append(found or digest)
    return digests


def _parse_chunks(table: Mapping[str, object], what: str) -> tuple[Chunk, ...]:
    _keys(table, {"length", "stored", "blake3"}, what)
    lengths = _numbers(table, "length", what, least=1, most=MAX_CHUNK_BYTES)
    # The largest possible frame: ZSTD_compressBound, rounded up, plus the frame header and checksum.
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


def _parse_files(table: dict[str, object], what: str) -> tuple[FileEntry, ...]:
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
    del table["blake3"]  # 64 MB for a million files
    marked = frozenset(executable)
    marks = map(marked.__contains__, range(len(paths)))
    return tuple(map(FileEntry, paths, sizes, offsets, marks, digests))


def _check_extents(contents: Contents, what: str) -> None:
    end = 0
    for file in contents.files:
        if file.offset < end:
            raise ArchiveError(f"{what}: {file.path!r} overlaps the file before it.", path=file.path)
        end = file.offset + file.size
    if end > contents.stream_length:
        raise ArchiveError(f"{what}: the last file ends at {end}, beyond the stream's end at {contents.stream_length}.")
