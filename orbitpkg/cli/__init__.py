"""The command line. Everything it does is in :mod:`orbitpkg.api`; here words become arguments, and results become text.

stdout carries data and nothing else, stderr what is said beside it. With ``--json`` stdout carries one envelope,
whatever happens. Exit codes: 0 done, 1 an expected failure, 2 usage, 70 a bug in orbitpkg, 130 interrupted.

click and tqdm are imported in this package only. ``--version``, ``path`` and an ``install`` of what is installed do
without them.
"""

from __future__ import annotations

import sys

from orbitpkg._version import __version__
from orbitpkg.cli.streams import flush_standard_files, open_standard_files, try_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["INTERRUPTED", "main"]

INTERRUPTED = 130
"""The exit code after Ctrl-C, as a shell counts it: 128 and the number of SIGINT."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command.

    Args:
        arguments: The words after the program's name; those of this process when None.

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

        console = Console(as_json="--json" in words)
        console.command = words[0]
        console.interrupted()
        return INTERRUPTED
    try:
        from orbitpkg.cli.program import run

        return run(words, alone=alone)
    except KeyboardInterrupt:
        # The signal came before the program could report it, or while it did.
        return INTERRUPTED
