"""Garbage collection of a store: first finding what can be deleted, as a list to show, and then deleting it.

Always deleted: interrupted installs that were not resumed for a day, blobs of no installed release, journals of uploads
that were not resumed for a week, cached repository data that was unused for 90 days, and roots of lockfiles that no
longer exist. Old versions are deleted only if a policy asks for it.

Files of a running install are kept: the install holds a lock where locks work, its folder is younger than a day, and
its releases are among the roots. If none of this protects it, the install fails, but it never shows a damaged release,
because it verifies everything before the rename that makes it visible.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import re
import secrets
import time
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, NotInstalled, OrbitError, UsageError
from orbitpkg.files.atomic import remove_folder
from orbitpkg.files.errors import storage_errors
from orbitpkg.model.requirements import parse_range
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.store.folders import open_folder
from orbitpkg.store.layout import RECORD_NAME
from orbitpkg.store.locks import LockHeldError, locked
from orbitpkg.store.package import installed_names, installed_versions, open_package
from orbitpkg.store.processes import find_releases_in_use
from orbitpkg.store.roots import Roots, read_roots

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import timedelta

    from orbitpkg.files.anchors import Anchor
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Store

__all__ = ["Garbage", "GarbageKind", "Item", "Kept", "Policy", "collect", "find_garbage"]

_log = logging.getLogger("orbitpkg.store")

_HOUR = 3600.0
_DAY = 24 * _HOUR
_STAGING, _JOURNAL, _CACHE = _DAY, 7 * _DAY, 90 * _DAY
_DIGEST_DIGITS = 16
# Only files of these names are deleted. The home folder may hold files of others: it is a folder that users name.
_HIDDEN = re.compile(r"\.(?:orbitpkg-[0-9a-f]{24}\.tmp|new-[0-9a-f]{16})")
_TEMPORARY = re.compile(
    rf"(?:removed|scratch)-[0-9a-f]{{1,16}}|[^/_]+-[0-9a-f]{{16}}(?:_[0-9a-f]*){{0,6}}|{_HIDDEN.pattern}"
)
_BLOB_NAME = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}x?")
_JOURNAL_NAME = re.compile(r"[^/]+-[^/]+-[0-9a-f]{1,24}\.jsonl")
_CACHE_NAME = re.compile(
    r"index/[0-9a-f]{1,16}/[^/]+\.json|records/[0-9a-f]{2}/[0-9a-f]{64}\.json"
    r"|datasets/(?:[0-9a-f]{16}|files/[0-9a-f]{2})/.+|sync/[0-9a-f]{32}\.json"
    r"|remote/content/[0-9a-f]{2}/[0-9a-f]{64}/[^/]+|remote/entries/[0-9a-f]{2}/[0-9a-f]{64}/[^/]+\.json"
)
# A missing file, or a folder instead of it. Any other error does not show that the file is damaged.
_DAMAGED = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}


class GarbageKind(StrEnum):
    """The kinds of garbage."""

    RELEASE = "release"
    BLOB = "blob"
    STAGING = "unfinished install"
    UPLOAD = "unfinished upload"
    CACHE = "cache"
    ROOT = "root of a deleted lockfile"


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """The old versions to delete: those that meet every condition that is set. Without conditions, none.

    Attributes:
        keep_last: The number of newest versions to keep of each package; 1 if only other conditions are set.
        older_than: Delete only releases that were installed longer ago than this.
        max_size: Delete only until the store has at most this many bytes, the oldest installs first.
    """

    keep_last: int | None = None
    older_than: timedelta | None = None
    max_size: int | None = None

    @property
    def takes_releases(self) -> bool:
        """Whether any condition is set."""
        return not (self.keep_last is None and self.older_than is None and self.max_size is None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """A file, folder or release to delete.

    Attributes:
        kind: Its kind.
        name: ``NAME==VERSION`` for a release; otherwise the path relative to the home folder.
        size: The number of bytes that deleting it frees, without those that it shares with something that stays.
        seen: When it was last changed, in nanoseconds since 1970. It is kept if it changes later.
    """

    kind: GarbageKind
    name: str
    size: int
    seen: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An old version that the policy selects, but that is needed.

    Attributes:
        name: ``NAME==VERSION``.
        reason: What needs it.
    """

    name: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Garbage:
    """What can be deleted.

    Attributes:
        items: The garbage.
        kept: The selected old versions that are needed.
        size: The size of the store in bytes once the garbage is deleted.
    """

    items: tuple[Item, ...]
    kept: tuple[Kept, ...]
    size: int

    @property
    def freed(self) -> int:
        """The number of bytes that deleting all of it frees."""
        return sum(item.size for item in self.items)


