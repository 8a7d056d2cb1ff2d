"""Reading small files that anybody may have put where they are: settings, lockfiles and manifests.

A link to a device never ends, a FIFO waits for a writer, and a file of gigabytes fills the memory. So only regular
files are read, and only up to a bound. The owner of a file says whose words they are.

An app that starts imports this module, so it avoids ``pathlib`` and everything else that takes time.
"""

from __future__ import annotations

import errno
import os
import stat

__all__ = ["foreign_owner", "read_bounded", "read_owned"]

_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NOCTTY", 0)


def read_bounded(path: str | os.PathLike[str], *, max_bytes: int) -> bytes:
    """Return the content of a regular file. ``/dev/null`` counts as an empty file.

    Args:
        path: The file, or a link to it.
        max_bytes: The maximum size in bytes.

    Raises:
        OSError: The file does not exist, cannot be read, is not a regular file, or is larger.
    """
    return read_owned(path, max_bytes=max_bytes)[0]


def read_owned(path: str | os.PathLike[str], *, max_bytes: int) -> tuple[bytes, int | None]:
    """Return the content of a regular file, and its owner's id if that is neither this user nor root, else None.

    Takes the arguments and raises the errors of :func:`read_bounded`.
    """
    name = os.fspath(path)
    # Opening some devices does something already: a tape is rewound. So the type is known before the file is opened.
    _check_regular(os.stat(name), name)  # noqa: PTH116
    descriptor = os.open(name, _FLAGS)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        status = os.fstat(descriptor)
        if not _check_regular(status, name):
            return b"", None
        # Some file systems report a size of 0 for files that have content, so the size is not a bound.
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise OSError(errno.EFBIG, f"Larger than {max_bytes:,} bytes", name)
    owner = foreign_owner(status)
    if owner is None:
        owner = foreign_owner(os.lstat(name))  # the link says which of the user's files is used
    return data, owner


def _check_regular(status: os.stat_result, name: str) -> bool:
    """Return False for ``/dev/null``, and raise an error for anything else that is not a regular file."""
    if stat.S_ISREG(status.st_mode):
        return True
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), name)
    if stat.S_ISCHR(status.st_mode) and status.st_rdev == os.stat(os.devnull).st_rdev:  # noqa: PTH116
        return False
    raise OSError(errno.EINVAL, "Not a regular file", name)


def foreign_owner(status: os.stat_result) -> int | None:
    """Return the owner's id of a file that belongs neither to this user nor to root, else None.

    Under sudo, the user who called it counts as this user. Always None where files have no owners.
    """
    if not hasattr(os, "geteuid") or status.st_uid in {0, os.geteuid()}:
        return None
    if os.geteuid() == 0 and os.environ.get("SUDO_UID") == str(status.st_uid):
        return None
    return status.st_uid
