"""Where a release is made whole, and how it becomes visible.

1. Every install has a folder of its own under ``tmp``, named for the release's digest and for the process: two never
   write into one folder, whatever their locks do.
2. What an install that ended has left is taken over by renaming its folder: of two that try, one has it. What is in it
   is believed no further than it hashes to what it should be.
3. A release appears by one rename of its folder, which holds what is to be visible and nothing else.
4. What comes into a release that is visible in part comes file by file, each by one rename, into the folder that was
   opened before: when somebody removes the release meanwhile, nothing is made where it was.
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
from orbitpkg.files.folders import apply_shared_mode, inherited_mode, make_folders
from orbitpkg.files.sync import sync_files, sync_open_folder
from orbitpkg.store.layout import CONTENTS_NAME, FILES_NAME, ORIGIN_NAME, RECORD_NAME, STATE_NAME
from orbitpkg.store.records import load_contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.release import Release

__all__ = ["Staging", "abandon", "add_files", "claim", "is_abandoned", "make_visible", "mark_complete"]

_STATE = b'{"complete":false,"format":1}'
# Whether a process of another machine lives cannot be asked. An install that lives writes something more often.
_IDLE_SECONDS = 3600.0
# Whoever removes a package's last version also removes the folder that the next one is about to be renamed into.
_RENAMES = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A folder in which one process makes a release whole before anyone sees it.

    Attributes:
        release: What is being installed.
        origin: The address it comes from.
        folder: Where.
    """

    release: Release
    origin: str
    folder: str

    @property
    def files(self) -> str:
        """Where the files go, by their paths in the package."""
        return f"{self.folder}/{FILES_NAME}"

    def path(self, file: FileEntry) -> str:
        """Where one file goes."""
        return f"{self.folder}/{FILES_NAME}/{file.path}"


def claim(tmp: str, release: Release, *, origin: str) -> Staging:
    """Make a folder for an install, from what an earlier one left if there is any.

    Args:
        tmp: The folder it is made in.
        release: What is to be installed.
        origin: The address it comes from.
    """
    label = _label(release)
    folder = f"{tmp}/{label}_{_owner()}_{secrets.token_hex(4)}"
    staging = Staging(release=release, origin=origin, folder=folder)
    for left in [name for name in os.listdir(tmp) if name.partition("_")[0] == label]:
        if _may_be_taken(f"{tmp}/{left}"):
            # Another process may have taken it. Without it, the install starts from nothing.
            with contextlib.suppress(OSError):
                move_folder(f"{tmp}/{left}", folder, durable=False)
                break
    make_folders(staging.files)
    return staging


def abandon(staging: Staging) -> None:
    """Leave a folder to the next install of the release."""
    tmp = os.path.dirname(staging.folder)  # noqa: PTH120
    with contextlib.suppress(OSError):  # then it is found by the end of this process
        move_folder(staging.folder, f"{tmp}/{_label(staging.release)}_{secrets.token_hex(4)}", durable=False)


def is_abandoned(folder: str) -> bool:
    """Say whether a folder under ``tmp`` belongs to no install that is under way."""
    try:
        _, *owner, _ = os.path.basename(folder).split("_")  # noqa: PTH119
        alive = _is_alive(*owner)
    except (ValueError, TypeError):  # named for nobody
        return True
    try:
        return _is_idle(folder) if alive is None else not alive
    except FileNotFoundError:
        return False


def _may_be_taken(folder: str) -> bool:
    try:
        # What another user has left can be renamed and not be written.
        return os.stat(folder).st_uid == os.geteuid() and is_abandoned(folder)  # noqa: PTH116
    except FileNotFoundError:
        return False


def _label(release: Release) -> str:
    # Neither names nor versions hold a "_", which sets off what follows.
    return f"{release.key}-{release.version}-{release.digest[:16]}"


def _owner() -> str:
    """Name this process so that nobody takes another one, or one after a restart, for it."""
    process = os.getpid()
    return f"{_machine()}_{_start_of_system()}_{_space()}_{process}_{_start_of(process)}"


def _is_alive(machine: str, system: str, space: str, process: str, start: str) -> bool | None:
    """Say whether the process that an owner names lives; None when that cannot be told from here."""
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
    """Name the space in which process numbers count: that of a container is not its host's."""
    try:
        return str(os.stat("/proc/self/ns/pid").st_ino)  # noqa: PTH116
    except OSError:
        return "0"


def _start_of(process: int) -> str:
    """Say when a process started, "" when there is none: its number may be that of another before it."""
    try:
        # proc(5): the name, in brackets, may hold anything; the start is the 20th number after it.
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
    """Say whether nothing in a folder changed for long, by the clock of the file system, whatever this one's says."""
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
    """Make a release visible that is not.

    Args:
        staging: Where it is.
        packed: Its compressed contents, as they came.
        contents: The same, understood.
        files: The files that are staged and verified.
        target: Where it belongs.
        make_folder: Makes a folder of the store, and those above it.
    """
    write_file(f"{staging.folder}/{RECORD_NAME}", staging.release.raw)
    write_file(f"{staging.folder}/{CONTENTS_NAME}", packed)
    write_file(f"{staging.folder}/{ORIGIN_NAME}", staging.origin.encode())
    _write_state(staging, complete=len(files) == len(contents.files))
    _keep_only(staging, files)
    apply_shared_mode(staging.folder, _shared_mode(staging))
    sync_files([staging.path(file) for file in files], folder=staging.folder)
    if not _rename_into(staging.folder, target, make_folder):
        # Another process was first, with locks that do nothing.
        add_files(staging, contents, files, target)


def _shared_mode(staging: Staging) -> int | None:
    return inherited_mode(os.path.dirname(staging.folder))  # noqa: PTH120


def _write_state(staging: Staging, *, complete: bool) -> None:
    place = f"{staging.folder}/{STATE_NAME}"
    if not complete:
        write_file(place, _STATE)
        return
    with contextlib.suppress(FileNotFoundError):  # of an earlier attempt, which wanted less
        os.unlink(place)  # noqa: PTH108


def _keep_only(staging: Staging, files: Sequence[FileEntry]) -> None:
    """Delete what an earlier attempt, which wanted other files, has left of them: nobody verified it."""
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
    raise StorageError(f"{target} is being made and removed by others again and again.", hint="Run it again.")


def _put_aside(folder: str, target: str) -> None:
    """Move away what is in a release's place and is none."""
    aside = f"{os.path.dirname(folder)}/removed-{secrets.token_hex(8)}"  # noqa: PTH120
    with contextlib.suppress(FileNotFoundError):
        remove_folder(target, trash=aside)


def add_files(staging: Staging, contents: Contents, files: Sequence[FileEntry], target: str) -> None:
    """Bring files into a release that is visible, and delete the staging folder.

    Raises:
        IntegrityError: What is visible is another release.
        StorageError: It was removed meanwhile.
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
    """Note that all files of a visible release are there, if they are: who brought the last was stopped before it."""
    with _opened(target, release) as visible:
        _mark_complete(contents, visible)


def _check_same(staging: Staging, contents: Contents, target: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        if Path(target, RECORD_NAME).read_bytes() == staging.release.raw:
            return
        if not load_contents(target).same_files(contents):
            raise IntegrityError(
                f"Another process has installed another {staging.release} meanwhile.",
                hint=f"See which one is wanted: orbitpkg show {staging.release}",
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
                        os.chmod(folder, mode, dir_fd=visible)
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
