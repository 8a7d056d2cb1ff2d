"""Sputnik's functions. They print nothing: functions that printed in Sputnik return the same data."""

from __future__ import annotations

import contextlib
import logging
import os
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any

from orbitpkg.api.policy import check_package
from orbitpkg.compat.sputnik.api.apps import excluded_by, read_app
from orbitpkg.compat.sputnik.api.constraints import parse_package_string
from orbitpkg.compat.sputnik.api.errors import (
    CompatiblePackageNotFoundException,
    InvalidDataPathException,
    PackageNotFoundException,
)
from orbitpkg.compat.sputnik.api.installed import best_installed, find_matching, layout_of
from orbitpkg.compat.sputnik.api.packages import Archive, Package, PackageStub
from orbitpkg.compat.sputnik.api.translation import translate_errors
from orbitpkg.files.atomic import atomic_write
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.tilde import expand_home
from orbitpkg.model.jsontext import dump_json, load_json
from orbitpkg.model.names import canonical_name, nearest
from orbitpkg.model.versions import parse_version
from orbitpkg.store.package import installed_names, installed_packages, installed_versions

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from orbitpkg.compat.sputnik.api.constraints import PackageString
    from orbitpkg.compat.sputnik.api.repositories import Found
    from orbitpkg.resolver.apps import Apps
    from orbitpkg.store.layout import Layout

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["build", "files", "find", "install", "package", "purge", "remove", "search", "update", "upload"]

_log = logging.getLogger(__name__)

# The packages that update() and search() found, in the cache directory of a data path.
_SEEN_NAME = "sputnik.json"


def build(package_path: PathLike | None = ".", archive_path: PathLike | None = None) -> Archive:
    """Build the archive of a directory with a ``package.json``.

    Args:
        package_path: The directory.
        archive_path: The archive's path, or a directory for ``NAME-VERSION.sputnik``; the directory when None.

    Raises:
        ValidationException: The ``package.json`` is invalid.
        InvalidPathException: It includes a path outside the directory.
        EmptyArchiveException: It includes no files.
    """
    from orbitpkg.compat.sputnik.api.building import build_archive

    folder = expand_home(package_path or ".")
    target = expand_home(archive_path) if archive_path else folder
    with translate_errors():
        return Archive(str(build_archive(folder, target)))


