"""What was in step when a folder and a place were last synced: a file in the cache for each such pair.

It tells an edit on one side from one on the other. Lost or damaged, it is made anew by comparing contents, and what
differs then is a conflict rather than a guess.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from orbitpkg.files.atomic import atomic_write
from orbitpkg.model.jsontext import dump_json, load_json
from orbitpkg.remote.sync_plan import Synced

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["SyncState"]

_FORMAT = 1


class SyncState:
    """What is remembered of one pair.

    Args:
        folder: Where such files are kept; made when first written to.
        local: The local folder or file, resolved.
        remote: The address of the other side.

    Attributes:
        files: What was last in step, by path.
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
            # None, or one that says nothing that can be trusted.
            return {}

    def save(self) -> None:
        """Write it down.

        Raises:
            OSError: It cannot be written.
        """
        document = {"format": _FORMAT, "pair": self._pair, "files": _rows(self.files)}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(self._path, dump_json(document))


def _rows(files: Mapping[str, Synced]) -> dict[str, list[object]]:
    return {path: [known.size, known.mtime_ns, known.etag] for path, known in files.items()}
