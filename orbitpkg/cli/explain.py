"""Commands that explain dependencies: ``tree``, ``why`` and ``why-not``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import app_options, command, installed_names, pre_option, repository_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orbitpkg.api.explain import Chain, Objection
    from orbitpkg.api.project.inspect import Branch
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "tree", "why", "why_not"]


@command("tree", "orbitpkg tree", "orbitpkg tree --json")
def tree(console: Console) -> dict[str, object]:
    """Show the dependency tree.

    Shows the project's locked packages; outside a project, the newest installed version of each package.
    """
    from orbitpkg.api.project.inspect import dependency_tree
    from orbitpkg.config.repositories import home

    branches = dependency_tree()
    console.lines(line for branch in branches for line in _draw(branch, "", ""))
    if not branches:
        console.note(f"No packages are installed in {home()}")
    return {"packages": [_branch_facts(branch) for branch in branches]}


def _draw(branch: Branch, first: str, rest: str) -> Iterator[str]:
    wanted = f"  ({branch.wanted})" if branch.wanted else ""
    repeated = "  (see above)" if branch.repeated else ""
    yield f"{first}{branch.name} {branch.version or '(missing)'}{wanted}{repeated}"
    for number, each in enumerate(branch.needs, start=1):
        last = number == len(branch.needs)
        yield from _draw(each, f"{rest}{'`-- ' if last else '|-- '}", f"{rest}{'    ' if last else '|   '}")


def _branch_facts(branch: Branch) -> dict[str, object]:
    return {
        "name": branch.name,
        "version": branch.version,
        "wanted": branch.wanted,
        "repeated": branch.repeated,
        "needs": [_branch_facts(each) for each in branch.needs],
    }


@command("why", "orbitpkg why tokenizer")
@click.argument("name", shell_complete=installed_names)
def why(console: Console, name: str) -> Mapping[str, object]:
    """Show why a package is needed.

    Prints one line for each chain of dependencies that leads to the package. Reads the project's orbit.lock; outside a
    project, the installed packages.
    """
    from orbitpkg.api import explain

    found = explain.why(name)
    where = "locked" if found.lock is not None else "installed"
    console.sentence(f"{found.name} {', '.join(found.versions) or f'(not {where})'}")
    for chain in found.chains:
        console.sentence(f"  {_line(chain, found.lock)}")
    if not found.chains:
        console.sentence(f"  no {where} package needs it")
    return {
        "name": found.name,
        "versions": list(found.versions),
        "lock": found.lock,
        "chains": [
            {"asked": chain.asked, "links": [{"release": release, "needs": need} for release, need in chain.links]}
            for chain in found.chains
        ],
    }


def _line(chain: Chain, lock: str | None) -> str:
    links = [f"{release.replace('==', ' ')} needs {need}" for release, need in chain.links]
    if chain.asked is not None:
        links.insert(0, f"the project requires {chain.asked}")
    elif lock is not None:
        links.insert(0, "no longer required by the project")
    return ", ".join(links)


@command(
    "why-not",
    "orbitpkg why-not digits==3.0.0",
    "orbitpkg why-not 'digits>=2' 'tokenizer<2' --app my_library==1.0.0",
)
@click.argument("requirement", metavar="REQ")
@click.argument("others", metavar="[OTHER]...", nargs=-1)
@repository_options(verb="resolve from")
@app_options
@pre_option
def why_not(
    console: Console,
    requirement: str,
    others: tuple[str, ...],
    repository: str | None,
    *,
    offline: bool,
    apps: tuple[str, ...],
    python: str | None,
    pre: bool,
) -> Mapping[str, object]:
    """Explain why a requirement cannot be met.

    Resolves REQ together with the project's requirements, the OTHER requirements and the apps. Installs nothing. Exits
    with code 0 whether or not there is a solution.
    """
    from orbitpkg.api import explain

    found = explain.why_not(
        requirement,
        others,
        repository=repository,
        apps=apps,
        python=python,
        offline=offline,
        prereleases=pre,
    )
    _print_answer(console, requirement, found)
    error = found.error
    return {
        "requirement": requirement,
        "fits": error is None,
        "releases": dict(found.releases),
        "warnings": list(found.warnings),
        "message": error.message if error is not None else None,
        "hint": error.hint if error is not None else None,
        "code": error.code if error is not None else None,
        "reasons": error.data if error is not None else {},
    }


def _print_answer(console: Console, requirement: str, found: Objection) -> None:
    if found.error is None:
        console.sentence(f"{requirement} can be installed:")
        console.lines(f"  {name} {version}" for name, version in found.releases.items())
        for line in found.warnings:
            console.warn(line)
        return
    for line in found.error.message.split("\n"):
        console.sentence(line)
    clashing = found.error.data.get("requirements")
    for words in clashing if isinstance(clashing, list) else ():
        if found.asked.get(words, "you") != "you":
            console.sentence(f"  {found.asked[words]} requires {words}")
    if found.error.hint:
        console.sentence(found.error.hint)


EXPORTS = {"tree": tree, "why": why, "why-not": why_not}
