"""Bringing a local folder and objects of a store in step, one way: what the source has, the destination gets.

Nothing that somebody else changed at the destination is written over in silence, nothing is deleted unless that is
asked for, and what cannot be on the other side is told. :mod:`orbitpkg.remote.sync_plan` has the rules.

What is known of a path from the last time costs no request and no reading: of what is in step, the listing tells all.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final, TypeVar

from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import (
    AccessDenied,
    IntegrityError,
    NoSpace,
    ObjectChanged,
    ObjectNotFound,
    OrbitError,
    StorageError,
    TreeChanged,
)
from orbitpkg.files.durable import sync_files
from orbitpkg.files.errors import USER_FILE, storage_errors
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
# What is wrong with one path leaves the others alone; whatever else is raised ends the sync.
_ITS_OWN: Final = (AccessDenied, IntegrityError, ObjectChanged, ObjectNotFound, StorageError, TreeChanged)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A path that could not be synced.

    Attributes:
        path: Which.
        error: Why.
    """

    path: str
    error: OrbitError


@dataclass(frozen=True, slots=True, kw_only=True)
class SyncResult:
    """What a sync came to.

    Attributes:
        done: The steps that were done; in a dry run, those that would be.
        conflicts: What was left alone, because somebody's work could be lost.
        unusable: Paths of the source that the destination cannot hold, with the reason.
        failed: What could not be done.
        unchanged: How many paths were in step.
    """

    done: tuple[Step, ...]
    conflicts: tuple[Conflict, ...]
    unusable: tuple[Conflict, ...]
    failed: tuple[Failed, ...]
    unchanged: int

    @property
    def is_complete(self) -> bool:
        """Whether the destination has all that the source has."""
        return not (self.conflicts or self.unusable or self.failed)

    @property
    def size(self) -> int:
        """How many bytes were moved."""
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
    """Give a destination what a source has; one of the two is local, the other the address of objects.

    A folder is all objects whose keys begin with its address and a slash. An address or a path that names one object,
    or one file, is that alone: it goes to just the name that is given, or into the folder whose name ends in a slash.

    Args:
        source: Where from.
        destination: Where to.
        delete: Delete what the source lost since both were last in step.
        include: Patterns; only paths that match one of them. ``*.csv`` is about names, ``data/**`` about paths.
        exclude: Patterns; no path that matches one of them.
        force: Let the source win conflicts.
        dry_run: Change nothing.
        reporter: Told how far it is.
        opener: Opens the store of an address.

    Raises:
        UsageError: An address or a pattern cannot be read, or both sides are local, or none is.
        ObjectNotFound: There is nothing at the source.
        StorageError: The local folder cannot be read, or there is no space.
        RepositoryError: The store cannot be asked.
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
    """Refuse a source with nothing in it where that looks like a mistake: a wrong name, a disk that is not mounted."""
    if pair.is_up:
        if delete and not local.seen and pair.state.files:
            raise StorageError(
                f"{pair.local} holds no files, and --delete would delete all that was synced from it.",
                hint="Is its disk mounted? If it is meant: --force",
                path=pair.local,
            )
    elif not remote.seen and not pair.state.files:
        raise ObjectNotFound(f"There is nothing at {pair.uri}.", hint="orbitpkg remote ls shows what is where.")
    elif delete and not remote.seen:
        raise ObjectNotFound(
            f"There is nothing at {pair.uri}, and --delete would delete all that was synced from it.",
            hint="If it is meant: --force",
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
    """Sync two sides that were looked at; arguments and errors are those of :func:`sync`.

    What is in step afterwards is noted in the pair's state, also when this is interrupted; writing it down is the
    caller's, but for that case.
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
        for path in plan.same:
            file, etag = local.files[path], plain_etag(remote.files[path])
            pair.state.files[path] = Synced(size=file.size, mtime_ns=file.mtime_ns, etag=etag)
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


def _compare(pair: Pair, local: LocalTree, remote: RemoteTree, reporter: Reporter) -> dict[str, bool]:
    wanted = undecided(local.files, remote.files, pair.state.files, direction=pair.direction)
    if not wanted:
        return {}
    with reporter.task("Comparing", sum(local.files[path].size for path in wanted)) as task:

        def compare(path: str) -> bool:
            try:
                return is_same(pair.store, remote.files[path], pair.root / path, surely=wanted[path])
            except _ITS_OWN:
                return False  # what is wrong with it shows when it is to be moved, and a conflict does no harm
            finally:
                task.advance(local.files[path].size)

        return _all_of({path: partial(compare, path) for path in sorted(wanted)})


