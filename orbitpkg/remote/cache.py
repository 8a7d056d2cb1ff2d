"""Objects that were read once, kept as files: contents under their digests, states of URIs as small records.

::

    content/<2 hex>/<BLAKE3>/<name>              the bytes, named like the object so that readers see its extension
    entries/<2 hex>/<SHA-256 of URI>/<hash>.json one state of one object: its ETag, version, size, digest
    tmp/…                                        downloads under way, and what is about to be uploaded
    changed/…                                    files that somebody changed in here, moved out of the way

A key never becomes a path, but for its last part as a file's name: none can leave the folder or stand in another's way.
The time of a record says when the store last confirmed that this is the object's current state. There is no lock that
all share and no index: files appear by a rename, and everything may be deleted at any time.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import stat
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from orbitpkg.files.atomic import atomic_file, move_file, set_mode
from orbitpkg.model.jsontext import canonical_json
from orbitpkg.objects.transfer.journal import Journal
from orbitpkg.objects.transfer.partial import file_digest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from orbitpkg.objects.protocol import ObjectInfo

__all__ = ["Cache", "Entry", "file_name", "folder_mode"]

FORMAT: Final = 1
_MAX_NAME_BYTES: Final = 200
_MAX_RECORD_BYTES: Final = 64 * 1024
# Of an object that changes all the time, no more states are remembered.
_MAX_STATES: Final = 64
_PATIENCE_SECONDS: Final = 900.0
_NEVER: Final = 0.0
_TOLD_AFTER_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One state of one object, as it was read.

    Attributes:
        uri: Of the object; never with a password.
        etag: The store's word for the state; None where it has none.
        version: The store's name for the version, where it keeps several.
        size: Of the object in bytes.
        modified: When it was written, in ISO format; None where the store does not say.
        blake3: Of its bytes.
        name: The file's name in the cache.
        mtime_ns: Of the file in the cache: another time, or another size, means that somebody changed it.
        checked: When the store last said that this is the current state, in seconds since 1970.
    """

    uri: str
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
    """Give the mode of folders whose files have ``file_mode``: who reads a file passes, the owner does everything."""
    return file_mode | 0o700 | (file_mode & 0o444) >> 2


