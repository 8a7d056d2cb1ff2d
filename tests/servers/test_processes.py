"""The servers behave as the code and the tests rely on: what each was seen to do, held as tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.servers.processes import S3Server


def test_a_new_bucket_is_empty_and_takes_an_object(s3_server: S3Server) -> None:
    client, bucket = s3_server.client(), s3_server.new_bucket()
    assert "Contents" not in client.list_objects_v2(Bucket=bucket)
    client.put_object(Bucket=bucket, Key="a/b.txt", Body=b"hello")
    assert client.get_object(Bucket=bucket, Key="a/b.txt")["Body"].read() == b"hello"
