"""PyOrbital's one function: Sputnik's packages in a bucket, without an index server.

::

    from orbitpkg.compat.orbital import patch_sputnik
    import orbitpkg.compat.sputnik as sputnik

    patch_sputnik()  # BUCKET=my-bucket in the environment
    sputnik.upload("my_library", "1.0.0", package.path)

What PyOrbital put into the bucket can be installed as it is. What is uploaded from now on is a release of orbitpkg's
beside it, under the same prefix, which PyOrbital does not see.
"""

from __future__ import annotations

import os

from orbitpkg.compat.sputnik.api.repositories import use_bucket
from orbitpkg.errors import UsageError

__all__ = ["patch_sputnik"]


def patch_sputnik(bucket: str | None = None, prefix: str = "models/") -> None:
    """Have :mod:`orbitpkg.compat.sputnik` upload to, and install from, a bucket where no repository is named.

    Nothing is asked yet. Credentials are found as AWS's own tools find them.

    Args:
        bucket: Its name; the environment's ``BUCKET`` when None.
        prefix: What stands before every key in it.

    Raises:
        UsageError: No bucket is named, or one that cannot be.
    """
    from orbitpkg.objects.addresses import parse_address

    name = bucket or os.environ.get("BUCKET", "")
    if not name or "/" in name:
        said = f"{name!r} is not the name of a bucket." if name else "No bucket is named."
        raise UsageError(said, hint="Set BUCKET to its name, or call patch_sputnik(bucket=…).")
    url = f"s3://{name}/{prefix.strip('/')}".rstrip("/")
    parse_address(url)
    use_bucket(url)
