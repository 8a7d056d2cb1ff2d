"""Continuous upload of the files that another program writes to a directory, each as soon as it is complete.

A file counts as complete when its size and time have not changed for a while. This process measures that time itself,
since the clocks of file servers differ. The directory is polled, since the kernel sends no notifications for files that
other machines write to a network file system.

If the store does not respond, the watch keeps running and uploads the files when the store responds again.
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
# Saving the state of a million files takes a while. Lost state is only compared again.
_SAVE: Final = 30.0


class Settling:
    """Finds the files that have stopped changing.

    Args:
        seconds: How long a file must stay unchanged.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._since: dict[str, tuple[LocalFile, float]] = {}

    def observe(self, now: float, files: Mapping[str, LocalFile]) -> dict[str, LocalFile]:
        """Record the current files, and return those that have not changed for long enough.

        Args:
            now: The time of a monotonic clock, in seconds.
            files: The current files, by path.
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
    """Prepare to watch a local directory; arguments and errors are those of :func:`orbitpkg.remote.syncing.sync`.

    Args:
        source: The local directory.
        destination: The address to upload its files to.
        delete: Delete the objects of files that were deleted since the last sync, or are deleted during the watch.
        include: As for a sync.
        exclude: As for a sync.
        force: As for a sync.
        settle: How long a file must stay unchanged before it is uploaded, in seconds.
        opener: Opens the store of an address.
    """
    wanted = Filter(include, exclude)
    pair = open_pair(source, destination, opener=opener)
    if not pair.is_up or pair.only:
        pair.close()
        raise UsageError("Only a local directory can be watched.", hint="Give the directory first, then the address.")
    return Watch(pair, wanted, delete=delete, force=force, settle=settle)


@dataclass(slots=True)
class _Known:
    """The objects as last listed, updated with every upload to avoid a listing in each round."""

    files: dict[str, ObjectInfo] = field(default_factory=dict)
    at: float | None = None


class Watch:
    """A watched directory. Made by :func:`open_watch`.

    Args:
        pair: The directory and the objects.
        wanted: The selection of paths.
        delete: As for a sync.
        force: As for a sync.
        settle: How long a file must stay unchanged, in seconds.
        clock: Returns the time in seconds.
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
        # Conflicts are skipped until their file changes. Failed paths are retried after a while.
        self._skipped: dict[str, LocalFile | None] = {}
        self._retry_at: dict[str, float] = {}
        self._reported: set[str] = set()
        self._saved = -_SAVE

    def close(self) -> None:
        """Close the store."""
        self._pair.close()

    def rounds(
        self, reporter: Reporter = SILENT, *, wait: Callable[[float], bool] | None = None
    ) -> Iterator[SyncResult]:
        """Watch the directory, and yield the result of each round that did anything.

        Args:
            reporter: Receives notes.
            wait: Waits some seconds and returns whether to stop. Without it, only an exception (Ctrl-C) stops.
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
                # The store may answer again, and the disk may be mounted again.
                if pause == self._poll:
                    reporter.note(f"{error.message} Uploads continue when the problem is solved.")
                pause = min(max(1.0, 2 * pause), _LONGEST_PAUSE)
                self._known.at = None
            else:
                pause = self._poll
                if result is not None:
                    yield result
            if wait(pause):
                return

    def _round(self, reporter: Reporter) -> SyncResult | None:
        """Sync what is due now; return None if nothing is."""
        now = self._clock()
        local = self._pair.scan(self._wanted)
        settled = self._settling.observe(now, local.files)
        remote = self._remote(now)
        ready = {path: file for path, file in settled.items() if self._is_due(path, file, remote, now)}
        deleted = self._deleted(local, remote)
        unusable = {path: why for path, why in local.unusable.items() if path not in self._reported}
        if not ready and not deleted and not unusable:
            return None
        self._reported.update(unusable)
        existing = {path: remote[path] for path in [*ready, *deleted] if path in remote}
        result = sync_trees(
            self._pair,
            LocalTree(files=ready, unusable=unusable, links=local.links),
            RemoteTree(files=existing),
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
        if now < self._retry_at.get(path, now) or self._skipped.get(path) == file:
            return False
        synced = self._pair.state.files.get(path)
        return synced is None or path not in remote or not synced.is_file(file)

    def _deleted(self, local: LocalTree, remote: Mapping[str, ObjectInfo]) -> list[str]:
        """Return the synced paths deleted since. An empty directory has none, since its disk may not be mounted."""
        if not self._delete or not local.seen:
            return []
        lost = (path for path in self._pair.state.files if path not in local.files and path in remote)
        return [path for path in lost if self._is_lost(path, local)]

    def _is_lost(self, path: str, local: LocalTree) -> bool:
        return self._wanted.takes(path) and path not in self._skipped and not local.hides(path)

    def _learn(self, result: SyncResult, ready: Mapping[str, LocalFile], now: float) -> None:
        for step in result.done:
            self._retry_at.pop(step.path, None)
            self._skipped.pop(step.path, None)
            synced = self._pair.state.files.get(step.path)
            if step.act is Act.DELETE_OBJECT or synced is None:
                self._known.files.pop(step.path, None)
            else:
                key, etag = self._pair.key_of(step.path), synced.etag
                self._known.files[step.path] = ObjectInfo(key=key, size=synced.size, etag=etag, modified=None)
        for conflict in result.conflicts:
            self._skipped[conflict.path] = ready.get(conflict.path)
        for failed in result.failed:
            self._retry_at[failed.path] = now + _RETRY
