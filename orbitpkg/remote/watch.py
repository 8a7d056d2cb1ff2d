"""Uploading what appears in a folder while it appears: a robot keeps recording, and each file goes up once it is whole.

Nobody says when a file is whole. It is taken for that when its size and time have not changed for a while, by this
process's own observation, for clocks of file servers differ. The folder is looked at again and again: notifications of
the kernel do not tell of what other machines write to a network file system.

A store that does not answer ends nothing: what has to go up goes up when it answers again.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import CredentialsError, RepositoryUnreachable, StorageError, UsageError
from orbitpkg.objects.protocol import ObjectInfo
from orbitpkg.remote.sync_pair import open_configured, open_pair
from orbitpkg.remote.sync_plan import Act
from orbitpkg.remote.sync_trees import Filter, LocalTree, RemoteTree
from orbitpkg.remote.syncing import save_state, sync_trees
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.remote.sync_pair import Pair
    from orbitpkg.remote.sync_plan import LocalFile
    from orbitpkg.remote.syncing import SyncResult
    from orbitpkg.reporting import Reporter

__all__ = ["Settling", "Watch", "open_watch"]

_LONGEST_POLL: Final = 2.0
_REFRESH: Final = 300.0
_LONGEST_PAUSE: Final = 60.0
_RETRY: Final = 30.0
# What is in step is written down whole, which takes a while for a million files; lost, it is found out again.
_SAVE: Final = 30.0


class Settling:
    """Says which files have stopped changing.

    Args:
        seconds: For how long a file must have been seen unchanged.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, tuple[LocalFile, float]] = {}

    def observe(self, now: float, files: Mapping[str, LocalFile]) -> dict[str, LocalFile]:
        """Take note of what is there now, and give those that have not changed for long enough.

        Args:
            now: The time, in seconds, of a clock that only goes forward.
            files: What is there, by path.
        """
        self._since = {
            path: before if (before := self._since.get(path)) is not None and before[0] == file else (file, now)
            for path, file in files.items()
        }
        return {path: file for path, (file, since) in self._since.items() if now - since >= self._seconds}


def open_watch(
    source: PathOrUri,
    destination: PathOrUri,
    *,
    delete: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    settle: float = 5.0,
    opener: Callable[[str], ObjectStore] = open_configured,
) -> Watch:
    """Prepare to watch a local folder; arguments and errors are those of :func:`orbitpkg.remote.syncing.sync`.

    Args:
        source: The local folder.
        destination: The address that its files are uploaded to.
        delete: Delete objects whose files are deleted while this watches, or were since both were last in step.
        include: As for a sync.
        exclude: As for a sync.
        force: As for a sync.
        settle: For how many seconds a file must not have changed.
        opener: Opens the store of an address.
    """
    wanted = Filter(include, exclude)
    pair = open_pair(source, destination, opener=opener)
    if not pair.is_up or pair.only:
        pair.close()
        raise UsageError("Only a local folder can be watched.", hint="Give the folder first, then the address.")
    return Watch(pair, wanted, delete=delete, force=force, settle=settle)


@dataclass(slots=True)
class _Known:
    """What is known of the other side, without asking again and again."""

    files: dict[str, ObjectInfo] = field(default_factory=dict)
    at: float | None = None