def install(
    app_name: str | None,
    app_version: str | None,
    package_name: PathLike,
    data_path: PathLike | None = None,
    repository_url: PathLike | None = None,
) -> Package:
    """Install a package: the newest version that matches, or an archive.

    If a matching version is installed, it is returned without contacting a repository. Other versions stay installed.
    An exact version (a single ``==``) is installed even if it is incompatible with the app. This logs a warning, and
    :func:`package` does not return that version to the app.

    Args:
        app_name: The app that will use the package; None for no compatibility check.
        app_version: The app's version.
        package_name: A package string, or the path of an archive. A path ends in ``.sputnik`` or ``.tar.zst``, or
            contains a slash.
        data_path: The directory of the store; orbitpkg's own store when None.
        repository_url: The repository; the one in orbitpkg's settings when None.

    Raises:
        PackageNotFoundException: No repository has the package.
        CompatiblePackageNotFoundException: No version satisfies the constraint and is compatible with the app.
        InvalidChecksumException: The package is damaged. Nothing was installed.
        NotEnoughSpaceException: The disk is full.
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.api.publish import is_archive

    apps, layout = read_app(app_name, app_version), layout_of(data_path)
    word = os.path.expanduser(os.fspath(package_name))  # noqa: PTH111 - may be a package string
    if is_archive(word) or "/" in word or os.sep in word:
        return _install_archive(layout, Path(word), apps, repository_url)
    wanted = parse_package_string(word, named=True)
    package = _install_named(layout, wanted, read_app(None, None) if wanted.is_exact else apps, repository_url)
    excluded = excluded_by(apps, package.installed.compatibility)
    if excluded:
        _log.warning("%s was installed as requested, but it does not work with %s.", package.ident, excluded)
    return package


def _install_named(layout: Layout, wanted: PackageString, apps: Apps, repository_url: PathLike | None) -> Package:
    # An installed version is preferred to a newer one, so an app starts without a network.
    with contextlib.suppress(PackageNotFoundException, CompatiblePackageNotFoundException):
        package = best_installed(layout, wanted, apps)
        with translate_errors():
            check_package(package.installed)
        return package
    from orbitpkg.compat.sputnik.api.repositories import choose

    with translate_errors():
        return _install(layout, wanted.key, choose(layout, wanted, apps, repository_url))


def _install_archive(layout: Layout, path: Path, apps: Apps, repository_url: PathLike | None) -> Package:
    from orbitpkg.api.publish import opened_archive
    from orbitpkg.compat.sputnik.api.repositories import Found, default_repository
    from orbitpkg.config.repositories import open_repositories
    from orbitpkg.installer.install import available_archive
    from orbitpkg.installer.sources import RepositorySource, resolve_as_recorded
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.store.store import Store

    if not path.is_file():
        hint = "It is a directory. Make an archive of it with build()." if path.is_dir() else "Check the path."
        raise PackageNotFoundException(f"The archive {path} does not exist.", hint=hint, path=str(path))
    with contextlib.ExitStack() as stack, translate_errors():
        available = available_archive(stack.enter_context(opened_archive(path, layout=layout)))
        release = available.release
        excluded = excluded_by(apps, release.compatibility)
        if excluded:
            raise CompatiblePackageNotFoundException(
                f"{release.name} {release.version} does not work with {excluded}.",
                hint="Install another version, or give None for the app's name and version to skip the check.",
            )
        repositories = open_repositories(default_repository(repository_url))
        source = RepositorySource(repositories, Store(layout.home), {release.key: available})
        resolution = resolve_as_recorded([parse_requirement(str(release))], source, apps=apps, prereleases=True)
        return _install(layout, release.key, Found(source=source, resolution=resolution))


def _install(layout: Layout, key: str, found: Found) -> Package:
    from orbitpkg.api.install import find_installed, install_releases
    from orbitpkg.api.policy import read_policy
    from orbitpkg.reporting import SILENT
    from orbitpkg.store.store import Store

    releases = found.resolution.releases
    install_releases(
        Store(layout.home),
        found.source,
        releases,
        policy=read_policy(),
        repositories={name: offer.repository for name, offer in found.resolution.offers.items()},
        only={},
        reporter=SILENT,
    )
    return Package(find_installed(layout, releases, [key], set()).packages[0])


def remove(
    app_name: str | None, app_version: str | None, package_string: str, data_path: PathLike | None = None
) -> None:
    """Remove all installed versions that match a package string.

    Raises:
        PackageNotFoundException: No version of the package is installed.
        CompatiblePackageNotFoundException: None of the installed versions matches.
    """
    from orbitpkg.store.store import Store

    del app_name, app_version
    layout, wanted = layout_of(data_path), parse_package_string(package_string, named=True)
    chosen = find_matching(layout, wanted)
    if not chosen:
        versions = installed_versions(layout, wanted.key)
        kind = CompatiblePackageNotFoundException if versions else PackageNotFoundException
        close = nearest(wanted.name, installed_names(layout))
        hint = f"Did you mean {' or '.join(close)}?" if close and not versions else None
        raise kind(f"{wanted.text!r} matches no package installed in {layout.home}.", hint=hint, name=wanted.name)
    for each in chosen:
        Store(layout.home).remove(wanted.key, parse_version(each.version))


def search(
    app_name: str | None,
    app_version: str | None,
    search_string: str | None = None,
    data_path: PathLike | None = None,
    repository_url: PathLike | None = None,
) -> list[PackageStub]:
    """List the versions that can be installed and match a package string and the app, by name, oldest version first.

    The metadata comes from a repository's index: it has no licence, and the description is that of the newest version.

    Raises:
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.compat.sputnik.api.repositories import installable

    apps, wanted = read_app(app_name, app_version), parse_package_string(search_string)
    with translate_errors():
        found = installable(wanted, apps, repository_url)
    if not search_string:
        _save_seen(layout_of(data_path), found)
    return found


def find(  # noqa: PLR0917 - as Sputnik has it
    app_name: str | None,
    app_version: str | None,
    package_string: str | None = None,
    meta: bool | None = False,
    cache: bool | None = False,
    data_path: PathLike | None = None,
) -> Sequence[PackageStub]:
    """List the installed packages that match a package string, for any app, by name, oldest version first.

    Args:
        app_name: Ignored.
        app_version: Ignored.
        package_string: The package string; all packages when None.
        meta: Ignored. The command line prints all metadata with it.
        cache: List the packages that :func:`update` last found in the repository instead.
        data_path: The directory of the store; orbitpkg's own store when None.
    """
    del app_name, app_version, meta
    layout, wanted = layout_of(data_path), parse_package_string(package_string)
    if cache:
        return [
            each
            for each in _seen(layout)
            if wanted.key in {"", each.name} and wanted.allows(parse_version(each.version))
        ]
    return [Package(each) for each in find_matching(layout, wanted)]


