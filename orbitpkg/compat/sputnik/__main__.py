"""``python -m orbitpkg.compat.sputnik``: data on stdout, messages on stderr; exit code 1 for a failure, 2 for usage."""

from __future__ import annotations

import json
import logging
import sys
from typing import TYPE_CHECKING

from orbitpkg.compat.sputnik.api.arguments import new_parser
from orbitpkg.errors import OrbitError, UsageError
from orbitpkg.escaping import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["main"]

_FAILED, _USAGE, _INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code."""
    given = new_parser().parse_args(arguments)
    logging.basicConfig(level=given.log_level.upper(), format="%(levelname)s: %(message)s")
    try:
        result = given.run(given)
    except OrbitError as error:
        text = f"error: {error.message}\n" + (f"hint: {error.hint}\n" if error.hint else "")
        sys.stderr.write(printable(text))
        return _USAGE if isinstance(error, UsageError) else _FAILED
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        return _INTERRUPTED
    if result is not None:
        text = result if isinstance(result, str) else json.dumps(result, sort_keys=True, indent=2)
        sys.stdout.write(f"{printable(text) if sys.stdout.isatty() else text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
