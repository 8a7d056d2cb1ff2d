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
import sys
from typing import TYPE_CHECKING

from blake3 import blake3

from orbitpkg.errors import ArchiveError
from orbitpkg.model.contents import MAX_CONTENTS_BYTES, Blake3, Chunk, Contents, parse_contents
from orbitpkg.model.release import ContentsPlace

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from typing import TypeAlias

    Buffer: TypeAlias = bytes | bytearray | memoryview

__all__ = [
    "ENCODER",
    "FOOTER_BYTES",
    "SKIPPABLE_HEADER_BYTES",
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
# Larger windows (up to 2 GiB by the RFC) would let a few bytes claim all memory.
_WINDOW_LOG_MAX = 27

FOOTER_BYTES = _FOOTER.size
SKIPPABLE_HEADER_BYTES = 8

ENCODER = f"zstd {zstd.zstd_version} level {_LEVEL}; fastcdc 256 KiB/1 MiB/4 MiB"
"""What the bytes of an archive depend on besides its files. Frames of one encoder can stand for one another."""

_OPTIONS: dict[int, int] = {
    zstd.CompressionParameter.compression_level: _LEVEL,
    zstd.CompressionParameter.checksum_flag: 1,
}


def digest_of(data: Buffer) -> Blake3:
    """Give the BLAKE3 of some bytes."""
    return Blake3(blake3(data).hexdigest())


def archive_size(place: ContentsPlace) -> int:
    """Give the size in bytes of an archive whose contents lie there."""
    return place.offset + place.length + FOOTER_BYTES


def skippable_header(place: ContentsPlace) -> bytes:
    """Give the bytes right before the contents: the header of the skippable frame that they lie in."""
    return struct.pack("<II", _SKIPPABLE_MAGIC, place.length + FOOTER_BYTES)


def compress_chunk(data: Buffer) -> bytes:
    """Compress one chunk into one frame that carries its length and a checksum; the same input gives the same frame."""
    return zstd.compress(data, options=_OPTIONS)


def decompress_chunk(frame: Buffer, chunk: Chunk, *, where: str) -> bytes:
    """Decompress and verify one chunk.

    Raises:
        ArchiveError: The frame is not exactly one zstd frame of the chunk's length and digest.
    """
    data = _decompress(frame, chunk.length, what=f"Chunk {chunk.index} of {where}")
    if digest_of(data) != chunk.blake3:
        raise ArchiveError(f"Chunk {chunk.index} of {where} is altered: its BLAKE3 is not the one in the contents.")
    return data


def _decompress(frame: Buffer, length: int, *, what: str) -> bytes:
    decompressor = zstd.ZstdDecompressor(options={zstd.DecompressionParameter.window_log_max: _WINDOW_LOG_MAX})
    try:
        # One byte more than may come shows a frame that holds too much without ever decompressing the rest.
        data = decompressor.decompress(frame, max_length=length + 1)
        if len(data) == length and not decompressor.eof:
            data += decompressor.decompress(b"", max_length=1)
    except zstd.ZstdError as error:
        raise ArchiveError(f"{what} is damaged: {error}.") from error
    if len(data) != length or not decompressor.eof or decompressor.unused_data:
        raise ArchiveError(f"{what} is not one zstd frame of {length:,} bytes.")
    return data


def contents_frame(contents: Contents) -> tuple[bytes, ContentsPlace]:
    """Write the last frame of an archive, and say where in it the contents will lie."""
    raw = contents.to_json()
    packed = compress_chunk(raw)
    digest = blake3(packed).digest()
    footer = _FOOTER.pack(_MAGIC, _FORMAT, 0, len(packed), len(raw), digest)
    place = ContentsPlace(
        offset=contents.stored_length + SKIPPABLE_HEADER_BYTES,
        length=len(packed),
        raw_length=len(raw),
        blake3=Blake3(digest.hex()),
    )
    return skippable_header(place) + packed + footer, place


def parse_footer(footer: bytes, *, archive_size: int, where: str) -> ContentsPlace:
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
            f"{where} has archive format {version}; this orbitpkg reads format {_FORMAT}.",
            hint="A newer orbitpkg may read it: upgrade with pip install -U orbitpkg.",
        )
    offset = archive_size - FOOTER_BYTES - length
    if zero or not length or offset < SKIPPABLE_HEADER_BYTES or raw_length > MAX_CONTENTS_BYTES:
        raise ArchiveError(f"{where} is damaged: its footer points outside it.")
    return ContentsPlace(offset=offset, length=length, raw_length=raw_length, blake3=Blake3(digest.hex()))


def unpack_contents(packed: Buffer, place: ContentsPlace, *, where: str) -> Contents:
    """Verify, decompress and read compressed contents.

    Raises:
        ArchiveError: They are not the promised bytes, or break a rule of :func:`.parse_contents`.
    """
    if len(packed) != place.length or digest_of(packed) != place.blake3:
        raise ArchiveError(f"The contents of {where} are altered: their BLAKE3 is not the one promised.")
    if place.raw_length > MAX_CONTENTS_BYTES:
        raise ArchiveError(
            f"The contents of {where} claim {place.raw_length:,} bytes; {MAX_CONTENTS_BYTES:,} is the limit."
        )
    raw = _decompress(packed, place.raw_length, what=f"The contents of {where}")
    contents = parse_contents(raw, what=f"the contents of {where}")
    if contents.stored_length + SKIPPABLE_HEADER_BYTES != place.offset:
        raise ArchiveError(f"The contents of {where} do not end where its chunks do.")
    return contents
