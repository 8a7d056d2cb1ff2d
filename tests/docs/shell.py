"""A shell that a document's blocks are run in, one after the other, as somebody would who follows it."""

from __future__ import annotations

import re
import shlex
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["Shell", "matches", "open_shell"]

_END = "this is where the output ends"


class Shell:
    """One bash, whose directory and variables stay from command to command; what it prints is one stream."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, command: str) -> tuple[str, int]:
        """Run a command with nothing to read; returns what it printed to either stream, and its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # `$?` is that of the command before, whatever this class did in between.
        wrapped = f"(exit ${{__code:-0}})\neval {shlex.quote(command)} </dev/null\n__code=$?\n"
        self._process.stdin.write(f"{wrapped}printf '\\n{_END} %d\\n' $__code\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(_END):
                return "".join(lines).removesuffix("\n"), int(line.split()[-1])
            lines.append(line)
        raise AssertionError(f"the shell ended in: {command}\n{''.join(lines)}")


@contextmanager
def open_shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """Open a shell in a folder; it ends with the block."""
    with subprocess.Popen(
        ["bash", "--noprofile", "--norc"],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
    ) as process:
        try:
            yield Shell(process)
        finally:
            process.kill()


def matches(printed: str, expected: str) -> bool:
    """Say whether an output is the expected one, in which "…" stands for anything; spaces at ends of lines are free."""
    pattern = "".join(_pattern(line) for line in expected.splitlines())
    text = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    return re.fullmatch(pattern, text) is not None


def _pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*?"
    return ".*?".join(map(re.escape, line.rstrip().split("…"))) + r"\n"
