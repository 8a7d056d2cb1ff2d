"""The commands of datasets: whole outputs, exit codes, and what they say of bad input."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import Machine

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.machine import Result


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with the dataset ``recordings``: three files, two of them with metadata."""
    machine = Machine(tmp_path_factory.mktemp("lab") / "a machine")
    runs = machine.folder / "runs"
    runs.mkdir(parents=True)
    for number in range(3):
        (runs / f"run {number}.bin").write_bytes(bytes(number))
    (runs / "run 1.bin.json").write_text('{"robot": "sawyer", "note": "a,b\\n\\"c\\"", "action_T": 15}')
    (runs / "run 2.bin.json").write_text('{"robot": "kuka')
    machine.succeed("dataset", "create", "recordings", "--description", "Robot arms")
    machine.succeed("dataset", "register", "recordings", "runs", "--tag", "lab=a=b")
    return machine


def test_unreadable_metadata_is_noted_for_the_file(lab: Machine) -> None:
    done = lab.run("dataset", "register", "recordings", "runs", "--tag", "lab=a=b")
    assert done.code == 0
    assert done.out == "Registered 3 files in recordings: 0 new, 0 bytes uploaded\n"
    assert done.err == "warning: Ignored run 2.bin.json, which is not valid JSON (line 1, column 11).\n"


def test_a_file_that_cannot_be_registered_is_named_and_the_exit_code_is_one(lab: Machine) -> None:
    (lab.folder / "bad\nname").write_bytes(b"")
    done = lab.run("dataset", "register", "recordings", "runs/run 0.bin", "bad\nname", "--tag", "lab=a=b")
    assert done.code == 1
    assert "error: Could not register 1 of 2 files.\n" in done.err
    assert "cannot be registered: its name contains" in done.err
    told = lab.run("dataset", "register", "recordings", "runs/run 0.bin", "bad\nname", "--json").envelope["error"]
    assert told["code"] == "partly-done"
    assert [each["code"] for each in told["data"]["failures"]] == ["usage"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["register", "recordings", "runs", "--tag", "lab"], "--tag 'lab' must have the form KEY=VALUE."),
        (["register", "recordings", "runs", "--metadata", "a={"], "metadata a is not valid JSON"),
        (["register", "recordings", "nothing"], "nothing does not exist."),
        (["register", "recordings", "runs", "--from-datum", "f" * 64], "SHA-256"),
        (["query", "recordings", "robto = 1"], "Did you mean robot?"),
        (["query", "recordings", "robot = "], "syntax error"),
        (["query", "recordings", "--columns", "nmae"], "Did you mean name?"),
        (["describe", "recordings", "--id", "abcdef"], "No datum abcdef found in recordings."),
        (["freeze", "recordings", "--as", "runs"], "has no exact version"),
        (["create", "a/b"], "'/'"),
    ],
)
def test_words_that_cannot_be_read_exit_with_two(lab: Machine, words: list[str], says: str) -> None:
    done = lab.run("dataset", *words)
    assert (done.code, done.out) == (2, "")
    assert says in done.err.replace("\n  ", " ")


def test_a_missing_dataset_is_reported_with_a_similar_name(lab: Machine) -> None:
    done = lab.run("dataset", "info", "recordngs")
    assert (done.code, done.out) == (1, "")
    assert done.err.endswith("hint: Did you mean recordings?\n")


def test_a_query_prints_columns_csv_and_json(lab: Machine) -> None:
    words = ("dataset", "query", "recordings", "action_T >= 15")
    plain = lab.run(*words)
    assert (plain.out, plain.err) == ("run 1.bin  1  15\n", "note: 1 file\n")
    [header, row] = csv.reader(io.StringIO(lab.run(*words, "--csv").out))
    assert dict(zip(header, row, strict=True))["note"] == 'a,b\n"c"'
    [found] = lab.run(*words, "--json").envelope["data"]["rows"]
    assert (found["robot"], found["tags"]) == ("sawyer", {"lab": "a=b"})
    assert found["metadata"] == {"robot": "sawyer", "note": 'a,b\n"c"', "action_T": 15}
    assert found["registered"].endswith("Z")
    assert lab.run(*words, "--csv", "--columns", "name,size").out == "name,size\nrun 1.bin,1\n"


def test_an_empty_result_prints_a_header_or_a_note(lab: Machine) -> None:
    words = ("dataset", "query", "recordings", "size > 1000")
    assert (lab.run(*words).out, lab.run(*words).err) == ("", "note: 0 files\n")
    assert lab.run(*words, "--csv", "--columns", "name,size").out == "name,size\n"


