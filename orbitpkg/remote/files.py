"""Operations on objects and on local files by the same methods: open, write, list, copy, move, delete.

A URI names an object. A string without a scheme, and ``file:///…``, is a path on this machine.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import shutil
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, Protocol, TypeAlias, runtime_checkable

from orbitpkg.errors import AccessDenied, FileMissing, ObjectNotFound, StorageError, UnsupportedByStore, UsageError
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.files.folders import set_mode
from orbitpkg.files.names import disk_path, text_path
from orbitpkg.objects.addresses import join_uri, local_path_of, split_uri
from orbitpkg.objects.protocol import is_valid_key
from orbitpkg.objects.transfer.files import download_object
from orbitpkg.remote.drafts import LocalDraft, RemoteDraft, draft_writer
from orbitpkg.remote.local import LocalPath
from orbitpkg.remote.session import Reading, without_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.objects.protocol import ObjectInfo
    from orbitpkg.objects.s3_foreign import ForeignObjects
    from orbitpkg.remote.drafts import Draft
    from orbitpkg.remote.session import Location, Session

__all__ = ["HasForeignObjects", "RemoteFiles", "Stat"]

Paths: TypeAlias = "list[str]"

_NEWEST = Reading()
_RENAME: Final = "Rename the object with the tool that wrote it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """The status of an object or a local file.

    Attributes:
        uri: Its URI, or its path.
        size: In bytes.
        etag: The object's ETag; None for a local file.
        modified: When it was last written, if known.
        version: The object's version, if the store reports one.
    """

    uri: str
    size: int
    etag: str | None
    modified: datetime | None
    version: str | None = None


@runtime_checkable
class HasForeignObjects(Protocol):
    """A store that can handle the keys which ``is_valid_key`` refuses."""

    @property
    def foreign(self) -> ForeignObjects:
        """The objects by any key."""


class RemoteFiles:
    """The operations, over one session.

    Args:
        session: The open stores and the cache.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    # One file.

    def local_path(self, uri: PathOrUri, reading: Reading = _NEWEST) -> LocalPath:
        """Return the path of a local file with an object's bytes; see ``orbitpkg.remote.local_path``."""
        path = local_path_of(uri)
        if path is None:
            return self.session.local_path(uri, reading)
        _refuse_version(path, reading.version)
        with storage_errors(path, USER_FILE):
            if path.is_dir():
                raise StorageError(f"{path} is a directory, not a file.", path=str(path))
            if not path.exists():
                raise FileMissing(f"{path} does not exist.", path=str(path))
        return LocalPath(path)

    def open(
        self,
        uri: PathOrUri,
        mode: str = "r",
        *,
        encoding: str | None = None,
        errors: str | None = None,
        newline: str | None = None,
        reading: Reading = _NEWEST,
    ) -> IO[str] | IO[bytes]:
        """Open an object; see ``orbitpkg.remote.open``."""
        letters = _parse_mode(mode)
        text = {"encoding": encoding, "errors": errors, "newline": newline}
        if "b" in letters and any(value is not None for value in text.values()):
            raise UsageError(f"The mode {mode!r} is binary, so encoding, errors and newline cannot be set.")
        is_read = "r" in letters and "+" not in letters
        path = self.local_path(uri, reading) if is_read else local_path_of(uri)
        if path is not None:
            with storage_errors(path, USER_FILE):
                file: IO[str] | IO[bytes] = builtins.open(path, mode, **text)  # type: ignore[call-overload] # noqa: PTH123, SIM115
                return file
        if "+" in letters or "a" in letters:
            raise UsageError(
                f"The mode {mode!r} changes a file in place, which object stores do not support.",
                hint='Replace the object ("w"), or change a local copy and upload it.',
            )
        draft = RemoteDraft(self.session, self.session.locate(uri), create_only="x" in letters)
        return draft_writer(draft, text="b" not in letters, **text)

    @contextlib.contextmanager
    def write(
        self,
        uri: PathOrUri,
        *,
        keep: bool = True,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
    ) -> Iterator[Path]:
        """Return the path of a new file to be uploaded; see ``orbitpkg.remote.write``."""
        draft = self.draft(uri, keep=keep, metadata=metadata, create_only=create_only)
        try:
            yield draft.path
        except BaseException:
            draft.discard()
            raise
        draft.commit()

    def draft(
        self,
        uri: PathOrUri,
        *,
        keep: bool = True,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
    ) -> Draft:
        """Start what ``write`` does; the caller commits or discards the draft."""
        path = local_path_of(uri)
        if path is not None:
            return LocalDraft(path, create_only=create_only)
        location = self.session.locate(uri)
        return RemoteDraft(self.session, location, keep=keep, metadata=metadata, create_only=create_only)

    def exists(self, uri: PathOrUri) -> bool:
        """Return whether an object exists; see ``orbitpkg.remote.exists``."""
        try:
            self.stat(uri)
        except FileMissing:
            return False
        return True

    def stat(self, uri: PathOrUri, *, version: str | None = None) -> Stat:
        """Return the status of an object; see ``orbitpkg.remote.stat``."""
        path = local_path_of(uri)
        if path is not None:
            _refuse_version(path, version)
            return _local_stat(path)
        location = self.session.locate(uri)
        return self.session.request_or_cached(
            location,
            lambda store: _stat(location.uri, store.head(location.key, version=version)),
            lambda entry: Stat(
                uri=location.uri,
                size=entry.size,
                etag=entry.etag,
                modified=entry.modified_at,
                version=entry.version,
            ),
            version=version,
        )

    def metadata(self, uri: PathOrUri) -> dict[str, str]:
        """Return the user metadata of an object; that of a local file is empty.

        Raises:
            FileMissing: The object does not exist.
        """
        if local_path_of(uri) is not None:
            return {}
        location = self.session.locate(uri)
        return self.session.request(location, lambda store: store.metadata(location.key))

    # Many.

    def scan(self, prefix: PathOrUri) -> Iterator[Stat]:
        """Yield the status of all objects whose URI begins with a prefix, or of the files below a local directory."""
        path = local_path_of(prefix)
        if path is not None:
            yield from _scan_folder(path)
            return
        url, key = split_uri(prefix)
        shown = without_user(url)
        # Objects with keys that orbitpkg would not write are reported too: copying a directory copies all of it.
        for info in self.session.store(url).list_everything(key):
            yield _stat(join_uri(shown, info.key), info)

    def list(self, prefix: PathOrUri) -> Paths:
        """List objects; see ``orbitpkg.remote.list``."""
        return [found.uri for found in self.scan(prefix)]

    # Changes.

    def copy(self, source: PathOrUri, target: PathOrUri, *, exactly: bool = False) -> None:
        """Copy an object or a file; see ``orbitpkg.remote.copy``.

        With ``exactly``, the target is never a directory, and the source is one that a listing reported, so its key may
        have any form.
        """
        target = target if exactly else _resolve_target(source, target)
        from_path, to_path = local_path_of(source), local_path_of(target)
        if exactly and from_path is None and not is_valid_key(split_uri(source)[1]):
            self._copy_foreign(self.session.locate_listed(source), target)
            return
        if from_path is not None and to_path is not None:
            _copy_file(from_path, to_path)
        elif to_path is not None:
            self._download(self.session.locate(source), to_path)
        elif from_path is not None:
            self.session.send(self.session.locate(target), from_path)
        else:
            self._copy(self.session.locate(source), self.session.locate(target))
            self.session.forget(self.session.locate(target))

    def _download(self, source: Location, target: Path) -> None:
        session = self.session
        info = session.request(source, lambda store: store.head(source.key))
        with session.reporter.task(source.uri, info.size) as task:
            session.request(
                source,
                lambda store: download_object(store, source.key, target, info=info, progress=task.advance),
            )

    def _copy_foreign(self, source: Location, target: PathOrUri) -> None:
        """Copy an object whose key no other kind of store can hold."""
        objects = self._foreign(source)
        path = local_path_of(target)
        if path is None:
            url, key = split_uri(target)
            if url != source.store:
                raise UsageError(f"{source.uri[:200]!r} has a key that no other store can hold.", hint=_RENAME)
            self.session.request(source, lambda _: objects.copy(source.key, key))
            self.session.forget(self.session.locate_listed(target))
            return
        size = next((found.size for found in self.scan(source.uri) if found.uri == source.uri), 0)
        if source.key.endswith("/") and not size:
            # Other tools mark directories with empty objects of this form.
            with storage_errors(path, USER_FILE):
                path.mkdir(parents=True, exist_ok=True)
            return
        draft = LocalDraft(path)
        try:
            with draft.path.open("xb") as file, self.session.reporter.task(source.uri, size) as task:
                descriptor = file.fileno()
                self.session.request(
                    source, lambda _: objects.download(source.key, descriptor, size=size, progress=task.advance)
                )
            draft.commit()
        except BaseException:
            draft.discard()
            raise

    def _foreign(self, location: Location) -> ForeignObjects:
        store = self.session.store(location.store)
        if not isinstance(store, HasForeignObjects):
            raise UsageError(f"The key of {location.uri[:200]!r} is not valid.", hint=_RENAME)
        return store.foreign

    def _copy(self, source: Location, target: Location) -> None:
        if source.store == target.store:
            self.session.request(source, lambda store: store.copy(source.key, target.key))
            return
        if self._copied_by_store(source, target):
            return
        metadata = self.session.request(source, lambda store: store.metadata(source.key))
        with self.session.local_path(join_uri(source.store, source.key), _NEWEST) as path:
            self.session.send(target, path, metadata=metadata)

    def _copied_by_store(self, source: Location, target: Location) -> bool:
        """Have the service copy between two of its stores, if it can."""
        if self.session.offline:
            return False
        first, second = self.session.store(source.store), self.session.store(target.store)
        if not (first.capabilities.remote_copies and second.capabilities.remote_copies):
            return False
        try:
            self.session.request(source, lambda _: second.copy_from(first, source.key, target.key))
        except (UnsupportedByStore, AccessDenied):  # credentials may allow reading and writing, but not this
            return False
        return True

    def move(self, source: PathOrUri, target: PathOrUri, *, exactly: bool = False) -> None:
        """Move an object or a file; see ``copy``."""
        target = target if exactly else _resolve_target(source, target)
        if _is_same(source, target):
            return
        self.copy(source, target, exactly=True)
        self.delete(source, listed=exactly)

    def delete(self, uri: PathOrUri, *, listed: bool = False) -> None:
        """Delete an object or a file; see ``orbitpkg.remote.delete``.

        Args:
            uri: The object or the file.
            listed: Whether a listing reported the object, in which case its key may have any form.
        """
        path = local_path_of(uri)
        if path is not None:
            with storage_errors(path, USER_FILE):
                path.unlink(missing_ok=True)
            return
        location = self.session.locate_listed(uri) if listed else self.session.locate(uri)
        with contextlib.suppress(ObjectNotFound):
            if is_valid_key(location.key):
                self.session.request(location, lambda store: store.delete(location.key))
            else:
                self.session.request(location, lambda _: self._foreign(location).delete(location.key))
        self.session.forget(location)


