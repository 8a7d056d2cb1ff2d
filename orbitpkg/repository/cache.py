"""A cache of repositories on this machine: indexes with their ETags, and records by digest.

All files can be deleted at any time. A truncated or altered file is ignored; without write permission, more requests
are made. A record is checked against its digest whenever it is read. An index is used only after the repository
confirmed that it is unchanged, or offline.
"""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import StorageError
from orbitpkg.files.anchors import read_regular
from orbitpkg.files.atomic import write_below
from orbitpkg.files.folders import make_private_folder

if TYPE_CHECKING:
    import os

    from orbitpkg.model.release import ReleaseDigest

__all__ = ["Cache", "KeptIndex"]

_MAX_HEAD = 1024
_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptIndex:
    """An index as a repository sent it.

    Attributes:
        etag: Its ETag.
        data: Its content.
    """

    etag: str
    data: bytes


class Cache:
    """A cache for any number of repositories.

    Args:
        folder: A folder in the home folder; created by the first write.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)

    def index(self, url: str, name: str) -> KeptIndex | None:
        """Return the cached index of a package, or None."""
        try:
            data, _ = read_regular(str(self._index_path(url, name)), _MAX_BYTES)
        except OSError:
            return None
        head, separator, body = data.partition(b"\n")
        digest, _, etag = head.decode("utf-8", "replace").partition(" ")
        if not separator or hashlib.sha256(body).hexdigest() != digest:
            return None
        return KeptIndex(etag=etag, data=body)

    def keep_index(self, url: str, name: str, kept: KeptIndex) -> None:
        """Cache the index of a package."""
        head = f"{hashlib.sha256(kept.data).hexdigest()} {kept.etag}"
        if "\n" not in head and len(head) <= _MAX_HEAD:
            self._write(self._index_path(url, name), b"%b\n%b" % (head.encode(), kept.data))

    def forget_index(self, url: str, name: str) -> None:
        """Remove the index of a package from the cache."""
        with contextlib.suppress(OSError):
            self._index_path(url, name).unlink()

    def record(self, digest: ReleaseDigest | str) -> bytes | None:
        """Return the cached record with this digest, or None."""
        try:
            raw, _ = read_regular(str(self._record_path(digest)), _MAX_BYTES)
        except OSError:
            return None
        return raw if hashlib.sha256(raw).hexdigest() == digest else None

    def keep_record(self, digest: ReleaseDigest | str, raw: bytes) -> None:
        """Cache a record."""
        self._write(self._record_path(digest), raw)

    def _index_path(self, url: str, name: str) -> Path:
        return self._folder / "index" / hashlib.sha256(url.encode()).hexdigest()[:16] / f"{name}.json"

    def _record_path(self, digest: str) -> Path:
        return self._folder / "records" / digest[:2] / f"{digest}.json"

    def _write(self, path: Path, data: bytes) -> None:
        # Missing permission or space is ignored: a cache is optional. Readers verify files, so no sync is needed.
        with contextlib.suppress(OSError, StorageError):
            home = str(self._folder.parent)
            make_private_folder(home)
            # In a shared home folder, another user may have put a link to one of this user's files there.
            write_below(home, path, data, durable=False)
