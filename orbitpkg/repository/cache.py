"""What is kept on this machine of repositories: indexes, with the ETags they came with, and records by their digests.

Everything here can be deleted at any time. A file that was cut short or altered is taken for none; a folder that may
not be written costs requests and nothing else. A record is held against its digest each time it is read; an index is
used only after the repository said that it is unchanged, or when there is no network.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.files.atomic import atomic_write
from orbitpkg.files.folders import make_folders, make_private_folder

if TYPE_CHECKING:
    import os

    from orbitpkg.model.release import ReleaseDigest

__all__ = ["Cache", "KeptIndex"]

_MAX_HEAD = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptIndex:
    """An index as it once came.

    Attributes:
        etag: The state it was in.
        data: The index.
    """

    etag: str
    data: bytes


class Cache:
    """The caches in one folder, for any number of repositories.

    Args:
        folder: In the home folder; made when first written to.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def index(self, url: str, name: str) -> KeptIndex | None:
        """Give what is kept of a package's index; None when nothing is."""
        try:
            data = self._index_path(url, name).read_bytes()
        except OSError:
            return None
        head, separator, body = data.partition(b"\n")
        digest, _, etag = head.decode("utf-8", "replace").partition(" ")
        if not separator or hashlib.sha256(body).hexdigest() != digest:
            return None
        return KeptIndex(etag=etag, data=body)

    def keep_index(self, url: str, name: str, kept: KeptIndex) -> None:
        """Keep a package's index."""
        head = f"{hashlib.sha256(kept.data).hexdigest()} {kept.etag}"
        if "\n" not in head and len(head) <= _MAX_HEAD:
            self._write(self._index_path(url, name), b"%b\n%b" % (head.encode(), kept.data))

    def forget_index(self, url: str, name: str) -> None:
        """Keep nothing of a package's index."""
        with contextlib.suppress(OSError):
            self._index_path(url, name).unlink()

    def record(self, digest: ReleaseDigest | str) -> bytes | None:
        """Give a record by its digest; None when it is not kept."""
        try:
            raw = self._record_path(digest).read_bytes()
        except OSError:
            return None
        return raw if hashlib.sha256(raw).hexdigest() == digest else None

    def keep_record(self, digest: ReleaseDigest | str, raw: bytes) -> None:
        """Keep a record."""
        self._write(self._record_path(digest), raw)

    def _index_path(self, url: str, name: str) -> Path:
        return self._folder / "index" / hashlib.sha256(url.encode()).hexdigest()[:16] / f"{name}.json"

    def _record_path(self, digest: str) -> Path:
        return self._folder / "records" / digest[:2] / f"{digest}.json"

    def _write(self, path: Path, data: bytes) -> None:
        # Who may not write here, or has no space, does without; readers check what they find, so nothing is synced.
        with contextlib.suppress(OSError):
            make_private_folder(str(self._folder.parent))
            make_folders(str(path.parent))
            atomic_write(path, data, durable=False)
