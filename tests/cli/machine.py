"""A machine that runs orbitpkg: a folder with its own home and working directory."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orbitpkg.cli import main

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ORBITPKG", "Machine", "Result", "write_package"]

TOP = Path(__file__).resolve().parents[2]
ORBITPKG = (sys.executable, "-m", "orbitpkg")
# Settings of the developer who runs the tests must not change the compared output.
FOREIGN = ("ORBITPKG_", "_ORBITPKG", "AWS_", "COLUMNS", "NO_COLOR", "TERM", "PYTHONWARNINGS")


@dataclass(frozen=True, slots=True)
class Result:
    """The exit code and output of a command."""

    code: int
    out: str
    err: str

    @property
    def envelope(self) -> Any:
        """The JSON object that --json printed. It is one line, and the only output."""
        assert self.out.endswith("}\n")
        assert self.out.count("\n") == 1
        return json.loads(self.out)


@dataclass(frozen=True, slots=True)
class Machine:
    """A working directory, and the store inside it."""

    folder: Path

    @property
    def home(self) -> Path:
        """Its ORBITPKG_HOME."""
        return self.folder / "home"

    @property
    def repository(self) -> str:
        """The address of its default repository."""
        return (self.home / "repository").as_uri()

    def environment(self, **more: str) -> dict[str, str]:
        """Return the environment of its processes."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
        return (
            kept
            | {
                "ORBITPKG_HOME": str(self.home),
                "HOME": str(self.folder),
                "PYTHONPATH": os.pathsep.join([str(TOP), os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep),
            }
            | more
        )

    def run(self, *words: str | Path, **environment: str) -> Result:
        """Run a command in a new process without a terminal."""
        done = subprocess.run(
            [*ORBITPKG, *map(str, words)],
            cwd=self.folder,
            env=self.environment(**environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        return Result(done.returncode, done.stdout, done.stderr)

    def succeed(self, *words: str | Path) -> None:
        """Run a command that prepares a test. It runs in this process, which is ten times faster than a new one."""
        environment, folder = dict(os.environ), Path.cwd()
        said = io.StringIO()
        try:
            os.environ.clear()
            os.environ.update(self.environment())
            os.chdir(self.folder)
            with redirect_stdout(said), redirect_stderr(said):
                code = main([str(word) for word in words])
        finally:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environment)
        assert code == 0, said.getvalue()

    def record(self, name: str, version: str) -> tuple[Any, str]:
        """Read the record of a release in the default repository; returns it and its digest."""
        raw = (self.home / "repository" / "releases" / name / f"{version}.json").read_bytes()
        return json.loads(raw), hashlib.sha256(raw).hexdigest()


def write_package(
    folder: Path, name: str = "tiny", version: str = "1.0.0", files: Mapping[str, bytes] | None = None, **more: object
) -> Path:
    """Write a package's directory, by default with two small files."""
    for path, data in (files or {"data/words.txt": b"one\ntwo\n", "model.bin": bytes(1000)}).items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(data)
    manifest = {"name": name, "version": version, "include": ["**"], **more}
    (folder / "package.json").write_text(json.dumps(manifest), encoding="utf-8")
    return folder
