"""The pieces of an archive: zstd frames, and the frame with the contents at its end.

An archive is a row of ordinary zstd frames (RFC 8878) and then one skippable frame, so that ``zstd`` and ``tar --zstd``
read it as one compressed tar. The skippable frame holds the compressed contents and, as its last 64 bytes, a footer::

    offset  size
         0     8   magic, "orbitpkg"
         8     4   format, little-endian, 1
        12     4   zero
        16     8   length of the compressed contents, little-endian
        24     8   length of the contents uncompressed, little-endian
        32    32   BLAKE3 of the compressed contents

Bytes are checked before they are decompressed where a digest of the compressed form is known (the contents), and
decompressed into a bound known before, then checked, where it is not (chunks).
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
# What zstd's levels up to 19 use. Larger ones (up to 2 GiB by the RFC) would let a few bytes claim all memory.
_MAX_WINDOW_BYTES = 8 * 1024 * 1024
# Two digests of 32 bytes that do not compress, and as much for the rest, for each of a million files.
_MAX_PACKED_BYTES = 128 * 1024 * 1024
_SCAN_BYTES = 1024 * 1024
# The strings in a table besides paths: 12 keys, the encoder, two columns of digests.
_OTHER_STRINGS = 15
# What a row takes at most besides its path: digest, three numbers, punctuation.
_ROW_BYTES = 160
# A zstd frame: magic, two bytes of header, block header, a byte of content (RFC 8878, section 3.1.1).
_MIN_FRAME_BYTES = 10

FOOTER_BYTES = _FOOTER.size
SKIPPABLE_HEADER_BYTES = 8

_ZSTD = ".".join(map(str, zstandard.ZSTD_VERSION))
ENCODER = f"zstd {_ZSTD} level {_LEVEL}; fastcdc 64 KiB/256 KiB/1 MiB, larger above 8 GiB"
"""What the bytes of an archive depend on besides its files. Frames of one encoder can stand for one another."""


def digest_of(data: Buffer) -> Blake3:
    """Give the BLAKE3 of some bytes."""
    return Blake3(blake3(data).hexdigest())


def archive_size(place: ContentsLocation) -> int:
    """Give the size in bytes of an archive whose contents lie there."""
    return place.offset + place.length + FOOTER_BYTES


def skippable_header(place: ContentsLocation) -> bytes:
    """Give the bytes right before the contents: the header of the skippable frame that they lie in."""
    return struct.pack("<II", _SKIPPABLE_MAGIC, place.length + FOOTER_BYTES)


def compress_chunk(data: Buffer) -> bytes:
    """Compress one chunk into one frame that carries its length and a checksum; the same input gives the same frame."""
    return zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compress(data)


class ChunkDecoder:
    """Decompresses and verifies chunks, one after another: to make one anew for each costs as much as a small chunk.

    Not for several threads at once.

    Args:
        where: How to call the archive in an error.
        verify: Whether digests are looked at; without, only what the frame's own checksum finds is found.
    """

    def __init__(self, where: str, *, verify: bool = True) -> None:
        self._where = where
        self._verify = verify
        self._decompressor = _decompressor()

    def decode(self, frame: Buffer, chunk: Chunk) -> bytes:
        """Give a chunk's bytes.

        Raises:
            ArchiveError: The frame is not exactly one zstd frame of the chunk's length and digest.
        """
        what = f"Chunk {chunk.index} of {self._where}"
        data = _decompress(frame, chunk.length, what=what, decompressor=self._decompressor)
        if self._verify and digest_of(data) != chunk.blake3:
            raise ArchiveError(f"{what} is altered: its BLAKE3 is not the one in the contents.")
        return data


def decompress_chunk(frame: Buffer, chunk: Chunk, *, where: str) -> bytes:
    """Decompress and verify one chunk; see :meth:`ChunkDecoder.decode`."""
    return ChunkDecoder(where).decode(frame, chunk)


def _decompress(frame: Buffer, length: int, *, what: str, decompressor: zstandard.ZstdDecompressor) -> bytes:
    try:
        _check_claims(frame, length, what)
        data = decompressor.decompress(frame, max_output_size=length, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ArchiveError(f"{what} is not one whole zstd frame: {error}.") from error
    if len(data) != length:
        raise ArchiveError(f"{what} is a zstd frame of {len(data):,} bytes, not of {length:,}.")
    return data


def _check_claims(frame: Buffer, length: int, what: str) -> None:
    """Refuse a frame that says of itself that it needs more memory than it should."""
    claimed = zstandard.get_frame_parameters(frame)
    if claimed.content_size not in {length, zstandard.CONTENTSIZE_UNKNOWN}:
        raise ArchiveError(f"{what} is a zstd frame of {claimed.content_size:,} bytes, not of {length:,}.")
    if claimed.window_size > max(length, _MAX_WINDOW_BYTES):
        raise ArchiveError(f"{what} is a zstd frame that takes {claimed.window_size:,} bytes of memory to read.")


def contents_frame(contents: Contents) -> tuple[bytes, ContentsLocation]:
    """Write the last frame of an archive, and say where in it the contents will lie."""
    raw = contents.to_json()
    packed = compress_chunk(raw)
    digest = blake3(packed).digest()
    footer = _FOOTER.pack(_MAGIC, _FORMAT, 0, len(packed), len(raw), digest)
    place = ContentsLocation(
        offset=contents.stored_length + SKIPPABLE_HEADER_BYTES,
        length=len(packed),
        raw_length=len(raw),
        blake3=Blake3(digest.hex()),
    )
    return skippable_header(place) + packed + footer, place


def parse_footer(footer: bytes, *, archive_size: int, where: str) -> ContentsLocation:
    """Read the last :data:`FOOTER_BYTES` bytes of an archive.

    Raises:
        ArchiveError: It is no footer, of a newer format, or points outside the archive.
    """
    if len(footer) != FOOTER_BYTES or not footer.startswith(_MAGIC):
        raise ArchiveError(
            f"{where} is not an orbitpkg archive, or its end is missing.",
            hint="Build it again with orbitpkg build, or fetch it again.",
        )
    _, version, zero, length, raw_length, digest = _FOOTER.unpack(footer)
    if version != _FORMAT:
        raise ArchiveError(
            f"{where} has archive format {version}; this version of orbitpkg supports format {_FORMAT}.",
            hint="Upgrade orbitpkg: pip install -U orbitpkg",
        )
    offset = archive_size - FOOTER_BYTES - length
    if zero or not length or offset < SKIPPABLE_HEADER_BYTES:
        raise ArchiveError(f"{where} is damaged: its footer points outside it.")
    place = ContentsLocation(offset=offset, length=length, raw_length=raw_length, blake3=Blake3(digest.hex()))
    _check_bounds(place, where)
    return place


def unpack_contents(packed: Buffer, place: ContentsLocation, *, where: str) -> Contents:
    """Verify, decompress and read compressed contents.

    Raises:
        ArchiveError: They are not the promised bytes, or break a rule of :func:`.parse_contents`.
    """
    if len(packed) != place.length or digest_of(packed) != place.blake3:
        raise ArchiveError(f"The contents of {where} are altered: their BLAKE3 is not the one promised.")
    _check_bounds(place, where)
    _check_plausible(packed, place, where)
    contents = parse_contents(
        _decompress(packed, place.raw_length, what=f"The contents of {where}", decompressor=_decompressor()),
        what=f"the contents of {where}",
    )
    if contents.stored_length + SKIPPABLE_HEADER_BYTES != place.offset:
        raise ArchiveError(f"The contents of {where} do not end where its chunks do.")
    return contents


def _check_bounds(place: ContentsLocation, where: str) -> None:
    if place.length > _MAX_PACKED_BYTES or place.raw_length > MAX_CONTENTS_BYTES:
        raise ArchiveError(
            f"The contents of {where} claim {place.length:,} bytes, {place.raw_length:,} uncompressed; "
            f"{_MAX_PACKED_BYTES:,} and {MAX_CONTENTS_BYTES:,} are the limits."
        )


def _check_plausible(packed: Buffer, place: ContentsLocation, where: str) -> None:
    """Refuse contents that are larger than what they list, or list too many files, without ever holding them whole.

    No path and no other string of the table holds a quotation mark, so that counting them counts the files.
    """
    what = f"The table of contents of {where}"
    quotes = sum(piece.count(b'"') for piece in _decompressed(packed, what))
    files = max(0, quotes // 2 - _OTHER_STRINGS)
    if files > MAX_FILES:
        raise ArchiveError(f"{what} lists more than {MAX_FILES:,} files.")
    rows = files + place.offset // _MIN_FRAME_BYTES
    if place.raw_length > _SCAN_BYTES + files * MAX_PATH_BYTES + rows * _ROW_BYTES:
        raise ArchiveError(f"{what} claims {place.raw_length:,} bytes for a table of {files:,} files.")


def _decompressed(packed: Buffer, what: str) -> Iterator[bytes]:
    try:
        yield from _decompressor().read_to_iter(packed, write_size=_SCAN_BYTES)
    except zstandard.ZstdError as error:
        raise ArchiveError(f"{what} is damaged: {error}.") from error


def _decompressor() -> zstandard.ZstdDecompressor:
    return zstandard.ZstdDecompressor(max_window_size=_MAX_WINDOW_BYTES)
