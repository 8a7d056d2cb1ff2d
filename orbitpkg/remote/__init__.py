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
