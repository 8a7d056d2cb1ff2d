"""Installing packages and their dependencies."""

from __future__ import annotations

from orbitpkg.api.boundary import public
from orbitpkg.api.options import InstallOptions, as_tuple
from orbitpkg.api.select import choose_releases, parse_requirements
from orbitpkg.config.home import home_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping, Sequence

    from orbitpkg.api.options import PathLike
    from orbitpkg.installer.plan import InstallPlan
    from orbitpkg.installer.policy import Policy
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.model.release import Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Store

__all__ = [
    "Installed",
    "collect_warnings",
    "find_installed",
    "install",
    "install_all",
    "install_releases",
    "plan_all",
]

# Each package waits for round trips that only it needs, so a few are installed at the same time.
_PACKAGES_AT_ONCE = 4


class Installed:
    """The result of an installation.

    Attributes:
        packages: The packages that were asked for, in that order.
        dependencies: Their dependencies.
        new: Those of both that were not complete before.
        unchecked: By package, the apps that its compatibility names and whose version is unknown.
        warnings: Sentences for the user: a release is yanked or deprecated, or an index is wrong.
    """

    __slots__ = ("dependencies", "new", "packages", "unchecked", "warnings")

    def __init__(self) -> None:
        self.packages: list[Package] = []
        self.dependencies: list[Package] = []
        self.new: list[Package] = []
        self.unchecked: dict[str, tuple[str, ...]] = {}
        self.warnings: list[str] = []


@public
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
    """Install the newest release that meets a requirement, and its dependencies.

    Args:
        requirement: ``model``, ``model==2.0.0``, ``model>=1.2,<2``, or the path of an archive.
        repository: The repository to install from, as for :func:`settings`.
        app: ``NAME==VERSION`` of each app that will use the package, in addition to those installed for the
            interpreter.
        python: That interpreter, or the directory of a virtual environment; the running interpreter when None.
        only: One or more globs of the files to install. A later install without it completes the package.
        offline: Refuse the network and use what is installed.
        prereleases: Whether pre-releases are candidates.
        reporter: Receives progress.

    Raises:
        UsageError: The requirement is invalid.
        ResolutionError: No release meets the requirement.
        RepositoryError: The repository cannot be read.
        ForbiddenFormat: The release has files of a forbidden format.
        IntegrityError: Data is not what was published; nothing was installed.
        StorageError: The store cannot be written, or the disk is full.
    """
    from orbitpkg.reporting import SILENT

    options = InstallOptions(
        repository=repository,
        apps=as_tuple(app),
        python=python,
        only=as_tuple(only),
        offline=offline,
        prereleases=prereleases,
        reporter=reporter or SILENT,
    )
    return install_all([requirement], options).packages[0]


def install_all(requirements: Sequence[PathLike], options: InstallOptions | None = None) -> Installed:
    """Install several packages that are compatible with one another. Raises the errors of :func:`install`.

    Args:
        requirements: As for :func:`install`.
        options: ``only`` applies to the packages asked for; their dependencies are installed whole.
    """
    from contextlib import ExitStack

    from orbitpkg.api.policy import read_policy
    from orbitpkg.config.apps import read_apps
    from orbitpkg.store.store import Store

    options = options or InstallOptions()
    store = Store(home_folder())
    before = {package.digest for package in store.packages() if package.is_complete}
    with ExitStack() as stack:
        wanted, archives = parse_requirements(requirements, stack)
        apps = read_apps(options.apps, python=options.python)
        resolution, source = choose_releases(store.layout, wanted, archives, apps, options)
        asked = dict.fromkeys(requirement.key for requirement in wanted)
        policy = read_policy(apps)
        if source is not None:
            before -= install_releases(
                store,
                source,
                resolution.releases,
                policy=policy,
                repositories={key: offer.repository for key, offer in resolution.offers.items()},
                only=dict.fromkeys(asked, options.only),
                reporter=options.reporter,
            )
        else:
            _check_installed(store.layout, resolution.releases, policy)
    result = find_installed(store.layout, resolution.releases, list(asked), before)
    result.unchecked = dict(resolution.unchecked)
    if source is not None:
        result.warnings = collect_warnings(source, result)
    return result