def test_a_narrow_terminal_shows_what_is_known(lab: Machine) -> None:
    done = lab.run("dataset", "describe", "recordings", "--where", "action_T = 15")
    facts = dict(line.split(maxsplit=1) for line in done.out.splitlines() if not line.startswith(" "))
    assert (facts["name"], facts["tags.lab"], facts["metadata.robot"]) == ("run 1.bin", "a=b", "sawyer")


def test_download_and_sync_report_what_they_did(lab: Machine) -> None:
    first = lab.run("dataset", "download", "recordings", "--dir", "out", "--where", "size > 0")
    assert (first.code, first.out) == (0, "Downloaded 2 files, 3 bytes\n  out\n")
    assert lab.run("dataset", "sync", "recordings", "--dir", "out", "--where", "size > 0").out == (
        "Nothing to download: 2 files up to date\n"
    )
    (lab.folder / "out" / "run 1.bin").write_bytes(b"mine")
    failed = lab.run("dataset", "download", "recordings", "--dir", "out")
    assert failed.code == 1
    assert "run 1.bin: out/run 1.bin exists with different content." in failed.err
    assert "error: Could not download 1 of 3 files.\nhint: To replace local files, add --force.\n" in failed.err
    assert (lab.folder / "out" / "run 1.bin").read_bytes() == b"mine"
    told = lab.run("dataset", "download", "recordings", "--dir", "out", "--json").envelope["error"]
    assert [each["name"] for each in told["data"]["failures"]] == ["run 1.bin"]


def without(library: str, lab: Machine, *words: str) -> Result:
    """Run a command where a library is not installed."""
    program = f"import sys; sys.modules[{library!r}] = None; from orbitpkg.cli.program import run; "
    done = subprocess.run(
        [sys.executable, "-c", f"{program}sys.exit(run(sys.argv[1:]))", *words],
        cwd=lab.folder,
        env=lab.environment(),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return type(lab.run("--version"))(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("library", "words"),
    [
        ("duckdb", ["query", "recordings"]),
        ("duckdb", ["info", "recordings"]),
        ("pyarrow", ["register", "recordings", "new"]),
    ],
)
def test_a_missing_library_is_named_with_the_command_that_installs_it(
    lab: Machine, library: str, words: list[str]
) -> None:
    (lab.folder / "new").write_bytes(b"new")
    done = without(library, lab, "dataset", *words)
    assert done.code == 1
    assert f"needs {library}, which is not installed" in done.err
    assert "pip install 'orbitpkg[query]'" in done.err


def test_making_listing_and_noting_need_no_library(lab: Machine) -> None:
    assert without("duckdb", lab, "dataset", "list").code == 0
    assert without("duckdb", lab, "dataset", "note", "recordings", "The camera was moved").code == 0


@pytest.mark.parametrize("zone", ["UTC", "Asia/Tokyo", "America/Los_Angeles"])
def test_a_time_means_the_same_in_every_time_zone(lab: Machine, zone: str) -> None:
    everything = len(lab.run("dataset", "query", "recordings", "--json").envelope["data"]["rows"])
    for condition, count in {
        "registered > now() - interval 1 hour": everything,
        "registered <= now()": everything,
        "registered <= current_timestamp": everything,
        "registered > current_timestamp - interval 1 hour": everything,
        "registered::date between current_date - 1 and current_date": everything,
        "registered > now() + interval 1 minute": 0,
    }.items():
        done = lab.run("dataset", "query", "recordings", condition, "--json", TZ=zone)
        assert (condition, len(done.envelope["data"]["rows"])) == (condition, count)


def test_without_a_network_the_cache_is_searched(lab: Machine, tmp_path: Path) -> None:
    del tmp_path
    done = lab.run("dataset", "query", "recordings", "--offline", "--at", "s3://no-such-bucket/lab")
    assert done.code == 1
    assert "in offline mode" in done.err.replace("\n  ", " ")
    assert lab.run("dataset", "query", "recordings", "--offline").code == 0


def test_freezing_publishes_what_install_and_thaw_take(lab: Machine) -> None:
    told = lab.run("dataset", "freeze", "recordings", "--where", "size > 0", "--as", "runs==1.0.0", "--json")
    assert told.envelope["data"]["outcome"] == "published"
    assert (told.envelope["data"]["files"], told.envelope["data"]["packed"]) == (2, False)
    lab.succeed("install", "runs")
    assert lab.run("dataset", "thaw", "runs", "--dir", "thawed").out == "Downloaded 2 files, 3 bytes\n  thawed\n"
    manifest = json.loads(lab.run("show", "runs", "--json").out)
    assert manifest["ok"]
