"""The exact output of ``why``, ``why-not`` and a failed ``install``, and which apps these check."""

from __future__ import annotations

import os
import sys
import venv
from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import Machine, Result, write_package

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


@pytest.fixture
def stocked(machine: Machine) -> Machine:
    """A machine whose repository contains packages that depend on each other. Nothing is installed."""
    publish(machine, "tokenizer", "1.0.0")
    publish(machine, "tokenizer", "2.0.0")
    publish(machine, "tokenizer", "3.0.0-rc.1")
    publish(
        machine,
        "classifier",
        "1.0.0",
        dependencies={"tokenizer": ">=2"},
        compatibility={"my_library": ">=1,<2"},
    )
    publish(machine, "bundle", "1.0.0", dependencies={"classifier": "*"})
    return machine


def publish(machine: Machine, name: str, version: str, **more: Mapping[str, str]) -> None:
    write_package(machine.folder / f"{name}-{version}", name, version, None, **more)
    machine.succeed("publish", f"{name}-{version}")


def test_a_conflict_names_the_fewest_requirements_and_their_dependencies(stocked: Machine) -> None:
    assert stocked.run("install", "tokenizer==2.0.0", "bundle", "tokenizer<2") == Result(
        1,
        "",
        "error: No set of releases satisfies both tokenizer==2.0.0 and tokenizer<2. "
        "Available versions of tokenizer: 1.0.0, 2.0.0 and 3.0.0-rc.1.\n"
        "hint: Change tokenizer==2.0.0 to allow tokenizer 1.0.0. "
        "Or change tokenizer<2 to allow tokenizer 2.0.0.\n",
    )
    assert stocked.run("install", "bundle", "tokenizer<2") == Result(
        1,
        "",
        "error: No set of releases satisfies both bundle and tokenizer<2:\n"
        "    bundle 1.0.0 depends on classifier\n"
        "    classifier 1.0.0 depends on tokenizer>=2\n"
        "hint: Change tokenizer<2 to allow tokenizer 2.0.0.\n",
    )


def test_an_app_that_excludes_everything_is_named(stocked: Machine) -> None:
    assert stocked.run("install", "bundle", "--app", "my_library==2.0") == Result(
        1,
        "",
        "error: No release satisfies bundle:\n"
        "    bundle 1.0.0 depends on classifier\n"
        "    classifier 1.0.0 does not work with my_library 2.0 (works with my_library>=1,<2)\n"
        "hint: Require another range, or use a version of the app that one of these versions supports.\n",
    )


def test_json_contains_the_data_of_a_conflict(stocked: Machine) -> None:
    done = stocked.run("install", "bundle", "tokenizer<2", "--json")
    assert done.envelope["error"]["data"] == {
        "requirements": ["bundle", "tokenizer<2"],
        "because": ["bundle 1.0.0 depends on classifier", "classifier 1.0.0 depends on tokenizer>=2"],
    }


def test_a_yanked_release_is_reported_with_its_reason_and_how_to_install_it(stocked: Machine) -> None:
    stocked.succeed("yank", "tokenizer==2.0.0", "--reason", "wrong vocabulary")
    assert stocked.run("install", "tokenizer>=2") == Result(
        1,
        "",
        "error: No release satisfies tokenizer>=2:\n"
        "    tokenizer 3.0.0-rc.1 is a pre-release\n"
        "    tokenizer 2.0.0 was yanked: wrong vocabulary\n"
        "hint: Allow pre-releases (--pre) to get tokenizer 3.0.0-rc.1. "
        "tokenizer 2.0.0 was yanked (wrong vocabulary). To install it anyway, request tokenizer==2.0.0.\n",
    )


def test_why_not_notes_that_a_release_is_yanked(stocked: Machine) -> None:
    stocked.succeed("yank", "tokenizer==2.0.0", "--reason", "wrong vocabulary")
    assert stocked.run("why-not", "tokenizer==2.0.0") == Result(
        0,
        "tokenizer==2.0.0 can be installed:\n  tokenizer 2.0.0\n",
        "warning: tokenizer 2.0.0 is yanked: wrong vocabulary.\n",
    )
    assert stocked.run("why-not", "tokenizer==2.0.0", "--json").envelope["data"]["warnings"] == [
        "tokenizer 2.0.0 is yanked: wrong vocabulary."
    ]


def test_why_is_wrapped_in_a_narrow_terminal(stocked: Machine) -> None:
    stocked.succeed("install", "bundle")
    assert stocked.run("why", "tokenizer", COLUMNS="40").out == (
        "tokenizer 2.0.0\n  bundle 1.0.0 needs classifier,\n    classifier 1.0.0 needs tokenizer>=2\n"
    )


