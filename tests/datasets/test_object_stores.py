"""Datasets on real object stores: others' objects where they lie, other programs' readers, many writers."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import orbitpkg
from orbitpkg.datasets.dataset import create_dataset, dataset
from orbitpkg.errors import ObjectChanged, ObjectNotFound, RepositoryError
from tests.packages import noise

if TYPE_CHECKING:
    from orbitpkg.datasets.dataset import Dataset
    from tests.servers.processes import S3Server

TOP = Path(__file__).parents[2]


@pytest.fixture
def aws(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Server:
    """AWS, as moto simulates it, with the environment that leads there."""
    for name, value in moto.env().items():
        monkeypatch.setenv(name, value)
    return moto


def new_dataset(server: S3Server, name: str = "recordings") -> Dataset:
    return create_dataset(name, f"s3://{server.new_bucket()}/lab")


def put(server: S3Server, bucket: str, key: str, data: bytes, **metadata: str) -> None:
    server.client().put_object(Bucket=bucket, Key=key, Body=data, Metadata=metadata)


def fill(server: S3Server, folder: Path) -> Dataset:
    made = new_dataset(server)
    for count in range(3):
        path = folder / f"run-{count}.bin"
        path.write_bytes(bytes(count))
        made.register(path, metadata={"count": count, "robot": ("sawyer", "kuka")[count % 2]})
    made.compact()
    path = folder / "later.bin"
    path.write_bytes(b"later")
    made.register(path, metadata={"count": 7, "robot": "sawyer"})
    return made


# Other programs.


def test_polars_reads_the_catalogue_straight_from_the_object_store(aws: S3Server, tmp_path: Path) -> None:
    import polars as pl

    made = fill(aws, tmp_path)
    catalogue = pl.scan_parquet(f"{made.repository}/datasets/recordings/catalogue/*.parquet")
    found = catalogue.filter(pl.col("robot") == "sawyer").select("name").collect()
    assert sorted(found["name"].to_list()) == ["later.bin", "run-0.bin", "run-2.bin"]


def test_duckdb_reads_the_catalogue_straight_from_the_object_store(aws: S3Server, tmp_path: Path) -> None:
    import duckdb
    from obstore.fsspec import FsspecStore

    made = fill(aws, tmp_path)
    files = FsspecStore(
        "s3",
        config={
            "endpoint": aws.endpoint,
            "access_key_id": aws.access_key,
            "secret_access_key": aws.secret_key,
            "region": aws.region,
        },
        client_options={"allow_http": True},
    )
    folder = f"{made.repository}/datasets/recordings/catalogue"
    parts = [f"s3://{path}" for path in files.ls(folder, detail=False)]
    connection = duckdb.connect()
    connection.register_filesystem(files)
    relation = connection.read_parquet(parts, union_by_name=True)
    found = relation.filter("robot = 'sawyer' AND count > 1").order("name").project("name, registered")
    assert [row[0] for row in found.fetchall()] == ["later.bin", "run-2.bin"]


def test_pyarrow_and_pandas_read_the_catalogue_straight_from_the_object_store(aws: S3Server, tmp_path: Path) -> None:
    from pyarrow import fs
    from pyarrow.dataset import dataset as open_dataset

    made = fill(aws, tmp_path)
    files = fs.S3FileSystem(
        endpoint_override=aws.endpoint.removeprefix("http://"),
        scheme="http",
        access_key=aws.access_key,
        secret_key=aws.secret_key,
        region=aws.region,
    )
    folder = f"{made.repository.removeprefix('s3://')}/datasets/recordings/catalogue"
    frame = open_dataset(folder, filesystem=files, format="parquet").to_table(columns=["name", "count"]).to_pandas()
    assert dict(zip(frame["name"], frame["count"], strict=True)) == {
        "run-0.bin": 0,
        "run-1.bin": 1,
        "run-2.bin": 2,
        "later.bin": 7,
    }


# Objects of others.


def test_objects_are_indexed_where_they_are_and_fetched_from_there(aws: S3Server, tmp_path: Path) -> None:
    made, bucket = new_dataset(aws), aws.new_bucket()
    put(aws, bucket, "runs/a b#%.bin", b"aaa", metajson='{"robot": "sawyer", "n": [1, {"x": null}]}', owner="ann")
    put(aws, bucket, "runs/deep/large.bin", noise(9 * 2**20))
    put(aws, bucket, "runs/uuid-1", b"named", filename="original name.jpg")
    put(aws, bucket, "runs/uuid-2", b"of a path", filename="/home/ann/photo.jpg")
    put(aws, bucket, "runs/2026-02-01T10:30:00.bag", b"of a time")
    put(aws, bucket, "runs/folder/", b"")
    put(aws, bucket, "runs/encoded", b"e", metajson="=?UTF-8?B?eyJvcnQiOiAiS8O2bG4ifQ==?=")
    put(aws, bucket, "elsewhere/no.bin", b"no")
    done = made.index(f"s3://{bucket}/runs", tags={"lab": "theirs"}, metadata={"year": 2026})
    assert (done.found, done.new, done.failures, done.warnings) == (6, 6, [], [])
    found = {datum.name: datum for datum in made.where().data()}
    names = {"a b#%.bin", "deep/large.bin", "original name.jpg", "photo.jpg", "2026-02-01T10:30:00.bag", "encoded"}
    assert found.keys() == names
    first = found["a b#%.bin"]
    assert first.metadata == {"robot": "sawyer", "n": [1, {"x": None}], "owner": "ann", "year": 2026}
    assert (first.blake3, first.etag is not None, first.modified is not None) == (None, True, True)
    assert found["encoded"].metadata["ort"] == "Köln"
    came = made.where("lab = 'theirs'").fetch(tmp_path / "out")
    assert (set(came.fetched), came.failures) == (names, [])
    assert (tmp_path / "out" / "a b#%.bin").read_bytes() == b"aaa"
    assert (tmp_path / "out" / "deep" / "large.bin").read_bytes() == noise(9 * 2**20)
    assert made.where().fetch(tmp_path / "out").present == 6


@pytest.mark.parametrize("header", ["{", "[1]", "", '{"a": NaN}', "5", '{"a":' * 100])
def test_a_header_that_is_not_json_warns_about_that_object_only(aws: S3Server, header: str) -> None:
    made, bucket = new_dataset(aws), aws.new_bucket()
    put(aws, bucket, "bad.bin", b"b", metajson=header)
    put(aws, bucket, "good.bin", b"g", metajson='{"k": 1}')
    done = made.index(f"s3://{bucket}")
    assert (done.new, done.failures) == (2, [])
    assert [name for name, _ in done.warnings] == (["bad.bin"] if header else [])
    assert [row["k"] for row in made.where("name = 'good.bin'").rows()] == [1]


def test_an_overwritten_object_supersedes_its_previous_state(aws: S3Server, tmp_path: Path) -> None:
    made, bucket = new_dataset(aws), aws.new_bucket()
    put(aws, bucket, "a.bin", b"one", state="old")
    put(aws, bucket, "b.bin", b"bbb", state="old")
    made.index(f"s3://{bucket}")
    put(aws, bucket, "a.bin", b"twoo", state="new")
    [failure] = made.where().fetch(tmp_path / "before").failures
    assert (failure.name, type(failure.error)) == ("a.bin", ObjectChanged)
    assert made.index(f"s3://{bucket}").new == 1
    assert {row["name"]: row["state"] for row in made.where().rows()} == {"a.bin": "new", "b.bin": "old"}
    found = made.where("state = 'old'")
    assert (found.count(), found.total_size()) == (1, 3)
    put(aws, bucket, "a.bin", b"one", state="old")
    assert made.index(f"s3://{bucket}").new == 1
    found = made.where("state = 'old'")
    assert (found.count(), found.total_size()) == (2, 6)
    made.compact()
    found = made.where("state = 'old'")
    assert (found.count(), found.total_size()) == (2, 6)
    assert made.where().fetch(tmp_path / "out").failures == []
    aws.client().delete_object(Bucket=bucket, Key="b.bin")
    [failure] = made.where("name = 'b.bin'").fetch(tmp_path / "gone").failures
    assert isinstance(failure.error, ObjectNotFound)


def test_where_a_bucket_keeps_versions_the_indexed_one_is_fetched(aws: S3Server, tmp_path: Path) -> None:
    made, bucket = new_dataset(aws), aws.new_bucket()
    aws.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put(aws, bucket, "a.bin", b"as indexed")
    made.index(f"s3://{bucket}")
    made.where().freeze("runs==1.0.0")
    put(aws, bucket, "a.bin", b"written over")
    assert made.where().fetch(tmp_path / "out").failures == []
    assert (tmp_path / "out" / "a.bin").read_bytes() == b"as indexed"
    aws.client().delete_object(Bucket=bucket, Key="a.bin")
    orbitpkg.install("runs", repository=made.repository)
    assert orbitpkg.frozen("runs").file_path("a.bin").read_bytes() == b"as indexed"


def test_reading_objects_once_gives_digests_and_contents(aws: S3Server, tmp_path: Path) -> None:
    import h5py

    made, bucket = new_dataset(aws), aws.new_bucket()
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.attrs["metadata"] = '{"robot": "kuka"}'
    put(aws, bucket, "a.h5", (tmp_path / "a.h5").read_bytes())
    put(aws, bucket, "cut.h5", (tmp_path / "a.h5").read_bytes()[:100])
    assert made.index(f"s3://{bucket}").new == 2
    done = made.index(f"s3://{bucket}", read=True)
    assert (done.new, [name for name, _ in done.warnings]) == (2, ["cut.h5"])
    assert made.where("robot = 'kuka' and sha256 is not null").count() == 1
    assert made.where().count() == 2


def test_the_objects_of_a_repository_are_not_data_of_its_bucket(aws: S3Server, tmp_path: Path) -> None:
    bucket = aws.new_bucket()
    made = create_dataset("recordings", f"s3://{bucket}")
    (tmp_path / "a.bin").write_bytes(b"a")
    made.register(tmp_path / "a.bin")
    put(aws, bucket, "runs/b.bin", b"b")
    assert made.index(f"s3://{bucket}").found == 1


@pytest.mark.parametrize("url", ["s3://no-such-bucket-anywhere/x", "runs", "s3:/bucket/x"])
def test_a_place_that_cannot_be_listed_is_refused(aws: S3Server, url: str) -> None:
    made = new_dataset(aws)
    with pytest.raises((RepositoryError, orbitpkg.UsageError)):
        made.index(url)


# Many writers.

REGISTER = """
import os, sys
from pathlib import Path
import orbitpkg
folder = Path(sys.argv[2])
folder.mkdir()
for count in range(20):
    # Half of the files are the same in all processes.
    (folder / f"run-{count}.bin").write_bytes(b"shared %d" % count if count % 2 else os.urandom(100))
