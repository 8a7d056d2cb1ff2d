"""Which installed releases this machine's processes have open, as far as one may see.

On Linux, ``/proc`` shows of one's own processes (of all, to root) their open files, mapped files and working folders.
Elsewhere, and of the processes of others, nothing is known.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.store.layout import Layout

__all__ = ["find_releases_in_use"]


def find_releases_in_use(layout: Layout) -> set[tuple[str, str]]:
    """Give the releases, by canonical name and version in text, of which a process has a file open or mapped."""
    prefix = os.path.realpath(layout.packages) + "/"
    found = set()
    for path in _open_paths():
        if path.startswith(prefix):
            name, _, rest = path[len(prefix) :].partition("/")
            found.add((name, rest.partition("/")[0]))
    return found


def _open_paths() -> Iterator[str]:
    try:
        processes = [name for name in os.listdir("/proc") if name.isdigit()]
    except OSError:
        return
    for process in processes:
        # Each may be somebody else's, or end while it is looked at.
        with contextlib.suppress(OSError):
            yield os.readlink(f"/proc/{process}/cwd")  # noqa: PTH115
        with contextlib.suppress(OSError):
            for name in os.listdir(f"/proc/{process}/fd"):
                with contextlib.suppress(OSError):
                    yield os.readlink(f"/proc/{process}/fd/{name}")  # noqa: PTH115
        with contextlib.suppress(OSError), open(f"/proc/{process}/maps", errors="surrogateescape") as maps:  # noqa: PTH123
            for line in maps:
                _, _, path = line.partition("/")
                if path:
                    yield "/" + path.rstrip("\n")
