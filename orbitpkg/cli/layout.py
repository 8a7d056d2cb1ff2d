"""Text for people: sizes, wrapped sentences, columns that stay readable in a narrow terminal. Pure.

A width is a number of columns, or None where nobody looks at a screen: then nothing is wrapped, so that one fact is
one line for ``grep``. Words are never broken: a path or a URL that is cut cannot be pasted.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Sequence

__all__ = ["columns", "count", "pairs", "printable", "size", "wrap"]

_GAP = "  "
# Less than this beside a table and a sentence becomes a ribbon of single words.
_MIN_TEXT = 24
_MIN_PAIRS = 60
_STEP = 1000


def size(count: int) -> str:
    """Write a number of bytes with three digits at most: ``999 bytes``, ``1.2 kB``, ``35 MB``."""
    if count < _STEP:
        return f"{count} byte{'' if count == 1 else 's'}"
    value, unit = float(count), "bytes"
    for unit in ("kB", "MB", "GB", "TB", "PB"):  # noqa: B007 - the last one stays
        value /= _STEP
        if value < _STEP - 0.5:
            break
    return f"{value:.1f} {unit}" if value < 9.95 else f"{value:.0f} {unit}"  # noqa: PLR2004 - two digits or one


def count(number: int, noun: str) -> str:
    """Write a number of things: ``1 file``, ``1,234 files``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def printable(text: str) -> str:
    """Give a text without what would steer a terminal: such characters are spelled out, but for line ends and tabs.

    Descriptions and names of files come from whoever publishes.
    """
    return "".join(char if _is_harmless(char) else ascii(char)[1:-1] for char in text)


def _is_harmless(char: str) -> bool:
    # Wide and unbreakable spaces do not count as printable, nor do bytes that are no UTF-8 (PEP 383), which go out
    # as they came in.
    return char.isprintable() or char in "\n\t\u00a0\u202f\u3000" or "\udc80" <= char <= "\udcff"


def wrap(text: str, width: int | None, *, first: str = "", rest: str = "") -> str:
    """Wrap a text, line by line; what a line is indented by, its continuations are, and two more.

    Args:
        text: One or more lines.
        width: The columns there are.
        first: Put before the first line.
        rest: Put before all others.
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


def columns(rows: Iterable[Sequence[str]], width: int | None, *, heads: Sequence[str] = ()) -> list[str]:
    """Lay out rows whose last cell is a text and may be empty.

    Where the text does not fit beside the others it is wrapped there; where that leaves too little room it goes
    below; where not even the others fit, each cell has a line of its own.

    Args:
        rows: The rows.
        width: The columns there are.
        heads: What stands above the columns, where there is a width; before the cells that have a line of their own.
    """
    table = [[*row[:-1], " ".join(row[-1].split())] for row in rows]
    if not table:
        return []
    if heads and width is not None:
        table.insert(0, list(heads))
        if any(sum(map(len, row)) + len(_GAP) * (len(row) - 1) > width for row in table):
            return [line for row in table[1:] for line in _stacked(_labelled(row, heads), width)]
    widths = [max(map(len, column)) for column in zip(*(row[:-1] for row in table), strict=True)]
    used = sum(widths) + len(_GAP) * len(widths)
    if width is not None and used - len(_GAP) > width:
        return [line for row in table for line in _stacked(row, width)]
    longest = max(len(row[-1]) for row in table)
    beside = width is None or used + min(longest, _MIN_TEXT) <= width
    return [line for row in table for line in _row(row, widths, width, indent=used if beside else None)]


def _row(row: Sequence[str], widths: Sequence[int], width: int | None, *, indent: int | None) -> list[str]:
    start = _GAP.join(cell.ljust(room) for cell, room in zip(row, widths, strict=False))
    if indent is None:
        below = [wrap(row[-1], width, first=_GAP, rest=_GAP)] if row[-1] else []
        return [start.rstrip(), *below]
    return [wrap(row[-1], width, first=start + _GAP, rest=" " * indent).rstrip()]


def _labelled(row: Sequence[str], heads: Sequence[str]) -> list[str]:
    return [row[0], *(f"{head} {cell}" for head, cell in zip(heads[1:], row[1:], strict=True))]


def _stacked(row: Sequence[str], width: int) -> list[str]:
    return [row[0], *(wrap(cell, width, first=_GAP, rest=_GAP) for cell in row[1:] if cell)]


def pairs(facts: Iterable[tuple[str, str]], width: int | None, *, whole: Container[str] = ()) -> list[str]:
    """Lay out labels and what they are about; a label stands above it where there is little room.

    Args:
        facts: The labels and what they are about.
        width: The columns there are.
        whole: The labels of paths and addresses, which are not wrapped, for they may hold spaces.
    """
    known = [(label, value) for label, value in facts if value]
    if width is not None and width < _MIN_PAIRS:
        return [
            line
            for label, value in known
            for line in (label, wrap(value, None if label in whole else width, first=_GAP, rest=_GAP))
        ]
    room = max((len(label) for label, _ in known), default=0) + len(_GAP)
    return [
        wrap(value, None if label in whole else width, first=label.ljust(room), rest=" " * room)
        for label, value in known
    ]
