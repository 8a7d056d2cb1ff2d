"""Files laid out as one tar stream: which bytes stand where.

POSIX ustar, with pax records where ustar has no room (long or non-ASCII names, files of 8 GiB and more), always with
the same owner, mode and time: the stream is a function of the files' paths, sizes, execute bits and bytes, and so the
layout is known before a byte of them is read.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".
"""

from __future__ import annotations

import tarfile

__all__ = ["BLOCK_BYTES", "END_OF_STREAM", "member_header", "padding_after"]

BLOCK_BYTES = tarfile.BLOCKSIZE
END_OF_STREAM = bytes(2 * BLOCK_BYTES)


def member_header(path: str, *, size: int, executable: bool) -> bytes:
    """Give the header blocks that come before a file's bytes."""
    member = tarfile.TarInfo(path)
    member.size = size
    member.mode = 0o755 if executable else 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def padding_after(size: int) -> int:
    """Give the number of zero bytes that follow a file's bytes, up to the next block."""
    return -size % BLOCK_BYTES
