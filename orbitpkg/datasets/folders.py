"""The files in a directory of fetched data: their paths, and a journal of what earlier runs fetched.

If several data have the same name (regardless of letter case), the one that was registered first keeps it. The others
get the first eight digits of their id before the suffix: ``scan-1a2b3c4d.h5``. Data with the same name and the same
content share a file.
"""

from __future__ import annotations

import contextlib
import hashlib
import unicodedata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from orbitpkg.config.caches import write_cache_file
from orbitpkg.datasets.datum import name_problem
from orbitpkg.datasets.registration import Failure
from orbitpkg.errors import StorageError, UsageError
from orbitpkg.model.jsontext import dump_json, load_json
from orbitpkg.model.paths import MAX_PART_BYTES, relative_problem

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from orbitpkg.datasets.datum import Datum

__all__ = ["Journal", "local_paths"]

_DIGITS: Final = 8


def local_paths(data: Iterable[Datum]) -> tuple[dict[str, Datum], list[Failure]]:
    """Assign a ``/``-separated path to each datum, and return the data whose names are not allowed as failures.

    Args:
        data: The data, in any order.
    """
    paths: dict[str, Datum] = {}
    files: set[str] = set()
    folders: set[str] = set()
    failures = []
    for datum in sorted(data, key=lambda datum: (datum.registered, datum.name, datum.id)):
        problem = name_problem(datum.name)
        if problem:
            error = UsageError(f"The datum {datum.id} cannot be written to a file: its name {problem}.", id=datum.id)
            failures.append(Failure(name=datum.name, error=error))
            continue
        name = datum.name
        if name in paths and datum.blake3 is not None and paths[name].blake3 == datum.blake3:
            continue
        if not _is_free(name, files, folders):
            plain = PurePosixPath(name)
            name = _marked(plain, datum.id[:_DIGITS])
            if not _is_free(name, files, folders):
                name = _marked(plain, datum.id)
        if not _is_free(name, files, folders):
            message = f"The datum {datum.id} cannot be written to a file: {datum.name} is also a directory."
            error = UsageError(message, id=datum.id)
            failures.append(Failure(name=datum.name, error=error))
            continue
        files.add(_folded(name))
        folders.update(_folded(str(parent)) for parent in PurePosixPath(name).parents)
        paths[name] = datum
    return paths, failures


def _marked(path: PurePosixPath, mark: str) -> str:
    """Return a path with a mark before its suffix. A name that would become too long is cut."""
    suffix = path.suffix if len(path.suffix.encode()) < MAX_PART_BYTES // 2 else ""
    most = MAX_PART_BYTES - len(f"-{mark}{suffix}".encode())
    stem = path.name.removesuffix(suffix).encode()[:most].decode(errors="ignore")
    return str(path.with_name(f"{stem}-{mark}{suffix}"))


def _is_free(name: str, files: set[str], folders: set[str]) -> bool:
    folded = _folded(name)
    parents = (_folded(str(parent)) for parent in PurePosixPath(name).parents)
    return folded not in files and folded not in folders and files.isdisjoint(parents)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


class Journal:
    """A record of the files that earlier runs fetched into a directory, which saves reading them again.

    If the journal is lost, the files are read again to verify them. Nothing else depends on it.

    Args:
        path: The file that stores the journal.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, tuple[str, int, int]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AttributeError):
            entries = load_json(path.read_bytes())
            # In a shared home, another member may have written the journal. Files outside the directory must not count
            # as fetched, since a later run may delete what it fetched.
            self._entries = {
                str(name): (str(entry[0]), int(entry[1]), int(entry[2]))
                for name, entry in entries.items()
                if relative_problem(name) is None
            }

    @classmethod
    def of(cls, cache: Path, folder: Path, *, what: str) -> Journal:
        """Open the journal of a directory for data from one source."""
        name = hashlib.sha256(f"{folder.absolute()}\n{what}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return cls(cache / "datasets" / "folders" / f"{name}.json")

    def holds(self, path: str, status: os.stat_result, datum: str | None = None) -> bool:
        """Return whether a file is unchanged since it was fetched, as the datum with this id or as any datum."""
        found = self._entries.get(path)
        return found is not None and found[1:] == (status.st_size, status.st_mtime_ns) and datum in {None, found[0]}

    def record(self, path: str, datum: str, status: os.stat_result) -> None:
        """Record that a file holds the datum with this id."""
        self._entries[path] = (datum, status.st_size, status.st_mtime_ns)

    def forget(self, path: str) -> None:
        """Remove a file from the journal."""
        self._entries.pop(path, None)

    def others(self, paths: Mapping[str, object]) -> list[str]:
        """Return the recorded paths that are not among these."""
        return sorted(path for path in self._entries if path not in paths)

    def save(self) -> None:
        """Save the journal, unless the disk or a link of another user prevents it."""
        with contextlib.suppress(OSError, StorageError):
            write_cache_file(self._path, dump_json(self._entries))
