"""``gc`` lists what it deletes, keeps what is in use, and deletes the old versions that the options select."""

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


def test_nothing_to_delete_is_reported(furnished: Machine) -> None:
    done = furnished.run("gc")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("Nothing to delete. The store uses ")


def test_a_dry_run_lists_what_would_be_deleted(two: Machine) -> None:
    done = two.run("gc", "--keep-last", "1", "--dry-run")
    assert done.code == 0
    assert done.out.splitlines()[0].startswith("release  tiny==1.0.0  ")
    assert done.out.splitlines()[1].startswith("Would delete 1 item (")
    assert versions(two) == ["1.0.0", "2.0.0"]


def test_old_versions_are_deleted_on_request(two: Machine) -> None:
    done = two.run("gc", "--keep-last", "1", "--json")
    data = done.envelope["data"]
    assert [(row["kind"], row["name"]) for row in data["deleted"]] == [("release", "tiny==1.0.0")]
    assert data["freed_bytes"] == sum(row["bytes"] for row in data["deleted"]) > 0
    assert (data["dry_run"], data["kept"], data["over_bytes"]) == (False, [], 0)
    assert versions(two) == ["2.0.0"]


def test_all_options_must_apply_to_a_deleted_version(two: Machine) -> None:
    two.succeed("gc", "--keep-last", "1", "--older-than", "30d")
    two.succeed("gc", "--keep-last", "1", "--max-size", "50GB")
    assert versions(two) == ["1.0.0", "2.0.0"]


def test_a_size_that_cannot_be_reached_is_noted(furnished: Machine) -> None:
    done = furnished.run("gc", "--max-size", "1kB")
    assert done.code == 0
    assert "the remaining files are in use or too new" in done.err


def test_a_release_locked_by_a_project_is_kept_with_a_note(two: Machine) -> None:
    (two.folder / "orbit.toml").write_text('requirements = ["tiny<2"]\n')
    two.succeed("sync")
    done = two.run("gc", "--keep-last", "1")
    assert done.err == f"note: Kept tiny 1.0.0: {two.folder / 'orbit.lock'} needs it\n"
    assert versions(two) == ["1.0.0", "2.0.0"]


@pytest.mark.parametrize("words", [("--older-than", "soon"), ("--max-size", "big"), ("--keep-last", "-1")])
def test_an_invalid_amount_is_an_error(machine: Machine, words: tuple[str, ...]) -> None:
    assert machine.run("gc", *words).code == 2


def test_an_empty_store_stays_empty(machine: Machine) -> None:
    assert machine.run("gc") == Result(0, "Nothing to delete. The store uses 0 bytes.\n", "")
    assert not machine.home.exists()
