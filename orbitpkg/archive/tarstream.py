"""The layout of files in one tar stream.

The format is POSIX ustar, with pax records for what ustar cannot express (long or non-ASCII names, files of 8 GiB and
more), and always with the same owner, mode and time. The stream depends only on the files' paths, sizes, execute bits
and bytes, so the layout is known before any file is read.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".
"""

from __future__ import annotations

import struct
import tarfile

__all__ = ["BLOCK_BYTES", "END_OF_STREAM", "member_header", "padding_after"]

BLOCK_BYTES = tarfile.BLOCKSIZE
END_OF_STREAM = bytes(2 * BLOCK_BYTES)


# "ustar Interchange Format": name, mode, uid, gid, size, mtime, checksum, type, then fields with constant values.
_HEADER = struct.Struct("100s8s8s8s12s12s8s1s100s8s247x")
_NO_ID = b"0000000\0"
_NAME_BYTES = 100
_SIZE_LIMIT = 8**11


def member_header(path: str, *, size: int, executable: bool) -> bytes:
    """Return the header blocks that precede a file's bytes."""
    if len(path) > _NAME_BYTES or not path.isascii() or size >= _SIZE_LIMIT:
        return _pax_header(path, size=size, executable=executable)
    mode = b"0000755\0" if executable else b"0000644\0"

    def header(checksum: bytes) -> bytes:
        time, link = b"00000000000\0", b""
        octal = b"%011o\0" % size
        return _HEADER.pack(path.encode(), mode, _NO_ID, _NO_ID, octal, time, checksum, b"0", link, b"ustar\00000")

    return header(b"%06o\0 " % sum(header(b" " * 8)))


def _pax_header(path: str, *, size: int, executable: bool) -> bytes:
    member = tarfile.TarInfo(path)
    member.size = size
    member.mode = 0o755 if executable else 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def padding_after(size: int) -> int:
    """Return the number of zero bytes between the end of a file and the next block."""
    return -size % BLOCK_BYTES
