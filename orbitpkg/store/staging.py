"""How an install stages a release and makes it visible.

1. Every install has its own folder under ``tmp``, named for the release's digest and the process. Two installs never
   write into one folder, even where locks do not work.
2. An install takes over what an interrupted one left by renaming its folder, so only one of several can take it. It
   trusts no file there before it has hashed it.
3. A release becomes visible by one rename of its folder, which contains only what belongs to the release.
4. Files that are added to a partly installed release appear one by one, each by a rename into a folder that was opened
   before. If another process removes the release in between, its folder is not created again.
5. A staging folder is private until it is published, and opened once. Other members of the group that shares a store
   can rename the folder, but neither put links in it nor make this process write elsewhere. The folders of a visible
   release are opened one by one, and a link among them is an error.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import platform
import secrets
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, StorageError
from orbitpkg.files.anchors import Anchor, keeps_owners, open_private, open_within, plain_name, read_regular
from orbitpkg.files.atomic import move_file, move_folder, remove_folder
from orbitpkg.files.content import write_file
from orbitpkg.files.folders import apply_shared_mode, make_folders, set_mode
from orbitpkg.files.names import disk_path
from orbitpkg.files.removal import delete_contents, delete_tree
from orbitpkg.files.sync import sync_files, sync_open_folder
from orbitpkg.store.layout import CONTENTS_NAME, FILES_NAME, LISTING_NAME, ORIGIN_NAME, RECORD_NAME, STATE_NAME
from orbitpkg.store.presence import listing_of
from orbitpkg.store.records import load_contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.release import Release

__all__ = [
    "Staging",
    "add_files",
    "create_staging",
    "discard",
    "is_abandoned",
    "make_visible",
    "mark_complete",
    "offer_for_reuse",
]

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
        tmp: The open folder in which the staging folder is.
        name: The name of the staging folder in it.
        anchor: The open staging folder.
    """

    release: Release
    origin: str
    tmp: Anchor
    name: str
    anchor: Anchor

    @property
    def folder(self) -> str:
        """The path of the folder. It leads to the same folder even if another user renames it."""
        return self.anchor.path

    @property
    def files(self) -> str:
        """The folder of the package's files."""
        return f"{self.folder}/{FILES_NAME}"

    def path(self, file: FileEntry) -> str:
        """Return the path at which a file is staged."""
        return f"{self.folder}/{FILES_NAME}/{disk_path(file.path)}"

    @property
    def shared_mode(self) -> int | None:
        """The mode that a shared store passes on to folders; None if the umask decides."""
        mode = stat.S_IMODE(os.fstat(self.tmp.descriptor).st_mode)
        return mode if mode & stat.S_ISGID else None

    def close(self) -> None:
        """Close the folders."""
        self.anchor.close()
        self.tmp.close()


def create_staging(tmp: Anchor, release: Release, *, origin: str) -> Staging:
    """Create a staging folder. It starts with what an interrupted install of the release left, if anything.

    Args:
        tmp: The folder to create it in. The staging folder closes it.
        release: The release to install.
        origin: The address that it comes from.

    Raises:
        StorageError: Another user replaced the new folder by another one.
        OSError: The folder cannot be created.
    """
    label = _label(release)
    name = f"{label}_{_owner()}_{secrets.token_hex(4)}"
    # On some file systems, all files appear to have the same owner, which then proves nothing.
    owned = not tmp.exposed or keeps_owners(tmp.path)
    resumed = _take_over(tmp, label, name, owned=owned)
    if not resumed:
        # In a shared store, other members could otherwise put links among the files before they are published.
        os.mkdir(f"{tmp.path}/{name}", 0o700)  # noqa: PTH102
    anchor = open_private(tmp, name, owned=owned, empty=not resumed)
    try:
        if resumed and tmp.exposed:
            _keep_own_files(anchor.path, owned=owned)
        staging = Staging(release=release, origin=origin, tmp=tmp, name=name, anchor=anchor)
        make_folders(staging.files)
    except BaseException:
        anchor.close()
        raise
    return staging


