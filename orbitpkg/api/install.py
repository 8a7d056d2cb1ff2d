"""Installing packages, with what they depend on."""

from __future__ import annotations

from orbitpkg.api.select import choose, listed, understood
from orbitpkg.config.home import home_folder

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from orbitpkg.installer.plan import InstallPlan
    from orbitpkg.installer.sources import RepositorySource
    from orbitpkg.model.release import Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package
    from orbitpkg.store.store import Store

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["Installed", "install", "install_all", "install_releases", "installed_of", "plan_all", "warnings_of"]

# How many packages are installed at the same time; each waits for round trips of its own.
_AT_ONCE = 4


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
        apps=listed(app),
        python=python,
        only=listed(only),
        offline=offline,
        prereleases=prereleases,
        reporter=reporter,
    )
    return result.packages[0]


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

    from orbitpkg.config.formats import forbidden_formats
    from orbitpkg.reporting import SILENT
    from orbitpkg.store.store import Store

    store, report = Store(home_folder()), reporter or SILENT
    before = {package.digest for package in store.packages() if package.is_complete}
    with ExitStack() as stack:
        wanted, archives = understood(requirements, stack)
        resolution, source = choose(
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
    from functools import partial

    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.config.formats import forbidden_formats, refuse_forbidden
    from orbitpkg.installer.install import choose_files
    from orbitpkg.installer.install import install as install_available
    from orbitpkg.store.roots import running

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
        Pool(_AT_ONCE, "orbitpkg-install", stopping=pool.stopping) as packages,
    ):
        packages.run(partial(install_one, key) for key in keys)


def _refuse_installed(layout: Layout, releases: Mapping[str, Release], forbidden: frozenset[str]) -> None:
    """Refuse what is installed already and forbidden here: another project may have installed it."""
    from orbitpkg.config.formats import refuse_forbidden
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
    return told + source.repositories.differences


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

    Raises:
        OrbitError: As for installing, but for what befalls bytes and disks.
    """
    from contextlib import ExitStack

    from orbitpkg.config.formats import forbidden_formats, refuse_forbidden
    from orbitpkg.installer.install import plan
    from orbitpkg.store.store import Store

    store = Store(home_folder())
    with ExitStack() as stack:
        wanted, archives = understood(requirements, stack)
        resolution, source = choose(
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
        forbidden = forbidden_formats()
        _refuse_installed(store.layout, resolution.releases, forbidden)
        if source is None:
            return []
        asked = {requirement.key for requirement in wanted}
        plans = []
        for key, release in resolution.releases.items():
            with source.opened(release, repository=resolution.offers[key].repository) as available:
                steps = plan(store, available, only=only if key in asked else ())
                refuse_forbidden(release, (file.path for file in steps.files), forbidden)
            if steps.files:
                plans.append((release, steps))
    return plans
