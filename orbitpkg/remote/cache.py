"""The cache of remote files: contents stored by digest, and a small record of each state of an object.

::

    content/<2 hex>/<BLAKE3>/<name>              the bytes, named like the object so readers see its extension
    entries/<2 hex>/<SHA-256>/<hash>.json        a state of an object: its ETag, version, size and digest
    tmp/…                                        downloads under way, and drafts to be uploaded
    changed/…                                    files that a user changed in the cache, set aside
    unsent/…                                     drafts whose upload failed

The directory of an object's records is named by the SHA-256 of its URI and of the store that this URI refers to: the
same URI is another object at another endpoint or for another account.

Only the last part of a key becomes a file name, so no key can escape the directory or block another. The modification
time of a record is when the store last confirmed that state as current. The cache has neither an index nor a global
lock. Files appear by a rename, and any file may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import re
import stat
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from orbitpkg.config.caches import open_cache
from orbitpkg.files.anchors import open_within
from orbitpkg.files.atomic import NO_LINKS, atomic_file, move_file
from orbitpkg.files.content import clone_or_link
from orbitpkg.files.folders import set_mode
from orbitpkg.files.names import disk_path
from orbitpkg.model.jsontext import dump_json, load_json
from orbitpkg.model.paths import relative_problem
from orbitpkg.objects.identity import StoreIdentity
from orbitpkg.objects.transfer.journal import Journal
from orbitpkg.objects.transfer.partial import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orbitpkg.files.anchors import Anchor
    from orbitpkg.objects.protocol import ObjectInfo

__all__ = ["Cache", "Entry", "file_name", "folder_mode"]

FORMAT: Final = 2
_MAX_NAME_BYTES: Final = 200
_DIGEST: Final = re.compile(r"[0-9a-f]{64}")
_SUFFIXES: Final = re.compile(r"[A-Za-z0-9._+-]{0,100}")
_MAX_RECORD_BYTES: Final = 64 * 1024
# An object that is rewritten every minute would fill the directory with records.
_MAX_STATES: Final = 64
_TIMEOUT_SECONDS: Final = 900.0
# In a shared cache, another member could have put a link or a FIFO at the predictable name.
_LOCK_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_NEVER: Final = 0.0
_REPORTED_AFTER_SECONDS: Final = 2.0
_NO_STORE: Final = StoreIdentity(place="", account=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One cached state of an object.

    Attributes:
        uri: The object's URI, without a password.
        place: The address and the endpoint of its store.
        account: The account that read it, if any.
        etag: The object's ETag, if the store has one.
        version: The object's version, in a bucket with versioning.
        size: The object's size in bytes.
        modified: When the object was written, in ISO format, if known.
        blake3: The digest of its bytes.
        name: The file's name in the cache.
        mtime_ns: The file's modification time. If the time or the size differs, the file was changed.
        checked: When the store last confirmed this state as current, in seconds since 1970.
    """

    uri: str
    place: str
    account: str | None
    etag: str | None
    version: str | None
    size: int
    modified: str | None
    blake3: str
    name: str
    mtime_ns: int
    checked: float = 0.0

    @property
    def modified_at(self) -> datetime | None:
        """When the object was written."""
        return datetime.fromisoformat(self.modified) if self.modified else None


def folder_mode(file_mode: int) -> int:
    """Return the mode of directories for files of ``file_mode``: the owner can write, readers can enter."""
    return file_mode | 0o700 | (file_mode & 0o444) >> 2


