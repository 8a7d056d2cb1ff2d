"""Commands that prepare a package: ``init``, ``validate`` and ``build``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.facts import Totals
from orbitpkg.cli.options import command
from orbitpkg.escaping import shell_word

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "build", "init", "validate"]

_DIRECTORY = click.Path(file_okay=False)


@command("init", "orbitpkg init my-model", "orbitpkg init . --name digits --version 1.0.0")
@click.argument("directory", metavar="[DIR]", default=".", type=_DIRECTORY)
@click.option("--name", help="The package's name. Default: the directory's name.")
@click.option("--version", default="1.0.0", show_default=True, help="The package's first version.")
def init(console: Console, directory: str, name: str | None, version: str) -> dict[str, object]:
    """Create a package.json to start from.

    The file is written to DIR (default: the working directory), which is created if it does not exist.
    """
    from orbitpkg.api.publish import init

    path = init(directory, name=name, version=version)
    console.report(f"Created {path}")
    console.hint(f"To check the package: orbitpkg validate {shell_word(directory)}")
    return {"path": str(path.absolute())}


@command("validate", "orbitpkg validate my-model")
@click.argument("directory", metavar="[DIR]", default=".", type=_DIRECTORY)
def validate(console: Console, directory: str) -> dict[str, object]:
    """Check a package.json and the files it includes.

    The manifest is read from DIR (default: the working directory). All problems are reported at once.
    """
    from orbitpkg.api.publish import check_manifest
    from orbitpkg.config.formats import executable_in

    manifest, files, size = check_manifest(directory)
    console.report(f"{directory} is a valid package: {manifest.name} {manifest.version}, {Totals(files, size)}")
    executable = executable_in(directory)
    for file_format, paths in executable.items():
        console.warn(f"{file_format} files can run code when they are loaded: {', '.join(paths)}")
    return {
        "name": manifest.name,
        "version": str(manifest.version),
        "files": files,
        "bytes": size,
        "executable": {file_format: list(paths) for file_format, paths in executable.items()},
    }


@command("build", "orbitpkg build my-model", "archive=$(orbitpkg build my-model -o dist)")
@click.argument("directory", metavar="[DIR]", default=".", type=_DIRECTORY)
@click.option(
    "-o", "--output", metavar="DIR", type=_DIRECTORY, help="The archive's directory. Default: the working directory."
)
def build(console: Console, directory: str, output: str | None) -> dict[str, object]:
    """Build a package's archive and print its path.

    The package is read from DIR (default: the working directory). The archive is named NAME-VERSION.tar.zst.

    Builds are reproducible: the same files give the same archive on any machine. To unpack one without orbitpkg:
    tar --zstd -xf ARCHIVE.
    """
    from orbitpkg.api.publish import build

    path = build(directory, output, reporter=console.reporter())
    console.exact(str(path))
    return {"path": str(path.absolute()), "bytes": Path(path).stat().st_size}


EXPORTS = {"init": init, "validate": validate, "build": build}
