"""Installing what a project's lockfile says, and adding to what it uses."""

from __future__ import annotations

from orbitpkg.api.project.lock import choose, current_project, lock, open_source, unshared, write_lock
from orbitpkg.config.repositories import home

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from pathlib import Path
    from typing import TypeAlias

    from orbitpkg.api.install import Installed
    from orbitpkg.api.project.lock import Locked
    from orbitpkg.config.settings import ProjectFile
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.model.lockfile import Lock, LockedPackage
    from orbitpkg.model.release import Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.layout import Layout

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["add", "sync"]


def add(
    requirements: Iterable[str],
    *,
    repository: PathLike | None = None,
    apps: Sequence[str] = (),
    python: PathLike | None = None,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> tuple[Locked, Installed]:
    """Put requirements into the project's file, lock them and install what is locked.

    Without a project, one is begun in the working directory. When there is no solution, nothing is changed.

    Raises:
        UsageError: A requirement cannot be read.
        ProjectError: The project's file cannot be used.
        ResolutionError: Nothing fits.
    """
    from pathlib import Path

    from orbitpkg.config.discovery import PROJECT_NAME
    from orbitpkg.config.editing import put_requirements, write_text
    from orbitpkg.config.settings import find_project
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.store.project import read_lock

    found = find_project()
    path = found.path if found is not None else Path.cwd() / PROJECT_NAME
    new = {requirement.key: requirement for requirement in map(parse_requirement, requirements)}
    text = put_requirements(path, new.values())
    kept = [each for each in (found.document.requirements if found else ()) if each.key not in new]
    old = read_lock(path.parent)
    # What is asked for anew is chosen anew.
    locked, source = choose(
        path.parent,
        [*kept, *new.values()],
        old,
        set(new),
        repository=repository,
        apps=apps,
        python=python,
        offline=offline,
        reporter=reporter,
    )
    write_text(path, text)
    write_lock(locked)
    locked.warnings += unshared(path, repository)
    return locked, _install(locked.path, locked.lock, source, asked=list(new), offline=offline, reporter=reporter)


def sync(
    *,
    locked: bool = False,
    frozen: bool = False,
    repository: PathLike | None = None,
    apps: Sequence[str] = (),
    python: PathLike | None = None,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> tuple[Locked | None, Installed]:
    """Install exactly what is locked; a lockfile that does not answer the project any more is brought up to it first.

    Args:
        locked: Fail instead of bringing the lockfile up to the project.
        frozen: Go by the lockfile alone, whatever the project asks for; no index is asked, only the locked records.
        repository: Where from, as for :func:`orbitpkg.api.settings`.
        apps: ``NAME==VERSION`` of apps that will use them, for locking.
        python: The interpreter that other apps are installed beside; the running one when None.
        offline: Use no network: what is installed must do.
        reporter: Told how far it is.

    Returns:
        What locking came to, if it was done; and what was installed.

    Raises:
        LockfileError: It is missing, cannot be used, or (``locked``) does not answer the project.
        IntegrityError: A release is not the one that is locked; nothing was installed.
        OfflineError: Something is not installed; the message names all that is not.
    """
    from orbitpkg.config.settings import find_project
    from orbitpkg.errors import LockfileError
    from orbitpkg.model.lockfile import LOCK_NAME
    from orbitpkg.store.project import find_lock, read_lock

    found = find_project() if frozen else current_project()
    folder = found.folder if found is not None else find_lock()
    there = read_lock(folder) if folder is not None else None
    if there is None and (frozen or locked):
        raise LockfileError(
            f"There is no {LOCK_NAME}{f' in {folder}' if folder else ''}.", hint="Make one: orbitpkg lock"
        )
    reasons = [] if frozen or found is None else _staleness(there, found, repository)
    if reasons and locked:
        lines = "\n".join(f"  {reason}" for reason in reasons)
        raise LockfileError(
            f"{LOCK_NAME} does not answer what the project asks for:\n{lines}",
            hint="Bring it up to the project: orbitpkg lock",
            reasons=reasons,
        )
    if reasons:
        assert found is not None
        result = lock(repository=repository, apps=apps, python=python, offline=offline, reporter=reporter)
        there = result.lock
    else:
        result = None
    assert there is not None
    source = open_source(repository, offline=offline, reporter=reporter)
    asked = [requirement.key for requirement in found.document.requirements] if found is not None else []
    assert folder is not None
    installed = _install(
        folder / LOCK_NAME, there, source, asked=asked, offline=offline, reporter=reporter, frozen=frozen
    )
    return result, installed


def _staleness(there: Lock | None, found: ProjectFile, repository: PathLike | None) -> list[str]:
    from orbitpkg.config.repositories import settings
    from orbitpkg.model.project import bound_to

    if there is None:
        return ["There is no orbit.lock."]
    reasons = there.staleness(found.document.requirements)
    effect = settings(repository)
    if effect.is_explicit:
        return reasons
    for package in there.packages.values():
        bound = bound_to(package.key, effect.repositories)
        if bound is not None and bound.name != package.repository:
            reasons.append(f"{package} is locked from {package.repository}, and bound to {bound.name}.")
    return reasons


def _install(
    path: Path,
    there: Lock,
    source: RepositorySource,
    *,
    asked: Sequence[str],
    offline: bool,
    reporter: Reporter | None,
    frozen: bool = False,
) -> Installed:
    """Install what a lockfile says; ``frozen`` asks nobody what is thought of it."""
    from orbitpkg.api.install import install_releases, installed_of, warnings_of
    from orbitpkg.reporting import SILENT
    from orbitpkg.repository.indexing import read_all
    from orbitpkg.store.records import load_release
    from orbitpkg.store.roots import register_lockfile
    from orbitpkg.store.store import Store

    store = Store(home())
    register_lockfile(store.layout, path, there)
    before = {package.digest for package in store.packages() if package.is_complete}
    missing = [package for package in there.packages.values() if not _is_installed(store.layout, package)]
    _refuse_missing(missing, source, offline=offline)
    # All records are there and right before anything is installed.
    new = {release.key: release for release in read_all(lambda package: _recorded(source, package), missing)}
    install_releases(
        store,
        source,
        new,
        repositories={package.key: package.repository for package in missing},
        only={},
        reporter=reporter or SILENT,
    )
    releases = {
        key: new.get(key) or load_release(store.layout.release(key, package.version))
        for key, package in there.packages.items()
    }
    result = installed_of(store.layout, releases, [key for key in asked if key in releases], before)
    if frozen:
        result.warnings = [*_noted(there, result), *source.repositories.differences]
    else:
        result.warnings = warnings_of(source, result)
    return result


def _noted(there: Lock, result: Installed) -> list[str]:
    """Say what the lockfile notes of what was newly installed."""
    new = {package.digest for package in result.new}
    return [
        f"{package.name} {package.version} was yanked when it was locked"
        + (f": {package.yanked}." if package.yanked else ".")
        for package in there.packages.values()
        if package.yanked is not None and package.digest in new
    ]


def _is_installed(layout: Layout, package: LockedPackage) -> bool:
    from orbitpkg.errors import NotInstalled
    from orbitpkg.store.project import locked_package

    try:
        return locked_package(layout, package).is_complete
    except NotInstalled:
        return False


def _refuse_missing(missing: Sequence[LockedPackage], source: RepositorySource, *, offline: bool) -> None:
    from orbitpkg.config.repositories import is_offline
    from orbitpkg.errors import OfflineError

    if not is_offline(requested=offline):
        return
    far = [
        package
        for package in missing
        if not source.repositories.named(package.repository).url.startswith(("file:", "memory:"))
    ]
    if far:
        names = ", ".join(map(str, far))
        raise OfflineError(
            f"Offline mode is on, and {len(far)} of the locked packages are not installed: {names}.",
            hint="Leave out --offline, or unset ORBITPKG_OFFLINE.",
            missing=[str(package) for package in far],
        )


def _recorded(source: RepositorySource, package: LockedPackage) -> Release:
    """Read the record that is locked."""
    from orbitpkg.errors import VersionNotFound

    catalogue = source.repositories.catalogue(source.repositories.named(package.repository))
    release = catalogue.release_of(package.key, package.version, package.digest)
    if release is None:
        raise VersionNotFound(
            f"{package} is locked, and is not in {catalogue.repository.url}.",
            hint=f"Ask the repository's owner for it, or lock another version: orbitpkg lock --upgrade {package.name}",
            name=package.name,
            version=str(package.version),
        )
    return release
