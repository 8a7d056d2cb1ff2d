"""Commands that look into a repository: ``versions``, ``search``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import command, repository_options

if TYPE_CHECKING:
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "search", "versions"]


@command("versions", "orbitpkg versions digits", "orbitpkg versions digits --repository s3://my-bucket/models")
@click.argument("name")
@repository_options(verb="look in")
def versions(console: Console, name: str, repository: str | None, *, offline: bool) -> dict[str, object]:
    """List the published versions of a package.

    One a line, oldest first.
    """
    from orbitpkg.api.search import home_of, versions

    found = versions(name, repository=repository, offline=offline)
    console.data(found)
    return {"name": name, "versions": found, "repository": home_of(name, repository, offline=offline)}


@command("search", "orbitpkg search", "orbitpkg search digit --repository s3://my-bucket/models")
@click.argument("text", default="")
@repository_options(verb="look in")
def search(console: Console, text: str, repository: str | None, *, offline: bool) -> dict[str, object]:
    """List the packages of a repository.

    Those whose name, description or keywords hold TEXT; without it, all of them.
    """
    from orbitpkg.api.search import search
    from orbitpkg.config.repositories import settings

    found = search(text, repository=repository, offline=offline)
    url = ", ".join(each.url for each in settings(repository).repositories)
    console.rows((each.name, each.newest, each.description) for each in found)
    if not found:
        console.note(f"No package in {url} is about {text!r}" if text else f"There is no package in {url}")
    packages = [{"name": each.name, "newest": each.newest, "description": each.description} for each in found]
    return {"text": text, "repository": url, "packages": packages}


EXPORTS = {"versions": versions, "search": search}
