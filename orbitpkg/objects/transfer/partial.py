"""An incomplete download: a hidden file beside its target.

The hidden file and its journal are named after the target, so a later download finds and continues them. The process
that holds the lock on the hidden file uses it. A process that cannot lock it (because another one downloads the same
file, or locks are not supported) uses a separate file, which is never resumed. Correctness does not depend on the
lock: it comes from the final rename and from digests.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import stat
import threading
from secrets import token_hex
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from orbitpkg.concurrency.pool import Pool
from orbitpkg.files.atomic import HIDDEN, move_file
from orbitpkg.files.writing import begin_writing, write_at
from orbitpkg.model.jsontext import dump_json, load_json

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType
    from typing import Self

__all__ = ["PartialFile", "file_digest"]

_READ_BYTES: Final = 1 << 20
_HASH_BYTES: Final = 8 << 20
# A file up to this size arrives in one request, so there is nothing to continue.
_RESUMABLE_BYTES: Final = 8 << 20
# About 100 bytes for each of 10,000 ranges.
_MAX_JOURNAL_BYTES: Final = 16 << 20


def file_digest(path: Path) -> str:
    """Return the BLAKE3 digest of a file, 64 hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    size = path.stat().st_size
    # Not blake3.AUTO: its threads belong to the process, and a fork does not copy them.
    hasher = blake3(max_threads=os.cpu_count() or 1) if size > _RESUMABLE_BYTES else blake3()
    # Not mmap: the pages of a large file would count as memory of this process.
    buffer = memoryview(bytearray(min(_HASH_BYTES, size)))
    with path.open("rb", buffering=0) as file:
        while buffer and (count := file.readinto(buffer)):
            hasher.update(buffer[:count])
    return hasher.hexdigest()


def _open_own(path: Path, flags: int = 0) -> int:
    """Open or create a file of this user for reading and writing.

    The folder may be one that other users can write to, and the name is predictable. They could have put a link to
    another file of this user there, or a FIFO.

    Raises:
        OSError: The file cannot be opened, is not a regular file, has other names, or belongs to another user.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | flags, 0o666)
    status = os.fstat(descriptor)
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1 and status.st_uid in {0, os.geteuid()}:
        return descriptor
    os.close(descriptor)
    raise OSError(errno.EPERM, os.strerror(errno.EPERM), str(path))


class PartialFile:
    """The hidden file of one target. A context manager that keeps an unpublished file for a later attempt if possible.

    Args:
        target: The path at which the file will appear.
        identity: A text that two contents never share. A file with an empty identity is never continued.
        size: The size of the complete file in bytes.

    Raises:
        OSError: The file cannot be created.
    """

    def __init__(self, target: Path, *, identity: str, size: int) -> None:
        self._target = target
        self._identity = identity
        self._size = size
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._digests: dict[tuple[int, int], str] = {}
        label = hashlib.sha256(os.fsencode(target.name)).hexdigest()[:24]
        self._path = target.with_name(f"{HIDDEN}{label}.part")
        self._journal_path = self._path.with_suffix(".journal")
        self._journal: int | None = None
        self._descriptor = -1

    def __enter__(self) -> Self:
        if not (self._identity and self._size > _RESUMABLE_BYTES and self._resume()):
            self._create()
        return self

    def _resume(self) -> bool:
        """Continue the file of an earlier attempt, or begin one that a later attempt can continue."""
        try:
            descriptor = _open_own(self._path)
        except OSError:  # it belongs to another user, or is not a regular file
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have renamed or removed it between the two calls.
            if not os.path.samestat(os.fstat(descriptor), os.lstat(self._path)):
                raise FileNotFoundError
            self._journal = _open_own(self._journal_path, os.O_APPEND)
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._read_journal()
        # The last line may be torn. Without a line break, the next entry would be appended to it.
        if self._digests:
            os.write(self._journal, b"\n")
        else:
            self._begin()
        return True

    def _begin(self) -> None:
        if self._journal is not None:
            os.ftruncate(self._journal, 0)
            self._note(self._identity)

    def _create(self) -> None:
        self._path = self._target.with_name(f"{HIDDEN}{token_hex(12)}.tmp")
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def _read_journal(self) -> None:
        """Read which ranges an earlier attempt received; an unreadable journal or one of other content is ignored."""
        try:
            size = os.fstat(self._journal).st_size if self._journal is not None else 0
            text = os.pread(self._journal, min(size, _MAX_JOURNAL_BYTES), 0) if self._journal is not None else b""
            first, *lines = text.decode().splitlines() or [""]
        except (OSError, ValueError):
            return
        # The ranges belong to an older state of the object.
        if load_json(first) != self._identity:
            return
        for line in lines:
            # The last line of a process that was killed may be torn.
            with contextlib.suppress(ValueError, TypeError):
                start, length, digest = load_json(line)
                self._digests[start, length] = digest

    def _note(self, entry: object) -> None:
        if self._journal is not None:
            os.write(self._journal, dump_json(entry) + b"\n")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._descriptor < 0:
            return
        # A file that could not be written must not take up space on the full disk.
        if self._journal is None or not self._digests or isinstance(error, OSError):
            if self._journal is not None:
                self._journal_path.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        self._close()

    def has(self, start: int, length: int) -> bool:
        """Return whether a range arrived and is still intact: the disk may have lost ranges listed in the journal."""
        expected = self._digests.get((start, length))
        return expected is not None and self._digest_of(start, length) == expected

    def _digest_of(self, start: int, length: int) -> str:
        hasher = blake3()
        for position in range(start, start + length, _READ_BYTES):
            hasher.update(os.pread(self._descriptor, min(_READ_BYTES, start + length - position), position))
        return hasher.hexdigest()

    def write(self, start: int, data: bytes | memoryview) -> None:
        """Write a range. May be called from several threads."""
        with self._writing:
            write_at(self._descriptor, data, start)
        begin_writing(self._descriptor, start, len(data))
        if self._journal is not None:
            digest = blake3(data).hexdigest()
            with self._lock:
                self._digests[start, len(data)] = digest
                self._note([start, len(data), digest])

    def forget(self) -> None:
        """Discard all ranges, because they belong to other content."""
        self._digests.clear()
        os.ftruncate(self._descriptor, 0)
        self._begin()

    def publish(self, *, durable: bool) -> str:
        """Move the file to its target and return its digest.

        Raises:
            OSError: The file cannot be moved.
        """
        # An earlier, longer state of the object may have left more bytes.
        os.ftruncate(self._descriptor, self._size)
        # Read back from the file: what matters is what was written, not what was received.
        digest = self._synced_digest() if durable else self._digest()
        move_file(self._path, self._target, durable=durable)
        if self._journal is not None:
            self._journal_path.unlink(missing_ok=True)
        self._close()
        return digest

    def _synced_digest(self) -> str:
        if self._size <= _RESUMABLE_BYTES:
            os.fsync(self._descriptor)
            return self._digest()
        # The disk writes while the processor computes the digest.
        with Pool(1, "orbitpkg-sync") as pool:
            synced = pool.submit(os.fsync, self._descriptor)
            digest = self._digest()
            synced.result()
        return digest

    def _digest(self) -> str:
        return file_digest(self._path)

    def _close(self) -> None:
        for descriptor in (self._descriptor, self._journal):
            if descriptor is not None and descriptor >= 0:
                os.close(descriptor)
        self._descriptor, self._journal = -1, None
