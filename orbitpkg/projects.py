"""What orbitpkg does for a project: the use cases around ``orbit.toml`` and ``orbit.lock``.

The project is that of the working directory: the nearest file with orbitpkg's settings, there or above. Its lockfile
is beside that file. An app that uses a project needs neither the file nor a network: :func:`project`.
"""

from __future__ import annotations

import contextlib

from orbitpkg.api import home
from orbitpkg.store.layout import Layout
from orbitpkg.store.project import Project, open_project

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from orbitpkg.api import Installed
    from orbitpkg.model.contents import Contents
    from orbitpkg.model.difference import Difference
    from orbitpkg.model.lockfile import Lock, LockedPackage
    from orbitpkg.model.release import Release
    from orbitpkg.model.requirements import Requirement
    from orbitpkg.model.versions import Version
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.indexing import Change
    from orbitpkg.settings import ProjectFile
    from orbitpkg.transfer.sources import RepositorySource

__all__ = [
    "Branch",
    "Locked",
    "Outdated",
    "add",
    "add_repository",
    "dependency_tree",
    "diff",
    "lock",
    "mark",
    "outdated",
    "project",
    "reindex",
    "remove_repository",
    "sync",
]


class Locked:
    """What locking came to.

    Attributes:
        path: The lockfile.
        lock: What it says.
        changes: Name, version before and version now of each package that changed; None where there is none.
        warnings: What one should know; a sentence each.
        unchecked: Apps of unknown version that a release names in its compatibility, by package.
    """

    __slots__ = ("changes", "lock", "path", "unchecked", "warnings")

    def __init__(self, path: Path, lock: Lock, old: Lock | None) -> None:
        self.path = path
        self.lock = lock
        self.changes = _changes(old, lock)
        self.warnings: list[str] = []
        self.unchecked: dict[str, tuple[str, ...]] = {}


class Outdated:
    """A package of which there is a newer version than the one in use.

    Attributes:
        name: Of the package.
        current: The version in use.
        allowed: The newest that all who need it allow.
        newest: The newest there is.
    """

    __slots__ = ("allowed", "current", "name", "newest")

    def __init__(self, name: str, current: str, allowed: str, newest: str) -> None:
        self.name = name
        self.current = current
        self.allowed = allowed
        self.newest = newest


class Branch:
    """A package in a tree of dependencies.

    Attributes:
        name: Of the package.
        wanted: What the one above wants of it: a range, or "".
        version: The version in use; None when there is none.
        needs: What it needs in turn; empty where that is told elsewhere in the tree.
        repeated: Whether it is told elsewhere.
    """

    __slots__ = ("name", "needs", "repeated", "version", "wanted")

    def __init__(self, name: str, wanted: str, version: str | None) -> None:
        self.name = name
        self.wanted = wanted
        self.version = version
        self.needs: list[Branch] = []
        self.repeated = False


def project(path: str | os.PathLike[str] | None = None) -> Project:
    """Give the locked packages of a project. Works offline, and in a store that may only be read.

    Args:
        path: A folder of the project; the working directory when None. The lockfile is there or above.

    Raises:
        LockfileError: There is no lockfile, or it cannot be used.
    """
    return open_project(Layout(home()), path)


# Locking.


