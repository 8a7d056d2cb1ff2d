"""Where a command writes: data to stdout and the rest to stderr, or with ``--json`` one envelope to stdout.

Everything that a command prints passes through :class:`Console`, which escapes control and invisible characters
(:mod:`orbitpkg.escaping`). Only data for other programs is exact: bytes, and text for a pipe (:meth:`Console.exact`).
Possible secrets are removed from messages, but never from data.

A closed pipe (``orbitpkg list | head -1``) is not an error: the remaining output is dropped. A full disk behind stdout
is an error. Errors while writing to stderr are ignored, because there is no other stream to report them on.
"""

from __future__ import annotations

import codecs
import contextlib
import errno
import sys
import threading
from typing import TypeVar

from orbitpkg.cli import layout, terminal
from orbitpkg.cli.streams import discard
from orbitpkg.errors import OrbitError, StorageError
from orbitpkg.escaping import one_line, printable
from orbitpkg.model.jsontext import json_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

    from orbitpkg.reporting import Reporter

__all__ = ["ENVELOPE_VERSION", "Console", "with_result"]

Error = TypeVar("Error", bound=OrbitError)

ENVELOPE_VERSION = 1
"""The version of the JSON envelope. It increases when a field changes its meaning or is removed."""

_BOLD, _RED, _YELLOW, _CYAN, _PLAIN = "\x1b[1m", "\x1b[1;31m", "\x1b[1;33m", "\x1b[36m", "\x1b[0m"


