"""Measure the start-up time of commands and calls that apps and scripts use often."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from typing import TYPE_CHECKING

from benchmarks.machine import search_path
from benchmarks.workplaces import workplace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from benchmarks.records import Records

__all__ = ["measure_startup"]

ROUNDS = 20
_BARE = "python -c pass"
_FIRST_PATH = "import orbitpkg; orbitpkg.package('start').file_path('model', 'weights.bin')"
# (what, command, what is taken off, bound in milliseconds)
_COMMANDS = (
    (_BARE, ["python3", "-c", "pass"], False, None),
    ("orbitpkg --version", ["orbitpkg", "--version"], False, 60),
    ("orbitpkg install NAME==VERSION, installed", ["orbitpkg", "install", "-q", "start==1.0.0"], False, 100),
    ("orbitpkg path NAME model/weights.bin", ["orbitpkg", "path", "start", "model/weights.bin"], False, None),
    ("import orbitpkg, over bare Python", ["python3", "-c", "import orbitpkg"], True, 15),
    ("import orbitpkg and a first file_path(), over bare Python", ["python3", "-c", _FIRST_PATH], True, 30),
)
_CALLS = f"""
import time
{_FIRST_PATH}
start = time.perf_counter()
for _ in range(100):
    package = orbitpkg.package("start")
middle = time.perf_counter()
for _ in range(1000):
    package.file_path("model", "weights.bin")
print((middle - start) / 100 * 1e6, (time.perf_counter() - middle) / 1000 * 1e6)
"""


def measure_startup(records: Records, folder: Path) -> None:
    """Measure all commands in turn, and record the medians."""
    with workplace(folder) as work:
        env = _installed(work)
        times: dict[str, list[float]] = {what: [] for what, *_ in _COMMANDS}
        calls: list[tuple[float, float]] = []
        for _ in range(ROUNDS):
            for what, command, *_ in _COMMANDS:
                times[what].append(_milliseconds(command, env))
            printed = subprocess.run(["python3", "-c", _CALLS], check=True, env=env, capture_output=True, text=True)
            again, path = map(float, printed.stdout.split())
            calls.append((again, path))
    for what, _, over_bare, bound in _COMMANDS:
        bare = times[_BARE] if over_bare else [0.0] * ROUNDS
        _write(records, what, [a - b for a, b in zip(times[what], bare, strict=True)], bound=bound, unit="ms")
    bare_ms = statistics.median(times[_BARE])
    for what, command, *_ in _COMMANDS:
        if command[:2] in (["orbitpkg", "path"], ["orbitpkg", "install"]):
            _write(records, f"{what}, by bare Python", [t / bare_ms for t in times[what]], bound=2.5, unit="times")
    _write(records, "a second package()", [again for again, _ in calls], bound=300, unit="µs")
    _write(records, "file_path()", [path for _, path in calls], bound=10, unit="µs")


def _write(records: Records, what: str, values: list[float], *, bound: float | None, unit: str) -> None:
    value = statistics.median(values)
    records.say(f"  {what}: {value:.1f} {unit}")
    records.add("start", what=what, value=value, least=min(values), bound=bound, unit=unit)


def _milliseconds(command: list[str], env: Mapping[str, str]) -> float:
    start = time.perf_counter()
    subprocess.run(command, check=True, env=env, stdout=subprocess.DEVNULL)
    return (time.perf_counter() - start) * 1000


def _installed(work: Path) -> dict[str, str]:
    """Install a small package from a directory. Return the environment to use it."""
    package = work / "package"
    (package / "model").mkdir(parents=True)
    (package / "package.json").write_text('{"name": "start", "version": "1.0.0", "include": ["**"]}')
    (package / "model/weights.bin").write_bytes(os.urandom(1 << 20))
    env = {
        "PATH": search_path(),
        "HOME": str(work),
        "LANG": "C.UTF-8",
        "ORBITPKG_HOME": str(work / "home"),
        "ORBITPKG_REPOSITORY": (work / "repository").as_uri(),
    }
    for command in (["publish", "-q", str(package)], ["install", "-q", "start"]):
        subprocess.run(["orbitpkg", *command], check=True, env={**os.environ, **env}, stdout=sys.stderr)
    return env
