"""Choosing the releases that a project uses, and writing its lockfile."""

from __future__ import annotations

from orbitpkg.api.boundary import public
from orbitpkg.api.options import InstallOptions
from orbitpkg.config.repositories import home, is_offline, open_repositories, settings
from orbitpkg.errors import IntegrityError
from orbitpkg.escaping import shell_word

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orbitpkg.api.options import PathLike
    from orbitpkg.config.settings import ProjectFile
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.model.lockfile import Lock, LockedPackage
    from orbitpkg.model.release import Release
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.reporting import Reporter

__all__ = [
    "Locked",
    "choose_locked",
    "current_project",
    "lock",
    "open_source",
    "read_project_lock",
    "update_lock",
    "warn_unshared",
    "write_lock",
]


class Locked:
    """The result of locking.

    Attributes:
        path: The path of the lockfile.
        lock: Its content.
        changes: Name, old version and new version of each package that changed; None for a version that is absent.
        yanked: The number of releases that are now marked as yanked, and were not before.
        is_rewritten: Whether the content differs from before, even if only in what is yanked.
        warnings: Sentences for the user.
        unchecked: By package, the apps that its compatibility names and whose version is unknown.
    """

    __slots__ = ("changes", "is_rewritten", "lock", "path", "unchecked", "warnings", "yanked")

    def __init__(self, path: Path, lock: Lock, old: Lock | None) -> None:
        self.path = path
        self.lock = lock
        self.changes = _changes(old, lock)
        before = old.packages if old is not None else {}
        self.yanked = sum(
            package.yanked is not None and key in before and before[key].yanked is None
            for key, package in lock.packages.items()
        )
        self.is_rewritten = lock != old
        self.warnings: list[str] = []
        self.unchecked: dict[str, tuple[str, ...]] = {}


