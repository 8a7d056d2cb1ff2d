"""``repo gc`` lists and deletes the remains of interrupted publishing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.cli.machine import Machine, Result

if TYPE_CHECKING:
    from pathlib import Path

ORPHAN = "archives/tiny/tiny-9.0.0-0123456789ab.tar.zst"


def orphan(machine: Machine) -> Path:
    path = machine.home / "repository" / ORPHAN
    path.write_bytes(b"left behind")
    return path


def test_a_dry_run_lists_what_would_be_deleted(furnished: Machine) -> None:
    path = orphan(furnished)
    done = furnished.run("repo", "gc", "--dry-run", "--older-than", "0")
    assert done == Result(0, f"{ORPHAN}  11 bytes\nWould delete 1 object (11 bytes) and 0 unfinished uploads.\n", "")
    assert path.exists()


def test_only_objects_that_no_release_uses_are_deleted(furnished: Machine) -> None:
    path = orphan(furnished)
    done = furnished.run("repo", "gc", "--older-than", "0")
    assert done == Result(0, f"{ORPHAN}  11 bytes\nDeleted 1 object (11 bytes) and 0 unfinished uploads.\n", "")
    assert not path.exists()
    assert furnished.run("remove", "tiny").code == 0
    assert furnished.run("install", "tiny==1.0.0").code == 0


def test_new_objects_are_kept(furnished: Machine) -> None:
    path = orphan(furnished)
    done = furnished.run("repo", "gc")
    assert done == Result(0, "Nothing to delete.\n", "")
    assert path.exists()


def test_an_address_without_a_repository_is_an_error(machine: Machine) -> None:
    done = machine.run("repo", "gc", "./nothing")
    assert done.code == 1
    assert "There is no repository at" in done.err
