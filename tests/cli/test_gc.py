"""``gc``: what goes is listed, what is needed stays, and options say which old versions go."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import Machine, Result, write_package

if TYPE_CHECKING:
    from collections.abc import Sequence


@pytest.fixture
def two(furnished: Machine) -> Machine:
    """A machine on which a second version of ``tiny`` is installed."""
    write_package(furnished.folder / "tiny2", version="2.0.0")
    furnished.succeed("publish", "tiny2")
    furnished.succeed("install", "tiny==2.0.0")
    return furnished


def versions(machine: Machine) -> Sequence[str]:
    return [row["version"] for row in machine.run("list", "--json").envelope["data"]["packages"]]


def test_where_nothing_is_superfluous_it_says_so(furnished: Machine) -> None:
    done = furnished.run("gc")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Nothing to delete. The store uses ")


def test_a_dry_run_shows_what_would_go(two: Machine) -> None:
    done = two.run("gc", "--keep-last", "1", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines()[0].startswith("release  tiny==1.0.0  ")
    assert done.out.splitlines()[1].startswith("Would delete 1 item (")
    assert versions(two) == ["1.0.0", "2.0.0"]


def test_old_versions_go_when_asked_for(two: Machine) -> None:
    done = two.run("gc", "--keep-last", "1", "--json")
    data = done.envelope["data"]
    assert [(row["kind"], row["name"]) for row in data["deleted"]] == [("release", "tiny==1.0.0")]
    assert data["freed_bytes"] == sum(row["bytes"] for row in data["deleted"]) > 0
    assert (data["dry_run"], data["kept"], data["over_bytes"]) == (False, [], 0)
    assert versions(two) == ["2.0.0"]


def test_options_narrow_what_goes(two: Machine) -> None:
    two.succeed("gc", "--keep-last", "1", "--older-than", "30d")
    two.succeed("gc", "--keep-last", "1", "--max-size", "50GB")
    assert versions(two) == ["1.0.0", "2.0.0"]


def test_a_size_that_cannot_be_had_is_told(furnished: Machine) -> None:
    done = furnished.run("gc", "--max-size", "1kB")
    assert done.code == 0
    assert "the remaining files are in use or too new." in done.err


def test_what_a_project_locks_stays_and_says_why(two: Machine) -> None:
    (two.folder / "orbit.toml").write_text('requirements = ["tiny<2"]\n')
    two.succeed("sync")
    done = two.run("gc", "--keep-last", "1")
    assert done.err == f"note: Kept tiny==1.0.0: {two.folder / 'orbit.lock'} needs it\n"
    assert versions(two) == ["1.0.0", "2.0.0"]


@pytest.mark.parametrize("words", [("--older-than", "soon"), ("--max-size", "big"), ("--keep-last", "-1")])
def test_what_is_no_amount_is_refused(machine: Machine, words: tuple[str, ...]) -> None:
    assert machine.run("gc", *words).code == 2


def test_an_empty_machine_stays_empty(machine: Machine) -> None:
    assert machine.run("gc") == Result(0, "Nothing to delete. The store uses 0 bytes.\n", "")
    assert not machine.home.exists()
