"""Sputnik's formats, written by hand: valid, or invalid in the way that a test needs.

Archives written by the real Sputnik are in `archives/`; `real_sputnik.py` builds new ones. Tests compare all three.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import sys
import tarfile
from typing import TYPE_CHECKING, Any

from orbitpkg.objects.protocol import is_valid_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from orbitpkg.objects import ObjectStore

__all__ = ["FILES", "as_tar", "old_archive", "old_bucket", "old_package", "put_archive", "put_package"]

FILES: Mapping[str, bytes] = {
    "data/model": b"weights " * 4000,
    "data/xyz.json": b'{"test": true}',
    "data/empty": b"",
    "notes/grüße.txt": "grüße".encode(),
}


def old_package(
    files: Mapping[str, bytes] = FILES, *, name: Any = "test", version: Any = "1.0.0", **package: Any
) -> tuple[dict[str, Any], bytes]:
    """Create a package like Sputnik; return the contents of its `meta.json` and its `archive.gz`."""
    body, rows = b"", []
    for path, data in files.items():
        body += gzip.compress(data, mtime=0)
        rows.append(
            {
                "path": path.split("/"),
                "noffset": len(body),
                "size": len(data),
                "checksum": ["md5", md5(data)],
            }
        )
    said = {"description": None, "license": None, "compatibility": None, **package}
    meta = {
        "archive": ["archive.gz", md5(body)],
        "manifest": rows,
        "package": {"name": name, "version": version, **said},
    }
    return meta, body


def md5(data: bytes) -> str:
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


def as_tar(path: Path, members: Sequence[tuple[str | tarfile.TarInfo, bytes]]) -> Path:
    """Write a tar file with members in the given order."""
    with tarfile.open(path, "w") as tar:
        for member, data in members:
            info = tarfile.TarInfo(member) if isinstance(member, str) else member
            if info.isreg():
                info.size = len(data)
            # Sputnik's tar files have fractional times, which need an extended header.
            info.mtime = 1500000000.25
            tar.addfile(info, io.BytesIO(data))
    return path


def old_archive(path: Path, files: Mapping[str, bytes] = FILES, **package: Any) -> Path:
    """Write a `.sputnik` file."""
    meta, body = old_package(files, **package)
    return as_tar(path, [("archive.gz", body), ("meta.json", json.dumps(meta).encode())])


def put_package(store: ObjectStore, meta: Mapping[str, Any], body: bytes, *, prefix: str = "") -> str:
    """Upload a package like PyOrbital; return its ident."""
    ident = f"{meta['package']['name']}-{meta['package']['version']}"
    text = json.dumps(meta, indent=2).encode()
    for name, data in (("meta.json", text), ("archive.gz", body)):
        key = f"{prefix}{ident}/{name}"
        assert is_valid_key(key)
        store.put(key, data, metadata={"md5": md5(data)})
    return ident


def put_archive(store: ObjectStore, path: Path, *, prefix: str = "") -> str:
    """Upload the two members of a `.sputnik` file like PyOrbital; return the ident."""
    with tarfile.open(path) as tar:
        members = {name: _member(tar, name) for name in ("meta.json", "archive.gz")}
    package = json.loads(members["meta.json"])["package"]
    ident = f"{package['name']}-{package['version']}"
    for name, data in members.items():
        store.put(f"{prefix}{ident}/{name}", data, metadata={"md5": md5(data)})
    return ident


def _member(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    assert file is not None
    return file.read()


def old_bucket(store: ObjectStore, versions: Sequence[str] = ("1.0.0", "9.0.0", "10.0.0"), *, prefix: str = "") -> None:
    """Upload several versions of two packages."""
    for version in versions:
        files = {**FILES, "data/version": version.encode()}
        put_package(store, *old_package(files, version=version, license="public domain"), prefix=prefix)
    other = old_package(
        {"words": b"a b c"}, name="other", compatibility={"my_library": ">=1.1.1"}, description="Words."
    )
    put_package(store, *other, prefix=prefix)


def main(url: str, *versions: str) -> None:
    """Create a bucket with versions of a package: `python -m tests.compat.old_format URL VERSION…`."""
    from orbitpkg.objects import create_bucket, open_store

    create_bucket(url)
    for version in versions:
        put_package(open_store(url), *old_package({"data/model": b"weights"}, name="my_model", version=version))


if __name__ == "__main__":
    main(*sys.argv[1:])
