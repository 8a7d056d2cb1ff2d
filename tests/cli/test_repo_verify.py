"""The output and exit codes of ``repo verify``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.cli.machine import Machine


def archive(machine: Machine) -> Path:
    record, _ = machine.record("tiny", "1.0.0")
    path: Path = machine.home / "repository" / record["archive"]["key"]
    return path


@pytest.mark.parametrize("words", [(), ("--read-data",), ("--read-data", "--subset", "100%")])
def test_an_undamaged_repository_is_good(furnished: Machine, words: tuple[str, ...]) -> None:
    done = furnished.run("repo", "verify", *words, "--quiet")
    size = archive(furnished).stat().st_size
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"1 package, 1 release, {size} bytes; ")
    assert done.out.endswith(" read: good\n")
    assert done.out.count(" 0 bytes read") == (not words)


def test_damage_is_listed_and_sets_the_exit_code(furnished: Machine) -> None:
    path = archive(furnished)
    path.unlink()
    done = furnished.run("repo", "verify", "--quiet")
    key = path.relative_to(furnished.home / "repository")
    assert done.code == 16
    assert done.out.splitlines()[0] == f"missing  {key}  It is the archive of tiny 1.0.0."
    assert done.err.splitlines()[0] == f"error: 1 object in {furnished.repository} is damaged."


def test_damage_as_json(furnished: Machine) -> None:
    path = archive(furnished)
    path.write_bytes(bytes(path.stat().st_size))
    assert furnished.run("repo", "verify", "--json").code == 0
    done = furnished.run("repo", "verify", "--json", "--read-data")
    assert (done.code, done.envelope["error"]["code"]) == (32, "integrity")
    assert [row["flaw"] for row in done.envelope["error"]["data"]["faults"]] == ["altered"]


@pytest.mark.parametrize(
    "words", [("--subset", "5%"), ("--read-data", "--subset", "0%"), ("--read-data", "--subset", "x")]
)
def test_an_invalid_subset_is_an_error(furnished: Machine, words: tuple[str, ...]) -> None:
    assert furnished.run("repo", "verify", *words).code == 2
