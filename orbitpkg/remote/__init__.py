"""Objects of a bucket as if they were local files: opened, written, listed, copied; cached, and there offline.

::

    from orbitpkg import remote

    with remote.open("s3://bucket/table.csv") as file:
        table = pandas.read_csv(file)
    with remote.write("s3://bucket/result.parquet") as path:
        table.to_parquet(path)

Every call takes any URI (``s3://bucket/key``, ``https://host/name``, ``memory://name/key``, ``file:///dir/name``) or a
local path. Everything here is loaded when it is first asked for.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg.remote.calls import (
        cache_size,
        copy,
        delete,
        exists,
        list,  # noqa: A004 - the room's own word
        local_path,
        metadata,
        move,
        open,  # noqa: A004 - the room's own word
        prune,
        stat,
        write,
    )
    from orbitpkg.remote.files import Stat
    from orbitpkg.remote.local import LocalPath
    from orbitpkg.remote.pruning import Pruned
    from orbitpkg.remote.syncing import sync

__all__ = [
    "LocalPath",
    "Pruned",
    "Stat",
    "cache_size",
    "copy",
    "delete",
    "exists",
    "list",
    "local_path",
    "metadata",
    "move",
    "open",
    "prune",
    "stat",
    "sync",
    "write",
]

_ROOMS = {"LocalPath": "local", "Pruned": "pruning", "Stat": "files", "sync": "syncing"}


def __getattr__(name: str) -> object:
    if name not in __all__:
        msg = f"module 'orbitpkg.remote' has no attribute {name!r}"
        raise AttributeError(msg)
    from importlib import import_module

    value = getattr(import_module(f"orbitpkg.remote.{_ROOMS.get(name, 'calls')}"), name)
    globals()[name] = value
    return value


def __dir__() -> object:
    return sorted(__all__)
