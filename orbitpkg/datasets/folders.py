"""What lies in a folder that data are fetched into: which datum is which path, and what earlier runs put there.

Two data of one name (alike but for letter case counts) cannot both have it: the one that was registered first keeps
it, each other gets the first eight digits of its id before its suffix, ``scan-1a2b3c4d.h5``. Of one name and the same
bytes they are one file.
"""

from __future__ import annotations

import contextlib
import hashlib
import unicodedata
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from orbitpkg.datasets.datum import name_problem
from orbitpkg.datasets.registration import Failure
from orbitpkg.errors import UsageError
from orbitpkg.files.atomic import atomic_write
from orbitpkg.model.jsontext import dump_json, load_json

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping

    from orbitpkg.datasets.datum import Datum

__all__ = ["Journal", "local_paths"]

_DIGITS: Final = 8


def local_paths(data: Iterable[Datum]) -> tuple[dict[str, Datum], list[Failure]]:
    """Give each datum its path, ``/``-separated, and say which can have none.

    Args:
        data: In any order.
    """
    paths: dict[str, Datum] = {}
    files: set[str] = set()
    folders: set[str] = set()
    failures = []
    for datum in sorted(data, key=lambda datum: (datum.registered, datum.name, datum.id)):
        problem = name_problem(datum.name)
        if problem:
            error = UsageError(f"The datum {datum.id} cannot be a file: its name {problem}.", id=datum.id)
            failures.append(Failure(name=datum.name, error=error))
            continue
        name = datum.name
        if name in paths and datum.blake3 is not None and paths[name].blake3 == datum.blake3:
            continue
        if not _is_free(name, files, folders):
            plain = PurePosixPath(name)
            name = str(plain.with_name(f"{plain.stem}-{datum.id[:_DIGITS]}{plain.suffix}"))
            if not _is_free(name, files, folders):
                name = str(plain.with_name(f"{plain.stem}-{datum.id}{plain.suffix}"))
        if not _is_free(name, files, folders):
            error = UsageError(f"The datum {datum.id} cannot be a file: {datum.name} is one, and a folder, too.")
            failures.append(Failure(name=datum.name, error=error))
            continue
        files.add(_folded(name))
        folders.update(_folded(str(parent)) for parent in PurePosixPath(name).parents)
        paths[name] = datum
    return paths, failures


def _is_free(name: str, files: set[str], folders: set[str]) -> bool:
    folded = _folded(name)
    parents = (_folded(str(parent)) for parent in PurePosixPath(name).parents)
    return folded not in files and folded not in folders and files.isdisjoint(parents)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name.casefold())


class Journal:
    """What earlier runs put into a folder, so that it need not be read again. Losing it costs reading, nothing else.

    Args:
        path: The file it is kept in.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._entries: dict[str, tuple[str, int, int]] = {}
        with contextlib.suppress(OSError, ValueError, TypeError, LookupError, AttributeError):
            said = load_json(path.read_bytes())
            self._entries = {str(name): (str(entry[0]), int(entry[1]), int(entry[2])) for name, entry in said.items()}

    @classmethod
    def of(cls, cache: Path, folder: Path, *, what: str) -> Journal:
        """Open the journal of a folder, for what is fetched into it from one source."""
        name = hashlib.sha256(f"{folder.absolute()}\n{what}".encode("utf-8", "surrogateescape")).hexdigest()[:32]
        return cls(cache / "datasets" / "folders" / f"{name}.json")

    def holds(self, path: str, status: os.stat_result, datum: str | None = None) -> bool:
        """Say whether a file is as a run left it: as the datum of this id, or as any when that is None."""
        found = self._entries.get(path)
        return found is not None and found[1:] == (status.st_size, status.st_mtime_ns) and datum in {None, found[0]}

    def record(self, path: str, datum: str, status: os.stat_result) -> None:
        """Note that a file is the datum of this id."""
        self._entries[path] = (datum, status.st_size, status.st_mtime_ns)

    def forget(self, path: str) -> None:
        """Note that a file is none of this journal's any more."""
        self._entries.pop(path, None)

    def others(self, paths: Mapping[str, object]) -> list[str]:
        """Give what is noted besides these."""
        return sorted(path for path in self._entries if path not in paths)

    def save(self) -> None:
        """Keep what was noted, as far as that can be done."""
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            atomic_write(self._path, dump_json(self._entries), durable=False)
