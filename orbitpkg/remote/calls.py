"""The calls of ``orbitpkg.remote``, over stores that stay open between them.

Connections are kept for as long as the process and its environment stay the same; everything else is looked at anew.
What the user should know (offline, a cache that takes nothing) goes to a reporter, or else to the logger
``orbitpkg.remote``, which shows warnings on stderr unless the program says otherwise.
"""

from __future__ import annotations

import logging
import os
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import IO, TYPE_CHECKING, Any

from orbitpkg.errors import UsageError
from orbitpkg.files.errors import disk_errors
from orbitpkg.files.tilde import expanded
from orbitpkg.model.quantities import parse_period, parse_size
from orbitpkg.remote.cache import Cache
from orbitpkg.remote.configuration import Configuration, read_configuration
from orbitpkg.remote.files import Paths, RemoteFiles, Stat
from orbitpkg.remote.pruning import Pruned, cache_bytes
from orbitpkg.remote.pruning import prune as prune_cache
from orbitpkg.remote.session import Session
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path

    from orbitpkg.objects.uris import Word
    from orbitpkg.remote.local import LocalPath
    from orbitpkg.reporting import Reporter, Task

__all__ = [
    "Told",
    "cache_size",
    "configuration",
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


class Told:
    """A reporter that writes what the user should know to the log."""

    def task(self, title: str, total: int | None) -> Task:
        """Begin a piece of work that nobody watches."""
        return SILENT.task(title, total)

    def note(self, message: str) -> None:
        """Warn."""
        _LOG.warning("%s", message)


_TOLD = Told()


def configuration(*, default: Path | None = None) -> Configuration:
    """Find out where the cache is, and who may read it.

    Args:
        default: The folder of the cache when nobody names one; ``cache/remote`` in the home folder when None.

    Raises:
        UsageError: A mode is none.
        StorageError: s3stasher's file cannot be read.
    """
    from orbitpkg.config.repositories import home

    return read_configuration(os.environ, default=default or home() / "cache" / "remote")


def files(*, reporter: Reporter | None = None, offline: bool = False, default: Path | None = None) -> RemoteFiles:
    """Give what all the calls below are made of, for the environment as it is now.

    Args:
        reporter: Told of what the user should know, and of how far a transfer is; the log when None.
        offline: Ask no store. ``ORBITPKG_OFFLINE`` says so for all.
        default: The folder of the cache when nobody names one.
    """
    from orbitpkg.config.repositories import home, is_offline

    said = tuple(sorted((name, value) for name, value in os.environ.items() if _matters(name)))
    offline = is_offline(said=offline)
    shared = _files(os.getpid(), said, _changed(), default or home() / "cache" / "remote", offline=offline)
    return shared if reporter is None else RemoteFiles(shared.session.telling(reporter))


@lru_cache(maxsize=4)
def _files(
    process: int, said: tuple[tuple[str, str], ...], changed: int, default: Path, *, offline: bool
) -> RemoteFiles:
    # A connection does not outlive a fork, nor the settings that it was made with.
    del process, said, changed
    found = configuration(default=default)
    cache = Cache(found.cache, file_mode=found.file_mode)
    return RemoteFiles(Session(cache, env=found.env, reporter=_TOLD, offline=offline))


def _matters(name: str) -> bool:
    return (
        name.startswith(("AWS_", "ORBITPKG_", "S3STASHER_", "SSL_"))
        or name.lower().endswith("_proxy")
        or name == "HOME"
    )


def _changed() -> int:
    """When s3stasher's file was changed; 0 where there is none."""
    path = expanded(os.environ.get("S3STASHER_ENV") or "~/.s3stasher.env")
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def local_path(
    uri: Word,
    *,
    max_age: timedelta | float | None = None,
    fresh: bool = True,
    version: str | None = None,
    verify: bool = False,
    force: bool = False,
    reporter: Reporter | None = None,
) -> LocalPath:
    """Give a local file with an object's bytes: the cached one if it is still the object's state.

    The path ends like the object's key. It may be entered: in a ``with`` block, ``prune`` leaves it alone. It is the
    cache's own file: copy it before you change it.

    Args:
        uri: The object, or a local path, which is given back.
        max_age: How old the store's word for it may be, in seconds or as a ``timedelta``; asks for nothing till then.
        fresh: Whether the store has to be asked. If not, whatever is cached is taken.
        version: Which version, in a bucket that keeps several.
        verify: Read the cached file whole and hold it against its digest, not only its size and time.
        force: Read the object again, whatever is cached.
        reporter: Told of what the user should know, and of how far the download is; the log when None.

    Raises:
        FileMissing: There is no such object (also a ``FileNotFoundError``).
        RepositoryError: The store cannot be asked, and the object is not cached.
        StorageError: Neither the cache nor the temporary folder takes it.
        UsageError: The URI is none.
    """
    return files(reporter=reporter).local_path(
        uri, max_age=max_age, fresh=fresh, version=version, verify=verify, force=force
    )


def open(  # noqa: A001 - the room's own word
    uri: Word,
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
) -> IO[Any]:
    """Open an object as the built-in ``open`` does a file.

    Reading takes the local file that ``local_path`` gives. Writing (``w``, or ``x`` to replace nothing) uploads when
    the file is closed; after an exception in its ``with`` block, or if nobody closes it, nothing is uploaded.

    Args:
        uri: The object, or a local path.
        mode: ``r``, ``w`` or ``x``, with ``b`` for bytes. A local path takes all modes.
        encoding: As for the built-in ``open``.
        errors: As for the built-in ``open``.
        newline: As for the built-in ``open``.
        max_age: As for ``local_path``.
        fresh: As for ``local_path``.
        version: As for ``local_path``.
        verify: As for ``local_path``.
        reporter: As for ``local_path``.

    Raises:
        FileMissing: There is no such object.
        UsageError: The URI or the mode is none.
        OrbitError: As for ``local_path`` and ``write``.
    """
    return files(reporter=reporter).open(
        uri,
        mode,
        encoding=encoding,
        errors=errors,
        newline=newline,
        max_age=max_age,
        fresh=fresh,
        version=version,
        verify=verify,
    )


def write(
    uri: Word,
    *,
    keep: bool = True,
    metadata: Mapping[str, str] | None = None,
    create_only: bool = False,
    reporter: Reporter | None = None,
) -> AbstractContextManager[Path]:
    """Give the path of a file to write, which becomes the object at the end of the ``with`` block.

    The path ends like the object's key. After an exception nothing is uploaded and nothing is left; if the upload
    itself fails, the error says where the file is kept.

    Args:
        uri: The object, or a local path, which is replaced whole.
        keep: Whether the file stays in the cache.
        metadata: What to say of the object beside its bytes.
        create_only: Do not replace one.
        reporter: Told of how far the upload is.

    Raises:
        FileMissing: Nothing was written.
        ObjectExists: There is one, which was not to be replaced.
        OfflineError: Offline mode is on.
        RepositoryError: The store did not take it.
        StorageError: There is no place for the file.
    """
    return files(reporter=reporter).write(uri, keep=keep, metadata=metadata, create_only=create_only)


def exists(uri: Word) -> bool:
    """Say whether there is such an object, or local file; without a connection, whether it is cached.

    Raises:
        RepositoryError: The store cannot be asked, and the object is not cached.
    """
    return files().exists(uri)


def stat(uri: Word, *, version: str | None = None) -> Stat:
    """Tell about an object, or a local file; without a connection, about what is cached.

    Raises:
        FileMissing: There is none.
        RepositoryError: The store cannot be asked, and the object is not cached.
    """
    return files().stat(uri, version=version)


def metadata(uri: Word) -> dict[str, str]:
    """Give what an object's writer said of it beside its bytes; nothing for a local file.

    Raises:
        FileMissing: There is none.
        RepositoryError: The store cannot be asked.
    """
    return files().metadata(uri)


def list(prefix: Word) -> Paths:  # noqa: A001 - the room's own word
    """List the URIs of all objects that begin with a text (``s3://bucket/dir/``), or the files below a local folder.

    Raises:
        RepositoryError: The store cannot be asked, or cannot list.
    """
    return files().list(prefix)


def copy(source: Word, target: Word, *, reporter: Reporter | None = None) -> None:
    """Copy an object or a file to another: inside one store by the store itself, else by way of this machine.

    Args:
        source: An object or a local file.
        target: Where to; one that ends in a slash, or is a local folder, takes it under its own name.
        reporter: Told of how far it is.

    Raises:
        FileMissing: There is no source.
        RepositoryError: A store did not do it.
        StorageError: The disk did not do it.
    """
    files(reporter=reporter).copy(source, target)


def move(source: Word, target: Word, *, reporter: Reporter | None = None) -> None:
    """Copy an object or a file, then delete it where it was; see ``copy``."""
    files(reporter=reporter).move(source, target)


def delete(uri: Word) -> None:
    """Delete an object or a local file, and forget what is cached of it; one that is not there is fine.

    Raises:
        RepositoryError: The store did not do it.
        StorageError: The disk did not do it.
    """
    files().delete(uri)


def cache_size() -> int:
    """Give how many bytes the cache holds."""
    return cache_bytes(files().session.cache)


def prune(
    *,
    older_than: timedelta | datetime | str | None = None,
    max_size: int | str | None = None,
    dry_run: bool = False,
) -> Pruned:
    """Make the cache smaller.

    Args:
        older_than: Remove what was last used before a time, or longer ago than a period (``"30d"``).
        max_size: Then remove what was used longest ago until no more bytes than these are left (``"50GB"``).
        dry_run: Only say what would go.

    Raises:
        UsageError: Neither is given, or a text is neither a period nor a time.
        StorageError: The cache cannot be changed.
    """
    if older_than is None and max_size is None:
        raise UsageError("Nothing says what to prune.", hint='Give older_than ("30d") or max_size ("50GB").')
    before = None if older_than is None else _moment(older_than)
    size = parse_size(max_size) if isinstance(max_size, str) else max_size
    cache = files().session.cache
    with disk_errors(cache.root):
        return prune_cache(cache, before=before, max_size=size, dry_run=dry_run)


def _moment(said: timedelta | datetime | str) -> float:
    """Give the time that is meant, in seconds since 1970; one without a zone is of this machine's."""
    if isinstance(said, str):
        try:
            return datetime.fromisoformat(said).timestamp()
        except ValueError:
            said = parse_period(said)
    if isinstance(said, timedelta):
        said = datetime.now(UTC) - said
    return said.timestamp()
