"""Changing what is in a store.

The order of every change: bytes into a folder under ``tmp`` → verified → synced → renamed into place → the folder
synced. Killed anywhere, a store holds what it held before or what it was to hold, and under ``tmp`` what the next
install can use. Locks only keep two processes from doing the same work: with locks that do nothing, everything still
holds.
"""

from __future__ import annotations

import contextlib
import errno
import math
import os
import secrets
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orbitpkg.errors import LockTimeout, StorageError, UsageError
from orbitpkg.store.condition import Finding, Flaw, file_digest, find_flaws
from orbitpkg.store.durable import clone_or_link, storage_errors, sync_files, sync_folder, write_file
from orbitpkg.store.layout import CONTENTS_NAME, FILES_NAME, ORIGIN_NAME, RECORD_NAME, STATE_NAME, Layout
from orbitpkg.store.package import Package, installed_packages, open_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from filelock import BaseFileLock

    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version

__all__ = ["MIN_BLOB_BYTES", "Finding", "Flaw", "Staging", "Store", "file_digest"]

MIN_BLOB_BYTES = 32 * 1024
"""Smaller files have no blob: a link costs as much as writing them, and 100,000 links a second's work."""

_LOCK_SECONDS = 300.0
_LOCK_VARIABLE = "ORBITPKG_LOCK_TIMEOUT"
_STATE = b'{"complete":false,"format":1}'


