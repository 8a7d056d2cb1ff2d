"""How an install stages a release and makes it visible.

1. Every install has its own folder under ``tmp``, named for the release's digest and the process. Two installs never
   write into one folder, even where locks do not work.
2. An install takes over what an interrupted one left by renaming its folder, so only one of several can take it. It
   trusts no file there before it has hashed it.
3. A release becomes visible by one rename of its folder, which contains only what belongs to the release.
4. Files that are added to a partly installed release appear one by one, each by a rename into a folder that was opened
   before. If another process removes the release in between, its folder is not created again.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, StorageError
from orbitpkg.files.atomic import move_file, move_folder, remove_folder
from orbitpkg.files.content import write_file
from orbitpkg.files.folders import apply_shared_mode, inherited_mode, make_folders, set_mode
from orbitpkg.files.sync import sync_files, sync_open_folder
from orbitpkg.store.layout import CONTENTS_NAME, FILES_NAME, ORIGIN_NAME, RECORD_NAME, STATE_NAME
from orbitpkg.store.records import load_contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.release import Release

__all__ = ["Staging", "abandon", "add_files", "claim", "is_abandoned", "make_visible", "mark_complete"]

_STATE = b'{"complete":false,"format":1}'
# A process on another machine cannot be checked. A running install writes more often than this.
_IDLE_SECONDS = 3600.0
# Removing a package's last version also removes the folder that a new version is about to be renamed into.
_RENAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """The folder in which one process collects a release before it is visible.

    Attributes:
        release: The release that is being installed.
        origin: The address that it comes from.
        folder: The path of the folder.
    """

    release: Release
    origin: str
    folder: str

    @property
    def files(self) -> str:
        """The folder of the package's files."""
        return f"{self.folder}/{FILES_NAME}"

    def path(self, file: FileEntry) -> str:
        """Return the path at which a file is staged."""
        return f"{self.folder}/{FILES_NAME}/{file.path}"


def claim(tmp: str, release: Release, *, origin: str) -> Staging:
    """Create a staging folder. It starts with what an interrupted install of the release left, if anything.

    Args:
        tmp: The folder to create it in.
        release: The release to install.
        origin: The address that it comes from.
    """
    label = _label(release)
    folder = f"{tmp}/{label}_{_owner()}_{secrets.token_hex(4)}"
    staging = Staging(release=release, origin=origin, folder=folder)
    for left in [name for name in os.listdir(tmp) if name.partition("_")[0] == label]:
        if _may_be_taken(f"{tmp}/{left}"):
            # Another process may have taken the folder; then the install starts with an empty one.
            with contextlib.suppress(OSError):
                move_folder(f"{tmp}/{left}", folder, durable=False)
                break
    make_folders(staging.files)
    return staging


def abandon(staging: Staging) -> None:
    """Let the next install of the release take over a staging folder."""
    tmp = os.path.dirname(staging.folder)  # noqa: PTH120
    with contextlib.suppress(OSError):  # it can still be taken over once this process has ended
        move_folder(staging.folder, f"{tmp}/{_label(staging.release)}_{secrets.token_hex(4)}", durable=False)


def is_abandoned(folder: str) -> bool:
    """Return whether no running install owns a folder under ``tmp``."""
    try:
        _, *owner, _ = os.path.basename(folder).split("_")  # noqa: PTH119
        alive = _is_alive(*owner)
    except (ValueError, TypeError):  # its name has no owner
        return True
    try:
        return _is_idle(folder) if alive is None else not alive
    except FileNotFoundError:
        return False


def _may_be_taken(folder: str) -> bool:
    try:
        # A folder of another user could be renamed, but not written to.
        return os.stat(folder).st_uid == os.geteuid() and is_abandoned(folder)  # noqa: PTH116
    except FileNotFoundError:
        return False


def _label(release: Release) -> str:
    # Names and versions contain no "_", so it can separate the parts.
    return f"{release.key}-{release.version}-{release.digest[:16]}"


