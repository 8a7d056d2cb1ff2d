"""What orbitpkg does, as functions: the command line and ``import orbitpkg`` both offer these.

The environment is read here and nowhere below, except for the credentials of object stores and the time to wait for a
lock: ``ORBITPKG_HOME`` (the home folder), ``ORBITPKG_REPOSITORY`` (the repository when none is given),
``ORBITPKG_OFFLINE``. It is read at each call; nothing is remembered between calls.

An app's start goes through :func:`package`, so this module imports nothing that that does not need.
"""

from __future__ import annotations

import os
from pathlib import Path

from orbitpkg.model.requirements import Requirement, parse_requirement
from orbitpkg.store.layout import Layout
from orbitpkg.store.package import Package, find_package

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from contextlib import ExitStack
    from datetime import timedelta
    from typing import TypeAlias

    from orbitpkg.archive.reader import LocalArchive
    from orbitpkg.model.manifest import Manifest
    from orbitpkg.model.project import RepositorySetting
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.garbage import Garbage
    from orbitpkg.repository.places import Places
    from orbitpkg.repository.probe import ProbeReport
    from orbitpkg.repository.repository import Repository
    from orbitpkg.resolver.resolver import Resolution
    from orbitpkg.settings import Settings
    from orbitpkg.store.store import Finding, Store
    from orbitpkg.transfer.install import Available
    from orbitpkg.transfer.plan import InstallPlan
    from orbitpkg.transfer.publish import Published
    from orbitpkg.transfer.sources import RepositorySource

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = [
    "Found",
    "Installed",
    "Removed",
    "build",
    "check_manifest",
    "collect_repository",
    "default_repository",
    "doctor",
    "home",
    "home_of",
    "init",
    "init_repository",
    "install",
    "install_all",
    "install_releases",
    "installed_of",
    "is_archive",
    "is_offline",
    "open_places",
    "open_repository",
    "package",
    "packages",
    "plan_all",
    "publish",
    "released",
    "remove",
    "repository_url",
    "search",
    "settings",
    "verify",
    "versions",
    "warnings_of",
]

_ARCHIVE_SUFFIX = ".tar.zst"
# How many packages are installed at the same time; each waits for round trips of its own.
_AT_ONCE = 4


class Found:
    """A package that a search found.

    Attributes:
        name: As its author writes it.
        newest: Its newest version.
        description: What its author says of it.
    """

    __slots__ = ("description", "name", "newest")

    def __init__(self, name: str, newest: str, description: str) -> None:
        self.name = name
        self.newest = newest
        self.description = description


class Installed:
    """What installing came to.

    Attributes:
        packages: Those that were asked for, in that order.
        dependencies: Those that these need.
        new: Those of both that were not installed, or not whole, before.
        unchecked: Apps of unknown version that a release names in its compatibility, by package.
        warnings: What one should know of them: that one is yanked or deprecated, that an index is wrong. A sentence
            each.
    """

    __slots__ = ("dependencies", "new", "packages", "unchecked", "warnings")

    def __init__(self) -> None:
        self.packages: list[Package] = []
        self.dependencies: list[Package] = []
        self.new: list[Package] = []
        self.unchecked: dict[str, tuple[str, ...]] = {}
        self.warnings: list[str] = []


class Removed:
    """An installed release that was removed.

    Attributes:
        name: Of the package.
        version: Of the release.
        freed: How many bytes it and nothing else held.
    """

    __slots__ = ("freed", "name", "version")

    def __init__(self, name: str, version: str, freed: int) -> None:
        self.name = name
        self.version = version
        self.freed = freed


# Where things are.


def home() -> Path:
    """Give the home folder: ``ORBITPKG_HOME``, or else the platform's folder for a user's data."""
    return Path(_home())


def _home() -> str:
    said = os.environ.get("ORBITPKG_HOME")
    if said:
        return os.path.abspath(os.path.expanduser(said))  # noqa: PTH100, PTH111 - an app's start counts microseconds
    from platformdirs import user_data_dir

    return user_data_dir("orbitpkg", appauthor=False)


