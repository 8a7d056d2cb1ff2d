"""Making the folders of a store, and who may do what in them.

A folder with its setgid bit set is shared: what is made in it gets its mode, whatever the umask says, as under git's
``core.sharedRepository``. The home folder's bit is set by ``orbitpkg store share``, or by hand (``chmod 2775``); from
there it passes down. In any other store the umask decides, and the home folder is for one user alone.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import stat
from typing import TYPE_CHECKING

from orbitpkg.files.sync import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
__all__ = [
    "at_and_below",
    "file_mode",
    "inherited_file_mode",
    "inherited_mode",
    "make_folders",
    "make_private_folder",
    "settle",
]


def make_private_folder(path: str) -> None:
    """Make a folder for this user alone, if there is none.

    Raises:
        OSError: It cannot be made.
    """
    if not os.path.isdir(path):  # noqa: PTH112
        os.makedirs(path, mode=0o700, exist_ok=True)  # noqa: PTH103
        sync_folder(os.path.dirname(path) or ".")  # noqa: PTH120


def make_folders(path: str, *, durable: bool = False) -> None:
    """Make a folder, and the folders above it that are missing.

    Args:
        path: The folder.
        durable: Whether the new folders must survive a power cut once this returns.

    Raises:
        OSError: It cannot be made.
    """
    if os.path.isdir(path):  # noqa: PTH112
        return
    parent = os.path.dirname(path) or "."  # noqa: PTH120
    make_folders(parent, durable=durable)
    mode = inherited_mode(parent)
    if mode is not None:
        _make_shared(path, mode)
    else:
        try:
            os.mkdir(path)  # noqa: PTH102
        except FileExistsError:
            if not os.path.isdir(path):  # noqa: PTH112
                raise
    if durable:
        sync_folder(parent)


def _make_shared(path: str, mode: int) -> None:
    # Others see it when they may use it, not before.
    part = f"{os.path.dirname(path)}/.new-{secrets.token_hex(8)}"  # noqa: PTH120
    os.mkdir(part, 0o700)  # noqa: PTH102
    try:
        os.chmod(part, mode)  # noqa: PTH101
        os.rename(part, path)  # noqa: PTH104
    except OSError:
        os.rmdir(part)  # noqa: PTH106
        if not os.path.isdir(path):  # noqa: PTH112
            raise


def inherited_mode(folder: str) -> int | None:
    """Give the mode that a folder passes on to what is made in it; None when the umask decides."""
    mode = stat.S_IMODE(os.stat(folder).st_mode)  # noqa: PTH116
    return mode if mode & stat.S_ISGID else None


def file_mode(folder: int, *, writable: bool, executable: bool) -> int:
    """Give the mode of a file in a shared folder.

    Args:
        folder: The mode that the folder passes on.
        writable: Whether those who may write the folder may write the file.
        executable: Whether those who may read the file may execute it.
    """
    mode = folder & (0o666 if writable else 0o444)
    return mode | (mode & 0o444) >> 2 if executable else mode


def inherited_file_mode(folder: int, status: os.stat_result) -> int:
    """Give the mode that a file gets from a shared folder; whether it can be written or executed stays.

    Args:
        folder: The mode that the folder passes on.
        status: The file's.
    """
    bits = status.st_mode
    return file_mode(folder, writable=bool(bits & 0o200), executable=bool(bits & 0o100))


def settle(path: str, mode: int | None) -> None:
    """Give a file, or a folder and what is below it, the modes that a shared folder passes on.

    What is another user's has them, or is nothing that this one can change.

    Args:
        path: The file or the folder.
        mode: What the folder it is in passes on; None changes nothing.

    Raises:
        OSError: It cannot be read or changed.
    """
    if mode is None:
        return
    for place, status in at_and_below(path):
        wanted = mode if stat.S_ISDIR(status.st_mode) else inherited_file_mode(mode, status)
        if stat.S_IMODE(status.st_mode) != wanted:
            with contextlib.suppress(PermissionError):
                os.chmod(place, wanted)  # noqa: PTH101


def at_and_below(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Give a path and those below it, folders first; what is neither a file nor a folder is left out."""
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        yield path, status
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            yield from at_and_below(f"{path}/{name}")
    elif stat.S_ISREG(status.st_mode):
        yield path, status
