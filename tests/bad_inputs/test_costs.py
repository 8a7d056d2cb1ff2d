"""What a small input can cost: memory, requests and steps are bounded, whoever wrote it.

Nothing here measures time. Each test has a generous timeout, which a cost that grows with the square would exceed.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import zstandard

from orbitpkg.archive.tarstream import END_OF_STREAM, member_header, padding_after
from orbitpkg.model.contents import MAX_CHUNK_BYTES
from orbitpkg.model.names import nearest
from orbitpkg.redaction import redacted
from tests.bad_inputs.forgery import MANIFEST, digest, seal
from tests.peak_memory import peak_mebibytes

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.timeout(300)

MILLION = 1_000_000
DRY_RUN = """
import os, sys
os.environ["ORBITPKG_HOME"] = sys.argv[2]
from orbitpkg.cli import main
assert main(["install", sys.argv[1], "--dry-run"]) == 0
"""


def packed(data: bytes) -> bytes:
    """Compress as small as possible."""
    return zstandard.ZstdCompressor(level=9, write_checksum=True).compress(data)


def many_empty_files(number: int) -> bytes:
    """Return a valid archive of a manifest and empty files. A million take three megabytes."""
    paths = ["package.json", *(f"data/{index:06x}" for index in range(number - 1))]
    offsets: list[int] = []

    def pieces() -> Iterator[bytes]:
        end = 0
        for path in paths:
            data = MANIFEST if path == "package.json" else b""
            header = member_header(path, size=len(data), executable=False)
            offsets.append(end + len(header))
            piece = header + data + bytes(padding_after(len(data)))
            end += len(piece)
            yield piece
        yield END_OF_STREAM

    stream = b"".join(pieces())
    starts = range(0, len(stream), MAX_CHUNK_BYTES)
    chunks = [stream[start : start + MAX_CHUNK_BYTES] for start in starts]
    frames = [packed(chunk) for chunk in chunks]
    table = {
        "format": 1,
        "encoder": "by hand",
        "files": {
            "path": paths,
            "size": [len(MANIFEST)] + [0] * (number - 1),
            "offset": offsets,
            "executable": [],
            "blake3": digest(MANIFEST) + digest(b"") * (number - 1),
        },
        "chunks": {
            "length": [len(chunk) for chunk in chunks],
            "stored": [len(frame) for frame in frames],
            "blake3": "".join(map(digest, chunks)),
        },
    }
    raw = json.dumps(table, separators=(",", ":")).encode()
    return seal(raw, b"".join(frames), packed=packed(raw))


def test_planning_a_million_empty_files_takes_300_mebibytes(tmp_path: Path) -> None:
    archive = tmp_path / "model-1.0.0.tar.zst"
    archive.write_bytes(many_empty_files(MILLION))
    assert archive.stat().st_size < 8_000_000
    assert peak_mebibytes(DRY_RUN, archive, tmp_path / "home") <= 300


@pytest.mark.parametrize(
    "text",
    [
        "a://" * 300_000 + "@?",
        ("a" * 31 + ":/") * 50_000 + "@?#",
        "a:/" + "/x" * 500_000 + "@?#",
        "a://b c" * 100_000 + "@",
    ],
    ids=["schemes", "long schemes", "slashes", "words"],
)
def test_secrets_are_searched_in_linear_time(text: str) -> None:
    assert "@" in redacted(text)


def test_suggestions_are_searched_among_a_limited_number_of_names() -> None:
    names = (f"m{'m' * 90}{number}" for number in range(100_000))
    assert len(nearest("m" * 100, names)) <= 3
    assert nearest("modell", ["model", *(f"x{number}" for number in range(100_000))]) == ["model"]