@public
def lock(
    *,
    upgrade: bool | Iterable[str] = False,
    repository: PathLike | None = None,
    apps: Sequence[str] = (),
    python: PathLike | None = None,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> Locked:
    """Choose the releases that the project uses, and write its lockfile.

    Locked versions stay as long as the requirements allow them.

    Args:
        upgrade: The packages to upgrade, or True for all.
        repository: The repository to use, as for :func:`orbitpkg.api.settings`.
        apps: ``NAME==VERSION`` of each app that will use the packages.
        python: The interpreter whose other apps count; the running interpreter when None.
        offline: Refuse the network; only cached indexes and records are used.
        reporter: Receives progress.

    Raises:
        ProjectError: There is no project, or its file is invalid.
        ResolutionError: No set of releases meets the requirements.
        IntegrityError: A locked release was replaced in its repository by another one of the same version.
    """
    from orbitpkg.reporting import SILENT

    options = InstallOptions(
        repository=repository, apps=tuple(apps), python=python, offline=offline, reporter=reporter or SILENT
    )
    return update_lock(options, upgrade=upgrade)


def update_lock(options: InstallOptions, *, upgrade: bool | Iterable[str] = False) -> Locked:
    """Do what :func:`lock` does, with its arguments as options."""
    from orbitpkg.config.editing import edit_lock

    with edit_lock(current_project().path):
        found = current_project()  # another process may have changed it while this one waited
        old = read_project_lock(found.folder)
        locked, _ = choose_locked(found.folder, found.document.requirements, old, _upgraded(upgrade, old), options)
        write_lock(locked)
    return locked


def read_project_lock(folder: Path) -> Lock | None:
    """Read the lockfile of a project; return None if it does not exist.

    Raises:
        LockfileError: It is invalid, or belongs to another user whom this user does not trust.
    """
    from orbitpkg.config.settings import check_lock_owner
    from orbitpkg.store.project import read_lock

    return read_lock(folder, check_owner=check_lock_owner)


def _upgraded(upgrade: bool | Iterable[str], old: Lock | None) -> set[str]:
    """Return the canonical names of the packages to upgrade."""
    from orbitpkg.errors import UsageError
    from orbitpkg.model.names import canonical_name, nearest

    packages = set(old.packages) if old is not None else set()
    if isinstance(upgrade, bool):
        return packages if upgrade else set()
    keys = {canonical_name(name): name for name in upgrade}
    for key, name in keys.items():
        if key not in packages:
            close = nearest(key, packages)
            hint = f"Did you mean {' or '.join(close)}?" if close else "To list the locked packages: orbitpkg tree"
            raise UsageError(f"{name} cannot be upgraded because it is not locked.", hint=hint)
    return set(keys)


def current_project() -> ProjectFile:
    """Return the project of the working directory.

    Raises:
        ProjectError: There is none, or its file is invalid.
    """
    from orbitpkg.config.discovery import PROJECT_NAME
    from orbitpkg.config.settings import find_project
    from orbitpkg.errors import ProjectError

    found = find_project()
    if found is None:
        raise ProjectError(
            f"No {PROJECT_NAME}, and no pyproject.toml with [tool.orbitpkg], was found in this directory or above it.",
            hint="To create a project: orbitpkg add NAME",
        )
    return found


def choose_locked(
    folder: Path,
    requirements: Sequence[Requirement],
    old: Lock | None,
    upgrade: set[str],
    options: InstallOptions,
) -> tuple[Locked, RepositorySource]:
    """Choose releases for a project without writing anything.

    Args:
        folder: The project's directory.
        requirements: The project's requirements.
        old: The lock whose versions are kept where possible.
        upgrade: The canonical names of packages whose locked versions are ignored.
        options: The other options.
    """
    from orbitpkg.config.apps import read_apps
    from orbitpkg.installer.sources import resolve_as_recorded
    from orbitpkg.model.lockfile import LOCK_NAME, Lock

    source = open_source(options.repository, offline=options.offline, reporter=options.reporter)
    before = old.packages if old is not None else {}
    prefer = {key: package.version for key, package in before.items() if key not in upgrade}
    apps = read_apps(options.apps, python=options.python)
    try:
        resolution = resolve_as_recorded(requirements, source, apps=apps, prefer=prefer)
    except IntegrityError as error:
        _name_locked(error, before)
        raise
    for key in resolution.releases:
        _refuse_lost(before.get(key), source)
    packages = [
        _locked(release, source.repositories.home(key).name, source.states(key, release.version))
        for key, release in resolution.releases.items()
    ]
    for package in packages:
        _refuse_replaced(before.get(package.key), package)
    if is_offline(requested=options.offline):
        # The cache may lack a release's status. What is unknown is assumed to be unchanged.
        packages = [_unless_the_same(before.get(package.key), package) for package in packages]
    locked = Locked(folder / LOCK_NAME, Lock(packages), old)
    locked.warnings = [line for package in packages for line in source.warnings(package.key, package.version)]
    locked.warnings += source.repositories.differences
    locked.unchecked = dict(resolution.unchecked)
    return locked, source


def warn_unshared(path: Path, repository: PathLike | None) -> list[str]:
    """Return a warning if a project's file names no repository and the user's own configuration supplies it."""
    from orbitpkg.config.home import user_config_file

    effect = settings(repository)
    if effect.source != user_config_file():
        return []
    commands = ", ".join(f"orbitpkg repo add {each.name} {shell_word(each.url)}" for each in effect.repositories)
    problem = f"{path.name} names no repository, so other people who work on this project do not know yours."
    return [f"{problem} Add it to the project: {commands}"]


def open_source(repository: PathLike | None, *, offline: bool, reporter: Reporter | None = None) -> RepositorySource:
    """Open the repositories in effect as a source of releases."""
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.store.store import Store

    return RepositorySource(open_repositories(repository, offline=offline, reporter=reporter), Store(home()), {})


def _locked(release: Release, repository: str, states: Mapping[str, str]) -> LockedPackage:
    from orbitpkg.model.lockfile import LockedPackage
    from orbitpkg.model.requirements import Requirement, parse_range

    return LockedPackage(
        name=release.name,
        version=release.version,
        digest=release.digest,
        size=release.archive.size,
        repository=repository,
        dependencies=[str(Requirement(name, parse_range(text))) for name, text in release.dependencies.items()],
        yanked=states.get("yanked"),
    )


def _unless_the_same(old: LockedPackage | None, new: LockedPackage) -> LockedPackage:
    return old if old is not None and old.is_same_release(new) else new


def _refuse_lost(old: LockedPackage | None, source: RepositorySource) -> None:
    """Raise an error if a locked release seems to be gone and only mirrors answered: they may lag behind."""
    home = source.repositories.home(old.key) if old is not None else None
    if old is None or home is None or home.name != old.repository:
        return
    repository = source.repositories.catalogue(home).repository
    if repository.outage is not None and old.version not in source.versions(old.key):
        raise repository.unreachable_error(f"{old.key} {old.version}") from repository.outage


def _name_locked(error: IntegrityError, before: Mapping[str, LockedPackage]) -> None:
    """Raise an error that names the lockfile, if a locked release was replaced."""
    for old in before.values():
        if (old.key, str(old.version), old.digest) == tuple(map(error.data.get, ("name", "version", "expected"))):
            raise _replaced_error(old, str(error.data["found"])) from error


def _refuse_replaced(old: LockedPackage | None, new: LockedPackage) -> None:
    if old is None or old.version != new.version or old.digest == new.digest or old.repository != new.repository:
        return
    raise _replaced_error(old, new.digest)


def _replaced_error(old: LockedPackage, found: str) -> IntegrityError:
    return IntegrityError(
        f"{old} in repository {old.repository} is not the release that is locked: its digest is {found}, but "
        f"orbit.lock expects {old.digest}.",
        hint="Published releases never change, so find out who replaced it. To accept the new release, delete its "
        "table from orbit.lock and run: orbitpkg lock",
        name=old.name,
        expected=old.digest,
        found=found,
    )


def _changes(old: Lock | None, new: Lock) -> list[tuple[str, str | None, str | None]]:
    before = old.packages if old is not None else {}
    changes: list[tuple[str, str | None, str | None]] = []
    for key in sorted({*before, *new.packages}):
        was, now = before.get(key), new.packages.get(key)
        if was is not None and now is not None and was.is_same_release(now):
            continue
        name = (now or was).name if now or was else key  # type: ignore[union-attr]
        changes.append((name, str(was.version) if was else None, str(now.version) if now else None))
    return changes


def write_lock(locked: Locked) -> None:
    """Write the lockfile if its content changed.

    Raises:
        StorageError: It cannot be written.
    """
    from orbitpkg.config.editing import write_text

    # Build tools compare times: an unchanged lockfile must keep its own.
    if locked.is_rewritten:
        write_text(locked.path, locked.lock.to_toml())
