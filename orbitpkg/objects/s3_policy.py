"""A bucket's policy: read and written as the text that the store keeps."""

from __future__ import annotations

from orbitpkg.errors import AccessDenied
from orbitpkg.objects.failures import failure_of
from orbitpkg.objects.patience import DEFAULT_PATIENCE
from orbitpkg.objects.s3_config import resolve_s3
from orbitpkg.objects.s3_connection import S3Connection, foreign_errors

__all__ = ["BucketPolicy"]

_NONE = "NoSuchBucketPolicy"


class BucketPolicy:
    """The policy of a bucket.

    Args:
        bucket: Its name.

    Attributes:
        is_aws: Whether the bucket is one of AWS, as far as the settings say.
        region: The region that the settings name, or None.

    Raises:
        CredentialsError: The environment names credentials that cannot be had.
    """

    def __init__(self, bucket: str) -> None:
        settings = resolve_s3(bucket)
        self.is_aws = settings.endpoint is None
        self.region = settings.region
        self._connection = S3Connection(settings, url=f"s3://{bucket}", patience=DEFAULT_PATIENCE)

    def read(self) -> str | None:
        """Give the policy; None when the bucket has none.

        Raises:
            AccessDenied: The credentials may not see it.
            RepositoryError: The store did not say.
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
            AccessDenied: The credentials may not, or the bucket blocks what it would allow.
            RepositoryError: The store did not take it.
        """

        def work() -> None:
            self._connection.botocore().put_bucket_policy(Bucket=self._connection.bucket, Policy=text)

        try:
            self._connection.ask("write", None, work)
        except AccessDenied as error:
            error.hint = (
                "It takes s3:PutBucketPolicy; and a bucket with Block Public Access takes no policy for everybody."
            )
            raise

    def close(self) -> None:
        """Let go of connections."""
        self._connection.close()
