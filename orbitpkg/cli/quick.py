"""Fast paths without click for two commands that scripts run often: ``path``, and ``install`` with nothing to install.

click takes longer to import than either command takes to run. This module handles only plain successes. It leaves
everything else (other options, all errors, output that cannot be written) to the program, which parses the same
arguments again. Both fast paths only read, so nothing happens twice.
"""

from __future__ import annotations

import os
import sys

from orbitpkg.cli.streams import accept_any_path, try_write

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["answer"]

_COMPLETE_VARIABLE = "_ORBITPKG_COMPLETE"
_QUIET = ("-q", "--quiet")


def answer(words: Sequence[str]) -> bool:
    """Run a command if it is one of these in a simple form, and return whether it succeeded.

    Args:
        words: The words after the program's name.
    """
    commands = {"path": _path, "install": _install}
    if not words or words[0] not in commands or _COMPLETE_VARIABLE in os.environ:
        return False
    try:
        text = commands[words[0]](words[1:])
    except Exception:  # noqa: BLE001 - the program meets the same error, and reports it
        return False
    if text is None:
        return False
    accept_any_path()
    return try_write(text)


def _path(words: Sequence[str]) -> str | None:
    options = [word for word in words if word.startswith("-")]
    requirement, *parts = (word for word in words if not word.startswith("-"))
    if not {"--pre", *_QUIET}.issuperset(options):
        return None
    from orbitpkg.api.packages import package

    found = package(requirement, prereleases="--pre" in options).locate(*parts)
    # The console decides how a terminal shows an unusual path.
    return f"{found}\n" if found.isprintable() else None


def _install(words: Sequence[str]) -> str | None:
    from orbitpkg.api.unchanged import find_unchanged
    from orbitpkg.cli.layout import count, size, wrap
    from orbitpkg.cli.terminal import width
    from orbitpkg.escaping import printable

    requirements, quiet, repository = [], False, None
    rest = iter(words)
    for word in rest:
        if word in _QUIET:
            quiet = True
        elif word in {"-r", "--repository"}:
            repository = next(rest)
        elif word.startswith("-"):
            return None
        else:
            requirements.append(word)
    found = find_unchanged(requirements, repository=repository)
    if found is None:
        return None
    lines = []
    for each in found:
        sentence = f"{each.name} {each.version} is already installed: {count(each.files, 'file')}, {size(each.bytes)}"
        lines += [wrap(printable(sentence), width(sys.stdout)), f"  orbitpkg path {each.name}=={each.version}"]
    return "" if quiet else "".join(f"{line}\n" for line in lines)
