"""Files and folders that appear whole or not at all, after a power cut too.

A file is written under a hidden name, synced, renamed, and then its folder is synced. Without the first sync a power
cut can leave an empty file under the new name; without the second it can leave the old one after the command has
reported success. ``durable=False`` skips both, for files that can be replaced: caches, and files that are verified when
they are read.

Only this package renames files. It also handles what some file systems refuse: overlayfs does not rename a folder that
came with the image (EXDEV), FAT and some FUSE file systems do not change modes (EPERM), others have no hard links.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from typing import TYPE_CHECKING, Final

from orbitpkg.files.anchors import open_below
from orbitpkg.files.folders import file_mode, inherited_mode, set_mode
from orbitpkg.files.removal import delete_tree
from orbitpkg.files.sync import sync_files, sync_folder

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import IO

    StrPath = str | os.PathLike[str]

__all__ = [
    "HIDDEN",
    "NO_LINKS",
    "atomic_file",
    "atomic_write",
    "create_file",
    "move_file",
    "move_folder",
    "publish_file",
    "publish_new_file",
    "remove_folder",
    "replace_folder",
    "temporary_name",
    "write_below",
    "write_new_file",
]

HIDDEN: Final = ".orbitpkg-"
"""The prefix of the names of files that are not finished yet. Listings and syncs leave such files out."""
NO_LINKS: Final = (errno.EPERM, errno.EACCES, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)
"""What file systems without hard links answer to a request for one."""


def temporary_name(folder: StrPath) -> str:
    """Return the path of a new hidden file or folder in ``folder``."""
    return f"{os.fspath(folder)}/{HIDDEN}{os.urandom(12).hex()}.tmp"


def atomic_write(
    path: StrPath, data: bytes, *, durable: bool = True, mode: int | None = None, follow: bool = True
) -> None:
    """Write a small file so that readers see the old content or the new one, never a part.

    Args:
        path: The file. If it is a link, the file that the link leads to is replaced.
        data: The new content.
        durable: Whether the content must survive a power cut once this returns.
        mode: The permissions. By default those of the file that is replaced, else those that a shared folder passes
            on, else those that the umask leaves.
        follow: Whether to follow a link. If not, the link itself is replaced, as it must be where other users can
            write: the file could be one of this user's own.

    Raises:
        OSError: The file cannot be written.
    """
    with atomic_file(path, durable=durable, mode=mode, follow=follow) as file:
        file.write(data)


def write_below(base: StrPath, path: StrPath, data: bytes, *, durable: bool = True) -> None:
    """Write a small file below a folder that several users may share, as :func:`atomic_write` does.

    Missing folders are created. No link below ``base`` that another user made is followed.

    Args:
        base: The folder that the user named, such as the home folder.
        path: The file, below ``base``.
        data: The content.
        durable: Whether the content must survive a power cut once this returns.

    Raises:
        StorageError: One of the folders is a link of another user.
        OSError: The file cannot be written.
    """
    top, target = os.fspath(base), os.fspath(path)
    *parts, name = os.path.relpath(target, top).split("/")
    with open_below(top, *parts, make=True, durable=durable) as folder:
        atomic_write(f"{folder.path}/{name}", data, durable=durable, follow=False)


@contextlib.contextmanager
def atomic_file(
    path: StrPath,
    *,
    durable: bool = True,
    mode: int | None = None,
    scratch: StrPath | None = None,
    follow: bool = True,
) -> Iterator[IO[bytes]]:
    """Yield a file to write to, which gets its name when the block ends, and is deleted if the block fails.

    Args:
        path: As for :func:`atomic_write`.
        durable: As for :func:`atomic_write`.
        mode: As for :func:`atomic_write`.
        scratch: The folder of the temporary file, on the same file system; the file's own folder by default.
        follow: As for :func:`atomic_write`.

    Raises:
        OSError: The file cannot be written.
    """
    target = os.fspath(path)
    target = os.path.realpath(target) if follow and os.path.islink(target) else target  # noqa: PTH114
    folder = os.path.dirname(target) or "."  # noqa: PTH120
    mode = _mode_of(target, folder, follow=follow) if mode is None else mode
    part = temporary_name(folder if scratch is None else scratch)
    # O_EXCL does not follow a link that somebody put there. The mode is set at once: the content may be secret.
    with _errors_about(target):
        descriptor = os.open(part, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666 if mode is None else mode)
    try:
        # Closed before it is renamed: NFS reports a full quota only then.
        with open(descriptor, "r+b") as file:  # noqa: PTH123 - a descriptor
            if mode is not None:
                set_mode(descriptor, mode)
            yield file
            file.flush()
            if durable:
                os.fsync(descriptor)
        with _errors_about(target):
            move_file(part, target, durable=durable)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(part)  # noqa: PTH108
        raise


@contextlib.contextmanager
def _errors_about(target: str) -> Iterator[None]:
    """Make errors name the file that the caller asked for, not its temporary name."""
    try:
        yield
    except OSError as error:
        if error.filename is not None and HIDDEN in os.fspath(error.filename):
            error.filename, error.filename2 = target, None
        raise


def _mode_of(target: str, folder: str, *, follow: bool) -> int | None:
    """Return the mode for a file, or None if the umask decides."""
    with contextlib.suppress(FileNotFoundError):
        status = os.stat(target, follow_symlinks=follow)  # noqa: PTH116
        if stat.S_ISREG(status.st_mode):
            return stat.S_IMODE(status.st_mode)
    shared = inherited_mode(folder)
    return None if shared is None else file_mode(shared, writable=True, executable=False)


def publish_file(part: StrPath, target: StrPath, *, durable: bool = True) -> None:
    """Give a finished file, which something else wrote, its name; a file of that name is replaced.

    Args:
        part: The file, on the file system of ``target``.
        target: Its new path. A link there is replaced, not followed.
        durable: Whether the file must survive a power cut once this returns.

    Raises:
        OSError: The file cannot be synced or renamed.
    """
    if durable:
        _sync_file(part)
    move_file(part, target, durable=durable)


def _sync_file(path: StrPath) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def move_file(source: StrPath, target: StrPath, *, durable: bool = True, target_folder: int | None = None) -> None:
    """Rename a file whose bytes are synced, or need not be; a file of the new name is replaced.

    Args:
        source: The file.
        target: Its new path, on the same file system.
        durable: Whether to sync the folder of ``target``.
        target_folder: An open folder that ``target`` is relative to, which the caller syncs.

    Raises:
        OSError: The file cannot be renamed.
    """
    if target_folder is not None:
        os.rename(source, target, dst_dir_fd=target_folder)
        return
    os.replace(source, target)  # noqa: PTH105
    if durable:
        _sync_folder_of(target)


def _sync_folder_of(path: StrPath) -> None:
    with contextlib.suppress(FileNotFoundError):  # another process removed the folder, and the file with it
        sync_folder(os.path.dirname(path) or ".")  # noqa: PTH120


def create_file(part: StrPath, target: StrPath, *, durable: bool = True) -> None:
    """Give a finished file a second name, unless a file of that name exists. The caller deletes ``part``.

    Args:
        part: The file, whose bytes are synced or need not be.
        target: The new name, on the same file system.
        durable: Whether to sync the folder of ``target``.

    Raises:
        FileExistsError: A file of that name exists.
        OSError: The file system has no hard links, or refused this one.
    """
    try:
        os.link(part, target)
    except FileExistsError:
        # NFS: the server linked, its reply was lost, and the kernel's second try found the link (open(2), O_EXCL).
        if not os.path.samestat(os.stat(part), os.lstat(target)):  # noqa: PTH116
            raise
    if durable:
        _sync_folder_of(target)


def publish_new_file(part: StrPath, target: StrPath) -> None:
    """Give a finished file, which something else wrote, its name, unless a file of that name exists.

    On file systems without hard links, other processes can see an empty file of that name for a moment.

    Args:
        part: The file, in the folder of ``target``. It is deleted.
        target: Its new path.

    Raises:
        FileExistsError: A file of that name exists.
        OSError: The file cannot be synced or renamed.
    """
    try:
        _sync_file(part)
        try:
            create_file(part, target)
        except FileExistsError:
            raise
        except OSError as error:
            if error.errno not in NO_LINKS:
                raise
            os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))
            move_file(part, target)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)  # noqa: PTH108


def write_new_file(path: StrPath, data: bytes) -> None:
    """Write a file unless one of that name exists. It survives a power cut; a failure leaves no part of it.

    Args:
        path: The file, in a folder that exists.
        data: The content.

    Raises:
        FileExistsError: A file of that name exists.
        OSError: The file cannot be written.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    try:
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor
            file.write(data)
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        os.unlink(path)  # noqa: PTH108
        raise
    _sync_folder_of(path)