class Watch:
    """A folder that is watched. :func:`open_watch` makes it.

    Args:
        pair: What is synced with what.
        wanted: Which paths.
        delete: As for a sync.
        force: As for a sync.
        settle: For how many seconds a file must not have changed.
        clock: Gives the time in seconds.
    """

    def __init__(
        self,
        pair: Pair,
        wanted: Filter,
        *,
        delete: bool,
        force: bool,
        settle: float,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._pair = pair
        self._wanted = wanted
        self._delete = delete
        self._force = force
        self._poll = min(settle / 2, _LONGEST_POLL)
        self._clock = clock
        self._settling = Settling(settle)
        self._known = _Known()
        # Those that are left alone until they change, and those that are tried again later.
        self._left: dict[str, LocalFile | None] = {}
        self._later: dict[str, float] = {}
        self._told: set[str] = set()
        self._saved = -_SAVE

    def close(self) -> None:
        """Let go of the store."""
        self._pair.close()

    def rounds(
        self, reporter: Reporter = SILENT, *, wait: Callable[[float], bool] | None = None
    ) -> Iterator[SyncResult]:
        """Watch until the wait says to stop, and give what each round came to that did anything.

        Args:
            reporter: Told what the user should know.
            wait: Waits some seconds; returns whether to stop. Without it, only an exception (Ctrl-C) stops.
        """
        try:
            yield from self._rounds(reporter, threading.Event().wait if wait is None else wait)
        finally:
            save_state(self._pair, reporter)

    def _rounds(self, reporter: Reporter, wait: Callable[[float], bool]) -> Iterator[SyncResult]:
        pause = self._poll
        while True:
            try:
                result = self._round(reporter)
            except (RepositoryUnreachable, CredentialsError, StorageError) as error:
                # A store that does not answer, a disk that went: both may come again.
                if pause == self._poll:
                    reporter.note(f"{error.message} What has to be uploaded is uploaded when it can be.")
                pause = min(max(1.0, 2 * pause), _LONGEST_PAUSE)
                self._known.at = None
            else:
                pause = self._poll
                if result is not None:
                    yield result
            if wait(pause):
                return

    def _round(self, reporter: Reporter) -> SyncResult | None:
        """Do what there is to do now; None when that is nothing."""
        now = self._clock()
        local = self._pair.scan(self._wanted)
        settled = self._settling.observe(now, local.files)
        remote = self._remote(now)
        ready = {path: file for path, file in settled.items() if self._is_due(path, file, remote, now)}
        gone = self._gone(local, remote)
        unusable = {path: why for path, why in local.unusable.items() if path not in self._told}
        if not ready and not gone and not unusable:
            return None
        self._told.update(unusable)
        there = {path: remote[path] for path in [*ready, *gone] if path in remote}
        result = sync_trees(
            self._pair,
            LocalTree(files=ready, unusable=unusable, links=local.links),
            RemoteTree(files=there),
            delete=self._delete,
            force=self._force,
            reporter=reporter,
        )
        self._learn(result, ready, now)
        if now - self._saved > _SAVE:
            save_state(self._pair, reporter)
            self._saved = now
        return result if result.done or not result.is_complete else None

    def _remote(self, now: float) -> dict[str, ObjectInfo]:
        if self._known.at is None or now - self._known.at > _REFRESH:
            self._known = _Known(files=self._pair.list(self._wanted).files, at=now)
        return self._known.files

    def _is_due(self, path: str, file: LocalFile, remote: Mapping[str, ObjectInfo], now: float) -> bool:
        if now < self._later.get(path, now) or self._left.get(path) == file:
            return False
        synced = self._pair.state.files.get(path)
        return synced is None or path not in remote or not synced.is_file(file)

    def _gone(self, local: LocalTree, remote: Mapping[str, ObjectInfo]) -> list[str]:
        """Give what was synced and has been deleted here; nothing where nothing at all is left, as without its disk."""
        if not self._delete or not local.seen:
            return []
        lost = (path for path in self._pair.state.files if path not in local.files and path in remote)
        return [path for path in lost if self._is_lost(path, local)]

    def _is_lost(self, path: str, local: LocalTree) -> bool:
        return self._wanted.takes(path) and path not in self._left and not local.hides(path)

    def _learn(self, result: SyncResult, ready: Mapping[str, LocalFile], now: float) -> None:
        for step in result.done:
            self._later.pop(step.path, None)
            self._left.pop(step.path, None)
            synced = self._pair.state.files.get(step.path)
            if step.act is Act.DELETE_OBJECT or synced is None:
                self._known.files.pop(step.path, None)
            else:
                key, etag = self._pair.key_of(step.path), synced.etag
                self._known.files[step.path] = ObjectInfo(key=key, size=synced.size, etag=etag, modified=None)
        for conflict in result.conflicts:
            self._left[conflict.path] = ready.get(conflict.path)
        for failed in result.failed:
            self._later[failed.path] = now + _RETRY
