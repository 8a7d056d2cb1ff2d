"""Requests to S3 that concern buckets rather than objects: creating a bucket, and listing buckets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orbitpkg.objects.failures import failure_of
from orbitpkg.objects.s3_config import DEFAULT_REGION, resolve_s3
from orbitpkg.objects.s3_connection import S3Connection, foreign_errors
from orbitpkg.objects.timeouts import DEFAULT_TIMEOUTS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["BucketInfo", "create_bucket", "list_buckets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketInfo:
    """A bucket.

    Attributes:
        name: The name of the bucket.
        created: When it was created; None if the store does not report it.
    """

    name: str
    created: datetime | None


def list_buckets(*, env: Mapping[str, str] | None = None) -> list[BucketInfo]:
    """List the buckets that the credentials give access to.

    Raises:
        CredentialsError: The credentials are missing or wrong.
        AccessDenied: The credentials do not permit listing buckets.
        RepositoryUnreachable: The server does not respond.
    """
    # No bucket has this name, and because of its dot it is not made part of the host name.
    connection = S3Connection(resolve_s3(".", env=env), url="s3://", timeouts=DEFAULT_TIMEOUTS)

    def work() -> list[BucketInfo]:
        pages = connection.botocore().get_paginator("list_buckets")
        return [
            BucketInfo(name=row["Name"], created=row.get("CreationDate"))
            for page in pages.paginate()
            for row in page.get("Buckets", [])
        ]

    try:
        return sorted(connection.ask("list", None, work), key=lambda found: found.name)
    finally:
        connection.close()


def create_bucket(bucket: str, *, env: Mapping[str, str] | None = None) -> None:
    """Create a bucket in the region of the settings. A bucket that the user already owns is left as it is.

    Raises:
        AccessDenied: The credentials do not permit it, or the name belongs to another account.
        CredentialsError: The credentials are missing or wrong.
    """
    settings = resolve_s3(bucket, env=env)
    connection = S3Connection(settings, url=f"s3://{bucket}", timeouts=DEFAULT_TIMEOUTS)
    try:
        connection.ask("create bucket", None, lambda: _create_bucket(connection, settings.region or DEFAULT_REGION))
    finally:
        connection.close()


def _create_bucket(connection: S3Connection, region: str) -> None:
    client = connection.botocore()
    try:
        if region == DEFAULT_REGION:
            client.create_bucket(Bucket=connection.bucket)
        else:
            where: Any = {"LocationConstraint": region}
            client.create_bucket(Bucket=connection.bucket, CreateBucketConfiguration=where)
    except foreign_errors() as error:
        code = failure_of(error).code
        if code == "InvalidLocationConstraint":
            # Servers other than AWS have other names for locations, and create the bucket without one.
            client.create_bucket(Bucket=connection.bucket)
        elif code == "BucketAlreadyExists":
            # Some servers use this code for the user's own buckets, too; only the owner may read their state.
            client.head_bucket(Bucket=connection.bucket)
        elif code != "BucketAlreadyOwnedByYou":
            raise
