"""The parser of Sputnik's command line: its commands and options, and the function that each command calls."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

from orbitpkg.compat.sputnik.api import commands

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["LOG_LEVELS", "new_parser"]

LOG_LEVELS = ("debug", "info", "warning", "error", "critical")


def new_parser() -> argparse.ArgumentParser:
    """Create the parser. Parsed arguments have a function ``run``, whose result is printed as text or as JSON."""
    parser = argparse.ArgumentParser(
        prog="python -m orbitpkg.compat.sputnik",
        description="Sputnik's command line on top of orbitpkg's store and repositories.",
    )
    parser.add_argument("--name", help="the app's name")
    parser.add_argument("--version", help="the app's version")
    parser.add_argument("--data-path", help="the directory of installed packages; default: orbitpkg's own store")
    parser.add_argument("--repository-url", help="the repository; default: the one in orbitpkg's settings")
    parser.add_argument("--log-level", default="info", choices=LOG_LEVELS, type=str.lower, help="default: info")
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    def add(name: str, run: Callable[[argparse.Namespace], Any], text: str) -> argparse.ArgumentParser:
        command = subparsers.add_parser(name, help=text, description=text)
        command.set_defaults(run=run)
        return command

    build = add("build", _build, "build the archive of a directory with a package.json")
    build.add_argument("package_path", nargs="?", default=".", help="the directory; default: the working directory")
    build.add_argument("archive_path", nargs="?", help="the archive, or a directory for it; default: the directory")
    install = add("install", _install, "install a package from the repository, or an archive")
    install.add_argument("package_name", help="like 'my_model >=1.0.0', or the path of an archive")
    remove = add("remove", _remove, "remove installed versions of a package")
    remove.add_argument("package_string", help="like 'my_model ==1.0.0'")
    find = add("find", _find, "list installed packages")
    find.add_argument("package_string", nargs="?", default="", help="default: all")
    find.add_argument("--meta", action="store_true", help="print all metadata")
    find.add_argument("--cache", action="store_true", help="list the packages that update last found instead")
    search = add("search", _search, "list the packages that can be installed")
    search.add_argument("search_string", nargs="?", help="default: all")
    upload = add("upload", _upload, "publish an archive")
    upload.add_argument("package_path", help="the archive")
    add("update", _update, "save the list of packages that can be installed, for find --cache")
    files = add("files", _files, "list the files of an installed package or of an archive")
    files.add_argument("package_string", help="like 'my_model ==1.0.0', or the path of an archive")
    purge = add("purge", _purge, "remove all installed packages in a data path, and the saved list of packages")
    purge.add_argument("--cache", action="store_true", help="remove only the saved list of packages")
    purge.add_argument("--pool", action="store_true", help="remove only installed packages")
    return parser


def _build(given: argparse.Namespace) -> str:
    return commands.build(given.package_path, given.archive_path).path


def _install(given: argparse.Namespace) -> str:
    app = given.name, given.version
    return commands.install(*app, given.package_name, given.data_path, given.repository_url).path


def _remove(given: argparse.Namespace) -> None:
    commands.remove(given.name, given.version, given.package_string, given.data_path)


def _find(given: argparse.Namespace) -> list[dict[str, Any]]:
    found = commands.find(given.name, given.version, given.package_string, cache=given.cache, data_path=given.data_path)
    return [each.to_dict(None if given.meta else ("name", "version")) for each in found]


def _search(given: argparse.Namespace) -> list[str]:
    app = given.name, given.version
    found = commands.search(*app, given.search_string, given.data_path, given.repository_url)
    return [each.ident for each in found]


def _upload(given: argparse.Namespace) -> None:
    commands.upload(given.name, given.version, given.package_path, given.data_path, given.repository_url)


def _update(given: argparse.Namespace) -> None:
    commands.update(given.name, given.version, given.data_path, given.repository_url)


def _files(given: argparse.Namespace) -> dict[str, Any]:
    shown = commands.files(given.name, given.version, given.package_string, given.data_path)
    return {given.package_string: shown}


def _purge(given: argparse.Namespace) -> None:
    commands.purge(given.name, given.version, given.cache, given.pool, given.data_path)
