"""Archives made by hand, honest ones and others: what an enemy or a broken disk may send.

Nothing here uses the package's own builder, which refuses to write invalid archives.
"""

from __future__ import annotations

import io
import json
import struct
import sys
import tarfile
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from blake3 import blake3

from orbitpkg.archive.reader import LocalArchive, verify_archive

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = [
    "HONEST",
    "MANIFEST",
    "Forgery",
    "Member",
    "compress",
    "digest",
    "footer",
    "forge",
    "read_whole",
    "seal",
    "tar",
]

MANIFEST = b'{"name": "model", "version": "1.0.0", "include": ["**"]}'
_FRAME_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a tar stream."""

    path: str
    data: bytes
    mode: int = 0o644


HONEST = (
    Member("package.json", MANIFEST),
    Member("data/big", bytes(range(251)) * 200),
    Member("data/empty", b""),
    Member("run.sh", b"#!/bin/sh\n", 0o755),
)


@dataclass(slots=True)
class Forgery:
    """An archive in its parts, each of which can be spoiled.

    Attributes:
        table: The contents, as they are before they become JSON.
        frames: The compressed chunks.
    """

    table: dict[str, Any]
    frames: list[bytes]

    def seal(self) -> bytes:
        """Put the parts together."""
        return seal(json.dumps(self.table).encode(), b"".join(self.frames))

    def column(self, table: str, name: str) -> list[Any]:
        """Give a column of one of the two tables."""
        found: list[Any] = self.table[table][name]
        return found


def digest(data: bytes) -> str:
    """Give the BLAKE3 of some bytes."""
    return blake3(data).hexdigest()


def compress(data: bytes, **options: int) -> bytes:
    """Compress with parameters of zstd's own names."""
    parameters = {getattr(zstd.CompressionParameter, name): value for name, value in options.items()}
    return zstd.compress(data, options={zstd.CompressionParameter.checksum_flag: 1, **parameters})


def tar(members: Sequence[Member]) -> tuple[bytes, list[int]]:
    """Lay files out as the format says, and tell where the bytes of each begin."""
    target, offsets = io.BytesIO(), []
    for member in members:
        entry = tarfile.TarInfo(member.path)
        entry.size, entry.mode = len(member.data), member.mode
        target.write(entry.tobuf(tarfile.PAX_FORMAT))
        offsets.append(target.tell())
        target.write(member.data + bytes(-len(member.data) % 512))
    target.write(bytes(1024))
    return target.getvalue(), offsets


def forge(members: Sequence[Member] = HONEST, *, stream: bytes | None = None) -> Forgery:
    """Make an archive of some files; of another stream than theirs when one is given."""
    laid_out, offsets = tar(members)
    stream = laid_out if stream is None else stream
    chunks = [stream[start : start + _FRAME_BYTES] for start in range(0, len(stream), _FRAME_BYTES)]
    frames = [compress(chunk) for chunk in chunks]
    table = {
        "format": 1,
        "encoder": "by hand",
        "files": {
            "path": [member.path for member in members],
            "size": [len(member.data) for member in members],
            "offset": offsets,
            "executable": [index for index, member in enumerate(members) if member.mode & 0o100],
            "blake3": "".join(digest(member.data) for member in members),
        },
        "chunks": {
            "length": [len(chunk) for chunk in chunks],
            "stored": [len(frame) for frame in frames],
            "blake3": "".join(map(digest, chunks)),
        },
    }
    return Forgery(table, frames)


def footer(packed: bytes, raw_length: int, **fields: object) -> bytes:
    """Write a footer; by name, fields other than the right ones."""
    right = {"magic": b"orbitpkg", "format": 1, "zero": 0, "length": len(packed), "raw_length": raw_length}
    return struct.pack("<8sIIQQ32s", *{**right, "blake3": blake3(packed).digest(), **fields}.values())


def seal(
    raw: bytes,
    frames: bytes = b"",
    *,
    packed: bytes | None = None,
    raw_length: int | None = None,
    **fields: object,
) -> bytes:
    """Put the contents' frame after the chunks'.

    Args:
        raw: The contents.
        frames: The frames before the contents.
        packed: The contents compressed, if not in the ordinary way.
        raw_length: What the footer says of their length, if not the truth.
        fields: Other lies of the footer.
    """
    packed = compress(raw) if packed is None else packed
    end = footer(packed, len(raw) if raw_length is None else raw_length, **fields)
    return frames + struct.pack("<II", 0x184D2A5F, len(packed) + len(end)) + packed + end


def read_whole(path: Path, data: bytes) -> dict[str, bytes]:
    """Write bytes to a file and read it as an archive: verify all of it and give its files."""
    path.write_bytes(data)
    with LocalArchive.open(path) as archive:
        verify_archive(archive)
        return {file.path: archive.read_file(file) for file in archive.contents.files}
