"""The policy of a bucket, read and written as text."""

from __future__ import annotations

from orbitpkg.errors import AccessDenied
from orbitpkg.objects.failures import failure_of
from orbitpkg.objects.s3_config import resolve_s3
from orbitpkg.objects.s3_connection import S3Connection, foreign_errors
from orbitpkg.objects.timeouts import DEFAULT_TIMEOUTS

__all__ = ["BucketPolicy"]

_NONE = "NoSuchBucketPolicy"


class BucketPolicy:
    """The policy of a bucket.

    Args:
        bucket: The name of the bucket.

    Attributes:
        is_aws: Whether the bucket is on AWS, according to the settings.
        region: The region in the settings, or None.

    Raises:
        CredentialsError: The environment refers to credentials that are not available.
    """

    def __init__(self, bucket: str) -> None:
        settings = resolve_s3(bucket)
        self.is_aws = settings.endpoint is None
        self.region = settings.region
        self._connection = S3Connection(settings, url=f"s3://{bucket}", timeouts=DEFAULT_TIMEOUTS)

    def read(self) -> str | None:
        """Return the policy, or None if the bucket has none.

        Raises:
            AccessDenied: The credentials do not permit reading it.
            RepositoryError: The store did not respond.
        """

        def work() -> str | None:
            try:
                return self._connection.botocore().get_bucket_policy(Bucket=self._connection.bucket)["Policy"]
            except foreign_errors() as error:
                if failure_of(error).code == _NONE:
                    return None
                raise

        return self._connection.ask("read", None, work)

    def write(self, text: str) -> None:
        """Replace the policy.

        Raises:
            AccessDenied: The credentials do not permit it, or the bucket blocks public access.
            RepositoryError: The store did not accept it.
        """

        def work() -> None:
            self._connection.botocore().put_bucket_policy(Bucket=self._connection.bucket, Policy=text)

        try:
            self._connection.ask("write", None, work)
        except AccessDenied as error:
            error.hint = (
                "Writing requires s3:PutBucketPolicy. A bucket with Block Public Access rejects a public policy."
            )
            raise

    def close(self) -> None:
        """Close connections."""
        self._connection.close()
