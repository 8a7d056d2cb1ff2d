"""A shell that runs the blocks of a document in order, as a reader would."""

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

_END = "end of output"


class Shell:
    """A bash process that keeps its directory and variables between commands and merges stdout and stderr."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, command: str) -> tuple[str, int]:
        """Run a command with empty input; return its output and its exit code."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        # The subshell restores `$?` of the previous command, which the printf below has overwritten.
        wrapped = f"(exit ${{__code:-0}})\neval {shlex.quote(command)} </dev/null\n__code=$?\n"
        self._process.stdin.write(f"{wrapped}printf '\\n{_END} %d\\n' $__code\n")
        self._process.stdin.flush()
        lines: list[str] = []
        for line in self._process.stdout:
            if line.startswith(_END):
                return "".join(lines).removesuffix("\n"), int(line.split()[-1])
            lines.append(line)
        raise AssertionError(f"the shell exited during: {command}\n{''.join(lines)}")


@contextmanager
def open_shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """Open a shell in a directory; it is killed at the end of the block."""
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
    """Return whether an output matches the expected one, in which "…" matches anything; ignore trailing spaces."""
    pattern = "".join(_pattern(line) for line in expected.splitlines())
    text = "".join(f"{line.rstrip()}\n" for line in printed.splitlines())
    return re.fullmatch(pattern, text) is not None


def _pattern(line: str) -> str:
    if line == "…":
        return r"(?:.*\n)*?"
    return ".*?".join(map(re.escape, line.rstrip().split("…"))) + r"\n"