def test_why_starts_at_a_package_that_no_other_needs(stocked: Machine) -> None:
    stocked.succeed("install", "bundle")
    assert stocked.run("why", "tokenizer") == Result(
        0, "tokenizer 2.0.0\n  bundle 1.0.0 needs classifier, classifier 1.0.0 needs tokenizer>=2\n", ""
    )
    assert stocked.run("why", "bundle") == Result(0, "bundle 1.0.0\n  no installed package needs it\n", "")


def test_why_lists_every_installed_version(stocked: Machine) -> None:
    stocked.succeed("install", "bundle")
    stocked.succeed("install", "tokenizer==1.0.0")
    done = stocked.run("why", "Tokenizer")
    assert done.out.splitlines()[0] == "Tokenizer 1.0.0, 2.0.0"


def test_why_reports_a_missing_dependency(stocked: Machine) -> None:
    stocked.succeed("install", "bundle")
    stocked.succeed("remove", "tokenizer")
    assert stocked.run("why", "tokenizer").out.splitlines()[0] == "tokenizer (not installed)"


def test_why_suggests_a_name_for_an_unknown_package(stocked: Machine) -> None:
    stocked.succeed("install", "bundle")
    assert stocked.run("why", "tokeniser") == Result(
        1,
        "",
        f"error: tokeniser is not installed in {stocked.home}, and nothing there needs it.\n"
        "hint: Did you mean tokenizer?\n",
    )


def test_why_reads_the_lockfile_of_a_project(stocked: Machine) -> None:
    stocked.succeed("add", "bundle")
    assert stocked.run("why", "tokenizer") == Result(
        0,
        "tokenizer 2.0.0\n"
        "  the project requires bundle, bundle 1.0.0 needs classifier, classifier 1.0.0 needs tokenizer>=2\n",
        "",
    )
    assert stocked.run("why", "bundle").out == "bundle 1.0.0\n  the project requires bundle\n"
    assert stocked.run("why", "classifier", "--json").envelope["data"] == {
        "name": "classifier",
        "versions": ["1.0.0"],
        "lock": str(stocked.folder / "orbit.lock"),
        "chains": [{"asked": "bundle", "links": [{"release": "bundle==1.0.0", "needs": "classifier"}]}],
    }
    (stocked.folder / "orbit.toml").write_text("requirements = []\n")
    assert stocked.run("why", "classifier").out == (
        "classifier 1.0.0\n  no longer required by the project, bundle 1.0.0 needs classifier\n"
    )


def test_why_not_resolves_a_requirement_together_with_others(stocked: Machine) -> None:
    assert stocked.run("why-not", "tokenizer<2", "bundle") == Result(
        0,
        "No set of releases satisfies both tokenizer<2 and bundle:\n"
        "  bundle 1.0.0 depends on classifier\n"
        "  classifier 1.0.0 depends on tokenizer>=2\n"
        "Change tokenizer<2 to allow tokenizer 2.0.0.\n",
        "",
    )
    assert stocked.run("why-not", "bundle", "tokenizer>=2") == Result(
        0,
        "bundle can be installed:\n  bundle 1.0.0\n  classifier 1.0.0\n  tokenizer 2.0.0\n",
        "",
    )


def test_why_not_succeeds_for_an_unknown_package(stocked: Machine) -> None:
    done = stocked.run("why-not", "tokenizr", "--json")
    assert done.code == 0
    data = done.envelope["data"]
    assert (data["fits"], data["code"]) == (False, "package-not-found")
    assert data["message"] == f"There is no package tokenizr in {stocked.repository}."
    assert data["hint"] == "Did you mean tokenizer?"


def test_why_not_names_the_requirements_of_the_project(stocked: Machine) -> None:
    stocked.succeed("add", "bundle")
    before = (stocked.folder / "orbit.lock").read_bytes()
    assert stocked.run("why-not", "tokenizer==1.0.0").out == (
        "No set of releases satisfies both bundle and tokenizer==1.0.0:\n"
        "  bundle 1.0.0 depends on classifier\n"
        "  classifier 1.0.0 depends on tokenizer>=2\n"
        "  orbit.toml requires bundle\n"
        "Change tokenizer==1.0.0 to allow tokenizer 2.0.0.\n"
    )
    assert (stocked.folder / "orbit.lock").read_bytes() == before


def test_why_not_takes_apps_and_prereleases(stocked: Machine) -> None:
    done = stocked.run("why-not", "bundle", "--app", "my_library==1.5", "--pre")
    assert done.out.endswith("  tokenizer 3.0.0-rc.1\n")
    assert stocked.run("why-not", "bundle", "--app", "my_library==2", "--json").envelope["data"]["fits"] is False