def _parse_mode(mode: str) -> set[str]:
    """Parse a mode as ``builtins.open`` does.

    Raises:
        UsageError: The mode is invalid.
    """
    letters = set(mode)
    if (
        len(letters) != len(mode)
        or letters - set("rwxabt+")
        or len(letters & set("rwxa")) != 1
        or {"b", "t"} <= letters
    ):
        raise UsageError(f"Invalid mode {mode!r}.", hint="Use r, w or x, with b for bytes: rb, wb, xb.")
    return letters


def _refuse_version(path: Path, version: str | None) -> None:
    if version is not None:
        raise UsageError(f"{path} is a local file, which has no versions.")


def _stat(uri: str, info: ObjectInfo) -> Stat:
    return Stat(uri=uri, size=info.size, etag=info.etag, modified=info.modified, version=info.version)


def _local_stat(path: Path) -> Stat:
    with storage_errors(path, USER_FILE):
        try:
            found = path.stat()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise FileMissing(f"{path} does not exist.", path=str(path)) from error
    return Stat(uri=str(path), size=found.st_size, etag=None, modified=datetime.fromtimestamp(found.st_mtime, UTC))


def _scan_folder(path: Path) -> Iterator[Stat]:
    """Yield the status of a file, or of the files below a directory in the order of their paths. It need not exist."""
    with storage_errors(path, USER_FILE):
        if path.is_file():
            yield _local_stat(path)
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                with contextlib.suppress(FileMissing):
                    yield _local_stat(Path(folder, name))


