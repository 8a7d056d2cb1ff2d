"""A journal of the parts of an upload that arrived, with which an interrupted publish resumes.

There is one small file for each release that is being published: its first line identifies the upload, and each further
line a part that arrived. If the file is torn or cannot be read or written, the parts are sent again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.archive.frames import digest_of
from orbitpkg.files.anchors import read_regular
from orbitpkg.files.atomic import atomic_write
from orbitpkg.files.folders import make_folders
from orbitpkg.model.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from pathlib import Path

_MAX_BYTES = 16 * 1024 * 1024

__all__ = ["Journal", "sent_identity"]


def sent_identity(data: bytes | bytearray | memoryview) -> str:
    """Return a text that two sent parts share only if their bytes are equal."""
    return f"sent {len(data)} {digest_of(data)}"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Start:
    key: str
    upload: str


def _open_regular(path: str, flags: int) -> int:
    """Open a file, but neither a link nor a FIFO, which another user of a shared folder may have put there."""
    return os.open(path, (flags & ~os.O_CREAT) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0), 0o666)


class Journal:
    """The journal of the upload of one release to one repository.

    Args:
        folder: The folder of the journals.
        url: The repository's address.
        name: The package's canonical name.
        version: The version that is being published.
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
        """The key of the archive that is being uploaded, or None."""
        return self._start.key if self._start else None

    @property
    def upload(self) -> str | None:
        """The store's identifier of the upload, or None."""
        return self._start.upload if self._start else None

    def has(self, number: int, identity: str) -> bool:
        """Return whether a part with this content arrived."""
        return self._parts.get(number) == identity

    def begin(self, key: str, upload: str) -> None:
        """Start the journal of a new upload."""
        self._start, self._parts = _Start(key=key, upload=upload), {}
        with contextlib.suppress(OSError):
            make_folders(str(self._path.parent))
            # Replaced rather than changed: it may belong to another user, or be a link to one of this user's files.
            atomic_write(self._path, dump_json({"key": key, "upload": upload}) + b"\n", durable=False, follow=False)

    def arrived(self, number: int, identity: str) -> None:
        """Record that a part arrived. May be called from several threads."""
        with self._lock:
            self._parts[number] = identity
            with contextlib.suppress(OSError), open(self._path, "ab", opener=_open_regular) as file:
                file.write(dump_json({"number": number, "part": identity}) + b"\n")

    def forget(self) -> None:
        """Delete the journal."""
        self._start, self._parts = None, {}
        with contextlib.suppress(OSError):
            self._path.unlink(missing_ok=True)

    def _read(self) -> None:
        try:
            lines = read_regular(str(self._path), _MAX_BYTES)[0].decode().splitlines()
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
