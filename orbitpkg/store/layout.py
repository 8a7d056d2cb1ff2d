"""The places of a store, by name.

::

    store/v1/packages/<name>/<version>/release.json   the release's record, byte for byte
                                       contents       its compressed contents, byte for byte
                                       origin         the address of the repository or archive it came from
                                       state.json     present while only some of the files are installed
                                       files/…        the files, read-only
    store/v1/blobs/<2 hex>/<64 hex>[x]                a file's content under its BLAKE3; x: executable
    store/v1/tmp/…                                    what is not whole yet, and what is on its way out
    store/v1/locks/…                                  locks, which spare double work and nothing else
    store/v1/roots/…                                  lockfiles that keep releases from garbage collection
    store/v1/aside/…                                  what a repair found among a release's files and moved away

A folder ``packages/<name>/<version>`` appears by one rename and is whole from then on.
"""

from __future__ import annotations

import os

__all__ = ["CONTENTS_NAME", "FILES_NAME", "FORMAT", "ORIGIN_NAME", "RECORD_NAME", "STATE_NAME", "Layout", "newer_store"]

RECORD_NAME = "release.json"
CONTENTS_NAME = "contents"
ORIGIN_NAME = "origin"
STATE_NAME = "state.json"
FILES_NAME = "files"

FORMAT = 1
"""The number of the store's format. A store of another one lies beside this one, not in its place."""


class Layout:
    """The paths in the store under one home folder. Strings, not ``Path``s: an app's start counts microseconds.

    Attributes:
        home: The folder that ``ORBITPKG_HOME`` names.
        root: The store in it.
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
        """Where the versions of a package are, by its canonical name."""
        return f"{self.packages}/{key}"

    def release(self, key: str, version: object) -> str:
        """Where one version of a package is."""
        return f"{self.packages}/{key}/{version}"

    def blob(self, digest: str, *, executable: bool) -> str:
        """Where a file's content is, by its BLAKE3 and whether it is executable."""
        return f"{self.blobs}/{digest[:2]}/{digest}{'x' if executable else ''}"


def newer_store(layout: Layout) -> str | None:
    """Give the path of a store of a newer format beside a store's place; None when there is none."""
    parent = os.path.dirname(layout.root)  # noqa: PTH120
    try:
        names = os.listdir(parent)
    except OSError:
        return None
    numbers = [int(name[1:]) for name in names if name[:1] == "v" and name[1:].isdecimal()]
    newest = max(numbers, default=0)
    return f"{parent}/v{newest}" if newest > FORMAT else None