def add(
    requirements: Iterable[str],
    *,
    repository: str | os.PathLike[str] | None = None,
    apps: Sequence[str] = (),
    python: str | os.PathLike[str] | None = None,
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

    from orbitpkg.edits import put_requirements, write_text
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.settings import PROJECT_NAME, find_project
    from orbitpkg.store.project import read_lock

    found = find_project()
    path = found.path if found is not None else Path.cwd() / PROJECT_NAME
    new = {requirement.key: requirement for requirement in map(parse_requirement, requirements)}
    text = put_requirements(path, new.values())
    kept = [each for each in (found.document.requirements if found else ()) if each.key not in new]
    old = read_lock(path.parent)
    # What is asked for anew is chosen anew.
    locked, source = _lock(
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
    _write_lock(locked, old)
    return locked, _install(locked.lock, source, asked=list(new), offline=offline, reporter=reporter)


def lock(
    *,
    upgrade: bool | Iterable[str] = False,
    repository: str | os.PathLike[str] | None = None,
    apps: Sequence[str] = (),
    python: str | os.PathLike[str] | None = None,
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

    found = _project()
    old = read_lock(found.folder)
    anew = _upgraded(upgrade, old)
    locked, _ = _lock(
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
    _write_lock(locked, old)
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


def _project() -> ProjectFile:
    from orbitpkg.errors import ProjectError
    from orbitpkg.settings import PROJECT_NAME, find_project

    found = find_project()
    if found is None:
        raise ProjectError(
            f"There is no {PROJECT_NAME} here nor above, and no [tool.orbitpkg] in a pyproject.toml.",
            hint="Begin a project: orbitpkg add NAME",
        )
    return found


def _lock(
    folder: Path,
    requirements: Sequence[Requirement],
    old: Lock | None,
    anew: set[str],
    *,
    repository: str | os.PathLike[str] | None,
    apps: Sequence[str],
    python: str | os.PathLike[str] | None,
    offline: bool,
    reporter: Reporter | None,
) -> tuple[Locked, RepositorySource]:
    from orbitpkg.model.lockfile import LOCK_NAME, Lock
    from orbitpkg.resolver.apps import read_apps
    from orbitpkg.transfer.sources import resolve_as_recorded

    source = _source(repository, offline=offline, reporter=reporter)
    there = old.packages if old is not None else {}
    prefer = {key: package.version for key, package in there.items() if key not in anew}
    source.places.look_up(_expected(requirements, old))
    resolution = resolve_as_recorded(requirements, source, apps=read_apps(apps, python=python), prefer=prefer)
    packages = [_locked(release, source.places.home(key).name) for key, release in resolution.releases.items()]
    for package in packages:
        _refuse_replaced(there.get(package.key), package)
    locked = Locked(folder / LOCK_NAME, Lock(packages), old)
    locked.warnings = [line for package in packages for line in source.warnings(package.key, package.version)]
    locked.warnings += source.places.differences
    locked.unchecked = dict(resolution.unchecked)
    return locked, source


def _expected(requirements: Sequence[Requirement], old: Lock | None) -> list[str]:
    """Give the packages that are sure to be asked for: what is wanted, and what the locked ones of that need."""
    from orbitpkg.model.lockfile import package_requirements

    wanted = list(requirements)
    expected: dict[str, None] = {}
    while wanted:
        want = wanted.pop()
        if want.key in expected or want.range.exact:
            continue
        expected[want.key] = None
        package = old.packages.get(want.key) if old is not None else None
        wanted += package_requirements(package) if package is not None else []
    return list(expected)


def _source(
    repository: str | os.PathLike[str] | None, *, offline: bool, reporter: Reporter | None = None
) -> RepositorySource:
    from orbitpkg.api import open_places
    from orbitpkg.store.store import Store
    from orbitpkg.transfer.sources import RepositorySource

    return RepositorySource(open_places(repository, offline=offline, reporter=reporter), Store(home()), {})


def _locked(release: Release, repository: str) -> LockedPackage:
    from orbitpkg.model.lockfile import LockedPackage
    from orbitpkg.model.requirements import Requirement, parse_range

    return LockedPackage(
        name=release.name,
        version=release.version,
        digest=release.digest,
        size=release.archive.size,
        repository=repository,
        dependencies=[str(Requirement(name, parse_range(text))) for name, text in release.dependencies.items()],
    )


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
        if was == now:
            continue
        name = (now or was).name if now or was else key  # type: ignore[union-attr]
        changes.append((name, str(was.version) if was else None, str(now.version) if now else None))
    return changes


def _write_lock(locked: Locked, old: Lock | None) -> None:
    from orbitpkg.edits import write_text

    # Nobody's file is touched for nothing.
    if locked.lock != old:
        write_text(locked.path, locked.lock.to_toml())


# Installing what is locked.


def sync(
    *,
    locked: bool = False,
    frozen: bool = False,
    repository: str | os.PathLike[str] | None = None,
    apps: Sequence[str] = (),
    python: str | os.PathLike[str] | None = None,
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
    from orbitpkg.errors import LockfileError
    from orbitpkg.model.lockfile import LOCK_NAME
    from orbitpkg.settings import find_project
    from orbitpkg.store.project import find_lock, read_lock
    from orbitpkg.store.roots import register_lockfile

    found = find_project() if frozen else _project()
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
    source = _source(repository, offline=offline, reporter=reporter)
    asked = [requirement.key for requirement in found.document.requirements] if found is not None else []
    assert folder is not None
    register_lockfile(Layout(home()), folder / LOCK_NAME, there)
    installed = _install(there, source, asked=asked, offline=offline, reporter=reporter, warn=not frozen)
    return result, installed


def _staleness(there: Lock | None, found: ProjectFile, repository: str | os.PathLike[str] | None) -> list[str]:
    from orbitpkg.api import settings
    from orbitpkg.model.project import bound_to

    if there is None:
        return ["There is no orbit.lock."]
    reasons = there.staleness(found.document.requirements)
    effect = settings(repository)
    if effect.is_said:
        return reasons
    for package in there.packages.values():
        bound = bound_to(package.key, effect.repositories)
        if bound is not None and bound.name != package.repository:
            reasons.append(f"{package} is locked from {package.repository}, and bound to {bound.name}.")
    return reasons


def _install(
    there: Lock,
    source: RepositorySource,
    *,
    asked: Sequence[str],
    offline: bool,
    reporter: Reporter | None,
    warn: bool = True,
) -> Installed:
    from orbitpkg.api import install_releases, installed_of, warnings_of
    from orbitpkg.reporting import SILENT
    from orbitpkg.repository.indexing import read_all
    from orbitpkg.store.records import load_release
    from orbitpkg.store.store import Store

    store = Store(home())
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
    result.warnings = warnings_of(source, result) if warn else list(source.places.differences)
    return result


def _is_installed(layout: Layout, package: LockedPackage) -> bool:
    from orbitpkg.errors import NotInstalled
    from orbitpkg.store.project import locked_package

    try:
        return locked_package(layout, package).is_complete
    except NotInstalled:
        return False


def _refuse_missing(missing: Sequence[LockedPackage], source: RepositorySource, *, offline: bool) -> None:
    from orbitpkg.api import is_offline
    from orbitpkg.errors import OfflineError

    if not is_offline(said=offline):
        return
    far = [
        package
        for package in missing
        if not source.places.named(package.repository).url.startswith(("file:", "memory:"))
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

    catalogue = source.places.catalogue(source.places.named(package.repository))
    release = catalogue.release_of(package.key, package.version, package.digest)
    if release is None:
        raise VersionNotFound(
            f"{package} is locked, and is not in {catalogue.repository.url}.",
            hint=f"Ask the repository's owner for it, or lock another version: orbitpkg lock --upgrade {package.name}",
            name=package.name,
            version=str(package.version),
        )
    return release


# Looking at what is used.


def outdated(*, repository: str | os.PathLike[str] | None = None, offline: bool = False) -> list[Outdated]:
    """List the locked packages, or without a project the installed ones, of which there is a newer version.

    Raises:
        LockfileError: The project's lockfile is missing or cannot be used.
        RepositoryError: A repository did not say.
    """
    source = _source(repository, offline=offline)
    found: list[Outdated] = []
    used = _in_use()
    source.places.look_up(key for _, key, _, _ in used)
    for name, key, current, wants in used:
        allowed = _newest(source, key, wants) or current
        newest = _newest(source, key, ()) or current
        if newest > current or allowed > current:
            found.append(Outdated(name, str(current), str(max(allowed, current)), str(newest)))
    return found


def _in_use() -> list[tuple[str, str, Version, list[Requirement]]]:
    """Give name, key and version of each package in use, and what is asked of it."""
    from orbitpkg.model.lockfile import package_requirements
    from orbitpkg.settings import find_project

    found = find_project()
    if found is None or not found.document.requirements:
        return _newest_installed()
    lock = open_project(Layout(home()), found.folder).lock
    wants: dict[str, list[Requirement]] = {}
    for requirement in found.document.requirements:
        wants.setdefault(requirement.key, []).append(requirement)
    for package in lock.packages.values():
        for requirement in package_requirements(package):
            wants.setdefault(requirement.key, []).append(requirement)
    return [(each.name, key, each.version, wants.get(key, [])) for key, each in lock.packages.items()]


def _newest_installed() -> list[tuple[str, str, Version, list[Requirement]]]:
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.versions import parse_version
    from orbitpkg.store.package import installed_packages

    newest = {canonical_name(package.name): package for package in installed_packages(Layout(home()))}
    return [(package.name, key, parse_version(package.version), []) for key, package in newest.items()]


def _newest(source: RepositorySource, key: str, wants: Sequence[Requirement]) -> Version | None:
    """Give the newest version that somebody who asks so would get."""
    pre = any(want.range.mentions_prerelease for want in wants)
    for version in reversed(source.versions(key)):
        if (version.prerelease and not pre) or not all(want.range.allows(version) for want in wants):
            continue
        offer = source.offer(key, version)
        if offer is not None and offer.yanked is None:
            return version
    return None


def dependency_tree() -> list[Branch]:
    """Give what the project uses, or without a project what is installed, and what that needs in turn."""
    from orbitpkg.settings import find_project

    found = find_project()
    if found is None or not found.document.requirements:
        return _installed_tree()
    lock = open_project(Layout(home()), found.folder).lock
    needs = {key: package.dependencies for key, package in lock.packages.items()}
    names = {key: (package.name, str(package.version)) for key, package in lock.packages.items()}
    return _grown([str(requirement) for requirement in found.document.requirements], names, needs)


def _installed_tree() -> list[Branch]:
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.store.package import installed_packages

    newest = {canonical_name(package.name): package for package in installed_packages(Layout(home()))}
    needs = {
        key: tuple(f"{name}{text}" for name, text in sorted(package.dependencies.items()))
        for key, package in newest.items()
    }
    needed = {parse_requirement(text).key for texts in needs.values() for text in texts}
    # Of packages that need one another in a circle, none is above.
    tops = [key for key in newest if key not in needed] or list(newest)
    names = {key: (package.name, package.version) for key, package in newest.items()}
    return _grown([names[key][0] for key in tops], names, needs)


def _grown(
    tops: Sequence[str], names: Mapping[str, tuple[str, str]], needs: Mapping[str, Sequence[str]]
) -> list[Branch]:
    from orbitpkg.model.requirements import parse_requirement

    told: set[str] = set()

    def grow(text: str) -> Branch:
        want = parse_requirement(text)
        name, version = names.get(want.key, (want.name, None))
        branch = Branch(name, want.range.text, version)
        branch.repeated = want.key in told and bool(needs.get(want.key))
        if want.key not in told:
            told.add(want.key)
            branch.needs = [grow(need) for need in needs.get(want.key, ())]
        return branch

    return [grow(text) for text in tops]


def diff(
    old: str, new: str, *, repository: str | os.PathLike[str] | None = None, offline: bool = False
) -> tuple[Release, Release, Difference]:
    """Compare two releases by their contents; no file is read. Those that are installed are not asked for.

    Args:
        old: A requirement; the best release that fits is meant.
        new: Another one.
        repository: Where they are; then installed ones are not looked at.
        offline: Use no network.

    Raises:
        ResolutionError: Nothing fits.
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.model.difference import difference

    source = _source(repository, offline=offline)
    (one, before), (other, after) = (_contents(text, source, installed=repository is None) for text in (old, new))
    return one, other, difference(before, after)


def _contents(text: str, source: RepositorySource, *, installed: bool) -> tuple[Release, Contents]:
    from pathlib import Path

    from orbitpkg.errors import NotInstalled
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.store.package import find_package
    from orbitpkg.store.records import load_release

    wanted = parse_requirement(text)
    if installed:
        with contextlib.suppress(NotInstalled):
            package = find_package(Layout(home()), wanted)
            return load_release(str(Path(package.path).parent)), package.contents
    version = wanted.range.exact or _newest(source, wanted.key, [wanted])
    if version is None:
        raise source.nothing_found(wanted.key, str(wanted), source.versions(wanted.key))
    release = source.release(wanted.key, version)
    repository = source.places.catalogue(source.places.home(wanted.key)).repository
    return release, repository.contents(release)[1]


# Repositories.


def add_repository(
    name: str, url: str, *, packages: Iterable[str] = (), mirrors: Iterable[str] = (), user: bool = False
) -> Path:
    """Name a repository in the project's file, or where there is no project (or ``user``) in the user's configuration.

    Returns:
        The file.

    Raises:
        UsageError: The name, the address or a glob cannot be read.
        ProjectError: The file cannot be used.
    """
    from orbitpkg.edits import put_repository, write_text
    from orbitpkg.model.project import RepositorySetting, check_binding, check_repository_name
    from orbitpkg.settings import user_config_path

    path = _settings_path(user=user)
    shared = path != user_config_path()
    setting = RepositorySetting(
        name=check_repository_name(name),
        url=_written(url, path if shared else None),
        mirrors=tuple(_written(mirror, path if shared else None) for mirror in mirrors),
        packages=tuple(check_binding(text) for text in packages),
    )
    write_text(path, put_repository(path, setting))
    return path


def _written(address: str, shared: Path | None) -> str:
    """Give an address as it is written down: a path, from the folder of a file that is shared, else from the root.

    Raises:
        UsageError: It cannot be read.
    """
    import os
    from pathlib import Path

    from orbitpkg.objects.addresses import parse_address
    from orbitpkg.settings import address_of

    parse_address(address_of(address))
    if address_of(address) == address:
        return address
    path = os.path.normpath(Path(address).expanduser().absolute())
    if shared is None or not address.startswith("."):
        return path
    relative = Path(os.path.relpath(path, shared.parent)).as_posix()
    return relative if relative.startswith("..") else f"./{relative}"


def remove_repository(name: str, *, user: bool = False) -> Path:
    """Take a named repository out of the file that :func:`add_repository` would write; returns that file.

    Raises:
        UsageError: It names no such repository.
    """
    from orbitpkg.edits import remove_repository as without
    from orbitpkg.edits import write_text

    path = _settings_path(user=user)
    write_text(path, without(path, name))
    return path


def _settings_path(*, user: bool) -> Path:
    from orbitpkg.settings import find_project, user_config_path

    found = None if user else find_project()
    return user_config_path() if found is None else found.path


def mark(
    requirement: str,
    state: str,
    *,
    reason: str = "",
    repository: str | os.PathLike[str] | None = None,
    offline: bool = False,
) -> tuple[str, list[str], str]:
    """Say what is thought of the published releases that a requirement allows.

    Args:
        requirement: Which ones.
        state: ``"yanked"``: nobody gets it who does not name it exactly, or has it locked. ``"deprecated"``: who gets
            it is warned. ``"available"``: neither.
        reason: Why.
        repository: Where, as for :func:`orbitpkg.api.settings`.
        offline: Refuse a repository that takes a network.

    Returns:
        The package's canonical name, the versions, and the repository's address.

    Raises:
        UsageError: The requirement cannot be read, or would yank every version.
        VersionNotFound: No release fits.
        RepositoryError: The repository cannot be written.
    """
    from datetime import UTC, datetime

    from orbitpkg.api import open_repository
    from orbitpkg.errors import UsageError
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.repository.indexing import set_status
    from orbitpkg.repository.status import State, Status

    wanted = parse_requirement(requirement)
    if state == State.YANKED and not wanted.range.text:
        raise UsageError(
            f"{wanted} is every version of {wanted.name}.",
            hint=f"Say which: {wanted.name}==1.0.0, or '{wanted.name}>=1,<2'.",
        )
    source = open_repository(repository, offline=offline, package=wanted.key)
    there = source.versions(wanted.key)
    chosen = [version for version in there if wanted.range.allows(version)]
    if not chosen:
        raise source.nothing_found(wanted.key, str(wanted), there)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    set_status(source, wanted.key, chosen, Status(state=State(state), reason=reason, changed=now))
    return wanted.key, [str(version) for version in chosen], source.url


def reindex(
    names: Iterable[str] = (), *, repository: str | os.PathLike[str] | None = None, offline: bool = False
) -> tuple[str, list[Change]]:
    """Write the indexes of packages anew from their records.

    Args:
        names: Which packages; all of the repository's without any.
        repository: Which one, as for :func:`orbitpkg.api.settings`.
        offline: Refuse a repository that takes a network.

    Returns:
        The repository's address, and what each index said that is not so.

    Raises:
        RepositoryError: The repository cannot be read or written.
        IntegrityError: A record is damaged.
    """
    from orbitpkg.api import open_repository
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.repository.indexing import reindex as write_anew

    source = open_repository(repository, offline=offline)
    keys = [parse_requirement(name).key for name in names]
    for key in keys:
        if not source.versions(key):
            raise source.nothing_found(key, key, [])
    return source.url, [write_anew(source, key) for key in keys or source.names()]
