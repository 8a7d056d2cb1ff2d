"""The size of the cache, and the removal of files from it, the least recently used first."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orbitpkg.remote.cache import Cache

__all__ = ["Pruned", "cache_bytes", "prune"]

# A younger file may belong to a download under way.
_WORK_SECONDS: Final = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Pruned:
    """The result of a prune.

    Attributes:
        files: The number of files removed.
        size: Their size in bytes.
        kept: The size of the remaining cache in bytes.
    """

    files: int
    size: int
    kept: int


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """The bytes of one digest, under all their file names."""

    digest: str
    paths: tuple[Path, ...]
    size: int
    used: float


def cache_bytes(cache: Cache) -> int:
    """Return the size of a cache in bytes, counting a content with several names once."""
    sizes = {(found.st_dev, found.st_ino): found.st_size for _, found in _files(cache.contents)}
    return sum(sizes.values())


def prune(
    cache: Cache,
    *,
    before: float | None = None,
    max_size: int | None = None,
    by_storing: bool = False,
    dry_run: bool = False,
) -> Pruned:
    """Remove files last used before a time, then the least recently used ones until the cache is small enough.

    Files whose path is open in a ``with`` block are kept.

    Args:
        cache: The cache.
        before: A time, in seconds since 1970.
        max_size: The maximum size of the remaining cache, in bytes.
        by_storing: Compare the time at which files were cached, not the time of their last use.
        dry_run: Only report what would be removed.

    Raises:
        OSError: The cache cannot be changed.
    """
    contents = sorted(_contents(cache, by_storing=by_storing), key=lambda content: content.used)
    left = sum(content.size for content in contents)
    removed = []
    for content in contents:
        is_old = before is not None and content.used < before
        if (is_old or (max_size is not None and left > max_size)) and not any(map(_in_use, content.paths)):
            removed.append(content)
            left -= content.size
    leftovers = _leftovers(cache, before)
    if not dry_run:
        _remove(cache, removed, leftovers)
    size = sum(content.size for content in removed) + sum(found for _, found in leftovers)
    return Pruned(files=len(removed) + len(leftovers), size=size, kept=left)


def _contents(cache: Cache, *, by_storing: bool) -> Iterator[_Content]:
    for folder in cache.contents.glob("*/*"):
        with contextlib.suppress(OSError):
            used = folder.stat().st_mtime
            files = list(_files(folder))
            if by_storing:
                used = max((found.st_mtime for _, found in files), default=used)
            yield _Content(
                digest=folder.name,
                paths=tuple(path for path, _ in files),
                size=max((found.st_size for _, found in files), default=0),
                used=used,
            )


def _remove(cache: Cache, contents: list[_Content], leftovers: list[tuple[Path, int]]) -> None:
    for path in [*(path for content in contents for path in content.paths), *(path for path, _ in leftovers)]:
        path.unlink(missing_ok=True)
    for content in contents:
        # The other names are hard links, or symbolic links that are broken by now.
        for link in cache.path_of(content.digest).glob("*"):
            link.unlink(missing_ok=True)
    # A record whose file is gone would make every later check of the object look for it.
    for entry in cache.entries():
        if not cache.path(entry).exists():
            cache.drop(entry)
    for name in ("content", "entries", "tmp", "changed"):
        for folder, _, _ in os.walk(cache.root / name, topdown=False):
            with contextlib.suppress(OSError):
                Path(folder).rmdir()


def _in_use(path: Path) -> bool:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a file system without locks
        return False
    finally:
        os.close(descriptor)
    return False


def _leftovers(cache: Cache, before: float | None) -> list[tuple[Path, int]]:
    """Find files of interrupted downloads and, with ``before``, changed files that were set aside."""
    limit = time.time() - _WORK_SECONDS
    found = [(path, state) for path, state in _files(cache.root / "tmp") if state.st_mtime < limit]
    if before is not None:
        found += [(path, state) for path, state in _files(cache.root / "changed") if state.st_mtime < before]
    return [(path, state.st_size) for path, state in found if not _in_use(path)]


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.rglob("*"):
        with contextlib.suppress(OSError):
            if path.is_file() and not path.is_symlink():
                yield path, path.stat()
