"""Files that are written in slices by several threads and hashed as they grow."""

from __future__ import annotations

import contextlib
import os
import threading
from typing import TYPE_CHECKING

from blake3 import blake3

from orbitpkg.errors import IntegrityError
from orbitpkg.files.writing import begin_writing, write_at

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.installer.plan import Target
    from orbitpkg.model.contents import FileEntry

__all__ = ["PartialFile"]

_READ_BYTES = 256 * 1024


class PartialFile:
    """A file that several threads write in slices, in nearly the right order.

    One thread at a time hashes it, and no other waits for that thread. A slice that continues the hashed part is hashed
    from memory. A slice that arrives early, or while another thread hashes, is read back later, while it is still in
    the page cache.

    Args:
        file: The file.
        path: Its path.
        present: The slices that are written already.
    """

    def __init__(self, file: FileEntry, path: str, present: Sequence[Target]) -> None:
        self.file = file
        self.path = path
        # The kernel lets one thread write to a file at a time and makes the others spin. With a lock they sleep.
        self._writing = threading.Lock()
        self._lock = threading.Lock()
        self._is_hashing = False
        self._hasher = blake3()
        self._hashed = 0
        self._early = {target.file_offset: target.length for target in present}
        if not present:
            with contextlib.suppress(FileNotFoundError):  # left by an earlier attempt
                os.unlink(path)  # noqa: PTH108
        elif 0 in self._early:
            descriptor = os.open(path, os.O_RDONLY)
            try:
                self._catch_up(descriptor)
            finally:
                os.close(descriptor)

    @property
    def is_complete(self) -> bool:
        """Whether the whole file is written and hashed."""
        return self._hashed == self.file.size

    @property
    def digest(self) -> str:
        """The BLAKE3 digest of the part that is hashed so far."""
        return self._hasher.hexdigest()

    def write(self, offset: int, pieces: Sequence[memoryview]) -> bool:
        """Write adjacent pieces at an offset, and return whether the file is complete."""
        mode = 0o755 if self.file.executable else 0o644
        length = sum(map(len, pieces))
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, mode)
        try:
            with self._writing:
                position = offset
                for piece in pieces:
                    write_at(descriptor, piece, position)
                    position += len(piece)
            begin_writing(descriptor, offset, length)
            return self._hash(descriptor, offset, pieces, length)
        finally:
            os.close(descriptor)

    def _hash(self, descriptor: int, offset: int, pieces: Sequence[memoryview], length: int) -> bool:
        """Hash as far as possible, and return whether the whole file is hashed."""
        with self._lock:
            if self._is_hashing or offset != self._hashed:
                self._early[offset] = length
                return False
            self._is_hashing = True
        for piece in pieces:
            self._hasher.update(piece)
        self._hashed += length
        return self._catch_up(descriptor)

    def _catch_up(self, descriptor: int) -> bool:
        while True:
            with self._lock:
                length = self._early.pop(self._hashed, None)
                if length is None:
                    self._is_hashing = False
                    return self.is_complete
            end = self._hashed + length
            while self._hashed < end:
                piece = os.pread(descriptor, min(_READ_BYTES, end - self._hashed), self._hashed)
                if not piece:
                    raise IntegrityError(f"{self.path} became shorter while it was being written.")
                self._hasher.update(piece)
                self._hashed += len(piece)