class Cache:
    """The folder of what was read.

    Args:
        root: The folder; made with the first file.
        file_mode: The permissions of the files in it, which those of its folders follow.
    """

    def __init__(self, root: Path, *, file_mode: int) -> None:
        self.root: Final = root
        self.contents: Final = root / "content"
        self._file_mode = file_mode

    # What is there.

    def current(self, uri: str) -> Entry | None:
        """Give the newest state of an object that is known here; None when there is none.

        A version that was asked for by its name may be any, and does not count.
        """
        found = (entry for entry in self.entries(uri) if entry.checked > _NEVER)
        return max(found, key=lambda entry: entry.checked, default=None)

    def find(self, uri: str, info: ObjectInfo) -> Entry | None:
        """Give the record of exactly this state; or of one with its ETag, which has the same bytes."""
        exact = self._read(self._record(uri, info.etag, info.version))
        if exact is not None or info.etag is None:
            return exact
        return next((entry for entry in self.entries(uri) if (entry.etag, entry.size) == (info.etag, info.size)), None)

    def find_version(self, uri: str, version: str) -> Entry | None:
        """Give the record of a version, which never changes."""
        return next((entry for entry in self.entries(uri) if entry.version == version), None)

    def entries(self, uri: str | None = None) -> Iterator[Entry]:
        """Give the records of an object, or all."""
        pattern = "*/*/*.json" if uri is None else f"{self._folder(uri).relative_to(self.root / 'entries')}/*.json"
        for path in (self.root / "entries").glob(pattern):
            if (entry := self._read(path)) is not None:
                yield entry

    def path(self, entry: Entry) -> Path:
        """Where the bytes of a state are, or would be."""
        return self.path_of(entry.blake3) / entry.name

    def path_of(self, digest: str) -> Path:
        """Where the bytes of a digest are, under whatever names."""
        return self.contents / digest[:2] / digest

    def intact(self, entry: Entry, *, verify: bool = False) -> Entry | None:
        """Give the record back if its file is there and as it was; None when it is gone or somebody changed it.

        A file of another size or time is read, and so is every one with ``verify``; the time alone may be another.
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
                self._write(entry, checked=entry.checked)  # the store has said nothing
        return entry

    # What comes and goes.

    def confirm(self, entry: Entry, info: ObjectInfo, *, is_current: bool) -> Entry:
        """Write down that the store told just now of this state, as the object's current one or as a version."""
        if entry.version == info.version and entry.etag == info.etag:
            if not is_current:
                return entry
            with contextlib.suppress(OSError):  # a cache that may only be read
                os.utime(self._record(entry.uri, entry.etag, entry.version))
            return replace(entry, checked=time.time())
        return self.keep(entry.uri, info, self.path(entry), entry.blake3, name=entry.name, is_current=is_current)

    def mark_used(self, entry: Entry) -> None:
        """Write down, as the time of its content's folder, that a state is in use: ``prune`` goes by that."""
        with contextlib.suppress(OSError):
            os.utime(self.path(entry).parent)

    def keep(
        self, uri: str, info: ObjectInfo, source: Path, digest: str, *, name: str, is_current: bool = True
    ) -> Entry:
        """Take a file, of the same file system, for a state of an object.

        Args:
            uri: The object.
            info: What the store says of that state.
            source: The file; it is moved.
            digest: Of its bytes.
            name: What to call it.
            is_current: Whether this is the object's current state, and not a version that was asked for.

        Raises:
            OSError: The cache did not take it; ``source`` is where it was.
        """
        folder = self.path_of(digest)
        self._make(folder)
        path = folder / name
        if source != path:
            self._place(source, path, digest)
        modified = info.modified.astimezone(UTC).isoformat() if info.modified else None
        entry = Entry(
            uri=uri,
            etag=info.etag,
            version=info.version,
            size=info.size,
            modified=modified,
            blake3=digest,
            name=name,
            mtime_ns=path.stat().st_mtime_ns,
        )
        self._write(entry, checked=None if is_current else _NEVER)
        self._drop_oldest(uri)
        return replace(entry, checked=time.time() if is_current else _NEVER)

    def _drop_oldest(self, uri: str) -> None:
        if sum(1 for _ in self._folder(uri).glob("*.json")) > _MAX_STATES:
            for old in sorted(self.entries(uri), key=lambda entry: entry.checked)[:-_MAX_STATES]:
                self.drop(old)

    def _place(self, source: Path, path: Path, digest: str) -> None:
        """Bring a file to its place: the same bytes that are there already, under any name, are not kept twice."""
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

    def set_aside(self, entry: Entry) -> Path | None:
        """Move a file that somebody changed to where it is in nobody's way; gives its new place, if there is one."""
        path = self.path(entry)
        aside = self.root / "changed" / f"{token_hex(4)}-{entry.name}"
        try:
            self._make(aside.parent)
            move_file(path, aside, durable=False)
        except FileNotFoundError:
            return None
        except OSError:
            path.unlink(missing_ok=True)
            return None
        return aside

    def forget(self, uri: str) -> None:
        """Drop all records of an object; its bytes go with the next ``prune``."""
        for path in self._folder(uri).glob("*.json"):
            path.unlink(missing_ok=True)

    def drop(self, entry: Entry) -> None:
        """Drop one record."""
        self._record(entry.uri, entry.etag, entry.version).unlink(missing_ok=True)

    def workplace(self) -> Path:
        """Make the folder for what is under way, on the same file system.

        Raises:
            OSError: It cannot be made.
        """
        return self.folder("tmp")

    def folder(self, name: str) -> Path:
        """Make a folder of the cache.

        Raises:
            OSError: It cannot be made.
        """
        folder = self.root / name
        self._make(folder)
        return folder

    @contextlib.contextmanager
    def turn(self, uri: str, *, waiting: Callable[[], None]) -> Iterator[None]:
        """Have one process at a time read an object, where locks work: it spares double work and nothing else.

        Args:
            uri: The object.
            waiting: Called once when another process has had it for a while. It is not waited for without end.
        """
        path = self.workplace() / f"{_hash(uri)[:32]}.lock"
        with contextlib.ExitStack() as stack:
            with contextlib.suppress(OSError):
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, self._file_mode | 0o600)
                stack.callback(os.close, descriptor)
                with contextlib.suppress(PermissionError):  # another user's; the mode is right already
                    os.fchmod(descriptor, self._file_mode | 0o600)
                _wait_for(descriptor, waiting)
            yield

    @contextlib.contextmanager
    def journal(self, uri: str, metadata: Mapping[str, str] | None) -> Iterator[Journal | None]:
        """Give what was sent of an upload that was stopped; None where another process uploads to the same place."""
        try:
            folder = self.workplace()
            said = _hash(repr((uri, sorted((metadata or {}).items()))))
            descriptor = os.open(folder / f"{said[:32]}.sending", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError:
            yield None
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            journal = Journal(folder, url=uri, name="upload", version=said[:32])
        except OSError:
            journal = None
        try:
            yield journal
        finally:
            os.close(descriptor)

    # Records.

    def _folder(self, uri: str) -> Path:
        digest = _hash(uri)
        return self.root / "entries" / digest[:2] / digest

    def _record(self, uri: str, etag: str | None, version: str | None) -> Path:
        return self._folder(uri) / f"{_hash(repr((etag, version)))[:32]}.json"

    def _read(self, path: Path) -> Entry | None:
        try:
            with path.open("rb") as file:
                data = file.read(_MAX_RECORD_BYTES)
                state = os.fstat(file.fileno())
            fields = json.loads(data)
            if fields.pop("format") != FORMAT:
                return None
            return Entry(**{**fields, "checked": state.st_mtime})
        except (OSError, ValueError, TypeError, AttributeError, KeyError):
            # What was cut short, altered or written by a newer orbitpkg is read from the store again.
            return None

    def _write(self, entry: Entry, *, checked: float | None) -> None:
        path = self._record(entry.uri, entry.etag, entry.version)
        fields = {name: value for name, value in asdict(entry).items() if name != "checked"}
        self._make(path.parent)
        with atomic_file(path, durable=False, mode=self._file_mode | 0o600) as file:
            file.write(canonical_json({"format": FORMAT, **fields}))
            file.flush()
            if checked is not None:
                os.utime(file.fileno(), (checked, checked))

    def _make(self, folder: Path) -> None:
        if folder.is_dir():
            return
        if not folder.parent.is_dir() and folder != self.root:
            self._make(folder.parent)
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            if not folder.is_dir():
                raise
            return
        inherited = folder.parent.stat().st_mode & stat.S_ISGID
        folder.chmod(folder_mode(self._file_mode) | inherited)


def file_name(key: str) -> str:
    """Give the name under which an object's bytes are kept: the last part of its key, cut to what a disk takes."""
    name = key.rpartition("/")[2]
    if len(name.encode()) <= _MAX_NAME_BYTES and name not in ("", ".", ".."):
        return name
    suffixes = "".join(Path(name).suffixes[-2:])
    if len(suffixes.encode()) > _MAX_NAME_BYTES // 2:
        suffixes = ""
    return f"{_hash(name)[:32]}{suffixes}"


def _wait_for(descriptor: int, waiting: Callable[[], None]) -> None:
    begin, pause, told = time.monotonic(), 0.01, False
    # Whoever has it may have been stopped in a terminal: reading twice is better than waiting for that.
    while (waited := time.monotonic() - begin) < _PATIENCE_SECONDS:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if waited > _TOLD_AFTER_SECONDS and not told:
                told = True
                waiting()
            time.sleep(pause)
            pause = min(0.5, pause * 2)
        else:
            return


def _link(source: Path, target: Path) -> None:
    try:
        target.hardlink_to(source)
    except FileExistsError:
        raise
    except OSError:
        # A file system without hard links, or with no more of them for this file.
        target.symlink_to(source.name)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
