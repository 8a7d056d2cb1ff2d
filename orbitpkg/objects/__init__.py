"""Object stores behind one small protocol: a directory, a bucket, a web server, memory.

Importing this loads no store: each is loaded when an address names it. Credentials and ``AWS_…`` variables are read
in this room and nowhere else.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError
from orbitpkg.objects.addresses import parse_address
from orbitpkg.objects.forks import is_forked
from orbitpkg.objects.patience import DEFAULT_PATIENCE, Patience
from orbitpkg.objects.protocol import ObjectInfo, ObjectStore, PartLimits, Upload

if TYPE_CHECKING:
    from collections.abc import Mapping

    from orbitpkg.objects.s3_buckets import BucketInfo

__all__ = ["ObjectInfo", "ObjectStore", "PartLimits", "Upload", "create_bucket", "list_buckets", "open_store"]


def open_store(url: str, *, env: Mapping[str, str] | None = None, patience: Patience = DEFAULT_PATIENCE) -> ObjectStore:
    """Open the store at ``url``: ``file:///dir``, ``s3://bucket[/prefix]``, ``https://…``, ``http://…``, ``memory://name``.

    Nothing is asked over the network yet, except what the credentials of an ``s3://`` address may need (a role, SSO).

    Args:
        url: The address.
        env: The environment to take settings from; the process's own when not given.
        patience: How long to wait for a store that is reached over a network.

    Raises:
        UsageError: The address cannot be read.
        CredentialsError: The environment names credentials that cannot be had.
    """
    env = os.environ if env is None else env
    address = parse_address(url)
    match address.scheme:
        case "memory":
            from orbitpkg.objects.memory import MemoryStore

            return MemoryStore(address.place)
        case "file":
            from orbitpkg.objects.directory import DirectoryStore

            return DirectoryStore(Path(address.place))
        case "s3":
            if is_forked():
                from orbitpkg.objects.s3_forked import ForkedS3Store

                return ForkedS3Store(address.place, address.prefix, env=env, patience=patience)
            from orbitpkg.objects.s3 import S3Store

            return S3Store(address.place, address.prefix, env=env, patience=patience)
        case _:
            from orbitpkg.objects.http import HttpStore

            return HttpStore(address.place, user=address.user, env=env, patience=patience)


def create_bucket(url: str, *, env: Mapping[str, str] | None = None) -> None:
    """Make the bucket that ``url`` names, in the region of the settings; one's own that is there already is fine.

    Args:
        url: An ``s3://`` address.
        env: The environment to take settings from; the process's own when not given.

    Raises:
        UsageError: ``url`` names no bucket.
        AccessDenied: The credentials may not make buckets, or the name belongs to somebody else.
    """
    address = parse_address(url)
    if address.scheme != "s3":
        raise UsageError(f"Only s3:// addresses have buckets to make; this is {address.scheme}://.", url=url)
    from orbitpkg.objects.s3_buckets import create_bucket as create

    create(address.place, env=os.environ if env is None else env)


def list_buckets(*, env: Mapping[str, str] | None = None) -> list[BucketInfo]:
    """List the buckets of S3 that the credentials may see; see ``orbitpkg.objects.s3_buckets``."""
    from orbitpkg.objects.s3_buckets import list_buckets as buckets

    return buckets(env=os.environ if env is None else env)