sys.stdin.read(1)
done = orbitpkg.dataset("recordings", sys.argv[1]).register(folder, tags={"process": sys.argv[3]})
assert (done.new, done.failures) == (20, []), done.failures
"""


@pytest.mark.parametrize("name", ["moto", "ceph"])
def test_eight_processes_register_at_once_and_nothing_is_lost(
    request: pytest.FixtureRequest, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server: S3Server = request.getfixturevalue(name)
    for variable, value in server.env().items():
        monkeypatch.setenv(variable, value)
    made = new_dataset(server)
    processes = []
    for number in range(8):
        environment = {**os.environ, "ORBITPKG_HOME": str(tmp_path / f"home-{number % 4}")}
        arguments: list[Any] = [sys.executable, "-c", REGISTER, made.repository, tmp_path / f"f{number}", number]
        processes.append(subprocess.Popen(list(map(str, arguments)), cwd=TOP, env=environment, stdin=subprocess.PIPE))
    # All are there and wait: now they begin.
    for process in processes:
        assert process.stdin is not None
        process.stdin.write(b"x")
        process.stdin.close()
    for process in processes:
        process.wait(timeout=100)
    assert [process.returncode for process in processes] == [0] * 8
    found = dataset("recordings", made.repository)
    rows = list(found.where().rows(columns=["process", "name", "id"]))
    assert len({row["id"] for row in rows}) == len(rows) == 160
    assert {(row["process"], row["name"]) for row in rows} == {
        (str(process), f"run-{count}.bin") for process in range(8) for count in range(20)
    }
    # 8 times 10 of one's own, and 10 that all have.
    assert len(list(found.objects.list("blobs/"))) == 90
    assert found.where().fetch(tmp_path / "out").failures == []
    assert len(list((tmp_path / "out").iterdir())) == 90
