"""A file that is on its way, hidden beside the place where it will appear.

The hidden file and its journal are named after the target, so that a later attempt finds them. Whoever holds the lock
on the hidden file uses it; who does not get it (another process is at the same file, or locks do not work there) uses
one of its own that nobody goes on with. Correctness comes from the rename in the end, and from digests.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
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
# Below this size a file is had in one request, and there is nothing to go on with.
_RESUMABLE_BYTES: Final = 8 << 20


def file_digest(path: Path) -> str:
    """Give the BLAKE3 of a file's bytes, 64 hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    size = path.stat().st_size
    # Threads of its own, where they pay: blake3.AUTO's are the process's, and stay behind in a fork.
    hasher = blake3(max_threads=os.cpu_count() or 1) if size > _RESUMABLE_BYTES else blake3()
    # Not mapped: the pages of a large file would count as this process's memory.
    buffer = memoryview(bytearray(min(_HASH_BYTES, size)))
    with path.open("rb", buffering=0) as file:
        while buffer and (count := file.readinto(buffer)):
            hasher.update(buffer[:count])
    return hasher.hexdigest()


class PartialFile:
    """The hidden file of one target. A context manager: what is not published stays for a later attempt, if it can.

    Args:
        target: Where the file will appear.
        identity: A text that two contents never share; an empty one is never gone on with.
        size: How large the file will be.

    Raises:
        OSError: It cannot be made.
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
        if not (self._identity and self._size > _RESUMABLE_BYTES and self._adopt()):
            self._own()
        return self

    def _adopt(self) -> bool:
        """Take the file that an earlier attempt left, or begin one that a later attempt may take."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        except PermissionError:  # another user's
            return False
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # Another process may have renamed or removed it between the two calls.
            if not os.path.samestat(os.fstat(descriptor), os.stat(self._path)):  # noqa: PTH116
                raise FileNotFoundError
        except OSError:
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        self._read_journal()
        self._journal = os.open(self._journal_path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        if self._digests:
            os.write(self._journal, b"\n")
        else:
            self._begin()
        return True

    def _begin(self) -> None:
        if self._journal is not None:
            os.ftruncate(self._journal, 0)
            self._note(self._identity)

    def _own(self) -> None:
        self._path = self._target.with_name(f"{HIDDEN}{token_hex(12)}.tmp")
        self._descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)

    def _read_journal(self) -> None:
        """Learn what an earlier attempt has; what cannot be read, or is about something else, says nothing."""
        try:
            first, *lines = self._journal_path.read_text("utf-8").splitlines() or [""]
        except (OSError, ValueError):
            return
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
        # Of what the disk refused, nothing is to take its room.
        if self._journal is None or not self._digests or isinstance(error, OSError):
            if self._journal is not None:
                self._journal_path.unlink(missing_ok=True)
            self._path.unlink(missing_ok=True)
        self._close()

    def has(self, start: int, length: int) -> bool:
        """Say whether a range is there, and is what arrived: the journal may know more than the disk kept."""
        expected = self._digests.get((start, length))
        return expected is not None and self._digest_of(start, length) == expected

    def _digest_of(self, start: int, length: int) -> str:
        hasher = blake3()
        for position in range(start, start + length, _READ_BYTES):
            hasher.update(os.pread(self._descriptor, min(_READ_BYTES, start + length - position), position))
        return hasher.hexdigest()

    def write(self, start: int, data: bytes | memoryview) -> None:
        """Write a range. From several threads."""
        with self._writing:
            write_at(self._descriptor, data, start)
        begin_writing(self._descriptor, start, len(data))
        if self._journal is not None:
            digest = blake3(data).hexdigest()
            with self._lock:
                self._digests[start, len(data)] = digest
                self._note([start, len(data), digest])

    def forget(self) -> None:
        """Drop what is there: it is of something else by now."""
        self._digests.clear()
        os.ftruncate(self._descriptor, 0)
        self._begin()

    def publish(self, *, durable: bool) -> str:
        """Show the file under its name; returns the digest of what is shown.

        Raises:
            OSError: It cannot be shown.
        """
        os.ftruncate(self._descriptor, self._size)
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
        # The disk is waited for while the processor is busy.
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