def _take_over(tmp: Anchor, label: str, name: str, *, owned: bool) -> bool:
    """Give a folder that an interrupted install left a new name. Returns False if there is none."""
    for left in [left for left in os.listdir(tmp.descriptor) if left.partition("_")[0] == label]:
        if _may_be_taken(f"{tmp.path}/{left}", owned=owned):
            # Another process may have taken the folder; then the install starts with an empty one.
            with contextlib.suppress(OSError):
                move_folder(f"{tmp.path}/{left}", f"{tmp.path}/{name}", durable=False)
                return True
    return False


def _keep_own_files(top: str, *, owned: bool) -> None:
    """Close all folders of a tree to other users, and delete what these may have put there.

    Where files have no owners, links and special files are deleted.
    """
    folders = [top]
    while folders:
        folder = folders.pop()
        # This comes first. Otherwise, files in the folder could be replaced after they were checked.
        set_mode(folder, stat.S_IMODE(os.stat(folder).st_mode) & ~0o022)  # noqa: PTH116
        with os.scandir(folder) as entries:
            found = [(entry.path, entry.stat(follow_symlinks=False)) for entry in entries]
        for path, status in found:
            foreign = owned and status.st_uid != os.geteuid()
            if stat.S_ISDIR(status.st_mode) and not foreign:
                folders.append(path)
            elif foreign or not stat.S_ISREG(status.st_mode):
                delete_tree(path)


def offer_for_reuse(staging: Staging) -> None:
    """Let the next install of the release take over a staging folder."""
    name = f"{_label(staging.release)}_{secrets.token_hex(4)}"
    with contextlib.suppress(OSError):  # it can still be taken over once this process has ended
        mode = staging.shared_mode
        if mode is not None:
            _open_to_group(staging.folder, mode)
        move_folder(f"{staging.tmp.path}/{staging.name}", f"{staging.tmp.path}/{name}", durable=False)
    staging.close()


def _open_to_group(top: str, mode: int) -> None:
    """Let all members of the group delete what is in a folder. They cannot change its files."""
    # The top comes last: until then, nobody else can reach the folders below it.
    for folder, _, _ in os.walk(top, topdown=False):
        set_mode(folder, mode)


def discard(staging: Staging) -> None:
    """Delete a staging folder and its files, unless it has been published or renamed."""
    with contextlib.suppress(OSError):
        named = os.stat(staging.name, dir_fd=staging.tmp.descriptor, follow_symlinks=False)
        if os.path.samestat(named, os.fstat(staging.anchor.descriptor)):
            delete_contents(staging.anchor.descriptor)
            os.rmdir(staging.name, dir_fd=staging.tmp.descriptor)
    staging.close()


def is_abandoned(folder: str) -> bool:
    """Return whether no running install owns a folder under ``tmp``."""
    try:
        _, *owner, _ = os.path.basename(folder).split("_")  # noqa: PTH119
        alive = _is_alive(*owner)
    except (ValueError, TypeError):  # its name has no owner
        return True
    try:
        # If the process cannot be checked, only time shows that it no longer writes.
        return _is_idle(folder) if alive is None else not alive
    # Its owner has just published or deleted it.
    except FileNotFoundError:
        return False


def _may_be_taken(folder: str, *, owned: bool) -> bool:
    try:
        status = os.lstat(folder)
        # A folder of another user could be renamed, but not written to.
        own = not owned or status.st_uid == os.geteuid()
        return stat.S_ISDIR(status.st_mode) and own and is_abandoned(folder)
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
    # A home directory may be on a network, and the process IDs of another machine mean nothing here.
    if machine != _machine():
        return None
    # No process survives a restart.
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
        # Without /proc, as on macOS, signal 0 tells whether the process exists.
        os.kill(process, 0)
    except ProcessLookupError:
        return ""
    except PermissionError:
        pass
    return "0"


