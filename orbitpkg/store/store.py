"""Changes to a store.

Every change follows the same order: write under ``tmp``, verify, sync, rename into place, sync the folder. If the
process is killed at any point, the store is in the old state or the new one, and the next install can use the files
left under ``tmp``. Locks only save duplicate work: the store stays correct where locks have no effect.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import stat
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orbitpkg.errors import LockTimeout, NotInstalled, OrbitError, StorageError, UsageError
from orbitpkg.files.atomic import remove_folder
from orbitpkg.files.content import clone_or_link
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.folders import apply_shared_mode, inherited_mode, make_folders
from orbitpkg.store.condition import Finding, FindingKind, file_digest, list_findings
from orbitpkg.store.folders import open_folder
from orbitpkg.store.layout import RECORD_NAME, Layout
from orbitpkg.store.locks import LockHeldError, locked
from orbitpkg.store.package import Package, installed_names, installed_packages, installed_versions, open_package
from orbitpkg.store.staging import (
    Staging,
    add_files,
    create_staging,
    discard,
    make_visible,
    mark_complete,
    offer_for_reuse,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orbitpkg.files.anchors import Anchor
    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.store.locks import HeldLock

__all__ = ["MIN_BLOB_BYTES", "Finding", "FindingKind", "Staging", "Store", "file_digest", "lock_seconds"]

MIN_BLOB_BYTES = 32 * 1024
"""The minimum size of a blob. Linking a smaller file takes as long as writing it."""

_LOCK_SECONDS = 300.0
_LOCK_VARIABLE = "ORBITPKG_LOCK_TIMEOUT"


class Store:
    """The store under one home folder.

    Args:
        home: The folder that ``ORBITPKG_HOME`` names. The first write creates it, and only this user can enter it.
    """

    def __init__(self, home: str | os.PathLike[str]) -> None:
        self.layout = Layout(home)

    def packages(self) -> list[Package]:
        """List the installed packages, by name, oldest version first."""
        return installed_packages(self.layout)

    @contextlib.contextmanager
    def lock(
        self,
        release: Release,
        *,
        on_wait: Callable[[], None] | None = None,
        needless: Callable[[], bool] | None = None,
    ) -> Iterator[HeldLock]:
        """Keep other processes from installing the same release at the same time.

        Args:
            release: The release.
            on_wait: Called once if another process holds the lock.
            needless: As for :func:`~orbitpkg.store.locks.locked`.

        Raises:
            LockTimeout: The process that holds the lock has made no progress for ``ORBITPKG_LOCK_TIMEOUT`` seconds (300
                by default).
            ReadOnlyStore: The user cannot write to the store.
            UsageError: The variable is not a number of seconds.
        """
        seconds = lock_seconds()
        waiting = locked(
            self.layout, f"{release.key}-{release.version}", seconds=seconds, on_wait=on_wait, needless=needless
        )
        with contextlib.ExitStack() as stack:
            with storage_errors(self.layout.locks):
                try:
                    held = stack.enter_context(waiting)
                except LockHeldError as error:
                    raise LockTimeout(
                        f"Another process has been installing {release.label} for more than {seconds:g} seconds, "
                        "and has made no progress.",
                        hint=f"Run the command again when it has finished, or set {_LOCK_VARIABLE} to wait longer.",
                    ) from error
            yield held

    def stage(self, release: Release, *, origin: str) -> Staging:
        """Return a folder to collect a release in, which starts with what an interrupted install left.

        Args:
            release: The release.
            origin: The address that it comes from.

        Raises:
            StorageError: The folder cannot be created.
        """
        with storage_errors(self.layout.tmp):
            tmp = self._open(self.layout.tmp, make=True)
            try:
                return create_staging(tmp, release, origin=origin)
            except BaseException:
                tmp.close()
                raise

    def offer_for_reuse(self, staging: Staging) -> None:
        """Let the next install of the release take over a staging folder and its files."""
        offer_for_reuse(staging)

    @contextlib.contextmanager
    def scratch_file(self) -> Iterator[tuple[Path, IO[bytes]]]:
        """Yield a new temporary file, which is deleted at the end. A process that has it open can still read it.

        Raises:
            StorageError: The file cannot be created or written.
        """
        with storage_errors(self.layout.tmp), self._open(self.layout.tmp, make=True) as tmp:
            path = Path(tmp.path, f"scratch-{secrets.token_hex(8)}")
            try:
                with path.open("xb") as file:
                    yield path, file
            finally:
                path.unlink(missing_ok=True)

    def discard(self, staging: Staging) -> None:
        """Delete a staging folder and its files."""
        discard(staging)

    def has_blob(self, file: FileEntry) -> bool:
        """Return whether a blob of a file's content exists. Its bytes are not checked."""
        if file.size < MIN_BLOB_BYTES:
            return False
        return os.path.exists(self.layout.blob(file.blake3, executable=file.executable))  # noqa: PTH110

    def link_blob(self, file: FileEntry, target: str) -> bool:
        """Create ``target`` from the blob of a file's content, if that blob exists and is intact.

        A damaged blob is deleted. Returns whether ``target`` was created.
        """
        try:
            with self._open_blobs(file, make=False) as folder:
                blob = f"{folder.path}/{_blob_name(file)}"
                # A blob may have been damaged by the disk, or changed by an app that ignored its read-only mode.
                if not _is_intact(blob, file):
                    os.unlink(blob)  # noqa: PTH108
                    return False
                make_folders(os.path.dirname(target))  # noqa: PTH120
                with contextlib.suppress(FileNotFoundError):  # left by an interrupted install
                    os.unlink(target)  # noqa: PTH108
                clone_or_link(blob, target)
            # Another user may have replaced the blob after it was read. In the staging folder, nobody can.
            if folder.exposed and not _is_intact(target, file):
                os.unlink(target)  # noqa: PTH108
                return False
        except (FileNotFoundError, PermissionError):  # No such blob, or another user has just created it.
            return False
        return True

    def keep_blob(self, file: FileEntry, path: str) -> None:
        """Share the content of a verified file with other releases, if that takes no space."""
        if file.size < MIN_BLOB_BYTES:
            return
        with storage_errors(self.layout.blobs), self._open_blobs(file, make=True) as folder:
            apply_shared_mode(path, inherited_mode(folder.path))
            with contextlib.suppress(FileExistsError):
                # A copy would take space for a file that no other release may ever need.
                clone_or_link(path, f"{folder.path}/{_blob_name(file)}", or_copy=False)

    def _open_blobs(self, file: FileEntry, *, make: bool) -> Anchor:
        return self._open(os.path.dirname(self.layout.blob(file.blake3, executable=False)), make=make)  # noqa: PTH120

    def commit(
        self,
        staging: Staging,
        compressed: bytes,
        contents: Contents,
        files: Sequence[FileEntry],
        *,
        installed: bool,
    ) -> Package:
        """Make a staged release visible.

        Args:
            staging: The staging folder.
            compressed: The compressed contents of the release, as published.
            contents: The parsed contents.
            files: The files that are staged and verified.
            installed: Whether the release was already visible, and these are files that were missing.

        Raises:
            IntegrityError: Another process has installed different contents as this version.
            StorageError: The store cannot be written, or the release was removed. The store is unchanged.
        """
        release = staging.release
        target = self.layout.release(release.key, release.version)
        with storage_errors(target):
            # Where locks have no effect, another process may have installed the release since this one looked.
            if installed or os.path.exists(f"{target}/{RECORD_NAME}"):  # noqa: PTH110
                with self._open_package(release, make=False) as parent:
                    add_files(staging, contents, files, parent)
            else:
                open_parent = partial(self._open_package, release, make=True)
                make_visible(staging, compressed, contents, files, open_parent=open_parent)
        return self._visible(release)

    def complete(self, release: Release, contents: Contents) -> Package:
        """Mark a release as complete, if all its files are installed.

        Raises:
            StorageError: The store cannot be written, or the release was removed.
        """
        with (
            storage_errors(self.layout.release(release.key, release.version)),
            self._open_package(release, make=False) as parent,
        ):
            mark_complete(release, contents, parent)
        return self._visible(release)

    def _open_package(self, release: Release, *, make: bool) -> Anchor:
        """Open the folder of a package's versions.

        Raises:
            StorageError: The release was removed, or another user put a link in the path.
        """
        try:
            return self._open(self.layout.package(release.key), make=make)
        except FileNotFoundError as error:
            raise StorageError(
                f"{release.label} was removed while it was being installed.", hint="Install it again."
            ) from error

    def _visible(self, release: Release) -> Package:
        package = open_package(self.layout, release.key, release.version)
        if package is None:
            raise StorageError(f"{release.label} was removed while it was being installed.", hint="Install it again.")
        return package

    def remove(self, key: str, version: Version) -> int:
        """Remove an installed release, and the blobs that only it uses.

        Returns the number of bytes freed. A process that has a file of the release open can still read it.

        Raises:
            NotInstalled: The release is not installed.
            StorageError: The store cannot be written. The release is still complete.
        """
        contents = self._contents_of(key, version)
        target = self.layout.release(key, version)
        with storage_errors(target):
            try:
                with (
                    self._open(self.layout.package(key)) as parent,
                    self._open(self.layout.tmp, make=True) as tmp,
                ):
                    trash = f"{tmp.path}/removed-{secrets.token_hex(8)}"
                    # The record is removed first, so that an interrupted removal leaves no release that looks
                    # installed.
                    remove_folder(f"{parent.path}/{version}", trash=trash, first=RECORD_NAME)
            except FileNotFoundError:
                raise NotInstalled(f"{key} {version} is not installed.", name=key) from None
            # The release is removed. What cannot be deleted now is left to garbage collection.
            with self._open(self.layout.packages) as packages, contextlib.suppress(OSError):
                os.rmdir(key, dir_fd=packages.descriptor)  # fails if it contains other versions
        return self._drop_blobs(contents) if contents else 0

    def _contents_of(self, key: str, version: Version) -> Contents | None:
        with contextlib.suppress(OrbitError):  # a damaged release can still be removed
            package = open_package(self.layout, key, version)
            return package.contents if package else None
        return None

    def _drop_blobs(self, contents: Contents) -> int:
        unshared = {(file.blake3, file.executable): file for file in contents.files}
        # There is no reference count that a crash could make wrong: what the other releases use is read from them.
        for name in installed_names(self.layout):
            for version in installed_versions(self.layout, name):
                others = self._contents_of(name, version)
                for file in others.files if others else ():
                    unshared.pop((file.blake3, file.executable), None)
        for file in unshared.values():
            with contextlib.suppress(OSError, StorageError), self._open_blobs(file, make=False) as folder:
                os.unlink(_blob_name(file), dir_fd=folder.descriptor)
        return sum(file.size for file in unshared.values())

    def verify(self, package: Package, *, progress: Callable[[int], None] | None = None) -> list[Finding]:
        """Hash the files of an installed release, and return those that differ from its record, by path.

        Args:
            package: The release.
            progress: Called with the number of bytes hashed since the last call.

        Raises:
            IntegrityError: The record or the contents are altered.
            StorageError: A file cannot be read.
        """
        return list_findings(package, progress=progress)

    def _open(self, path: str, *, make: bool = False) -> Anchor:
        return open_folder(self.layout, path, make=make)


def _blob_name(file: FileEntry) -> str:
    return f"{file.blake3}{'x' if file.executable else ''}"


def _is_intact(path: str, file: FileEntry) -> bool:
    status = os.lstat(path)
    return stat.S_ISREG(status.st_mode) and status.st_size == file.size and file_digest(path) == file.blake3


def lock_seconds() -> float:
    """Return how many seconds to wait for another process: ``ORBITPKG_LOCK_TIMEOUT``, or 300.

    Raises:
        UsageError: The variable is not a number of seconds.
    """
    text = os.environ.get(_LOCK_VARIABLE) or _LOCK_SECONDS
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < math.inf:
        message = f"{_LOCK_VARIABLE} must be a number of seconds, not {text!r}."
        raise UsageError(message, hint="Use a number such as 60, or 0 to fail at once.")
    return seconds
