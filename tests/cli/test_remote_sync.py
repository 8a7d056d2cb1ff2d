"""The output and exit codes of ``remote sync``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.machine import Machine, Result


@pytest.fixture
def destination(machine: Machine) -> str:
    """The address of a destination. Two files are synced there, and on to the folder ``other``."""
    (machine.folder / "recordings/deep").mkdir(parents=True)
    (machine.folder / "recordings/run 1.csv").write_bytes(b"1,2\n")
    (machine.folder / "recordings/deep/x").write_bytes(b"x" * 2000)
    uri = (machine.folder / "destination").as_uri()
    machine.succeed("remote", "sync", "recordings", uri)
    machine.succeed("remote", "sync", uri, "other")
    return uri


def write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def sync(machine: Machine, *words: str) -> Result:
    return machine.run("remote", "sync", *words)


def test_the_result_is_reported_in_a_sentence(machine: Machine, destination: str) -> None:
    assert sync(machine, "recordings", destination).out == "Synced 0 files (0 bytes); 2 unchanged\n"
    write(machine.folder / "recordings/new", b"12345")
    (machine.folder / "recordings/deep/x").unlink()
    result = sync(machine, "recordings", destination, "--delete")
    assert (result.code, result.out) == (0, "Synced 1 file (5 bytes), deleted 1; 1 unchanged\n")


def test_a_dry_run_lists_what_would_be_done(machine: Machine, destination: str) -> None:
    write(machine.folder / "recordings/new", b"12345")
    (machine.folder / "recordings/deep/x").unlink()
    result = sync(machine, "recordings", destination, "--delete", "--dry-run")
    lines = result.out.splitlines()
    assert [line.split() for line in lines[:2]] == [["upload", "new", "5", "bytes"], ["delete", "object", "deep/x"]]
    assert lines[2:] == ["Would sync 1 file (5 bytes), would delete 1; 1 unchanged"]
    assert (
        sync(machine, "recordings", destination, "--delete").out == "Synced 1 file (5 bytes), deleted 1; 1 unchanged\n"
    )


def test_a_conflict_fails_unless_force_is_given(machine: Machine, destination: str) -> None:
    write(machine.folder / "other/run 1.csv", b"mine")
    result = sync(machine, destination, "other")
    assert (result.code, result.out) == (1, "Synced 0 files (0 bytes); 1 unchanged\n")
    assert result.err == (
        "note: Skipped run 1.csv: it was changed at the destination since the last sync\n"
        "error: Sync incomplete: 1 conflict.\n"
        "hint: To overwrite conflicting files at the destination, use --force.\n"
    )
    assert sync(machine, destination, "other", "--force").code == 0
    assert (machine.folder / "other/run 1.csv").read_bytes() == b"1,2\n"


def test_only_the_first_conflicts_are_listed(machine: Machine, destination: str) -> None:
    for number in range(30):
        write(machine.folder / f"other/{number:02}", b"never synced")
    result = sync(machine, destination, "other", "--delete")
    assert result.err.count("note: ") == 21
    assert "note: 10 more paths were not synced. To list all of them, use --json." in result.err


def test_the_envelope_has_every_fact(machine: Machine, destination: str) -> None:
    write(machine.folder / "recordings/new", b"12345")
    done = sync(machine, "recordings", destination, "--json").envelope
    assert (done["ok"], done["command"]) == (True, "remote sync")
    assert done["data"] == {
        "source": "recordings",
        "destination": destination,
        "dry_run": False,
        "done": [{"act": "upload", "path": "new", "bytes": 5}],
        "bytes": 5,
        "unchanged": 2,
        "conflicts": [],
        "unusable": [],
        "failed": [],
    }
    write(machine.folder / "other/run 1.csv", b"mine")
    failed = sync(machine, destination, "other", "--json").envelope
    assert (failed["ok"], failed["error"]["code"]) == (False, "not-in-step")
    assert failed["error"]["data"]["done"] == [{"act": "download", "path": "new", "bytes": 5}]
    assert failed["error"]["data"]["conflicts"] == [
        {"path": "run 1.csv", "reason": "it was changed at the destination since the last sync"}
    ]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["recordings", "other"], "One side of a sync must be a local directory"),
        (["s3://abc/d", "memory://x/y"], "One side of a sync must be a local directory"),
        (["recordings", "s3:/bucket/d"], "a slash is missing"),
        (["recordings", "ftp://host/d"], "ftp://host/d"),
        (["recordings", "memory://x/d", "--include", "../a"], "The pattern '../a'"),
        (["recordings", "memory://x/d", "--watch", "--dry-run"], "cannot be used with"),
        (["memory://x/d", "other", "--watch"], "Only a local directory can be watched"),
        (["recordings", "memory://x/d", "--settle", "0"], "--settle"),
    ],
)
def test_invalid_arguments_are_usage_errors(machine: Machine, words: list[str], said: str) -> None:
    (machine.folder / "recordings").mkdir()
    result = sync(machine, *words)
    assert result.code == 2
    assert said in result.err.replace("\n  ", " ")


def test_a_missing_source_is_an_error(machine: Machine) -> None:
    destination = (machine.folder / "destination").as_uri()
    result = sync(machine, "nowhere", destination)
    assert (result.code, result.err) == (1, "error: nowhere does not exist.\n")
    result = sync(machine, f"{destination}/nowhere", "other")
    assert result.code == 1
    assert "No objects found at" in result.err
