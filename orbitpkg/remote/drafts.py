"""Drafts: files being written that become an object, or replace a local file, once they are complete."""

from __future__ import annotations

import contextlib
import io
import os
import shutil
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from secrets import token_hex
from typing import IO, TYPE_CHECKING, Protocol

from orbitpkg.errors import FileMissing, ObjectExists, OfflineError, OrbitError, ReadOnlyRepository
from orbitpkg.files.atomic import HIDDEN, move_folder, publish_file, publish_new_file
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.remote.session import with_hint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from orbitpkg.remote.session import Location, Session

__all__ = ["Draft", "LocalDraft", "RemoteDraft", "draft_writer"]

_MAX_SUFFIX_BYTES = 100


class Draft(Protocol):
    """A file being written."""

    path: Path

    def commit(self) -> None:
        """Publish the file under its final name."""

    def discard(self) -> None:
        """Remove the file."""


class RemoteDraft:
    """A file that becomes an object.

    Args:
        session: The open stores and the cache.
        location: The address of the object.
        keep: Whether the file stays in the cache, as the object's current state.
        metadata: User metadata of the object.
        create_only: Fail if the object exists.

    Raises:
        OfflineError: Offline mode is on, so the file could not be uploaded.
        ReadOnlyRepository: The object belongs to a web server.
        StorageError: The file cannot be created.
    """

    def __init__(
        self,
        session: Session,
        location: Location,
        *,
        keep: bool = True,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
    ) -> None:
        self._session = session
        self._location = location
        self._keep = keep
        self._metadata = metadata
        self._create_only = create_only
        if session.offline:
            raise OfflineError(
                f"{location.uri} cannot be written in offline mode.",
                hint="Omit --offline, or unset ORBITPKG_OFFLINE.",
                uri=location.uri,
            )
        if location.store.startswith("http"):
            raise ReadOnlyRepository(
                f"{location.uri} cannot be written: web servers are read-only.",
                hint="Write to the bucket or the directory that the server publishes.",
                uri=location.uri,
            )
        self._folder = self._make_folder()
        self.path = self._folder / disk_path(location.name)

    def _make_folder(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(prefix="draft-", dir=self._session.cache.temporary_folder()))
        except OSError:
            self._keep = False
            with storage_errors(Path(tempfile.gettempdir()), USER_FILE):
                return Path(tempfile.mkdtemp(prefix="orbitpkg-"))

    def commit(self) -> None:
        """Upload the file.

        Raises:
            FileMissing: The file was never written.
            ObjectExists: The object exists, and ``create_only`` is set.
            RepositoryError: The upload failed; the hint contains the path of the file, which is kept.
        """
        if not self.path.is_file():
            self.discard()
            raise FileMissing(f"{self.path} was never written, so {self._location.uri} is unchanged.")
        session, location = self._session, self._location
        try:
            done = session.send(location, self.path, metadata=self._metadata, create_only=self._create_only)
        except ObjectExists:
            self.discard()
            raise
        except OrbitError as error:
            raise self._kept(error) from None
        # Some stores do not return the time of an upload.
        info = replace(done.info, modified=done.info.modified or datetime.now(UTC))
        if self._keep:
            with contextlib.suppress(OSError):
                session.cache.of(location.origin).keep(location.uri, info, self.path, done.blake3, name=location.name)
        self.discard()

    def _kept(self, error: OrbitError) -> OrbitError:
        """Move a file that was not uploaded to a directory that ``prune`` leaves alone; return the error to raise."""
        kept = self.path
        with contextlib.suppress(OSError):
            unsent = self._session.cache.folder("unsent") / token_hex(4)
            move_folder(self._folder, unsent)
            kept = unsent / self.path.name
        return with_hint(error, f"The file is kept in {kept}.", kept=str(kept))

    def discard(self) -> None:
        """Remove the file."""
        shutil.rmtree(self._folder, ignore_errors=True)


class LocalDraft:
    """A file that replaces a local file.

    Args:
        target: The path of the local file. Missing directories are created.
        create_only: Fail if the local file exists.
    """

    def __init__(self, target: Path, *, create_only: bool = False) -> None:
        self._target = target
        self._create_only = create_only
        with storage_errors(target, USER_FILE):
            if target.is_dir():
                raise IsADirectoryError(21, os.strerror(21), str(target))
            target.parent.mkdir(parents=True, exist_ok=True)
        # Many libraries choose the format by the suffixes, so the temporary name keeps them.
        suffixes = "".join(target.suffixes[-2:])
        if len(os.fsencode(suffixes)) > _MAX_SUFFIX_BYTES:
            suffixes = ""
        self.path = target.with_name(f"{HIDDEN}{token_hex(6)}{suffixes}")

    def commit(self) -> None:
        """Rename the file to its final path.

        Raises:
            FileMissing: The file was never written.
            ObjectExists: The local file exists, and ``create_only`` is set.
        """
        with storage_errors(self._target, USER_FILE):
            if not self.path.is_file():
                raise FileMissing(f"{self.path} was never written, so {self._target} is unchanged.")
            if not self._create_only:
                publish_file(self.path, self._target)
                return
            try:
                publish_new_file(self.path, self._target)
            except FileExistsError as error:
                raise ObjectExists(f"{self._target} already exists.", path=str(self._target)) from error

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


class _Raw(io.FileIO):
    """An unbuffered draft, which is committed when it is closed."""

    def __init__(self, draft: Draft) -> None:
        super().__init__(draft.path, "w")
        self._draft: Draft | None = draft

    def give_up(self) -> None:
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.discard()

    def close(self) -> None:
        if self.closed:
            return
        super().close()
        draft, self._draft = self._draft, None
        if draft is not None:
            draft.commit()


class _Binary(io.BufferedWriter):
    raw: _Raw

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.raw.give_up()
        self.close()

    def __del__(self) -> None:
        # The caller never closed the file, so it may be incomplete.
        if not self.closed:
            self.raw.give_up()
            self.close()


class _Text(io.TextIOWrapper):
    buffer: _Binary

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.buffer.raw.give_up()
        self.close()

    def __del__(self) -> None:
        if not self.closed:
            self.buffer.raw.give_up()
            self.close()


def draft_writer(
    draft: Draft, *, text: bool, encoding: str | None = None, errors: str | None = None, newline: str | None = None
) -> IO[str] | IO[bytes]:
    """Open a draft for writing. Closing the file commits the draft; an exception in its ``with`` block discards it.

    Raises:
        StorageError: The file cannot be created.
    """
    with storage_errors(draft.path, USER_FILE):
        binary = _Binary(_Raw(draft))
    if not text:
        return binary
    return _Text(binary, encoding=encoding, errors=errors, newline=newline)
