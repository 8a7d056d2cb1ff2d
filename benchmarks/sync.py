"""Measure how fast many small files are synced with a bucket, compared with `s5cmd sync`.

    python -m benchmarks.sync                  # 10,000 files; 5 minutes
    python -m benchmarks.sync --files 1000

The files are random bytes from a seed, 1 to 8 KiB each, a hundred per directory. The server is Ceph, or moto if Ceph is
not installed. Each step is a separate process, including imports, and the tools take turns. The results of both tools
are compared with each other.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import random
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.machine import search_path
from benchmarks.servers import object_store

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["main"]

_SEED = 7
_PER_FOLDER = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class _Tool:
    """A tool that syncs.

    Attributes:
        name: The name in the table.
        up: Returns the command from a directory to an address.
        down: Gives its command from an address to a folder.
    """

    name: str
    up: Callable[[Path, str], Sequence[str]]
    down: Callable[[str, Path], Sequence[str]]


_OURS = (sys.executable, "-m", "orbitpkg", "remote", "sync", "--quiet", "--delete")
TOOLS = (
    _Tool(
        name="orbitpkg remote sync",
        up=lambda folder, uri: [*_OURS, str(folder), uri],
        down=lambda uri, folder: [*_OURS, uri, str(folder)],
    ),
    _Tool(
        name="s5cmd sync",
        up=lambda folder, uri: ["s5cmd", "--log", "error", "sync", "--delete", f"{folder}/", f"{uri}/"],
        down=lambda uri, folder: ["s5cmd", "--log", "error", "sync", "--delete", f"{uri}/*", f"{folder}/"],
    ),
)


def make_files(folder: Path, count: int) -> None:
    """Write random files. The number is the seed."""
    chance = random.Random(_SEED)  # noqa: S311 - the same each time
    for number in range(count):
        path = folder / f"{number // _PER_FOLDER:04}" / f"{number:06}.bin"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(chance.randrange(1024, 8192)))


def _took(command: Sequence[str], env: Mapping[str, str]) -> tuple[float, float]:
    """Run a command. Return its wall-clock and processor seconds."""
    before, begin = os.times(), time.perf_counter()
    subprocess.run(command, env=dict(env), check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    wall, after = time.perf_counter() - begin, os.times()
    return wall, after.children_user + after.children_system - before.children_user - before.children_system


def _steps(tool: _Tool, source: Path, uri: str, copy: Path) -> list[tuple[str, Callable[[], object], Sequence[str]]]:
    def nothing() -> None:
        pass

    def change() -> None:
        for path in sorted(source.rglob("*.bin"))[::100]:
            path.write_bytes(path.read_bytes() + b"more")

    return [
        ("up, all", nothing, tool.up(source, uri)),
        ("up, nothing changed", nothing, tool.up(source, uri)),
        ("down, all", nothing, tool.down(uri, copy)),
        ("down, nothing changed", nothing, tool.down(uri, copy)),
        ("up, 1 % changed", change, tool.up(source, uri)),
        ("down, 1 % changed", nothing, tool.down(uri, copy)),
    ]


def main() -> None:
    """Run the benchmark and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    count = parser.parse_args().files
    with tempfile.TemporaryDirectory(prefix="orbitpkg-bench-") as name, object_store(Path(name), "127.0.0.1") as server:
        folder = Path(name)
        env = {**os.environ, **server.env(), "PATH": search_path(), "S3_ENDPOINT_URL": server.endpoint}
        print(f"{count:,} files, {server.name}; seconds on the wall, and of the client's processor")
        table: dict[str, list[str]] = {}
        for tool in TOOLS:
            source, copy = folder / tool.name / "source", folder / tool.name / "copy"
            source.mkdir(parents=True)
            copy.mkdir()
            make_files(source, count)
            uri = f"s3://{server.new_bucket()}/tree"
            mine = {**env, "ORBITPKG_HOME": str(folder / tool.name / "home")}
            for step, prepare, command in _steps(tool, source, uri, copy):
                prepare()
                wall, processor = _took(command, mine)
                table.setdefault(step, []).append(f"{wall:8.2f} {processor:8.2f}")
            _check_same(source, copy)
        print(f"{'':24}" + "".join(f"{tool.name:>24}" for tool in TOOLS))
        for step, cells in table.items():
            print(f"{step:24}" + "".join(f"{cell:>24}" for cell in cells))


def _check_same(first: Path, second: Path) -> None:
    compared = filecmp.dircmp(first, second)
    pending = [compared]
    while pending:
        each = pending.pop()
        if each.left_only or each.right_only or each.diff_files:
            raise SystemExit(f"{each.left} and {each.right} differ")
        pending += each.subdirs.values()


if __name__ == "__main__":
    main()
