"""Commands that explain a choice: ``why``, ``why-not``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.options import app_options, command, installed_names, repository_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.api.explain import Chain, Objection
    from orbitpkg.cli.console import Console

__all__ = ["EXPORTS", "why", "why_not"]


@command("why", "orbitpkg why tokenizer")
@click.argument("name", shell_complete=installed_names)
def why(console: Console, name: str) -> Mapping[str, object]:
    """Say who needs a package.

    In the project's orbit.lock, if there is one, else among what is installed. One line for each way to it, from what
    was asked for to what needs it.
    """
    from orbitpkg.api import explain

    found = explain.why(name)
    where = "locked" if found.lock is not None else "installed"
    console.sentence(f"{found.name} {', '.join(found.versions) or f'(not {where})'}")
    for chain in found.chains:
        console.sentence(f"  {_line(chain, found.lock)}")
    if not found.chains:
        console.sentence(f"  nothing that is {where} needs it")
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
        links.insert(0, f"the project asks for {chain.asked}")
    elif lock is not None:
        links.insert(0, "nothing asks for it any more")
    return ", ".join(links)


@command(
    "why-not",
    "orbitpkg why-not digits==3.0.0",
    "orbitpkg why-not 'digits>=2' 'tokenizer<2' --app my_library==1.0.0",
)
@click.argument("requirement", metavar="REQ")
@click.argument("beside", metavar="[BESIDE]...", nargs=-1)
@repository_options(verb="look in")
@app_options
@click.option("--pre", is_flag=True, help="Let pre-releases be chosen.")
def why_not(
    console: Console,
    requirement: str,
    beside: tuple[str, ...],
    repository: str | None,
    *,
    offline: bool,
    apps: tuple[str, ...],
    python: str | None,
    pre: bool,
) -> Mapping[str, object]:
    """Say what stands against a requirement.

    It is tried with what the project asks for, if there is one, with each other requirement named BESIDE it, and with
    the apps. Nothing is changed. Exits 0 whatever the answer is.
    """
    from orbitpkg.api import explain

    found = explain.why_not(
        requirement,
        beside,
        repository=repository,
        apps=apps,
        python=python,
        offline=offline,
        prereleases=pre,
    )
    _tell(console, requirement, found)
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


def _tell(console: Console, requirement: str, found: Objection) -> None:
    if found.error is None:
        console.sentence(f"Nothing stands against {requirement}. It would be:")
        console.data(f"  {name} {version}" for name, version in found.releases.items())
        for line in found.warnings:
            console.note(line)
        return
    for line in found.error.message.split("\n"):
        console.sentence(line)
    clashing = found.error.data.get("requirements")
    for words in clashing if isinstance(clashing, list) else ():
        if found.asked.get(words, "you") != "you":
            console.sentence(f"  {found.asked[words]} asks for {words}")
    if found.error.hint:
        console.sentence(found.error.hint)


EXPORTS = {"why": why, "why-not": why_not}
