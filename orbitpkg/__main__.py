"""``python -m orbitpkg``: the command line, where no script named ``orbitpkg`` is on the path."""

from __future__ import annotations

import sys

from orbitpkg.cli import main

if __name__ == "__main__":
    sys.exit(main())
