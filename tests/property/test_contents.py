"""Paths and contents against definitions written for clarity, and contents against whatever somebody may send."""

from __future__ import annotations

import json
import unicodedata
from itertools import accumulate, combinations
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orbitpkg.errors import ArchiveError
from orbitpkg.model.contents import MAX_CHUNK_BYTES, Blake3, Chunk, Contents, FileEntry, parse_contents
from orbitpkg.model.paths import path_problem, tree_problems
from tests.bad_inputs.forgery import forge

# Letters that make device names, twins by case and by normal form, and whatever some system minds.
ALPHABET = "aAbcnouxlptCOM19.-_ /\\:*\n\u00e9\u0301e\u00df\u0130\u202e\u00b2"
RESERVED = {"con", "prn", "aux", "nul", "conin$", "conout$"} | {
    f"{device}{number}" for device in ("com", "lpt") for number in "0123456789\u00b9\u00b2\u00b3"
}
# Default_Ignorable_Code_Point, other than controls (Cf), and the empty Braille pattern.
UNSEEN = {
    "\u034f",
    "\u115f",
    "\u1160",
    "\u17b4",
    "\u17b5",
    "\u180b",
    "\u180c",
    "\u180d",
    "\u180f",
    "\u2800",
    "\u3164",
} | {
    "\uffa0",
    *map(chr, range(0xFE00, 0xFE10)),
    *map(chr, range(0xE0100, 0xE01F0)),
}

odd_paths = st.text(ALPHABET, max_size=12) | st.text(max_size=6) | st.text("./ab", max_size=8)
digests = st.integers(0, 2**256 - 1).map(lambda number: Blake3(f"{number:064x}"))


def is_good(path: str) -> bool:
    """The rules for a path, one by one."""
    parts = path.split("/")
    return (
        unicodedata.is_normalized("NFC", path)
        and not any(unicodedata.category(char)[0] == "C" for char in path)
        and not any(char in '\\:*?"<>|\u2028\u2029' for char in path)
        and not any(char in UNSEEN for char in path)
        and not any(unicodedata.category(char) == "Zs" and char not in " \u00a0\u202f\u3000" for char in path)
        and all(part not in {"", ".", ".."} for part in parts)
        and all(part[-1] != "." and not part[-1].isspace() for part in parts)
        and all(part.split(".")[0].rstrip(" ").lower() not in RESERVED for part in parts)
        and all(len(part.encode()) <= 255 for part in parts)
        and len(path.encode()) <= 1024
    )


@given(path=odd_paths | st.sampled_from(sorted(RESERVED)).map(lambda name: f"a/{name.upper()}.b/c"))
@example("nul.")
@example("a/com1")
@example("com1a")
@example("lpt9.tar.gz")
@example("x" * 256)
@example("/".join(["x" * 100] * 11))
def test_a_path_may_be_when_it_keeps_all_the_rules(path: str) -> None:
    assert (path_problem(path) is None) == is_good(path)


def collide(first: str, second: str) -> bool:
    """Whether two paths cannot be in one tree, on a file system that does not tell upper from lower case."""
    one, other = (
        [unicodedata.normalize("NFC", part.casefold()) for part in path.split("/")] for path in (first, second)
    )
    shorter = min(len(one), len(other))
    if one[:shorter] == other[:shorter]:
        return True
    common = next(index for index in range(shorter) if one[index] != other[index])
    return first.split("/")[:common] != second.split("/")[:common]


@given(paths=st.lists(st.lists(st.sampled_from(["a", "A", "b", "\u00df", "ss"]), min_size=1, max_size=4), max_size=5))
def test_a_tree_may_be_when_no_two_of_its_paths_collide(paths: list[list[str]]) -> None:
    joined = ["/".join(parts) for parts in paths]
    assert bool(list(tree_problems(joined))) == any(collide(*pair) for pair in combinations(joined, 2))


