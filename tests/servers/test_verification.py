"""Verifying a repository in a bucket: what is listed, read and compared there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orbitpkg.api import maintain
from orbitpkg.api.publish import publish
from orbitpkg.errors import BucketNotFound
from tests.packages import make_package, noise

if TYPE_CHECKING:
    from pathlib import Path

    from types_boto3_s3 import S3Client

    from orbitpkg.repository.verification import Verdict
    from tests.servers.processes import S3Server

SIZE = 12_000_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))


@pytest.fixture(params=["moto", "ceph"])
def server(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    server: S3Server = request.getfixturevalue(request.param)
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def bucket(server: S3Server, tmp_path: Path) -> str:
    """A bucket with a repository of two packages below a prefix, and something else beside them."""
    bucket = server.new_bucket()
    for name, size in (("model", SIZE), ("other", 1000)):
        source = make_package(tmp_path / name, name=name, files={"w": noise(size)})
        publish(source, f"s3://{bucket}/a/models")
    server.client().put_object(Bucket=bucket, Key="a/models2/archives/model/model-1.0.0.tar.zst", Body=b"")
    return bucket


@pytest.fixture
def client(server: S3Server) -> S3Client:
    return server.client()


def key_of(client: S3Client, bucket: str, beginning: str) -> str:
    """Give the key of the one object that begins so."""
    [found] = client.list_objects_v2(Bucket=bucket, Prefix=f"a/models/{beginning}")["Contents"]
    return str(found["Key"])


def flip(client: S3Client, bucket: str, key: str, at: int) -> None:
    data = bytearray(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    data[at] ^= 0xFF
    client.put_object(Bucket=bucket, Key=key, Body=bytes(data))


def found(verdict: Verdict) -> list[tuple[str, str]]:
    return sorted((fault.key, str(fault.kind)) for fault in verdict.faults)


def test_an_intact_repository_passes_all_levels_of_verification(bucket: str) -> None:
    by_size, part, wholly = (maintain.check_repository(f"s3://{bucket}/a/models", share=share) for share in (0, 0.5, 1))
    assert [found(verdict) for verdict in (by_size, part, wholly)] == [[], [], []]
    assert (by_size.packages, by_size.releases, by_size.read) == (2, 2, 0)
    assert by_size.size > SIZE
    assert 0 < part.read < wholly.read <= by_size.size


def test_an_altered_byte_is_found_by_reading(client: S3Client, bucket: str) -> None:
    key = key_of(client, bucket, "archives/model/")
    for at in (0, SIZE // 2, -80):
        flip(client, bucket, key, at)
        assert found(maintain.check_repository(f"s3://{bucket}/a/models")) == []
        verdict = maintain.check_repository(f"s3://{bucket}/a/models", share=1)
        assert found(verdict) == [(key.removeprefix("a/models/"), "altered")]
        flip(client, bucket, key, at)


def test_missing_and_damaged_objects_are_found_without_reading(client: S3Client, bucket: str) -> None:
    archive = key_of(client, bucket, "archives/model/")
    client.delete_object(Bucket=bucket, Key=archive)
    client.put_object(Bucket=bucket, Key="a/models/releases/other/1.0.0.json", Body=b"{}")
    client.delete_object(Bucket=bucket, Key="a/models/index/model.json")
    assert found(maintain.check_repository(f"s3://{bucket}/a/models")) == [
        (archive.removeprefix("a/models/"), "missing"),
        ("index/model.json", "missing"),
        ("releases/other/1.0.0.json", "altered"),
    ]


def test_a_missing_bucket_is_not_reported_as_intact(bucket: str) -> None:
    with pytest.raises(BucketNotFound):
        maintain.check_repository(f"s3://{bucket}-of-nobody/a/models")
