"""Choosing the releases that a project uses, and writing them down."""

from __future__ import annotations

from orbitpkg.config.repositories import home, is_offline, open_repositories, settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from orbitpkg.config.settings import ProjectFile
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.model.lockfile import Lock, LockedPackage
    from orbitpkg.model.release import Release
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.reporting import Reporter

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["Locked", "choose", "current_project", "lock", "open_source", "unshared", "write_lock"]


class Locked:
    """What locking came to.

    Attributes:
        path: The lockfile.
        lock: What it says.
        changes: Name, version before and version now of each package that changed; None where there is none.
        is_rewritten: Whether it says anything else than before, be it only what was yanked.
        warnings: What one should know; a sentence each.
        unchecked: Apps of unknown version that a release names in its compatibility, by package.
    """

    __slots__ = ("changes", "is_rewritten", "lock", "path", "unchecked", "warnings")

    def __init__(self, path: Path, lock: Lock, old: Lock | None) -> None:
        self.path = path
        self.lock = lock
        self.changes = _changes(old, lock)
        self.is_rewritten = lock != old
        self.warnings: list[str] = []
        self.unchecked: dict[str, tuple[str, ...]] = {}


def lock(
    *,
    upgrade: bool | Iterable[str] = False,
    repository: PathLike | None = None,
    apps: Sequence[str] = (),
    python: PathLike | None = None,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> Locked:
    """Choose the releases that the project uses, and write them down.

    What is locked stays as far as the requirements allow.

    Args:
        upgrade: Choose these packages anew, or all of them.
        repository: Where from, as for :func:`orbitpkg.api.settings`.
        apps: ``NAME==VERSION`` of apps that will use them.
        python: The interpreter that other apps are installed beside; the running one when None.
        offline: Use no network: what this machine keeps of indexes and records must do.
        reporter: Told how far it is.

    Raises:
        ProjectError: There is no project, or its file cannot be used.
        ResolutionError: Nothing fits.
        IntegrityError: A release that is locked was replaced by another one of the same version.
    """
    from orbitpkg.store.project import read_lock

    found = current_project()
    old = read_lock(found.folder)
    anew = _upgraded(upgrade, old)
    locked, _ = choose(
        found.folder,
        found.document.requirements,
        old,
        anew,
        repository=repository,
        apps=apps,
        python=python,
        offline=offline,
        reporter=reporter,
    )
    write_lock(locked)
    return locked


def _upgraded(upgrade: bool | Iterable[str], old: Lock | None) -> set[str]:
    from orbitpkg.errors import UsageError
    from orbitpkg.model.names import canonical_name, nearest

    there = set(old.packages) if old is not None else set()
    if isinstance(upgrade, bool):
        return there if upgrade else set()
    keys = {canonical_name(name): name for name in upgrade}
    for key, name in keys.items():
        if key not in there:
            close = nearest(key, there)
            hint = f"Did you mean {' or '.join(close)}?" if close else "See what is locked: orbitpkg tree"
            raise UsageError(f"{name} is not locked, so that it cannot be upgraded.", hint=hint)
    return set(keys)


def current_project() -> ProjectFile:
    """Give the file of the project of the working directory.

    Raises:
        ProjectError: There is none, or it cannot be used.
    """
    from orbitpkg.config.discovery import PROJECT_NAME
    from orbitpkg.config.settings import find_project
    from orbitpkg.errors import ProjectError

    found = find_project()
    if found is None:
        raise ProjectError(
            f"There is no {PROJECT_NAME} here nor above, and no [tool.orbitpkg] in a pyproject.toml.",
            hint="Begin a project: orbitpkg add NAME",
        )
    return found


def choose(
    folder: Path,
    requirements: Sequence[Requirement],
    old: Lock | None,
    anew: set[str],
    *,
    repository: PathLike | None,
    apps: Sequence[str],
    python: PathLike | None,
    offline: bool,
    reporter: Reporter | None,
) -> tuple[Locked, RepositorySource]:
    """Choose releases for a project; nothing is written.

    Args:
        folder: The project's.
        requirements: What it asks for.
        old: What is locked, to stay as far as it can.
        anew: The canonical names of packages that are chosen anew.
        repository: As for :func:`lock`, like all that follow.
        apps: As there.
        python: As there.
        offline: As there.
        reporter: As there.
    """
    from orbitpkg.config.apps import read_apps
    from orbitpkg.installer.sources import resolve_as_recorded
    from orbitpkg.model.lockfile import LOCK_NAME, Lock

    source = open_source(repository, offline=offline, reporter=reporter)
    there = old.packages if old is not None else {}
    prefer = {key: package.version for key, package in there.items() if key not in anew}
    resolution = resolve_as_recorded(requirements, source, apps=read_apps(apps, python=python), prefer=prefer)
    for key in resolution.releases:
        _refuse_lost(there.get(key), source)
    packages = [
        _locked(release, source.repositories.home(key).name, source.states(key, release.version))
        for key, release in resolution.releases.items()
    ]
    for package in packages:
        _refuse_replaced(there.get(package.key), package)
    if is_offline(requested=offline):
        # What is thought of a release may not be kept here, and what is not known has not changed.
        packages = [_unless_the_same(there.get(package.key), package) for package in packages]
    locked = Locked(folder / LOCK_NAME, Lock(packages), old)
    locked.warnings = [line for package in packages for line in source.warnings(package.key, package.version)]
    locked.warnings += source.repositories.differences
    locked.unchecked = dict(resolution.unchecked)
    return locked, source


def unshared(path: Path, repository: PathLike | None) -> list[str]:
    """Say that a project's file names no repository, and that those in effect are one's own, whom nobody else has."""
    from orbitpkg.config.settings import user_config_path

    effect = settings(repository)
    if effect.source != str(user_config_path()):
        return []
    names = ", ".join(f"orbitpkg repo add {each.name} {each.url}" for each in effect.repositories)
    return [f"{path.name} names no repository: whoever else works on this project has none of yours. Name it: {names}"]


def open_source(repository: PathLike | None, *, offline: bool, reporter: Reporter | None = None) -> RepositorySource:
    """Open the repositories in effect, as a source of releases."""
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
    """Refuse to go on without what is locked, if only mirrors say that there is none."""
    home = source.repositories.home(old.key) if old is not None else None
    if old is None or home is None or home.name != old.repository:
        return
    repository = source.repositories.catalogue(home).repository
    if repository.silence is not None and old.version not in source.versions(old.key):
        raise repository.unknown(f"{old.key} {old.version}") from repository.silence


def _refuse_replaced(old: LockedPackage | None, new: LockedPackage) -> None:
    from orbitpkg.errors import IntegrityError

    if old is None or old.version != new.version or old.digest == new.digest or old.repository != new.repository:
        return
    raise IntegrityError(
        f"{new} in repository {new.repository} is not the {old} that is locked: its digest is {new.digest}, and "
        f"{old.digest} is expected.",
        hint="Published releases never change: find out who replaced it. To take it all the same, delete its table "
        "from orbit.lock and lock again.",
        name=new.name,
        expected=old.digest,
        found=new.digest,
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
    """Write the lockfile, if it says something else than before.

    Raises:
        StorageError: It cannot be written.
    """
    from orbitpkg.config.editing import write_text

    # Nobody's file is touched for nothing.
    if locked.is_rewritten:
        write_text(locked.path, locked.lock.to_toml())
