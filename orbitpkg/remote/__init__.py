"""Objects of a bucket as local files: open, write, list, copy and sync them, with a cache that also works offline.

::

    from orbitpkg import remote

    with remote.open("s3://bucket/table.csv") as file:
        table = pandas.read_csv(file)
    with remote.write("s3://bucket/result.parquet") as path:
        table.to_parquet(path)

Every function accepts any URI (``s3://bucket/key``, ``https://host/name``, ``memory://name/key``, ``file:///dir/name``)
or a local path. A reader gets the current state of an object, or a cached one with a warning when the store is
unreachable. A write is complete or has no effect. A sync never overwrites or deletes edits without being asked to.

Names are loaded at their first use.
"""

from __future__ import annotations

from orbitpkg.lazy import lazy_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from orbitpkg.remote.calls import cache_size as cache_size
    from orbitpkg.remote.calls import copy as copy
    from orbitpkg.remote.calls import delete as delete
    from orbitpkg.remote.calls import exists as exists
    from orbitpkg.remote.calls import list as list  # noqa: A004
    from orbitpkg.remote.calls import local_path as local_path
    from orbitpkg.remote.calls import metadata as metadata
    from orbitpkg.remote.calls import move as move
    from orbitpkg.remote.calls import open as open  # noqa: A004
    from orbitpkg.remote.calls import prune as prune
    from orbitpkg.remote.calls import stat as stat
    from orbitpkg.remote.calls import write as write
    from orbitpkg.remote.files import Stat as Stat
    from orbitpkg.remote.local import LocalPath as LocalPath
    from orbitpkg.remote.pruning import Pruned as Pruned
    from orbitpkg.remote.syncing import sync as sync
else:
    __all__, __getattr__, __dir__ = lazy_names(
        __name__,
        {
            "orbitpkg.remote.calls": (
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
                "write",
            ),
            "orbitpkg.remote.files": ("Stat",),
            "orbitpkg.remote.local": ("LocalPath",),
            "orbitpkg.remote.pruning": ("Pruned",),
            "orbitpkg.remote.syncing": ("sync",),
        },
    )