@dataclass(frozen=True, slots=True, kw_only=True)
class Staging:
    """A folder in which a release is made whole before anyone sees it.

    It is named for the release's digest, so that an install that was stopped finds its own work again.

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


class Store:
    """The store under one home folder.

    Args:
        home: What ``ORBITPKG_HOME`` names. Made when first written to, for this user alone.
    """

    def __init__(self, home: str | os.PathLike[str]) -> None:
        self.layout = Layout(home)

    def packages(self) -> list[Package]:
        """List what is installed, by name, oldest version first."""
        return installed_packages(self.layout)

    @contextlib.contextmanager
    def lock(self, release: Release, *, on_wait: Callable[[], None] | None = None) -> Iterator[None]:
        """Keep other processes from installing the same release meanwhile.

        Args:
            release: Which one.
            on_wait: Called once when another process holds the lock.

        Raises:
            LockTimeout: It was held for longer than ``ORBITPKG_LOCK_TIMEOUT`` says, in seconds; five minutes without.
            ReadOnlyStore: The store may not be written.
            UsageError: The variable is no number of seconds.
        """
        from filelock import FileLock, Timeout

        seconds = _lock_seconds()
        lock = FileLock(f"{self.layout.locks}/{release.key}-{release.version}.lock")
        with storage_errors(self.layout.locks):
            self._make_folder(self.layout.locks)
            try:
                _acquire(lock, seconds, on_wait)
            except Timeout as error:
                raise LockTimeout(
                    f"Another process has been installing {release} for {seconds:g} s.",
                    hint=f"Wait for it, or end it, and run the command again; {_LOCK_VARIABLE} says how long to wait.",
                ) from error
            except NotImplementedError:
                # No locks on this file system: two installs of one release do the work twice, and that is all.
                pass
        try:
            yield
        finally:
            lock.release()

    def stage(self, release: Release, *, origin: str) -> Staging:
        """Give the folder in which a release is made whole; what an earlier attempt left is still in it.

        Args:
            release: Which one.
            origin: The address it comes from.

        Raises:
            StorageError: It cannot be made.
        """
        folder = f"{self.layout.tmp}/{release.key}-{release.version}-{release.digest[:16]}"
        staging = Staging(release=release, origin=origin, folder=folder)
        with storage_errors(staging.folder):
            self._make_folder(self.layout.tmp)
            os.makedirs(staging.files, exist_ok=True)  # noqa: PTH103
        return staging

    @contextlib.contextmanager
    def scratch_file(self) -> Iterator[tuple[Path, IO[bytes]]]:
        """Give a new file to write to, which has no name any more when this is left; who opened it keeps it.

        Raises:
            StorageError: It cannot be made or written.
        """
        with storage_errors(self.layout.tmp):
            self._make_folder(self.layout.tmp)
            path = Path(self.layout.tmp, f"scratch-{secrets.token_hex(8)}")
            try:
                with path.open("xb") as file:
                    yield path, file
            finally:
                path.unlink(missing_ok=True)

    def discard(self, staging: Staging) -> None:
        """Delete a staging folder and all that is in it."""
        shutil.rmtree(staging.folder, ignore_errors=True)

    def has_blob(self, file: FileEntry) -> bool:
        """Say whether there seems to be a blob of a file's content; its bytes are not looked at."""
        if file.size < MIN_BLOB_BYTES:
            return False
        return os.path.exists(self.layout.blob(file.blake3, executable=file.executable))  # noqa: PTH110

    def adopt_blob(self, file: FileEntry, target: str) -> bool:
        """Make ``target`` from the blob of a file's content, if there is one and it still is that content.

        A blob that was altered is deleted. Returns whether ``target`` is there now.
        """
        blob = self.layout.blob(file.blake3, executable=file.executable)
        try:
            if os.stat(blob).st_size != file.size or file_digest(blob) != file.blake3:  # noqa: PTH116
                os.unlink(blob)  # noqa: PTH108
                return False
            os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
            with contextlib.suppress(FileNotFoundError):  # what an earlier attempt left
                os.unlink(target)  # noqa: PTH108
            clone_or_link(blob, target)
        except FileNotFoundError:
            return False
        return True

    def keep_blob(self, file: FileEntry, path: str) -> None:
        """Keep the content of a finished, verified file for other releases that hold the same."""
        if file.size < MIN_BLOB_BYTES:
            return
        blob = self.layout.blob(file.blake3, executable=file.executable)
        with storage_errors(blob):
            self._make_folder(os.path.dirname(blob))  # noqa: PTH120
            with contextlib.suppress(FileExistsError):
                clone_or_link(path, blob)

    def commit(
        self, staging: Staging, packed_contents: bytes, files: Sequence[FileEntry], *, complete: bool
    ) -> Package:
        """Make a staged release visible.

        Args:
            staging: Where it is.
            packed_contents: Its compressed contents, as they came.
            files: The files that are staged and verified.
            complete: Whether, with what is installed of it already, these are all files of the release.

        Raises:
            StorageError: The disk did not do it; the store is as it was.
        """
        release = staging.release
        target = self.layout.release(release.key, release.version)
        with storage_errors(target):
            if os.path.exists(f"{target}/{RECORD_NAME}"):  # noqa: PTH110
                self._add(staging, files, target, complete=complete)
            else:
                self._publish(staging, packed_contents, files, target, complete=complete)
        package = open_package(self.layout, release.key, release.version)
        if package is None:
            raise StorageError(f"{release} was removed while it was being installed.", hint="Install it again.")
        return package

    def _publish(
        self, staging: Staging, packed_contents: bytes, files: Sequence[FileEntry], target: str, *, complete: bool
    ) -> None:
        write_file(f"{staging.folder}/{RECORD_NAME}", staging.release.raw)
        write_file(f"{staging.folder}/{CONTENTS_NAME}", packed_contents)
        write_file(f"{staging.folder}/{ORIGIN_NAME}", staging.origin.encode())
        if not complete:
            write_file(f"{staging.folder}/{STATE_NAME}", _STATE)
        sync_files([staging.path(file) for file in files], folder=staging.folder)
        parent = os.path.dirname(target)  # noqa: PTH120
        self._make_folder(parent)
        try:
            os.rename(staging.folder, target)  # noqa: PTH104
        except OSError as error:
            # Another process was first, with locks that do nothing. What it installed is the same release.
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST} or not os.path.exists(f"{target}/{RECORD_NAME}"):  # noqa: PTH110
                raise
            self._add(staging, files, target, complete=complete)
        sync_folder(parent)

    def _add(self, staging: Staging, files: Sequence[FileEntry], target: str, *, complete: bool) -> None:
        sync_files([staging.path(file) for file in files], folder=staging.folder)
        folders = {f"{target}/{FILES_NAME}"}
        for file in files:
            place = f"{target}/{FILES_NAME}/{file.path}"
            folder = os.path.dirname(place)  # noqa: PTH120
            if folder not in folders:
                os.makedirs(folder, exist_ok=True)  # noqa: PTH103
                folders.add(folder)
            os.rename(staging.path(file), place)  # noqa: PTH104
        for folder in folders:
            sync_folder(folder)
        if complete:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{target}/{STATE_NAME}")  # noqa: PTH108
            sync_folder(target)
        self.discard(staging)

    def remove(self, key: str, version: Version) -> int:
        """Remove an installed release, and the blobs that no other one needs.

        Returns the number of bytes freed. Whoever has a file of it open keeps that file.

        Raises:
            StorageError: The store cannot be written; the release is still whole.
        """
        package = open_package(self.layout, key, version)
        contents = package.contents if package else None
        target = self.layout.release(key, version)
        with storage_errors(target):
            self._make_folder(self.layout.tmp)
            trash = f"{self.layout.tmp}/removed-{secrets.token_hex(8)}"
            os.rename(target, trash)  # noqa: PTH104
            sync_folder(os.path.dirname(target))  # noqa: PTH120
            with contextlib.suppress(OSError):  # other versions are in it
                os.rmdir(self.layout.package(key))  # noqa: PTH106
        freed = self._drop_blobs(contents) if contents else 0
        shutil.rmtree(trash, ignore_errors=True)
        return freed

    def _drop_blobs(self, contents: Contents) -> int:
        doomed = {(file.blake3, file.executable): file for file in contents.files}
        for package in self.packages():
            for file in package.contents.files:
                doomed.pop((file.blake3, file.executable), None)
        for file in doomed.values():
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.layout.blob(file.blake3, executable=file.executable))  # noqa: PTH108
        return sum(file.size for file in doomed.values())

    def verify(self, package: Package, *, progress: Callable[[int], None] | None = None) -> list[Finding]:
        """Hash the files of an installed release and say which are not as its record commits to, by path.

        Args:
            package: Which one.
            progress: Called with the number of bytes hashed since the last call.

        Raises:
            IntegrityError: The record or the contents themselves are altered.
            StorageError: A file cannot be read.
        """
        return find_flaws(package, progress=progress)

    def _make_folder(self, path: str) -> None:
        if not os.path.isdir(self.layout.home):  # noqa: PTH112
            os.makedirs(self.layout.home, mode=0o700, exist_ok=True)  # noqa: PTH103
        os.makedirs(path, exist_ok=True)  # noqa: PTH103


def _lock_seconds() -> float:
    said = os.environ.get(_LOCK_VARIABLE) or _LOCK_SECONDS
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < math.inf:
        raise UsageError(f"{_LOCK_VARIABLE}={said!r} is no number of seconds.", hint="Write it like 60; 0 waits not.")
    return seconds


def _acquire(lock: BaseFileLock, seconds: float, on_wait: Callable[[], None] | None) -> None:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        if on_wait:
            on_wait()
        lock.acquire(timeout=seconds)
