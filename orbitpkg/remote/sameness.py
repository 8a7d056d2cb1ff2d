"""Comparison of a file with an object, reading as little of the object as possible.

After the sizes, these are compared in order: the file's MD5 with the ETag; the MD5 of its parts with the ETag of a
multipart upload, at the part sizes that tools use; the digest in the metadata of objects that orbitpkg uploaded; and
the MD5 at the part size that the store reports. A match proves that the bytes are the same. A mismatch proves nothing,
since an ETag need not be a digest of the bytes (SSE-KMS, SSE-C, multipart copies). In that case the object is read, up
to the first difference.

Sources: Amazon S3 API Reference, "Object" (ETag); Amazon S3 User Guide, "Checking object integrity for data uploads":
the ETag of a multipart upload is the MD5 of its parts' MD5s, a hyphen, and the number of parts.
"""

from __future__ import annotations

import hashlib
import re
from typing import TYPE_CHECKING, Final

from blake3 import blake3

from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.remote.sync_plan import plain_etag

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore

__all__ = ["DIGEST_NAME", "digest_of_file", "is_same", "part_sizes"]

DIGEST_NAME: Final = "blake3"
"""The metadata key of an object's BLAKE3."""

_MD5: Final = re.compile(r"[0-9a-f]{32}")
_BY_PARTS: Final = re.compile(r"([0-9a-f]{32})-([0-9]{1,5})")
_MIB: Final = 1024 * 1024
# The default part sizes of tools: boto3 and aws 8, rclone 5, mc 16, s5cmd 50, s3cmd 15, Cyberduck 10; then round ones.
_USUAL_MIB: Final = (8, 5, 16, 50, 15, 10, 32, 64, 100, 128, 25, 20, 256, 512, 1024)
_READ_BYTES: Final = 1 << 20


def is_same(store: ObjectStore, info: ObjectInfo, path: Path, *, surely: bool) -> bool:
    """Return whether a file and an object have the same bytes.

    Args:
        store: The store of the object.
        info: The object, as listed.
        path: The path of the file.
        surely: Whether False must be certain, which may take reading the object.

    Raises:
        StorageError: The file cannot be read.
        RepositoryError: The object cannot be read.
    """
    with storage_errors(path, USER_FILE):
        if path.stat().st_size != info.size:
            return False
        etag = plain_etag(info) or ""
        if _MD5.fullmatch(etag) and _md5(path) == etag:
            return True
        by_parts = _BY_PARTS.fullmatch(etag)
        if by_parts and _matches_parts(path, info.size, by_parts, part_sizes(info.size, int(by_parts[2]))):
            return True
        stored = store.metadata(info.key).get(DIGEST_NAME) if info.etag else None
        if stored is not None and stored == digest_of_file(path):
            return True
        if by_parts and (size := store.part_size(info.key)) and _matches_parts(path, info.size, by_parts, [size]):
            return True
        return surely and _holds(path, store.stream(info.key))


def part_sizes(size: int, count: int) -> list[int]:
    """Return the probable part sizes of an upload, in bytes, the most likely first.

    Args:
        size: The size of the object, in bytes.
        count: The number of its parts.
    """
    usual = [number * unit for unit in (_MIB, 1_000_000) for number in _USUAL_MIB]
    # To stay below 10,000 parts, tools divide the size evenly or round the part size up to MiB.
    even = -(-size // count)
    sizes = dict.fromkeys([*usual, even, -(-even // _MIB) * _MIB])
    return [part for part in sizes if part and -(-size // part) == count]


def _matches_parts(path: Path, size: int, etag: re.Match[str], parts: list[int]) -> bool:
    count = int(etag[2])
    return any(-(-size // part) == count and _md5_by_parts(path, part) == etag[1] for part in parts)


def _md5(path: Path) -> str:
    hasher = hashlib.md5(usedforsecurity=False)
    for piece in _pieces(path):
        hasher.update(piece)
    return hasher.hexdigest()


def _md5_by_parts(path: Path, part: int) -> str:
    """Return the MD5 of the MD5s of a file's parts."""
    whole, one, left = hashlib.md5(usedforsecurity=False), hashlib.md5(usedforsecurity=False), part
    for piece in _pieces(path):
        view = memoryview(piece)
        while view:
            one.update(view[:left])
            taken = min(left, len(view))
            view, left = view[taken:], left - taken
            if not left:
                whole.update(one.digest())
                one, left = hashlib.md5(usedforsecurity=False), part
    if left != part:
        whole.update(one.digest())
    return whole.hexdigest()


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(_READ_BYTES):
            yield piece


def digest_of_file(path: Path) -> str:
    """Return the BLAKE3 of a file, 64 hexadecimal digits.

    Raises:
        OSError: The file cannot be read.
    """
    hasher = blake3()
    for piece in _pieces(path):
        hasher.update(piece)
    return hasher.hexdigest()


def _holds(path: Path, pieces: Iterator[memoryview]) -> bool:
    """Return whether a file consists of exactly these bytes."""
    with path.open("rb") as file:
        return all(file.read(len(piece)) == piece for piece in pieces) and not file.read(1)
