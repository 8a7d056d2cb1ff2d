"""The installed releases that processes on this machine have open.

On Linux, ``/proc`` shows the open files, mapped files and working folders of the user's own processes, and of all
processes to root. On other systems, and for the processes of other users, this is unknown.
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
    """Return the releases of which a process has a file open or mapped, as canonical names and versions."""
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
        # Each process may belong to another user, or end in between.
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
