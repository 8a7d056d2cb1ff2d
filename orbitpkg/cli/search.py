"""Commands that search repositories: ``versions`` and ``search``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import command, repository_options

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "search", "versions"]


@command("versions", "orbitpkg versions digits", "orbitpkg versions digits --repository s3://my-bucket/models")
@click.argument("name")
@repository_options(verb="read from")
def versions(console: Console, name: str, repository: str | None, *, offline: bool) -> dict[str, object]:
    """List the published versions of a package.

    Prints one version per line, oldest first.
    """
    from orbitpkg.api.search import home_of, versions

    found = versions(name, repository=repository, offline=offline)
    console.lines(found)
    return {"name": name, "versions": found, "repository": home_of(name, repository, offline=offline)}


@command("search", "orbitpkg search", "orbitpkg search digit --repository s3://my-bucket/models")
@click.argument("text", default="")
@repository_options(verb="search")
def search(console: Console, text: str, repository: str | None, *, offline: bool) -> dict[str, object]:
    """Search for packages in a repository.

    Lists the packages whose name, description or keywords contain TEXT, or all packages if no TEXT is given.
    """
    from orbitpkg.api.search import search
    from orbitpkg.config.repositories import settings

    found = search(text, repository=repository, offline=offline)
    url = ", ".join(each.url for each in settings(repository).repositories)
    console.rows((each.name, each.newest, each.description) for each in found)
    if not found:
        console.note(f"No packages match {text!r} in {url}" if text else f"No packages found in {url}")
    packages = [{"name": each.name, "newest": each.newest, "description": each.description} for each in found]
    return {"text": text, "repository": url, "packages": packages}


EXPORTS = {"versions": versions, "search": search}
