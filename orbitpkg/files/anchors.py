"""Folders that are opened once and then used through their descriptor, so that no other user can redirect a path.

In a folder that several users can write to, each of them can replace a folder by a link at any time. A path that was
checked a moment ago then leads to another place: to the files of the user who follows it. An :class:`Anchor` holds the
folder itself. Its ``path`` goes through ``/proc/self/fd``, which the kernel resolves to the open folder whatever
happens to the folder's name.

Where no other user can write (the usual private store), and on systems without ``/proc``, ``path`` is the plain path.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import Final, Self

from orbitpkg.errors import StorageError
from orbitpkg.files.sync import sync_open_folder

__all__ = [
    "READ_SAFELY",
    "Anchor",
    "is_exposed",
    "keeps_owners",
    "open_below",
    "open_private",
    "open_within",
    "plain_name",
    "read_regular",
]

_FOLDER: Final = (
    os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_CLOEXEC", 0)
)
# Opening a FIFO waits for a writer, unless O_NONBLOCK is set, which regular files ignore.
READ_SAFELY: Final = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)
"""The flags to open a file for reading that another user may have replaced by a link or a FIFO."""

_PROC = "/proc/self/fd"
_MAX_LINKS = 8
# The plain paths of anchors, for messages. An entry is replaced when the system uses its descriptor again.
_names: dict[str, str] = {}


class Anchor:
    """An open folder.

    Attributes:
        name: Its plain path, for messages.
        descriptor: The open folder; -1 once it is closed.
        path: The path to use for what is in it.
        exposed: Whether other users can write to the store that it is in.
    """

    __slots__ = ("descriptor", "exposed", "name", "path")

    def __init__(self, name: str, descriptor: int, *, exposed: bool) -> None:
        self.name = name
        self.descriptor = descriptor
        self.exposed = exposed
        self.path = name
        through = f"{_PROC}/{descriptor}"
        if exposed and _leads_to(through, descriptor):
            self.path = through
            _names[through] = name

    def close(self) -> None:
        """Close the folder, unless it is closed. Its path must not be used any more."""
        descriptor, self.descriptor = self.descriptor, -1
        if descriptor != -1:
            os.close(descriptor)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.close()


def _leads_to(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))  # noqa: PTH116
    except OSError:  # no /proc in this container or on this system
        return False


def plain_name(path: str) -> str:
    """Return the plain path for one that begins with the path of an anchor."""
    if not path.startswith(f"{_PROC}/"):
        return path
    number, separator, rest = path[len(_PROC) + 1 :].partition("/")
    name = _names.get(f"{_PROC}/{number}")
    return path if name is None else f"{name}{separator}{rest}"


def is_exposed(folder: str) -> bool:
    """Return whether users other than this one and root can change what is in a folder."""
    if os.name == "nt":
        return False
    status = os.stat(folder)  # noqa: PTH116
    return status.st_uid not in {0, os.geteuid()} or bool(status.st_mode & 0o022)


def open_below(base: str, *parts: str, make: bool = False, durable: bool = False) -> Anchor:
    """Open a folder below another one.

    Args:
        base: A folder that the user named. Links in its path are followed.
        parts: The names of the folders below it. Where other users can write to ``base``, a link there is followed
            only if this user or root made it.
        make: Whether to create missing folders, with the mode that their parent passes on.
        durable: Whether created folders must survive a power cut.

    Raises:
        StorageError: One of the folders is a link of another user.
        OSError: A folder does not exist, or cannot be opened or created.
    """
    anchor = Anchor(base, os.open(base, _FOLDER & ~getattr(os, "O_NOFOLLOW", 0)), exposed=is_exposed(base))
    with anchor:
        return open_within(anchor, *parts, make=make, durable=durable)


def open_within(anchor: Anchor, *parts: str, make: bool = False, durable: bool = False) -> Anchor:
    """Open a folder below an open one. Takes the other arguments and raises the errors of :func:`open_below`."""
    name, descriptor = anchor.name, os.dup(anchor.descriptor)
    try:
        for part in parts:
            name = f"{name}/{part}"
            inner = _open(part, descriptor, name, exposed=anchor.exposed, make=make, durable=durable)
            os.close(descriptor)
            descriptor = inner
    except BaseException:
        os.close(descriptor)
        raise
    return Anchor(name, descriptor, exposed=anchor.exposed)


def open_private(anchor: Anchor, name: str, *, owned: bool, empty: bool) -> Anchor:
    """Open a folder that this process created or renamed, and make sure that it is this one.

    Args:
        anchor: The folder that contains it.
        name: Its name.
        owned: Whether new files in ``anchor`` belong to the user who creates them.
        empty: Whether it must be empty.

    Raises:
        StorageError: Another user replaced it by another folder.
        OSError: It cannot be opened.
    """
    path = f"{anchor.name}/{name}"
    descriptor = os.open(name, _FOLDER, dir_fd=anchor.descriptor)
    foreign = owned and os.fstat(descriptor).st_uid != os.geteuid()
    if foreign or (empty and os.listdir(descriptor)):
        os.close(descriptor)
        raise StorageError(f"Another user replaced {path}, a directory that was just created.", path=path)
    return Anchor(path, descriptor, exposed=anchor.exposed)


def _open(part: str, parent: int, name: str, *, exposed: bool, make: bool, durable: bool) -> int:
    flags = _FOLDER if exposed else _FOLDER & ~getattr(os, "O_NOFOLLOW", 0)
    for _ in range(_MAX_LINKS):
        try:
            return os.open(part, flags, dir_fd=parent)
        except FileNotFoundError as error:
            if not make or _is_link(part, parent):
                error.filename = name
                raise
            _make(part, parent)
            if durable:
                sync_open_folder(parent)
        except OSError as error:
            error.filename = name
            if error.errno not in {errno.ELOOP, errno.ENOTDIR} or not _is_link(part, parent):
                raise
            part = _own_link(part, parent, name)
    raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)


def _is_link(part: str, parent: int) -> bool:
    try:
        return stat.S_ISLNK(os.stat(part, dir_fd=parent, follow_symlinks=False).st_mode)
    except FileNotFoundError:
        return False


def _own_link(part: str, parent: int, name: str) -> str:
    """Return where a link leads, if this user or root made it."""
    # O_PATH opens the link itself, so the owner and the target are those of one and the same link.
    link = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=parent) if hasattr(os, "O_PATH") else -1
    try:
        if link != -1 and os.fstat(link).st_uid in {0, os.geteuid()}:
            return os.readlink("", dir_fd=link)
    finally:
        if link != -1:
            os.close(link)
    raise StorageError(
        f"{name} is a link, and another user of this shared directory made it.",
        hint="The link was not followed. Find out who made it, and delete it.",
        path=name,
    )


def _make(part: str, parent: int) -> None:
    mode = stat.S_IMODE(os.fstat(parent).st_mode)
    if not mode & stat.S_ISGID:
        with contextlib.suppress(FileExistsError):
            os.mkdir(part, dir_fd=parent)
        return
    # Other users must not see the folder before they can use it.
    new = f".new-{os.urandom(8).hex()}"
    os.mkdir(new, 0o700, dir_fd=parent)
    try:
        descriptor = os.open(new, _FOLDER, dir_fd=parent)
        try:
            # Some file systems have no modes.
            with contextlib.suppress(OSError):
                os.fchmod(descriptor, mode)
        finally:
            os.close(descriptor)
        os.rename(new, part, src_dir_fd=parent, dst_dir_fd=parent)
    except OSError:
        with contextlib.suppress(OSError):
            os.rmdir(new, dir_fd=parent)
        try:
            os.close(os.open(part, _FOLDER, dir_fd=parent))
        except FileNotFoundError:
            pass
        else:
            return
        raise


def keeps_owners(folder: str) -> bool:
    """Return whether a new file in a folder belongs to this user, which is not so on some network file systems."""
    probe = f"{folder}/.new-{os.urandom(8).hex()}"
    descriptor = os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        return os.fstat(descriptor).st_uid == os.geteuid()
    finally:
        os.close(descriptor)
        with contextlib.suppress(OSError):
            os.unlink(probe)  # noqa: PTH108


def read_regular(path: str, limit: int) -> tuple[bytes, os.stat_result]:
    """Read a file of a store that other users can write to.

    Args:
        path: The file. A link is not followed.
        limit: The maximum number of bytes to read.

    Returns:
        The content, up to the limit, and the status of the file.

    Raises:
        OSError: The file cannot be read, or is not a regular file.
    """
    descriptor = os.open(path, READ_SAFELY)
    with open(descriptor, "rb") as file:  # noqa: PTH123 - a descriptor
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "not a regular file", path)
        return file.read(limit), status