def default_repository() -> str:
    """Give the address of the repository that is used when none is named: a directory in the home folder."""
    return Path(_home(), "repository").as_uri()


def settings(repository: PathLike | None = None) -> Settings:
    """Say which repositories are in effect, and who says so.

    Args:
        repository: What the caller says: an address, the path of a directory (a ``Path``, or a text that begins with
            ``.``, ``/`` or ``~``), or the name of a configured repository. When None, ``ORBITPKG_REPOSITORY`` says it,
            else the project's file, else the user's configuration, else it is the default one.

    Raises:
        ProjectError: A file of settings cannot be used.
        UsageError: A name is none of a repository.
    """
    from orbitpkg.settings import read_settings

    return read_settings(repository, default_repository)


def repository_url(said: PathLike | None = None, *, package: str | None = None) -> str:
    """Give the address of a repository.

    Args:
        said: As for :func:`settings`.
        package: What it is to hold; where several are in effect, the one that this package is bound to is meant.

    Raises:
        UsageError: Several are in effect, and none of them is meant for sure.
    """
    return _setting(said, package).url


def _setting(said: PathLike | None, package: str | None = None) -> RepositorySetting:
    from orbitpkg.errors import UsageError
    from orbitpkg.model.project import bound_to

    found = settings(said)
    if len(found.repositories) == 1:
        return found.repositories[0]
    bound = bound_to(package, found.repositories) if package is not None else None
    if bound is not None:
        return bound
    names = [each.name for each in found.repositories]
    raise UsageError(
        f"Which of the repositories {', '.join(names)} is meant, nobody said.",
        hint=f"Say it: --repository {names[0]}" + (f", or bind {package} to one: packages" if package else ""),
        repositories=names,
    )


def is_offline(*, said: bool = False) -> bool:
    """Say whether the network may not be used: because the caller says so, or ``ORBITPKG_OFFLINE`` does."""
    return said or os.environ.get("ORBITPKG_OFFLINE", "").lower() not in {"", "0", "false", "no"}


def open_repository(
    repository: PathLike | None = None, *, offline: bool = False, package: str | None = None
) -> Repository:
    """Open a repository; nothing is asked of it yet.

    Args:
        repository: As for :func:`settings`.
        offline: Refuse one that takes a network.
        package: As for :func:`repository_url`.

    Raises:
        UsageError: The address cannot be read.
        OfflineError: It takes a network.
    """
    from orbitpkg.errors import OfflineError

    setting = _setting(repository, package)
    if is_offline(said=offline) and _takes_network(setting.url):
        raise OfflineError(
            f"{setting.url} cannot be reached: offline mode is on.",
            hint="Leave out --offline, or unset ORBITPKG_OFFLINE.",
            url=setting.url,
        )
    return _opened_repository(setting)


def open_places(
    repository: PathLike | None = None, *, offline: bool = False, reporter: Reporter | None = None
) -> Places:
    """Give the repositories in effect; each is opened when it is first asked.

    Offline, those that take a network answer from what this machine keeps of them, and no socket is opened.

    Args:
        repository: As for :func:`settings`.
        offline: Use no network.
        reporter: Told when a mirror takes the place of a repository.
    """
    from functools import partial

    from orbitpkg.reporting import SILENT
    from orbitpkg.repository.cache import Cache
    from orbitpkg.repository.places import Places

    opener = partial(_opened_repository, offline=is_offline(said=offline), tell=(reporter or SILENT).note)
    return Places(settings(repository).repositories, opener, cache=Cache(Path(_home(), "cache")))


def _opened_repository(
    setting: RepositorySetting, *, offline: bool = False, tell: Callable[[str], None] = lambda _: None
) -> Repository:
    from orbitpkg.objects import open_store
    from orbitpkg.objects.offline import OfflineStore
    from orbitpkg.repository.mirrors import MirroredStore
    from orbitpkg.repository.repository import Repository

    urls = [setting.url, *setting.mirrors]
    stores = [OfflineStore(url) if offline and _takes_network(url) else open_store(url) for url in urls]
    if len(stores) == 1:
        return Repository(stores[0])
    return Repository(MirroredStore(stores, tell=tell))


