"""Archives of any tree: what goes in comes out, for every reader, and damage never comes out as data."""

from __future__ import annotations

import io
import tarfile
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from orbitpkg.archive.encoder import hash_tree
from orbitpkg.archive.frames import decompress_chunk
from orbitpkg.archive.reader import LocalArchive, verify_archive
from orbitpkg.archive.tree import read_tree
from orbitpkg.archive.writer import write_archive
from orbitpkg.errors import ArchiveError
from orbitpkg.model.paths import tree_problems
from tests.bad_inputs.forgery import HONEST, forge, read_whole
from tests.packages import make_package, noise, tree_of

names = st.text(st.sampled_from("abc \u00e9\u65e5.-_'\U0001f600"), min_size=1, max_size=8) | st.integers(80, 250).map(
    "n".__mul__
)
paths = st.lists(names, min_size=1, max_size=4).map("/".join)
contents = st.binary(max_size=2000) | st.builds(noise, st.integers(0, 1_500_000), seed=st.integers(0, 9))
trees = (
    st.dictionaries(paths, contents, max_size=6)
    .filter(lambda files: not list(tree_problems(["package.json", *files])))
    .flatmap(
        lambda files: (
            st.tuples(st.just(files), st.sets(st.sampled_from(sorted(files)))) if files else st.just(({}, set()))
        )
    )
)


@settings(max_examples=30, deadline=None)
@given(tree=trees)
def test_a_tree_is_read_back_by_orbitpkg_and_by_tar(tree: tuple[dict[str, bytes], set[str]]) -> None:
    files, executable = tree
    with tempfile.TemporaryDirectory() as temporary:
        folder, target = make_package(Path(temporary) / "model", files=files), Path(temporary) / "x"
        for path in executable:
            (folder / path).chmod(0o755)
        expected = tree_of(folder)
        written = write_archive(read_tree(folder), target)
        with LocalArchive.open(target) as archive:
            verify_archive(archive)
            assert archive.contents == written
            assert {f.path: (archive.read_file(f), f.executable) for f in written.files} == expected
            stream = b"".join(
                decompress_chunk(archive.read(chunk.position, chunk.stored), chunk, where="it")
                for chunk in written.chunks
            )
        assert hash_tree(read_tree(folder)) == written.identities
    with tarfile.open(fileobj=io.BytesIO(stream)) as file:
        unpacked = {member.name: (read_member(file, member), member.mode == 0o755) for member in file}
    assert unpacked == expected
    assert [entry.path for entry in written.files] == list(unpacked)


def read_member(file: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    source = file.extractfile(member)
    assert source is not None
    return source.read()


SOUND = forge().seal()


@settings(deadline=None)
@given(
    edits=st.lists(st.tuples(st.integers(0, len(SOUND) - 1), st.binary(min_size=1, max_size=8)), min_size=1, max_size=3)
)
def test_overwritten_bytes_are_refused_or_change_nothing(edits: list[tuple[int, bytes]]) -> None:
    damaged = bytearray(SOUND)
    for position, data in edits:
        damaged[position : position + len(data)] = data
    with tempfile.TemporaryDirectory() as temporary:
        try:
            files = read_whole(Path(temporary) / "x", bytes(damaged))
        except ArchiveError:
            return
    assert files == {member.path: member.data for member in HONEST}


@settings(deadline=None)
@given(start=st.integers(0, len(SOUND)), length=st.integers(1, 600))
def test_removed_bytes_are_refused(start: int, length: int) -> None:
    damaged = SOUND[:start] + SOUND[start + length :]
    with tempfile.TemporaryDirectory() as temporary:
        try:
            read_whole(Path(temporary) / "x", damaged)
        except ArchiveError:
            return
    assert damaged == SOUND
