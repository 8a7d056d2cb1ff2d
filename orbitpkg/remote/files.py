"""What can be done with objects, and with local files by the same calls: open, write, list, copy, move, delete.

A URI names an object wherever its store is; anything without a scheme, and ``file:///…``, is a path on this machine.
"""

from __future__ import annotations

import builtins
import contextlib
import os
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeAlias

from orbitpkg.errors import AccessDenied, FileMissing, ObjectNotFound, StorageError, UnsupportedByStore, UsageError
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.objects.addresses import join_uri, local_path_of, split_uri
from orbitpkg.objects.protocol import is_valid_key
from orbitpkg.objects.transfer.files import download_object
from orbitpkg.remote.drafts import LocalDraft, RemoteDraft, draft_writer
from orbitpkg.remote.local import LocalPath
from orbitpkg.remote.session import without_user

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import timedelta

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore
    from orbitpkg.remote.drafts import Draft
    from orbitpkg.remote.session import Place, Session

__all__ = ["RemoteFiles", "Stat"]

Paths: TypeAlias = "list[str]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stat:
    """What is known of an object, or of a local file.

    Attributes:
        uri: Its address, or its path.
        size: In bytes.
        etag: The store's word for its state; None for a local file.
        modified: When it was written.
        version: The store's name for this version, where it keeps several and says so.
    """

    uri: str
    size: int
    etag: str | None
    modified: datetime | None
    version: str | None = None


class RemoteFiles:
    """Objects as files.

    Args:
        session: The stores and the cache.
    """

    def __init__(self, session: Session) -> None:
        self.session = session

    # One file.

    def local_path(
        self,
        uri: PathOrUri,
        *,
        max_age: timedelta | float | None = None,
        fresh: bool = True,
        version: str | None = None,
        verify: bool = False,
        force: bool = False,
    ) -> LocalPath:
        """Give a local file with an object's bytes; see ``orbitpkg.remote.local_path``."""
        path = local_path_of(uri)
        if path is None:
            return self.session.local_path(
                uri, max_age=max_age, fresh=fresh, version=version, verify=verify, force=force
            )
        _refuse_version(path, version)
        with storage_errors(path, USER_FILE):
            if path.is_dir():
                raise StorageError(f"{path} is a folder, not a file.", path=str(path))
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
        **reading: Any,
    ) -> IO[Any]:
        """Open an object; see ``orbitpkg.remote.open``."""
        kind = _parse_mode(mode)
        said = {"encoding": encoding, "errors": errors, "newline": newline}
        if "b" in kind and any(value is not None for value in said.values()):
            raise UsageError(f"The mode {mode!r} is binary: it takes no encoding, errors or newline.")
        path = local_path_of(uri)
        if kind & {"r"} and "+" not in kind:
            found = self.local_path(uri, **reading)
            with storage_errors(found, USER_FILE):
                return builtins.open(found, mode, **said)  # type: ignore[call-overload, no-any-return] # noqa: PTH123
        if path is not None:
            with storage_errors(path, USER_FILE):
                return builtins.open(path, mode, **said)  # type: ignore[call-overload, no-any-return] # noqa: PTH123
        if "+" in kind or "a" in kind:
            raise UsageError(
                f"The mode {mode!r} changes an object in place, which no store can do.",
                hint='Write it anew ("w"), or change a local copy and upload that.',
            )
        draft = RemoteDraft(self.session, self.session.place(uri), create_only="x" in kind)
        return draft_writer(draft, text="b" not in kind, **said)

    @contextlib.contextmanager
    def write(
        self,
        uri: PathOrUri,
        *,
        keep: bool = True,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
    ) -> Iterator[Path]:
        """Give a temporary file to write, to be an object after; see ``orbitpkg.remote.write``."""
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
        """Begin what ``write`` does; the caller commits or discards it."""
        path = local_path_of(uri)
        if path is not None:
            return LocalDraft(path, create_only=create_only)
        place = self.session.place(uri)
        return RemoteDraft(self.session, place, keep=keep, metadata=metadata, create_only=create_only)

    def exists(self, uri: PathOrUri) -> bool:
        """Say whether there is such an object; see ``orbitpkg.remote.exists``."""
        try:
            self.stat(uri)
        except FileMissing:
            return False
        return True

    def stat(self, uri: PathOrUri, *, version: str | None = None) -> Stat:
        """Tell about an object; see ``orbitpkg.remote.stat``."""
        path = local_path_of(uri)
        if path is not None:
            _refuse_version(path, version)
            return _local_stat(path)
        place = self.session.place(uri)
        return self.session.known_or_asked(
            place,
            lambda store: _stat(place.uri, store.head(place.key, version=version)),
            lambda entry: Stat(
                uri=place.uri,
                size=entry.size,
                etag=entry.etag,
                modified=entry.modified_at,
                version=entry.version,
            ),
            version=version,
        )

    def metadata(self, uri: PathOrUri) -> dict[str, str]:
        """Give what an object's writer said of it beside its bytes; nothing for a local file.

        Raises:
            FileMissing: There is no such object.
        """
        if local_path_of(uri) is not None:
            return {}
        place = self.session.place(uri)
        return self.session.ask(place, lambda store: store.metadata(place.key))

    # Many.

    def scan(self, prefix: PathOrUri) -> Iterator[Stat]:
        """Tell about all objects whose URI begins with a text, or about the files below a local folder."""
        path = local_path_of(prefix)
        if path is not None:
            yield from _scan_folder(path)
            return
        url, key = split_uri(prefix)
        shown = without_user(url)
        for info in _listed(self.session.store(url), key):
            yield _stat(join_uri(shown, info.key), info)

    def list(self, prefix: PathOrUri) -> Paths:
        """List objects; see ``orbitpkg.remote.list``."""
        return [found.uri for found in self.scan(prefix)]

    # Changes.

    def copy(self, source: PathOrUri, target: PathOrUri, *, exactly: bool = False) -> None:
        """Copy an object or a file, to a folder under its own name unless ``exactly``; see ``orbitpkg.remote.copy``."""
        target = target if exactly else _completed(source, target)
        from_path, to_path = local_path_of(source), local_path_of(target)
        if from_path is not None and to_path is not None:
            _copy_file(from_path, to_path)
        elif to_path is not None:
            self._download(self.session.place(source), to_path)
        elif from_path is not None:
            self.session.send(self.session.place(target), from_path)
        else:
            self._copy(self.session.place(source), self.session.place(target))
            self.session.forget(self.session.place(target))

    def _download(self, source: Place, target: Path) -> None:
        session = self.session
        info = session.ask(source, lambda store: store.head(source.key))
        with session.reporter.task(source.uri, info.size) as task:
            session.ask(
                source,
                lambda store: download_object(store, source.key, target, info=info, progress=task.advance),
            )

    def _copy(self, source: Place, target: Place) -> None:
        if source.store == target.store:
            self.session.ask(source, lambda store: store.copy(source.key, target.key))
            return
        if self._copied_by_store(source, target):
            return
        metadata = self.session.ask(source, lambda store: store.metadata(source.key))
        with self.session.local_path(join_uri(source.store, source.key)) as path:
            self.session.send(target, path, metadata=metadata)

    def _copied_by_store(self, source: Place, target: Place) -> bool:
        """Have S3 copy from bucket to bucket, if both are S3's and it can."""
        if not (source.store.startswith("s3://") and target.store.startswith("s3://")) or self.session.offline:
            return False
        from orbitpkg.objects.s3 import S3Store

        first, second = self.session.store(source.store), self.session.store(target.store)
        assert isinstance(first, S3Store)
        assert isinstance(second, S3Store)
        try:
            self.session.ask(source, lambda _: second.copy_from(first, source.key, target.key))
        except (UnsupportedByStore, AccessDenied):  # one may be let read here and write there, and not copy
            return False
        return True

    def move(self, source: PathOrUri, target: PathOrUri, *, exactly: bool = False) -> None:
        """Move an object or a file; see ``copy``."""
        target = target if exactly else _completed(source, target)
        if _same(source, target):
            return
        self.copy(source, target, exactly=True)
        self.delete(source)

    def delete(self, uri: PathOrUri) -> None:
        """Delete an object or a file; see ``orbitpkg.remote.delete``."""
        path = local_path_of(uri)
        if path is not None:
            with storage_errors(path, USER_FILE):
                path.unlink(missing_ok=True)
            return
        place = self.session.place(uri)
        with contextlib.suppress(ObjectNotFound):
            self.session.ask(place, lambda store: store.delete(place.key))
        self.session.forget(place)


