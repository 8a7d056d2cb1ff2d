"""Contents: what they say of an archive, and the JSON they are kept as."""

from __future__ import annotations

import json

import pytest

from orbitpkg.errors import ArchiveError
from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry, identity_of, parse_contents

HEX = "0123456789abcdef" * 4


def entry(path: str, *, offset: int, size: int, executable: bool = False) -> FileEntry:
    return FileEntry(path=path, size=size, offset=offset, executable=executable, blake3=Blake3(HEX))


def chunk(index: int) -> Chunk:
    """A chunk of a hundred bytes, stored in ten."""
    return Chunk(index=index, offset=100 * index, length=100, position=10 * index, stored=10, blake3=Blake3(HEX))


FILES = (
    entry("package.json", offset=0, size=100),
    entry("a", offset=100, size=0),
    entry("b", offset=150, size=150, executable=True),
    entry("c", offset=300, size=1),
    entry("\u00e9", offset=399, size=1),
)
CONTENTS = Contents(FILES, tuple(map(chunk, range(4))), "an encoder")


def test_the_lengths_of_an_archive_follow_from_its_chunks() -> None:
    assert CONTENTS.stream_length == 400
    assert CONTENTS.stored_length == 40
    assert CONTENTS.total_size == 252


def test_contents_without_chunks_are_of_length_nothing() -> None:
    empty = Contents((entry("a", offset=0, size=0),), (), "an encoder")
    assert (empty.stream_length, empty.stored_length, empty.total_size) == (0, 0, 0)
    assert parse_contents(empty.to_json()) == empty


@pytest.mark.parametrize(
    ("path", "chunks"), [("package.json", [0]), ("a", []), ("b", [1, 2]), ("c", [3]), ("\u00e9", [3])]
)
def test_the_chunks_of_a_file_are_those_that_hold_any_byte_of_it(path: str, chunks: list[int]) -> None:
    assert [piece.index for piece in CONTENTS.chunks_of(CONTENTS.by_path[path])] == chunks


def test_contents_are_read_back_as_they_were_written() -> None:
    data = CONTENTS.to_json()
    assert parse_contents(data) == CONTENTS
    assert parse_contents(data).to_json() == data


def test_the_table_is_canonical_json_by_columns() -> None:
    table = json.loads(CONTENTS.to_json())
    assert list(table) == ["chunks", "encoder", "files", "format"]
    assert table["files"]["path"] == ["package.json", "a", "b", "c", "\u00e9"]
    assert table["files"]["executable"] == [2]
    assert table["chunks"] == {"blake3": HEX * 4, "length": [100] * 4, "stored": [10] * 4}


def test_contents_hold_the_same_files_wherever_these_lie() -> None:
    moved = Contents(
        tuple(entry(file.path, offset=file.offset + 7, size=file.size, executable=file.executable) for file in FILES),
        (),
        "another",
    )
    assert moved != CONTENTS
    assert moved.same_files(CONTENTS)
    assert not Contents(FILES[1:], CONTENTS.chunks, CONTENTS.encoder).same_files(CONTENTS)


def test_a_mode_is_part_of_a_files_identity() -> None:
    assert identity_of(entry("a", offset=0, size=1)) != identity_of(entry("a", offset=0, size=1, executable=True))


def test_a_file_may_reach_to_the_last_byte_of_the_stream_and_no_further() -> None:
    files = (entry("a", offset=399, size=1),)
    assert parse_contents(Contents(files, CONTENTS.chunks, "e").to_json()).files == files
    files = (entry("a", offset=399, size=2),)
    with pytest.raises(ArchiveError, match="the last file ends at 401, beyond the stream's end at 400"):
        parse_contents(Contents(files, CONTENTS.chunks, "e").to_json())


def test_an_error_uses_the_given_name_of_the_table() -> None:
    with pytest.raises(ArchiveError, match="table 7"):
        parse_contents(b"[]", what="table 7")


def test_an_error_about_a_path_carries_it() -> None:
    contents = Contents((entry("../x", offset=0, size=1),), CONTENTS.chunks, "e")
    with pytest.raises(ArchiveError) as caught:
        parse_contents(contents.to_json())
    assert caught.value.data == {"path": "../x"}


def test_the_first_of_two_faults_in_a_column_is_reported() -> None:
    table = json.loads(CONTENTS.to_json())
    table["files"]["size"][1:3] = [-1, "x"]
    with pytest.raises(ArchiveError, match=r"size\[1\] is not an integer between 0"):
        parse_contents(json.dumps(table).encode())
