"""The command group ``remote``, which reads and writes objects of a bucket like local files."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import click

from orbitpkg.cli.layout import count, size
from orbitpkg.cli.options import command, command_group, dry_run_option, offline_option, recursive_option
from orbitpkg.cli.remote_copy import remote_cp, remote_mv, remote_rm
from orbitpkg.cli.remote_sync import remote_sync
from orbitpkg.errors import CredentialsError, OfflineError, RepositoryUnreachable, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime, timedelta
    from typing import BinaryIO

    from orbitpkg.cli.console import Console
    from orbitpkg.remote.files import Stat

__all__ = [
    "EXPORTS",
    "remote",
    "remote_buckets",
    "remote_cache",
    "remote_cat",
    "remote_ls",
    "remote_open",
    "remote_stat",
]

_PIECE = 1 << 20


@command_group("remote")
def remote() -> None:
    """Read, write and sync the objects of a bucket."""


@command(
    "ls",
    "orbitpkg remote ls s3://my-bucket/data/",
    "orbitpkg remote ls 's3://my-bucket/data/**/*.csv'",
    "orbitpkg remote ls --recursive s3://my-bucket",
    group=remote,
)
@click.argument("uri", metavar="URI")
@recursive_option
@offline_option
def remote_ls(console: Console, uri: str, *, recursive: bool, offline: bool) -> dict[str, object]:
    """List objects.

    Lists the contents of a directory, everything below it with --recursive, or the objects that a glob matches.
    """
    from orbitpkg.remote.calls import files
    from orbitpkg.remote.selection import is_glob, select

    reached = files(reporter=console.reporter(), offline=offline)
    folders: list[str] = []
    if is_glob(uri) or recursive:
        objects = [found.stat for found in select(reached, uri, recursive=recursive)]
    else:
        objects, folders = _level(list(reached.scan(uri)), uri)
    rows = [*(("", "", folder) for folder in folders), *map(_row, objects)]
    console.paths(rows)
    return {"objects": [_facts(found) for found in objects], "folders": folders}


def _level(found: list[Stat], uri: str) -> tuple[list[Stat], list[str]]:
    """Separate the objects directly in a directory from its subdirectories.

    ``data`` means the object of that name if it exists, otherwise the directory.
    """
    exact = [each for each in found if each.uri == uri]
    if exact:
        return exact, []
    from orbitpkg.objects.addresses import local_path_of

    path = local_path_of(uri)
    folder = (str(path) if path is not None else uri).rstrip("/") + "/"
    below = [each for each in found if each.uri.startswith(folder)]
    here = [each for each in below if "/" not in each.uri[len(folder) :]]
    deeper = (each.uri[len(folder) :].partition("/")[0] for each in below if "/" in each.uri[len(folder) :])
    return here, [f"{folder}{name}/" for name in dict.fromkeys(deeper)]


def _row(found: Stat) -> tuple[str, str, str]:
    return size(found.size), _when(found.modified), found.uri


def _when(moment: datetime | None) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M") if moment is not None else "-"


def _facts(found: Stat) -> dict[str, object]:
    return {
        "uri": found.uri,
        "bytes": found.size,
        "modified": found.modified.isoformat() if found.modified is not None else None,
        "etag": found.etag,
        "version": found.version,
    }


@command("stat", "orbitpkg remote stat s3://my-bucket/data/table.csv", group=remote)
@click.argument("uri", metavar="URI")
@click.option("--version-id", metavar="ID", help="The object version, in a versioned bucket.")
@offline_option
def remote_stat(console: Console, uri: str, *, version_id: str | None, offline: bool) -> dict[str, object]:
    """Show details of an object.

    Prints its size, modification time, ETag, version, metadata and cached path.
    """
    from orbitpkg.objects.addresses import local_path_of
    from orbitpkg.remote.calls import files

    reached = files(reporter=console.reporter(), offline=offline)
    found = reached.stat(uri, version=version_id)
    cached = None
    metadata: dict[str, str] = {}
    if local_path_of(uri) is None:
        entry = reached.session.cached(uri, found.etag, found.version)
        cached = str(entry) if entry is not None else None
        # Offline, stat() has already noted that it describes the cached copy.
        with contextlib.suppress(RepositoryUnreachable, CredentialsError, OfflineError):
            metadata = reached.metadata(uri)
    rows = [
        ("size", f"{size(found.size)} ({found.size:,} bytes)" if found.size >= 1000 else size(found.size)),  # noqa: PLR2004
        ("modified", _when(found.modified)),
        ("etag", found.etag or "-"),
        ("version", found.version or "-"),
        *((f"metadata {name}", value) for name, value in sorted(metadata.items())),
        ("cached", cached or "no"),
    ]
    console.lines([found.uri])
    console.pairs(rows, unwrapped={"cached"})
    return {**_facts(found), "metadata": metadata, "cached": cached}


@command(
    "cat",
    "orbitpkg remote cat s3://my-bucket/data/table.csv",
    "orbitpkg remote cat 's3://my-bucket/logs/*.txt'",
    group=remote,
)
@click.argument("uris", metavar="URI...", nargs=-1, required=True)
@offline_option
def remote_cat(console: Console, uris: tuple[str, ...], *, offline: bool) -> dict[str, object]:
    """Write objects to stdout.

    Reads through the local cache. With --json, the output contains each object as text if it is UTF-8, and otherwise in
    base64.
    """
    from orbitpkg.remote.calls import files
    from orbitpkg.remote.selection import is_glob, select

    reached = files(reporter=console.reporter(), offline=offline)
    found = []
    for word in uris:
        for uri in [each.stat.uri for each in select(reached, word)] if is_glob(word) else [word]:
            with reached.local_path(uri) as path, path.open("rb") as file:
                if console.as_json:
                    found.append({"uri": uri, **_content(file.read())})
                else:
                    console.stream(_pieces(file))
    return {"objects": found}


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


def _content(data: bytes) -> dict[str, str]:
    try:
        return {"text": data.decode()}
    except UnicodeDecodeError:
        from base64 import b64encode

        return {"base64": b64encode(data).decode()}


@command(
    "open",
    "orbitpkg remote open s3://my-bucket/data/table.csv",
    'python train.py "$(orbitpkg remote open --max-age 1d s3://my-bucket/data/table.csv)"',
    group=remote,
)
@click.argument("uri", metavar="URI")
@click.option("--max-age", metavar="TIME", help="Use a cached copy checked within this time, like 12h.")
@click.option("--cached", is_flag=True, help="Use any cached copy without checking for a newer one.")
@click.option("--version-id", metavar="ID", help="The object version, in a versioned bucket.")
@click.option("--verify", is_flag=True, help="Check the digest of the cached file.")
@click.option("--force", is_flag=True, help="Download the object again.")
@offline_option
def remote_open(
    console: Console,
    uri: str,
    *,
    max_age: str | None,
    cached: bool,
    version_id: str | None,
    verify: bool,
    force: bool,
    offline: bool,
) -> dict[str, object]:
    """Download an object to the cache and print its path.

    Do not change the cached file. Copy it first.
    """
    from orbitpkg.remote.calls import files
    from orbitpkg.remote.session import Reading

    reached = files(reporter=console.reporter(), offline=offline)
    age: timedelta | None = _period(max_age)
    reading = Reading(max_age=age, fresh=not cached, version=version_id, verify=verify, force=force)
    path = reached.local_path(uri, reading)
    path.keep()
    console.exact(str(path))
    return {"uri": uri, "path": str(path)}


def _period(text: str | None) -> timedelta | None:
    if text is None:
        return None
    from orbitpkg.model.quantities import parse_period

    return parse_period(text)


@command(
    "cache",
    "orbitpkg remote cache",
    "orbitpkg remote cache --older-than 30d --max-size 50GB",
    "orbitpkg remote cache --max-size 0 --dry-run",
    group=remote,
)
@click.option("--older-than", metavar="TIME", help="Remove files not used for longer than this, like 30d.")
@click.option("--max-size", metavar="SIZE", help="Remove the least recently used files beyond this size, like 50GB.")
@dry_run_option
def remote_cache(console: Console, *, older_than: str | None, max_size: str | None, dry_run: bool) -> dict[str, object]:
    """Show the location and size of the cache, or shrink it."""
    from orbitpkg.remote import calls

    cache = calls.files().session.cache
    data: dict[str, object] = {"path": str(cache.root)}
    if older_than is None and max_size is None:
        if dry_run:
            raise UsageError("--dry-run requires --older-than or --max-size.")
        held = calls.cache_size()
        console.pairs([("cache", str(cache.root)), ("size", size(held))], unwrapped={"cache"})
        return {**data, "bytes": held}
    done = calls.prune(older_than=older_than, max_size=max_size, dry_run=dry_run)
    verb = "Would remove" if dry_run else "Removed"
    removed = f"{count(done.files, 'file')} ({size(done.size)})"
    console.report(f"{verb} {removed}; {size(done.kept)} remaining", str(cache.root))
    return {**data, "bytes": done.kept, "removed": done.files, "removed_bytes": done.size, "dry_run": dry_run}


@command("buckets", "orbitpkg remote buckets", group=remote)
def remote_buckets(console: Console) -> dict[str, object]:
    """List the buckets that your credentials can access."""
    from orbitpkg.config.remote import read_remote_settings
    from orbitpkg.objects import list_buckets

    found = list_buckets(env=read_remote_settings().env)
    console.rows((_when(bucket.created), f"s3://{bucket.name}") for bucket in found)
    created = (bucket.created.isoformat() if bucket.created else None for bucket in found)
    return {"buckets": [{"name": bucket.name, "created": at} for bucket, at in zip(found, created, strict=True)]}


for _command in (remote_cp, remote_mv, remote_rm, remote_sync):
    remote.add_command(_command)

EXPORTS = {"remote": remote}
