"""Make packages of growing size, from a seed and in bounded memory: `growth_data.py DIR files|bytes|change NUMBER`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

__all__ = ["change", "make_bytes", "make_files"]

_BLOCK = 8 << 20
_FILES_A_FOLDER = 1_000


def make_files(folder: Path, count: int) -> None:
    """Write files of 1 to 20 KiB: half random digits, half random bytes."""
    rng = np.random.default_rng(11)
    noise = rng.bytes(_BLOCK)
    digits = (rng.integers(48, 58, _BLOCK, dtype=np.uint8)).tobytes()
    sizes = rng.integers(1 << 10, 20 << 10, count).tolist()
    starts = rng.integers(0, _BLOCK - (20 << 10), count).tolist()
    for number, (size, start) in enumerate(zip(sizes, starts, strict=True)):
        parent = folder / f"{number // _FILES_A_FOLDER:02}"
        if number % _FILES_A_FOLDER == 0:
            parent.mkdir(parents=True)
        # The number makes each file unlike all others: none is a copy that could be left out.
        data = f"{number}\n".encode() + (noise if number % 2 else digits)[start : start + size]
        (parent / f"{number}.bin").write_bytes(data)
    _manifest(folder, "1.0.0")


def make_bytes(folder: Path, size: int) -> None:
    """Write one file of random bytes."""
    folder.mkdir(parents=True)
    rng = np.random.default_rng(12)
    with (folder / "data.bin").open("wb") as file:
        for start in range(0, size, _BLOCK):
            file.write(rng.bytes(min(_BLOCK, size - start)))
    _manifest(folder, "1.0.0")


def change(folder: Path, size: int) -> None:
    """Overwrite bytes in the middle of that file, and set the version to 2."""
    rng = np.random.default_rng(13)
    with (folder / "data.bin").open("r+b") as file:
        file.seek((folder / "data.bin").stat().st_size // 2)
        for start in range(0, size, _BLOCK):
            file.write(rng.bytes(min(_BLOCK, size - start)))
    _manifest(folder, "2.0.0")


def _manifest(folder: Path, version: str) -> None:
    (folder / "package.json").write_text(json.dumps({"name": "grown", "version": version, "include": ["**"]}))


if __name__ == "__main__":
    {"files": make_files, "bytes": make_bytes, "change": change}[sys.argv[2]](Path(sys.argv[1]), int(sys.argv[3]))
