"""Installing the releases in a project's lockfile, and adding requirements to the project."""

from __future__ import annotations

from orbitpkg.api.boundary import public
from orbitpkg.api.options import InstallOptions
from orbitpkg.api.project.lock import (
    choose_locked,
    current_project,
    open_source,
    read_project_lock,
    update_lock,
    warn_unshared,
    write_lock,
)
from orbitpkg.config.repositories import home

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from orbitpkg.api.install import Installed
    from orbitpkg.api.options import PathLike
    from orbitpkg.api.project.lock import Locked
    from orbitpkg.config.settings import ProjectFile
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.model.lockfile import Lock, LockedPackage
    from orbitpkg.model.release import Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.layout import Layout

__all__ = ["add", "sync"]


@public
def add(
    requirements: Iterable[str],
    *,
    repository: PathLike | None = None,
    apps: Sequence[str] = (),
    python: PathLike | None = None,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> tuple[Locked, Installed]:
    """Add requirements to the project's file, lock them and install the locked releases.

    Without a project, one is created in the working directory. If no set of releases meets the requirements, nothing
    changes.

    Raises:
        UsageError: A requirement is invalid.
        ProjectError: The project's file is invalid.
        ResolutionError: No set of releases meets the requirements.
    """
    from pathlib import Path

    from orbitpkg.config.discovery import PROJECT_NAME
    from orbitpkg.config.editing import edit_lock, put_requirements, write_text
    from orbitpkg.config.settings import find_project
    from orbitpkg.files.working import absolute_path
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.reporting import SILENT

    options = InstallOptions(
        repository=repository, apps=tuple(apps), python=python, offline=offline, reporter=reporter or SILENT
    )
    found = find_project()
    path = found.path if found is not None else Path(absolute_path(PROJECT_NAME))
    new = {requirement.key: requirement for requirement in map(parse_requirement, requirements)}
    with edit_lock(path):
        found = find_project()  # another process may have changed or created it while this one waited
        text = put_requirements(path, new.values())
        kept = [each for each in (found.document.requirements if found else ()) if each.key not in new]
        old = read_project_lock(path.parent)
        # A package that the user adds again is upgraded, as if it had not been locked.
        locked, source = choose_locked(path.parent, [*kept, *new.values()], old, set(new), options)
        write_text(path, text)
        write_lock(locked)
    locked.warnings += warn_unshared(path, repository)
    return locked, _install(locked.path, locked.lock, source, options, asked=list(new))


@public
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
    """Install exactly the locked releases. An outdated lockfile is updated first.

    Args:
        locked: Fail if the lockfile is outdated instead of updating it.
        frozen: Use the lockfile as it is, whatever the project requires. Only the locked records are read, no index.
        repository: The repository to use, as for :func:`orbitpkg.api.settings`.
        apps: ``NAME==VERSION`` of each app that will use the packages.
        python: The interpreter whose other apps count; the running interpreter when None.
        offline: Refuse the network and use what is installed.
        reporter: Receives progress.

    Returns:
        The result of locking, or None if the lockfile was up to date; and the result of installing.

    Raises:
        LockfileError: The lockfile is missing or invalid, or (with ``locked``) outdated.
        IntegrityError: A release is not the one that is locked; nothing was installed.
        OfflineError: Packages are not installed and the network is refused; the message names them all.
    """
    from orbitpkg.config.settings import find_project
    from orbitpkg.errors import LockfileError
    from orbitpkg.model.lockfile import LOCK_NAME
    from orbitpkg.reporting import SILENT
    from orbitpkg.store.project import find_lock

    options = InstallOptions(
        repository=repository, apps=tuple(apps), python=python, offline=offline, reporter=reporter or SILENT
    )
    found = find_project() if frozen else current_project()
    folder = found.folder if found is not None else find_lock()
    current = read_project_lock(folder) if folder is not None else None
    if current is None and (frozen or locked):
        where = f"in {folder}" if folder else "in this directory or above it"
        raise LockfileError(f"No {LOCK_NAME} was found {where}.", hint="To create it: orbitpkg lock")
    reasons = [] if frozen or found is None else _staleness(current, found, repository)
    if reasons and locked:
        lines = "\n".join(f"  {reason}" for reason in reasons)
        raise LockfileError(
            f"{LOCK_NAME} is outdated:\n{lines}",
            hint="To update it: orbitpkg lock",
            reasons=reasons,
        )
    result = update_lock(options) if reasons else None
    current = result.lock if result is not None else current
    if current is None or folder is None:
        raise LockfileError(f"No {LOCK_NAME} was found.", hint="Create it: orbitpkg lock")
    source = open_source(repository, offline=offline, reporter=reporter)
    asked = [requirement.key for requirement in found.document.requirements] if found is not None else []
    return result, _install(folder / LOCK_NAME, current, source, options, asked=asked, frozen=frozen)


def _staleness(current: Lock | None, found: ProjectFile, repository: PathLike | None) -> list[str]:
    from orbitpkg.config.repositories import settings
    from orbitpkg.model.project import bound_to

    if current is None:
        return ["orbit.lock does not exist."]
    reasons = current.staleness(found.document.requirements)
    effect = settings(repository)
    if effect.is_explicit:
        return reasons
    for package in current.packages.values():
        bound = bound_to(package.key, effect.repositories)
        if bound is not None and bound.name != package.repository:
            reasons.append(f"{package} is locked from {package.repository}, but bound to {bound.name}.")
    return reasons


def _install(
    path: Path,
    lock: Lock,
    source: RepositorySource,
    options: InstallOptions,
    *,
    asked: Sequence[str],
    frozen: bool = False,
) -> Installed:
    """Install the locked releases. With ``frozen``, warnings come from the lockfile and no status is read."""
    from orbitpkg.api.install import collect_warnings, find_installed, install_releases
    from orbitpkg.api.policy import read_policy
    from orbitpkg.config.apps import read_apps
    from orbitpkg.repository.indexing import read_all
    from orbitpkg.store.records import load_release
    from orbitpkg.store.roots import register_lockfile
    from orbitpkg.store.store import Store

    store = Store(home())
    apps = read_apps(options.apps, python=options.python)
    # Apps that happen to be installed for this interpreter only cause warnings: the packages may be for another one.
    is_named = bool(options.apps) or options.python is not None
    register_lockfile(store.layout, path, lock)
    before = {package.digest for package in store.packages() if package.is_complete}
    missing = [package for package in lock.packages.values() if not _is_installed(store.layout, package)]
    _refuse_missing(missing, source, offline=options.offline)
    # Every record is read and verified before anything is installed, so that a bad one leaves nothing half done.
    new = {release.key: release for release in read_all(lambda package: _recorded(source, package), missing)}
    releases = {
        key: new.get(key) or load_release(store.layout.release(key, package.version))
        for key, package in lock.packages.items()
    }
    before -= install_releases(
        store,
        source,
        releases,
        policy=read_policy(apps if is_named else None, project=path.parent),
        repositories={package.key: package.repository for package in missing},
        only={},
        reporter=options.reporter,
        whole=lock.packages.keys() - {package.key for package in missing},
    )
    result = find_installed(store.layout, releases, [key for key in asked if key in releases], before)
    if frozen:
        result.warnings = [*_yanked_when_locked(lock, result), *source.repositories.differences]
    else:
        result.warnings = collect_warnings(source, result)
    for key, release in releases.items():
        verdict = apps.verdict(release.compatibility)
        result.warnings += [f"{release.label} does not work with {app}." for app in verdict.excluded]
        if verdict.unchecked:
            result.unchecked[key] = verdict.unchecked
    return result


def _yanked_when_locked(lock: Lock, result: Installed) -> list[str]:
    """Return a warning for each newly installed release that was yanked when it was locked."""
    new = {package.digest for package in result.new}
    return [
        f"{package.name} {package.version} was yanked when it was locked"
        + (f": {package.yanked}." if package.yanked else ".")
        for package in lock.packages.values()
        if package.yanked is not None and package.digest in new
    ]


def _is_installed(layout: Layout, package: LockedPackage) -> bool:
    """Return whether a locked package is installed with all of its files, as far as a look at their status shows."""
    from orbitpkg.errors import NotInstalled, StorageError
    from orbitpkg.store.presence import find_missing
    from orbitpkg.store.project import locked_package

    try:
        found = locked_package(layout, package)
        return found.is_complete and not find_missing(found)
    except (NotInstalled, StorageError):  # a damaged one is installed again
        return False


def _refuse_missing(missing: Sequence[LockedPackage], source: RepositorySource, *, offline: bool) -> None:
    from orbitpkg.config.repositories import is_offline
    from orbitpkg.errors import OfflineError

    if not is_offline(requested=offline):
        return
    remote = [
        package
        for package in missing
        if not source.repositories.named(package.repository).url.startswith(("file:", "memory:"))
    ]
    if remote:
        names = ", ".join(map(str, remote))
        raise OfflineError(
            f"Offline mode is on, and these locked packages are not installed, or lack files: {names}.",
            hint="Omit --offline, or unset ORBITPKG_OFFLINE.",
            missing=[str(package) for package in remote],
        )


def _recorded(source: RepositorySource, package: LockedPackage) -> Release:
    """Read the locked record of a package."""
    from orbitpkg.errors import VersionNotFound

    catalogue = source.repositories.catalogue(source.repositories.named(package.repository))
    release = catalogue.release_of(package.key, package.version, package.digest)
    if release is None:
        raise VersionNotFound(
            f"{package} is locked, but {catalogue.repository.url} does not have it.",
            hint=f"Ask the repository's owner. To lock another version: orbitpkg lock --upgrade {package.name}",
            name=package.name,
            version=str(package.version),
        )
    return release