def _listed(store: ObjectStore, prefix: str) -> Iterator[ObjectInfo]:
    if prefix and not prefix.endswith("/") and store.url.startswith("s3://"):
        from orbitpkg.objects.s3 import S3Store

        if isinstance(store, S3Store):
            # The store itself looks for the beginning of a name; obstore would list all of the folder.
            return (info for info in store.list_everything(prefix) if is_valid_key(info.key))
    return store.list(prefix)


def _parse_mode(mode: str) -> set[str]:
    """Read a mode as ``builtins.open`` does.

    Raises:
        UsageError: It is none.
    """
    letters = set(mode)
    if (
        len(letters) != len(mode)
        or letters - set("rwxabt+")
        or len(letters & set("rwxa")) != 1
        or {"b", "t"} <= letters
    ):
        raise UsageError(f"{mode!r} is no mode of a file.", hint="Write r, w or x, with b for bytes: rb, wb, xb.")
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
    """Tell about a file, or about those below a folder, in the order of their paths; nothing there is nothing."""
    with storage_errors(path, USER_FILE):
        if path.is_file():
            yield _local_stat(path)
        for folder, folders, names in os.walk(path):
            folders.sort()
            for name in sorted(names):
                with contextlib.suppress(FileMissing):
                    yield _local_stat(Path(folder, name))


def _completed(source: PathOrUri, target: PathOrUri) -> PathOrUri:
    """Give where a copy goes: below a target that is a folder, under the source's own name."""
    name = os.fspath(source).rstrip("/").rpartition("/")[2]
    path = local_path_of(target)
    if path is not None:
        return path / name if os.fspath(target).endswith("/") or path.is_dir() else path
    text = os.fspath(target)
    url, key = split_uri(text)
    if (not key or key.endswith("/")) and is_valid_key(f"{key}{name}"):
        return join_uri(url, f"{key}{name}")
    return target


def _same(source: PathOrUri, target: PathOrUri) -> bool:
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
            shutil.copymode(source, draft.path)
        draft.commit()
    except BaseException:
        draft.discard()
        raise
