"""The whole output, as text and JSON, of commands that manage projects, repositories and published releases."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import Machine, Result, write_package

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def shop(machine: Machine) -> Machine:
    """A machine with a project in its working directory and a repository with ``tiny`` and ``big``."""
    for name, version, needs in (("tiny", "1.0.0", {}), ("tiny", "1.1.0", {}), ("big", "1.0.0", {"tiny": "<1.1"})):
        write_package(machine.folder / f"{name}-{version}", name, version, dependencies=needs)
        machine.succeed("publish", f"{name}-{version}", "--repository", "./models")
    (machine.folder / "orbit.toml").write_text('# ours\n[repositories.models]\nurl = "./models"\n')
    return machine


def models(machine: Machine) -> str:
    return (machine.folder / "models").as_uri()


def index_of(machine: Machine, name: str) -> Path:
    return machine.folder / "models" / "index" / f"{name}.json"


def test_add_reports_locked_and_installed_packages(shop: Machine) -> None:
    assert shop.run("add", "big") == Result(
        0,
        "Locked 2 packages\n"
        "  + big 1.0.0\n"
        "  + tiny 1.0.0\n"
        "Installed big 1.0.0: 3 files, 1.1 kB\n"
        "Installed tiny 1.0.0: 3 files, 1.1 kB\n",
        "",
    )
    assert (shop.folder / "orbit.toml").read_text() == (
        '# ours\nrequirements = [\n    "big",\n]\n\n[repositories.models]\nurl = "./models"\n'
    )


def test_add_creates_a_project_if_none_exists(furnished: Machine) -> None:
    done = furnished.run("add", "tiny")
    assert done == Result(0, "Locked 1 package\n  + tiny 1.0.0\nAll locked packages are installed: 1 package\n", "")
    assert 'repository = "default"' in (furnished.folder / "orbit.lock").read_text()


def test_add_reports_everything_as_json(shop: Machine) -> None:
    data = shop.run("add", "big", "--json").envelope["data"]
    assert data["lock"] == str(shop.folder / "orbit.lock")
    assert data["changes"] == [
        {"name": "big", "old": None, "new": "1.0.0"},
        {"name": "tiny", "old": None, "new": "1.0.0"},
    ]
    assert [(row["name"], row["version"], row["repository"], row["dependencies"]) for row in data["locked"]] == [
        ("big", "1.0.0", "models", ["tiny<1.1"]),
        ("tiny", "1.0.0", "models", []),
    ]
    assert data["new"] == ["big==1.0.0", "tiny==1.0.0"]
    assert [package["name"] for package in data["packages"]] == ["big"]


def test_lock_reports_changes_or_that_there_are_none(shop: Machine) -> None:
    shop.succeed("add", "tiny<1.1")
    (shop.folder / "orbit.toml").write_text('requirements = ["tiny"]\n[repositories.models]\nurl = "./models"\n')
    assert shop.run("lock") == Result(0, "orbit.lock is up to date: 1 package\n", "")
    expected = Result(0, "Locked 1 package\n    tiny 1.0.0 -> 1.1.0\n", "")
    assert shop.run("lock", "--upgrade", "tiny") == expected
    assert shop.run("lock", "--upgrade", "--json").envelope["data"]["changes"] == []


def test_sync_locked_explains_why_the_lockfile_is_outdated(shop: Machine) -> None:
    shop.succeed("add", "tiny<1.1")
    (shop.folder / "orbit.toml").write_text('requirements = ["big"]\n[repositories.models]\nurl = "./models"\n')
    assert shop.run("sync", "--locked") == Result(
        1,
        "",
        "error: orbit.lock is outdated:\n"
        "    The project requires big, which is not locked.\n"
        "    tiny==1.0.0 is locked, but nothing requires it.\n"
        "hint: To update it: orbitpkg lock\n",
    )
    error = shop.run("sync", "--locked", "--json").envelope["error"]
    assert (error["code"], len(error["data"]["reasons"])) == ("lockfile", 2)


def test_sync_updates_the_lockfile_and_installs(shop: Machine) -> None:
    shop.succeed("add", "tiny<1.1")
    (shop.folder / "orbit.toml").write_text('requirements = ["big"]\n[repositories.models]\nurl = "./models"\n')
    assert shop.run("sync") == Result(0, "Locked 2 packages\n  + big 1.0.0\nInstalled big 1.0.0: 3 files, 1.1 kB\n", "")
    assert shop.run("sync", "--frozen") == Result(0, "All locked packages are installed: 2 packages\n", "")
    assert shop.run("sync", "--frozen", "--locked").code == 2


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("format = 2\n\n# end\n", "has format 2; this version of orbitpkg supports format 1."),
        ("<<<<<<< HEAD\nformat = 1\n", "contains a merge conflict in line 1."),
        ("format = 1\n\n[[package]]\nname =", "is not a valid lockfile: it is truncated"),
    ],
)
@pytest.mark.parametrize("command", [["lock"], ["sync"], ["sync", "--frozen"], ["add", "tiny"], ["tree"]])
def test_an_unusable_lockfile_is_not_changed(shop: Machine, text: str, message: str, command: list[str]) -> None:
    shop.succeed("add", "tiny")
    (shop.folder / "orbit.lock").write_text(text)
    done = shop.run(*command)
    assert (done.code, done.out) == (1, "")
    assert message in done.err
    assert "hint: " in done.err
    assert (shop.folder / "orbit.lock").read_text() == text


def test_tree_draws_the_dependencies(shop: Machine) -> None:
    shop.succeed("add", "big", "tiny")
    assert shop.run("tree") == Result(0, "big 1.0.0\n`-- tiny 1.0.0  (<1.1)\ntiny 1.0.0\n", "")
    data = shop.run("tree", "--json").envelope["data"]["packages"]
    assert data[0]["needs"] == [{"name": "tiny", "version": "1.0.0", "wanted": "<1.1", "repeated": False, "needs": []}]


def test_outdated_lists_current_allowed_and_newest(shop: Machine) -> None:
    shop.succeed("add", "big")
    assert shop.run("outdated") == Result(0, "tiny  1.0.0  1.0.0  1.1.0\n", "")
    (row,) = shop.run("outdated", "--json").envelope["data"]["packages"]
    assert row == {"name": "tiny", "current": "1.0.0", "allowed": "1.0.0", "newest": "1.1.0"}


def test_diff_names_files_and_bytes(shop: Machine) -> None:
    files = {"model.bin": bytes(2000), "new.txt": b"12345"}
    write_package(shop.folder / "tiny-2.0.0", "tiny", "2.0.0", files=files)
    shop.succeed("publish", "tiny-2.0.0")
    done = shop.run("diff", "tiny==1.0.0", "tiny")
    *rows, last = done.out.splitlines()
    assert rows == [
        "-  data/words.txt  8 bytes",
        "~  model.bin       1.0 kB -> 2.0 kB",
        "+  new.txt         5 bytes",
        "~  package.json    " + rows[-1].split("    ")[1],
    ]
    assert last.startswith(
        "tiny==1.0.0 -> tiny==2.0.0: 1 added (5 bytes), 1 removed (8 bytes), 2 changed, 0 unchanged; "
    )
    data = shop.run("diff", "tiny==1.0.0", "tiny", "--json").envelope["data"]
    assert [(row["path"], row["bytes"]) for row in data["added"]] == [("new.txt", 5)]
    assert next((row["path"], row["old_bytes"], row["bytes"]) for row in data["changed"]) == ("model.bin", 1000, 2000)


def test_a_yanked_release_is_installed_only_by_exact_version_with_a_warning(shop: Machine) -> None:
    assert shop.run("yank", "tiny==1.1.0", "--reason", "wrong labels") == Result(
        0, f"tiny 1.1.0 is now yanked\n  in {models(shop)}\n", ""
    )
    assert shop.run("install", "tiny").out.startswith("Installed tiny 1.0.0: ")
    done = shop.run("install", "tiny==1.1.0")
    assert (done.code, done.err) == (0, "warning: tiny 1.1.0 is yanked: wrong labels.\n")
    assert shop.run("yank", "tiny==1.1.0", "--undo").out.startswith("tiny 1.1.0 is now available\n")
    assert shop.run("install", "tiny").out.startswith("tiny 1.1.0 is already installed")


def test_deprecate_marks_every_version_that_a_requirement_allows(shop: Machine) -> None:
    data = shop.run("deprecate", "tiny", "--reason", "use big", "--json").envelope["data"]
    assert data == {
        "name": "tiny",
        "versions": ["1.0.0", "1.1.0"],
        "state": "deprecated",
        "reason": "use big",
        "repository": models(shop),
    }
    assert shop.run("install", "tiny").err == "warning: tiny 1.1.0 is deprecated: use big.\n"


@pytest.mark.parametrize("words", [["yank", "tiny==1.0.0"], ["deprecate", "tiny"], ["yank", "tiny", "--reason", "x"]])
def test_a_reason_and_a_range_are_required(shop: Machine, words: list[str]) -> None:
    assert shop.run(*words).code == 2


def test_repositories_are_added_listed_and_removed(machine: Machine) -> None:
    config = machine.folder / "config.toml"
    assert machine.run("repo", "list", ORBITPKG_CONFIG=str(config)) == Result(
        0, f"default  {machine.repository}\n", "note: No repositories are configured: using the default\n"
    )
    added = machine.run("repo", "add", "ours", "./models", "--packages", "Acme_*", ORBITPKG_CONFIG=str(config))
    assert added == Result(0, f"Added repository ours (./models)\n  in {config}\n", "")
    changed = machine.run("repo", "add", "ours", "./models", ORBITPKG_CONFIG=str(config))
    assert changed.out == f"Changed repository ours (./models)\n  in {config}\n"
    assert machine.run("repo", "list", ORBITPKG_CONFIG=str(config)) == Result(
        0, f"ours  {models(machine)}  acme-*\n", f"note: Set by {config}\n"
    )
    assert machine.run("repo", "remove", "ours", ORBITPKG_CONFIG=str(config)).code == 0
    assert machine.run("repo", "remove", "ours", ORBITPKG_CONFIG=str(config)).code == 2


def test_an_unknown_repository_name_is_an_error(shop: Machine) -> None:
    assert shop.run("versions", "tiny", "--repository", "modles") == Result(
        2, "", "error: Unknown repository 'modles'.\nhint: Did you mean models?\n"
    )
    assert shop.run("versions", "tiny", "--repository", "models").out == "1.0.0\n1.1.0\n"


def test_a_wrong_index_is_overruled_reported_and_rebuilt(shop: Machine) -> None:
    index = json.loads(index_of(shop, "big").read_bytes())
    index["releases"]["1.0.0"]["dependencies"] = {"evil": ""}
    index_of(shop, "big").write_text(json.dumps(index))
    done = shop.run("add", "big")
    assert done.code == 0, done.err
    assert "  + tiny 1.0.0\n" in done.out
    assert "evil" not in done.out + done.err
    assert "warning: The index of big is wrong about big 1.0.0: dependencies. The records of" in done.err
    assert shop.run("repo", "reindex") == Result(
        0,
        "Rebuilt the index of big: 1 release\n"
        "  It was wrong about big 1.0.0: dependencies.\n"
        "Checked the index of tiny: 2 releases\n",
        "",
    )
    assert shop.run("repo", "reindex", "tiny", "--json").envelope["data"]["packages"] == [
        {"name": "tiny", "releases": 2, "differences": []}
    ]


def test_a_password_in_a_project_file_is_warned_about_and_not_shown(machine: Machine, tmp_path: Path) -> None:
    project = machine.folder / "orbit.toml"
    project.write_text("")
    into_project = machine.run("repo", "add", "lab", "https://me:hunter2@example.org/models")
    assert into_project.code == 0
    assert into_project.err.startswith("warning: ")
    assert "contains a password" in " ".join(into_project.err.split())
    assert "hunter2" not in into_project.out + into_project.err
    own = tmp_path / "config.toml"
    address = "https://me:hunter2@example.org/models"
    into_own = machine.run("repo", "add", "lab", address, "--user", ORBITPKG_CONFIG=str(own))
    assert (into_own.code, into_own.err) == (0, "")
    assert "hunter2" not in into_own.out
    assert own.stat().st_mode & 0o777 == 0o600