def _takes_network(url: str) -> bool:
    return not url.startswith(("file:", "memory:"))


# Making packages.


def init(path: PathLike, *, name: str | None = None, version: str = "1.0.0") -> Path:
    """Write a ``package.json`` to begin with into a directory; the directory is made if need be.

    Args:
        path: The directory.
        name: The package's name; the directory's when None.
        version: The first version.

    Returns:
        The path of the file.

    Raises:
        UsageError: There is a ``package.json`` already, or the name is not valid.
        StorageError: It cannot be written.
    """
    from orbitpkg.errors import UsageError
    from orbitpkg.model.manifest import MANIFEST_NAME, new_manifest
    from orbitpkg.store.durable import storage_errors

    folder = Path(path)
    target = folder / MANIFEST_NAME
    data = new_manifest(name or folder.resolve().name, version)
    with storage_errors(str(target)):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            with target.open("xb") as file:
                file.write(data)
        except FileExistsError:
            raise UsageError(f"{target} is there already.", hint=f"Check it: orbitpkg validate {folder}") from None
    return target


def check_manifest(path: PathLike) -> tuple[Manifest, int, int]:
    """Check a package's directory without building it.

    Returns:
        Its manifest, the number of files it picks, and the sum of their sizes in bytes.

    Raises:
        ManifestError: With everything that is wrong.
        StorageError: The directory cannot be read.
    """
    from orbitpkg.archive.tree import read_tree

    tree = read_tree(Path(path))
    return tree.manifest, len(tree.files), tree.total_size


def build(path: PathLike = ".", output: PathLike | None = None, *, reporter: Reporter | None = None) -> Path:
    """Build the archive of a package.

    The same files give the same bytes, whatever the machine.

    Args:
        path: The package's directory.
        output: The folder the archive is put into; the working directory when None.
        reporter: Told how far it is.

    Returns:
        The archive's path, ``NAME-VERSION.tar.zst`` in ``output``.

    Raises:
        ManifestError: The package is not valid.
        TreeChanged: The directory changed meanwhile.
        StorageError: Something cannot be read or written.
    """
    from orbitpkg.archive.tree import read_tree
    from orbitpkg.archive.writer import write_archive
    from orbitpkg.reporting import SILENT

    tree = read_tree(Path(path))
    folder = Path(output) if output is not None else Path()
    target = folder / f"{tree.manifest.key}-{tree.manifest.version}{_ARCHIVE_SUFFIX}"
    with (reporter or SILENT).task(f"Building {tree.manifest.name} {tree.manifest.version}", tree.total_size) as task:
        write_archive(tree, target, progress=task.advance)
    return target


def is_archive(text: PathLike) -> bool:
    """Say whether a word names an archive rather than a requirement: it ends like one, or is a path to a file."""
    word = os.fspath(text)
    return word.endswith(_ARCHIVE_SUFFIX) or ((os.sep in word or "/" in word) and Path(word).is_file())


# Publishing.


def publish(
    path: PathLike,
    repository: PathLike | None = None,
    *,
    unsafe_single_writer: bool = False,
    dry_run: bool = False,
    offline: bool = False,
    reporter: Reporter | None = None,
) -> Published:
    """Publish a package's directory, or an archive of it.

    Publishing the same content again succeeds; a version that is published never changes.

    Args:
        path: The directory, or the archive.
        repository: Where to, as for :func:`settings`.
        unsafe_single_writer: Publish even to a store that ignores create-only writes; the caller vouches that nobody
            else publishes there.
        dry_run: Do all but change the repository.
        offline: Refuse a repository that takes a network.
        reporter: Told how far it is.

    Raises:
        ManifestError: The package is not valid.
        ReleaseExists: The version is published with other content.
        UnsafeRepository: The store ignores create-only writes.
        RepositoryError: The repository did not take it.
        ArchiveError: The archive is damaged.
    """
    from orbitpkg.archive.tree import read_tree
    from orbitpkg.reporting import SILENT
    from orbitpkg.transfer.install import archive_manifest
    from orbitpkg.transfer.publish import publish_archive, publish_tree

    place, report = Path(path), reporter or SILENT
    if not place.is_dir() and is_archive(path):
        with _opened(place) as archive:
            manifest = archive_manifest(archive)
            return publish_archive(
                open_repository(repository, offline=offline, package=manifest.key),
                archive,
                manifest,
                published=_now(),
                journals=_journals(),
                unsafe_single_writer=unsafe_single_writer,
                dry_run=dry_run,
                reporter=report,
            )
    tree = read_tree(place)
    return publish_tree(
        open_repository(repository, offline=offline, package=tree.manifest.key),
        tree,
        published=_now(),
        journals=_journals(),
        unsafe_single_writer=unsafe_single_writer,
        dry_run=dry_run,
        reporter=report,
    )