def find_garbage(
    layout: Layout,
    policy: Policy,
    *,
    grace: float = _STAGING,
    now: float | None = None,
    in_use: Callable[[Layout], set[tuple[str, str]]] = find_releases_in_use,
) -> Garbage:
    """Find garbage. Changes nothing.

    Args:
        layout: The layout of the store.
        policy: The old versions to include.
        grace: How long files that may belong to a running install must have been unchanged, in seconds.
        now: The time in seconds since 1970; the current time by default.
        in_use: Returns the releases that processes have open.

    Raises:
        UsageError: The policy keeps a negative number of versions.
        IntegrityError: A root is damaged, so the releases that it protects are unknown.
        StorageError: The store cannot be read.
    """
    if policy.keep_last is not None and policy.keep_last < 0:
        raise UsageError(f"Cannot keep the last {policy.keep_last} versions.", hint="Specify 0 or more.")
    now = time.time() if now is None else now
    with storage_errors(layout.root):
        return _Search(layout, policy, grace=grace, now=now, in_use=in_use).run()


class _Search:
    def __init__(
        self,
        layout: Layout,
        policy: Policy,
        *,
        grace: float,
        now: float,
        in_use: Callable[[Layout], set[tuple[str, str]]],
    ) -> None:
        self._layout = layout
        self._policy = policy
        self._grace = grace
        self._now = now
        self._roots = _read_roots(layout, policy, now=now)
        self._in_use = in_use(layout) if policy.takes_releases else set()
        self._usage = _Usage()
        self._blobs: dict[str, set[tuple[str, Version]]] = defaultdict(set)
        self._blobs_of: dict[tuple[str, Version], set[str]] = defaultdict(set)
        self._removed: set[tuple[str, Version]] = set()
        self._removed_owners: set[object] = set()
        self._packages: dict[tuple[str, Version], Package] = {}
        self._installed: dict[tuple[str, Version], int] = {}

    def run(self) -> Garbage:
        self._scan()
        items = [*self._loose_blobs(), *self._unfinished(), *self._journals(), *self._cached(), *self._stale_roots()]
        # Caches and journals are outside of the store, so they do not count towards its size.
        inside = {GarbageKind.BLOB, GarbageKind.STAGING, GarbageKind.ROOT}
        size = self._usage.total - sum(item.size for item in items if item.kind in inside)
        releases, kept = self._old_releases(size)
        return Garbage(
            items=(*releases, *items), kept=tuple(kept), size=size - sum(release.size for release in releases)
        )

    def _scan(self) -> None:
        layout = self._layout
        for key in installed_names(layout):
            for version in installed_versions(layout, key):
                self._scan_release(key, version)
        for path, status in _files(layout.blobs):
            self._usage.add(("blob", os.path.basename(path)), status)  # noqa: PTH119
        for folder in (layout.tmp, layout.roots, layout.aside):
            for _, status in _files(folder):
                self._usage.add(("other", folder), status)

    def _scan_release(self, key: str, version: Version) -> None:
        layout, home = self._layout, self._layout.release(key, version)
        for _, status in _files(home):
            self._usage.add((key, version), status)
        try:
            package = open_package(layout, key, version)
            contents = package.contents if package else None
            installed = os.stat(f"{home}/{RECORD_NAME}").st_mtime_ns  # noqa: PTH116
        except FileNotFoundError:
            return  # removed in between
        except OrbitError as error:
            if isinstance(error.__cause__, OSError) and error.__cause__.errno not in _DAMAGED:
                raise
            return  # orbitpkg verify reports damaged releases
        if package is None or contents is None:
            return
        self._packages[key, version], self._installed[key, version] = package, installed
        for file in contents.files:
            blob = f"{file.blake3}{'x' if file.executable else ''}"
            self._blobs[blob].add((key, version))
            self._blobs_of[key, version].add(blob)

    # Always garbage.

    def _is_old(self, status: os.stat_result, seconds: float) -> bool:
        # A file that was linked or renamed keeps its modification time, but its change time is new.
        return self._now - max(status.st_mtime, status.st_ctime) >= seconds

    def _item(self, kind: GarbageKind, path: str, size: int, status: os.stat_result) -> Item:
        return Item(kind=kind, name=os.path.relpath(path, self._layout.home), size=size, seen=_seen(status))

    def _loose_blobs(self) -> Iterator[Item]:
        for path, status in _files(self._layout.blobs):
            name = os.path.basename(path)  # noqa: PTH119
            if not _BLOB_NAME.fullmatch(path[len(self._layout.blobs) + 1 :]):
                continue
            if name not in self._blobs and self._is_old(status, self._grace):
                yield self._item(GarbageKind.BLOB, path, self._usage.freed({("blob", name)}, besides=set()), status)

    def _unfinished(self) -> Iterator[Item]:
        for entry in self._entries_left_behind():
            try:
                files = [entry.stat(follow_symlinks=False), *(status for _, status in _files(entry.path))]
            except FileNotFoundError:
                continue
            newest = max(files, key=_seen)
            # A lock keeps a running install's staging folder, but nothing keeps a file that is being written elsewhere.
            is_staged = os.path.dirname(entry.path) == self._layout.tmp  # noqa: PTH120
            if self._is_old(newest, self._grace if is_staged else max(self._grace, _HOUR)):
                # A file with more links is also a blob or part of a release, so deleting this name frees nothing.
                size = sum(status.st_size for status in files[1:] or files if status.st_nlink == 1)
                yield self._item(GarbageKind.STAGING, entry.path, size, newest)

    def _entries_left_behind(self) -> Iterator[os.DirEntry[str]]:
        yield from (entry for entry in _entries(self._layout.tmp) if _TEMPORARY.fullmatch(entry.name))
        # Where a folder cannot be renamed, it is copied beside its target. A crash leaves the copy there.
        layout = self._layout
        folders = [layout.packages, layout.roots, layout.locks, layout.aside, layout.blobs]
        for parent in (layout.packages, layout.blobs):
            folders += [entry.path for entry in _entries(parent) if entry.is_dir(follow_symlinks=False)]
        for folder in folders:
            yield from (entry for entry in _entries(folder) if _HIDDEN.fullmatch(entry.name))

    def _journals(self) -> Iterator[Item]:
        folder = f"{self._layout.home}/uploads"
        for path, status in _files(folder):
            if _JOURNAL_NAME.fullmatch(path[len(folder) + 1 :]) and self._is_old(status, _JOURNAL):
                yield self._item(GarbageKind.UPLOAD, path, status.st_size, status)

    def _cached(self) -> Iterator[Item]:
        folder = f"{self._layout.home}/cache"
        for path, status in _files(folder):
            if not _CACHE_NAME.fullmatch(path[len(folder) + 1 :]):
                continue  # a user's file, or a draft that could not be uploaded
            # Where the file system records access times, a file that is still read is kept.
            if self._is_old(status, _CACHE) and self._now - status.st_atime >= _CACHE:
                yield self._item(GarbageKind.CACHE, path, status.st_size, status)

    def _stale_roots(self) -> Iterator[Item]:
        # Another garbage collection may have deleted the root already.
        for path in self._roots.stale:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(path)  # noqa: PTH116
                yield self._item(GarbageKind.ROOT, path, status.st_size, status)

    # Selected by the policy.

    def _old_releases(self, size: int) -> tuple[list[Item], list[Kept]]:
        left = sorted(self._candidates(), key=lambda release: (self._installed[release], release))
        kept = {release: reason for release in left if (reason := self._reason(release)) is not None}
        left = [release for release in left if release not in kept]
        staying = set(self._packages)
        items: list[Item] = []
        # Removing a release can make its dependencies removable, so the next one is searched after each removal.
        while (release := self._next(left, staying)) is not None:
            if self._policy.max_size is not None and size <= self._policy.max_size:
                break
            left.remove(release)
            staying.discard(release)
            freed = self._freed_with(release)
            size -= freed
            name = f"{release[0]}=={release[1]}"
            items.append(Item(kind=GarbageKind.RELEASE, name=name, size=freed, seen=self._installed[release]))
        else:
            kept |= {release: f"{user[0]}=={user[1]}" for release in left if (user := self._user(release, staying))}
        return items, [Kept(name=f"{key}=={version}", reason=why) for (key, version), why in sorted(kept.items())]

    def _candidates(self) -> Iterator[tuple[str, Version]]:
        policy = self._policy
        if not policy.takes_releases:
            return
        last = 1 if policy.keep_last is None else policy.keep_last
        before = (self._now - (policy.older_than.total_seconds() if policy.older_than else 0)) * 1e9
        by_name: dict[str, list[Version]] = defaultdict(list)
        for key, version in self._packages:
            by_name[key].append(version)
        for key, versions in by_name.items():
            for version in sorted(versions, reverse=True)[last:]:
                if policy.older_than is None or self._installed[key, version] < before:
                    yield key, version

    def _reason(self, release: tuple[str, Version]) -> str | None:
        if (release[0], str(release[1])) in self._in_use:
            return "a process that has one of its files open"
        return self._roots.needed.get(release)

    def _next(
        self, left: Iterable[tuple[str, Version]], staying: set[tuple[str, Version]]
    ) -> tuple[str, Version] | None:
        return next((release for release in left if self._user(release, staying) is None), None)

    def _user(self, release: tuple[str, Version], staying: set[tuple[str, Version]]) -> tuple[str, Version] | None:
        """Return a release that stays and depends on this one, if no other release that stays satisfies it."""
        key, version = release
        for other in sorted(staying):
            for name, text in self._packages[other].dependencies.items():
                if name.lower() != key and _key(name) != key:
                    continue
                allowed = parse_range(text)
                if allowed.allows(version) and not any(
                    allowed.allows(rival) for rival_key, rival in staying if rival_key == key and rival != version
                ):
                    return other
        return None

    def _freed_with(self, release: tuple[str, Version]) -> int:
        """Return the bytes that deleting a release frees after the earlier ones, with blobs that become unused."""
        self._removed.add(release)
        blobs = (name for name in self._blobs_of[release] if self._blobs[name] <= self._removed)
        return self._usage.freed({release, *(("blob", name) for name in blobs)}, besides=self._removed_owners)


