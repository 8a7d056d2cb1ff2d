"""One-way sync between a local directory and the objects of a store.

A sync never overwrites an edit at the destination without ``force`` and never deletes without ``delete``. Paths that
cannot exist on the other side are reported. The rules are in :mod:`orbitpkg.remote.sync_plan`.

A path that did not change since the last sync takes no request and is not read, since the listing suffices.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import (
    CredentialsError,
    NoSpace,
    ObjectNotFound,
    OfflineError,
    OrbitError,
    ReadOnlyRepository,
    RepositoryNotFound,
    RepositoryUnreachable,
    StorageError,
)
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.files.sync import sync_files
from orbitpkg.remote.sameness import is_same
from orbitpkg.remote.sync_pair import open_configured, open_pair
from orbitpkg.remote.sync_plan import Act, Conflict, Synced, plain_etag, plan_sync, undecided
from orbitpkg.remote.sync_transfers import SMALL_BYTES, EditedError, Transfers
from orbitpkg.remote.sync_trees import Filter
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.remote.sync_pair import Pair
    from orbitpkg.remote.sync_plan import Step, SyncPlan
    from orbitpkg.remote.sync_trees import LocalTree, RemoteTree
    from orbitpkg.reporting import Reporter

__all__ = ["Failed", "SyncResult", "save_state", "sync", "sync_trees"]

T = TypeVar("T")

_AT_ONCE: Final = 16
# These errors concern the store or this machine and end a sync. All other errors concern one path.
_FINAL_ERRORS: Final = (CredentialsError, NoSpace, OfflineError, ReadOnlyRepository, RepositoryNotFound)
# A store that answers, but fails for this many paths in a row, fails for all of them.
_MAX_UNANSWERED: Final = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A path that failed to sync.

    Attributes:
        path: The path.
        error: The error.
    """

    path: str
    error: OrbitError


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """The result of a sync.

    Attributes:
        done: The steps that were executed; in a dry run, those that would be.
        conflicts: Paths that were skipped to protect edits at the destination.
        unusable: Paths of the source that cannot exist at the destination, with the reason.
        failed: Paths that failed.
        unchanged: The number of paths that were already the same on both sides.
    """

    done: tuple[Step, ...]
    conflicts: tuple[Conflict, ...]
    unusable: tuple[Conflict, ...]
    failed: tuple[Failed, ...]
    unchanged: int

    @property
    def is_complete(self) -> bool:
        """Whether the destination has everything that the source has."""
        return not (self.conflicts or self.unusable or self.failed)

    @property
    def size(self) -> int:
        """The number of bytes transferred."""
        return sum(step.size for step in self.done)


def sync(
    source: PathOrUri,
    destination: PathOrUri,
    *,
    delete: bool = False,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    force: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
    opener: Callable[[str], ObjectStore] = open_configured,
) -> SyncResult:
    """Copy new and changed files from a source to a destination, of which one is a local directory.

    The address of a directory means all objects whose keys begin with it and a slash. If the source is a single object
    or file, only that is copied: to the exact name given, or into a destination that ends in a slash.

    Args:
        source: The local directory, or the address of the objects.
        destination: The other of the two.
        delete: Delete files at the destination that were deleted at the source since the last sync.
        include: Sync only paths that match one of these patterns: ``*.csv`` matches names, ``data/**`` matches paths.
        exclude: Skip paths that match one of these patterns.
        force: Let the source win conflicts.
        dry_run: Change nothing.
        reporter: Receives notes and the progress.
        opener: Opens the store of an address.

    Raises:
        UsageError: An address or a pattern is invalid, or not exactly one side is local.
        ObjectNotFound: The source has no objects.
        StorageError: The local directory cannot be read, or the disk is full.
        RepositoryError: The store cannot be reached.
    """
    wanted = Filter(include, exclude)
    with closing(open_pair(source, destination, opener=opener)) as pair:
        local, remote = pair.scan(wanted), pair.list(wanted)
        if not force:
            _check_source(pair, local, remote, delete=delete)
        result = sync_trees(pair, local, remote, delete=delete, force=force, dry_run=dry_run, reporter=reporter)
        if not dry_run:
            _forget(pair, wanted, local.files, remote.files)
            save_state(pair, reporter)
        return result


