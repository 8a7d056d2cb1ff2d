"""Commands that compare releases: ``outdated`` and ``diff``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import size
from orbitpkg.cli.options import command, repository_options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.model.contents import FileEntry
    from orbitpkg.model.difference import ChangedFile

__all__ = ["EXPORTS", "diff", "outdated"]


@command("outdated", "orbitpkg outdated", "orbitpkg outdated --repository s3://my-bucket/models")
@repository_options(verb="check")
def outdated(console: Console, repository: str | None, *, offline: bool) -> dict[str, object]:
    """List packages that have newer versions.

    Prints the name, the version in use, the newest version that the requirements allow and the newest version. Checks
    the project's locked packages; outside a project, the installed packages.
    """
    from orbitpkg.api.project.inspect import outdated

    found = outdated(repository=repository, offline=offline)
    console.rows(
        ((each.name, each.current, each.allowed, each.newest) for each in found),
        headers=("package", "in use", "allowed", "newest"),
    )
    if not found:
        console.note("All packages are up to date")
    rows = [
        {"name": each.name, "current": each.current, "allowed": each.allowed, "newest": each.newest} for each in found
    ]
    return {"packages": rows}


@command("diff", "orbitpkg diff digits==1.0.0 digits==2.0.0", "orbitpkg diff digits==1.0.0 digits --json")
@click.argument("old", metavar="REQ")
@click.argument("new", metavar="REQ")
@repository_options(verb="read both releases from, even if they are installed")
def diff(console: Console, old: str, new: str, repository: str | None, *, offline: bool) -> dict[str, object]:
    """Compare the files of two releases.

    Lists added (+), removed (-) and changed (~) files with their sizes, and how much an upgrade from the first release
    to the second downloads. Reads only the tables of contents, no files.
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
        f"{found.same:,} unchanged; {size(found.bytes_to_fetch)} to download."
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
        return "now executable" if changed.new.executable else "no longer executable"
    same = changed.old.size == changed.new.size
    return size(changed.new.size) if same else f"{size(changed.old.size)} -> {size(changed.new.size)}"


def _file(file: FileEntry) -> dict[str, object]:
    return {"path": file.path, "bytes": file.size, "blake3": file.blake3}


EXPORTS = {"outdated": outdated, "diff": diff}