def _journals() -> Path:
    return Path(_home(), "uploads")


def _opened(path: Path) -> LocalArchive:
    from orbitpkg.archive.reader import LocalArchive

    return LocalArchive.open(path)


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Installing.


def install(
    requirement: PathLike,
    *,
    repository: PathLike | None = None,
    app: str | Iterable[str] | None = None,
    python: PathLike | None = None,
    only: str | Iterable[str] | None = None,
    offline: bool = False,
    prereleases: bool = False,
    reporter: Reporter | None = None,
) -> Package:
    """Install the best release that fits a requirement, with its dependencies.

    Args:
        requirement: ``model``, ``model==2.0.0``, ``model>=1.2,<2`` …, or the path of an archive.
        repository: Where from, as for :func:`settings`.
        app: ``NAME==VERSION`` of the app, or apps, that will use it, besides those installed beside the interpreter.
        python: That interpreter, or the folder of a virtual environment; the running one when None.
        only: A glob, or globs, of the files wanted; a later install without it completes the package.
        offline: Use no network: what is installed must do.
        prereleases: Whether pre-releases are candidates.
        reporter: Told how far it is.

    Raises:
        UsageError: The requirement cannot be read.
        ResolutionError: Nothing fits.
        RepositoryError: The repository cannot be read.
        IntegrityError: Bytes are not those promised; nothing was installed.
        StorageError: The store cannot be written, or has no space.
    """
    result = install_all(
        [requirement],
        repository=repository,
        apps=_listed(app),
        python=python,
        only=_listed(only),
        offline=offline,
        prereleases=prereleases,
        reporter=reporter,
    )
    return result.packages[0]


def _listed(words: str | Iterable[str] | None) -> tuple[str, ...]:
    if words is None:
        return ()
    return (words,) if isinstance(words, str) else tuple(words)


def install_all(
    requirements: Sequence[PathLike],
    *,
    repository: PathLike | None = None,
    apps: Sequence[str] = (),
    python: PathLike | None = None,
    only: Sequence[str] = (),
    offline: bool = False,
    prereleases: bool = False,
    reporter: Reporter | None = None,
) -> Installed:
    """Install several packages that fit together; arguments and errors are those of :func:`install`.

    ``only`` is about the packages asked for; their dependencies are installed whole.
    """
    from contextlib import ExitStack

    from orbitpkg.prohibitions import forbidden_formats
    from orbitpkg.reporting import SILENT
    from orbitpkg.store.store import Store

    store, report = Store(_home()), reporter or SILENT
    before = {package.digest for package in store.packages() if package.is_complete}
    with ExitStack() as stack:
        wanted, archives = _understood(requirements, stack)
        resolution, source = _resolve(
            store.layout,
            wanted,
            archives=archives,
            repository=repository,
            apps=apps,
            python=python,
            only=only,
            offline=offline,
            prereleases=prereleases,
            reporter=report,
        )
        asked = dict.fromkeys(requirement.key for requirement in wanted)
        if source is not None:
            install_releases(
                store,
                source,
                resolution.releases,
                repositories={key: offer.repository for key, offer in resolution.offers.items()},
                only=dict.fromkeys(asked, only),
                reporter=report,
            )
        else:
            _refuse_installed(store.layout, resolution.releases, forbidden_formats())
    result = installed_of(store.layout, resolution.releases, list(asked), before)
    result.unchecked = dict(resolution.unchecked)
    if source is not None:
        result.warnings = warnings_of(source, result)
    return result