@st.composite
def tables(draw: st.DrawFn) -> Contents:
    lengths = draw(st.lists(st.integers(1, MAX_CHUNK_BYTES), max_size=6))
    stored = draw(st.lists(st.integers(1, MAX_CHUNK_BYTES), min_size=len(lengths), max_size=len(lengths)))
    chunks = [
        Chunk(index=index, offset=offset, length=length, position=position, stored=size, blake3=draw(digests))
        for index, (offset, length, position, size) in enumerate(
            zip(accumulate(lengths, initial=0), lengths, accumulate(stored, initial=0), stored, strict=False)
        )
    ]
    borders = sorted(draw(st.lists(st.integers(0, sum(lengths)), min_size=2, max_size=12)))
    extents = list(zip(borders[::2], borders[1::2], strict=False))
    names = draw(st.permutations([f"{folder}/{number}\u00e9" for folder in "ab" for number in range(6)]))
    files = [
        FileEntry(path=path, size=end - start, offset=start, executable=draw(st.booleans()), blake3=draw(digests))
        for path, (start, end) in zip(names, extents, strict=False)
    ]
    return Contents(tuple(files), tuple(chunks), draw(st.text(st.characters(codec="utf-8"), max_size=9)))


@given(contents=tables())
def test_contents_are_read_back_as_they_were_written(contents: Contents) -> None:
    data = contents.to_json()
    assert parse_contents(data) == contents
    assert parse_contents(data).to_json() == data


HONEST = json.dumps(forge().table)
scalars = st.none() | st.booleans() | st.integers(-(2**64), 2**64) | st.floats() | st.text(max_size=3)
values = scalars | st.lists(scalars, max_size=3) | st.dictionaries(st.text(max_size=3), scalars, max_size=2)


@st.composite
def spoiled(draw: st.DrawFn) -> dict[str, Any]:
    """A table with something else in some of its places."""
    table: dict[str, Any] = json.loads(HONEST)
    for _ in range(draw(st.integers(1, 3))):
        place: Any = table[draw(st.sampled_from(["files", "chunks"]))]
        if not isinstance(place, dict):
            continue
        key = draw(st.sampled_from(sorted(place)))
        if isinstance(place[key], list) and place[key] and draw(st.booleans()):
            place, key = place[key], draw(st.integers(0, len(place[key]) - 1))
        if isinstance(place[key], int) and draw(st.booleans()):
            place[key] += draw(st.integers(-600, 600))
        else:
            place[key] = draw(values)
    return table


@given(table=spoiled())
def test_every_accepted_document_is_consistent(table: dict[str, Any]) -> None:
    try:
        contents = parse_contents(json.dumps(table).encode())
    except ArchiveError:
        return
    offset = position = end = 0
    for index, chunk in enumerate(contents.chunks):
        assert (chunk.index, chunk.offset, chunk.position) == (index, offset, position)
        assert 0 < chunk.length <= MAX_CHUNK_BYTES
        assert chunk.stored > 0
        offset, position = offset + chunk.length, position + chunk.stored
    for file in contents.files:
        assert end <= file.offset
        assert file.size >= 0
        end = file.offset + file.size
        assert is_good(file.path)
    assert end <= offset
    assert len(contents.by_path) == len(contents.files) > 0


@given(data=st.binary(max_size=40) | st.text('{}[]",:0 "format', max_size=40).map(str.encode))
def test_any_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ArchiveError):
        parse_contents(data)


PARTS = st.sampled_from(["a", "A", "b", "con", "aux.txt", "com1", "a\nb", "a.", "..", ".", "", "ab", "a-b", "\u00e9"])


@given(st.lists(st.lists(PARTS, min_size=1, max_size=3).map("/".join), max_size=6))
def test_a_tree_has_the_same_problems_with_any_other_path_in_it(paths: list[str]) -> None:
    # A path that is not in ASCII turns off the faster check, which plain trees pass.
    slow = [problem for problem in tree_problems([*paths, "\u00fc\u00fc"]) if problem[0] != "\u00fc\u00fc"]
    assert list(tree_problems(paths)) == slow