def _check_source(pair: Pair, local: LocalTree, remote: RemoteTree, *, delete: bool) -> None:
    """Refuse an empty source that suggests a mistake: a misspelt name, or a disk that is not mounted."""
    if pair.is_up:
        if delete and not local.seen and pair.state.files:
            raise StorageError(
                f"{pair.local} is empty, so --delete would delete everything that was synced from it.",
                hint="Check that its disk is mounted. To delete everything, add --force.",
                path=pair.local,
            )
    elif not remote.seen and not pair.state.files:
        raise ObjectNotFound(f"No objects found at {pair.uri}.", hint="To list the bucket: orbitpkg remote ls")
    elif delete and not remote.seen:
        raise ObjectNotFound(
            f"No objects found at {pair.uri}, so --delete would delete everything that was synced from it.",
            hint="To delete everything, add --force.",
        )


def sync_trees(
    pair: Pair,
    local: LocalTree,
    remote: RemoteTree,
    *,
    delete: bool = False,
    force: bool = False,
    dry_run: bool = False,
    reporter: Reporter = SILENT,
) -> SyncResult:
    """Sync two sides whose contents are given; other arguments and errors are those of :func:`sync`.

    The pair's state is updated in memory, for the caller to save. After an interruption, this function saves it.
    """
    same = _compare(pair, local, remote, reporter)
    plan = plan_sync(
        local.files, remote.files, pair.state.files, direction=pair.direction, same=same, delete=delete, force=force
    )
    blocked = {} if pair.is_up else _blocked(plan, local)
    steps = [step for step in plan.steps if step.path not in blocked and not _is_hidden(step, local, remote)]
    if dry_run:
        done, failed, edited = list(steps), list[Failed](), list[Conflict]()
    else:
        _record_same(pair, plan, local, remote)
        _make_folders(pair, local, remote)
        done, failed, edited = _Run(pair, local, remote, reporter).do(steps)
    unusable = local.unusable if pair.is_up else remote.unusable
    return SyncResult(
        done=tuple(done),
        conflicts=(*plan.conflicts, *(Conflict(path=path, reason=why) for path, why in blocked.items()), *edited),
        unusable=tuple(Conflict(path=path, reason=why) for path, why in sorted(unusable.items())),
        failed=tuple(failed),
        unchanged=plan.unchanged + len(plan.same),
    )


def _record_same(pair: Pair, plan: SyncPlan, local: LocalTree, remote: RemoteTree) -> None:
    for path in plan.same:
        file, etag = local.files[path], plain_etag(remote.files[path])
        pair.state.files[path] = Synced(size=file.size, mtime_ns=file.mtime_ns, etag=etag)


def _compare(pair: Pair, local: LocalTree, remote: RemoteTree, reporter: Reporter) -> dict[str, bool]:
    wanted = undecided(local.files, remote.files, pair.state.files, direction=pair.direction)
    if not wanted:
        return {}
    with reporter.task("Comparing", sum(local.files[path].size for path in wanted)) as task:

        def compare(path: str) -> bool:
            try:
                return is_same(pair.store, remote.files[path], pair.root / disk_path(path), surely=wanted[path])
            except OrbitError as error:
                if _is_final(error):
                    raise
                return False  # the transfer reports the error, unless the path is a conflict anyway
            finally:
                task.advance(local.files[path].size)

        return _all_of({path: partial(compare, path) for path in sorted(wanted)})