def environment_with(folder: Path, name: str, version: str) -> Path:
    """Create a virtual environment with the metadata of a distribution."""
    venv.create(folder, with_pip=False, symlinks=True)
    site = folder / "lib" / f"python{sys.version_info.major}.{sys.version_info.minor}" / "site-packages"
    facts = site / f"{name}-{version}.dist-info"
    facts.mkdir()
    (facts / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
    return folder


@pytest.mark.parametrize("place", ["", "bin/python"])
def test_the_given_interpreter_lists_the_installed_apps(stocked: Machine, place: str) -> None:
    old = environment_with(stocked.folder / "old", "My_Library", "1.4")
    new = environment_with(stocked.folder / "new", "My_Library", "2.0")
    assert stocked.run("install", "bundle", "--python", new / place).code == 1
    done = stocked.run("install", "bundle", "--python", old / place)
    assert (done.code, done.err) == (0, "")
    assert stocked.run("lock", "--python", new / place).code == 1  # the project does not exist yet
    stocked.succeed("add", "bundle", "--python", old / place)
    assert stocked.run("lock", "--upgrade", "--python", new / place).code == 1
    assert stocked.run("why-not", "bundle", "--python", new / place, "--json").envelope["data"]["fits"] is False


def test_a_given_app_overrides_an_installed_one(stocked: Machine) -> None:
    new = environment_with(stocked.folder / "new", "my-library", "2.0")
    assert stocked.run("install", "bundle", "--python", new, "--app", "my.library==1.0").code == 0


def test_an_app_without_a_version_is_looked_up(stocked: Machine) -> None:
    done = stocked.run("install", "bundle", "--app", "my_library")
    assert done.err == (
        "note: Did not check whether classifier works with my_library: its version is unknown. "
        "To check, pass --app my_library==VERSION.\n"
    )
    new = environment_with(stocked.folder / "new", "my_library", "2.0")
    assert stocked.run("install", "bundle", "--app", "my_library", "--python", new).code == 1


@pytest.mark.parametrize("word", ["my library", "my_library=1.0", "my_library==", "my_library==one", "==1.0", ""])
def test_an_invalid_app_is_an_error(machine: Machine, word: str) -> None:
    assert machine.run("install", "bundle", "--app", word) == Result(
        2,
        "",
        f"error: Invalid app {word!r}: expected NAME==VERSION or NAME.\n"
        "hint: Write NAME==VERSION, such as my_library==1.0.0, or the bare name of an installed app.\n",
    )


HINT = "hint: Give --python the path of a Python 3.8 or newer, or the directory of a virtual environment.\n"


def script(folder: Path, text: str) -> Path:
    path = folder / "python"
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo no such module >&2; exit 3", "it ended with exit code 3: no such module"),
        ("exit 1", "it ended with exit code 1"),
        ("echo hello", "its answer is not that of a Python interpreter"),
        ("echo; echo 'orbitpkg:[1]'", "its answer is not that of a Python interpreter"),
        ("echo; echo 'orbitpkg:{'", "its answer is not that of a Python interpreter"),
    ],
)
def test_a_program_that_is_not_an_interpreter_is_an_error(machine: Machine, text: str, reason: str) -> None:
    path = script(machine.folder, text)
    done = machine.run("install", "bundle", "--python", path)
    assert done == Result(2, "", f"error: Cannot list the distributions of the interpreter {path}: {reason}.\n{HINT}")


@pytest.mark.parametrize(
    ("word", "reason"),
    [
        ("nowhere/python", "No such file or directory"),
        ("no-such-python", "the program was not found"),
        (".", "the directory contains no interpreter"),
        ("plain", "Permission denied"),
    ],
)
def test_a_missing_interpreter_is_an_error(machine: Machine, word: str, reason: str) -> None:
    (machine.folder / "plain").write_text("text")
    if word == "plain" and os.access(machine.folder / "plain", os.X_OK):
        pytest.skip("every file can be executed by this user on this file system: run as another user")
    path = "./plain" if word == "plain" else word
    done = machine.run("install", "bundle", "--python", path)
    assert done == Result(2, "", f"error: Cannot list the distributions of the interpreter {word}: {reason}.\n{HINT}")


def test_an_interpreter_is_found_on_the_path(stocked: Machine) -> None:
    old = environment_with(stocked.folder / "old", "my_library", "1.4")
    path = os.pathsep.join([str(old / "bin"), os.environ["PATH"]])
    done = stocked.run("install", "bundle", "--python", "python", PATH=path)
    assert (done.code, done.err) == (0, "")


def test_output_of_an_interpreters_startup_files_is_ignored(stocked: Machine) -> None:
    old = environment_with(stocked.folder / "old", "my_library", "1.4")
    (next(old.glob("lib/*/site-packages")) / "noise.pth").write_text("import sys; print('orbitpkg:hello')\n")
    done = stocked.run("install", "bundle", "--python", old)
    assert (done.code, done.err) == (0, "")
