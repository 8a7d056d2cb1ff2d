"""What a sync does, decided before anything is done: a value, made by a pure function.

A sync has a source and a destination, a local folder and objects of a store; what was in step when they were last
synced is known as the base. What changed since at the destination is somebody's edit:

1. A path at the source goes to the destination if that lacks it, or has it as it was last in step.
2. Where the destination was edited, or nothing is known of what it has, that is a conflict, and nothing is written
   over, unless both hold the same bytes. ``force`` decides for the source. (Going up, a file that is younger than an
   object of which nothing is known goes over it.)
3. What the source lost since goes from the destination only with ``delete``, and only if it was not edited there; what
   is at the destination alone, and never was in step, is a conflict then.
"""

from __future__ import annotations

from dataclasses import dataclass
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
    """Which way a sync goes."""

    UP = "up"
    DOWN = "down"


class Act(StrEnum):
    """What is done with a path."""

    UPLOAD = "upload"
    DOWNLOAD = "download"
    DELETE_OBJECT = "delete object"
    DELETE_FILE = "delete file"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalFile:
    """What the disk says of a file.

    Attributes:
        size: In bytes.
        mtime_ns: When it was written, in nanoseconds since 1970.
    """

    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Synced:
    """A path as it was when both sides were last in step.

    Attributes:
        size: Of both, in bytes.
        mtime_ns: The file's.
        etag: The object's, without quotes; None where the store has none.
    """

    size: int
    mtime_ns: int
    etag: str | None

    def is_file(self, file: LocalFile) -> bool:
        """Say whether a file is still what it was."""
        return (file.size, file.mtime_ns) == (self.size, self.mtime_ns)

    def is_object(self, info: ObjectInfo) -> bool:
        """Say whether an object is still what it was."""
        return self.etag is not None and (info.size, plain_etag(info)) == (self.size, self.etag)


def plain_etag(info: ObjectInfo) -> str | None:
    """Give an object's ETag without quotes: some stores leave them out now and then."""
    return info.etag.strip('"') if info.etag else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One thing to do.

    Attributes:
        act: What.
        path: With which path, relative to the folder.
        size: How many bytes are moved.
        replaces: Whether there is something in its place.
    """

    act: Act
    path: str
    size: int = 0
    replaces: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Conflict:
    """A path that is left alone, because somebody's work could be lost.

    Attributes:
        path: Which.
        reason: Why, as the end of a sentence.
    """

    path: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncPlan:
    """What a sync does.

    Attributes:
        steps: In the order of the paths; deletions last.
        conflicts: What is left alone.
        same: Paths that hold the same bytes on both sides, which nobody knew.
        unchanged: How many paths are in step, as is known.
    """

    steps: tuple[Step, ...]
    conflicts: tuple[Conflict, ...]
    same: tuple[str, ...]
    unchanged: int

    @property
    def size(self) -> int:
        """How many bytes are moved."""
        return sum(step.size for step in self.steps)


def undecided(
    local: Mapping[str, LocalFile],
    remote: Mapping[str, ObjectInfo],
    base: Mapping[str, Synced],
    *,
    direction: Direction,
) -> dict[str, bool]:
    """Give the paths whose contents must be compared to know what to do.

    Each with whether the answer must be sure: False where a wrong "different" costs a transfer and nothing else.
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
    """Say whether a path was edited here, and there; a side that lacks it was not."""
    here = path in local and (known is None or not known.is_file(local[path]))
    there = path in remote and (known is None or not known.is_object(remote[path]))
    return here, there


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
        base: What was last in step, by path.
        direction: From where to where.
        same: Of the paths that :func:`undecided` names, whether both sides hold the same bytes.
        delete: Whether what the source lost is deleted.
        force: Whether the source wins conflicts.
    """
    planner = _Planner(local, remote, base, direction=direction, same=same, delete=delete, force=force)
    found = list(planner.run())
    steps = [row for row in found if isinstance(row, Step)]
    return SyncPlan(
        steps=tuple(sorted(steps, key=lambda step: (step.act in _DELETING, step.path))),
        conflicts=tuple(row for row in found if isinstance(row, Conflict)),
        same=tuple(planner.found_same),
        unchanged=planner.unchanged,
    )


_DELETING = (Act.DELETE_FILE, Act.DELETE_OBJECT)


class _Planner:
    def __init__(
        self,
        local: Mapping[str, LocalFile],
        remote: Mapping[str, ObjectInfo],
        base: Mapping[str, Synced],
        *,
        direction: Direction,
        same: Mapping[str, bool],
        delete: bool,
        force: bool,
    ) -> None:
        self._local = local
        self._remote = remote
        self._base = base
        self._up = direction is Direction.UP
        self._same = same
        self._delete = delete
        self._force = force
        self.found_same: list[str] = []
        self.unchanged = 0

    def run(self) -> Iterator[Step | Conflict]:
        for path in sorted(self._local.keys() | self._remote.keys()):
            row = self._decide(path)
            if row is not None:
                yield row

    def _decide(self, path: str) -> Step | Conflict | None:
        here, there = path in self._local, path in self._remote
        if here and there:
            return self._both(path)
        if here if self._up else there:
            return self._copy(path, replaces=False)
        return self._destination_only(path)

    def _both(self, path: str) -> Step | Conflict | None:
        known = self._base.get(path)
        edited = _edited(self._local, self._remote, known, path)
        if edited == (False, False):
            self.unchanged += 1
            return None
        if self._same.get(path):
            self.found_same.append(path)
            return None
        if self._force or not edited[self._up]:
            return self._copy(path, replaces=True)
        if known is None:
            return self._strangers(path)
        both = " and at the source" if edited[not self._up] else ""
        return Conflict(path=path, reason=f"it was changed {self._there}{both} since it was last synced")

    def _strangers(self, path: str) -> Step | Conflict:
        """Decide where two differ and nobody knows what they come from."""
        modified = self._remote[path].modified
        if self._up and modified is not None and self._local[path].mtime_ns > nanoseconds(modified):
            return self._copy(path, replaces=True)
        reason = "a younger object is there" if self._up else "another file is here"
        return Conflict(path=path, reason=f"{reason}, which was never synced")

    def _destination_only(self, path: str) -> Step | Conflict | None:
        if not self._delete:
            return None
        known = self._base.get(path)
        edited = _edited(self._local, self._remote, known, path)[self._up]
        if self._force or not edited:
            return Step(act=Act.DELETE_OBJECT if self._up else Act.DELETE_FILE, path=path)
        if known is None:
            return Conflict(path=path, reason=f"it is {self._there} alone, and was never synced")
        return Conflict(path=path, reason=f"it was deleted at the source, and changed {self._there}")

    def _copy(self, path: str, *, replaces: bool) -> Step:
        act = Act.UPLOAD if self._up else Act.DOWNLOAD
        size = self._local[path].size if self._up else self._remote[path].size
        return Step(act=act, path=path, size=size, replaces=replaces)

    @property
    def _there(self) -> str:
        return "there" if self._up else "here"


def nanoseconds(time: datetime) -> int:
    """Give a time as nanoseconds since 1970, as file systems have it."""
    delta = time - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 10**9 + delta.microseconds * 1000
