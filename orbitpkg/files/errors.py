"""The system's errors about local files, translated to orbitpkg's."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, NamedTuple

from orbitpkg.errors import NoSpace, OrbitError, ReadOnlyStore, StorageError
from orbitpkg.files.anchors import plain_name

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["READ", "STORE", "USER_FILE", "WRITE", "Advice", "storage_errors"]

_FULL = (errno.ENOSPC, errno.EDQUOT)
_REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS)


class Advice(NamedTuple):
    """What the messages about a kind of local file say.

    Attributes:
        message: The message for most errors. ``{path}`` stands for the path that the system names, ``{target}`` for
            the path that the caller gave, ``{reason}`` for the system's words.
        full: What to do when the disk or a quota is full.
        refused: What to do when the user lacks permission; None if that is reported like any other error.
        other: What to do about any other error.
    """

    message: str = "{path}: {reason}."
    full: str = "Free some space."
    refused: str | None = "Check who owns it, and whether its file system is mounted for writing."
    other: str | None = None


STORE = Advice(
    full="Free some (orbitpkg remove, orbitpkg gc), or set ORBITPKG_HOME to a larger disk.",
    refused="Set ORBITPKG_HOME to a directory that you own, or ask the store's owner for write access.",
)
"""For the store and other folders under ``ORBITPKG_HOME``."""

USER_FILE = Advice()
"""For a file or folder that the user named."""

READ = Advice(message="{path} cannot be read: {reason}.", refused=None)
"""For a file that is only read."""

WRITE = Advice(message="{target} cannot be written: {reason}.")
"""For a file that the user named, and that is only written."""


@contextlib.contextmanager
def storage_errors(path: str | os.PathLike[str], advice: Advice = STORE) -> Iterator[None]:
    """Translate the system's errors about local files.

    Args:
        path: The file or folder, for errors that name none.
        advice: What the messages say.

    Raises:
        NoSpace: The disk or a quota is full.
        ReadOnlyStore: The user lacks permission.
        StorageError: Any other error.
    """
    try:
        yield
    except OrbitError:  # FileMissing and FileNotInPackage are also a FileNotFoundError
        raise
    except OSError as error:
        raise _translated(error, path, advice) from error


def _translated(error: OSError, path: str | os.PathLike[str], advice: Advice) -> StorageError:
    where = plain_name(str(error.filename or path))
    reason = error.strerror or str(error)
    if error.errno in _FULL:
        message = f"{where} cannot be written: no space left on the disk or in the quota."
        return NoSpace(message, hint=advice.full, path=where)
    if error.errno in _REFUSED and advice.refused is not None:
        return ReadOnlyStore(f"{where} cannot be written: {reason}.", hint=advice.refused, path=where)
    if error.errno == errno.EISDIR and advice.message == Advice().message:
        return StorageError(f"{where} is a directory, but must be a file.", hint=advice.other, path=where)
    message = advice.message.format(path=where, target=plain_name(os.fspath(path)), reason=reason)
    return StorageError(message, hint=advice.other, path=where)