class Console:
    """The output of one command.

    Attributes:
        as_json: Whether to write one JSON envelope to stdout instead of text.
        quiet: Whether to write only data and errors.
        command: The name of the running command, as the envelope shows it. None until it is known.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.command: str | None = None
        self._may_interrupt = threading.Lock()
        self._is_broken = False

    def lines(self, lines: Iterable[str]) -> None:
        """Write lines to stdout. A line feed within one of them is escaped."""
        if not self.as_json:
            self._write_out("".join(f"{one_line(line)}\n" for line in lines))

    def laid_out(self, lines: Iterable[str]) -> None:
        """Write text to stdout whose line feeds are part of the layout, such as wrapped text."""
        if not self.as_json:
            self._write_out("".join(f"{line}\n" for line in lines))

    def exact(self, text: str) -> None:
        """Write a text and a line feed to stdout for another program: unchanged, except on a terminal."""
        if not self.as_json:
            self.write_stdout(f"{printable(text) if sys.stdout.isatty() else text}\n")

    def stream(self, pieces: Iterable[bytes]) -> None:
        """Write bytes to stdout: unchanged, except on a terminal."""
        if self.as_json:
            return
        if sys.stdout.isatty():
            for text in _decoded(pieces):
                self._write_out(text)
        else:
            self._write_bytes(pieces)

    def rows(self, rows: Iterable[Sequence[str]], *, headers: Sequence[str] = ()) -> None:
        """Write a table to stdout. The last column may be long text; headers appear only on a terminal."""
        cleaned = [[*map(one_line, row[:-1]), printable(row[-1])] for row in rows]
        self.laid_out(layout.columns(cleaned, terminal.width(sys.stdout), headers=headers))

    def paths(self, rows: Iterable[Sequence[str]]) -> None:
        """Write a table to stdout whose last column is a path or URL. It is not wrapped, because users paste it."""
        self.lines(layout.aligned([[one_line(cell) for cell in row] for row in rows]))

    def pairs(self, facts: Iterable[tuple[str, str]], *, unwrapped: Container[str] = ()) -> None:
        """Write labels and values to stdout. The values of the labels in ``unwrapped`` are paths or URLs."""
        cleaned = [(one_line(label), printable(value)) for label, value in facts]
        self.laid_out(layout.pairs(cleaned, terminal.width(sys.stdout), unwrapped=unwrapped))

    def sentence(self, text: str) -> None:
        """Write a sentence to stdout, wrapped to the terminal."""
        self.laid_out([layout.wrap(printable(text), terminal.width(sys.stdout))])

    def succeed(self, data: Mapping[str, object]) -> None:
        """Write the envelope of a successful command, which holds ``data``. Without ``--json``, write nothing."""
        if self.as_json:
            self._envelope({"ok": True, "data": data})

    def report(self, text: str, *details: str) -> None:
        """Report what was done: a sentence, then details such as paths and commands, which are not wrapped."""
        if not self.quiet:
            self.sentence(text)
            self.lines(f"  {detail}" for detail in details)

    def note(self, message: str) -> None:
        """Write a note to stderr."""
        if not self.quiet:
            self._write_message("note", _BOLD, message)

    def warn(self, message: str) -> None:
        """Write a warning to stderr."""
        if not self.quiet:
            self._write_message("warning", _YELLOW, message)

    def hint(self, message: str) -> None:
        """Suggest a next step on stderr."""
        if not self.quiet and not self.as_json:
            self._write_message("hint", _CYAN, message)

    def fail(self, error: OrbitError, *, code: str | None = None) -> None:
        """Report an error.

        Args:
            error: The error.
            code: The code to report instead of the error's own.
        """
        if self.as_json and not self._is_broken:
            facts = {"code": code or error.code, "message": error.message, "hint": error.hint, "data": error.data}
            self._envelope({"ok": False, "error": facts})
            return
        self._write_message("error", _RED, error.message)
        if error.hint:
            self._write_message("hint", _CYAN, error.hint)

    def interrupted(self) -> None:
        """Report that the command was interrupted. Only the first call, from any thread, writes anything."""
        if not self._may_interrupt.acquire(blocking=False):
            return
        if self.as_json:
            self.fail(OrbitError("Interrupted."), code="interrupted")
        else:
            self.write_stderr("Interrupted.")

    def write_stdout(self, text: str) -> None:
        """Write the program's own text to stdout unchanged, even with ``--json``."""
        with self._writing():
            sys.stdout.write(text)
            sys.stdout.flush()

    def write_stderr(self, text: str) -> None:
        """Write text to stderr, even with ``--quiet``."""
        _write_err(f"{text}\n")

    def reporter(self) -> Reporter:
        """Return the progress reporter: bars on a terminal, occasional lines in a log, silent with ``--quiet``."""
        from orbitpkg.cli.progress import BarReporter, LineReporter
        from orbitpkg.reporting import SILENT

        if self.quiet:
            return SILENT
        if terminal.has_bars(sys.stderr):
            return BarReporter(sys.stderr, note=self.note)
        return LineReporter(self.write_stderr, note=self.note)

    def _write_message(self, label: str, colour: str, message: str) -> None:
        text = layout.wrap(_public(message), terminal.width(sys.stderr), first=f"{label}: ", rest="  ")
        if terminal.is_coloured(sys.stderr):
            text = f"{colour}{label}:{_PLAIN}{text[len(label) + 1 :]}"
        _write_clean(f"{text}\n")

    def _envelope(self, result: Mapping[str, object]) -> None:
        envelope = {"orbitpkg": ENVELOPE_VERSION, "command": self.command, **result}
        self.write_stdout(json_text(envelope, ascii_only=True, default=str) + "\n")

    def _write_out(self, text: str) -> None:
        self.write_stdout(printable(text))

    def _write_bytes(self, pieces: Iterable[bytes]) -> None:
        for piece in pieces:
            with self._writing():
                sys.stdout.buffer.write(piece)
        with self._writing():
            sys.stdout.buffer.flush()

    @contextlib.contextmanager
    def _writing(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            discard(sys.stdout)
            if error.errno != errno.EPIPE:
                self._is_broken = True
                raise StorageError(
                    f"Could not write the output: {error.strerror}.",
                    hint="Changes that the command made are kept. Check the file or disk behind stdout.",
                ) from error


def with_result(error: Error, result: Mapping[str, object]) -> Error:
    """Return an error whose data is the result of a command that failed in part.

    The constructor of an error removes possible secrets from its data. Results are data, and stay exact.
    """
    error.data = dict(result)
    return error


def _decoded(pieces: Iterable[bytes]) -> Iterator[str]:
    """Decode bytes for a terminal; bytes that are not UTF-8 become escapes."""
    decoder = codecs.getincrementaldecoder("utf-8")("backslashreplace")
    for piece in pieces:
        yield decoder.decode(piece)
    yield decoder.decode(b"", final=True)


def _public(text: str) -> str:
    """Return a message without control characters and possible secrets."""
    text = printable(text)
    if ":/" not in text:
        return text
    from orbitpkg.redaction import redacted

    return redacted(text)


def _write_err(text: str) -> None:
    _write_clean(_public(text))


def _write_clean(text: str) -> None:
    try:
        sys.stderr.write(text)
        sys.stderr.flush()
    except OSError:
        discard(sys.stderr)
