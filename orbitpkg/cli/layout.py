"""Text layout: sizes, wrapped sentences and columns that stay readable in a narrow terminal.

A width is a number of terminal columns, or None for pipes and files. Without a width nothing is wrapped, so ``grep``
finds each fact on one line. Words are never broken, because a broken path or URL cannot be pasted.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

__all__ = ["aligned", "columns", "count", "pairs", "size", "wrap"]

_GAP = "  "
# A narrower text column would hold one word per line.
_MIN_TEXT = 24
_MIN_PAIRS = 60
_STEP = 1000


def size(count: int) -> str:
    """Format a number of bytes with at most three digits: ``999 bytes``, ``1.2 kB``, ``35 MB``."""
    if count < _STEP:
        return f"{count} byte{'' if count == 1 else 's'}"
    value, unit = float(count), "bytes"
    for unit in ("kB", "MB", "GB", "TB", "PB"):  # noqa: B007 - used after the loop
        value /= _STEP
        if value < _STEP - 0.5:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"  # noqa: PLR2004 - two digits or one


def count(number: int, noun: str) -> str:
    """Format a count with its noun: ``1 file``, ``1,234 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def wrap(text: str, width: int | None, *, first: str = "", rest: str = "") -> str:
    """Wrap each line of a text. Continuations of an indented line are indented by two more spaces.

    Args:
        text: One or more lines.
        width: The width of the terminal in columns, or None for no limit.
        first: The prefix of the first line.
        rest: The prefix of all other lines.
    """
    lines = []
    for number, line in enumerate(text.split("\n")):
        start = first if number == 0 else rest
        bare = line.lstrip(" ")
        indent = line[: len(line) - len(bare)]
        more = rest + (f"{indent}  " if indent else "")
        lines.append(start + indent + f"\n{more}".join(_split(bare, width, len(start + indent), len(more))))
    return "\n".join(lines)


def _split(line: str, width: int | None, first: int, rest: int) -> list[str]:
    if width is None or first + len(line) <= width:
        return [line]
    lines, used = [""], first
    for word in line.split(" "):
        if lines[-1] and used + 1 + len(word) > width:
            lines.append(word)
            used = rest + len(word)
        else:
            lines[-1] += f" {word}" if lines[-1] else word
            used = (first if len(lines) == 1 else rest) + len(lines[-1])
    return lines


def columns(rows: Iterable[Sequence[str]], width: int | None, *, headers: Sequence[str] = ()) -> list[str]:
    """Lay out a table whose last column is text and may be empty.

    Text that does not fit beside the other cells is wrapped in its column. If that column would be too narrow, the
    text goes below the row. If the other cells do not fit either, each cell gets a line.

    Args:
        rows: The cells of each row.
        width: The width of the terminal in columns, or None for no limit.
        headers: The column headers. Without a width they are left out; in front of single cells they are labels.
    """
    table = [[*row[:-1], " ".join(row[-1].split())] for row in rows]
    if not table:
        return []
    if headers and width is not None:
        table.insert(0, list(headers))
        if any(sum(map(len, row)) + len(_GAP) * (len(row) - 1) > width for row in table):
            return [line for row in table[1:] for line in _stacked(_labelled(row, headers), width)]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in table), strict=True)]
    used = sum(widths) + len(_GAP) * len(widths)
    if width is not None and used - len(_GAP) > width:
        return [line for row in table for line in _stacked(row, width)]
    longest = max(len(row[-1]) for row in table)
    beside = width is None or used + min(longest, _MIN_TEXT) <= width
    return [line for row in table for line in _row(row, widths, width, indent=used if beside else None)]


def aligned(rows: Iterable[Sequence[str]]) -> list[str]:
    """Lay out a table whose last column is a path or URL: neither wrapped nor changed, since users paste it."""
    table = list(rows)
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in table), strict=True)]
    return [_GAP.join([*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[-1]]) for row in table]


def _row(row: Sequence[str], widths: Sequence[int], width: int | None, *, indent: int | None) -> list[str]:
    start = _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=False))
    if indent is None:
        below = [wrap(row[-1], width, first=_GAP, rest=_GAP)] if row[-1] else []
        return [start.rstrip(), *below]
    return [wrap(row[-1], width, first=start + _GAP, rest=" " * indent).rstrip()]


def _labelled(row: Sequence[str], headers: Sequence[str]) -> list[str]:
    return [row[0], *(f"{header} {cell}" for header, cell in zip(headers[1:], row[1:], strict=True))]


def _stacked(row: Sequence[str], width: int) -> list[str]:
    return [row[0], *(wrap(cell, width, first=_GAP, rest=_GAP) for cell in row[1:] if cell)]


def pairs(facts: Iterable[tuple[str, str]], width: int | None, *, unwrapped: Container[str] = ()) -> list[str]:
    """Lay out labels and values. In a narrow terminal each label goes above its value.

    Args:
        facts: The labels and values. Empty values are left out.
        width: The width of the terminal in columns, or None for no limit.
        unwrapped: The labels whose values are paths or URLs. These may contain spaces, so they are not wrapped.
    """
    known = [(label, value) for label, value in facts if value]
    if width is not None and width < _MIN_PAIRS:
        return [
            line
            for label, value in known
            for line in (label, wrap(value, None if label in unwrapped else width, first=_GAP, rest=_GAP))
        ]
    indent = max((len(label) for label, _ in known), default=0) + len(_GAP)
    return [
        wrap(value, None if label in unwrapped else width, first=label.ljust(indent), rest=" " * indent)
        for label, value in known
    ]
