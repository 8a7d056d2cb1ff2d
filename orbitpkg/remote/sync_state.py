"""The state of both sides after their last sync, in one cache file for each pair of a directory and an address.

It tells an edit on one side from an edit on the other. If the file is lost or damaged, the next sync compares contents,
and treats differences as conflicts.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from orbitpkg.files.atomic import write_below
from orbitpkg.model.jsontext import dump_json, load_json
from orbitpkg.remote.sync_plan import Synced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SyncState"]

_FORMAT = 1


class SyncState:
    """The state of one pair.

    Args:
        folder: The directory of all state files.
        local: The local directory or file, with links resolved.
        remote: The address of the objects, with the identity of their store.

    Attributes:
        files: The files that were the same on both sides, by path.
    """

    def __init__(self, folder: Path, local: str, remote: str) -> None:
        self._pair = [local, remote]
        name = hashlib.sha256(dump_json(self._pair)).hexdigest()[:32]
        self._path = folder / f"{name}.json"
        self.files: dict[str, Synced] = self._read()

    def _read(self) -> dict[str, Synced]:
        try:
            document = load_json(self._path.read_bytes())
            if document["format"] != _FORMAT or document["pair"] != self._pair:
                return {}
            return {
                path: Synced(size=int(size), mtime_ns=int(mtime), etag=None if etag is None else str(etag))
                for path, (size, mtime, etag) in document["files"].items()
            }
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            # Missing or damaged: an empty state costs a comparison and loses no data.
            return {}

    def save(self) -> None:
        """Write the state to its file.

        Raises:
            OSError: The file cannot be written.
        """
        document = {"format": _FORMAT, "pair": self._pair, "files": _rows(self.files)}
        # The folder of state files is cache/sync in the home folder.
        home = self._path.parents[2]
        home.mkdir(parents=True, exist_ok=True)
        write_below(home, self._path, dump_json(document))


def _rows(files: Mapping[str, Synced]) -> dict[str, list[object]]:
    return {path: [known.size, known.mtime_ns, known.etag] for path, known in files.items()}
