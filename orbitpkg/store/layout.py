"""The paths of a store.

::

    store/v1/packages/<name>/<version>/release.json   the release's record, as published
                                       contents       its compressed contents, as published
                                       origin         the address of the repository or archive it came from
                                       listing        the paths and sizes of the files, derived from the contents
                                       state.json     present while only some of the files are installed
                                       files/…        the files, read-only
    store/v1/blobs/<2 hex>/<64 hex>[x]                a file's content under its BLAKE3; x: executable
    store/v1/tmp/…                                    staged installs, and what is being deleted
    store/v1/locks/…                                  locks, which only save duplicate work
    store/v1/roots/…                                  what garbage collection must keep
    store/v1/aside/…                                  foreign files that a repair moved out of a release

A folder ``packages/<name>/<version>`` appears by one rename. From then on its record and contents do not change.
"""

from __future__ import annotations

import os

__all__ = [
    "CONTENTS_NAME",
    "FILES_NAME",
    "FORMAT",
    "LISTING_NAME",
    "ORIGIN_NAME",
    "RECORD_NAME",
    "STATE_NAME",
    "Layout",
    "newer_store",
]

RECORD_NAME = "release.json"
CONTENTS_NAME = "contents"
ORIGIN_NAME = "origin"
LISTING_NAME = "listing"
STATE_NAME = "state.json"
FILES_NAME = "files"

FORMAT = 1
"""The version of the store's format. Stores of other formats are in folders beside this one."""


class Layout:
    """The paths of the store under one home folder. Strings rather than ``Path``s, which are slower at an app's start.

    Attributes:
        home: The folder that ``ORBITPKG_HOME`` names.
        root: The folder of the store in it.
    """

    __slots__ = ("aside", "blobs", "home", "locks", "packages", "root", "roots", "tmp")

    def __init__(self, home: str | os.PathLike[str]) -> None:
        self.home = os.path.abspath(os.path.expanduser(os.fspath(home)))  # noqa: PTH100, PTH111 - see the class
        self.root = f"{self.home}/store/v{FORMAT}"
        self.packages = f"{self.root}/packages"
        self.blobs = f"{self.root}/blobs"
        self.tmp = f"{self.root}/tmp"  # noqa: S108 - the store's own
        self.locks = f"{self.root}/locks"
        self.roots = f"{self.root}/roots"
        self.aside = f"{self.root}/aside"

    def package(self, key: str) -> str:
        """Return the folder of a package's versions, by its canonical name."""
        return f"{self.packages}/{key}"

    def release(self, key: str, version: object) -> str:
        """Return the folder of a release."""
        return f"{self.packages}/{key}/{version}"

    def blob(self, digest: str, *, executable: bool) -> str:
        """Return the path of a blob, by its BLAKE3 and whether it is executable."""
        return f"{self.blobs}/{digest[:2]}/{digest}{'x' if executable else ''}"


def newer_store(layout: Layout) -> str | None:
    """Return the path of a store of a newer format under the same home folder, or None."""
    parent = os.path.dirname(layout.root)  # noqa: PTH120
    try:
        names = os.listdir(parent)
    except OSError:
        return None
    numbers = [int(name[1:]) for name in names if name[:1] == "v" and name[1:].isdecimal()]
    newest = max(numbers, default=0)
    return f"{parent}/v{newest}" if newest > FORMAT else None
