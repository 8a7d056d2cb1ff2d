"""What a command says, and where: data to stdout, everything else to stderr, or all of it as one JSON envelope.

A reader who goes away (``orbitpkg list | head -1``) is no failure: the rest is not written. A full disk behind stdout
is one. What goes wrong with stderr is nobody's business.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import sys
import threading

from orbitpkg.cli import layout, terminal
from orbitpkg.errors import OrbitError, StorageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
    from typing import TextIO

    from orbitpkg.reporting import Reporter

__all__ = ["ENVELOPE_VERSION", "Console"]

ENVELOPE_VERSION = 1
"""The version of the envelope; it grows when something in it changes its meaning or goes away."""

_BOLD, _RED, _CYAN, _PLAIN = "\x1b[1m", "\x1b[1;31m", "\x1b[36m", "\x1b[0m"


class Console:
    """Where one command writes.

    Attributes:
        as_json: Whether stdout carries one envelope instead of text.
        quiet: Whether to leave out everything but data and errors.
        command: The command that runs, as in the envelope; None before one is known.
    """

    def __init__(self, *, as_json: bool = False, quiet: bool = False) -> None:
        self.as_json = as_json
        self.quiet = quiet
        self.command: str | None = None
        self._may_interrupt = threading.Lock()
        self._is_broken = False

    # Data.

    def data(self, lines: Iterable[str]) -> None:
        """Write what the command was asked for, as it is."""
        if not self.as_json:
            self._write_out("".join(f"{line}\n" for line in lines))

    def stream(self, pieces: Iterable[bytes]) -> None:
        """Write bytes, as they are."""
        if not self.as_json:
            self._write_bytes(pieces)

    def rows(self, rows: Iterable[Sequence[str]], *, heads: Sequence[str] = ()) -> None:
        """Write data as columns, the last of which is a text; their heads are for screens only."""
        cleaned = [[layout.printable(cell) for cell in row] for row in rows]
        self.data(layout.columns(cleaned, terminal.width(sys.stdout), heads=heads))

    def pairs(self, facts: Iterable[tuple[str, str]], *, whole: Container[str] = ()) -> None:
        """Write data as labels and what they are about; those of ``whole`` are about paths and addresses."""
        cleaned = [(label, layout.printable(value)) for label, value in facts]
        self.data(layout.pairs(cleaned, terminal.width(sys.stdout), whole=whole))

    def sentence(self, text: str) -> None:
        """Write data that is a sentence."""
        self.data([layout.wrap(layout.printable(text), terminal.width(sys.stdout))])

    def finish(self, data: Mapping[str, object]) -> None:
        """Say that the command did what it was asked for; ``data`` is what the envelope holds."""
        if self.as_json:
            self._envelope({"ok": True, "data": data})

    # What is said beside them.

    def account(self, text: str, *details: str) -> None:
        """Tell what was done: a sentence, then lines that are kept whole, for they hold paths and commands."""
        if not self.quiet:
            self.sentence(text)
            self.data(f"  {layout.printable(detail)}" for detail in details)

    def note(self, message: str) -> None:
        """Say something the user should know."""
        if not self.quiet:
            self._say("note", _BOLD, message)

    def hint(self, message: str) -> None:
        """Tell a person what could be done next."""
        if not self.quiet and not self.as_json:
            self._say("hint", _CYAN, message)

    def fail(self, error: OrbitError, *, code: str | None = None) -> None:
        """Say what went wrong.

        Args:
            error: What.
            code: Of the failure, where it is not the error's own.
        """
        if self.as_json and not self._is_broken:
            facts = {"code": code or error.code, "message": error.message, "hint": error.hint, "data": error.data}
            self._envelope({"ok": False, "error": facts})
            return
        self._say("error", _RED, error.message)
        if error.hint:
            self._say("hint", _CYAN, error.hint)

    def interrupted(self) -> None:
        """Say, once, that the command was interrupted. From any thread."""
        if not self._may_interrupt.acquire(blocking=False):
            return
        if self.as_json:
            self.fail(OrbitError("Interrupted."), code="interrupted")
        else:
            self.remark("Interrupted.")

    def remark(self, text: str) -> None:
        """Write a text to stderr as it is, whatever the settings."""
        _write_err(f"{text}\n")

    def reporter(self) -> Reporter:
        """Give what shows how far the work is: bars on a terminal, else a line now and then, nothing when quiet."""
        from orbitpkg.cli.progress import BarReporter, LineReporter
        from orbitpkg.reporting import SILENT

        if self.quiet:
            return SILENT
        if terminal.has_bars(sys.stderr):
            return BarReporter(sys.stderr, note=self.note)
        return LineReporter(self.remark, note=self.note)

    def _say(self, label: str, colour: str, message: str) -> None:
        text = layout.wrap(layout.printable(message), terminal.width(sys.stderr), first=f"{label}: ", rest="  ")
        if terminal.is_coloured(sys.stderr):
            text = f"{colour}{label}:{_PLAIN}{text[len(label) + 1 :]}"
        _write_err(f"{text}\n")

    def _envelope(self, result: Mapping[str, object]) -> None:
        whole = {"orbitpkg": ENVELOPE_VERSION, "command": self.command, **result}
        self._write_out(json.dumps(whole, default=str) + "\n")

    def _write_out(self, text: str) -> None:
        with self._writing():
            sys.stdout.write(_public(text))
            sys.stdout.flush()

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
            _discard(sys.stdout)
            if error.errno != errno.EPIPE:
                self._is_broken = True
                raise StorageError(
                    f"The output could not be written: {error.strerror}.", hint="What was to be done is done."
                ) from error


def _public(text: str) -> str:
    if ":/" not in text:
        return text
    from orbitpkg.redaction import redacted

    return redacted(text)


def _write_err(text: str) -> None:
    try:
        sys.stderr.write(_public(text))
        sys.stderr.flush()
    except OSError:
        _discard(sys.stderr)


def _discard(stream: TextIO) -> None:
    """Let what a stream still holds, and what is to come, go nowhere; Python writes it out at its exit."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, stream.fileno())
        os.close(null)
