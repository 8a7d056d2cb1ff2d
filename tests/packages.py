"""Packages for tests: folders made on the spot, and the steps that every room's tests need."""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from orbitpkg.archive.tree import read_tree
from orbitpkg.archive.writer import write_archive

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["FILES", "archive_of", "make_package", "noise", "tree_of"]

FILES: Mapping[str, bytes] = {
    "data/model.pkl": bytes(range(256)) * 300,
    "data/labels.csv": b"a,b\n1,2\n",
    "notes/with space/r\u00e9sum\u00e9.txt": "gr\u00fc\u00dfe".encode(),
    "empty": b"",
}


def noise(size: int, *, seed: int = 0) -> bytes:
    """Give bytes that do not compress, the same ones each time."""
    return random.Random(seed).randbytes(size)  # noqa: S311


def make_package(
    folder: Path,
    *,
    name: str = "model",
    version: str = "1.0.0",
    files: Mapping[str, bytes] = FILES,
    **manifest: object,
) -> Path:
    """Write the directory of a package, and return its path. Existing files are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    for path, data in files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    document = {"name": name, "version": version, "include": ["**"], **manifest}
    (folder / "package.json").write_text(json.dumps(document))
    return folder


def archive_of(folder: Path, target: Path) -> Path:
    """Build a package's archive."""
    write_archive(read_tree(folder), target)
    return target


def tree_of(folder: Path) -> dict[str, tuple[bytes, bool]]:
    """Give the bytes of all files below a folder, and whether they are executable, by path."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & 0o100))
        for path in folder.rglob("*")
        if path.is_file()
    }
