"""s3stasher's class ``S3`` over ``orbitpkg.remote``: ``from orbitpkg.compat.s3stasher import S3``.

It behaves as the README and the docstrings of s3stasher 0.0.5 describe, with the same kinds of errors:
``FileNotFoundError``, ``ValueError``, and ``RuntimeError`` without a connection. Improvements: it detects a second
change within one second, checks the connection at each call instead of at import, keeps keys from escaping the cache,
and accepts local paths wherever a URI is accepted. The cache is ``~/.s3_cache/.orbitpkg``. Files that s3stasher itself
cached are neither used nor changed.
"""

from __future__ import annotations

import contextlib
import os
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from orbitpkg.errors import OrbitError, UsageError
from orbitpkg.objects.addresses import local_path_of
from orbitpkg.remote.calls import LoggingReporter, files
from orbitpkg.remote.pruning import cache_bytes, prune
from orbitpkg.remote.session import Reading, is_unreachable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Self

    from tqdm import tqdm

    from orbitpkg.remote.files import RemoteFiles
    from orbitpkg.reporting import Task

__all__ = ["S3"]

UriOrPath: TypeAlias = str | Path

_DEFAULT_CACHE: Final = "~/.s3_cache"
_STEP: Final = 1024.0


class S3:
    """The operations of s3stasher, all static methods."""

    @staticmethod
    @contextlib.contextmanager
    def s3open(
        uri_or_path: UriOrPath,
        force_download: bool = False,
        quiet: bool = False,  # noqa: ARG004 - s3stasher's own signature
        progress: bool = False,
        skip_local_file_checks: bool = False,
    ) -> Iterator[Path]:
        """Return the path of a local file with an object's bytes, or a local path itself.

        Args:
            uri_or_path: The object's URI, or a local path.
            force_download: Download the object even if it is cached.
            quiet: Has no effect, since nothing is printed.
            progress: Show a progress bar.
            skip_local_file_checks: Use a cached file without checking that it is current.

        Raises:
            FileNotFoundError: The object or the file does not exist.
            ValueError: An S3 URI was passed as a ``Path``.
            RuntimeError: The store is unreachable, and the object is not cached.
        """
        with _as_s3stasher():
            reading = Reading(force=force_download, fresh=not skip_local_file_checks)
            path = _files(progress=progress).local_path(uri_or_path, reading)
        with path:
            yield path

    @staticmethod
    @contextlib.contextmanager
    def s3write(
        uri_or_path: UriOrPath,
        keep_cache_file: bool = True,
        progress: bool = False,
    ) -> Iterator[Path]:
        """Return the path of a temporary file that is uploaded at the end of the block, or a local path itself.

        Args:
            uri_or_path: The object's URI, or a local path.
            keep_cache_file: Keep the file in the cache.
            progress: Show a progress bar.

        Raises:
            ValueError: An S3 URI was passed as a ``Path``.
            RuntimeError: The store is unreachable. The file is kept, and the message contains its path.
        """
        with _as_s3stasher():
            local = local_path_of(uri_or_path)
        if local is not None:
            yield local
            return
        with _as_s3stasher():
            draft = _files(progress=progress).draft(uri_or_path, keep=keep_cache_file)
        try:
            draft.path.touch()
            yield draft.path
        except BaseException:
            draft.discard()
            raise
        with _as_s3stasher():
            draft.commit()

    @staticmethod
    def s3list(prefix: str) -> list[str]:
        """List the URIs of all objects that begin with ``prefix``.

        Raises:
            RuntimeError: The store is unreachable.
            ValueError: The URI is invalid.
        """
        with _as_s3stasher():
            return _files().list(prefix)

    @staticmethod
    def s3exists(uri: UriOrPath) -> bool:
        """Return whether an object or a local file exists. Without a connection, the cache answers.

        Raises:
            RuntimeError: The store is unreachable, and the object is not cached.
            ValueError: An S3 URI was passed as a ``Path``.
        """
        with _as_s3stasher():
            return _files().exists(uri)

    @staticmethod
    def s3rm(uri: str) -> None:
        """Delete an object.

        Raises:
            RuntimeError: The store is unreachable.
        """
        with _as_s3stasher():
            _files().delete(uri)

    @staticmethod
    def s3cp(source_uri: str, destination_uri: str) -> None:
        """Copy an object to another URI.

        Raises:
            FileNotFoundError: The object does not exist.
            RuntimeError: A store is unreachable.
        """
        with _as_s3stasher():
            _files().copy(source_uri, destination_uri)

    @staticmethod
    def s3mv(source_uri: str, destination_uri: str) -> None:
        """Move an object to another URI.

        Raises:
            FileNotFoundError: The object does not exist.
            RuntimeError: A store is unreachable.
        """
        with _as_s3stasher():
            _files().move(source_uri, destination_uri)

    @staticmethod
    def cache_size() -> str:
        """Return the size of the cache in a readable form: ``12.50 MB``."""
        size = float(cache_bytes(_files().session.cache))
        if not size:
            return "0B"
        for unit in ("B", "KB", "MB", "GB", "TB"):
            if size < _STEP:
                return f"{size:.2f} {unit}"
            size /= _STEP
        return f"{size:.2f} PB"

    @staticmethod
    def prune_cache(older_than_date: str | datetime) -> None:
        """Remove the files that were cached before a date.

        Args:
            older_than_date: A ``datetime``, or a string in ISO format (``2023-01-01T12:00:00``).

        Raises:
            ValueError: The string is not a valid date.
        """
        if isinstance(older_than_date, str):
            try:
                older_than_date = datetime.fromisoformat(older_than_date)
            except ValueError as error:
                raise ValueError("older_than_date must be a valid ISO formatted date string.") from error
        prune(_files().session.cache, before=older_than_date.timestamp(), by_storing=True)


def _files(*, progress: bool = False) -> RemoteFiles:
    default = Path(os.path.expanduser(_DEFAULT_CACHE), ".orbitpkg")  # noqa: PTH111 - reads HOME at each call
    return files(reporter=_Bars() if progress else None, default=default)


@contextlib.contextmanager
def _as_s3stasher() -> Iterator[None]:
    """Translate orbitpkg's errors to the kinds that callers of s3stasher expect."""
    try:
        yield
    except OrbitError as error:
        if is_unreachable(error):
            raise RuntimeError(str(error)) from error
        if isinstance(error, UsageError):
            raise ValueError(str(error)) from error  # noqa: TRY004 - the kind that s3stasher raises
        raise


class _Bars(LoggingReporter):
    """A reporter that shows progress bars."""

    def task(self, title: str, total: int | None) -> Task:
        """Start a task with a progress bar."""
        from tqdm import tqdm

        return _Bar(tqdm(total=total, unit="B", unit_scale=True, unit_divisor=1024, desc=title.rpartition("/")[2]))


class _Bar:
    def __init__(self, bar: tqdm[Any]) -> None:
        self._bar = bar

    def advance(self, count: int) -> None:
        self._bar.update(count)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()