def _key(name: str) -> str:
    from orbitpkg.model.names import canonical_name

    return canonical_name(name)


def _read_roots(layout: Layout, policy: Policy, *, now: float) -> Roots:
    try:
        return read_roots(layout, now=now)
    except IntegrityError as error:
        if policy.takes_releases:
            raise
        # Without a policy, no release is deleted, so it does not matter which ones the damaged root protects.
        _log.warning("%s", error)
        return Roots()


class _Usage:
    """The bytes that each owner uses. A file with several names is freed when the last one is deleted."""

    def __init__(self) -> None:
        self.total = 0
        self._alone: dict[object, int] = defaultdict(int)
        self._shared: dict[tuple[int, int], tuple[int, int, list[object]]] = {}
        self._of: dict[object, list[tuple[int, int]]] = defaultdict(list)

    def add(self, owner: object, status: os.stat_result) -> None:
        if status.st_nlink == 1:
            self.total += status.st_size
            self._alone[owner] += status.st_size
            return
        key = status.st_dev, status.st_ino
        if key not in self._shared:
            self.total += status.st_size
            self._shared[key] = status.st_size, status.st_nlink, []
        self._shared[key][2].append(owner)
        self._of[owner].append(key)

    def freed(self, owners: set[object], *, besides: set[object]) -> int:
        """Return the bytes that deleting some owners frees after those in ``besides``, and add them to these."""
        besides |= owners
        alone = sum(self._alone.get(owner, 0) for owner in owners)
        shared = {key for owner in owners for key in self._of.get(owner, ())}
        return alone + sum(
            size
            for size, links, holders in (self._shared[key] for key in shared)
            if sum(holder in besides for holder in holders) == links
        )