def install_releases(
    store: Store,
    source: RepositorySource,
    releases: Mapping[str, Release],
    *,
    repositories: Mapping[str, str | None],
    only: Mapping[str, Sequence[str]],
    reporter: Reporter,
) -> None:
    """Install releases, several at once over one pool of workers.

    Args:
        store: Where to.
        source: Where from.
        releases: By canonical name.
        repositories: The names of the repositories they are from, where that is known.
        only: Globs of the files wanted, of those of which not all are.
        reporter: Told how far it is.
    """
    from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait

    from orbitpkg.prohibitions import forbidden_formats, refuse_forbidden
    from orbitpkg.store.roots import running
    from orbitpkg.transfer.install import choose_files
    from orbitpkg.transfer.install import install as install_available
    from orbitpkg.transfer.pool import Pool, StoppedError

    forbidden = forbidden_formats()
    _refuse_installed(store.layout, releases, forbidden)
    keys = [key for key, release in releases.items() if only.get(key) or not _is_whole(store.layout, release)]
    if not keys:
        return

    def install_one(key: str) -> None:
        with source.opened(releases[key], repository=repositories.get(key)) as available:
            chosen = choose_files(available.contents, only.get(key, ()))
            refuse_forbidden(releases[key], (file.path for file in chosen), forbidden)
            install_available(store, available, pool=pool, only=only.get(key, ()), reporter=reporter)

    with (
        running(store.layout, releases.values()),
        Pool() as pool,
        ThreadPoolExecutor(_AT_ONCE, "orbitpkg-install") as packages,
    ):
        futures = [packages.submit(install_one, key) for key in keys]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            pool.stopping.set()
            raise
        finally:
            packages.shutdown(wait=True, cancel_futures=True)
    # The first failure stops the others, which then fail for no reason of their own.
    failures = [error for future in done if (error := future.exception()) is not None]
    failures.sort(key=lambda error: isinstance(error, StoppedError))
    if failures:
        raise failures[0]


def _refuse_installed(layout: Layout, releases: Mapping[str, Release], forbidden: frozenset[str]) -> None:
    """Refuse what is installed already and forbidden here: another project may have installed it."""
    from orbitpkg.prohibitions import refuse_forbidden
    from orbitpkg.store.package import open_package

    for key, release in releases.items() if forbidden else ():
        package = open_package(layout, key, release.version)
        if package is not None:
            refuse_forbidden(release, package.files(), forbidden)


def _is_whole(layout: Layout, release: Release) -> bool:
    """Say whether this very release is installed with all of its files, so that nothing needs to be asked for."""
    from orbitpkg.store.package import open_package

    package = open_package(layout, release.key, release.version)
    return package is not None and package.digest == release.digest and package.is_complete


def _understood(requirements: Sequence[PathLike], stack: ExitStack) -> tuple[list[Requirement], dict[str, Available]]:
    """Read requirements, and open the archives among them for as long as the stack lasts."""
    from orbitpkg.transfer.install import available_archive

    archives: dict[str, Available] = {}
    wanted: list[Requirement] = []
    for word in requirements:
        if is_archive(word):
            available = available_archive(stack.enter_context(_opened(Path(word))))
            archives[available.release.key] = available
            wanted.append(parse_requirement(str(available.release)))
        else:
            wanted.append(parse_requirement(os.fspath(word)))
    return wanted, archives