def install_releases(
    store: Store,
    source: RepositorySource,
    releases: Mapping[str, Release],
    *,
    policy: Policy,
    repositories: Mapping[str, str | None],
    only: Mapping[str, Sequence[str]],
    reporter: Reporter,
    whole: Container[str] = (),
) -> set[str]:
    """Install releases, several at a time, with one pool of workers for all transfers.

    Args:
        store: The store to install into.
        source: The source of the releases.
        releases: The releases, by canonical name.
        policy: Checked for each release before any of its files becomes visible.
        repositories: By canonical name, the name of the repository the release comes from; None when unknown.
        only: By canonical name, globs of the files to install; the whole release when empty or absent.
        reporter: Receives progress.
        whole: The canonical names of releases that are known to be installed with all of their files.

    Returns:
        The digests of the releases that were not installed before, or lacked files.
    """
    from functools import partial

    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.installer.install import install as install_available
    from orbitpkg.installer.mending import mend
    from orbitpkg.store.roots import protect_releases

    _check_installed(store.layout, releases, policy)
    lacking = {
        key: release.digest
        for key, release in releases.items()
        if key not in whole and not _is_complete(store.layout, release)
    }
    keys = [key for key in releases if only.get(key) or key in lacking]
    if not keys:
        return set()

    def install_one(key: str) -> None:
        with source.opened(releases[key], repository=repositories.get(key)) as available:
            mend(store, available, pool=pool, reporter=reporter)
            install_available(store, available, policy=policy, pool=pool, only=only.get(key, ()), reporter=reporter)

    with (
        protect_releases(store.layout, releases.values()),
        Pool() as pool,
        Pool(_PACKAGES_AT_ONCE, "orbitpkg-install", stopping=pool.stopping) as packages,
    ):
        packages.run(partial(install_one, key) for key in keys)
    return set(lacking.values())


def _check_installed(layout: Layout, releases: Mapping[str, Release], policy: Policy) -> None:
    """Check the releases that are installed already: another project, with another policy, may have installed them."""
    from contextlib import suppress

    from orbitpkg.api.policy import check_package
    from orbitpkg.errors import IntegrityError, StorageError
    from orbitpkg.store.package import open_package

    for key, release in releases.items():
        # A damaged release is installed again, and checked then.
        with suppress(StorageError, IntegrityError):
            package = open_package(layout, key, release.version)
            if package is not None:
                check_package(package, policy)


def _is_complete(layout: Layout, release: Release) -> bool:
    """Return whether this very release is installed with all of its files, so that no repository is needed."""
    from orbitpkg.errors import StorageError
    from orbitpkg.store.package import open_package
    from orbitpkg.store.presence import find_missing

    try:
        package = open_package(layout, release.key, release.version)
    except StorageError:
        return False
    if package is None or package.digest != release.digest or not package.is_complete:
        return False
    return not find_missing(package)


def find_installed(
    layout: Layout, releases: Mapping[str, Release], asked: Sequence[str], before: set[str]
) -> Installed:
    """Return the installed packages of releases that were just installed.

    Args:
        layout: The layout of the store.
        releases: The releases, by canonical name.
        asked: The canonical names of the packages that were asked for; the others are dependencies.
        before: The digests of the packages that were complete before.

    Raises:
        StorageError: Another process removed a release meanwhile.
    """
    from orbitpkg.errors import StorageError
    from orbitpkg.store.package import open_package

    result = Installed()
    for key in [*asked, *(key for key in releases if key not in asked)]:
        release = releases[key]
        package = open_package(layout, key, release.version)
        if package is None:
            raise StorageError(f"{release.label} was removed while it was being installed.", hint="Install it again.")
        (result.packages if key in asked else result.dependencies).append(package)
        if package.digest not in before:
            result.new.append(package)
    return result


def collect_warnings(source: RepositorySource, result: Installed) -> list[str]:
    """Return warnings about the newly installed releases, and about indexes that differ from the records."""
    from orbitpkg.model.names import canonical_name
    from orbitpkg.model.versions import parse_version

    new = [(canonical_name(package.name), parse_version(package.version)) for package in result.new]
    warnings = [line for name, version in new for line in source.warnings(name, version)]
    return warnings + source.repositories.differences


def plan_all(
    requirements: Sequence[PathLike], options: InstallOptions | None = None
) -> list[tuple[Release, InstallPlan]]:
    """Plan what :func:`install_all` would do, without changing anything.

    Returns:
        The releases that would be installed or completed, each with its plan.

    Raises:
        OrbitError: As for :func:`install_all`, except for errors of transfers and of the disk.
    """
    from contextlib import ExitStack

    from orbitpkg.api.policy import read_policy
    from orbitpkg.config.apps import read_apps
    from orbitpkg.installer.install import plan
    from orbitpkg.store.store import Store

    options = options or InstallOptions()
    store = Store(home_folder())
    with ExitStack() as stack:
        wanted, archives = parse_requirements(requirements, stack)
        apps = read_apps(options.apps, python=options.python)
        resolution, source = choose_releases(store.layout, wanted, archives, apps, options)
        policy = read_policy(apps)
        _check_installed(store.layout, resolution.releases, policy)
        if source is None:
            return []
        asked = {requirement.key for requirement in wanted}
        plans = []
        for key, release in resolution.releases.items():
            with source.opened(release, repository=resolution.offers[key].repository) as available:
                steps = plan(store, available, policy=policy, only=options.only if key in asked else ())
            if steps.files:
                plans.append((release, steps))
    return plans
