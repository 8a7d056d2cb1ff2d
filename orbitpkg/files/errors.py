"""The system's errors about local files, as orbitpkg's."""

from __future__ import annotations

import contextlib
import errno
from typing import TYPE_CHECKING

from orbitpkg.errors import NoSpace, OrbitError, ReadOnlyStore, StorageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["disk_errors", "storage_errors"]


@contextlib.contextmanager
def storage_errors(place: str) -> Iterator[None]:
    """Turn the system's errors about local files into orbitpkg's.

    Args:
        place: What is being written or read, for the message.

    Raises:
        NoSpace: The disk or a quota is full.
        ReadOnlyStore: This user may not write there.
        StorageError: Anything else.
    """
    try:
        yield
    except OSError as error:
        where = error.filename or place
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace(
                f"There is no space left to write {where}.",
                hint="Free some (orbitpkg remove, orbitpkg gc), or set ORBITPKG_HOME to a larger disk.",
                path=str(where),
            ) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            raise ReadOnlyStore(
                f"{where} may not be written: {error.strerror}.",
                hint="Set ORBITPKG_HOME to a folder of your own, or ask the store's owner for write access.",
                path=str(where),
            ) from error
        raise StorageError(f"{where}: {error.strerror or error}.", path=str(where)) from error


@contextlib.contextmanager
def disk_errors(path: Path) -> Iterator[None]:
    """Turn the system's errors about a file that a user named into orbitpkg's.

    Raises:
        NoSpace: The disk or a quota is full.
        ReadOnlyStore: This user may not do that there.
        StorageError: Anything else.
    """
    try:
        yield
    except OrbitError:  # some are a FileNotFoundError, too
        raise
    except OSError as error:
        where = str(error.filename or path)
        reason = error.strerror or str(error)
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise NoSpace(f"There is no space left to write {where}.", hint="Free some space.", path=where) from error
        if error.errno in {errno.EACCES, errno.EPERM, errno.EROFS}:
            hint = "Check who owns it, and whether its file system is mounted for writing."
            raise ReadOnlyStore(f"{where}: {reason}.", hint=hint, path=where) from error
        if error.errno == errno.EISDIR:
            raise StorageError(f"{where} is a folder; a file was to be there.", path=where) from error
        raise StorageError(f"{where}: {reason}.", path=where) from error
