"""Commands that query installed packages: ``list``, ``path``, ``files`` and ``show``.

Apps run ``path`` while they start, so this module imports as little as possible.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import command, installed_names, pre_option, repository_options

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from orbitpkg.cli.console import Console
    from orbitpkg.model.contents import Contents
    from orbitpkg.model.release import Release
    from orbitpkg.repository.repository import Repository
    from orbitpkg.store.package import Package

__all__ = ["EXPORTS", "files", "list_installed", "path", "show"]


def _requirement(function: Callable[..., Any]) -> Callable[..., Any]:
    return click.argument("requirement", metavar="REQ", shell_complete=installed_names)(pre_option(function))


@command("list", "orbitpkg list", "orbitpkg list --json")
def list_installed(console: Console) -> dict[str, object]:
    """List installed packages.

    Prints one line per package: name, version, number of files, size and description.
    """
    from orbitpkg.api.packages import packages as list_packages
    from orbitpkg.cli.facts import package_facts, totals
    from orbitpkg.cli.layout import count, size
    from orbitpkg.config.repositories import home

    packages = list_packages()
    amounts = [totals(package) for package in packages]
    console.rows(
        (
            package.name,
            package.version,
            count(amount.files, "file"),
            size(amount.bytes),
            package.description if package.is_complete else f"(partial) {package.description}",
        )
        for package, amount in zip(packages, amounts, strict=True)
    )
    if not packages:
        console.note(f"No packages are installed in {home()}")
    return {"home": str(home()), "packages": [package_facts(package) for package in packages]}


@command("path", "orbitpkg path digits", "weights=$(orbitpkg path digits==1.0.0 model weights.safetensors)")
@_requirement
@click.argument("parts", metavar="[PART]...", nargs=-1)
def path(console: Console, requirement: str, parts: tuple[str, ...], *, pre: bool) -> dict[str, object]:
    """Print the path of an installed package or of a file in it.

    Uses the newest installed version that REQ allows. Give the path of a file or directory as separate PARTs or with
    slashes. Never uses the network.
    """
    from orbitpkg.api.packages import package as open_package

    package = open_package(requirement, prereleases=pre)
    found = package.locate(*parts)
    console.exact(found)
    return {"name": package.name, "version": package.version, "path": found}


@command("files", "orbitpkg files digits", "orbitpkg files digits==1.0.0 --json")
@_requirement
def files(console: Console, requirement: str, *, pre: bool) -> dict[str, object]:
    """List the files of an installed package.

    Prints one path per line, relative to the output of orbitpkg path REQ.
    """
    from orbitpkg.api.packages import package as open_package

    package = open_package(requirement, prereleases=pre)
    paths = package.files()
    console.lines(paths)
    table = package.contents.by_path
    return {
        "name": package.name,
        "version": package.version,
        "path": str(package.path),
        "complete": package.is_complete,
        "files": [
            {
                "path": path,
                "bytes": table[path].size,
                "executable": table[path].executable,
                "blake3": table[path].blake3,
            }
            for path in paths
        ],
    }


@command("show", "orbitpkg show digits", "orbitpkg show digits==1.0.0 --repository s3://my-bucket/models")
@_requirement
@repository_options(verb="look in, even if the package is installed")
def show(
    console: Console, requirement: str, repository: str | None, *, offline: bool, pre: bool
) -> Mapping[str, object]:
    """Show details of a release.

    Shows the installed release, or the published one if none is installed or --repository is given.
    """
    from orbitpkg.api.search import home_of
    from orbitpkg.cli.facts import release_facts
    from orbitpkg.model.executables import executable_files
    from orbitpkg.store.package import Package

    release, source = _find_release(requirement, repository, offline=offline, prereleases=pre)
    package = source if isinstance(source, Package) else None
    location = (
        {"path": str(package.path), "origin": package.origin}
        if package is not None
        else {"path": None, "origin": home_of(release.name, repository, offline=offline)}
    )
    console.sentence(f"{release.name} {release.version}")
    if release.description:
        console.sentence(release.description)
    contents = _contents(release, source)
    executable = executable_files(file.path for file in contents.files) if contents is not None else None
    console.pairs([*_facts(release, location), ("can run code", _executable(executable))], unwrapped=("from", "path"))
    return {
        **release_facts(release),
        "installed": package is not None,
        "complete": package is not None and package.is_complete,
        "executable": executable,
        **location,
    }


def _find_release(
    requirement: str, repository: str | None, *, offline: bool, prereleases: bool
) -> tuple[Release, Package | Repository]:
    """Return a release, and the installed package or the repository that contains it."""
    from orbitpkg.api.packages import package as open_package
    from orbitpkg.api.search import located
    from orbitpkg.cli.facts import installed_release
    from orbitpkg.errors import NotInstalled, OfflineError, RepositoryNotFound

    if repository is not None:
        return located(requirement, repository=repository, offline=offline, prereleases=prereleases)
    try:
        package = open_package(requirement, prereleases=prereleases)
    except NotInstalled as missing:
        try:
            return located(requirement, offline=offline, prereleases=prereleases)
        except (OfflineError, RepositoryNotFound):
            raise missing from None
    return installed_release(package), package


def _contents(release: Release, source: Package | Repository) -> Contents | None:
    """Return the contents of an installed or published release, or None if they cannot be read."""
    from orbitpkg.errors import OrbitError
    from orbitpkg.store.package import Package

    try:
        if isinstance(source, Package):
            return source.contents
        return source.contents(release)[1]
    except OrbitError:
        return None


def _facts(release: Release, location: Mapping[str, str | None]) -> list[tuple[str, str]]:
    from orbitpkg.cli.facts import Totals, release_facts

    facts = release_facts(release)
    return [
        ("license", release.license or ""),
        ("size", str(Totals(release.archive.files, release.archive.bytes))),
        ("published", str(facts["published"] or "")),
        ("works with", _lines(f"{app} {text}" for app, text in release.compatibility.items())),
        ("needs", _lines(f"{name} {text}".rstrip() for name, text in release.dependencies.items())),
        ("keywords", ", ".join(release.keywords)),
        ("metadata", _lines(f"{key}: {_json(value)}" for key, value in release.metadata.items())),
        ("digest", f"sha256:{release.digest}"),
        ("from", location["origin"] or ""),
        ("path", location["path"] or ""),
    ]


def _executable(executable: Mapping[str, Iterable[str]] | None) -> str:
    if executable is None:
        return "unknown: the table of contents cannot be read"
    return _lines(f"{file_format}: {', '.join(paths)}" for file_format, paths in executable.items())


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(lines)


def _json(value: object) -> str:
    from orbitpkg.model.jsontext import json_text

    return value if isinstance(value, str) else json_text(value)


EXPORTS = {"list": list_installed, "path": path, "files": files, "show": show}
