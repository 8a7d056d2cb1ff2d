"""PyOrbital's single function: Sputnik packages in a bucket, without an index server.

::

    from orbitpkg.compat.orbital import patch_sputnik
    import orbitpkg.compat.sputnik as sputnik

    patch_sputnik()  # BUCKET=my-bucket in the environment
    sputnik.upload("my_library", "1.0.0", package.path)

Packages that PyOrbital uploaded to the bucket can be installed. New uploads are orbitpkg releases under the same
prefix, which PyOrbital does not see.
"""

from __future__ import annotations

from orbitpkg.compat.sputnik.api.repositories import use_bucket
from orbitpkg.config.environment import read_variable
from orbitpkg.errors import UsageError

__all__ = ["patch_sputnik"]


def patch_sputnik(bucket: str | None = None, prefix: str = "models/") -> None:
    """Make a bucket the default repository of :mod:`orbitpkg.compat.sputnik`.

    No request is made. Credentials are found as by AWS's own tools.

    Args:
        bucket: The bucket's name; the variable ``BUCKET`` when None.
        prefix: The prefix of all keys.

    Raises:
        UsageError: No bucket is given, or its name is invalid.
    """
    from orbitpkg.objects.addresses import parse_address

    name = bucket or read_variable("BUCKET")
    if not name or "/" in name:
        problem = f"{name!r} is not a valid bucket name." if name else "No bucket given."
        raise UsageError(problem, hint="Set BUCKET to the bucket's name, or call patch_sputnik(bucket=…).")
    url = f"s3://{name}/{prefix.strip('/')}".rstrip("/")
    parse_address(url)
    use_bucket(url)
