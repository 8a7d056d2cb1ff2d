"""The layout of files in one tar stream.

The format is POSIX ustar, with pax records for what ustar cannot express (long or non-ASCII names, files of 8 GiB and
more), and always with the same owner, mode and time. The stream depends only on the files' paths, sizes, execute bits
and bytes, so the layout is known before any file is read.

Source: POSIX.1-2017, pax, "ustar Interchange Format" and "pax Header Block".
"""

from __future__ import annotations

import tarfile

__all__ = ["BLOCK_BYTES", "END_OF_STREAM", "member_header", "padding_after"]

BLOCK_BYTES = tarfile.BLOCKSIZE
END_OF_STREAM = bytes(2 * BLOCK_BYTES)

# POSIX.1-2017, pax, "ustar Interchange Format". The fields of a header that are the same for all files are joined and
# summed once, because an archive may have a million headers.
_NAME_BYTES = 100
_IDS = b"0000000\0" * 2
_TIME = b"00000000000\0"
# Behind the checksum: its terminator, the type of a regular file, an empty link, and the magic with the version.
_AFTER_CHECKSUM = b"\0 0" + bytes(100) + b"ustar\00000" + bytes(247)
_AROUND_SIZE = {False: (b"0000644\0" + _IDS, b"\0" + _TIME), True: (b"0000755\0" + _IDS, b"\0" + _TIME)}
# The checksum is computed with spaces in its place.
_SUM_WITHOUT = {
    executable: sum(before) + sum(after) + sum(b" " * 8) + sum(_AFTER_CHECKSUM[2:])
    for executable, (before, after) in _AROUND_SIZE.items()
}
_SIZE_LIMIT = 8**11


def member_header(path: str, *, size: int, executable: bool) -> bytes:
    """Return the header blocks that precede a file's bytes."""
    if len(path) > _NAME_BYTES or not path.isascii() or size >= _SIZE_LIMIT:
        return _pax_header(path, size=size, executable=executable)
    before, after = _AROUND_SIZE[executable]
    name, octal = path.encode(), b"%011o" % size
    checksum = b"%06o" % (_SUM_WITHOUT[executable] + sum(name) + sum(octal))
    return b"%b%b%b%b%b%b%b" % (name, bytes(_NAME_BYTES - len(name)), before, octal, after, checksum, _AFTER_CHECKSUM)


def _pax_header(path: str, *, size: int, executable: bool) -> bytes:
    member = tarfile.TarInfo(path)
    member.size = size
    member.mode = 0o755 if executable else 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def padding_after(size: int) -> int:
    """Return the number of zero bytes between the end of a file and the next block."""
    return -size % BLOCK_BYTES
