"""What a stream's terminal supports, if the stream is a terminal."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TextIO

__all__ = ["has_bars", "is_coloured", "width"]


def width(stream: TextIO) -> int | None:
    """Return the width of a terminal in columns, or None for a pipe or file. ``COLUMNS`` overrides both."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns):
        return int(columns)
    try:
        return os.get_terminal_size(stream.fileno()).columns or None
    except (OSError, ValueError):
        return None


def is_coloured(stream: TextIO) -> bool:
    """Return whether to write colours to a stream (https://no-color.org)."""
    return has_bars(stream) and not os.environ.get("NO_COLOR")


def has_bars(stream: TextIO) -> bool:
    """Return whether a stream is a terminal that can redraw a line."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"
