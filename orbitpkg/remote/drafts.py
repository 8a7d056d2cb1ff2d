"""Files that are being written, to be an object, or take a local file's place, when they are done."""

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
from orbitpkg.files.atomic import HIDDEN, create_file, move_folder, publish_file
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.remote.session import retold

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    from orbitpkg.remote.session import Place, Session

__all__ = ["Draft", "LocalDraft", "RemoteDraft", "draft_writer"]


class Draft(Protocol):
    """What is being written."""

    path: Path

    def commit(self) -> None:
        """Show what was written under its name."""

    def discard(self) -> None:
        """Leave nothing of it."""


class RemoteDraft:
    """A file on its way to be an object.

    Args:
        session: What calls share.
        place: Of the object.
        keep: Whether the file stays in the cache, as the object's newest state.
        metadata: What to say of the object beside its bytes.
        create_only: Do not replace an object.

    Raises:
        OfflineError: No store may be asked: what would be written could not be sent.
        ReadOnlyRepository: It is a web server's.
        StorageError: There is no place for the file.
    """

    def __init__(
        self,
        session: Session,
        place: Place,
        *,
        keep: bool = True,
        metadata: Mapping[str, str] | None = None,
        create_only: bool = False,
    ) -> None:
        self._session = session
        self._place = place
        self._keep = keep
        self._metadata = metadata
        self._create_only = create_only
        if session.offline:
            raise OfflineError(
                f"{place.uri} cannot be written: offline mode is on.",
                hint="Leave out --offline, or unset ORBITPKG_OFFLINE.",
                uri=place.uri,
            )
        if place.store.startswith("http"):
            raise ReadOnlyRepository(
                f"{place.uri} cannot be written: a web server only serves what is there.",
                hint="Write to the bucket or the directory that it serves.",
                uri=place.uri,
            )
        self._folder = self._make_folder()
        self.path = self._folder / place.name

    def _make_folder(self) -> Path:
        try:
            return Path(tempfile.mkdtemp(prefix="draft-", dir=self._session.cache.workplace()))
        except OSError:
            self._keep = False
            with storage_errors(Path(tempfile.gettempdir()), USER_FILE):
                return Path(tempfile.mkdtemp(prefix="orbitpkg-"))

    def commit(self) -> None:
        """Upload the file.

        Raises:
            FileMissing: Nothing was written.
            ObjectExists: There is an object, which was not to be replaced.
            RepositoryError: The store did not take it; the message says where the file is kept.
        """
        if not self.path.is_file():
            self.discard()
            raise FileMissing(f"Nothing was written to {self.path}, so {self._place.uri} was not changed.")
        session, place = self._session, self._place
        try:
            done = session.send(place, self.path, metadata=self._metadata, create_only=self._create_only)
        except ObjectExists:
            self.discard()
            raise
        except OrbitError as error:
            raise self._kept(error) from error
        info = replace(done.info, modified=done.info.modified or datetime.now(UTC))
        if self._keep:
            with contextlib.suppress(OSError):
                session.cache.keep(place.uri, info, self.path, done.blake3, name=place.name)
        self.discard()

    def _kept(self, error: OrbitError) -> OrbitError:
        """Put what could not be sent where nothing removes it, and say so."""
        kept = self.path
        with contextlib.suppress(OSError):
            unsent = self._session.cache.folder("unsent") / token_hex(4)
            move_folder(self._folder, unsent)
            kept = unsent / self.path.name
        return retold(error, f"What was written is kept in {kept}.", kept=str(kept))

    def discard(self) -> None:
        """Remove the file."""
        shutil.rmtree(self._folder, ignore_errors=True)


class LocalDraft:
    """A file on its way to take another's place.

    Args:
        target: Its place; folders above it are made.
        create_only: Do not replace a file.
    """

    def __init__(self, target: Path, *, create_only: bool = False) -> None:
        self._target = target
        self._create_only = create_only
        with storage_errors(target, USER_FILE):
            if target.is_dir():
                raise IsADirectoryError(21, os.strerror(21), str(target))
            target.parent.mkdir(parents=True, exist_ok=True)
        self.path = target.with_name(f"{HIDDEN}{token_hex(6)}{''.join(target.suffixes[-2:])}")

    def commit(self) -> None:
        """Rename the file to its place.

        Raises:
            FileMissing: Nothing was written.
            ObjectExists: There is a file, which was not to be replaced.
        """
        with storage_errors(self._target, USER_FILE):
            if not self.path.is_file():
                raise FileMissing(f"Nothing was written to {self.path}, so {self._target} was not changed.")
            if not self._create_only:
                publish_file(self.path, self._target)
                return
            try:
                create_file(self.path, self._target)
            except FileExistsError as error:
                raise ObjectExists(f"{self._target} exists already.", path=str(self._target)) from error
            finally:
                self.path.unlink()

    def discard(self) -> None:
        """Remove the file."""
        self.path.unlink(missing_ok=True)


class _Raw(io.FileIO):
    """The bytes of a draft, which is committed when they are closed."""

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
        # Nobody closed it: it may be half of what was to be written.
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
    """Open a draft; closing the file commits it, an exception in its ``with`` block discards it.

    Raises:
        StorageError: It cannot be written.
    """
    with storage_errors(draft.path, USER_FILE):
        binary = _Binary(_Raw(draft))
    if not text:
        return binary
    return _Text(binary, encoding=encoding, errors=errors, newline=newline)
