"""Fetch data into a directory under their original names, and verify them.

An existing file is kept if its content is correct, and replaced if it is unchanged since an earlier run fetched it. Any
other file is never overwritten, unless the caller forces it.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from orbitpkg.config.trust import trusted_addresses
from orbitpkg.datasets.folders import Journal, local_paths
from orbitpkg.datasets.layout import blob_key
from orbitpkg.datasets.parallel import in_order
from orbitpkg.datasets.registration import Failure
from orbitpkg.errors import (
    CredentialsError,
    IntegrityError,
    NoSpace,
    ObjectChanged,
    ObjectNotFound,
    OrbitError,
    RepositoryUnreachable,
    StorageError,
)
from orbitpkg.files.atomic import HIDDEN, move_file
from orbitpkg.files.errors import USER_FILE, WRITE, storage_errors
from orbitpkg.files.names import disk_path, text_path
from orbitpkg.files.sync import sync_files
from orbitpkg.objects import ObjectInfo, open_store
from orbitpkg.objects.foreign import ForeignAddress
from orbitpkg.objects.transfer.files import download_object
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from orbitpkg.datasets.datum import Datum
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.reporting import Reporter

__all__ = ["Fetched", "Stores", "fetch", "fetch_one"]

_SMALL: Final = 8 * 2**20
_BLOCK: Final = 2**20
_SMALL_SUFFIX: Final = ".tmp"
_STALE_SECONDS: Final = 3600.0


@dataclass(slots=True, kw_only=True)
class Fetched:
    """The result of fetching data.

    Attributes:
        fetched: The relative paths of the fetched files.
        present: The number of files that were already present.
        size: The number of bytes fetched.
        failures: The data that could not be fetched.
        left: The relative paths of files that an earlier run fetched and that are no longer selected.
    """

    fetched: list[str] = field(default_factory=list)
    present: int = 0
    size: int = 0
    failures: list[Failure] = field(default_factory=list)
    left: list[str] = field(default_factory=list)


class Stores:
    """The object stores that hold the data, each opened once. Thread-safe.

    A store that does not respond or rejects the credentials is not tried again: ten thousand files would each wait for
    a timeout.

    Args:
        home: The object store of the repository, which holds registered files, or None.
        trusted: Addresses to trust in addition to those that the user trusts.
        opener: Opens the other stores by address.
    """

    def __init__(
        self,
        home: ObjectStore | None,
        *,
        trusted: Iterable[str] = (),
        opener: Callable[[str], ObjectStore] = open_store,
    ) -> None:
        self._home = home
        self._trusted = (*trusted_addresses(), *trusted)
        self._opener = opener
        self._opened: dict[str, ObjectStore] = {}
        self._failed: dict[str, OrbitError] = {}
        self._lock = threading.Lock()

    def find(self, datum: Datum) -> tuple[ObjectStore, str]:
        """Return the store and the key of a datum's content.

        Raises:
            IntegrityError: The address leads to this machine or to its link, and the user does not trust it.
            OrbitError: An earlier attempt to use the store failed.
        """
        if datum.is_stored and datum.blake3 and self._home is not None:
            return self._usable(self._home), blob_key(datum.blake3)
        address = ForeignAddress(datum.uri, trusted=self._trusted)
        with self._lock:
            store = self._opened.get(address.store)
            if store is None:
                address.check_host()
                store = self._opened[address.store] = self._opener(address.store)
        return self._usable(store), address.key

    def note_failure(self, store: ObjectStore, error: OrbitError) -> None:
        """Remember that a store cannot be used."""
        # Other errors concern a single object, such as a missing one, and do not exclude the store.
        if isinstance(error, CredentialsError | RepositoryUnreachable):
            self._failed[store.url] = error

    def _usable(self, store: ObjectStore) -> ObjectStore:
        if store.url in self._failed:
            raise self._failed[store.url]
        return store


def fetch(
    data: Iterable[Datum],
    folder: Path,
    *,
    stores: Stores,
    journal: Journal,
    force: bool = False,
    delete: bool = False,
    reporter: Reporter = SILENT,
) -> Fetched:
    """Fetch data into a directory.

    Args:
        data: The data to fetch.
        folder: The directory, which is created if needed.
        stores: The object stores that hold the data.
        journal: The journal of the directory.
        force: Replace existing files that were not fetched by an earlier run.
        delete: Delete unchanged files that an earlier run fetched and that are not among the data.
        reporter: Receives the progress.

    Raises:
        NoSpace: The disk is full. Files that were already fetched remain.
    """
    paths, failures = local_paths(data)
    result = Fetched(failures=failures)
    with storage_errors(folder, USER_FILE):
        folder.mkdir(parents=True, exist_ok=True)
    _sweep({folder, *((folder / disk_path(path)).parent for path in paths)})
    missing = {path: datum for path, datum in paths.items() if not _is_present(folder, path, datum, journal)}
    result.present = len(paths) - len(missing)
    try:
        with reporter.task("Downloading files", sum(datum.size for datum in missing.values())) as task:
            job = _Job(folder, stores, journal, force=force, progress=task.advance)
            with contextlib.closing(in_order(lambda path: job.fetch(path, missing[path]), missing)) as outcomes:
                for path, future in outcomes:
                    try:
                        future.result()
                    except NoSpace:
                        raise  # no other file will fare better
                    except OrbitError as error:
                        result.failures.append(Failure(name=path, error=error))
                        continue
                    result.fetched.append(path)
                    result.size += paths[path].size
        with storage_errors(folder, USER_FILE):
            # One sync for all files: a sync for each of ten thousand small files would take longer than their download.
            sync_files([f"{folder}/{disk_path(path)}" for path in result.fetched], folder=str(folder))
        result.left = _left(folder, journal, paths, delete=delete)
    finally:
        journal.save()
    return result


def fetch_one(datum: Datum, target: Path, *, stores: Stores) -> None:
    """Fetch a datum to a path, and replace an existing file.

    Raises:
        ObjectNotFound, ObjectChanged: The object was deleted or changed.
        IntegrityError: The content is not what was registered.
        StorageError: The file cannot be written.
    """
    journal = Journal(target.with_name(".journal"))  # of nothing, and never saved
    _Job(target.parent, stores, journal, force=True, progress=lambda _: None).fetch(text_path(target.name), datum)
    with storage_errors(target, USER_FILE):
        sync_files([str(target)], folder=str(target.parent))


def _is_present(folder: Path, path: str, datum: Datum, journal: Journal) -> bool:
    target = folder / disk_path(path)
    try:
        status = target.lstat()
        if journal.holds(path, status, datum.id):
            return True
        # A file of another size cannot have the same content, and need not be hashed.
        if target.is_symlink() or not target.is_file() or datum.blake3 is None or status.st_size != datum.size:
            return False
        if _digest_of(target) != datum.blake3:
            return False
    except OSError:  # absent; or it cannot be read, which fetching will tell
        return False
    journal.record(path, datum.id, status)
    return True


def _digest_of(path: Path) -> str:
    digest = blake3()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def _sweep(folders: set[Path]) -> None:
    """Delete the small hidden files that killed processes left behind."""
    before = time.time() - _STALE_SECONDS
    for folder in folders:
        with contextlib.suppress(OSError):
            for entry in folder.iterdir():
                is_ours = entry.name.startswith(HIDDEN) and entry.name.endswith(_SMALL_SUFFIX)
                if is_ours and entry.lstat().st_mtime < before:
                    entry.unlink(missing_ok=True)


def _left(folder: Path, journal: Journal, paths: Mapping[str, object], *, delete: bool) -> list[str]:
    left = []
    for path in journal.others(paths):
        target = folder / disk_path(path)
        try:
            is_ours = journal.holds(path, target.lstat())
        except OSError:
            is_ours = False
        if not is_ours:
            journal.forget(path)
            continue
        left.append(path)
        if delete:
            with storage_errors(target, USER_FILE):
                # Only files that an earlier run fetched, and that have not changed since, reach this line.
                target.unlink(missing_ok=True)
            journal.forget(path)
            _remove_empty(target.parent, folder)
    return left


def _remove_empty(folder: Path, top: Path) -> None:
    while folder != top:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


class _Job:
    def __init__(
        self, folder: Path, stores: Stores, journal: Journal, *, force: bool, progress: Callable[[int], None]
    ) -> None:
        self._folder = folder
        self._stores = stores
        self._journal = journal
        self._force = force
        self._progress = progress

    def fetch(self, path: str, datum: Datum) -> None:
        target = self._folder / disk_path(path)
        self._check_free(target, path)
        with storage_errors(target, USER_FILE):
            target.parent.mkdir(parents=True, exist_ok=True)
        store, key = self._stores.find(datum)
        # The partial file of a large datum has a stable name, so an interrupted download can be resumed.
        mark = f"{datum.id}.part" if datum.size > _SMALL else f"{secrets.token_hex(12)}{_SMALL_SUFFIX}"
        part = target.with_name(f"{HIDDEN}{mark}")
        try:
            self._get(store, key, datum, part)
            with storage_errors(target, USER_FILE):
                # The caller syncs many files at once.
                move_file(part, target, durable=False)
                self._journal.record(path, datum.id, target.lstat())
        except ObjectNotFound as error:
            raise ObjectNotFound(
                f"The content of {datum.name} is missing: {datum.uri} does not exist.",
                hint="Contact the owner of the bucket, or register the file again.",
                id=datum.id,
            ) from error
        except OrbitError as error:
            self._stores.note_failure(store, error)
            raise
        finally:
            part.unlink(missing_ok=True)

    def _check_free(self, target: Path, path: str) -> None:
        with storage_errors(target, WRITE):
            try:
                status = target.lstat()
            except FileNotFoundError:
                return
        # Not even --force may delete a directory.
        if target.is_dir() and not target.is_symlink():
            raise StorageError(f"Cannot write {target}: it is a directory.", path=str(target))
        if not self._force and not self._journal.holds(path, status):
            raise StorageError(
                f"{target} exists with different content.",
                hint="Move it. To replace it, add --force.",
                path=str(target),
                conflict=True,
            )

    def _get(self, store: ObjectStore, key: str, datum: Datum, part: Path) -> None:
        if datum.size > _SMALL:
            self._get_large(store, key, datum, part)
            return
        try:
            data, info = store.get(key, max_bytes=datum.size, version=datum.version)
        except IntegrityError:  # it is larger: what else is it?
            _check_state(store.head(key, version=datum.version), datum)
            raise _wrong_bytes(datum) from None
        _check_state(info, datum)
        if len(data) != datum.size or (datum.blake3 and blake3(data).hexdigest() != datum.blake3):
            raise _wrong_bytes(datum)
        with storage_errors(part, USER_FILE), part.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        self._progress(len(data))

    def _get_large(self, store: ObjectStore, key: str, datum: Datum, part: Path) -> None:
        info = store.head(key, version=datum.version)
        _check_state(info, datum)
        if info.size != datum.size:
            raise _wrong_bytes(datum)
        came = download_object(store, key, part, info=info, version=datum.version, progress=self._progress)
        if came.size != datum.size or (datum.blake3 and came.blake3 != datum.blake3):
            raise _wrong_bytes(datum)


def _check_state(info: ObjectInfo, datum: Datum) -> None:
    if datum.etag is not None and info.etag != datum.etag:
        raise ObjectChanged(
            f"{datum.uri} is not the object that was indexed: it was written over since.",
            hint="To index it again: orbitpkg dataset index",
            id=datum.id,
        )


def _wrong_bytes(datum: Datum) -> IntegrityError:
    return IntegrityError(
        f"The content of {datum.name} at {datum.uri} is not what was registered.",
        hint="Register the file again to replace a damaged blob.",
        id=datum.id,
    )
