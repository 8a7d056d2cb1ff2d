"""Where the processor time of installing and publishing goes: `python -m benchmarks.profile`, with perf and nginx.

Each step runs several times under `perf record`, which looks at all its threads 4,000 times a second. What was looked
at in a library is that library's, what was looked at in the kernel is the system call's that led there. What Python
takes to start, and to import what a step needs, is measured apart: by a package of one byte. Writes PROFILE.md.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.data import make_versions
from benchmarks.machine import describe
from benchmarks.servers import Bucket, object_store, web_server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["main"]

_REPORT = Path(__file__).with_name("PROFILE.md")
_RATE = 4000
_ROUNDS = 5
_LIBRARIES = {
    "backend_c": "zstd",
    "blake3": "BLAKE3",
    "fastcdc": "FastCDC",
    "_obstore": "obstore",
    "libcrypto": "OpenSSL (SHA-256 of signed requests)",
    "libssl": "OpenSSL (SHA-256 of signed requests)",
    "libpython": "Python",
    "python3": "Python",
}
_CALLS = {
    "pwrite64": "kernel: writing files",
    "pwritev": "kernel: writing files",
    "write": "kernel: writing files",
    "pread64": "kernel: reading files",
    "preadv": "kernel: reading files",
    "readv": "kernel: reading files",
    "read": "kernel: reading files",
    "openat": "kernel: opening and finding files",
    "close": "kernel: opening and finding files",
    "newfstatat": "kernel: opening and finding files",
    "statx": "kernel: opening and finding files",
    "sync_file_range": "kernel: syncing files",
    "fsync": "kernel: syncing files",
    "syncfs": "kernel: syncing files",
    "recvfrom": "kernel: network receive",
    "sendto": "kernel: network send",
    "writev": "kernel: network send",
    "futex": "kernel: thread synchronization",
    "epoll_wait": "kernel: thread synchronization",
    "sched_yield": "kernel: thread synchronization",
}
_OTHER_CALL = "kernel: other"
# The function that a system call begins in, or the one that it goes on to at once.
_CALL = re.compile(r"(?:__x64_sys|__do_sys|ksys|do)_(\w+)")


@dataclass
class _Step:
    """A step, sampled in several rounds.

    Attributes:
        name: The name in the report.
        samples: The number of samples of each part, by round.
    """

    name: str
    samples: list[Counter[str]] = field(default_factory=list)

    def add(self, words: Sequence[str], env: Mapping[str, str], folder: Path) -> None:
        """Run a command under perf, and count the samples."""
        data = folder / "perf.data"
        os.sync()
        subprocess.run(
            ["perf", "record", "-q", "-e", "cpu-clock", "-F", str(_RATE), "-g", "-o", str(data), "--", *words],
            env=dict(env), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        script = subprocess.run(
            ["perf", "script", "-i", str(data), "-F", "ip,sym,dso"],
            check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, encoding="utf-8",
        )  # fmt: skip
        self.samples.append(Counter(map(_part, _stacks(script.stdout.splitlines()))))

    def parts(self) -> dict[str, float]:
        """Return the median processor seconds of each part, largest first."""
        names = {name for counted in self.samples for name in counted}
        found = {name: median(counted[name] / _RATE for counted in self.samples) for name in names}
        return dict(sorted(found.items(), key=lambda item: -item[1]))


def _stacks(lines: Iterable[str]) -> Iterator[list[str]]:
    """Yield the call stack of each sample, innermost first. perf prints an empty line after each."""
    stack: list[str] = []
    for line in lines:
        if line.strip():
            stack.append(line.strip())
        elif stack:
            yield stack
            stack = []
    if stack:
        yield stack


def _part(stack: Sequence[str]) -> str:
    """Return the part that a sample belongs to."""
    where = stack[0].rpartition("(")[2].rstrip(")")
    if not where.startswith("[kernel"):
        name = Path(where).name
        return next((part for begin, part in _LIBRARIES.items() if name.startswith(begin)), "C library and others")
    for line in reversed(stack):
        symbol = line.split()[1] if len(line.split()) > 1 else ""
        call = _CALL.fullmatch(symbol)
        if call and call[1] in _CALLS:
            return _CALLS[call[1]]
        if symbol == "asm_exc_page_fault":
            return "kernel: allocating memory"
    return _OTHER_CALL


def _measured(folder: Path, rounds: int) -> list[_Step]:
    """Run all steps in the given number of rounds."""
    first, second = make_versions(folder / "data")
    small = folder / "small"
    small.mkdir()
    (small / "model.bin").write_bytes(b"1")
    (small / "package.json").write_text(json.dumps({"name": "small", "version": "1.0.0", "include": ["*"]}))
    steps = {name: _Step(name) for name in ("cold install", "upgrade", "install of a byte", "publish v2")}
    with web_server(folder, "127.0.0.1") as site:
        place = site.new_folder()
        for tree in (first, second, small):
            _run(["publish", str(tree), "--repository", place.root.as_uri()], _env(folder))
        for _ in range(rounds):
            env = _env(folder)
            steps["install of a byte"].add(_words("install", "small==1.0.0", "--repository", place.url), env, folder)
            steps["cold install"].add(_words("install", "bench==1.0.0", "--repository", place.url), env, folder)
            steps["upgrade"].add(_words("install", "bench==2.0.0", "--repository", place.url), env, folder)
            _empty(Path(env["ORBITPKG_HOME"]))
    for number in range(rounds):
        (folder / f"store{number}").mkdir()
        with object_store(folder / f"store{number}", "127.0.0.1") as server:
            env = {**_env(folder), **server.env()}
            url = f"s3://{Bucket.new(server).name}"
            _run(["publish", str(first), "--repository", url], env)
            steps["publish v2"].add(_words("publish", str(second), "--repository", url), env, folder)
    return list(steps.values())


def _env(folder: Path) -> dict[str, str]:
    home = tempfile.mkdtemp(prefix="home-", dir=folder)
    own = {"ORBITPKG_HOME": home, "ORBITPKG_CONFIG": os.devnull, "HOME": home}
    return {**{name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}, **own}


def _words(*words: str) -> list[str]:
    return [sys.executable, "-m", "orbitpkg", "--quiet", *words]


def _run(words: Sequence[str], env: Mapping[str, str]) -> None:
    subprocess.run(_words(*words), env=dict(env), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)


def _empty(home: Path) -> None:
    """Free the space but keep the files. See workplaces.py for the reason."""
    for path in home.rglob("*.bin"):
        path.chmod(0o600)
        os.truncate(path, 0)


def _report(steps: Sequence[_Step], rounds: int) -> str:
    run = describe()
    lines = [
        "# Where the processor time goes", "",
        "Written by a run of [profile.py](profile.py); [README.md](README.md) draws the conclusions.", "",
        f"- {run['date']}, commit {run['commit']}, `{run['command']}`",
        f"- {run['processor']}, {run['cores']} cores, {run['memory']}; {run['system']}; Python {run['python']}",
        f"- {rounds} rounds, medians, under `perf record`, which takes a little time itself", "",
    ]  # fmt: skip
    for step in steps:
        parts = step.parts()
        total = median(sum(counted.values()) / _RATE for counted in step.samples)
        lines += [
            f"## {step.name[0].upper()}{step.name[1:]}", "",
            f"{total:.2f} s of processor time.", "",
            "| part | seconds | of all |", "| --- | --: | --: |",
            *(f"| {name} | {seconds:.3f} | {seconds / total:.0%} |" for name, seconds in parts.items()),
            "",
        ]  # fmt: skip
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the report."""
    parser = argparse.ArgumentParser(prog="profile.py", description=__doc__)
    parser.add_argument("--rounds", type=int, default=_ROUNDS)
    parser.add_argument("--output", type=Path, default=_REPORT)
    options = parser.parse_args()
    if shutil.which("perf") is None:
        print("No profile: perf is not installed; to get it: apt-get install linux-perf", file=sys.stderr)
        return
    folder = Path(tempfile.mkdtemp(prefix="orbitpkg-profile-"))
    try:
        options.output.write_text(_report(_measured(folder, options.rounds), options.rounds))
    finally:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
