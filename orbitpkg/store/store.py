"""Changing what is in a store.

The order of every change: bytes into a folder under ``tmp`` → verified → synced → renamed into place → the folder
synced. Killed anywhere, a store holds what it held before or what it was to hold, and under ``tmp`` what the next
install can use. Locks only keep two processes from doing the same work: with locks that do nothing, everything still
holds.
"""

from __future__ import annotations

import contextlib
import math
import os
import secrets
import shutil
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orbitpkg.errors import LockTimeout, NotInstalled, OrbitError, StorageError, UsageError
from orbitpkg.files.atomic import remove_folder
from orbitpkg.files.content import clone_or_link
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.folders import apply_shared_mode, inherited_mode, make_folders
from orbitpkg.store.condition import Finding, Flaw, file_digest, find_flaws
from orbitpkg.store.folders import make_folder
from orbitpkg.store.layout import RECORD_NAME, Layout
from orbitpkg.store.locks import locked
from orbitpkg.store.package import Package, installed_names, installed_packages, installed_versions, open_package
from orbitpkg.store.staging import Staging, abandon, add_files, claim, make_visible, mark_complete

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version

__all__ = ["MIN_BLOB_BYTES", "Finding", "Flaw", "Staging", "Store", "file_digest"]

MIN_BLOB_BYTES = 32 * 1024
"""Smaller files have no blob: a link costs as much as writing them, and 100,000 links a second's work."""

_LOCK_SECONDS = 300.0
_LOCK_VARIABLE = "ORBITPKG_LOCK_TIMEOUT"


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
        from filelock import Timeout

        seconds = _lock_seconds()
        label = f"{release.key}-{release.version}"
        with contextlib.ExitStack() as stack:
            with storage_errors(self.layout.locks):
                self._make_folder(self.layout.locks)
                try:
                    stack.enter_context(locked(self.layout, label, seconds=seconds, on_wait=on_wait))
                except Timeout as error:
                    raise LockTimeout(
                        f"Another process has been installing {release} for {seconds:g} s.",
                        hint=f"Wait for it, or end it, and run the command again; {_LOCK_VARIABLE} says how long.",
                    ) from error
            yield

    def stage(self, release: Release, *, origin: str) -> Staging:
        """Give a folder in which to make a release whole, with what an earlier attempt has left.

        Args:
            release: Which one.
            origin: The address it comes from.

        Raises:
            StorageError: It cannot be made.
        """
        with storage_errors(self.layout.tmp):
            self._make_folder(self.layout.tmp)
            return claim(self.layout.tmp, release, origin=origin)

    def abandon(self, staging: Staging) -> None:
        """Leave a staging folder, with what is in it, to the next install of the release."""
        abandon(staging)

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
            make_folders(os.path.dirname(target))  # noqa: PTH120
            with contextlib.suppress(FileNotFoundError):  # what an earlier attempt left
                os.unlink(target)  # noqa: PTH108
            clone_or_link(blob, target)
        except (FileNotFoundError, PermissionError):  # another user is about to make it readable
            return False
        return True

    def keep_blob(self, file: FileEntry, path: str) -> None:
        """Keep the content of a finished, verified file for other releases that hold the same, if it takes no space."""
        if file.size < MIN_BLOB_BYTES:
            return
        blob = self.layout.blob(file.blake3, executable=file.executable)
        with storage_errors(blob):
            folder = os.path.dirname(blob)  # noqa: PTH120
            self._make_folder(folder)
            apply_shared_mode(path, inherited_mode(folder))
            with contextlib.suppress(FileExistsError):
                clone_or_link(path, blob, or_copy=False)

    def commit(
        self,
        staging: Staging,
        packed: bytes,
        contents: Contents,
        files: Sequence[FileEntry],
        *,
        installed: bool,
    ) -> Package:
        """Make a staged release visible.

        Args:
            staging: Where it is.
            packed: Its compressed contents, as they came.
            contents: The same, understood.
            files: The files that are staged and verified.
            installed: Whether the release was visible already and these are files that it lacked.

        Raises:
            IntegrityError: Another process has installed something else under this version meanwhile.
            StorageError: The disk did not do it, or somebody removed the release; the store is as it was.
        """
        release = staging.release
        target = self.layout.release(release.key, release.version)
        with storage_errors(target):
            if installed or os.path.exists(f"{target}/{RECORD_NAME}"):  # noqa: PTH110
                add_files(staging, contents, files, target)
            else:
                make_visible(staging, packed, contents, files, target, make_folder=self._make_folder)
        return self._visible(release)

    def complete(self, release: Release, contents: Contents) -> Package:
        """Note that all files of a release are installed, if they are.

        Raises:
            StorageError: The disk did not do it, or somebody removed the release.
        """
        target = self.layout.release(release.key, release.version)
        with storage_errors(target):
            mark_complete(release, contents, target)
        return self._visible(release)

    def _visible(self, release: Release) -> Package:
        package = open_package(self.layout, release.key, release.version)
        if package is None:
            raise StorageError(f"{release} was removed while it was being installed.", hint="Install it again.")
        return package

    def remove(self, key: str, version: Version) -> int:
        """Remove an installed release, and the blobs that no other one needs.

        Returns the number of bytes freed. Whoever has a file of it open keeps that file.

        Raises:
            StorageError: The store cannot be written; the release is still whole.
        """
        contents = self._contents_of(key, version)
        target = self.layout.release(key, version)
        with storage_errors(target):
            self._make_folder(self.layout.tmp)
            trash = f"{self.layout.tmp}/removed-{secrets.token_hex(8)}"
            try:
                remove_folder(target, trash=trash, first=RECORD_NAME)
            except FileNotFoundError:
                raise NotInstalled(f"{key} {version} is not installed (any more).", name=key) from None
        # It is gone. What cannot be tidied away now is garbage, and no failure.
        with contextlib.suppress(OSError):  # other versions are in it
            os.rmdir(self.layout.package(key))  # noqa: PTH106
        return self._drop_blobs(contents) if contents else 0

    def _contents_of(self, key: str, version: Version) -> Contents | None:
        with contextlib.suppress(OrbitError):  # what is damaged, or gone, can be removed
            package = open_package(self.layout, key, version)
            return package.contents if package else None
        return None

    def _drop_blobs(self, contents: Contents) -> int:
        doomed = {(file.blake3, file.executable): file for file in contents.files}
        for name in installed_names(self.layout):
            for version in installed_versions(self.layout, name):
                others = self._contents_of(name, version)
                for file in others.files if others else ():
                    doomed.pop((file.blake3, file.executable), None)
        for file in doomed.values():
            with contextlib.suppress(OSError):
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
        make_folder(self.layout, path)


def _lock_seconds() -> float:
    said = os.environ.get(_LOCK_VARIABLE) or _LOCK_SECONDS
    try:
        seconds = float(said)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < math.inf:
        raise UsageError(f"{_LOCK_VARIABLE}={said!r} is no number of seconds.", hint="Write it like 60; 0 waits not.")
    return seconds