def _is_idle(folder: str) -> bool:
    """Return whether nothing in a folder has changed for an hour, by the file system's clock, not this machine's."""
    probe = f"{folder}/.now-{secrets.token_hex(4)}"
    # Read before the probe is created, because creating it changes the time of the folder.
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
    compressed: bytes,
    contents: Contents,
    files: Sequence[FileEntry],
    *,
    open_parent: Callable[[], Anchor],
) -> None:
    """Make a staged release visible, and close the staging folder.

    Args:
        staging: The staging folder.
        compressed: The compressed contents of the release, as published.
        contents: The parsed contents.
        files: The files that are staged and verified.
        open_parent: Opens the folder of the package's versions, and creates it if necessary.
    """
    write_file(f"{staging.folder}/{RECORD_NAME}", staging.release.raw)
    write_file(f"{staging.folder}/{CONTENTS_NAME}", compressed)
    write_file(f"{staging.folder}/{ORIGIN_NAME}", staging.origin.encode())
    write_file(f"{staging.folder}/{LISTING_NAME}", listing_of(contents, staging.release.contents.blake3))
    _write_state(staging, complete=len(files) == len(contents.files))
    # A folder that was taken over may contain files of another selection (--only), which were not verified.
    _keep_only(staging, files)
    # A folder that is created without an explicit mode has the mode of the umask.
    mode = staging.shared_mode or stat.S_IMODE(os.stat(staging.files).st_mode)  # noqa: PTH116
    for name in os.listdir(staging.folder):
        apply_shared_mode(f"{staging.folder}/{name}", staging.shared_mode)
    # After a power cut, a visible release counts as complete, so everything must be on the disk before the rename.
    sync_files([staging.path(file) for file in files], folder=staging.folder)
    # Only now can other users enter the folder: all that is left to do is to rename it.
    set_mode(staging.anchor.descriptor, mode)
    sync_open_folder(staging.anchor.descriptor)
    if not _rename_into(staging, open_parent):
        # Another process was faster; its lock had no effect on this file system.
        set_mode(staging.anchor.descriptor, 0o700)
        with open_parent() as parent:
            add_files(staging, contents, files, parent)
        return
    staging.close()


def _write_state(staging: Staging, *, complete: bool) -> None:
    place = f"{staging.folder}/{STATE_NAME}"
    with contextlib.suppress(FileNotFoundError):  # left by an install that selected fewer files
        os.unlink(place)  # noqa: PTH108
    if not complete:
        write_file(place, _STATE)


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


def _rename_into(staging: Staging, open_parent: Callable[[], Anchor]) -> bool:
    source, version = f"{staging.tmp.path}/{staging.name}", str(staging.release.version)
    target = ""
    for _ in range(_RENAMES):
        with open_parent() as parent:
            target = f"{parent.path}/{version}"
            try:
                move_folder(source, target)
            except FileNotFoundError:
                # If the parent was removed, another try creates it again. If the staging folder was, nothing is left to
                # rename.
                if not os.path.isdir(source):  # noqa: PTH112
                    raise
            except OSError as error:
                # POSIX lets a file system report a folder that is not empty with either of the first two codes.
                if error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR}:
                    raise
                # A folder without a record is not a release, and must not block the version forever.
                if os.path.lexists(f"{target}/{RECORD_NAME}"):
                    return False
                _put_aside(staging, target)
            else:
                _check_moved(staging, target)
                return True
    raise StorageError(
        f"Other processes keep creating and removing {plain_name(target)}.", hint="Run the command again."
    )


def _check_moved(staging: Staging, target: str) -> None:
    """Raise an error if another user replaced the staging folder just before it was renamed."""
    status = os.fstat(staging.anchor.descriptor)
    # Where the system refused to rename the folder, a copy has the name, and the folder is deleted.
    if staging.tmp.exposed and status.st_nlink and not os.path.samestat(status, os.lstat(target)):
        name = plain_name(target)
        raise StorageError(f"Another user replaced {name} while it was being installed.", path=name)


