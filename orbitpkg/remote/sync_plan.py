"""The plan of a sync: a value, computed by a pure function before anything is changed.

One side of a sync is a local directory, the other the objects of a store. The base is the state of both after their
last sync. A path at the destination that differs from the base was edited there.

1. A path at the source is copied if the destination lacks it or has it unedited.
2. If the destination was edited or has no base, the path is a conflict and is left alone, unless both sides have the
   same bytes. With ``force``, the source wins. On upload, a file newer than an object without a base replaces it.
3. A path deleted at the source is deleted at the destination only with ``delete``, and only if it was not edited there.
   A path that exists only at the destination and has no base is a conflict then.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orbitpkg.objects.protocol import ObjectInfo

__all__ = [
    "Act",
    "Conflict",
    "Direction",
    "LocalFile",
    "Step",
    "SyncPlan",
    "Synced",
    "nanoseconds",
    "plain_etag",
    "plan_sync",
    "undecided",
]


class Direction(StrEnum):
    """The direction of a sync."""

    UP = "up"
    DOWN = "down"


class Act(StrEnum):
    """The action on a path."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    DELETE_OBJECT = "delete object"
    DELETE_FILE = "delete file"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """The size and time of a local file.

    Attributes:
        size: In bytes.
        mtime_ns: The modification time, in nanoseconds since 1970.
    """

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A path after a sync, when both sides had the same bytes.

    Attributes:
        size: The size of both, in bytes.
        mtime_ns: The file's modification time, in nanoseconds since 1970.
        etag: The object's ETag without quotes, if the store has one.
    """

    size: int
    mtime_ns: int
    etag: str | None

    def is_file(self, file: LocalFile) -> bool:
        """Return whether a file is unchanged since."""
        return (file.size, file.mtime_ns) == (self.size, self.mtime_ns)

    def is_object(self, info: ObjectInfo) -> bool:
        """Return whether an object is unchanged since."""
        return self.etag is not None and (info.size, plain_etag(info)) == (self.size, self.etag)


def plain_etag(info: ObjectInfo) -> str | None:
    """Return an object's ETag without quotes, which some stores omit in some answers."""
    return info.etag.strip('"') if info.etag else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One action of a plan.

    Attributes:
        act: The action.
        path: The path, relative to the directory.
        size: The number of bytes to transfer.
        replaces: Whether it replaces a file or an object.
    """

    act: Act
    path: str
    size: int = 0
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A path that is skipped, since syncing it could destroy an edit or is impossible.

    Attributes:
        path: The path.
        reason: The reason, as a clause.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan:
    """The plan of a sync.

    Attributes:
        steps: The actions, sorted by path; deletions last.
        conflicts: The paths to skip.
        same: Paths without a base whose contents were compared and are the same on both sides.
        unchanged: The number of paths that did not change since the last sync.
    """

    steps: tuple[Step, ...]
    conflicts: tuple[Conflict, ...]
    same: tuple[str, ...]
    unchanged: int

    @property
    def size(self) -> int:
        """The number of bytes to transfer."""
        return sum(step.size for step in self.steps)


def undecided(
    local: Mapping[str, LocalFile],
    remote: Mapping[str, ObjectInfo],
    base: Mapping[str, Synced],
    *,
    direction: Direction,
) -> dict[str, bool]:
    """Return the paths whose contents must be compared to plan the sync.

    Each value is whether the result must be certain. It is False where a wrong "different" only costs a transfer.
    """
    found = {}
    for path in local.keys() & remote.keys():
        if local[path].size != remote[path].size:
            continue
        known = base.get(path)
        edited = _edited(local, remote, known, path)
        if edited != (False, False):
            destination = edited[direction is Direction.UP]
            found[path] = known is None or destination
    return found


def _edited(
    local: Mapping[str, LocalFile], remote: Mapping[str, ObjectInfo], known: Synced | None, path: str
) -> tuple[bool, bool]:
    """Return whether the file and the object were edited; a missing one was not."""
    file = path in local and (known is None or not known.is_file(local[path]))
    info = path in remote and (known is None or not known.is_object(remote[path]))
    return file, info


def plan_sync(
    local: Mapping[str, LocalFile],
    remote: Mapping[str, ObjectInfo],
    base: Mapping[str, Synced],
    *,
    direction: Direction,
    same: Mapping[str, bool],
    delete: bool = False,
    force: bool = False,
) -> SyncPlan:
    """Plan a sync.

    Args:
        local: The files, by path.
        remote: The objects, by path.
        base: The state after the last sync, by path.
        direction: The direction.
        same: For each path that :func:`undecided` returned, whether both sides have the same bytes.
        delete: Whether to delete at the destination what was deleted at the source.
        force: Whether the source wins conflicts.
    """
    planner = _Planner(
        local=local, remote=remote, base=base, is_up=direction is Direction.UP, same=same, delete=delete, force=force
    )
    found = list(planner.run())
    steps = [row for row in found if isinstance(row, Step)]
    return SyncPlan(
        steps=tuple(sorted(steps, key=lambda step: (step.act in _DELETING, step.path))),
        conflicts=tuple(row for row in found if isinstance(row, Conflict)),
        same=tuple(planner.found_same),
        unchanged=planner.unchanged,
    )


_DELETING = (Act.DELETE_FILE, Act.DELETE_OBJECT)


@dataclass(slots=True, kw_only=True)
class _Planner:
    local: Mapping[str, LocalFile]
    remote: Mapping[str, ObjectInfo]
    base: Mapping[str, Synced]
    is_up: bool
    same: Mapping[str, bool]
    delete: bool
    force: bool
    found_same: list[str] = field(default_factory=list)
    unchanged: int = 0

    def run(self) -> Iterator[Step | Conflict]:
        for path in sorted(self.local.keys() | self.remote.keys()):
            row = self._decide(path)
            if row is not None:
                yield row

    def _decide(self, path: str) -> Step | Conflict | None:
        source, destination = (self.local, self.remote) if self.is_up else (self.remote, self.local)
        if path not in source:
            return self._destination_only(path)
        return self._both(path) if path in destination else self._copy(path, replaces=False)

    def _both(self, path: str) -> Step | Conflict | None:
        known = self.base.get(path)
        edited = _edited(self.local, self.remote, known, path)
        if edited == (False, False):
            self.unchanged += 1
            return None
        if self.same.get(path):
            self.found_same.append(path)
            return None
        if self.force or not edited[self.is_up]:
            return self._copy(path, replaces=True)
        if known is None:
            return self._both_without_base(path)
        where = "on both sides" if edited[not self.is_up] else "at the destination"
        return Conflict(path=path, reason=f"it was changed {where} since the last sync")

    def _both_without_base(self, path: str) -> Step | Conflict:
        modified = self.remote[path].modified
        if self.is_up and modified is not None and self.local[path].mtime_ns > nanoseconds(modified):
            return self._copy(path, replaces=True)
        found = "a newer object" if self.is_up else "a different file"
        return Conflict(path=path, reason=f"the destination has {found} that was never synced")

    def _destination_only(self, path: str) -> Step | Conflict | None:
        if not self.delete:
            return None
        known = self.base.get(path)
        edited = _edited(self.local, self.remote, known, path)[self.is_up]
        if self.force or not edited:
            return Step(act=Act.DELETE_OBJECT if self.is_up else Act.DELETE_FILE, path=path)
        if known is None:
            return Conflict(path=path, reason="it exists only at the destination and was never synced")
        return Conflict(path=path, reason="it was deleted at the source but changed at the destination")

    def _copy(self, path: str, *, replaces: bool) -> Step:
        act = Act.UPLOAD if self.is_up else Act.DOWNLOAD
        size = self.local[path].size if self.is_up else self.remote[path].size
        return Step(act=act, path=path, size=size, replaces=replaces)


def nanoseconds(time: datetime) -> int:
    """Convert a time to nanoseconds since 1970, as file systems store it."""
    delta = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 10**9 + delta.microseconds * 1000
