"""The command ``import``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.console import with_result
from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command, dry_run_option, repository_options, unsafe_single_writer_option
from orbitpkg.escaping import shell_word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.compat.sputnik.importing import Imported

__all__ = ["EXPORTS", "import_"]

_MAX_NAMED = 5


@command(
    "import",
    "orbitpkg import sputnik+s3://old-bucket/models --repository s3://my-bucket/models --dry-run",
    "orbitpkg import sputnik+https://models.example.org --repository s3://my-bucket/models",
)
@click.argument("source", metavar="URL")
@repository_options(verb="import into")
@dry_run_option
@unsafe_single_writer_option
def import_(
    console: Console,
    source: str,
    repository: str | None,
    *,
    offline: bool,
    dry_run: bool,
    unsafe_single_writer: bool,
) -> dict[str, object]:
    """Import all packages from a Sputnik or PyOrbital repository.

    URL is the address of the old repository: sputnik+s3://bucket/prefix, sputnik+https://host or
    sputnik+file:///directory. It is only read, never changed. To resume or update an import, run it again: packages
    that are already in the new repository are not downloaded again.

    Exits with code 1 if a package could not be imported.
    """
    from orbitpkg.cli.process import tune_heaps
    from orbitpkg.compat.sputnik.importing import ImportOutcome, import_packages
    from orbitpkg.config.repositories import repository_url
    from orbitpkg.errors import OrbitError

    tune_heaps()
    results = []
    for each in import_packages(
        source,
        repository,
        dry_run=dry_run,
        offline=offline,
        unsafe_single_writer=unsafe_single_writer,
        reporter=console.reporter(),
    ):
        console.lines([_line(each)])
        results.append(each)
    url = repository_url(repository)
    data: dict[str, object] = {"source": source, "repository": url, "packages": [_facts(each) for each in results]}
    left_out = [each for each in results if each.outcome is ImportOutcome.SKIPPED]
    if not results:
        console.note(f"No packages found at {source}")
    if left_out:
        message = f"Could not import {len(left_out)} of {count(len(results), 'package')}: {_names(left_out)}."
        hint = next((each.error.hint for each in left_out if each.error is not None and each.error.hint), None)
        raise with_result(OrbitError(message, hint=hint if len(left_out) == 1 else None), data)
    if results and not dry_run:
        console.hint(f"To list the packages: orbitpkg search --repository {shell_word(url)}")
    return data


def _line(each: Imported) -> str:
    if each.reason is not None:
        return f"{each.ident}: skipped. {each.reason}"
    name = f"{each.name} {each.version}"
    label = name if f"{each.name}-{each.version}" == each.ident else f"{each.ident}, as {name}"
    return f"{label}: {each.outcome}, {count(each.files, 'file')}, {size(each.bytes)}"


def _names(left_out: Sequence[Imported]) -> str:
    # A few names are enough here: the output has a line for each package.
    more = len(left_out) - _MAX_NAMED
    return ", ".join(each.ident for each in left_out[:_MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _facts(each: Imported) -> dict[str, object]:
    return {
        "ident": each.ident,
        "outcome": each.outcome.name.lower(),
        "name": each.name,
        "version": each.version,
        "files": each.files,
        "bytes": each.bytes,
        "reason": each.reason,
        "code": None if each.error is None else each.error.code,
    }


EXPORTS = {"import": import_}
