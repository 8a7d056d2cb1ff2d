"""The command line. Everything it does is in :mod:`orbitpkg.api`; here words become arguments, and results become text.

stdout carries data and nothing else, stderr what is said beside it. With ``--json`` stdout carries one envelope,
whatever happens. Exit codes: 0 done, 1 an expected failure, 2 usage, 70 a bug in orbitpkg, 130 interrupted.

click and tqdm are loaded in this room only, and here not before something other than the version is asked for.
"""

from __future__ import annotations

import os
import sys

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
    _open_standard_files()
    try:
        # Before click is loaded, which takes five times as long as all the rest. What may stand in the way of writing
        # it, the program tells.
        if words == ["--version"] and _write_version():
            return 0
        from orbitpkg.cli.program import run

        return run(words, alone=arguments is None)
    except KeyboardInterrupt:
        # It came before, or while, the program could say so itself.
        return INTERRUPTED


def _write_version() -> bool:
    from orbitpkg._version import __version__

    try:
        sys.stdout.write(f"orbitpkg {__version__}\n")
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _open_standard_files() -> None:
    """Give the standard files that the caller closed a place, so that no file of a package takes their number."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if number == 0 else "w", encoding="utf-8"))  # noqa: SIM115, PTH123
