"""The standard files of the process: opened when it starts, flushed before it ends.

Python flushes stdout again at exit. After a broken pipe this flush fails too, and the process ends with exit code 120
and a traceback, whatever the command returned. So the program flushes stdout and stderr before it exits, and redirects
a stream that fails to the null device.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["accept_any_path", "discard", "flush_standard_files", "open_standard_files", "try_write"]


def open_standard_files() -> None:
    """Open the null device for each standard file that the caller closed.

    Otherwise the next file that is opened would take its number, and a message would be written into that file.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115, PTH123


def accept_any_path() -> None:
    """Print a path that is not valid UTF-8 byte for byte, and escape characters that stdout's encoding lacks."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)
    if reconfigure is not None:  # a caller may have replaced stdout with an object that cannot be reconfigured
        utf8 = sys.stdout.encoding.lower().replace("-", "") == "utf8"
        try:
            reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
        except OSError:  # it flushes first: the next write fails in the same way, and that failure is reported
            return


def try_write(text: str) -> bool:
    """Write to stdout. Return False if a disk or device refuses the text; a closed pipe is not a failure."""
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except BrokenPipeError:
        discard(sys.stdout)
    except OSError:
        return False
    return True


def flush_standard_files() -> None:
    """Flush stdout and stderr; discard the rest of what cannot be written."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):  # ValueError: the stream was closed
            discard(stream)


def discard(stream: TextIO) -> None:
    """Redirect a stream to the null device, with the text that it still holds."""
    try:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
    except (OSError, ValueError):  # a stream without a file number has nothing that Python flushes at its exit
        return
