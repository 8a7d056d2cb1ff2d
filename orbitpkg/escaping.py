"""Escapes characters that a terminal would interpret or not show, and quotes words for a shell.

Publishers, catalogues and servers choose names, descriptions and messages. Written raw, a control character could
redraw the screen or change the clipboard, and an invisible or bidirectional one makes a text look like another.

Source: Unicode Standard, section 23 (format characters); DerivedCoreProperties.txt, ``Default_Ignorable_Code_Point``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os

__all__ = ["is_invisible", "one_line", "printable", "shell_word"]

# Characters without a glyph that str.isprintable() accepts: fillers, variation selectors, the empty Braille pattern.
_BLANKS = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u2800\u3164\uffa0")
_SELECTORS = ((0xFE00, 0xFE0F), (0xE0100, 0xE01EF))
# str.isprintable() rejects these spaces, which a terminal shows as spaces.
_SPACES = frozenset("\u00a0\u202f\u3000")
# Writers mark emoji with this one, and it changes nothing else. Names of files must not contain it.
_EMOJI = "\ufe0f"
# A byte of a path that is not UTF-8 (PEP 383). It is written back unchanged, except those that are controls (C1).
_FIRST_BYTE, _LAST_BYTE = "\udca0", "\udcff"


def is_invisible(char: str) -> bool:
    """Return whether a character controls a terminal, changes the direction of the text, or has no glyph."""
    if char in _SPACES:
        return False
    code = ord(char)
    return not char.isprintable() or char in _BLANKS or any(low <= code <= high for low, high in _SELECTORS)


class _Table(dict[int, int | str]):
    """A table for ``str.translate``, filled as characters occur."""

    def __init__(self, kept: str) -> None:
        super().__init__({ord(char): char for char in (*kept, _EMOJI)})

    def __missing__(self, code: int) -> int | str:
        char = chr(code)
        is_byte = _FIRST_BYTE <= char <= _LAST_BYTE
        self[code] = ascii(char)[1:-1] if is_invisible(char) and not is_byte else code
        return self[code]


_TEXT = _Table("\n\t")
_LINE = _Table("")


def printable(text: str) -> str:
    """Escape the control and invisible characters in a text, except line feeds and tabs."""
    return text if text.isascii() and text.isprintable() else text.translate(_TEXT)


def one_line(text: str) -> str:
    """Escape the control and invisible characters in a text, including line feeds and tabs.

    Otherwise a file whose name contains a line feed could add a line to a list.
    """
    return text if text.isascii() and text.isprintable() else text.translate(_LINE)


def shell_word(value: str | os.PathLike[str]) -> str:
    """Quote a path, URL or other value as one word of a POSIX shell, for a command that users paste.

    Control characters are written as escapes (``$'…'``), so that the command stays correct when it is printed.
    """
    import os
    import shlex

    text = os.fspath(value)
    quoted = shlex.quote(text)
    if not any(is_invisible(char) for char in text):
        return quoted
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"$'{''.join(_escaped(char) if is_invisible(char) else char for char in escaped)}'"


def _escaped(char: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in char.encode(errors="surrogateescape"))