class Cache:
    """The cache in one directory.

    Args:
        root: The directory, which is created with the first file.
        file_mode: The permissions of its files; those of its directories follow from them.
        origin: The store that URIs refer to.
    """

    def __init__(self, root: Path, *, file_mode: int, origin: StoreIdentity = _NO_STORE) -> None:
        self.root: Final = root
        self.contents: Final = root / "content"
        self._file_mode = file_mode
        self._origin = origin

    def of(self, origin: StoreIdentity) -> Cache:
        """Return the cache of the objects of one store."""
        return Cache(self.root, file_mode=self._file_mode, origin=origin)

    # Reading.

    def current(self, uri: str) -> Entry | None:
        """Return the last state of an object confirmed as current, or None.

        A version that was requested by its ID was never confirmed as current.
        """
        found = (entry for entry in self.entries(uri) if entry.checked > _NEVER)
        return max(found, key=lambda entry: entry.checked, default=None)

    def find(self, uri: str, info: ObjectInfo) -> Entry | None:
        """Return the record of this state, or of another with the same ETag and so the same bytes."""
        exact = self._read(self._record(uri, self._origin, info.etag, info.version))
        if exact is not None or info.etag is None:
            return exact
        return next((entry for entry in self.entries(uri) if (entry.etag, entry.size) == (info.etag, info.size)), None)

    def find_version(self, uri: str, version: str) -> Entry | None:
        """Return the record of a version, or None."""
        return next((entry for entry in self.entries(uri) if entry.version == version), None)

    def entries(self, uri: str | None = None) -> Iterator[Entry]:
        """Yield the records of an object, or of all objects of all stores."""
        found = self.entries_of_any_account(uri)
        return found if uri is None else (entry for entry in found if entry.account == self._origin.account)

    def entries_of_any_account(self, uri: str | None = None) -> Iterator[Entry]:
        """Yield the records of an object whatever account read it, or of all objects of all stores."""
        folder = self.root / "entries" if uri is None else self._folder(uri, self._origin.place)
        for path in folder.glob("*/*/*.json" if uri is None else "*.json"):
            if (entry := self._read(path)) is not None:
                yield entry

    def path(self, entry: Entry) -> Path:
        """Return the path of the file of a state, whether or not it exists."""
        return self.path_of(entry.blake3) / disk_path(entry.name)

    def path_of(self, digest: str) -> Path:
        """Return the directory of all files with a digest."""
        return self.contents / digest[:2] / digest

    def intact(self, entry: Entry, *, verify: bool = False) -> Entry | None:
        """Return the record if its file is intact, or None if the file is missing or was changed.

        The file's digest is checked if its modification time differs or ``verify`` is set. A file with another time
        but the same bytes is intact, and its new time is recorded.
        """
        path = self.path(entry)
        try:
            found = path.stat()
            if not stat.S_ISREG(found.st_mode) or found.st_size != entry.size:
                return None
            if found.st_mtime_ns == entry.mtime_ns and not verify:
                return entry
            if file_digest(path) != entry.blake3:
                return None
        except OSError:
            return None
        if found.st_mtime_ns != entry.mtime_ns:
            entry = replace(entry, mtime_ns=found.st_mtime_ns)
            with contextlib.suppress(OSError):
                self._write(entry, checked=entry.checked)  # keep the time: the store has confirmed nothing
        return entry

    # Changes.

    def confirm(self, entry: Entry, info: ObjectInfo, *, is_current: bool) -> Entry:
        """Record that the store has just confirmed this state, as the current one or as a version."""
        if entry.version == info.version and entry.etag == info.etag:
            if not is_current:
                return entry
            with contextlib.suppress(OSError):  # a read-only cache
                os.utime(self._record_of(entry))
            return replace(entry, checked=time.time())
        return self.keep(entry.uri, info, self.path(entry), entry.blake3, name=entry.name, is_current=is_current)

    def mark_used(self, entry: Entry) -> None:
        """Record the use of a state for ``prune``, as the modification time of its directory."""
        with contextlib.suppress(OSError):
            os.utime(self.path(entry).parent)

    def keep(
        self, uri: str, info: ObjectInfo, source: Path, digest: str, *, name: str, is_current: bool = True
    ) -> Entry:
        """Move a file into the cache as a state of an object.

        Args:
            uri: The object.
            info: The state, as the store reports it.
            source: The file, on the same file system.
            digest: The digest of its bytes.
            name: The name of the file in the cache.
            is_current: Whether this is the object's current state, not a version requested by its ID.

        Raises:
            OSError: The cache cannot be written; ``source`` was not moved.
        """
        folder = self.path_of(digest)
        with self._open(folder) as anchor:
            path = Path(anchor.path, name)
            if source != folder / name:
                self._store_file(source, path, digest)
            mtime_ns = path.stat().st_mtime_ns
        modified = info.modified.astimezone(UTC).isoformat() if info.modified else None
        entry = Entry(
            uri=uri,
            place=self._origin.place,
            account=self._origin.account,
            etag=info.etag,
            version=info.version,
            size=info.size,
            modified=modified,
            blake3=digest,
            name=name,
            mtime_ns=mtime_ns,
        )
        self._write(entry, checked=None if is_current else _NEVER)
        self._drop_oldest(uri)
        return replace(entry, checked=time.time() if is_current else _NEVER)

    def _drop_oldest(self, uri: str) -> None:
        if sum(1 for _ in self._folder(uri, self._origin.place).glob("*.json")) > _MAX_STATES:
            for old in sorted(self.entries_of_any_account(uri), key=lambda entry: entry.checked)[:-_MAX_STATES]:
                self.drop(old)

    def _store_file(self, source: Path, path: Path, digest: str) -> None:
        """Move a file to its path. If the same bytes are cached under another name, link to them instead."""
        twin = self._twin(path, digest)
        if twin is None:
            set_mode(source, self._file_mode)
            move_file(source, path, durable=False)
            return
        if twin != path:
            path.unlink(missing_ok=True)
            with contextlib.suppress(FileExistsError):
                _link(twin, path)
        source.unlink()

    def _twin(self, path: Path, digest: str) -> Path | None:
        for name in (path, *sorted(path.parent.iterdir())):
            with contextlib.suppress(OSError):
                if file_digest(name) == digest:
                    return name
        return None

    def move_changed_copy(self, entry: Entry) -> Path | None:
        """Move a changed file out of the cache's contents, and return its new path; None if it no longer exists."""
        path = self.path(entry)
        aside = self.root / "changed" / f"{token_hex(4)}-{disk_path(entry.name)}"
        try:
            with self._open(aside.parent) as anchor:
                move_file(path, f"{anchor.path}/{aside.name}", durable=False)
        except FileNotFoundError:
            return None
        except OSError:
            path.unlink(missing_ok=True)
            return None
        return aside

    def forget(self, uri: str) -> None:
        """Delete all records of an object; the next ``prune`` deletes its bytes."""
        for path in self._folder(uri, self._origin.place).glob("*.json"):
            path.unlink(missing_ok=True)

    def drop(self, entry: Entry) -> None:
        """Delete a record."""
        self._record_of(entry).unlink(missing_ok=True)

    def temporary_folder(self) -> Path:
        """Create and return the directory for work under way, on the same file system as the contents.

        Raises:
            OSError: The directory cannot be created.
        """
        return self.folder("tmp")

    def folder(self, name: str) -> Path:
        """Create and return a directory of the cache.

        Raises:
            OSError: The directory cannot be created.
        """
        folder = self.root / name
        self._open(folder).close()
        return folder

    @contextlib.contextmanager
    def download_lock(self, uri: str, *, waiting: Callable[[], None]) -> Iterator[None]:
        """Let one process at a time download an object, on file systems with locks.

        The lock only saves work: correctness never depends on it, and the wait for it is bounded.

        Args:
            uri: The object.
            waiting: Called once if the wait takes more than a moment.
        """
        path = self.temporary_folder() / f"{_hash(repr((self._origin.place, uri)))[:32]}.lock"
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                descriptor = os.open(path, _LOCK_FLAGS, self._file_mode | 0o600)
                stack.callback(os.close, descriptor)
                set_mode(descriptor, self._file_mode | 0o600)
                _wait_for(descriptor, waiting)
            yield

    @contextlib.contextmanager
    def journal(self, uri: str, metadata: Mapping[str, str] | None) -> Iterator[Journal | None]:
        """Open the journal of an interrupted upload to resume it; None if another process uploads to the same URI."""
        try:
            folder = self.temporary_folder()
            upload = _hash(repr((str(self._origin), uri, sorted((metadata or {}).items()))))[:32]
            descriptor = os.open(folder / f"{upload}.sending", _LOCK_FLAGS, 0o600)
        except OSError:
            yield None
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            journal = Journal(folder, url=uri, name="upload", version=upload)
        except OSError:
            journal = None
        try:
            yield journal
        finally:
            os.close(descriptor)

    # Records.

    def _folder(self, uri: str, place: str) -> Path:
        digest = _hash(repr((place, uri)))
        return self.root / "entries" / digest[:2] / digest

    def _record(self, uri: str, origin: StoreIdentity, etag: str | None, version: str | None) -> Path:
        return self._folder(uri, origin.place) / f"{_hash(repr((origin.account, etag, version)))[:32]}.json"

    def _record_of(self, entry: Entry) -> Path:
        origin = StoreIdentity(place=entry.place, account=entry.account)
        return self._record(entry.uri, origin, entry.etag, entry.version)

    def _read(self, path: Path) -> Entry | None:
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_RECORD_BYTES)
                state = os.fstat(file.fileno())
            fields = load_json(data)
            if fields.pop("format") != FORMAT:
                return None
            entry = Entry(**{**fields, "checked": state.st_mtime})
            # In a shared cache, another member may have written the record.
            return entry if _is_sound(entry) and path == self._record_of(entry) else None
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            # A truncated record, or one of a newer format, only costs a download.
            return None

    def _write(self, entry: Entry, *, checked: float | None) -> None:
        path = self._record_of(entry)
        fields = {name: value for name, value in asdict(entry).items() if name != "checked"}
        with (
            self._open(path.parent) as folder,
            atomic_file(
                f"{folder.path}/{path.name}", durable=False, mode=self._file_mode | 0o600, follow=False
            ) as file,
        ):
            file.write(dump_json({"format": FORMAT, **fields}))
            file.flush()
            if checked is not None:
                os.utime(file.fileno(), (checked, checked))

    def _open(self, folder: Path) -> Anchor:
        """Open a folder of the cache, and create it if needed.

        No link that another member of a shared cache made is followed.

        Raises:
            StorageError: One of the folders is a link of another user.
            OSError: A folder cannot be opened or created.
        """
        is_new = not os.path.lexists(self.root)
        anchor = open_cache(self.root)
        if is_new:
            self._set_mode(anchor, self.root.parent.stat().st_mode)
        for part in folder.relative_to(self.root).parts:
            with anchor as parent:
                is_new = not os.path.lexists(f"{parent.path}/{part}")
                anchor = open_within(parent, part, make=True)
                if is_new:
                    self._set_mode(anchor, os.fstat(parent.descriptor).st_mode)
        return anchor

    def _set_mode(self, folder: Anchor, parent_mode: int) -> None:
        # chmod would clear the setgid bit, which keeps a shared cache in its group.
        set_mode(folder.descriptor, folder_mode(self._file_mode) | parent_mode & stat.S_ISGID)


