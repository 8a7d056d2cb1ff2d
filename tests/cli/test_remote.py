"""The commands of ``remote``: globs, folders, dry runs, output and errors."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from orbitpkg.objects import open_store
from tests.servers.processes import free_port

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.objects import ObjectStore
    from tests.cli.machine import Machine, Result
    from tests.servers.processes import S3Server

OBJECTS = {
    "data/one.csv": b"a,b\n",
    "data/two.csv": b"c,d\n",
    "data/notes.txt": b"x" * 1500,
    "data/sub/two words.csv": b"e\n",
    "other.bin": bytes([0, 255]),
    "odd/a[1].txt": b"literal",
    "odd/a1.txt": b"not meant",
}


@dataclass(frozen=True)
class Desk:
    """A machine and a bucket that it can access."""

    machine: Machine
    uri: str
    store: ObjectStore
    env: dict[str, str]

    def run(self, *words: str | Path, **more: str) -> Result:
        return self.machine.run("remote", *words, **{**self.env, **more})

    def there(self) -> list[str]:
        return [info.key for info in self.store.list("")]


@pytest.fixture
def desk(machine: Machine, moto: S3Server) -> Desk:
    uri = f"s3://{moto.new_bucket()}"
    store = open_store(uri, env=moto.env())
    for key, data in OBJECTS.items():
        store.put(key, data)
    return Desk(machine, uri, store, moto.env())


def test_a_folder_is_listed_level_by_level(desk: Desk) -> None:
    done = desk.run("ls", f"{desk.uri}/data/")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert [line[-1].removeprefix(desk.uri) for line in lines] == [
        "/data/sub/",
        "/data/notes.txt",
        "/data/one.csv",
        "/data/two.csv",
    ]
    assert lines[1][:2] == ["1.5", "kB"]
    listed = desk.run("ls", "--json", desk.uri).envelope["data"]
    assert listed["folders"] == [f"{desk.uri}/data/", f"{desk.uri}/odd/"]
    assert [(row["uri"], row["bytes"]) for row in listed["objects"]] == [(f"{desk.uri}/other.bin", 2)]
    deep = desk.run("ls", "--json", f"{desk.uri}/**/*.csv").envelope["data"]["objects"]
    assert [row["uri"].removeprefix(f"{desk.uri}/data/") for row in deep] == ["one.csv", "sub/two words.csv", "two.csv"]


def test_objects_are_written_to_stdout_unchanged(desk: Desk) -> None:
    assert desk.run("cat", f"{desk.uri}/data/*.csv").out == "a,b\nc,d\n"
    found = desk.run("cat", "--json", f"{desk.uri}/other.bin", f"{desk.uri}/data/one.csv").envelope["data"]["objects"]
    assert base64.b64decode(found[0]["base64"]) == OBJECTS["other.bin"]
    assert found[1]["text"] == "a,b\n"


def test_several_objects_are_copied_to_a_folder_after_a_dry_run(desk: Desk) -> None:
    planned = desk.run("cp", "--dry-run", f"{desk.uri}/data/**", "down/")
    assert "down/sub/two words.csv" in planned.out
    assert planned.out.endswith("Would copy 4 objects (1.5 kB)\n")
    assert not (desk.machine.folder / "down").exists()
    done = desk.run("cp", f"{desk.uri}/data/**", "down/")
    assert (done.code, done.out) == (0, "Copied 4 objects (1.5 kB)\n")
    assert (desk.machine.folder / "down" / "sub" / "two words.csv").read_bytes() == b"e\n"
    assert desk.run("cp", "-R", "down", f"{desk.uri}/up/").code == 0
    assert [key for key in desk.there() if key.startswith("up/")] == [
        "up/notes.txt",
        "up/one.csv",
        "up/sub/two words.csv",
        "up/two.csv",
    ]


def test_one_failure_does_not_stop_the_other_copies(desk: Desk) -> None:
    (desk.machine.folder / "down" / "one.csv").mkdir(parents=True)
    done = desk.run("cp", "--json", f"{desk.uri}/data/*.csv", "down/")
    assert done.code == 1
    error = done.envelope["error"]
    assert "1 of 2 objects failed" in error["message"]
    assert [row["uri"] for row in error["data"]["failed"]] == [f"{desk.uri}/data/one.csv"]
    assert (desk.machine.folder / "down" / "two.csv").read_bytes() == b"c,d\n"


def test_one_object_is_copied_to_the_exact_name(desk: Desk) -> None:
    assert desk.run("cp", f"{desk.uri}/data/one.csv", "new.csv").code == 0
    assert (desk.machine.folder / "new.csv").read_bytes() == b"a,b\n"
    assert desk.run("cp", f"{desk.uri}/data/one.csv", ".").code == 0
    assert (desk.machine.folder / "one.csv").read_bytes() == b"a,b\n"
    done = desk.run("cp", f"{desk.uri}/data/one.csv", f"{desk.uri}/data/two.csv", f"{desk.uri}/name")
    assert done.code == 2
    assert "add a slash" in done.err


def test_objects_are_moved(desk: Desk) -> None:
    moved = desk.run("mv", "--json", f"{desk.uri}/data/*.csv", f"{desk.uri}/done/").envelope["data"]
    assert moved["bytes"] == 8
    assert [key for key in desk.there() if key.endswith(".csv")] == [
        "data/sub/two words.csv",
        "done/one.csv",
        "done/two.csv",
    ]


def test_a_dry_run_lists_objects_before_they_are_deleted(desk: Desk) -> None:
    assert desk.run("rm", f"{desk.uri}/data/").code == 2
    assert "Would delete 4 objects" in desk.run("rm", "--dry-run", "-R", f"{desk.uri}/data/").out
    assert len(desk.there()) == len(OBJECTS)
    assert desk.run("rm", "-R", f"{desk.uri}/data/").out == "Deleted 4 objects (1.5 kB)\n"
    assert desk.there() == ["odd/a1.txt", "odd/a[1].txt", "other.bin"]
    gone = desk.run("rm", "--json", f"{desk.uri}/data/one.csv")
    assert (gone.code, gone.envelope["error"]["code"]) == (1, "file-missing")


def test_a_key_that_looks_like_a_glob_matches_literally_first(desk: Desk) -> None:
    assert desk.run("rm", f"{desk.uri}/odd/a[1].txt").code == 0
    assert "odd/a1.txt" in desk.there()
    assert "odd/a[1].txt" not in desk.there()
    assert desk.run("rm", f"{desk.uri}/odd/a[1].txt").code == 0
    assert "odd/a1.txt" not in desk.there()


def test_an_object_is_described_and_opened(desk: Desk) -> None:
    told = desk.run("stat", f"{desk.uri}/data/notes.txt").out
    assert "1.5 kB (1,500 bytes)" in told
    assert told.splitlines()[-1].split() == ["cached", "no"]
    path = desk.run("open", f"{desk.uri}/data/notes.txt").out.strip()
    assert path.endswith("/notes.txt")
    assert desk.run("stat", "--json", f"{desk.uri}/data/notes.txt").envelope["data"]["cached"] == path
    held = desk.run("cache", "--json").envelope["data"]
    assert held["bytes"] == 1500
    assert "Would remove 1 file (1.5 kB)" in desk.run("cache", "--max-size", "0", "--dry-run").out
    assert desk.run("cache", "--max-size", "0", "--json").envelope["data"]["removed"] == 1
    assert desk.run("cache", "--dry-run").code == 2


def test_cached_objects_are_opened_offline_with_one_note(desk: Desk) -> None:
    desk.run("open", f"{desk.uri}/data/one.csv")
    proxy = f"http://127.0.0.1:{free_port()}"
    away = {"HTTP_PROXY": proxy, "http_proxy": proxy, "NO_PROXY": "", "no_proxy": ""}
    done = desk.run("cat", f"{desk.uri}/data/one.csv", f"{desk.uri}/data/one.csv", **away)
    assert (done.code, done.out) == (0, "a,b\na,b\n")
    assert done.err.count("note:") == 1
    assert desk.run("cat", "--offline", f"{desk.uri}/data/one.csv").err == ""
    missing = desk.run("cat", "--offline", f"{desk.uri}/data/two.csv")
    assert missing.code == 1
    assert "in offline mode" in missing.err


def test_buckets_are_listed(desk: Desk) -> None:
    assert desk.uri in desk.run("buckets").out
    names = [row["name"] for row in desk.run("buckets", "--json").envelope["data"]["buckets"]]
    assert desk.uri.removeprefix("s3://") in names


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("ls", "s3:/bucket/key"), "Did you mean s3://bucket/key?"),
        (("stat", "s3://bucket"), "does not name an object"),
        (("cat", "s3://bucket/a//b"), "empty part"),
        (("open", "s3://bucket/x", "--max-age", "soon"), "is not a valid duration"),
        (("cp", "s3://bucket/x"), "Missing argument"),
    ],
    ids=str,
)
def test_invalid_arguments_are_usage_errors(machine: Machine, words: tuple[str, ...], said: str) -> None:
    done = machine.run("remote", *words)
    assert done.code == 2
    assert said in done.err
