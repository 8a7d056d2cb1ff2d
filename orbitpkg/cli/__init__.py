"""The command line. It parses arguments, calls the library (:mod:`orbitpkg.api` and others) and prints the results.

stdout carries only data; notes, hints, errors and progress go to stderr. With ``--json``, stdout carries exactly one
JSON envelope, even for an error. Exit codes: 0 success, 1 expected failure, 2 incorrect usage, 70 a bug in orbitpkg,
130 interrupted.

Only this package imports click and tqdm. ``--version``, ``path`` and ``install`` of packages that are already installed
run without importing them.
"""

from __future__ import annotations

import sys

from orbitpkg._version import __version__
from orbitpkg.cli.streams import flush_standard_files, open_standard_files, try_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The arguments after the program's name. Default: the arguments of this process.

    Returns:
        The exit code.
    """
    words = sys.argv[1:] if arguments is None else list(arguments)
    open_standard_files()
    try:
        return _run(words, alone=arguments is None)
    finally:
        flush_standard_files()


def _run(words: Sequence[str], *, alone: bool) -> int:
    try:
        # click takes longer to import than all the rest, so the commands that scripts run often do without it.
        if words == ["--version"] and try_write(f"orbitpkg {__version__}\n"):
            return 0
        if words[:1] in (["path"], ["install"]):
            from orbitpkg.cli.quick import answer

            if answer(words):
                return 0
    except KeyboardInterrupt:
        from orbitpkg.cli.console import Console
        from orbitpkg.cli.exit_codes import INTERRUPTED

        console = Console(as_json="--json" in words)
        console.command = next(iter(words), None)
        console.interrupted()
        return INTERRUPTED
    try:
        from orbitpkg.cli.program import run

        return run(words, alone=alone)
    except KeyboardInterrupt:
        # The signal came before the program could report it, or while it did.
        from orbitpkg.cli.exit_codes import INTERRUPTED

        return INTERRUPTED