def _put_aside(staging: Staging, target: str) -> None:
    """Remove a folder that is at a release's path but is not a release."""
    aside = f"{staging.tmp.path}/removed-{secrets.token_hex(8)}"
    with contextlib.suppress(FileNotFoundError):
        remove_folder(target, trash=aside)


def add_files(staging: Staging, contents: Contents, files: Sequence[FileEntry], parent: Anchor) -> None:
    """Add files to a visible release, and delete the staging folder.

    Args:
        staging: The staging folder.
        contents: The contents of the release.
        files: The files that are staged and verified.
        parent: The open folder of the package's versions.

    Raises:
        IntegrityError: The visible release has other contents.
        StorageError: The release was removed in between, or another user put a link in its path.
    """
    with _opened(parent, staging.release) as visible:
        _check_same(staging, contents, visible)
        apply_shared_mode(staging.files, staging.shared_mode)
        sync_files([staging.path(file) for file in files], folder=staging.folder)
        try:
            # The mark comes last: if the process is killed in between, the release still counts as partial.
            _move(staging, files, visible)
            _mark_complete(contents, visible)
        except FileNotFoundError as error:
            raise _removed(staging.release) from error
    discard(staging)


def mark_complete(release: Release, contents: Contents, parent: Anchor) -> None:
    """Mark a visible release as complete, if it is: an install may have been interrupted just before it did so."""
    with _opened(parent, release) as visible:
        _mark_complete(contents, visible)


def _check_same(staging: Staging, contents: Contents, visible: Anchor) -> None:
    with contextlib.suppress(FileNotFoundError):
        if read_regular(f"{visible.path}/{RECORD_NAME}", len(staging.release.raw) + 1)[0] == staging.release.raw:
            return
        if not load_contents(visible.name).same_files(contents):
            raise IntegrityError(
                f"Another process installed different contents as {staging.release.label}.",
                hint=f"To see the installed one: orbitpkg show {staging.release}",
            )


def _opened(parent: Anchor, release: Release) -> Anchor:
    try:
        return open_within(parent, str(release.version))
    except FileNotFoundError as error:
        raise _removed(release) from error


def _removed(release: Release) -> StorageError:
    return StorageError(f"{release.label} was removed while it was being installed.", hint="Install it again.")


def _move(staging: Staging, files: Sequence[FileEntry], visible: Anchor) -> None:
    by_folder: dict[str, list[FileEntry]] = {}
    for file in files:
        by_folder.setdefault(os.path.dirname(f"{FILES_NAME}/{disk_path(file.path)}"), []).append(file)  # noqa: PTH120
    for folder, inside in by_folder.items():
        with open_within(visible, *folder.split("/"), make=True) as target:
            for file in inside:
                name = os.path.basename(disk_path(file.path))  # noqa: PTH119
                move_file(staging.path(file), name, target_folder=target.descriptor)
            sync_open_folder(target.descriptor)
    # The entries of new folders must reach the disk, too. A crash could otherwise lose the folders with their files.
    for above in sorted({above for folder in by_folder for above in _folders_of(folder)}, reverse=True):
        with open_within(visible, *above.split("/")) as target:
            sync_open_folder(target.descriptor)


def _folders_of(path: str) -> Iterator[str]:
    parts = path.split("/")
    return ("/".join(parts[:count]) for count in range(1, len(parts)))


def _mark_complete(contents: Contents, visible: Anchor) -> None:
    if not all(_exists(f"{FILES_NAME}/{disk_path(file.path)}", visible.descriptor) for file in contents.files):
        return
    with contextlib.suppress(FileNotFoundError):
        os.unlink(STATE_NAME, dir_fd=visible.descriptor)
    sync_open_folder(visible.descriptor)


def _exists(path: str, folder: int) -> bool:
    try:
        os.stat(path, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True
