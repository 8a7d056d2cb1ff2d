"""What has been sent of an upload, written down beside the store, so that a publisher that was stopped goes on.

One small file for each release that is on its way to a repository: first the upload it belongs to, then a line for
each part that arrived. A torn last line, or a file that cannot be read or written, costs sending again and nothing
else.
"""

from __future__ import annotations

import contextlib
import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import digest_of
from orbitpkg.files.durable import write_file
from orbitpkg.files.folders import make_folders
from orbitpkg.model.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Journal", "sent_identity"]


def sent_identity(data: bytes | bytearray | memoryview) -> str:
    """Give a text that two sent parts share only if they are the same bytes."""
    return f"sent {len(data)} {digest_of(data)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    key: str
    upload: str


class Journal:
    """What has been sent of one release's archive to one repository.

    Args:
        folder: Where journals are kept.
        url: The repository's address.
        name: The package's canonical name.
        version: The version that is on its way.
    """

    def __init__(self, folder: Path, *, url: str, name: str, version: str) -> None:
        label = hashlib.sha256(f"{url}\n{name}\n{version}".encode()).hexdigest()[:24]
        self._path = folder / f"{name}-{version}-{label}.jsonl"
        self._lock = threading.Lock()
        self._start: _Start | None = None
        self._parts: dict[int, str] = {}
        self._read()

    @property
    def key(self) -> str | None:
        """The key of the archive that is on its way, if there is one."""
        return self._start.key if self._start else None

    @property
    def upload(self) -> str | None:
        """The store's name for the upload, if there is one."""
        return self._start.upload if self._start else None

    def has(self, number: int, identity: str) -> bool:
        """Say whether a part arrived, as it is now."""
        return self._parts.get(number) == identity

    def begin(self, key: str, upload: str) -> None:
        """Forget what was, and note a new upload."""
        self._start, self._parts = _Start(key=key, upload=upload), {}
        with contextlib.suppress(OSError):
            make_folders(str(self._path.parent))
            self._path.unlink(missing_ok=True)  # it may be another user's
            write_file(str(self._path), dump_json({"key": key, "upload": upload}) + b"\n", sync=False)

    def arrived(self, number: int, identity: str) -> None:
        """Note that a part arrived. May be called by several threads."""
        with self._lock:
            self._parts[number] = identity
            with contextlib.suppress(OSError), self._path.open("ab") as file:
                file.write(dump_json({"number": number, "part": identity}) + b"\n")

    def forget(self) -> None:
        """Forget everything."""
        self._start, self._parts = None, {}
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            lines = self._path.read_text(encoding="utf-8").splitlines()
            head = load_json(lines[0])
            start = _Start(key=str(head["key"]), upload=str(head["upload"]))
            parts = {}
            for line in lines[1:]:
                row = load_json(line)
                parts[int(row["number"])] = str(row["part"])
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            self.forget()
            return
        self._start, self._parts = start, parts
