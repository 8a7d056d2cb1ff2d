"""``path`` and ``install`` with click and without it: the same output, the same exit code, for any arguments."""

from __future__ import annotations

import io
import os
from contextlib import chdir, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orbitpkg.cli import quick
from orbitpkg.cli.program import run
from orbitpkg.errors import UsageError
from orbitpkg.installer import policy
from tests.cli.machine import Machine, Result, write_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from orbitpkg.installer.policy import Candidate, Policy

WORDS = st.sampled_from(
    [
        "tiny",
        "tiny==1.0.0",
        "Tiny==1.0.0",
        "tiny>=1",
        "tiny==9.9.9",
        "tiny==1.1.0-rc.1",
        "big==2.0.0",
        "needy==1.0.0",
        "nope",
        "nope==1.0.0",
        "model.bin",
        "data",
        "words.txt",
        "data/words.txt",
        "..",
        "tiny.tar.zst",
        "a=b",
        "-",
        "--",
        "-q",
        "-qq",
        "--quiet",
        "--json",
        "--pre",
        "--offline",
        "--dry-run",
        "--only",
        "*.bin",
        "-r",
        "--repository",
        "--nope",
        "--help",
        "-h",
        "file:///nowhere",
        "./nowhere",
        "DEFAULT",
        "",
    ]
)
ARGUMENTS = st.tuples(st.sampled_from(["path", "install"]), st.lists(WORDS, max_size=4))


@pytest.fixture(scope="module")
def stocked(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    """A machine with four releases installed, one of which depends on another, and one in part."""
    machine = Machine(tmp_path_factory.mktemp("quick"))
    for name, version in [("tiny", "1.0.0"), ("tiny", "1.1.0-rc.1"), ("big", "2.0.0")]:
        machine.succeed("publish", write_package(machine.folder / name / version, name, version))
    machine.succeed("publish", write_package(machine.folder / "needy", "needy", dependencies={"tiny": ">=1"}))
    machine.succeed("install", "tiny==1.0.0", "needy==1.0.0")
    machine.succeed("install", "tiny==1.1.0-rc.1")
    machine.succeed("install", "big==2.0.0", "--only", "*.bin")
    return machine


@pytest.fixture(autouse=True)
def environment(stocked: Machine) -> Iterator[None]:
    """Run each test in the machine's environment and folder."""
    kept = dict(os.environ)
    os.environ.clear()
    os.environ.update(stocked.environment())
    with chdir(stocked.folder):
        yield
    os.environ.clear()
    os.environ.update(kept)


def with_click(words: Sequence[str]) -> Result:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = run(words)
    return Result(code, out.getvalue(), err.getvalue())


def without_click(words: Sequence[str]) -> Result | None:
    """Run a command without click; None when it is left to click."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        answered = quick.answer(words)
    assert answered or (out.getvalue(), err.getvalue()) == ("", "")
    return Result(0, out.getvalue(), err.getvalue()) if answered else None


def assert_same(words: Sequence[str]) -> None:
    quickly = without_click(words)
    assert quickly is None or quickly == with_click(words)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ARGUMENTS)
def test_both_ways_print_the_same(stocked: Machine, arguments: tuple[str, list[str]]) -> None:
    command, words = arguments
    assert_same([command, *(stocked.repository if word == "DEFAULT" else word for word in words)])


@pytest.mark.parametrize(
    "words",
    [
        ["path", "tiny"],
        ["path", "Tiny", "model.bin"],
        ["path", "tiny==1.0.0", "data", "words.txt", "-q"],
        ["path", "--pre", "tiny", "data"],
        ["install", "tiny==1.0.0"],
        ["install", "tiny==1.1.0-rc.1", "--quiet"],
        ["install", "tiny==1.0.0", "-r", "DEFAULT"],
    ],
    ids=" ".join,
)
def test_plain_forms_are_answered_without_click(words: list[str], stocked: Machine) -> None:
    words = [stocked.repository if word == "DEFAULT" else word for word in words]
    assert without_click(words) is not None
    assert_same(words)


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("ORBITPKG_FORBID", "pickle"),
        ("ORBITPKG_REPOSITORY", "file:///nowhere"),
        ("ORBITPKG_REPOSITORY", "somewhere"),
        ("_ORBITPKG_COMPLETE", "bash_source"),
    ],
)
def test_environment_variables_of_options_are_left_to_click(variable: str, value: str) -> None:
    os.environ[variable] = value
    assert without_click(["install", "tiny==1.0.0"]) is None


def test_the_origin_counts_when_the_environment_names_a_repository(stocked: Machine) -> None:
    os.environ["ORBITPKG_REPOSITORY"] = stocked.repository
    assert without_click(["install", "tiny==1.0.0"]) is not None


@pytest.mark.parametrize(
    ("name", "text", "counts"),
    [
        ("orbit.toml", "", True),
        ("pyproject.toml", "[tool.orbitpkg]\nforbid = ['pickle']\n", True),
        ("pyproject.toml", "[ tool . 'orbitpkg' ]\n", True),
        ("pyproject.toml", "[tool]\norbitpkg = {}\n", True),
        ("pyproject.toml", "tool = {orbitpkg = {}}\n", True),
        ("pyproject.toml", "['\\u0074ool'.orbitpkg]\n", True),
        ("pyproject.toml", "[project]\ndependencies = ['orbitpkg']\n[tool.ruff]\n", False),
        ("pyproject.toml", "[tool.ruff]\n", False),
    ],
)
def test_settings_are_left_to_click(name: str, text: str, counts: bool, stocked: Machine) -> None:
    settings_file = stocked.folder / name
    settings_file.write_text(text)
    try:
        assert (without_click(["install", "tiny==1.0.0"]) is None) == counts
    finally:
        settings_file.unlink()


def test_the_users_configuration_is_left_to_click(tmp_path: Path) -> None:
    configuration = tmp_path / "config.toml"
    configuration.write_text("forbid = ['pickle']\n")
    os.environ["ORBITPKG_CONFIG"] = str(configuration)
    assert without_click(["install", "tiny==1.0.0"]) is None


@pytest.mark.parametrize("damage", [b"", b"{}", b" ", b'"files":0,'])
def test_a_damaged_record_is_left_to_click(damage: bytes, stocked: Machine) -> None:
    record = stocked.home / "store/v1/packages/tiny/1.0.0/release.json"
    whole = record.read_bytes()
    record.chmod(0o644)
    record.write_bytes(damage + whole if damage.strip() != b"" else whole.replace(b'"files":', b'"files":-'))
    try:
        assert without_click(["install", "tiny==1.0.0"]) is None
    finally:
        record.write_bytes(whole)


def test_every_check_before_an_install_runs_without_click_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(used: Policy, candidate: Candidate) -> None:
        raise UsageError(f"{candidate} is refused.")

    monkeypatch.setattr(policy, "CHECKS", (*policy.CHECKS, refuse))
    assert without_click(["install", "tiny==1.0.0"]) is None