def _owner() -> str:
    """Return a name for this process that no other process has, on any machine or after a restart."""
    process = os.getpid()
    return f"{_machine()}_{_start_of_system()}_{_space()}_{process}_{_start_of(process)}"


def _is_alive(machine: str, system: str, space: str, process: str, start: str) -> bool | None:
    """Return whether the process that an owner's name stands for is running, or None if that cannot be checked."""
    if machine != _machine():
        return None
    if system != _start_of_system():
        return False
    return None if space != _space() else _start_of(int(process)) == start


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _start_of_system() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii")[:8]
    except OSError:
        return "0"


def _space() -> str:
    """Return the process namespace: a container numbers its processes independently of its host."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116
    except OSError:
        return "0"


def _start_of(process: int) -> str:
    """Return the start time of a process, which tells it from an earlier one with its number; "" if it ended."""
    try:
        # proc(5): the name, in brackets, may contain anything; the start time is the 20th field after it.
        status = Path(f"/proc/{process}/stat").read_text(encoding="ascii", errors="replace")
        return status.rpartition(")")[2].split()[19]
    except OSError:
        pass
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "0"


def _is_idle(folder: str) -> bool:
    """Return whether nothing in a folder has changed for an hour, by the file system's clock, not this machine's."""
    probe = f"{folder}/.now-{secrets.token_hex(4)}"
    newest = max((os.stat(path).st_mtime for path in _all_below(folder)), default=0.0)  # noqa: PTH116
    os.close(os.open(probe, os.O_WRONLY | os.O_CREAT | os.O_EXCL))
    now = os.stat(probe).st_mtime  # noqa: PTH116
    os.unlink(probe)  # noqa: PTH108
    return now - newest > _IDLE_SECONDS


def _all_below(folder: str) -> Iterator[str]:
    for root, _, names in os.walk(folder):
        yield root
        yield from (f"{root}/{name}" for name in names)


def make_visible(
    staging: Staging,
    packed: bytes,
    contents: Contents,
    files: Sequence[FileEntry],
    target: str,
    *,
    make_folder: Callable[[str], None],
) -> None:
    """Make a staged release visible.

    Args:
        staging: The staging folder.
        packed: The compressed contents of the release, as published.
        contents: The parsed contents.
        files: The files that are staged and verified.
        target: The folder of the release in the store.
        make_folder: Creates a folder of the store and its missing parents.
    """
    write_file(f"{staging.folder}/{RECORD_NAME}", staging.release.raw)
    write_file(f"{staging.folder}/{CONTENTS_NAME}", packed)
    write_file(f"{staging.folder}/{ORIGIN_NAME}", staging.origin.encode())
    _write_state(staging, complete=len(files) == len(contents.files))
    _keep_only(staging, files)
    apply_shared_mode(staging.folder, _shared_mode(staging))
    sync_files([staging.path(file) for file in files], folder=staging.folder)
    if not _rename_into(staging.folder, target, make_folder):
        # Another process was faster; its lock had no effect on this file system.
        add_files(staging, contents, files, target)


def _shared_mode(staging: Staging) -> int | None:
    return inherited_mode(os.path.dirname(staging.folder))  # noqa: PTH120


def _write_state(staging: Staging, *, complete: bool) -> None:
    place = f"{staging.folder}/{STATE_NAME}"
    if not complete:
        write_file(place, _STATE)
        return
    with contextlib.suppress(FileNotFoundError):  # left by an install that selected fewer files
        os.unlink(place)  # noqa: PTH108


def _keep_only(staging: Staging, files: Sequence[FileEntry]) -> None:
    """Delete unverified files that an interrupted install, of other files of the release, left behind."""
    wanted = {staging.path(file) for file in files}
    folders = {os.path.dirname(path) for path in wanted}  # noqa: PTH120
    for root, _, names in os.walk(staging.files, topdown=False):
        for name in names:
            if f"{root}/{name}" not in wanted:
                os.unlink(f"{root}/{name}")  # noqa: PTH108
        if root not in folders and root != staging.files and not os.listdir(root):
            os.rmdir(root)  # noqa: PTH106


def _rename_into(folder: str, target: str, make_folder: Callable[[str], None]) -> bool:
    for _ in range(_RENAMES):
        make_folder(os.path.dirname(target))  # noqa: PTH120
        try:
            move_folder(folder, target)
        except FileNotFoundError:
            if not os.path.isdir(folder):  # noqa: PTH112
                raise
        except OSError as error:
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
            if os.path.exists(f"{target}/{RECORD_NAME}"):  # noqa: PTH110
                return False
            _put_aside(folder, target)
        else:
            return True
    raise StorageError(f"Other processes keep creating and removing {target}.", hint="Run the command again.")


def _put_aside(folder: str, target: str) -> None:
    """Remove a folder that is at a release's path but is not a release."""
    aside = f"{os.path.dirname(folder)}/removed-{secrets.token_hex(8)}"  # noqa: PTH120
    with contextlib.suppress(FileNotFoundError):
        remove_folder(target, trash=aside)


