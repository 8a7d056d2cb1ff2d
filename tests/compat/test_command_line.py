"""``python -m orbitpkg.compat.sputnik``: Sputnik's commands and options, and its error messages."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from orbitpkg.compat.sputnik.__main__ import main
from tests.compat.make_archives import write
from tests.compat.old_format import old_archive

TOP = Path(__file__).parents[2]


@dataclass(frozen=True)
class Result:
    """The result of a command."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Terminal:
    """A folder to run commands in."""

    folder: Path

    def run(self, *words: str) -> Result:
        """Run a command with packages in the folder `data` and a repository in the folder `repository`."""
        done = subprocess.run(
            [sys.executable, "-m", "orbitpkg.compat.sputnik", *words],
            cwd=self.folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(TOP),
                "HOME": str(self.folder),
                "ORBITPKG_HOME": str(self.folder / "home"),
                "PYTHONWARNINGS": "error",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return Result(done.returncode, done.stdout, done.stderr)

    def told(self, *words: str) -> Any:
        """Run a command that must succeed, and parse the JSON it prints."""
        done = self.run("--data-path", "data", "--repository-url", "./repository", *words)
        assert (done.code, done.err) == (0, "")
        return json.loads(done.out) if done.out.startswith(("[", "{")) else done.out


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    write("test", tmp_path / "sample")
    return Terminal(tmp_path)


def test_every_command_of_sputnik_works(terminal: Terminal) -> None:
    assert terminal.told("build", "sample") == "sample/test-1.0.0.sputnik\n"
    assert terminal.told("upload", "sample/test-1.0.0.sputnik") == ""
    assert terminal.told("search") == ["test-1.0.0"]
    assert terminal.told("update") == ""
    assert terminal.told("find", "--cache") == [{"name": "test", "version": "1.0.0"}]
    assert terminal.told("find") == []
    path = Path(terminal.told("--name", "test", "--version", "1.0.0", "install", "test ==1.0.0").strip())
    assert (path / "data" / "xyz.json").is_file()
    assert terminal.told("find", "test") == [{"name": "test", "version": "1.0.0"}]
    assert terminal.told("find", "--meta") == [
        {
            "name": "test",
            "version": "1.0.0",
            "description": "test package",
            "license": "public domain",
            "compatibility": {"test": None},
        }
    ]
    files = terminal.told("files", "test")["test"]
    assert {path: row["size"] for path, row in files.items()} == {
        "data/empty": 0,
        "data/xyz.json": 14,
        "data/xyz.model": 1024,
    }
    assert terminal.told("files", "sample/test-1.0.0.sputnik") == {"sample/test-1.0.0.sputnik": files}
    assert terminal.told("remove", "test") == ""
    assert terminal.told("install", "sample/test-1.0.0.sputnik") == f"{path}\n"
    assert terminal.told("purge", "--cache") == ""
    assert terminal.told("find", "--cache") == []
    assert terminal.told("purge", "--pool") == ""
    assert terminal.told("find") == []
    assert terminal.told("--log-level", "DEBUG", "purge") == ""


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["install", "unknown"], 1, "There is no package unknown"),
        (["install", "nothing/here"], 1, "The archive nothing/here does not exist"),
        (["install", "damaged.sputnik"], 1, "damaged.sputnik"),
        (["install", "test >>1"], 2, "'>1' is not a valid version"),
        (["--name", "test", "--version", "new", "install", "test"], 2, "Invalid version of test: 'new'"),
        (["--name", "x", "--version", "1", "install", "picky.sputnik"], 1, "does not work with x 1"),
        (["remove", "Typo"], 1, "'Typo' matches no package"),
        (["files", "unknown"], 1, "unknown is not installed"),
        (["files", "nothing.sputnik"], 1, "nothing.sputnik"),
        (["build", "nowhere"], 1, "nowhere"),
        (["build", "damaged.sputnik"], 1, "damaged.sputnik"),
        (["upload", "nowhere"], 1, "nowhere"),
        (["--repository-url", "nonsense", "search"], 2, "nonsense"),
        (["--repository-url", "https://127.0.0.1:1", "search"], 1, "127.0.0.1:1"),
        (["--data-path", "damaged.sputnik", "install", "picky.sputnik"], 1, "damaged.sputnik"),
        ([], 2, "COMMAND"),
        (["frobnicate"], 2, "frobnicate"),
        (["--log-level", "loud", "find"], 2, "loud"),
    ],
)
def test_a_failure_is_reported_with_its_exit_code(  # noqa: PLR0917
    terminal: Terminal,
    words: list[str],
    code: int,
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(terminal.folder)
    monkeypatch.setenv("ORBITPKG_HOME", str(terminal.folder / "home"))
    (terminal.folder / "damaged.sputnik").write_bytes(b"x" * 2000)
    (terminal.folder / "repository").mkdir()
    old_archive(terminal.folder / "picky.sputnik", compatibility={"x": ">=2"})
    try:
        exit_code: object = main(["--data-path", "data", "--repository-url", "./repository", *words])
    except SystemExit as wrong:  # argparse's
        exit_code = wrong.code
    assert exit_code == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert message in printed.err


def test_purge_requires_a_data_path_for_the_shared_store(terminal: Terminal) -> None:
    assert terminal.run("build", "sample").code == 0
    assert terminal.run("install", "sample/test-1.0.0.sputnik").code == 0
    done = terminal.run("purge")
    assert (done.code, done.out) == (2, "")
    assert "hint: To remove them, give the data path" in done.err
    assert json.loads(terminal.run("find").out) == [{"name": "test", "version": "1.0.0"}]
