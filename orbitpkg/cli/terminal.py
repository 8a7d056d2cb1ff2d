"""What is known of the screen behind a stream, if there is one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["has_bars", "is_coloured", "width"]


def width(stream: TextIO) -> int | None:
    """Give the columns of a terminal; None for anything else, unless ``COLUMNS`` says a number."""
    said = os.environ.get("COLUMNS", "")
    if said.isdecimal() and int(said):
        return int(said)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def is_coloured(stream: TextIO) -> bool:
    """Say whether a stream is a terminal that may be coloured (https://no-color.org)."""
    return has_bars(stream) and not os.environ.get("NO_COLOR")


def has_bars(stream: TextIO) -> bool:
    """Say whether a stream is a terminal on which a line can be written anew."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
