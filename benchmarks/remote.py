"""Measure how fast objects are opened and listed, compared with s5cmd: `python -m benchmarks.remote`.

    python -m benchmarks.remote                                   # 1 GiB, 10,000 objects, 5 rounds; 3 minutes
    python -m benchmarks.remote --mebibytes 64 --objects 500 --rounds 2 --output /tmp/remote.md

The server is Ceph, or moto if Ceph is not installed. The tools take turns within a round, each ratio is computed within
a round, and each step is a separate process, including imports. Warm opens are timed within one process. A proxy counts
their requests in a separate, untimed run. The results go to REMOTE.md.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine import describe, search_path
from benchmarks.servers import object_store
from tests.servers.interposed import interposed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from tests.servers.interposed import Answer, Request
    from tests.servers.processes import S3Server

__all__ = ["main"]

_OPENING = "import sys; from orbitpkg import remote; remote.local_path(sys.argv[1])"
_WARM = """
import sys, time
from orbitpkg import remote
remote.local_path(sys.argv[1])
for options in ({}, {"max_age": 3600}):
    times = []
    for _ in range(int(sys.argv[2])):
        begin = time.perf_counter()
        remote.local_path(sys.argv[1], **options)
        times.append(time.perf_counter() - begin)
    print(sorted(times)[len(times) // 2])
"""
_OURS, _PEER = "orbitpkg", "s5cmd"


@dataclass
class _Table:
    """Wall-clock and processor seconds by step, tool and round."""

    wall: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    processor: dict[tuple[str, str], list[float]] = field(default_factory=dict)

    def add(self, step: str, tool: str, command: Sequence[str], env: Mapping[str, str]) -> None:
        before, begin = os.times(), time.perf_counter()
        subprocess.run(command, env=dict(env), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        self.wall.setdefault((step, tool), []).append(time.perf_counter() - begin)
        after = os.times()
        used = after.children_user + after.children_system - before.children_user - before.children_system
        self.processor.setdefault((step, tool), []).append(used)

    def rows(self) -> list[str]:
        steps = dict.fromkeys(step for step, _ in self.wall)
        rows = ["| step | orbitpkg | s5cmd | of s5cmd's time | processor | s5cmd's |", "|---|---|---|---|---|---|"]
        for step in steps:
            ours, peers = self.wall[step, _OURS], self.wall[step, _PEER]
            ratio = median(mine / theirs for mine, theirs in zip(ours, peers, strict=True))
            cells = [f"{median(ours):.2f} s", f"{median(peers):.2f} s", f"{ratio:.2f}"]
            cells += [f"{median(self.processor[step, tool]):.2f} s" for tool in (_OURS, _PEER)]
            rows.append(f"| {step} | {' | '.join(cells)} |")
        return rows


def _fill(server: S3Server, mebibytes: int, objects: int) -> str:
    bucket, client = server.new_bucket(), server.client()
    with tempfile.TemporaryFile() as file:
        for _ in range(mebibytes):
            file.write(os.urandom(1 << 20))
        file.seek(0)
        client.upload_fileobj(file, bucket, "large.bin")
    with ThreadPoolExecutor(8) as pool:
        keys = [f"many/{number // 100:04}/{number:06}.bin" for number in range(objects)]
        list(pool.map(lambda key: client.put_object(Bucket=bucket, Key=key, Body=key.encode()), keys))
    return f"s3://{bucket}"


def _rounds(table: _Table, uri: str, env: Mapping[str, str], folder: Path, rounds: int) -> None:
    for number in range(rounds):
        home, copy = folder / f"home-{number}", folder / f"copy-{number}"
        mine = {**env, "ORBITPKG_HOME": str(home)}
        os.sync()
        table.add("cold open", _OURS, [sys.executable, "-c", _OPENING, f"{uri}/large.bin"], mine)
        os.sync()
        table.add("cold open", _PEER, ["s5cmd", "cp", f"{uri}/large.bin", str(copy)], env)
        shutil.rmtree(home)
        copy.unlink()
        ours = [sys.executable, "-m", "orbitpkg", "remote", "ls", "--recursive", f"{uri}/many/"]
        table.add("list", _OURS, ours, mine)
        table.add("list", _PEER, ["s5cmd", "ls", f"{uri}/many/*"], env)


def _warm(uri: str, env: Mapping[str, str], folder: Path, times: int) -> list[float]:
    mine = {**env, "ORBITPKG_HOME": str(folder / "warm")}
    command = [sys.executable, "-c", _WARM, f"{uri}/many/0000/000000.bin", str(times)]
    done = subprocess.run(command, env=mine, check=True, stdout=subprocess.PIPE, encoding="utf-8")
    return [float(line) for line in done.stdout.split()]


def _requests(server: S3Server, uri: str, env: Mapping[str, str], folder: Path) -> tuple[int, int]:
    """Count the requests of a warm opening, with and without ``max_age``."""
    seen: list[Request] = []

    def meddle(request: Request) -> Answer | None:
        seen.append(request)
        return None

    def count(code: str) -> int:
        seen.clear()
        mine = {**env, "AWS_ENDPOINT_URL": endpoint, "ORBITPKG_HOME": str(folder / "counted")}
        subprocess.run([sys.executable, "-c", code, f"{uri}/many/0000/000000.bin"], env=mine, check=True)
        return len(seen)

    with interposed(server.endpoint, meddle) as endpoint:
        count(_OPENING)
        return count(_OPENING), count(_OPENING.replace("sys.argv[1])", "sys.argv[1], max_age=3600)"))


def _work(folder: Path, server: S3Server, options: argparse.Namespace, tell: Callable[[str], None]) -> str:
    env = {**os.environ, **server.env(), "PATH": search_path(), "S3_ENDPOINT_URL": server.endpoint}
    tell(f"filling {server.name}")
    uri = _fill(server, options.mebibytes, options.objects)
    table = _Table()
    tell(f"{options.rounds} rounds")
    _rounds(table, uri, env, folder, options.rounds)
    asked, aged = _warm(uri, env, folder, 200)
    requests, requests_aged = _requests(server, uri, env, folder)
    machine = describe()
    return "\n".join(
        [
            "# Remote files compared with s5cmd",
            "",
            f"One object of {options.mebibytes:,} MiB, opened into an empty cache and synced to the disk (s5cmd does",
            f"not sync); {options.objects:,} objects listed. Medians of {options.rounds} rounds, including imports.",
            f"{server.name}, {machine['processor']}, {machine['cores']} cores, {machine['date']}, {machine['commit']}.",
            "",
            *table.rows(),
            "",
            "| warm open of a small object, in a running process | requests | time |",
            "|---|---|---|",
            f"| `local_path(uri)` | {requests} | {asked * 1e3:.2f} ms |",
            f"| `local_path(uri, max_age=3600)` | {requests_aged} | {aged * 1e3:.2f} ms |",
            "",
        ]
    )


def main() -> None:
    """Run the benchmark, print the results, and write them to a file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mebibytes", type=int, default=1024)
    parser.add_argument("--objects", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--output", type=Path, default=Path(__file__).with_name("REMOTE.md"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="orbitpkg-bench-") as name, object_store(Path(name), "127.0.0.1") as server:
        text = _work(Path(name), server, options, lambda message: print(message, file=sys.stderr))
    options.output.write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