def _resolve(
    layout: Layout,
    wanted: Sequence[Requirement],
    *,
    archives: Mapping[str, Available],
    repository: PathLike | None,
    apps: Sequence[str],
    python: PathLike | None,
    only: Sequence[str],
    offline: bool,
    prereleases: bool,
    reporter: Reporter | None = None,
) -> tuple[Resolution, RepositorySource | None]:
    """Choose releases; without a source when all of them are installed and nobody needs to be asked."""
    from orbitpkg.errors import OrbitError
    from orbitpkg.resolver.apps import read_apps
    from orbitpkg.resolver.resolver import resolve
    from orbitpkg.store.store import Store
    from orbitpkg.transfer.sources import InstalledSource, RepositorySource, resolve_as_recorded

    held = read_apps(apps, python=python)
    effect = settings(repository)
    networked = [_takes_network(setting.url) for setting in effect.repositories]
    local_only = is_offline(said=offline) and any(networked)
    exact = not archives and all(requirement.range.exact for requirement in wanted)
    if exact or (local_only and not archives):
        # What somebody names a repository for must come from it; what nobody does, from anywhere.
        origin = effect.repositories[0].url if effect.is_said and not local_only else None
        try:
            return resolve(
                wanted, InstalledSource(layout, origin=origin, only=only), apps=held, prereleases=prereleases
            ), None
        except OrbitError as error:
            if local_only and all(networked):
                error.hint = f"Offline mode is on, so only what is installed can be had. {error.hint or ''}".rstrip()
                raise
    places = open_places(repository, offline=offline, reporter=reporter)
    source = RepositorySource(places, Store(layout.home), archives)
    return resolve_as_recorded(wanted, source, apps=held, prereleases=prereleases), source


def installed_of(layout: Layout, releases: Mapping[str, Release], asked: Sequence[str], before: set[str]) -> Installed:
    """Say what installing came to.

    Args:
        layout: Of the store.
        releases: Those that were installed, by canonical name.
        asked: The names of those that were asked for.
        before: The digests of what was installed before.
    """
    from orbitpkg.errors import StorageError
    from orbitpkg.store.package import open_package

    result = Installed()
    for key in [*asked, *(key for key in releases if key not in asked)]:
        release = releases[key]
        package = open_package(layout, key, release.version)
        if package is None:
            raise StorageError(f"{release} was removed while it was being installed.", hint="Install it again.")
        (result.packages if key in asked else result.dependencies).append(package)
        if package.digest not in before:
            result.new.append(package)
    return result


def warnings_of(source: RepositorySource, result: Installed) -> list[str]:
    """Say what one should know of what was newly installed, and where indexes and records differ."""
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.versions import parse_version

    new = [(canonical_name(package.name), parse_version(package.version)) for package in result.new]
    told = [line for name, version in new for line in source.warnings(name, version)]
    return told + source.places.differences


def plan_all(
    requirements: Sequence[PathLike],
    *,
    repository: PathLike | None = None,
    apps: Sequence[str] = (),
    python: PathLike | None = None,
    only: Sequence[str] = (),
    offline: bool = False,
    prereleases: bool = False,
) -> list[tuple[Release, InstallPlan]]:
    """Plan what :func:`install_all` would do, without changing anything.

    Returns:
        The releases that would be installed or completed, each with its plan.
    """
    from contextlib import ExitStack

    from orbitpkg.store.store import Store
    from orbitpkg.transfer.install import plan

    store = Store(_home())
    with ExitStack() as stack:
        wanted, archives = _understood(requirements, stack)
        resolution, source = _resolve(
            store.layout,
            wanted,
            archives=archives,
            repository=repository,
            apps=apps,
            python=python,
            only=only,
            offline=offline,
            prereleases=prereleases,
        )
        if source is None:
            return []
        asked = {requirement.key for requirement in wanted}
        plans = []
        for key, release in resolution.releases.items():
            with source.opened(release, repository=resolution.offers[key].repository) as available:
                steps = plan(store, available, only=only if key in asked else ())
            if steps.files:
                plans.append((release, steps))
    return plans


# Using what is installed.


def package(
    requirement: str,
    *,
    prereleases: bool = False,
    app: str | Iterable[str] | None = None,
    python: PathLike | None = None,
) -> Package:
    """Give the best installed version of a package. Works offline, and in a store that may only be read.

    Args:
        requirement: ``model``, ``model==2.0.0``, ``model>=1.2,<2`` …
        prereleases: Whether pre-releases are candidates; one that the requirement names is in any case.
        app: The app, or apps, that it must work with: ``NAME==VERSION``, or ``NAME`` of a distribution that is
            installed. One whose version nobody knows is not checked, which is logged as a warning.
        python: The interpreter that these are installed beside; the running one when None.

    Raises:
        UsageError: The requirement or an app cannot be read.
        NotInstalled: Nothing installed fits.
    """
    wanted = parse_requirement(requirement)
    if app is None:
        return find_package(Layout(_home()), wanted, prereleases=prereleases)
    from orbitpkg.resolver.suiting import find_suiting

    return find_suiting(Layout(_home()), wanted, _listed(app), python=python, prereleases=prereleases)