def _all_of(works: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """Call functions in parallel; the first error stops all of them."""
    done: dict[str, T] = {}

    def do(path: str) -> None:
        done[path] = works[path]()

    with Pool(_AT_ONCE, "orbitpkg-sync") as pool:
        pool.run(partial(do, path) for path in works)
    return {path: done[path] for path in works}


def _is_final(error: OrbitError) -> bool:
    """Return whether an error ends the sync. A server that answered with a status may fail for one object alone."""
    if isinstance(error, RepositoryUnreachable):
        return error.data.get("status") is None
    return isinstance(error, _FINAL_ERRORS)


def _blocked(plan: SyncPlan, local: LocalTree) -> dict[str, str]:
    """Return the paths that cannot be written because a file is in the way of a directory, or the reverse."""
    found = {}
    for step in plan.steps:
        obstacle = "it is a directory at the destination" if step.path in local.folders else local.in_the_way(step.path)
        if obstacle is not None:
            found[step.path] = obstacle
    return found


def _is_hidden(step: Step, local: LocalTree, remote: RemoteTree) -> bool:
    """Return whether a step would delete a path that still exists at the source, but as something that cannot sync."""
    if step.act is Act.DELETE_OBJECT:
        return local.hides(step.path)
    return step.act is Act.DELETE_FILE and step.path in remote.unusable


def _make_folders(pair: Pair, local: LocalTree, remote: RemoteTree) -> None:
    if pair.is_up:
        return
    with storage_errors(pair.root, USER_FILE):
        pair.root.mkdir(parents=True, exist_ok=True)
        for folder in sorted(remote.folders - local.folders):
            # An empty directory that cannot be created is not worth a conflict.
            if folder not in local.files and local.in_the_way(folder) is None:
                (pair.root / disk_path(folder)).mkdir(parents=True, exist_ok=True)


class _Run:
    """Executes the steps of a plan: small files many at once, then large files one by one, each in parallel parts."""

    def __init__(self, pair: Pair, local: LocalTree, remote: RemoteTree, reporter: Reporter) -> None:
        self._pair = pair
        self._local = local
        self._remote = remote
        self._reporter = reporter
        self._done: list[Step] = []
        self._failed: list[Failed] = []
        self._edited: list[Conflict] = []
        self._unanswered = 0

    def do(self, steps: Sequence[Step]) -> tuple[list[Step], list[Failed], list[Conflict]]:
        if not steps:
            return [], [], []
        try:
            self._execute(steps)
        except BaseException:
            self._sync_downloads()
            save_state(self._pair, self._reporter)
            raise
        self._sync_downloads()
        order = {step.path: number for number, step in enumerate(steps)}
        self._done.sort(key=lambda step: order[step.path])
        return (
            self._done,
            sorted(self._failed, key=lambda row: row.path),
            sorted(self._edited, key=lambda row: row.path),
        )

    def _execute(self, steps: Sequence[Step]) -> None:
        title = f"Syncing to {self._pair.uri if self._pair.is_up else self._pair.local}"
        with self._reporter.task(title, sum(step.size for step in steps)) as task:
            transfers = Transfers(
                self._pair.store,
                self._pair.root,
                self._pair.key_of,
                local=self._local.files,
                remote=self._remote.files,
                progress=task.advance,
            )
            _all_of({step.path: partial(self._one, transfers, step) for step in steps if step.size <= SMALL_BYTES})
            for step in steps:
                if step.size > SMALL_BYTES:
                    self._one(transfers, step)

    def _sync_downloads(self) -> None:
        # A file that a power cut emptied must not look like an edit, which the next sync would upload.
        paths = [f"{self._pair.root}/{disk_path(step.path)}" for step in self._done if step.act is Act.DOWNLOAD]
        with storage_errors(self._pair.root, USER_FILE):
            sync_files(paths, folder=str(self._pair.root))

    def _one(self, transfers: Transfers, step: Step) -> None:
        try:
            synced = transfers.do(step)
        except EditedError as error:
            self._edited.append(Conflict(path=step.path, reason=str(error)))
        except OrbitError as error:
            self._unanswered = self._unanswered + 1 if isinstance(error, RepositoryUnreachable) else 0
            if _is_final(error) or self._unanswered == _MAX_UNANSWERED:
                raise
            self._failed.append(Failed(path=step.path, error=error))
        else:
            self._unanswered = 0
            self._done.append(step)
            if synced is None:
                self._pair.state.files.pop(step.path, None)
            else:
                self._pair.state.files[step.path] = synced


def _forget(pair: Pair, wanted: Filter, local: Iterable[str], remote: Iterable[str]) -> None:
    """Drop the state of paths that no longer exist on either side."""
    existing = {*local, *remote}
    for path in [path for path in pair.state.files if path not in existing and wanted.takes(path)]:
        del pair.state.files[path]


def save_state(pair: Pair, reporter: Reporter) -> None:
    """Save the state of a pair; if that fails, report it."""
    try:
        pair.state.save()
    except OSError as error:
        reporter.note(
            f"The state of the sync could not be saved ({error.strerror}). The next sync compares contents instead."
        )