def move_folder(source: StrPath, target: StrPath, *, durable: bool = True) -> None:
    """Rename a folder or a file. Nothing, or an empty folder, may be at ``target``.

    Where the system refuses to rename a folder (overlayfs, if it came with the image; two mounts), it is copied beside
    ``target``, renamed there, and then deleted at ``source``: ``target`` still appears in one step.

    Args:
        source: The folder; what is in it is synced, or need not be.
        target: Its new path.
        durable: Whether to sync the folder of ``target``.

    Raises:
        OSError: The folder cannot be moved; ``source`` is still whole.
    """
    try:
        os.rename(source, target)  # noqa: PTH104
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_folder(source, target, durable=durable)
        delete_tree(source)
    if durable:
        _sync_folder_of(target)
        # On a file system without a journal, a folder that is still listed in its old parent has two of them after a
        # power cut, and fsck removes it from both.
        _sync_folder_of(source)


def _copy_folder(source: StrPath, target: StrPath, *, durable: bool) -> None:
    part = temporary_name(os.path.dirname(target) or ".")  # noqa: PTH120
    try:
        files = list(_copy(os.fspath(source), part))
        if durable:
            sync_files(files, folder=part if os.path.isdir(part) else os.path.dirname(part))  # noqa: PTH112, PTH120
        os.rename(part, target)  # noqa: PTH104
    except BaseException:
        delete_tree(part)
        raise