def packages() -> list[Package]:
    """List what is installed, by name, oldest version first."""
    from orbitpkg.store.package import installed_packages

    return installed_packages(Layout(_home()))


def remove(requirement: str, *, dry_run: bool = False) -> list[Removed]:
    """Remove every installed version that a requirement allows.

    Args:
        requirement: ``model==2.0.0``; a bare name is all versions of that package.
        dry_run: Change nothing.

    Raises:
        UsageError: The requirement cannot be read.
        NotInstalled: Nothing installed fits.
        StorageError: The store cannot be written.
    """
    from orbitpkg.store.package import installed_versions, not_installed
    from orbitpkg.store.store import Store

    wanted, store = parse_requirement(requirement), Store(_home())
    there = installed_versions(store.layout, wanted.key)
    chosen = [version for version in there if wanted.range.allows(version)]
    if not chosen:
        error = not_installed(store.layout, wanted, there)
        error.hint = "See what is installed: orbitpkg list"
        raise error
    removed = []
    for version in chosen:
        name, size = _name_and_size(store.layout, wanted.key, version)
        freed = size if dry_run else store.remove(wanted.key, version)
        removed.append(Removed(name, str(version), freed))
    return removed


def _name_and_size(layout: Layout, key: str, version: Version) -> tuple[str, int]:
    """Give what a package is called and how large it is, as far as that can be read: what is damaged can be removed."""
    from contextlib import suppress

    from orbitpkg.errors import OrbitError
    from orbitpkg.store.package import open_package

    name = key
    with suppress(OrbitError):
        package = open_package(layout, key, version)
        if package is not None:
            name = package.name
            return name, package.contents.total_size
    return name, 0


def verify(
    requirements: Sequence[str] = (), *, reporter: Reporter | None = None
) -> list[tuple[Package, list[Finding]]]:
    """Hash what is installed and say what is not as it was published.

    Args:
        requirements: What to look at: every installed version that one of them allows; everything without any.
        reporter: Told how far it is.

    Returns:
        Each release looked at, with what is wrong with it.

    Raises:
        NotInstalled: A requirement fits nothing.
        IntegrityError: The record or the contents of a release are altered themselves.
    """
    from orbitpkg.reporting import SILENT
    from orbitpkg.store.package import not_installed
    from orbitpkg.store.store import Store

    store = Store(_home())
    chosen = store.packages()
    if requirements:
        wanted = [parse_requirement(word) for word in requirements]
        for requirement in wanted:
            if not any(_fits(requirement, package) for package in chosen):
                raise not_installed(store.layout, requirement, [])
        chosen = [package for package in chosen if any(_fits(requirement, package) for requirement in wanted)]
    total = sum(package.contents.total_size for package in chosen)
    with (reporter or SILENT).task("Verifying", total) as task:
        return [(package, store.verify(package, progress=task.advance)) for package in chosen]


def _fits(requirement: Requirement, package: Package) -> bool:
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.versions import parse_version

    return requirement.key == canonical_name(package.name) and requirement.range.allows(parse_version(package.version))


# Looking into repositories.


def versions(name: str, *, repository: PathLike | None = None, offline: bool = False) -> list[str]:
    """List the published versions of a package, oldest first.

    Raises:
        PackageNotFound: Nobody published a package of this name there.
        RepositoryError: The repository cannot be read.
    """
    key, source = parse_requirement(name).key, _source(repository, offline=offline)
    found = source.versions(key)
    if not found:
        raise source.nothing_found(key, key, [])
    return [str(version) for version in found]


def _source(repository: PathLike | None, *, offline: bool) -> RepositorySource:
    from orbitpkg.store.store import Store
    from orbitpkg.transfer.sources import RepositorySource

    return RepositorySource(open_places(repository, offline=offline), Store(_home()), {})


