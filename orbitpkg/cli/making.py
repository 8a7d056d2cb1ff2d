"""Commands of an author: ``init``, ``validate``, ``build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.facts import Totals
from orbitpkg.cli.options import command

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "build", "init", "validate"]

_DIRECTORY = click.Path(file_okay=False)


@command("init", "orbitpkg init my-model", "orbitpkg init . --name digits --version 1.0.0")
@click.argument("directory", metavar="[DIR]", default=".", type=_DIRECTORY)
@click.option("--name", help="The package's name. Default: the directory's.")
@click.option("--version", default="1.0.0", show_default=True, help="Its first version.")
def init(console: Console, directory: str, name: str | None, version: str) -> dict[str, object]:
    """Write a package.json to begin with.

    It goes into DIR (default: the working directory), which is made if need be.
    """
    from orbitpkg.api.publish import init

    path = init(directory, name=name, version=version)
    console.account(f"Wrote {path}")
    console.hint(f"Say in it which files belong to the package, then: orbitpkg validate {directory}")
    return {"path": str(path.absolute())}


@command("validate", "orbitpkg validate my-model")
@click.argument("directory", metavar="[DIR]", default=".", type=_DIRECTORY)
def validate(console: Console, directory: str) -> dict[str, object]:
    """Check a package.json and the files it picks.

    It is the one in DIR (default: the working directory). Every problem is told at once.
    """
    from orbitpkg.api.publish import check_manifest
    from orbitpkg.config.formats import executable_in

    manifest, files, size = check_manifest(directory)
    console.account(f"{directory} is a valid package: {manifest.name} {manifest.version}, {Totals(files, size)}")
    executable = executable_in(directory)
    for form, paths in executable.items():
        console.note(f"{form} files can run code when they are loaded: {', '.join(paths)}")
    return {
        "name": manifest.name,
        "version": str(manifest.version),
        "files": files,
        "bytes": size,
        "executable": {form: list(paths) for form, paths in executable.items()},
    }


@command("build", "orbitpkg build my-model", "archive=$(orbitpkg build my-model -o dist)")
@click.argument("directory", metavar="[DIR]", default=".", type=_DIRECTORY)
@click.option(
    "-o", "--output", metavar="DIR", type=_DIRECTORY, help="Where to put the archive. Default: the working directory."
)
def build(console: Console, directory: str, output: str | None) -> dict[str, object]:
    """Build a package's archive and print its path.

    The package is the one in DIR (default: the working directory), the archive NAME-VERSION.tar.zst.

    The same files give the same bytes on any machine. Stock tools read it: tar --zstd -xf ARCHIVE.
    """
    from orbitpkg.api.publish import build

    path = build(directory, output, reporter=console.reporter())
    console.data([str(path)])
    return {"path": str(path.absolute()), "bytes": Path(path).stat().st_size}


EXPORTS = {"init": init, "validate": validate, "build": build}
