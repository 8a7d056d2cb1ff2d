"""Make the benchmark's two versions of a package. The bytes depend only on the scale.

Version 1, at scale 1 about 750 MiB: weights of 512 MiB (normally distributed numbers in bfloat16), 128 MiB of random
bytes, 12 CSV files of 8 MiB, 500 small JSON files, a tokenizer of 5 MiB. Version 2: 1 % of the weights overwritten in
one run, 64 bytes inserted near the start of the random file, one CSV grown by 100 KiB, three JSON files changed, one
added, one removed.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
from pathlib import Path

import numpy as np

__all__ = ["make_versions"]

MIB = 1 << 20
_BLOCK = 8 * MIB
_WRITTEN = 1_700_000_000


def make_versions(root: Path, *, scale: float = 1.0, name: str = "bench") -> tuple[Path, Path]:
    """Write both versions to a directory, unless they exist. Return their directories."""
    first, second = root / "v1", root / "v2"
    if not (root / "complete").exists():
        shutil.rmtree(root, ignore_errors=True)
        root.mkdir(parents=True)
        _first(first, scale)
        _manifest(first, name, "1.0.0")
        # A web server tells times to the second: what changes must not look as old as what it was.
        for path in first.rglob("*"):
            os.utime(path, (_WRITTEN, _WRITTEN))
        _second(first, second, scale)
        _manifest(second, name, "2.0.0")
        (root / "complete").write_text(json.dumps({"changed": _changed(first, second)}))
    return first, second


def _manifest(folder: Path, name: str, version: str) -> None:
    (folder / "package.json").write_text(json.dumps({"name": name, "version": version, "include": ["**"]}))


def _first(folder: Path, scale: float) -> None:
    for place in ("csv", "json"):
        (folder / place).mkdir(parents=True)
    _weights(folder / "weights.bin", _size(512, scale))
    _random(folder / "random.bin", _size(128, scale), seed=1)
    for part in range(12):
        _table(folder / f"csv/part-{part:02}.csv", _size(8, scale), seed=100 + part)
    for number in range(500):
        (folder / f"json/{number:04}.json").write_text(_document(number, version=1))
    _words(folder / "tokenizer.txt", _size(5, scale))


def _second(first: Path, second: Path, scale: float) -> None:
    shutil.copytree(first, second)
    _overwrite(second / "weights.bin")
    data = (second / "random.bin").read_bytes()
    (second / "random.bin").write_bytes(data[:1000] + b"\x5a" * 64 + data[1000:])
    with (second / "csv/part-05.csv").open("ab") as file:
        file.write(_rows(np.random.default_rng(999), _size(100 / 1024, scale)))
    for number in (7, 77, 277):
        (second / f"json/{number:04}.json").write_text(_document(number, version=2))
    (second / "json/0500.json").write_text(_document(500, version=2))
    (second / "json/0400.json").unlink()


def _size(mebibytes: float, scale: float) -> int:
    return int(mebibytes * scale * MIB) // 4096 * 4096


def _weights(path: Path, size: int) -> None:
    rng = np.random.default_rng(0)
    with path.open("wb") as file:
        for start in range(0, size, _BLOCK):
            count = min(_BLOCK, size - start) // 2
            numbers = (rng.standard_normal(count, dtype=np.float32) * 0.02).view(np.uint32)
            file.write((numbers >> 16).astype(np.uint16).tobytes())


def _overwrite(path: Path) -> None:
    """Overwrite a contiguous 1 % of a file, like a fine-tuned layer."""
    rng = np.random.default_rng(5)
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 3 // 2 * 2)
        numbers = (rng.standard_normal(size // 200, dtype=np.float32) * 0.02).view(np.uint32)
        file.write((numbers >> 16).astype(np.uint16).tobytes())


def _changed(first: Path, second: Path) -> int:
    """Count the bytes that differ between the versions of each file, without its common prefix and suffix."""
    return sum(
        _different(first / path.relative_to(second), path)
        for path in second.rglob("*")
        if path.is_file() and path.name != "package.json"
    )


def _different(old: Path, new: Path) -> int:
    if not old.exists():
        return new.stat().st_size
    before, after = (np.frombuffer(path.read_bytes(), dtype=np.uint8) for path in (old, new))
    same = _same_start(before, after)
    return after.size - same - _same_start(before[same:][::-1], after[same:][::-1])


def _same_start(one: np.ndarray, other: np.ndarray) -> int:
    length = min(one.size, other.size)
    differences = np.flatnonzero(one[:length] != other[:length])
    return int(differences[0]) if differences.size else length


def _random(path: Path, size: int, *, seed: int) -> None:
    rng = np.random.default_rng(seed)
    with path.open("wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(rng.bytes(min(_BLOCK, size - start)))


def _table(path: Path, size: int, *, seed: int) -> None:
    path.write_bytes(_rows(np.random.default_rng(seed), size))


def _rows(rng: np.random.Generator, size: int) -> bytes:
    lines = size // 32 + 1
    columns = rng.integers(0, 1_000_000, (lines, 3))
    values = rng.random(lines)
    text = "\n".join(f"{a},{b},{c},{value:.6f}" for (a, b, c), value in zip(columns.tolist(), values, strict=True))
    return (text.encode() * 2)[:size]


def _document(number: int, *, version: int) -> str:
    rng = np.random.default_rng(number + 10_000 * version)
    return json.dumps({"id": number, "version": version, "scores": rng.random(40).round(4).tolist()}, indent=1)


def _words(path: Path, size: int) -> None:
    rng = np.random.default_rng(3)
    letters = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", dtype=np.uint8)
    words = letters[rng.zipf(1.5, size).clip(1, 26) - 1]
    words[rng.integers(0, size, size // 6)] = ord("\n")
    path.write_bytes(words.tobytes())


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("root", type=Path)
    parser.add_argument("--scale", type=float, default=1.0)
    options = parser.parse_args()
    for made in make_versions(options.root, scale=options.scale):
        print(made)
