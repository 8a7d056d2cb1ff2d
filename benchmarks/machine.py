"""Describe the machine of a run, and the versions of the software."""

from __future__ import annotations

import datetime as dt
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from importlib import metadata
from pathlib import Path

__all__ = ["ROOT", "describe", "search_path"]

ROOT = Path(__file__).parent.parent
_VERSIONS = {
    "s5cmd": ["s5cmd", "version"],
    "rclone": ["rclone", "version"],
    "restic": ["restic", "version"],
    "desync": ["desync", "--version"],
    "DVC": ["dvc", "--version"],
    "Quilt": ["quilt3", "--version"],
    "tar": ["tar", "--version"],
    "zstd": ["zstd", "--version"],
    "nginx": ["nginx", "-v"],
    "Ceph": ["radosgw", "--version"],
}
_LIBRARIES = ("orbitpkg", "obstore", "boto3", "blake3", "zstandard", "pyfastcdc", "moto")


def search_path() -> str:
    """Return the search path of programs: this Python's, then `.venv-bench`, then the system's."""
    mine = [sysconfig.get_path("scripts"), str(ROOT / ".venv-bench/bin")]
    return os.pathsep.join([*mine, os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def describe() -> dict[str, object]:
    """Return the machine, the date, the command line and the versions."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    commit = _first_line(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
    dirty = _first_line(["git", "-C", str(ROOT), "status", "--porcelain", "--", "orbitpkg"])
    return {
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)),
        "memory": f"{memory / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, {_distribution()}",
        "python": platform.python_version(),
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": f"{commit or 'unknown'}{', with changes' if dirty else ''}",
        "command": " ".join(["python", *sys.orig_argv[1:]]),
        "versions": {**_programs(), **_libraries()},
    }


def _programs() -> dict[str, str]:
    found = {name: _first_line(command) for name, command in _VERSIONS.items()}
    return {name: number for name, line in found.items() if line and (number := _number(line))}


def _libraries() -> dict[str, str]:
    there = {found.metadata["Name"] for found in metadata.distributions()}
    return {name: metadata.version(name) for name in _LIBRARIES if name in there}


def _number(line: str) -> str:
    found = re.search(r"\d+\.\d+[\w.+-]*", line)
    return found[0] if found else ""


def _first_line(command: list[str]) -> str:
    program = shutil.which(command[0], path=search_path())
    if program is None:
        return ""
    run = subprocess.run([program, *command[1:]], check=False, capture_output=True, text=True)
    return (run.stdout or run.stderr).partition("\n")[0].strip()


def _processor() -> str:
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found[1] if found else platform.machine()


def _distribution() -> str:
    try:
        return platform.freedesktop_os_release()["PRETTY_NAME"]
    except OSError:
        return "an unknown distribution"
