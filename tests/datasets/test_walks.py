"""What simiotics-s3 and deon are used for, done with orbitpkg by its commands, on real object stores.

The walks are those of simiotics-s3's command line (``simiotics_s3/cli.py``: sources create, list, get, update; data
register, describe, download) and of deon's README (up, metadata down, load and filter, sync files down).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import h5py
import pytest

from tests.cli.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.processes import S3Server


@pytest.fixture(params=["moto", "ceph"])
def server(request: pytest.FixtureRequest) -> S3Server:
    """A simulator of AWS, and a production object store."""
    found: S3Server = request.getfixturevalue(request.param)
    return found


def lab(tmp_path: Path, name: str) -> Machine:
    folder = tmp_path / name
    folder.mkdir()
    return Machine(folder)


def test_the_simiotics_workflow(server: S3Server, tmp_path: Path) -> None:
    first, second = lab(tmp_path, "first"), lab(tmp_path, "second")
    environment = {**server.env(), "ORBITPKG_REPOSITORY": f"s3://{server.new_bucket()}/samples"}

    def run(machine: Machine, *words: str, code: int = 0) -> Any:
        done = machine.run("dataset", *words, "--json", **environment)
        assert done.code == code, done.err
        return done.envelope["data"] if code == 0 else done.envelope["error"]

    # sources create -i faces; sources get; sources list
    run(first, "create", "faces", "--description", "Pictures of people")
    assert run(first, "create", "faces", code=1)["code"] == "dataset-exists"
    assert run(second, "list")["datasets"][0]["id"] == "faces"
    # data register -s faces -t format=jpg,class=human FILES
    for name in ("ann.jpg", "bob.jpg", "copy of ann.jpg"):
        (first.folder / name).write_bytes(b"picture of " + name[-7:].encode())
    tags = ["--tag", "format=jpg", "--tag", "class=human"]
    done = run(first, "register", "faces", "ann.jpg", "bob.jpg", "copy of ann.jpg", *tags)
    assert (done["new"], done["sent"]) == (3, 2 * len(b"picture of ann.jpg"))
    # sources update -i faces -m "…"; sources get -i faces
    run(first, "note", "faces", "Three samples added")
    told = run(second, "info", "faces")
    assert [note["text"] for note in told["notes"]] == ["Three samples added"]
    assert told["files"] == 3
    # data describe -s faces -i ID
    chosen = done["data"][1]["id"]
    [datum] = run(second, "describe", "faces", "--id", chosen)["data"]
    assert (datum["name"], datum["tags"]) == ("bob.jpg", {"format": "jpg", "class": "human"})
    # data download -s faces -i ID -d DIR: under its own name, and the others
    run(second, "download", "faces", "--id", chosen, "--dir", "one")
    assert [path.name for path in (second.folder / "one").iterdir()] == ["bob.jpg"]
    run(second, "download", "faces", "--dir", "all")
    assert {path.name: path.read_bytes() for path in (second.folder / "all").iterdir()} == {
        name: (first.folder / name).read_bytes() for name in ("ann.jpg", "bob.jpg", "copy of ann.jpg")
    }
    # What failed is told, and the exit code is not 0.
    server.client().delete_object(
        Bucket=environment["ORBITPKG_REPOSITORY"].split("/")[2], Key=datum["uri"].split("/", 3)[3]
    )
    failed = run(second, "download", "faces", "--dir", "again", code=1)
    assert [each["name"] for each in failed["data"]["failures"]] == ["bob.jpg"]
    assert len(list((second.folder / "again").iterdir())) == 2


def write_recording(path: Path, robot: str, length: int) -> bytes:
    path.parent.mkdir(parents=True, exist_ok=True)
    said = {"robot": robot, "action_T": length, "high_bound": [0.5, 1.0], "sha256": "of something else"}
    with h5py.File(path, "w") as file:
        file.attrs["metadata"] = json.dumps(said)
        file["policy/actions"] = [[float(step)] * 4 for step in range(length)]
    return path.read_bytes()


def test_the_deon_workflow(server: S3Server, tmp_path: Path) -> None:
    collector, reader = lab(tmp_path, "collector"), lab(tmp_path, "reader")
    theirs, ours = server.new_bucket(), server.new_bucket()
    environment = {**server.env(), "ORBITPKG_REPOSITORY": f"s3://{ours}/lab"}

    def run(machine: Machine, *words: str) -> Any:
        done = machine.run("dataset", *words, "--json", **environment)
        assert done.code == 0, done.err
        return done.envelope["data"]

    # deoncli up BUCKET/PREFIX: metadata is read from hf.attrs['metadata'].
    files = {
        f"traj{number}.hdf5": write_recording(
            collector.folder / f"mini/traj{number}.hdf5", ("sawyer", "baxter")[number % 2], 10 + number
        )
        for number in range(6)
    }
    run(collector, "create", "robonet")
    assert run(collector, "register", "robonet", "mini")["new"] == 6
    # What deon put into a bucket before: the same metadata, as a header.
    client = server.client()
    for number in range(2):
        body = write_recording(tmp_path / f"old{number}.hdf5", "sawyer", 30 + number)
        headers = {"metajson": json.dumps({"robot": "sawyer", "action_T": 30 + number}), "uid": "6812"}
        client.put_object(Bucket=theirs, Key=f"mini/old{number}.hdf5", Body=body, Metadata=headers)
        files[f"old{number}.hdf5"] = body
    client.put_object(Bucket=theirs, Key="mini/notes on this.txt", Body=b"somebody else's", Metadata={"metajson": "{"})
    before = {each["Key"]: each["ETag"] for each in client.list_objects_v2(Bucket=theirs)["Contents"]}
    indexed = run(collector, "index", f"s3://{theirs}/mini", "--into", "robonet")
    assert (indexed["found"], indexed["new"]) == (3, 3)
    assert [warning["name"] for warning in indexed["warnings"]] == ["mini/notes on this.txt"]
    assert before == {each["Key"]: each["ETag"] for each in client.list_objects_v2(Bucket=theirs)["Contents"]}
    # deoncli metadata down, metadata load: df[df['robot'] == "sawyer"]
    rows = run(reader, "query", "robonet", "robot = 'sawyer' and action_T >= 12")["rows"]
    assert {row["name"] for row in rows} == {
        "traj2.hdf5",
        "traj4.hdf5",
        "old0.hdf5",
        "old1.hdf5",
    }
    # sync_files_s3(filtered_df.index): from both buckets, exactly those; again: "local files are up to date".
    where = ["--where", "robot = 'sawyer'", "--dir", "wanted"]
    run(reader, "sync", "robonet", *where)
    wanted = {name: data for name, data in files.items() if name in {"traj0.hdf5", "traj2.hdf5", "traj4.hdf5"}}
    wanted |= {name: data for name, data in files.items() if name.startswith("old")}
    there = {path.name: path.read_bytes() for path in (reader.folder / "wanted").iterdir()}
    assert there == wanted
    assert run(reader, "sync", "robonet", *where)["fetched"] == []
    # Visualize hdf5 file
    assert reader.run("dataset", "show", "wanted/traj0.hdf5").code == 0
