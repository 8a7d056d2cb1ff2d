"""The real Sputnik 0.9.3, installed from the package index into one separate environment for each test run."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.servers.processes import ServerMissing

__all__ = ["archives_of", "sputnik_python"]

VERSION = "0.9.3"
# The Python version: Sputnik relies on guesses of gzip that newer versions do not make.
NEWEST = (3, 11)
INSTALL_SECONDS = 90
HERE = Path(__file__).parent


def sputnik_python(shared: Path) -> Path:
    """Return an interpreter with Sputnik; the first call of a run creates it.

    Raises:
        ServerMissing: The package index cannot be reached.
    """
    folder = shared / "sputnik"
    python = folder / "bin" / "python"
    with (shared / "sputnik.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "done").exists():
            subprocess.run([_interpreter(), "-m", "venv", "--without-pip", folder], check=True, capture_output=True)
            _install(python)
            (folder / "done").touch()
    return python


def _interpreter() -> str:
    if sys.version_info[:2] <= NEWEST:
        return sys.executable
    found = shutil.which("python{}.{}".format(*NEWEST))
    if found is None:
        raise ServerMissing("sputnik {} needs Python {}.{} or older".format(VERSION, *NEWEST))
    return found


def _install(python: Path) -> None:
    # The pip of this environment, with whatever index it is configured for.
    words = ["install", "--quiet", "--disable-pip-version-check", f"sputnik=={VERSION}"]
    pip: list[str | Path] = [sys.executable, "-m", "pip", "--python", python, *words]
    try:
        done = subprocess.run(pip, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise ServerMissing(f"sputnik {VERSION} did not come from the package index in {INSTALL_SECONDS} s") from error
    if done.returncode:
        raise ServerMissing(f"sputnik {VERSION} cannot be had from the package index:\n{done.stderr[-2000:]}")


def archives_of(python: Path, target: Path) -> Path:
    """Build and install the packages of `make_archives.py` with Sputnik; return the folder."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    subprocess.run([python, HERE / "make_archives.py", target], check=True, capture_output=True, env=environment)
    return target