def package(
    app_name: str | None, app_version: str | None, package_string: str, data_path: PathLike | None = None
) -> Package:
    """Return the newest installed version that matches a package string and the app, without a network.

    Raises:
        PackageNotFoundException: No version of the package is installed.
        CompatiblePackageNotFoundException: None of the installed versions matches.
    """
    apps = read_app(app_name, app_version)
    return best_installed(layout_of(data_path), parse_package_string(package_string, named=True), apps)


def files(
    app_name: str | None,
    app_version: str | None = None,
    package_string: PathLike | None = None,
    data_path: PathLike | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the files of an installed package or of an archive: ``size`` and ``checksum`` by path.

    A single argument is the package, as in Sputnik's README: ``files('my_model')``.

    Raises:
        PackageNotFoundException: No version of the package is installed.
        CompatiblePackageNotFoundException: None of the installed versions matches.
    """
    from orbitpkg.api.publish import is_archive

    if app_version is None and package_string is None:
        app_name, package_string = None, app_name
    word = os.path.expanduser(os.fspath(package_string or ""))  # noqa: PTH111 - may be a package string
    shown = Archive(word) if is_archive(word) else package(app_name, app_version, word, data_path)
    return {str(PurePath(*row["path"])): {"checksum": row["checksum"], "size": row["size"]} for row in shown.manifest}


def update(
    app_name: str | None,
    app_version: str | None,
    data_path: PathLike | None = None,
    repository_url: PathLike | None = None,
) -> None:
    """Save the list of packages that can be installed, for :func:`find` with ``cache``. Nothing else needs it.

    Raises:
        RepositoryError: The repository cannot be read.
    """
    search(app_name, app_version, None, data_path, repository_url)


def upload(
    app_name: str | None,
    app_version: str | None,
    package_path: PathLike,
    data_path: PathLike | None = None,
    repository_url: PathLike | None = None,
) -> bool:
    """Publish an archive, or a directory with orbitpkg's ``package.json``.

    Returns:
        True: the package is published, by this or an earlier call.

    Raises:
        ReleaseExists: The version exists with other contents.
        RepositoryError: The upload failed.
    """
    from orbitpkg.api.publish import publish
    from orbitpkg.compat.sputnik.api.repositories import default_repository

    del app_name, app_version, data_path
    publish(expand_home(package_path), default_repository(repository_url))
    return True


def purge(
    app_name: str | None,
    app_version: str | None,
    cache: bool | None = None,
    pool: bool | None = None,
    data_path: PathLike | None = None,
) -> None:
    """Remove the saved list of packages (``cache``), all installed packages (``pool``), or by default both.

    Raises:
        InvalidDataPathException: Packages would be removed from orbitpkg's own store, which requires a data path.
    """
    from orbitpkg.store.store import Store

    del app_name, app_version
    both, layout = not cache and not pool, layout_of(data_path)
    if (pool or both) and data_path is None:
        raise InvalidDataPathException(
            f"This would remove all packages in {layout.home}, including those of other apps.",
            hint=f"To remove them, give the data path: data_path={layout.home!r}",
        )
    if cache or both:
        with storage_errors(layout.home):
            _seen_path(layout).unlink(missing_ok=True)
    for each in installed_packages(layout) if pool or both else []:
        Store(layout.home).remove(canonical_name(each.name), parse_version(each.version))


def _seen_path(layout: Layout) -> Path:
    return Path(layout.home, "cache", _SEEN_NAME)


def _save_seen(layout: Layout, found: Sequence[PackageStub]) -> None:
    path = _seen_path(layout)
    with storage_errors(str(path)):
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, dump_json([each.to_dict() for each in found]), durable=False)


def _seen(layout: Layout) -> list[PackageStub]:
    try:
        rows = load_json(_seen_path(layout).read_bytes())
    except OSError:
        return []
    return [PackageStub(row) for row in rows or ()]