def _all_of(works: Mapping[str, Callable[[], T]]) -> dict[str, T]:
    """Do works in parallel; the first error ends them all."""
    done: dict[str, T] = {}

    def do(path: str) -> None:
        done[path] = works[path]()

    with Pool(_AT_ONCE, "orbitpkg-sync") as pool:
        pool.run(partial(do, path) for path in works)
    return {path: done[path] for path in works}


def _blocked(plan: SyncPlan, local: LocalTree) -> dict[str, str]:
    """Give the paths that cannot be written, since a file is where a folder must be, or the other way round."""
    found = {}
    for step in plan.steps:
        obstacle = "a folder is here in its place" if step.path in local.folders else local.in_the_way(step.path)
        if obstacle is not None:
            found[step.path] = obstacle
    return found


def _is_hidden(step: Step, local: LocalTree, remote: RemoteTree) -> bool:
    """Say whether a step would delete what only seems to be gone: what is there now just cannot be synced."""
    if step.act is Act.DELETE_OBJECT:
        return local.hides(step.path)
    return step.act is Act.DELETE_FILE and step.path in remote.unusable


def _make_folders(pair: Pair, local: LocalTree, remote: RemoteTree) -> None:
    if pair.is_up:
        return
    with storage_errors(pair.root, USER_FILE):
        pair.root.mkdir(parents=True, exist_ok=True)
        for folder in sorted(remote.folders - local.folders):
            # Where something is in the way, it stays: an empty folder is worth no conflict.
            if folder not in local.files and local.in_the_way(folder) is None:
                (pair.root / folder).mkdir(parents=True, exist_ok=True)


class _Run:
    """Does the steps of a plan: small ones many at once, large ones, each in parallel itself, one by one."""

    def __init__(self, pair: Pair, local: LocalTree, remote: RemoteTree, reporter: Reporter) -> None:
        self._pair = pair
        self._local = local
        self._remote = remote
        self._reporter = reporter
        self._done: list[Step] = []
        self._failed: list[Failed] = []
        self._edited: list[Conflict] = []

    def do(self, steps: Sequence[Step]) -> tuple[list[Step], list[Failed], list[Conflict]]:
        total = sum(step.size for step in steps)
        if not steps:
            return [], [], []
        title = f"Syncing to {self._pair.uri if self._pair.is_up else self._pair.local}"
        try:
            with self._reporter.task(title, total) as task:
                transfers = Transfers(
                    self._pair.store,
                    self._pair.root,
                    self._pair.key_of,
                    local=self._local.files,
                    remote=self._remote.files,
                    progress=task.advance,
                )
                small = {step.path: partial(self._one, transfers, step) for step in steps if step.size <= SMALL_BYTES}
                _all_of(small)
                for step in steps:
                    if step.size > SMALL_BYTES:
                        self._one(transfers, step)
        except BaseException:
            # What was done is known to the next run.
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

    def _sync_downloads(self) -> None:
        # A file that a power cut emptied must not look like an edit, which the next sync would upload.
        paths = [f"{self._pair.root}/{step.path}" for step in self._done if step.act is Act.DOWNLOAD]
        with storage_errors(self._pair.root, USER_FILE):
            sync_files(paths, folder=str(self._pair.root))

    def _one(self, transfers: Transfers, step: Step) -> None:
        try:
            synced = transfers.do(step)
        except EditedError as error:
            self._edited.append(Conflict(path=step.path, reason=str(error)))
        except NoSpace:
            raise
        except _ITS_OWN as error:
            self._failed.append(Failed(path=step.path, error=error))
        else:
            self._done.append(step)
            if synced is None:
                self._pair.state.files.pop(step.path, None)
            else:
                self._pair.state.files[step.path] = synced


def _forget(pair: Pair, wanted: Filter, local: Iterable[str], remote: Iterable[str]) -> None:
    """Drop what is known of paths that are on neither side any more."""
    there = {*local, *remote}
    for path in [path for path in pair.state.files if path not in there and wanted.takes(path)]:
        del pair.state.files[path]


def save_state(pair: Pair, reporter: Reporter) -> None:
    """Note what is in step, or say that it cannot be noted."""
    try:
        pair.state.save()
    except OSError as error:
        reporter.note(
            f"What is in step could not be noted ({error.strerror}): the next sync compares contents instead."
        )