def add_files(staging: Staging, contents: Contents, files: Sequence[FileEntry], target: str) -> None:
    """Add files to a visible release, and delete the staging folder.

    Raises:
        IntegrityError: The visible release has other contents.
        StorageError: The release was removed in between.
    """
    _check_same(staging, contents, target)
    apply_shared_mode(staging.folder, _shared_mode(staging))
    sync_files([staging.path(file) for file in files], folder=staging.folder)
    with _opened(target, staging.release) as visible:
        try:
            _move(staging, files, visible)
            _mark_complete(contents, visible)
        except FileNotFoundError as error:
            raise _removed(staging.release) from error
    shutil.rmtree(staging.folder, ignore_errors=True)


def mark_complete(release: Release, contents: Contents, target: str) -> None:
    """Mark a visible release as complete, if it is: an install may have been interrupted just before it did so."""
    with _opened(target, release) as visible:
        _mark_complete(contents, visible)


def _check_same(staging: Staging, contents: Contents, target: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if Path(target, RECORD_NAME).read_bytes() == staging.release.raw:
            return
        if not load_contents(target).same_files(contents):
            raise IntegrityError(
                f"Another process installed different contents as {staging.release}.",
                hint=f"Check which one you want: orbitpkg show {staging.release}",
            )


@contextlib.contextmanager
def _opened(target: str, release: Release) -> Iterator[int]:
    try:
        descriptor = os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    except FileNotFoundError as error:
        raise _removed(release) from error
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _removed(release: Release) -> StorageError:
    return StorageError(f"{release} was removed while it was being installed.", hint="Install it again.")


def _exists(path: str, folder: int) -> bool:
    try:
        os.stat(path, dir_fd=folder)
    except FileNotFoundError:
        return False
    return True


def _move(staging: Staging, files: Sequence[FileEntry], visible: int) -> None:
    folders: set[str] = set()
    mode = _shared_mode(staging)
    for file in files:
        place = f"{FILES_NAME}/{file.path}"
        for folder in _folders_of(place):
            if folder not in folders:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(folder, dir_fd=visible)
                    if mode is not None:
                        set_mode(folder, mode, folder=visible)
                folders.add(folder)
        move_file(staging.path(file), place, target_folder=visible)
    for folder in sorted(folders, reverse=True):
        _sync_below(folder, visible)


def _folders_of(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _sync_below(folder: str, visible: int) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY, dir_fd=visible)
    try:
        sync_open_folder(descriptor)
    finally:
        os.close(descriptor)


def _mark_complete(contents: Contents, visible: int) -> None:
    if not all(_exists(f"{FILES_NAME}/{file.path}", visible) for file in contents.files):
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(STATE_NAME, dir_fd=visible)
    sync_open_folder(visible)
