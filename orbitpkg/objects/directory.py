"""A directory as an object store: ``KEY`` is the file ``ROOT/KEY``.

Promises: a write becomes visible as a whole or not at all, even after a crash (a temporary file, fsync, link or rename,
fsync of the folder); exactly one of several create-only writes wins, on network file systems too (``link`` is atomic
there). Locks (flock) are taken only where an object must stay unchanged until the rename; on file systems without
locks, ``replace`` raises ``UnsupportedByStore``.

Temporary files are in ``ROOT/.tmp``, which is not listed. Files that a killed process leaves there are never read.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import threading
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from operator import itemgetter
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import (
    AccessDenied,
    IntegrityError,
    NoSpace,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    RepositoryError,
    StorageError,
    UnsupportedByStore,
)
from orbitpkg.files.atomic import NO_LINKS, create_file, move_file
from orbitpkg.files.folders import file_mode, inherited_mode, make_folders, set_mode
from orbitpkg.files.names import disk_path, text_path
from orbitpkg.files.sync import sync_folder
from orbitpkg.objects.protocol import (
    STREAM_BYTES,
    ObjectInfo,
    UploadInfo,
    check_key,
    check_metadata,
    check_prefix,
    check_range,
    is_valid_key,
    joined_length,
)
from orbitpkg.objects.read_only import SimpleStore, check_size

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

__all__ = ["TEMPORARY", "DirectoryStore"]

TEMPORARY: Final = ".tmp"
LOCK_NAME: Final = "lock"
"""The folder, right under the root, of what is not finished yet."""

_COPY_BYTES: Final = 8 << 20
_ABSENT: Final = (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
_NO_KERNEL_COPY: Final = (errno.EXDEV, errno.EOPNOTSUPP, errno.ENOSYS, errno.EINVAL, errno.EBADF, errno.EPERM)
_NO_LOCKS: Final = (errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS)


class DirectoryStore(SimpleStore):
    """An ``ObjectStore`` over a directory.

    Args:
        root: The directory. It is created by the first write; until then the store is empty.
    """

    def __init__(self, root: Path) -> None:
        self.root: Final = Path(os.path.abspath(root))  # noqa: PTH100 - resolve() would follow links
        self.url = self.root.as_uri()

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""
        self._check_current(version)
        found = self._get(key, None, max_bytes)
        assert found is not None
        return found

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``."""
        return self._get(key, etag, max_bytes)

    def _get(self, key: str, etag: str | None, max_bytes: int | None) -> tuple[bytes, ObjectInfo] | None:
        path = self._path(key)
        with _translate_errors(path), _opened(path) as fd:
            info = _info(key, os.fstat(fd))
            if info.etag == etag:
                return None
            check_size(self.url, info, max_bytes)
            return _read(fd, path, 0, info.size), info

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read a range; see ``ObjectStore.get_range``."""
        check_range(start, length)
        self._check_current(version)
        path = self._path(key)
        with _translate_errors(path), _opened(path) as fd:
            if etag is not None and _info(key, os.fstat(fd)).etag != etag:
                raise ObjectChanged(f"{path} changed while it was being read.", key=key)
            return _read(fd, path, start, length)

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read in pieces; see ``ObjectStore.stream``."""
        path = self._path(key)
        with _translate_errors(path), _opened(path) as fd:
            end = os.fstat(fd).st_size if length is None else start + length
            for position in range(start, end, STREAM_BYTES):
                yield memoryview(_read(fd, path, position, min(STREAM_BYTES, end - position)))

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the facts about an object; see ``ObjectStore.head``."""
        path = self._path(key)
        with _translate_errors(path):
            self._check_current(version)
            return _info(key, _regular(path, path.stat()))

    def list_folders(self, prefix: str) -> list[str]:
        """List the folders directly below a prefix; see ``ObjectStore.list_folders``."""
        folder = check_prefix(prefix).rpartition("/")[0]
        with _translate_errors(self.root / disk_path(folder)):
            names = [name for name, found in self._look(folder) if stat.S_ISDIR(found.st_mode)]
        # Folders without files are skipped: an object store has no empty folders.
        return sorted(name[:-1] for name in names if any(True for _ in self.list(f"{prefix}{name}")))

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects; see ``ObjectStore.list``."""
        folder = check_prefix(prefix).rpartition("/")[0]
        with _translate_errors(self.root / disk_path(folder)):
            yield from (info for info in self._walk(folder, prefix, frozenset()) if is_valid_key(info.key))

    def list_everything(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects with any key; see ``ObjectStore.list_everything``."""
        folder = check_prefix(prefix).rpartition("/")[0]
        with _translate_errors(self.root / disk_path(folder)):
            yield from self._walk(folder, prefix, frozenset())

    def _walk(self, folder: str, prefix: str, above: frozenset[tuple[int, int]]) -> Iterator[ObjectInfo]:
        """List the objects in ``folder`` (a key, or empty) and below, in the order of their keys."""
        for name, found in self._look(folder):
            key = f"{folder}/{name}" if folder else name
            if stat.S_ISREG(found.st_mode):
                if key.startswith(prefix):
                    yield _info(key, found)
            # `above` stops at a symbolic link that leads back up.
            elif key.startswith(prefix) and (found.st_dev, found.st_ino) not in above:
                yield from self._walk(key[:-1], prefix, above | {(found.st_dev, found.st_ino)})

    def _look(self, folder: str) -> Iterable[tuple[str, os.stat_result]]:
        """Return the files and the folders in ``folder``, in the order of the keys that they form.

        The key "a.b" sorts before "a/b" ('.' < '/'), so a folder is sorted, and named, with its slash.
        """
        # Temporary files are not objects, and may be half written.
        if folder.partition("/")[0] == TEMPORARY:
            return []
        found = []
        for entry, state in _entries(self.root / disk_path(folder)):
            if stat.S_ISREG(state.st_mode):
                found.append((entry, state))
            elif stat.S_ISDIR(state.st_mode) and (folder or entry != TEMPORARY):
                found.append((f"{entry}/", state))
        return sorted(found, key=itemgetter(0))

    def put(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object; see ``ObjectStore.put``."""
        check_metadata(metadata)
        path = self._path(key)
        with _translate_errors(path, needed=len(data)), self._written(data) as temporary, self._lock():
            return self._rename(temporary, key)

    def copy(self, source: str, key: str) -> ObjectInfo:
        """Copy a file; see ``ObjectStore.copy``."""
        upload = self.start_upload(key)
        try:
            upload.copy_whole(source)
            return upload.complete()
        finally:
            upload.abort()

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object only if it does not exist; see ``ObjectStore.create``."""
        check_metadata(metadata)
        path = self._path(key)
        with _translate_errors(path, needed=len(data)), self._written(data) as temporary:
            return self._appear(temporary, key)

    def _appear(self, temporary: Path, key: str) -> ObjectInfo:
        """Make a complete file visible under its key, unless the key is used."""
        path = self._path(key)
        _make_folder(path.parent)
        info = _info(key, temporary.stat())
        try:
            self._link(temporary, path)
        except FileExistsError as error:
            raise ObjectExists(f"{path} already exists.", key=key) from error
        return info

    def _link(self, temporary: Path, path: Path) -> None:
        try:
            create_file(temporary, path)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            self._create_locked(temporary, path)

    def _create_locked(self, temporary: Path, path: Path) -> None:
        """Do the work of ``_link`` under a lock, on a file system without hard links (FAT, some FUSE)."""
        with self._lock() as locked:
            if not locked:
                raise UnsupportedByStore(
                    f"{self.root} is on a file system with neither hard links nor locks: "
                    "two writers could overwrite each other."
                )
            # Without hard links, only the lock keeps another writer from creating the file between the check and the
            # rename.
            if path.exists():
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
            move_file(temporary, path)

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:
        """Overwrite an unchanged object; see ``ObjectStore.replace``."""
        path = self._path(key)
        with _translate_errors(path, needed=len(data)), self._written(data) as temporary, self._lock() as locked:
            if not locked:
                raise UnsupportedByStore(f"{self.root} is on a file system without locks, so writes are unconditional.")
            try:
                same = _info(key, path.stat()).etag == etag
            except FileNotFoundError:
                same = False
            if not same:
                raise ObjectChanged(f"{path} has changed.", key=key)
            return self._rename(temporary, key)

    def delete(self, key: str) -> None:
        """Delete an object; see ``ObjectStore.delete``."""
        path = self._path(key)
        with _translate_errors(path):
            if not path.is_file():
                return
            # Without the lock, replace() could find the object unchanged, and then bring it back.
            with self._lock(), suppress(FileNotFoundError):
                path.unlink()
                sync_folder(path.parent)

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> _DirectoryUpload:
        """Begin to write in parts; see ``ObjectStore.start_upload``."""
        check_metadata(metadata)
        path = self._path(key)
        with _translate_errors(path):
            return _DirectoryUpload(self, key, self._temporary())

    def resume_upload(self, key: str, upload: str) -> None:
        """Return None: rewriting a file is cheaper than recording which of its bytes reached the disk."""
        del key, upload

    def list_uploads(self) -> Iterator[UploadInfo]:
        """List temporary files, including those of running writes; see ``ObjectStore.list_uploads``."""
        folder = self.root / TEMPORARY
        with _translate_errors(folder):
            for name, found in _entries(folder):
                if name == LOCK_NAME:
                    continue
                started = datetime.fromtimestamp(found.st_mtime, UTC)
                yield UploadInfo(key="", id=name, started=started)

    def abort_upload(self, info: UploadInfo) -> None:
        """Delete a temporary file; see ``ObjectStore.abort_upload``."""
        # The identifier comes from a listing, and must not lead out of the folder.
        path = self.root / TEMPORARY / check_key(info.id)
        with _translate_errors(path):
            path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        if check_key(key).partition("/")[0] == TEMPORARY:
            raise RepositoryError(f"The object key {key!r} is not valid: {TEMPORARY} holds temporary files.", key=key)
        return self.root / disk_path(key)

    def _temporary(self) -> Path:
        folder = self.root / TEMPORARY
        _make_folder(folder)
        # A rename cannot cross file systems, so temporary files are below the root.
        return folder / token_hex(16)

    @contextmanager
    def _written(self, data: bytes | memoryview) -> Iterator[Path]:
        """Yield a temporary file that contains ``data`` and is on the disk; delete it at the end."""
        temporary = self._temporary()
        try:
            with _created(temporary) as fd:
                _write(fd, 0, data)
                _seal(fd)
            yield temporary
        finally:
            temporary.unlink(missing_ok=True)

    def _rename(self, temporary: Path, key: str) -> ObjectInfo:
        path = self._path(key)
        _make_folder(path.parent)
        # Once the file is visible, another writer can replace it, and this would describe the other file.
        info = _info(key, temporary.stat())
        move_file(temporary, path)
        return info

    @contextmanager
    def _lock(self) -> Iterator[bool]:
        """Prevent other writers of this directory from renaming; yield False on a file system without locks."""
        _make_folder(self.root / TEMPORARY)
        fd = _open_lock(self.root / TEMPORARY / LOCK_NAME)
        try:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                yield False
            else:
                yield True
        finally:
            os.close(fd)


class _DirectoryUpload:
    """An ``Upload`` into one temporary file, each part at its own offset."""

    def __init__(self, store: DirectoryStore, key: str, temporary: Path) -> None:
        self._store = store
        self._key = key
        self._temporary = temporary
        self._parts: dict[int, tuple[int, int]] = {}
        self._lock = threading.Lock()
        with _created(temporary):
            pass

    id = ""

    def reuse_part(self, number: int, offset: int, length: int) -> bool:  # noqa: ARG002
        return False

    def put_part(self, number: int, offset: int, data: bytes | memoryview) -> None:
        with self._writing(len(data)) as fd:
            _write(fd, offset, data)
            self._parts[number] = offset, len(data)

    def copy_part(self, number: int, offset: int, source: str, start: int, length: int) -> None:
        path = self._store._path(source)  # noqa: SLF001 - two halves of one store
        with _translate_errors(path), _opened(path) as source_fd, self._writing(length) as fd:
            check_range(start, length)
            if os.fstat(source_fd).st_size < start + length:
                raise IntegrityError(f"{path} ends before byte {start + length}.")
            _copy(source_fd, start, fd, offset, length)
            self._parts[number] = offset, length

    @contextmanager
    def _writing(self, length: int) -> Iterator[int]:
        # Opening the file for each part takes microseconds, and an abandoned upload holds no descriptor.
        with _translate_errors(self._store.root / self._key, needed=length):
            try:
                fd = os.open(self._temporary, os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError as error:
                raise RepositoryError(f"The upload of {self._store.root / self._key} has ended.") from error
            try:
                yield fd
            finally:
                os.close(fd)

    def copy_whole(self, source: str) -> None:
        """Copy a whole file, which may be empty, of the same store."""
        path = self._store._path(source)  # noqa: SLF001
        with _translate_errors(path), _opened(path) as source_fd, self._writing(0) as fd:
            length = os.fstat(source_fd).st_size
            _copy(source_fd, 0, fd, 0, length)
            self._parts[1] = 0, length

    def complete(self, *, create_only: bool = False) -> ObjectInfo:
        with self._writing(0) as fd:
            # A part may have been sent twice, the second time with fewer bytes.
            os.ftruncate(fd, joined_length(self._parts))
            _seal(fd)
            if create_only:
                info = self._store._appear(self._temporary, self._key)  # noqa: SLF001
                self._temporary.unlink(missing_ok=True)
                return info
            with self._store._lock():  # noqa: SLF001
                return self._store._rename(self._temporary, self._key)  # noqa: SLF001

    def abort(self) -> None:
        with _translate_errors(self._temporary):
            self._temporary.unlink(missing_ok=True)


def _entries(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                # The entry may be gone by now, or be a link that leads nowhere or in a circle.
                with suppress(FileNotFoundError), _ignored(errno.ELOOP):
                    yield text_path(entry.name), entry.stat()
    except OSError as error:
        if error.errno not in _ABSENT:
            raise


@contextmanager
def _ignored(number: int) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != number:
            raise


def _info(key: str, found: os.stat_result) -> ObjectInfo:
    """Describe a file. Every write creates an inode with a time in nanoseconds; together they identify the content."""
    etag = f'"{found.st_ino:x}-{found.st_size:x}-{found.st_mtime_ns:x}"'
    modified = datetime.fromtimestamp(found.st_mtime, tz=UTC)
    return ObjectInfo(key=key, size=found.st_size, etag=etag, modified=modified)


def _regular(path: Path, found: os.stat_result) -> os.stat_result:
    if stat.S_ISDIR(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise RepositoryError(f"{path} is not a regular file.")
    return found


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    # O_NONBLOCK: a FIFO among the objects must not block the reader.
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _regular(path, os.fstat(fd))
        yield fd
    finally:
        os.close(fd)


@contextmanager
def _created(path: Path) -> Iterator[int]:
    # Not tempfile's 0600: the umask, or the mode of a shared folder, decides who may read a repository.
    mode = _shared_file_mode(path.parent)
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        if mode is not None:
            set_mode(fd, mode)
        yield fd
    finally:
        os.close(fd)


def _seal(fd: int) -> None:
    """Set the file's time in nanoseconds (the kernel's own can be as coarse as 4 ms) and sync the file to the disk."""
    now = time.time_ns()
    os.utime(fd, ns=(now, now))
    os.fsync(fd)


def _write(fd: int, offset: int, data: bytes | memoryview) -> None:
    rest = memoryview(data).cast("B")
    while rest:
        written = os.pwrite(fd, rest, offset)
        offset += written
        rest = rest[written:]


def _read(fd: int, path: Path, start: int, length: int) -> bytes:
    pieces = []
    missing = length
    while missing:
        piece = os.pread(fd, missing, start + length - missing)
        if not piece:
            raise IntegrityError(f"{path} ends before byte {start + length}.")
        pieces.append(piece)
        missing -= len(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def _copy(source: int, start: int, target: int, offset: int, length: int) -> None:
    """Copy in the kernel, which on XFS, btrfs and NFS 4.2 moves no bytes; otherwise through memory."""
    done = 0
    while done < length:
        try:
            count = os.copy_file_range(source, target, length - done, start + done, offset + done)
        except OSError as error:
            if error.errno not in _NO_KERNEL_COPY:
                raise
            count = 0
        # Some file systems return 0 instead of an error (Linux 5.3 to 5.18 on procfs and some FUSE).
        done += count or _copy_through_memory(source, start + done, target, offset + done, length - done)


def _copy_through_memory(source: int, start: int, target: int, offset: int, length: int) -> int:
    data = os.pread(source, min(length, _COPY_BYTES), start)
    if not data:
        raise IntegrityError("The file was truncated while it was being copied.")
    _write(target, offset, data)
    return len(data)


def _shared_file_mode(folder: Path) -> int | None:
    """Return the mode of a file in a folder that a group shares, or None if the umask decides."""
    mode = inherited_mode(str(folder))
    return None if mode is None else file_mode(mode, writable=True, executable=False)


def _open_lock(path: Path) -> int:
    mode = _shared_file_mode(path.parent)
    if mode is not None and not path.exists():
        # Other members of the group must not see the file before they can open it.
        part = path.with_name(token_hex(16))
        with _created(part):
            pass
        try:
            with suppress(FileExistsError):
                create_file(part, path, durable=False)
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
        finally:
            part.unlink()
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666 if mode is None else mode)
    except PermissionError:
        # Another user created it with a mode that lets this one only read it, which is enough except on NFS.
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _make_folder(folder: Path) -> None:
    try:
        # The names of new folders must reach the disk too, or a crash loses the files in them.
        make_folders(str(folder), durable=True)
    except (FileExistsError, NotADirectoryError) as error:
        place = folder.parent if folder.name == TEMPORARY else folder
        obstacle = next((each for each in (folder, *folder.parents) if each.exists() and not each.is_dir()), folder)
        raise StorageError(f"Cannot create {place}: {obstacle} is not a directory.", path=str(place)) from error


@contextmanager
def _translate_errors(path: Path, *, needed: int | None = None) -> Iterator[None]:
    """Translate the operating system's errors about a file.

    Args:
        path: The file, for the message if the error does not name one.
        needed: The number of bytes to be written.
    """
    try:
        yield
    except OSError as error:
        raise _error_of(error, path, needed) from error


def _error_of(error: OSError, path: Path, needed: int | None) -> RepositoryError | StorageError:
    place = error.filename if isinstance(error.filename, str) else str(path)
    reason = error.strerror or str(error)
    if error.errno in _ABSENT and needed is None:
        return ObjectNotFound(f"{path} does not exist.", path=str(path))
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        size = f" for {needed:,} bytes" if needed else ""
        return NoSpace(
            f"No space left{size} in {path.parent} ({reason}).",
            hint="Free some space or choose a repository on another disk.",
            path=str(path),
            needed=needed,
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return AccessDenied(
            f"{place}: {reason}.",
            hint="Check the owner of the directory, and whether its file system is mounted read-only.",
            path=place,
        )
    return StorageError(f"{place}: {reason}.", path=place)