def _resolve_target(source: PathOrUri, target: PathOrUri) -> PathOrUri:
    """Return the target of a copy: if it is a directory, the path of the source's own name in it."""
    local = local_path_of(source)
    name = split_uri(source)[1].rstrip("/").rpartition("/")[2] if local is None else text_path(local.name)
    path = local_path_of(target)
    if path is not None:
        return path / disk_path(name) if os.fspath(target).endswith("/") or path.is_dir() else path
    text = os.fspath(target)
    url, key = split_uri(text)
    if (not key or key.endswith("/")) and is_valid_key(f"{key}{name}"):
        return join_uri(url, f"{key}{name}")
    return target


def _is_same(source: PathOrUri, target: PathOrUri) -> bool:
    paths = local_path_of(source), local_path_of(target)
    if paths == (None, None):
        return split_uri(source) == split_uri(target)
    return None not in paths and os.path.realpath(str(paths[0])) == os.path.realpath(str(paths[1]))


def _copy_file(source: Path, target: Path) -> None:
    with storage_errors(source, USER_FILE):
        if not source.exists():
            raise FileMissing(f"{source} does not exist.", path=str(source))
        if target.exists() and source.samefile(target):
            return
    draft = LocalDraft(target)
    try:
        with storage_errors(source, USER_FILE):
            shutil.copyfile(source, draft.path)
            set_mode(draft.path, stat.S_IMODE(source.stat().st_mode))
        draft.commit()
    except BaseException:
        draft.discard()
        raise
