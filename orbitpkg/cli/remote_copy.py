"""Commands that copy, move and delete several objects at once: ``remote cp``, ``mv`` and ``rm``."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import click

from orbitpkg.cli.console import with_result
from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command, dry_run_option, recursive_option
from orbitpkg.concurrency.pool import Pool
from orbitpkg.errors import OrbitError, UsageError
from orbitpkg.escaping import shell_word

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from orbitpkg.cli.console import Console
    from orbitpkg.remote.files import RemoteFiles
    from orbitpkg.remote.selection import Selected

__all__ = ["remote_cp", "remote_mv", "remote_rm"]

_AT_ONCE = 8
_SMALL_BYTES = 8 << 20


def _transfer_options(function: Callable[..., Any]) -> Callable[..., Any]:
    target = click.argument("target", metavar="DST")
    sources = click.argument("sources", metavar="SRC...", nargs=-1, required=True)
    return sources(target(recursive_option(dry_run_option(function))))


@command(
    "cp",
    "orbitpkg remote cp s3://my-bucket/data/table.csv .",
    "orbitpkg remote cp results.csv s3://my-bucket/results/",
    "orbitpkg remote cp 's3://my-bucket/data/*.csv' ./data/",
    "orbitpkg remote cp --recursive --dry-run ./data s3://my-bucket/data/",
)
@_transfer_options
def remote_cp(
    console: Console, sources: tuple[str, ...], target: str, *, recursive: bool, dry_run: bool
) -> dict[str, object]:
    """Copy objects or local files.

    To copy several sources, a glob or a directory (--recursive), DST must be a directory or end in a slash. Copies
    within a bucket are made by the object store, without a download.
    """
    return _transfer(console, sources, target, recursive=recursive, dry_run=dry_run, moves=False)


@command(
    "mv",
    "orbitpkg remote mv s3://my-bucket/old.csv s3://my-bucket/new.csv",
    "orbitpkg remote mv 's3://my-bucket/in/*.csv' s3://my-bucket/done/",
)
@_transfer_options
def remote_mv(
    console: Console, sources: tuple[str, ...], target: str, *, recursive: bool, dry_run: bool
) -> dict[str, object]:
    """Move objects or local files.

    Copies each source as orbitpkg remote cp does, and deletes it after the copy succeeds.
    """
    return _transfer(console, sources, target, recursive=recursive, dry_run=dry_run, moves=True)


@command(
    "rm",
    "orbitpkg remote rm s3://my-bucket/old.csv",
    "orbitpkg remote rm --dry-run 's3://my-bucket/tmp/**'",
    "orbitpkg remote rm --recursive s3://my-bucket/tmp/",
)
@click.argument("uris", metavar="URI...", nargs=-1, required=True)
@recursive_option
@dry_run_option
def remote_rm(console: Console, uris: tuple[str, ...], *, recursive: bool, dry_run: bool) -> dict[str, object]:
    """Delete objects or local files.

    Also removes deleted objects from the local cache.
    """
    from orbitpkg.remote.calls import files

    remote_files = files(reporter=console.reporter())
    found = _selected(remote_files, uris, recursive=recursive)
    if dry_run:
        console.paths((size(each.stat.size), each.stat.uri) for each in found)
    else:
        _each(found, lambda each: remote_files.delete(each.uri, listed=each.is_listed))
    total = sum(each.stat.size for each in found)
    console.report(f"{'Would delete' if dry_run else 'Deleted'} {count(len(found), 'object')} ({size(total)})")
    return {"dry_run": dry_run, "deleted": [each.stat.uri for each in found], "bytes": total}


def _transfer(
    console: Console, sources: Sequence[str], target: str, *, recursive: bool, dry_run: bool, moves: bool
) -> dict[str, object]:
    from orbitpkg.remote.calls import files
    from orbitpkg.remote.selection import is_glob

    remote_files = files(reporter=console.reporter())
    found = _selected(remote_files, sources, recursive=recursive)
    many = len(sources) > 1 or recursive or any(map(is_glob, sources))
    if many and len(found) > 1 and not _is_folder(target):
        raise UsageError(
            f"Cannot write {count(len(found), 'object')} to {target}: it is not a directory.",
            hint=f"To create it as a directory, add a slash: {shell_word(f'{target}/')}",
        )
    below = many and _is_folder(target)
    pairs = {each.stat.uri: _below(target, each) if below else target for each in found}
    _check_targets(pairs)
    if dry_run:
        console.paths((size(each.stat.size), each.stat.uri, pairs[each.stat.uri]) for each in found)
    else:
        work = remote_files.move if moves else remote_files.copy
        _each(found, lambda each: work(each.uri, pairs[each.stat.uri], exactly=below))
    total = sum(each.stat.size for each in found)
    verb = {(True, True): "Would move", (True, False): "Would copy", (False, True): "Moved", (False, False): "Copied"}
    console.report(f"{verb[dry_run, moves]} {count(len(found), 'object')} ({size(total)})")
    key = "moved" if moves else "copied"
    return {"dry_run": dry_run, key: [{"from": uri, "to": to} for uri, to in pairs.items()], "bytes": total}


def _check_targets(pairs: Mapping[str, str]) -> None:
    """Refuse to write two sources to one target.

    Raises:
        UsageError: Two sources have the same target.
    """
    sources: dict[str, str] = {}
    for source, target in pairs.items():
        if sources.setdefault(target, source) != source:
            raise UsageError(f"Both {sources[target]} and {source} would become {target}.", hint="Copy one at a time.")


def _selected(files: RemoteFiles, words: Sequence[str], *, recursive: bool) -> list[Selected]:
    from orbitpkg.remote.selection import select

    found = {each.stat.uri: each for word in words for each in select(files, word, recursive=recursive)}
    return list(found.values())


def _is_folder(target: str) -> bool:
    from orbitpkg.objects.addresses import local_path_of, split_uri

    path = local_path_of(target)
    if path is None:
        return target.endswith("/") or not split_uri(target)[1]
    return target.endswith("/") or path.is_dir() or path.name in ("", ".", "..")


def _below(target: str, source: Selected) -> str:
    from urllib.parse import quote

    from orbitpkg.files.names import disk_path
    from orbitpkg.objects.addresses import local_path_of
    from orbitpkg.remote.selection import local_name

    name = source.name
    if local_path_of(target) is not None and local_path_of(source.uri) is None:
        name = local_name(name)
    if "://" not in target:
        name = disk_path(name)
    elif not target.startswith(("s3://", "memory://")):
        name = quote(name, errors="surrogateescape")
    return f"{target.rstrip('/')}/{name}"


def _each(found: Sequence[Selected], work: Callable[[Selected], None]) -> None:
    """Process every object, even if some fail, and then raise an error that lists the failures.

    Small objects run in parallel. Large objects run one at a time, because each holds several parts in memory.
    """
    if len(found) == 1:
        work(found[0])
        return
    failed: list[tuple[Selected, Exception]] = []

    def attempt(each: Selected) -> None:
        try:
            work(each)
        except Exception as error:  # noqa: BLE001 - reported below
            failed.append((each, error))

    with Pool(_AT_ONCE, "orbitpkg-remote") as pool:
        pool.run(partial(attempt, each) for each in found if each.stat.size <= _SMALL_BYTES)
    for each in found:
        if each.stat.size > _SMALL_BYTES:
            attempt(each)
    if not failed:
        return
    first = failed[0][1]
    if not isinstance(first, OrbitError):
        raise first
    failures = [{"uri": each.stat.uri, "message": str(error)} for each, error in failed]
    message = f"{len(failed):,} of {count(len(found), 'object')} failed. First error: {first.message}"
    raise with_result(OrbitError(message, hint=first.hint), {"failed": failures})
