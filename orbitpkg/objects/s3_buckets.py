"""What is asked of S3 that is about no single bucket's objects: making a bucket, and listing those that there are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from orbitpkg.objects.failures import failure_of
from orbitpkg.objects.patience import DEFAULT_PATIENCE
from orbitpkg.objects.s3_config import DEFAULT_REGION, resolve_s3
from orbitpkg.objects.s3_connection import S3Connection, foreign_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

__all__ = ["BucketInfo", "create_bucket", "list_buckets"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketInfo:
    """A bucket.

    Attributes:
        name: Its name.
        created: When it was made; None where the store does not say.
    """

    name: str
    created: datetime | None


def list_buckets(*, env: Mapping[str, str] | None = None) -> list[BucketInfo]:
    """List the buckets that the credentials may see.

    Raises:
        CredentialsError: There are no credentials, or they are wrong.
        AccessDenied: They may not list buckets.
        RepositoryUnreachable: Nobody answers.
    """
    # No bucket has this name; its dot keeps it out of the host's name.
    connection = S3Connection(resolve_s3(".", env=env), url="s3://", patience=DEFAULT_PATIENCE)

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
    """Make a bucket in the region of the settings; one's own that is there already is fine.

    Raises:
        AccessDenied: The credentials may not make buckets, or the name belongs to somebody else.
        CredentialsError: There are no credentials, or they are wrong.
    """
    settings = resolve_s3(bucket, env=env)
    connection = S3Connection(settings, url=f"s3://{bucket}", patience=DEFAULT_PATIENCE)
    try:
        connection.ask("make", None, lambda: _create_bucket(connection, settings.region or DEFAULT_REGION))
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
            # Other stores than AWS have their own words for places, and put a bucket where nobody names one.
            client.create_bucket(Bucket=connection.bucket)
        elif code == "BucketAlreadyExists":
            # Not every store tells one's own from somebody else's in the code.
            client.head_bucket(Bucket=connection.bucket)
        elif code != "BucketAlreadyOwnedByYou":
            raise
