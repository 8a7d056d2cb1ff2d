"""The actions of a sync on one path: upload, download or delete, unless the destination changed after planning.

A downloaded file appears in one rename, complete and with the object's time. Before a file or an object is replaced, it
is checked again: an edit made during the sync is a conflict too.
"""

from __future__ import annotations

import contextlib
import filecmp
import hashlib
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import ObjectExists, ObjectNotFound, TreeChanged
from orbitpkg.files.atomic import HIDDEN, move_file
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.objects.retry import AT_ONCE, retry
from orbitpkg.objects.transfer.files import download_object, follow_changes, upload_object
from orbitpkg.remote.sameness import DIGEST_NAME, digest_of_file, is_same
from orbitpkg.remote.sync_plan import Act, LocalFile, Synced, nanoseconds, plain_etag

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore
    from orbitpkg.remote.sync_plan import Step

__all__ = ["SMALL_BYTES", "EditedError", "Transfers"]

SMALL_BYTES: Final = 8 << 20
"""The maximum size of a file that is transferred in one request, alongside many others."""


class _OutdatedDigestError(Exception):
    """A file changed between the computation of its digest and its upload."""


class EditedError(Exception):
    """The destination changed after planning. The sync reports it as a conflict and never raises it to callers."""


class Transfers:
    """Executes the steps of a plan. Thread-safe.

    Args:
        store: The store of the objects.
        root: The local directory.
        key_of: Returns the key of a path.
        local: The files at the time of planning.
        remote: The objects at the time of planning.
        progress: Called with each number of bytes transferred.
    """

    def __init__(
        self,
        store: ObjectStore,
        root: Path,
        key_of: Callable[[str], str],
        *,
        local: Mapping[str, LocalFile],
        remote: Mapping[str, ObjectInfo],
        progress: Callable[[int], None],
    ) -> None:
        self._store = store
        self._root = root
        self._key_of = key_of
        self._local = local
        self._remote = remote
        self._progress = progress

    def do(self, step: Step) -> Synced | None:
        """Execute a step; return the new base of its path, or None after a deletion.

        Raises:
            EditedError: The destination changed after planning.
            OrbitError: The step failed.
        """
        work = {
            Act.UPLOAD: self._upload,
            Act.DOWNLOAD: self._download,
            Act.DELETE_OBJECT: self._delete_object,
            Act.DELETE_FILE: self._delete_file,
        }
        return work[step.act](step)

    # Up.

    def _upload(self, step: Step) -> Synced:
        path, key = self._root / disk_path(step.path), self._key_of(step.path)
        if step.replaces:
            self._check_object(step.path)
        first = True

        def attempt() -> Synced:
            nonlocal first
            # Only the first attempt may find an object of another writer: later ones find their own.
            create_only, first = first and not step.replaces, False
            return self._upload_once(key, path, create_only=create_only)

        try:
            return retry(attempt, policy=AT_ONCE, when=lambda error: isinstance(error, _OutdatedDigestError))
        except _OutdatedDigestError:
            # The digest in the object's metadata is wrong, and later syncs would trust it.
            self._store.delete(key)
            raise TreeChanged(f"{path} was not uploaded because it keeps changing.", path=str(path)) from None

    def _upload_once(self, key: str, path: Path, *, create_only: bool) -> Synced:
        with storage_errors(path, USER_FILE):
            before = path.stat()
            metadata = {DIGEST_NAME: digest_of_file(path)}
        try:
            done = upload_object(
                self._store, key, path, metadata=metadata, create_only=create_only, progress=self._progress
            )
        except ObjectExists as error:
            return self._accept_same(key, path, before.st_mtime_ns, error)
        if done.blake3 != metadata[DIGEST_NAME]:
            raise _OutdatedDigestError
        return Synced(size=done.size, mtime_ns=before.st_mtime_ns, etag=plain_etag(done.info))

    def _accept_same(self, key: str, path: Path, mtime_ns: int, error: ObjectExists) -> Synced:
        """Accept an object that appeared during the sync if it has the same bytes, as one of a concurrent sync has."""
        found = self._store.head(key)
        if not is_same(self._store, found, path, surely=False):
            raise EditedError("the object was created during the sync") from error
        return Synced(size=found.size, mtime_ns=mtime_ns, etag=plain_etag(found))

    def _check_object(self, path: str) -> None:
        try:
            found = self._store.head(self._key_of(path))
        except ObjectNotFound:
            return
        if plain_etag(found) != plain_etag(self._remote[path]):
            raise EditedError("the object was changed during the sync")

    def _delete_object(self, step: Step) -> None:
        self._check_object(step.path)
        self._store.delete(self._key_of(step.path))

    # Down.

    def _download(self, step: Step) -> Synced:
        path, key = self._root / disk_path(step.path), self._key_of(step.path)
        with storage_errors(path, USER_FILE):
            path.parent.mkdir(parents=True, exist_ok=True)
            if step.size > SMALL_BYTES:
                part, info = self._fetch_large(key, path, self._remote[step.path])
            else:
                part, info = self._fetch_small(key, path)
            try:
                if info.modified is not None:
                    os.utime(part, ns=(nanoseconds(info.modified),) * 2)
                self._check_file(step.path, part)
                found = part.stat()
                # Many files are synced at once, before the state of the pair is saved.
                move_file(part, path, durable=False)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
        return Synced(size=found.st_size, mtime_ns=found.st_mtime_ns, etag=plain_etag(info))

    def _fetch_small(self, key: str, path: Path) -> tuple[Path, ObjectInfo]:
        data, info = self._store.get(key)
        part = path.with_name(f"{HIDDEN}{secrets.token_hex(12)}.tmp")
        try:
            with part.open("xb") as file:
                file.write(data)
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        self._progress(len(data))
        return part, info

    def _fetch_large(self, key: str, path: Path, info: ObjectInfo) -> tuple[Path, ObjectInfo]:
        # The name is the same each time, so the next sync resumes an interrupted download.
        part = path.with_name(f"{HIDDEN}{hashlib.sha256(os.fsencode(path.name)).hexdigest()[:24]}.whole")

        def attempt(current: ObjectInfo) -> ObjectInfo:
            progress = self._progress
            return download_object(self._store, key, part, info=current, progress=progress, durable=False).info

        return part, follow_changes(self._store, key, info, attempt)

    def _check_file(self, path: str, part: Path | None = None) -> None:
        """Refuse to replace a file that changed after planning, unless it already has the new bytes."""
        known = self._local.get(path)
        try:
            status = (self._root / disk_path(path)).stat()
        except FileNotFoundError:
            return
        if not stat.S_ISREG(status.st_mode):
            raise EditedError("the destination is not a regular file")
        if known == LocalFile(size=status.st_size, mtime_ns=status.st_mtime_ns):
            return
        # A concurrent sync may have written the same bytes.
        if part is None or not filecmp.cmp(part, self._root / disk_path(path), shallow=False):
            raise EditedError("the file was changed during the sync")

    def _delete_file(self, step: Step) -> None:
        path = self._root / disk_path(step.path)
        with storage_errors(path, USER_FILE):
            self._check_file(step.path)
            path.unlink(missing_ok=True)
            # Remove the directories that this emptied.
            for folder in path.parents:
                if folder == self._root:
                    return
                with contextlib.suppress(OSError):
                    folder.rmdir()
                    continue
                return
