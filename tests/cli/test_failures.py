"""How commands fail: an error and a hint on stderr, nothing on stdout, and an exit code for the kind of failure."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.machine import TOP, Machine, Result, write_package

BREAK = """\
import sys
from orbitpkg.api import packages
from orbitpkg.cli import main

def broken(*words, **options):
    raise ZeroDivisionError("a made-up bug")

packages.packages = broken
sys.exit(main())
"""

NO_SHELL = "Missing argument 'SHELL'. Choose from: bash, zsh, fish."


def test_without_a_command_the_help_goes_to_stderr(machine: Machine) -> None:
    done = machine.run()
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("Usage: orbitpkg [OPTIONS] COMMAND [ARGS]...\n") or done.err.startswith("Usage: ")


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("instal tiny", "error: Unknown command 'instal'.\nhint: Did you mean orbitpkg install?\n"),
        ("frobnicate", "error: Unknown command 'frobnicate'.\nhint: To list the commands: orbitpkg --help\n"),
        ("install", "error: Missing argument 'REQ|ARCHIVE...'.\nhint: For usage: orbitpkg install --help\n"),
        ("uninstall tiny", "error: Unknown command 'uninstall'.\nhint: Did you mean orbitpkg remove?\n"),
        ("repo delete x", "error: Unknown command 'delete'.\nhint: Did you mean orbitpkg repo remove?\n"),
        ("list --online", "error: Unknown option '--online'.\nhint: For usage: orbitpkg list --help\n"),
        ("sync --unlocked", "error: Unknown option '--unlocked'.\nhint: For usage: orbitpkg sync --help\n"),
        ("sync --lock", "error: Unknown option '--lock'.\nhint: Did you mean --locked?\n"),
        ("completion", f"error: {NO_SHELL}\nhint: For usage: orbitpkg completion --help\n"),
        (
            "repo gc --older-than x",
            "error: Invalid value for '--older-than': 'x' is not a number.\nhint: For usage: orbitpkg repo gc --help\n",
        ),
        ("install tiny --app x==", None),
        ("install 1%", None),
        ("path ''", None),
        ("versions tiny --repository s3:/bucket", None),
        ("versions tiny --repository nowhere", None),
        ("completion tcsh", None),
        ("repo nope", None),
    ],
)
def test_wrong_usage_exits_2(words: str, error: str | None, machine: Machine) -> None:
    done = machine.run(*words.split())
    assert (done.code, done.out) == (2, "")
    if error is None:
        assert done.err.startswith("error: ")
        assert "\nhint: " in done.err
    else:
        assert done.err == error


def test_an_unknown_package_suggests_similar_names(furnished: Machine) -> None:
    assert furnished.run("install", "tinny") == Result(
        1, "", f"error: There is no package tinny in {furnished.repository}.\nhint: Did you mean tiny?\n"
    )


def test_a_version_out_of_range_lists_the_available_versions(furnished: Machine) -> None:
    done = furnished.run("install", "tiny>=2")
    assert (done.code, done.out) == (1, "")
    assert "tiny>=2" in done.err
    assert "1.0.0" in done.err


def test_a_missing_file_of_a_package_suggests_a_similar_one(furnished: Machine) -> None:
    assert furnished.run("path", "tiny", "data", "word.txt") == Result(
        1, "", "error: tiny 1.0.0 has no file 'data/word.txt'.\nhint: Did you mean 'data/words.txt'?\n"
    )


def test_different_content_for_a_published_version_is_an_error(furnished: Machine) -> None:
    write_package(furnished.folder / "tiny", files={"model.bin": b"other"})
    done = furnished.run("publish", "tiny")
    assert (done.code, done.out) == (1, "")
    assert done.err.startswith("error: ")
    assert "1.0.1" in done.err


def test_a_missing_repository_is_an_error(machine: Machine) -> None:
    done = machine.run("install", "tiny", "--repository", "./nowhere")
    assert (done.code, done.out) == (1, "")
    assert (machine.folder / "nowhere").as_uri() in done.err


def test_offline_mode_is_named_as_the_reason(machine: Machine) -> None:
    done = machine.run("versions", "tiny", "--offline", "--repository", "https://example.invalid/models")
    assert (done.code, done.out) == (1, "")
    assert "--offline" in done.err


def run_broken(*words: str, machine: Machine, **environment: str) -> Result:
    done = subprocess.run(
        [sys.executable, "-c", BREAK, *words],
        cwd=machine.folder,
        env=machine.environment(**environment),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


def test_a_bug_is_reported_as_one_and_exits_70(machine: Machine) -> None:
    assert run_broken("list", machine=machine) == Result(
        70,
        "",
        "error: This is a bug in orbitpkg: ZeroDivisionError: a made-up bug\n"
        "hint: Run the command again with ORBITPKG_DEBUG=1 and report the bug with the output.\n",
    )


def test_a_bug_shows_its_traceback_on_request(machine: Machine) -> None:
    done = run_broken("list", machine=machine, ORBITPKG_DEBUG="1")
    assert (done.code, done.out) == (70, "")
    assert done.err.startswith("Traceback (most recent call last):\n")
    assert "in broken\n" in done.err


def test_a_bug_has_an_envelope(machine: Machine) -> None:
    done = run_broken("list", "--json", machine=machine)
    error = done.envelope["error"]
    assert (done.code, error["code"], error["data"]) == (70, "bug", {"type": "ZeroDivisionError"})


def test_doctor_exits_1_if_the_repository_cannot_be_read(machine: Machine) -> None:
    (machine.folder / "a file").write_bytes(b"")
    done = machine.run("doctor", (machine.folder / "a file").as_uri())
    assert done.code == 1
    assert done.err.startswith("error: ")


def test_the_tests_import_this_source_tree() -> None:
    import orbitpkg

    assert orbitpkg.__file__ == str(TOP / "orbitpkg" / "__init__.py")
