"""The functions of ``orbitpkg.remote``, which share open stores between calls.

Connections are reused as long as the process and its settings stay the same. Notes for the user (no connection, a cache
that cannot be written) go to the caller's reporter. Without one, they go to the logger ``orbitpkg.remote``, and Python
prints its warnings on stderr unless the program configures logging.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Literal, TypeAlias, overload

from orbitpkg.config.remote import read_remote_settings, remote_settings_key
from orbitpkg.config.repositories import home, is_offline
from orbitpkg.errors import UsageError
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.model.quantities import parse_period, parse_size
from orbitpkg.remote.cache import Cache
from orbitpkg.remote.files import Paths, RemoteFiles, Stat
from orbitpkg.remote.pruning import Pruned, cache_bytes
from orbitpkg.remote.pruning import prune as prune_cache
from orbitpkg.remote.session import Reading, Session
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.remote.local import LocalPath
    from orbitpkg.reporting import Reporter, Task

__all__ = [
    "LoggingReporter",
    "cache_size",
    "copy",
    "delete",
    "exists",
    "files",
    "list",
    "local_path",
    "metadata",
    "move",
    "open",
    "prune",
    "stat",
    "write",
]

_LOG = logging.getLogger("orbitpkg.remote")


class LoggingReporter:
    """A reporter that logs notes as warnings and shows no progress."""

    def task(self, title: str, total: int | None) -> Task:
        """Start a task whose progress is not shown."""
        return SILENT.task(title, total)

    def note(self, message: str) -> None:
        """Log a warning."""
        _LOG.warning("%s", message)


_REPORTER = LoggingReporter()


def files(*, reporter: Reporter | None = None, offline: bool = False, default: Path | None = None) -> RemoteFiles:
    """Return the object behind all functions of this module, for the current environment.

    Args:
        reporter: Receives notes and the progress of transfers; the logger when None.
        offline: Contact no store. ``ORBITPKG_OFFLINE`` has the same effect.
        default: The directory of the cache when no variable names one.

    Raises:
        UsageError: A variable holds an invalid mode.
        StorageError: s3stasher's file cannot be read.
    """
    offline = is_offline(requested=offline)
    shared = _files(os.getpid(), remote_settings_key(), default or home() / "cache" / "remote", offline=offline)
    return shared if reporter is None else RemoteFiles(shared.session.with_reporter(reporter))


@lru_cache(maxsize=4)
def _files(process: int, key: tuple[object, ...], default: Path, *, offline: bool) -> RemoteFiles:
    # The first two are only keys of the cache: connections do not survive a fork or a change of settings.
    del process, key
    settings = read_remote_settings(default=default)
    cache = Cache(settings.cache, file_mode=settings.file_mode)
    return RemoteFiles(Session(cache, env=settings.env, reporter=_REPORTER, offline=offline))


def local_path(
    uri: PathOrUri,
    *,
    max_age: timedelta | float | None = None,
    fresh: bool = True,
    version: str | None = None,
    verify: bool = False,
    force: bool = False,
    reporter: Reporter | None = None,
) -> LocalPath:
    """Return the path of a local file with an object's bytes, downloading the object unless the cache is up to date.

    The file's name is the last part of the object's key. Use the path in a ``with`` block to keep ``prune`` from
    removing the file. The file belongs to the cache: copy it before you change it.

    Args:
        uri: The object, or a local path, which is returned as it is.
        max_age: The cached file is used without contacting the store if it was checked at most this long ago, in
            seconds or as a ``timedelta``.
        fresh: Whether to check for a newer state. If False, any cached state is used.
        version: The version to read, in a bucket with versioning.
        verify: Check the cached file's digest too, not only its size and modification time.
        force: Download the object even if it is cached.
        reporter: Receives notes and the progress of the download; the logger when None.

    Raises:
        FileMissing: The object does not exist (also a ``FileNotFoundError``).
        RepositoryError: The store cannot be reached, and the object is not cached.
        StorageError: Neither the cache nor the temporary directory can be written.
        UsageError: The URI is invalid.
    """
    reading = Reading(max_age=max_age, fresh=fresh, version=version, verify=verify, force=force)
    return files(reporter=reporter).local_path(uri, reading)


_TextMode: TypeAlias = Literal["r", "rt", "w", "wt", "x", "xt", "a", "at", "r+", "w+", "x+", "a+"]
_BinaryMode: TypeAlias = Literal["rb", "br", "wb", "bw", "xb", "bx", "ab", "ba", "rb+", "r+b", "wb+", "w+b"]


@overload
def open(  # noqa: A001
    uri: PathOrUri,
    mode: _TextMode = "r",
    *,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    max_age: timedelta | float | None = None,
    fresh: bool = True,
    version: str | None = None,
    verify: bool = False,
    reporter: Reporter | None = None,
) -> IO[str]: ...


@overload
def open(  # noqa: A001
    uri: PathOrUri,
    mode: _BinaryMode,
    *,
    max_age: timedelta | float | None = None,
    fresh: bool = True,
    version: str | None = None,
    verify: bool = False,
    reporter: Reporter | None = None,
) -> IO[bytes]: ...


def open(  # noqa: A001 - the public name, after the built-in
    uri: PathOrUri,
    mode: str = "r",
    *,
    encoding: str | None = None,
    errors: str | None = None,
    newline: str | None = None,
    max_age: timedelta | float | None = None,
    fresh: bool = True,
    version: str | None = None,
    verify: bool = False,
    reporter: Reporter | None = None,
) -> IO[str] | IO[bytes]:
    """Open an object as the built-in ``open`` opens a file.

    Reading opens the file that ``local_path`` returns. Writing (``w``, or ``x`` to replace nothing) uploads the file
    when it is closed. Nothing is uploaded after an exception in the ``with`` block, or if the file is never closed.

    Args:
        uri: The object, or a local path.
        mode: ``r``, ``w`` or ``x``, with ``b`` for bytes. For a local path, any mode.
        encoding: As for the built-in ``open``.
        errors: As for the built-in ``open``.
        newline: As for the built-in ``open``.
        max_age: As for ``local_path``.
        fresh: As for ``local_path``.
        version: As for ``local_path``.
        verify: As for ``local_path``.
        reporter: As for ``local_path``.

    Raises:
        FileMissing: The object does not exist.
        UsageError: The URI or the mode is invalid.
        OrbitError: As for ``local_path`` and ``write``.
    """
    reading = Reading(max_age=max_age, fresh=fresh, version=version, verify=verify)
    return files(reporter=reporter).open(uri, mode, encoding=encoding, errors=errors, newline=newline, reading=reading)


def write(
    uri: PathOrUri,
    *,
    keep: bool = True,
    metadata: Mapping[str, str] | None = None,
    create_only: bool = False,
    reporter: Reporter | None = None,
) -> AbstractContextManager[Path]:
    """Return the path of a new file that is uploaded as the object at the end of the ``with`` block.

    The file's name is the last part of the object's key. After an exception, the file is removed and nothing is
    uploaded. If the upload fails, the file is kept and the error's hint contains its path.

    Args:
        uri: The object, or a local path, which is replaced as a whole.
        keep: Whether the file stays in the cache.
        metadata: User metadata of the object.
        create_only: Fail if the object exists.
        reporter: Receives the progress of the upload.

    Raises:
        FileMissing: The file was never written.
        ObjectExists: The object exists, and ``create_only`` is set.
        OfflineError: Offline mode is on.
        RepositoryError: The upload failed.
        StorageError: The file cannot be created.
    """
    return files(reporter=reporter).write(uri, keep=keep, metadata=metadata, create_only=create_only)


def exists(uri: PathOrUri) -> bool:
    """Return whether an object or a local file exists. Without a connection, the cache answers.

    Raises:
        RepositoryError: The store cannot be reached, and the object is not cached.
    """
    return files().exists(uri)


def stat(uri: PathOrUri, *, version: str | None = None) -> Stat:
    """Return the size, the ETag and the times of an object or a local file. Without a connection, the cache answers.

    Raises:
        FileMissing: It does not exist.
        RepositoryError: The store cannot be reached, and the object is not cached.
    """
    return files().stat(uri, version=version)


def metadata(uri: PathOrUri) -> dict[str, str]:
    """Return the user metadata of an object; that of a local file is empty.

    Raises:
        FileMissing: The object does not exist.
        RepositoryError: The store cannot be reached.
    """
    return files().metadata(uri)


def list(prefix: PathOrUri) -> Paths:  # noqa: A001 - the public name
    """List the URIs of all objects with a prefix (``s3://bucket/dir/``), or the files below a local directory.

    Raises:
        RepositoryError: The store cannot be reached, or cannot list objects.
    """
    return files().list(prefix)


def copy(source: PathOrUri, target: PathOrUri, *, reporter: Reporter | None = None) -> None:
    """Copy an object or a file. Copies within a store are made by the store; others pass through this machine.

    Args:
        source: An object or a local file.
        target: The destination. If it ends in a slash or is a local directory, the source keeps its own name in it.
        reporter: Receives the progress.

    Raises:
        FileMissing: The source does not exist.
        RepositoryError: A store failed.
        StorageError: A file cannot be read or written.
    """
    files(reporter=reporter).copy(source, target)


def move(source: PathOrUri, target: PathOrUri, *, reporter: Reporter | None = None) -> None:
    """Copy an object or a file, then delete the source; see ``copy``."""
    files(reporter=reporter).move(source, target)


def delete(uri: PathOrUri) -> None:
    """Delete an object, with its records in the cache, or a local file. It need not exist.

    Raises:
        RepositoryError: The store failed.
        StorageError: The file cannot be deleted.
    """
    files().delete(uri)


def cache_size() -> int:
    """Return the size of the cache in bytes."""
    return cache_bytes(files().session.cache)


def prune(
    *,
    older_than: timedelta | datetime | str | None = None,
    max_size: int | str | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Remove files from the cache.

    Args:
        older_than: Remove files last used before this time, or longer ago than this period (``"30d"``).
        max_size: Then remove the least recently used files until the cache has at most this size, in bytes or as a
            text (``"50GB"``).
        dry_run: Only report what would be removed.

    Raises:
        UsageError: Neither criterion is given, or a text is neither a period nor a time.
        StorageError: The cache cannot be changed.
    """
    if older_than is None and max_size is None:
        raise UsageError("No prune criterion given.", hint='Set older_than ("30d") or max_size ("50GB").')
    before = None if older_than is None else _timestamp(older_than)
    size = parse_size(max_size) if isinstance(max_size, str) else max_size
    cache = files().session.cache
    with storage_errors(cache.root, USER_FILE):
        return prune_cache(cache, before=before, max_size=size, dry_run=dry_run)


def _timestamp(limit: timedelta | datetime | str) -> float:
    """Convert a time, or a period before now, to seconds since 1970; a time without a zone is local."""
    if isinstance(limit, str):
        try:
            return datetime.fromisoformat(limit).timestamp()
        except ValueError:
            limit = parse_period(limit)
    if isinstance(limit, timedelta):
        limit = datetime.now(UTC) - limit
    return limit.timestamp()