def _seen(status: os.stat_result) -> int:
    return max(status.st_mtime_ns, status.st_ctime_ns)


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return sorted(entries, key=lambda entry: entry.name)
    except (FileNotFoundError, NotADirectoryError, PermissionError):  # another user is just creating it
        return []


def _files(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    """Yield the files below a folder with their status. Files that vanish in between are skipped."""
    for entry in _entries(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _files(entry.path)
        else:
            with contextlib.suppress(FileNotFoundError):
                yield entry.path, os.lstat(entry.path)


# Deleting.


def collect(store: Store, garbage: Garbage) -> list[Item]:
    """Delete garbage, except what has changed since it was found. Returns what was deleted.

    Raises:
        StorageError: The store cannot be written.
    """
    return [item for item in garbage.items if _delete(store, item)]


def _delete(store: Store, item: Item) -> bool:
    if item.kind is GarbageKind.RELEASE:
        return _delete_release(store, item)
    path = f"{store.layout.home}/{item.name}"
    name = os.path.basename(path)  # noqa: PTH119
    with storage_errors(path):
        try:
            with open_folder(store.layout, os.path.dirname(path)) as folder:  # noqa: PTH120
                if item.kind is GarbageKind.STAGING:
                    return _delete_staging(store, folder, name, item.seen)
                if _seen(os.stat(name, dir_fd=folder.descriptor, follow_symlinks=False)) != item.seen:
                    return False
                os.unlink(name, dir_fd=folder.descriptor)
        except FileNotFoundError:
            return False
    return True


def _delete_release(store: Store, item: Item) -> bool:
    key, _, text = item.name.partition("==")
    version = parse_version(text)
    record = f"{store.layout.release(key, version)}/{RECORD_NAME}"
    # An install that started in between may use it.
    if (key, version) in read_roots(store.layout).needed:
        return False
    try:
        if os.stat(record).st_mtime_ns != item.seen:  # noqa: PTH116
            return False
        store.remove(key, version)
    except (FileNotFoundError, NotInstalled):
        return False
    return True


def _delete_staging(store: Store, folder: Anchor, name: str, seen: int) -> bool:
    path = f"{folder.path}/{name}"
    with _lock_of(store.layout, name) as is_free, open_folder(store.layout, store.layout.tmp, make=True) as tmp:
        statuses = [os.lstat(path), *(status for _, status in _files(path))]
        if not is_free or max(map(_seen, statuses)) != seen:
            return False
        # Renamed first: an install that looks for the folder finds all of it or nothing.
        away = f"{tmp.path}/removed-{secrets.token_hex(8)}"
        remove_folder(path, trash=away, durable=False)
        return not (os.path.lexists(path) or os.path.lexists(away))


@contextlib.contextmanager
def _lock_of(layout: Layout, name: str) -> Iterator[bool]:
    """Take the lock of the install that a folder is named for. Yields False if another process holds it."""
    label, _, digest = name.partition("_")[0].rpartition("-")
    if len(digest) != _DIGEST_DIGITS or not os.path.isdir(layout.locks):  # noqa: PTH112
        yield True
        return
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(locked(layout, label))
        except LockHeldError:
            yield False
            return
        yield True
