"""Object stores behind one small protocol: a directory, a bucket, a web server, memory, or a plug-in's.

Importing this package imports no store: each is imported when an address first refers to it. Credentials and ``AWS_…``
variables are read in this package and nowhere else.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError
from orbitpkg.objects.addresses import parse_address, scheme_of
from orbitpkg.objects.protocol import Capabilities, ObjectInfo, ObjectStore, PartLimits, Upload
from orbitpkg.objects.registry import OpenRequest
from orbitpkg.objects.schemes import find_scheme, needs_network
from orbitpkg.objects.timeouts import DEFAULT_TIMEOUTS, Timeouts, timeouts_from

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orbitpkg.objects.s3_buckets import BucketInfo
    from orbitpkg.reporting import Reporter

__all__ = [
    "Capabilities",
    "ObjectInfo",
    "ObjectStore",
    "PartLimits",
    "Upload",
    "create_bucket",
    "list_buckets",
    "open_store",
]


def open_store(
    url: str,
    *,
    env: Mapping[str, str] | None = None,
    timeouts: Timeouts = DEFAULT_TIMEOUTS,
    cache: Path | None = None,
    reporter: Reporter | None = None,
    offline: bool = False,
) -> ObjectStore:
    """Open the store at an address: ``file:///dir``, ``s3://bucket[/prefix]``, ``https://…`` or a plug-in's.

    No request is made yet, except for credentials of an ``s3://`` address that come from elsewhere (a role, SSO).

    Args:
        url: The address; see ``orbitpkg.objects.addresses``.
        env: The environment variables to read settings from; the process's own when None.
        timeouts: How long to wait for a server.
        cache: A folder for files that stores may keep between runs, in a subdirectory for each scheme.
        reporter: Receives progress and notes for the user.
        offline: Return a store that refuses every request if the address needs a network.

    Raises:
        UsageError: The address is not valid.
        CredentialsError: The environment refers to credentials that are not available.
        PluginError: The plug-in of this scheme cannot be loaded.
    """
    if offline and needs_network(url):
        from orbitpkg.objects.offline import OfflineStore

        return OfflineStore(url)
    found = find_scheme(scheme_of(url) or "")
    if found is None:
        parse_address(url)  # Raises the error that says what is wrong.
        raise AssertionError(f"{url} is valid, and nothing opens it")
    from orbitpkg.reporting import SILENT

    name, scheme = found
    env = os.environ if env is None else env
    return scheme.open(
        OpenRequest(
            url=url,
            env=env,
            timeouts=timeouts_from(env, timeouts),
            cache=cache / name.removesuffix("+") if cache is not None else None,
            reporter=reporter or SILENT,
            offline=offline,
        )
    )


def create_bucket(url: str, *, env: Mapping[str, str] | None = None) -> None:
    """Create the bucket of an address, in the region of the settings. A bucket that one already owns is left as it is.

    Args:
        url: An ``s3://`` address.
        env: The environment variables to read settings from; the process's own when None.

    Raises:
        UsageError: The address is not that of a bucket.
        AccessDenied: The credentials do not permit this, or the name belongs to another account.
    """
    address = parse_address(url)
    if address.scheme != "s3":
        raise UsageError(f"Only s3:// addresses have a bucket to create; {url} has none.", url=url)
    from orbitpkg.objects.s3_buckets import create_bucket as create

    create(address.location, env=os.environ if env is None else env)


def list_buckets(*, env: Mapping[str, str] | None = None) -> list[BucketInfo]:
    """List the S3 buckets that the credentials give access to; see ``orbitpkg.objects.s3_buckets``."""
    from orbitpkg.objects.s3_buckets import list_buckets as buckets

    return buckets(env=os.environ if env is None else env)