def _copy(source: str, target: str) -> Iterator[str]:
    """Copy a folder, a file or a link, and yield the paths of the files.

    Not by ``shutil.copytree``, which reports a full disk as something else, and a refused mode as a failure.
    """
    import shutil

    status = os.lstat(source)
    if stat.S_ISLNK(status.st_mode):
        os.symlink(os.readlink(source), target)  # noqa: PTH115, PTH211
        return
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(target, 0o700)  # noqa: PTH102
        for name in os.listdir(source):
            yield from _copy(f"{source}/{name}", f"{target}/{name}")
    else:
        shutil.copyfile(source, target)
        yield target
    set_mode(target, stat.S_IMODE(status.st_mode))
    os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))


def replace_folder(source: StrPath, target: StrPath, *, aside: StrPath, durable: bool = True) -> bool:
    """Rename a folder to a name that another folder may have, which is moved to ``aside`` first.

    Args:
        source: The new folder.
        target: Its new path.
        aside: The path that the old folder is moved to. It must not exist.
        durable: Whether to sync the folder of ``target``.

    Returns:
        False if another process put its folder there in between; ``source`` is left then.

    Raises:
        OSError: A folder cannot be moved.
    """
    with contextlib.suppress(FileNotFoundError):
        move_folder(target, aside, durable=False)
    try:
        move_folder(source, target, durable=durable)
    except OSError as error:
        if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
            raise
        return False
    return True


def remove_folder(path: StrPath, *, trash: StrPath, first: str | None = None, durable: bool = True) -> None:
    """Make a folder disappear in one step, and then delete it.

    Args:
        path: The folder.
        trash: The path that it is moved to first, on the same file system. It must not exist.
        first: The file without which the folder counts as absent, if there is one. It is deleted first where the
            system refuses to rename the folder.
        durable: Whether the folder must stay removed after a power cut once this returns.

    Raises:
        FileNotFoundError: The folder does not exist.
        OSError: It cannot be removed; it is still whole.
    """
    try:
        os.rename(path, trash)  # noqa: PTH104
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        if first is not None:
            os.unlink(f"{os.fspath(path)}/{first}")  # noqa: PTH108
        trash = path
    if durable:
        _sync_folder_of(path)
    delete_tree(trash)
