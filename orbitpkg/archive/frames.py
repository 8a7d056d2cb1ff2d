"""The pieces of an archive: zstd frames, and the frame with the contents at its end.

An archive is a sequence of ordinary zstd frames (RFC 8878) followed by one skippable frame, so ``zstd`` and
``tar --zstd`` read it as one compressed tar. The skippable frame holds the compressed contents and, in its last 64
bytes, a footer::

    offset  size
         0     8   magic, "orbitpkg"
         8     4   format, little-endian, 1
        12     4   zero
        16     8   length of the compressed contents, little-endian
        24     8   length of the contents uncompressed, little-endian
        32    32   BLAKE3 of the compressed contents

The contents are verified before they are decompressed, because the digest of their compressed form is known. Chunks
are decompressed into a buffer of known size and then verified.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import zstandard
from blake3 import blake3

from orbitpkg.errors import ArchiveError
from orbitpkg.model.contents import MAX_FILES, Blake3, Chunk, Contents, parse_contents
from orbitpkg.model.paths import MAX_PATH_BYTES
from orbitpkg.model.release import ContentsLocation
from orbitpkg.model.release_rules import MAX_CONTENTS_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview

__all__ = [
    "ENCODER",
    "FOOTER_BYTES",
    "SKIPPABLE_HEADER_BYTES",
    "ChunkDecoder",
    "archive_size",
    "compress_chunk",
    "contents_frame",
    "decompress_chunk",
    "digest_of",
    "parse_footer",
    "skippable_header",
    "unpack_contents",
]

_LEVEL = 3
_SKIPPABLE_MAGIC = 0x184D2A5F
_FOOTER = struct.Struct("<8sIIQQ32s")
_MAGIC = b"orbitpkg"
_FORMAT = 1
# The window of zstd's levels up to 19. Larger ones (up to 2 GiB by the RFC) would let a few bytes claim all memory.
_MAX_WINDOW_BYTES = 8 * 1024 * 1024
# For each of a million files: two digests of 32 bytes, which do not compress, and as much for everything else.
_MAX_PACKED_BYTES = 128 * 1024 * 1024
_SCAN_BYTES = 1024 * 1024
# The strings in the contents other than paths: 12 keys, the encoder, two columns of digests.
_OTHER_STRINGS = 15
# The maximum size of a row without its path: digest, three numbers, punctuation.
_ROW_BYTES = 160
# The smallest zstd frame: magic, two bytes of header, block header, a byte of content (RFC 8878, section 3.1.1).
_MIN_FRAME_BYTES = 10

FOOTER_BYTES = _FOOTER.size
SKIPPABLE_HEADER_BYTES = 8

_ZSTD = ".".join(map(str, zstandard.ZSTD_VERSION))
ENCODER = f"zstd {_ZSTD} level {_LEVEL}; fastcdc 64 KiB/256 KiB/1 MiB, larger above 8 GiB"
"""Everything except the files that determines the bytes of an archive. Equal chunks have equal frames per encoder."""


def digest_of(data: Buffer) -> Blake3:
    """Return the BLAKE3 digest of some bytes."""
    return Blake3(blake3(data).hexdigest())


def archive_size(place: ContentsLocation) -> int:
    """Return the size in bytes of an archive, given the location of its contents."""
    return place.offset + place.length + FOOTER_BYTES


def skippable_header(place: ContentsLocation) -> bytes:
    """Return the header of the skippable frame with the contents, which directly precedes them."""
    return struct.pack("<II", _SKIPPABLE_MAGIC, place.length + FOOTER_BYTES)


def compress_chunk(data: Buffer) -> bytes:
    """Compress a chunk into a frame with its length and a checksum. Equal chunks give equal frames."""
    # Chunks are compressed by several threads, which must not share a compressor. With the checksum, the zstd tool
    # detects damage, too.
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)


class ChunkDecoder:
    """A decompressor and verifier of chunks. Reuse it: a new one costs as much as decompressing a small chunk.

    Not thread-safe.

    Args:
        where: The name of the archive in error messages.
        verify: Whether to verify digests. Otherwise only the frame's own checksum is verified.
    """

    def __init__(self, where: str, *, verify: bool = True) -> None:
        self._where = where
        self._verify = verify
        self._decompressor = _decompressor()

    def decode(self, frame: Buffer, chunk: Chunk) -> bytes:
        """Return the bytes of a chunk.

        Raises:
            ArchiveError: The frame is not exactly one zstd frame of the chunk's length and digest.
        """
        what = f"Chunk {chunk.index} of {self._where}"
        data = _decompress(frame, chunk.length, what=what, decompressor=self._decompressor)
        if self._verify and digest_of(data) != chunk.blake3:
            raise ArchiveError(f"{what} is damaged: its BLAKE3 digest does not match the table of contents.")
        return data


def decompress_chunk(frame: Buffer, chunk: Chunk, *, where: str) -> bytes:
    """Decompress and verify one chunk; see :meth:`ChunkDecoder.decode`."""
    return ChunkDecoder(where).decode(frame, chunk)


def _decompress(frame: Buffer, length: int, *, what: str, decompressor: zstandard.ZstdDecompressor) -> bytes:
    try:
        # zstd allocates the memory that a header requests, and anyone can write a header, so it is checked first.
        _check_frame_header(frame, length, what)
        data = decompressor.decompress(frame, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        part, _, archive = what.partition(" of ")
        raise ArchiveError(
            f"{archive} is damaged ({part[0].lower()}{part[1:]} cannot be decompressed).",
            hint="Build or download the archive again.",
        ) from error
    if len(data) != length:
        raise ArchiveError(f"{what} has {len(data):,} bytes after decompression instead of {length:,}.")
    return data


def _check_frame_header(frame: Buffer, length: int, what: str) -> None:
    """Raise an error if the header of a frame requests more memory than the chunk can need."""
    claimed = zstandard.get_frame_parameters(frame)
    if claimed.content_size not in {length, zstandard.CONTENTSIZE_UNKNOWN}:
        raise ArchiveError(f"{what} has {claimed.content_size:,} bytes after decompression instead of {length:,}.")
    if claimed.window_size > max(length, _MAX_WINDOW_BYTES):
        raise ArchiveError(
            f"{what} needs {claimed.window_size:,} bytes of memory for decompression, more than the limit."
        )


def contents_frame(contents: Contents) -> tuple[bytes, ContentsLocation]:
    """Return the last frame of an archive, and the location of the contents in the archive."""
    raw = contents.to_json()
    compressed = compress_chunk(raw)
    digest = blake3(compressed).digest()
    # The footer is part of the skippable frame, so zstd and tar ignore it together with the table of contents.
    footer = _FOOTER.pack(_MAGIC, _FORMAT, 0, len(compressed), len(raw), digest)
    place = ContentsLocation(
        offset=contents.stored_length + SKIPPABLE_HEADER_BYTES,
        length=len(compressed),
        raw_length=len(raw),
        blake3=Blake3(digest.hex()),
    )
    return skippable_header(place) + compressed + footer, place


def parse_footer(footer: bytes, *, archive_size: int, where: str) -> ContentsLocation:
    """Read the last :data:`FOOTER_BYTES` bytes of an archive.

    Raises:
        ArchiveError: The footer is invalid, has a newer format, or points outside the archive.
    """
    if len(footer) != FOOTER_BYTES or not footer.startswith(_MAGIC):
        raise ArchiveError(
            f"{where} is not an orbitpkg archive, or its end is missing.",
            hint="Build or download the archive again.",
        )
    _, version, zero, length, raw_length, digest = _FOOTER.unpack(footer)
    if version != _FORMAT:
        raise ArchiveError(
            f"{where} has archive format {version}; this version of orbitpkg supports format {_FORMAT}.",
            hint="To upgrade orbitpkg: pip install -U orbitpkg",
        )
    offset = archive_size - FOOTER_BYTES - length
    if zero or not length or offset < SKIPPABLE_HEADER_BYTES:
        raise ArchiveError(f"{where} is damaged: its footer points outside the file.")
    place = ContentsLocation(offset=offset, length=length, raw_length=raw_length, blake3=Blake3(digest.hex()))
    _check_bounds(place, where)
    return place


def unpack_contents(compressed: Buffer, place: ContentsLocation, *, where: str) -> Contents:
    """Verify, decompress and parse compressed contents.

    Raises:
        ArchiveError: The digest does not match, or the contents break a rule of :func:`.parse_contents`.
    """
    if len(compressed) != place.length or digest_of(compressed) != place.blake3:
        raise ArchiveError(f"The table of contents of {where} is damaged: its BLAKE3 digest does not match.")
    # Parsing takes memory in proportion to the size and to the number of files, so both are limited first.
    _check_bounds(place, where)
    _check_plausible(compressed, place, where)
    contents = parse_contents(
        _decompress(
            compressed, place.raw_length, what=f"The table of contents of {where}", decompressor=_decompressor()
        ),
        what=f"the table of contents of {where}",
    )
    # No digest would cover bytes in a gap between the chunks and the table of contents.
    if contents.stored_length + SKIPPABLE_HEADER_BYTES != place.offset:
        raise ArchiveError(f"{where} is damaged: the chunks in its table of contents do not fill the space before it.")
    return contents


def _check_bounds(place: ContentsLocation, where: str) -> None:
    if place.length > _MAX_PACKED_BYTES or place.raw_length > MAX_CONTENTS_BYTES:
        raise ArchiveError(
            f"The table of contents of {where} has {place.length:,} bytes, or {place.raw_length:,} uncompressed. The "
            f"limits are {_MAX_PACKED_BYTES:,} and {MAX_CONTENTS_BYTES:,}."
        )


def _check_plausible(compressed: Buffer, place: ContentsLocation, where: str) -> None:
    """Raise an error if contents list too many files, or are too large for their files, without loading them.

    No path or other string in the contents contains a quotation mark, so counting quotation marks counts the files.
    """
    what = f"The table of contents of {where}"
    quotes = sum(piece.count(b'"') for piece in _decompressed(compressed, what))
    files = max(0, quotes // 2 - _OTHER_STRINGS)
    if files > MAX_FILES:
        raise ArchiveError(f"{what} lists more than {MAX_FILES:,} files.")
    rows = files + place.offset // _MIN_FRAME_BYTES
    if place.raw_length > _SCAN_BYTES + files * MAX_PATH_BYTES + rows * _ROW_BYTES:
        raise ArchiveError(f"{what} has {place.raw_length:,} bytes, which is too large for {files:,} files.")


def _decompressed(compressed: Buffer, what: str) -> Iterator[bytes]:
    try:
        yield from _decompressor().read_to_iter(compressed, write_size=_SCAN_BYTES)
    except zstandard.ZstdError as error:
        raise ArchiveError(f"{what} is damaged: {error}.") from error


def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