def home_of(name: str, repository: PathLike | None = None, *, offline: bool = False) -> str:
    """Give the address of the repository that a package comes from.

    Raises:
        ResolutionError: Two repositories have it, and it is bound to neither.
        RepositoryError: A repository did not say.
    """
    return open_places(repository, offline=offline).home(parse_requirement(name).key).url


def released(
    requirement: str, *, repository: PathLike | None = None, offline: bool = False, prereleases: bool = False
) -> Release:
    """Read the record of the best published release that a requirement allows; a yanked one only if it is named.

    Raises:
        PackageNotFound, VersionNotFound: There is none.
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.model.requirements import best

    wanted, source = parse_requirement(requirement), _source(repository, offline=offline)
    if wanted.range.exact:
        return source.release(wanted.key, wanted.range.exact)
    there = source.versions(wanted.key)
    left = list(there)
    while (version := best(left, wanted.range, prereleases=prereleases)) is not None:
        offer = source.offer(wanted.key, version)
        if offer is not None and offer.yanked is None:
            return source.release(wanted.key, version)
        left.remove(version)
    raise source.nothing_found(wanted.key, str(wanted), there)


def search(text: str = "", *, repository: PathLike | None = None, offline: bool = False) -> list[Found]:
    """List the packages of a repository whose name, description or keywords hold a text; all of them for "".

    Raises:
        UnsupportedByStore: The repository cannot be listed (a static web server).
        RepositoryError: It cannot be read.
    """
    from concurrent.futures import ThreadPoolExecutor

    places, summaries = open_places(repository, offline=offline), []
    for setting in places.settings:
        source = places.catalogue(setting).repository
        names = source.names()
        if not names:
            source.config()
        with ThreadPoolExecutor(16, "orbitpkg-search") as pool:
            summaries += [index for index in pool.map(source.summary, names) if index.releases]
    word = text.casefold()
    return [
        Found(index.name, str(index.newest), index.description)
        for index in summaries
        if word in " ".join([index.name, index.description, *index.keywords]).casefold()
    ]


def init_repository(
    repository: PathLike | None = None, *, create_bucket: bool = False, offline: bool = False
) -> tuple[Repository, ProbeReport | None]:
    """Make a repository at an address, unless there is one.

    Args:
        repository: The address, as for :func:`settings`.
        create_bucket: Make the bucket, too, if it does not exist.
        offline: Refuse one that takes a network.

    Returns:
        The repository, and what its store can do; None instead of that when it was a repository already.

    Raises:
        BucketNotFound: The bucket does not exist.
        RepositoryError: The store cannot be reached or written.
    """
    from orbitpkg.objects import create_bucket as make_bucket

    source = open_repository(repository, offline=offline)
    if create_bucket:
        make_bucket(repository_url(repository))
    _, report = source.init()
    return source, report


def doctor(repository: PathLike | None = None, *, offline: bool = False) -> ProbeReport:
    """Try what the store of a repository can do.

    Raises:
        RepositoryError: It cannot be reached, or does not know who asks.
    """
    from orbitpkg.repository.probe import probe

    return probe(open_repository(repository, offline=offline).objects)


def collect_repository(
    repository: PathLike | None = None,
    *,
    grace: timedelta | None = None,
    dry_run: bool = False,
    offline: bool = False,
) -> Garbage:
    """Delete what a repository holds and no release needs.

    Args:
        repository: Which one, as for :func:`settings`.
        grace: How old something must be; a week when None. Must be longer than any publishing takes.
        dry_run: Change nothing.
        offline: Refuse a repository that takes a network.

    Returns:
        What was, or would be, deleted.

    Raises:
        RepositoryError: The repository cannot be read or written.
    """
    from datetime import timedelta

    from orbitpkg.repository.garbage import collect_garbage, find_garbage

    source = open_repository(repository, offline=offline)
    source.config()
    garbage = find_garbage(source, grace=timedelta(days=7) if grace is None else grace)
    if not dry_run:
        collect_garbage(source, garbage)
    return garbage