def _is_sound(entry: Entry) -> bool:
    """Return whether the digest and the name, which form the path of the file, have the right form."""
    is_name = relative_problem(entry.name) is None and "/" not in entry.name
    return is_name and _DIGEST.fullmatch(entry.blake3) is not None and type(entry.size) is int


def file_name(key: str) -> str:
    """Return the file name for an object's bytes: the last part of its key, shortened if file systems refuse it."""
    name = key.rpartition("/")[2]
    if relative_problem(name) is None and len(name.encode()) <= _MAX_NAME_BYTES:
        return name
    # Readers choose a format by the suffix, so a shortened name keeps it.
    suffixes = "".join(Path(name).suffixes[-2:])
    if not _SUFFIXES.fullmatch(suffixes):
        suffixes = ""
    return f"{_hash(name)[:32]}{suffixes}"


def _wait_for(descriptor: int, waiting: Callable[[], None]) -> None:
    begin, pause, reported = time.monotonic(), 0.01, False
    # The other process may be suspended in a terminal. Downloading twice is better than waiting for it.
    while (waited := time.monotonic() - begin) < _TIMEOUT_SECONDS:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited > _REPORTED_AFTER_SECONDS and not reported:
                reported = True
                waiting()
            time.sleep(pause)
            pause = min(0.5, pause * 2)
        else:
            return


def _link(source: Path, target: Path) -> None:
    if clone_or_link(str(source), str(target), or_copy=False):
        return
    try:
        target.symlink_to(source.name)
    except OSError as error:
        # FAT and SMB have neither kind of link.
        if error.errno not in NO_LINKS:
            raise
        clone_or_link(str(source), str(target))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
