"""Having the disk busy while bytes still come, so that little is left to wait for at the end.

Source: sync_file_range(2). It promises nothing; what promises is the fsync or the syncfs that follows.
"""

from __future__ import annotations

import functools
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["begin_writing"]

_SYNC_FILE_RANGE_WRITE = 2


def begin_writing(descriptor: int, offset: int, length: int) -> None:
    """Have the system begin to write a range of a file to its disk, where it can be told to."""
    call = _sync_file_range()
    if call is not None:
        call(descriptor, offset, length, _SYNC_FILE_RANGE_WRITE)


@functools.cache
def _sync_file_range() -> Callable[[int, int, int, int], int] | None:
    if not sys.platform.startswith("linux"):
        return None
    import ctypes

    try:
        call = ctypes.CDLL(None).sync_file_range
    except AttributeError:  # a C library without it
        return None
    call.argtypes = (ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint)
    return call
