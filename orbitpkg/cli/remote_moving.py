"""``remote cp``, ``mv`` and ``rm``: several objects at a time, told before they are touched."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command
from orbitpkg.cli.remote_options import dry_run_option, recursive_option
from orbitpkg.errors import OrbitError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.remote.files import RemoteFiles
    from orbitpkg.remote.selection import Selected

__all__ = ["remote_cp", "remote_mv", "remote_rm"]

_AT_ONCE = 8
_SMALL_BYTES = 8 << 20


@command(
    "cp",
    "orbitpkg remote cp s3://my-bucket/data/table.csv .",
    "orbitpkg remote cp results.csv s3://my-bucket/results/",
    "orbitpkg remote cp 's3://my-bucket/data/*.csv' ./data/",
    "orbitpkg remote cp --recursive --dry-run ./data s3://my-bucket/data/",
)
@click.argument("sources", metavar="SRC…", nargs=-1, required=True)
@click.argument("target", metavar="DST")
@recursive_option
@dry_run_option
def remote_cp(
    console: Console, sources: tuple[str, ...], target: str, *, recursive: bool, dry_run: bool
) -> dict[str, object]:
    """Copy objects or local files. Inside one bucket the store copies by itself.

    Several sources, a glob, or a folder with --recursive go below DST, which then has to end in a slash or be a folder.
    """
    return _transfer(console, sources, target, recursive=recursive, dry_run=dry_run, moves=False)


@command(
    "mv",
    "orbitpkg remote mv s3://my-bucket/old.csv s3://my-bucket/new.csv",
    "orbitpkg remote mv 's3://my-bucket/in/*.csv' s3://my-bucket/done/",
)
@click.argument("sources", metavar="SRC…", nargs=-1, required=True)
@click.argument("target", metavar="DST")
@recursive_option
@dry_run_option
def remote_mv(
    console: Console, sources: tuple[str, ...], target: str, *, recursive: bool, dry_run: bool
) -> dict[str, object]:
    """Move objects or local files.

    Each is copied as by cp, and deleted where it was when its copy is there.
    """
    return _transfer(console, sources, target, recursive=recursive, dry_run=dry_run, moves=True)


@command(
    "rm",
    "orbitpkg remote rm s3://my-bucket/old.csv",
    "orbitpkg remote rm --dry-run 's3://my-bucket/tmp/**'",
    "orbitpkg remote rm --recursive s3://my-bucket/tmp/",
)
@click.argument("uris", metavar="URI…", nargs=-1, required=True)
@recursive_option
@dry_run_option
def remote_rm(console: Console, uris: tuple[str, ...], *, recursive: bool, dry_run: bool) -> dict[str, object]:
    """Delete objects or local files.

    What is cached of them is forgotten, too.
    """
    from orbitpkg.remote.calls import files

    reached = files(reporter=console.reporter())
    found = _selected(reached, uris, recursive=recursive)
    if dry_run:
        console.rows((size(each.stat.size), each.stat.uri) for each in found)
    else:
        _each(found, lambda each: reached.delete(each.word))
    total = sum(each.stat.size for each in found)
    console.account(f"{'Would delete' if dry_run else 'Deleted'} {count(len(found), 'object')} ({size(total)})")
    return {"dry_run": dry_run, "deleted": [each.stat.uri for each in found], "bytes": total}


def _transfer(
    console: Console, sources: Sequence[str], target: str, *, recursive: bool, dry_run: bool, moves: bool
) -> dict[str, object]:
    from orbitpkg.remote.calls import files
    from orbitpkg.remote.selection import is_glob

    reached = files(reporter=console.reporter())
    found = _selected(reached, sources, recursive=recursive)
    many = len(sources) > 1 or recursive or any(map(is_glob, sources))
    if many and len(found) > 1 and not _takes_many(target):
        raise UsageError(
            f"{target} is to take {count(len(found), 'object')}, and is no folder.",
            hint=f"If it is one, add a slash: {target}/",
        )
    below = many and _takes_many(target)
    pairs = {each.stat.uri: _below(target, each.name) if below else target for each in found}
    if dry_run:
        console.rows((size(each.stat.size), each.stat.uri, pairs[each.stat.uri]) for each in found)
    else:
        work = reached.move if moves else reached.copy
        _each(found, lambda each: work(each.word, pairs[each.stat.uri], exactly=below))
    total = sum(each.stat.size for each in found)
    verb = {(True, True): "Would move", (True, False): "Would copy", (False, True): "Moved", (False, False): "Copied"}
    console.account(f"{verb[dry_run, moves]} {count(len(found), 'object')} ({size(total)})")
    what = "moved" if moves else "copied"
    return {"dry_run": dry_run, what: [{"from": uri, "to": to} for uri, to in pairs.items()], "bytes": total}


def _selected(files: RemoteFiles, words: Sequence[str], *, recursive: bool) -> list[Selected]:
    from orbitpkg.remote.selection import select

    found = {each.stat.uri: each for word in words for each in select(files, word, recursive=recursive)}
    return list(found.values())


def _takes_many(target: str) -> bool:
    from orbitpkg.objects.uris import local_path_of, split_uri

    path = local_path_of(target)
    if path is None:
        return target.endswith("/") or not split_uri(target)[1]
    return target.endswith("/") or path.is_dir() or path.name in ("", ".", "..")


def _below(target: str, name: str) -> str:
    from urllib.parse import quote

    is_plain = "://" not in target or target.startswith(("s3://", "memory://"))
    return f"{target.rstrip('/')}/{name if is_plain else quote(name)}"


def _each(found: Sequence[Selected], work: Callable[[Selected], None]) -> None:
    """Do each; what fails stops none of the others, and is told in the end.

    Small ones several at once; a large one, which is moved by parts, alone: memory holds a few parts of it.
    """
    if len(found) == 1:
        work(found[0])
        return
    failed: list[tuple[Selected, Exception]] = []

    def attempt(each: Selected) -> None:
        try:
            work(each)
        except Exception as error:  # noqa: BLE001 - told below, whatever it is
            failed.append((each, error))

    with ThreadPoolExecutor(_AT_ONCE, "orbitpkg-remote") as pool:
        try:
            list(pool.map(attempt, [each for each in found if each.stat.size <= _SMALL_BYTES]))
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise
    for each in found:
        if each.stat.size > _SMALL_BYTES:
            attempt(each)
    if not failed:
        return
    first = failed[0][1]
    if not isinstance(first, OrbitError):
        raise first
    told = [{"uri": each.stat.uri, "message": str(error)} for each, error in failed]
    raise OrbitError(
        f"{len(failed):,} of {len(found):,} failed, the first with: {first.message}", hint=first.hint, failed=told
    )
