"""The table of environment variables: documented, complete, and read in one place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from orbitpkg.config.environment import VARIABLES, is_set, read_variable

ROOT = Path(__file__).parents[3]
# Each reads only what it needs itself: folders of the platform, credentials, the lock timeout, who called sudo, the
# terminal, the shell.
READERS = {
    "config/environment.py",
    "config/home.py",
    "files/reading.py",
    "objects/__init__.py",
    "objects/obstore_clients.py",  # what the libraries read from it: proxies, and SSL_CERT_FILE
    "objects/s3_config.py",
    "store/store.py",
    "cli/terminal.py",
    "cli/program.py",
    "cli/quick.py",
}


def test_every_variable_is_documented_once() -> None:
    rows = [
        name
        for path in sorted((ROOT / "docs").glob("*.md"))
        for name in re.findall(r"^\| `(ORBITPKG_\w+)`", path.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    assert sorted(rows) == sorted(VARIABLES)


def test_every_variable_that_the_code_names_is_in_the_table() -> None:
    shell = {"ORBITPKG_COMPLETE"}
    named = {
        name
        for path in (ROOT / "orbitpkg").rglob("*.py")
        for name in re.findall(r"\bORBITPKG_[A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8"))
    }
    assert named - shell == set(VARIABLES)


def test_the_environment_is_read_in_one_place() -> None:
    readers = {
        path.relative_to(ROOT / "orbitpkg").as_posix()
        for path in (ROOT / "orbitpkg").rglob("*.py")
        if re.search(r"\bos\.(environ|getenv)\b", path.read_text(encoding="utf-8"))
    }
    assert readers <= READERS


@pytest.mark.parametrize(
    ("value", "expected"),
    [("1", True), ("yes", True), ("anything", True), ("0", False), ("False", False), ("no", False), ("", False)],
)
def test_a_switch_is_off_for_no_false_zero_and_nothing(
    monkeypatch: pytest.MonkeyPatch, value: str, *, expected: bool
) -> None:
    monkeypatch.setenv("ORBITPKG_OFFLINE", value)
    assert is_set("ORBITPKG_OFFLINE") is expected


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORBITPKG_HOME", "")
    assert read_variable("ORBITPKG_HOME") is None
