"""The tar stream of an unpacked tree, read again: the very chunks it was made of, or none."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg.archive.frames import digest_of
from orbitpkg.archive.reader import LocalArchive
from orbitpkg.archive.tree_stream import TreeStream
from orbitpkg.model.contents import Chunk, Contents
from tests.packages import archive_of, make_package, noise
from tests.unit.archive.test_archive import VARIED, stream_of

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("built")
    return archive_of(make_package(folder / "model", files={**VARIED, "z": noise(2_000_000, seed=7)}), folder / "x")


@pytest.fixture(scope="module")
def contents(built: Path) -> Contents:
    with LocalArchive.open(built) as archive:
        return archive.contents


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_package(tmp_path / "copy", files={**VARIED, "z": noise(2_000_000, seed=7)})


def recut(stream: bytes, length: int) -> list[Chunk]:
    """Cut a stream elsewhere: within headers, padding and the end."""
    return [
        Chunk(
            index=0,
            offset=start,
            length=len(stream[start : start + length]),
            position=0,
            stored=1,
            blake3=digest_of(stream[start : start + length]),
        )
        for start in range(0, len(stream), length)
    ]


def test_every_chunk_is_made_again_from_the_files(built: Path, contents: Contents, folder: Path) -> None:
    source, stream = TreeStream(contents, str(folder)), stream_of(built)
    for chunk in contents.chunks:
        assert bytes(source.read(chunk) or b"") == stream[chunk.offset : chunk.offset + chunk.length]


@pytest.mark.parametrize("length", [100_003, 1536, 511])
def test_a_chunk_may_begin_and_end_anywhere(tmp_path: Path, length: int) -> None:
    files = {"a": b"a" * 700, "b" * 150: b"", "c/d": b"c" * 512, "e": b"e" * 3000}
    folder = make_package(tmp_path / "model", files=files)
    target = archive_of(folder, tmp_path / "x")
    with LocalArchive.open(target) as archive:
        source = TreeStream(archive.contents, str(folder))
    stream = stream_of(target)
    assert b"".join(source.read(chunk) or b"?" for chunk in recut(stream, length)) == stream
    # Nothing shows of what was in the memory before.
    rooms = [(chunk, memoryview(bytearray(b"\xff" * chunk.length))) for chunk in recut(stream, length)]
    assert all(source.read_into(chunk, room) for chunk, room in rooms)
    assert b"".join(room for _, room in rooms) == stream


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(lambda at: at.write_bytes(noise(2_000_000, seed=8)), id="other-bytes"),
        pytest.param(lambda at: os.truncate(at, 1_999_999), id="shorter"),
        pytest.param(Path.unlink, id="gone"),
        pytest.param(lambda at: (at.unlink(), at.mkdir()), id="a-folder"),
    ],
)
def test_chunks_of_an_altered_file_are_not_had_and_the_others_are(
    contents: Contents, folder: Path, change: Callable[[Path], object]
) -> None:
    change(folder / "z")
    source = TreeStream(contents, str(folder))
    touched = contents.chunks_of(contents.by_path["z"])
    assert 1 < len(touched) < len(contents.chunks)
    had = [chunk for chunk in contents.chunks if source.read(chunk) is not None]
    assert set(had) >= set(contents.chunks) - set(touched)
    assert touched[-1] not in had


def test_contents_without_space_for_a_header_give_nothing(contents: Contents, folder: Path) -> None:
    (manifest, *others) = contents.files
    crowded = Contents((others[0], manifest), contents.chunks, contents.encoder)
    assert TreeStream(crowded, str(folder)).read(contents.chunks[0]) is None
