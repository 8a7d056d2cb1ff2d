"""Creating folders, and the permissions in shared folders.

A folder with the setgid bit is shared: new files and folders in it get its mode regardless of the umask, as with git's
``core.sharedRepository``. ``orbitpkg store share`` sets the bit on the home folder (as does ``chmod 2775``), and every
folder created below inherits it. In any other store the umask decides, and only the user can enter the home folder.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from typing import TYPE_CHECKING, Final

from orbitpkg.files.sync import sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "apply_shared_mode",
    "file_mode",
    "inherited_file_mode",
    "inherited_mode",
    "keeps_modes",
    "list_tree",
    "make_folders",
    "make_private_folder",
    "set_mode",
]

_NO_MODES: Final = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)


def set_mode(path: int | str | os.PathLike[str], mode: int, *, folder: int | None = None) -> None:
    """Set the mode of a file, given by its path or descriptor, where the file system and the owner allow it.

    A file system without modes (SMB, FUSE, buckets mounted as disks), or another user's file, keeps what it has.

    Args:
        path: The file.
        mode: Its mode.
        folder: An open folder that ``path`` is relative to.

    Raises:
        OSError: An error other than a refusal.
    """
    try:
        os.chmod(path, mode, dir_fd=folder)
    except OSError as error:
        if error.errno not in _NO_MODES:
            raise


def keeps_modes(folder: str) -> bool | None:
    """Return whether the file system of a folder keeps the modes of files; None if nothing can be written there."""
    probe = f"{folder}/.new-{secrets.token_hex(8)}"
    try:
        descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError:
        return None
    try:
        set_mode(descriptor, 0o700)
        with_bits = os.fstat(descriptor).st_mode & 0o700
        set_mode(descriptor, 0o600)
        without = os.fstat(descriptor).st_mode & 0o700
    finally:
        os.close(descriptor)
        os.unlink(probe)  # noqa: PTH108
    return (with_bits, without) == (0o700, 0o600)


def make_private_folder(path: str) -> None:
    """Create a folder that only this user can enter, unless it exists.

    Raises:
        OSError: The folder cannot be created.
    """
    if not os.path.isdir(path):  # noqa: PTH112
        os.makedirs(path, mode=0o700, exist_ok=True)  # noqa: PTH103
        sync_folder(os.path.dirname(path) or ".")  # noqa: PTH120


def make_folders(path: str, *, durable: bool = False) -> None:
    """Create a folder and its missing parents.

    Args:
        path: The folder.
        durable: Whether the new folders must survive a power cut once this returns.

    Raises:
        OSError: A folder cannot be created.
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
    # Other users must not see the folder before they can use it.
    part = f"{os.path.dirname(path)}/.new-{secrets.token_hex(8)}"  # noqa: PTH120
    os.mkdir(part, mode & 0o777)  # noqa: PTH102
    try:
        # The umask may have removed bits.
        set_mode(part, mode)
        os.rename(part, path)  # noqa: PTH104
    except OSError:
        os.rmdir(part)  # noqa: PTH106
        if not os.path.isdir(path):  # noqa: PTH112
            raise


def inherited_mode(folder: str) -> int | None:
    """Return the mode that new files and folders in ``folder`` inherit, or None if the umask decides."""
    mode = stat.S_IMODE(os.stat(folder).st_mode)  # noqa: PTH116
    return mode if mode & stat.S_ISGID else None


def file_mode(folder: int, *, writable: bool, executable: bool) -> int:
    """Return the mode of a file in a shared folder.

    Args:
        folder: The mode of the folder.
        writable: Whether users who can write in the folder can write the file.
        executable: Whether users who can read the file can execute it.
    """
    mode = folder & (0o666 if writable else 0o444)
    return mode | (mode & 0o444) >> 2 if executable else mode


def inherited_file_mode(folder: int, status: os.stat_result) -> int:
    """Return the mode that a file gets in a shared folder. It stays writable and executable as it was.

    Args:
        folder: The mode of the folder.
        status: The status of the file.
    """
    bits = status.st_mode
    return file_mode(folder, writable=bool(bits & 0o200), executable=bool(bits & 0o100))


def apply_shared_mode(path: str, mode: int | None) -> None:
    """Give a file, or a folder and everything below it, the modes that a shared folder passes on.

    Files of other users are skipped: only their owner can change them.

    Args:
        path: The file or the folder.
        mode: The mode of the shared folder; None changes nothing.

    Raises:
        OSError: A file cannot be read or changed.
    """
    if mode is None:
        return
    for found, status in list_tree(path):
        wanted = mode if stat.S_ISDIR(status.st_mode) else inherited_file_mode(mode, status)
        if stat.S_IMODE(status.st_mode) != wanted:
            set_mode(found, wanted)


def list_tree(path: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield a folder or file and everything below it, folders first. Links and special files are left out."""
    status = os.lstat(path)
    if stat.S_ISDIR(status.st_mode):
        yield path, status
        with os.scandir(path) as entries:
            names = [entry.name for entry in entries]
        for name in names:
            yield from list_tree(f"{path}/{name}")
    elif stat.S_ISREG(status.st_mode):
        yield path, status
