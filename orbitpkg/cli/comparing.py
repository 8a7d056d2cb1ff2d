"""Commands that hold releases beside one another: ``tree``, ``outdated``, ``diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command, repository_options

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orbitpkg.api.project.inspect import Branch
    from orbitpkg.cli.console import Console
    from orbitpkg.model.contents import FileEntry
    from orbitpkg.model.difference import ChangedFile

__all__ = ["EXPORTS", "diff", "outdated", "tree"]


@command("tree", "orbitpkg tree", "orbitpkg tree --json")
def tree(console: Console) -> dict[str, object]:
    """Show what needs what.

    Of the project's locked packages; outside of a project, of the newest installed version of each package.
    """
    from orbitpkg.api.project.inspect import dependency_tree
    from orbitpkg.config.repositories import home

    branches = dependency_tree()
    console.data(line for branch in branches for line in _drawn(branch, "", ""))
    if not branches:
        console.note(f"Nothing is installed in {home()}")
    return {"packages": [_branch_facts(branch) for branch in branches]}


def _drawn(branch: Branch, first: str, rest: str) -> Iterator[str]:
    wanted = f"  ({branch.wanted})" if branch.wanted else ""
    told = "  (as above)" if branch.repeated else ""
    yield f"{first}{branch.name} {branch.version or 'is missing'}{wanted}{told}"
    for number, each in enumerate(branch.needs, start=1):
        last = number == len(branch.needs)
        yield from _drawn(each, f"{rest}{'`-- ' if last else '|-- '}", f"{rest}{'    ' if last else '|   '}")


def _branch_facts(branch: Branch) -> dict[str, object]:
    return {
        "name": branch.name,
        "version": branch.version,
        "wanted": branch.wanted,
        "repeated": branch.repeated,
        "needs": [_branch_facts(each) for each in branch.needs],
    }


@command("outdated", "orbitpkg outdated", "orbitpkg outdated --repository s3://my-bucket/models")
@repository_options(verb="look in")
def outdated(console: Console, repository: str | None, *, offline: bool) -> dict[str, object]:
    """List packages of which there is a newer version.

    Name, version in use, newest that is allowed, newest there is. Of the project's locked packages; outside of a
    project, of the installed ones.
    """
    from orbitpkg.api.project.inspect import outdated

    found = outdated(repository=repository, offline=offline)
    console.rows(
        ((each.name, each.current, each.allowed, each.newest) for each in found),
        heads=("package", "in use", "allowed", "newest"),
    )
    if not found:
        console.note("Everything is up to date")
    rows = [
        {"name": each.name, "current": each.current, "allowed": each.allowed, "newest": each.newest} for each in found
    ]
    return {"packages": rows}


@command("diff", "orbitpkg diff digits==1.0.0 digits==2.0.0", "orbitpkg diff digits==1.0.0 digits --json")
@click.argument("old", metavar="REQ")
@click.argument("new", metavar="REQ")
@repository_options(verb="look in, even if both are installed")
def diff(console: Console, old: str, new: str, repository: str | None, *, offline: bool) -> dict[str, object]:
    """Say which files differ between two releases.

    From their tables of contents alone: no file is read or fetched. What is added, removed or changed, with its bytes;
    and how much the second takes to fetch where the first is installed.
    """
    from orbitpkg.api.project.inspect import diff

    one, other, found = diff(old, new, repository=repository, offline=offline)
    rows = [("+", file.path, size(file.size)) for file in found.added]
    rows += [("-", file.path, size(file.size)) for file in found.removed]
    rows += [("~", each.new.path, _resized(each)) for each in found.changed]
    console.rows(sorted(rows, key=lambda row: row[1]))
    console.sentence(
        f"{one} -> {other}: {len(found.added)} added ({size(_sum(found.added))}), "
        f"{len(found.removed)} removed ({size(_sum(found.removed))}), {len(found.changed)} changed, "
        f"{count(found.same, 'file')} the same; {size(found.bytes_to_fetch)} to fetch."
    )
    return {
        "old": {"name": one.name, "version": str(one.version), "digest": one.digest},
        "new": {"name": other.name, "version": str(other.version), "digest": other.digest},
        "added": [_file(file) for file in found.added],
        "removed": [_file(file) for file in found.removed],
        "changed": [
            {"path": each.new.path, "old_bytes": each.old.size, "bytes": each.new.size, "blake3": each.new.blake3}
            for each in found.changed
        ],
        "same_files": found.same,
        "new_bytes": found.new_bytes,
        "bytes_to_fetch": found.bytes_to_fetch,
    }


def _sum(files: Sequence[FileEntry]) -> int:
    return sum(file.size for file in files)


def _resized(changed: ChangedFile) -> str:
    if changed.old.blake3 == changed.new.blake3:
        return "is executable now" if changed.new.executable else "is no longer executable"
    same = changed.old.size == changed.new.size
    return size(changed.new.size) if same else f"{size(changed.old.size)} -> {size(changed.new.size)}"


def _file(file: FileEntry) -> dict[str, object]:
    return {"path": file.path, "bytes": file.size, "blake3": file.blake3}


EXPORTS = {"tree": tree, "outdated": outdated, "diff": diff}
