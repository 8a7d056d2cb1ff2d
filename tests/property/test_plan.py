"""Plans against a reassembly that knows nothing of them."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given
from hypothesis import strategies as st

from orbitpkg.archive.frames import digest_of
from orbitpkg.installer.plan import ChunkWork, InstallPlan, plan_install
from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry

MEBI = 1024 * 1024
# Few distinct pieces, which makes chunks repeat.
PIECES = [b"a", b"bc", b"def", b"ghijkl", b"x" * 40, b"y" * 41]


@dataclass(frozen=True)
class Archive:
    """An archive of which only the layout is real: what its frames hold is known without decompressing."""

    contents: Contents
    stream: bytes


@st.composite
def archives(draw: st.DrawFn) -> Archive:
    pieces = draw(st.lists(st.sampled_from(PIECES), max_size=24))
    stored = draw(st.lists(st.integers(1, 4 * MEBI), min_size=len(pieces), max_size=len(pieces)))
    stream = b"".join(pieces)
    chunks, offset, position = [], 0, 0
    for index, (piece, size) in enumerate(zip(pieces, stored, strict=True)):
        chunks.append(
            Chunk(
                index=index,
                offset=offset,
                length=len(piece),
                position=position,
                stored=size,
                blake3=digest_of(piece),
            )
        )
        offset, position = offset + len(piece), position + size
    borders = sorted(draw(st.lists(st.integers(0, len(stream)), max_size=16)))
    files = [
        FileEntry(
            path=f"{number}",
            size=end - start,
            offset=start,
            executable=False,
            blake3=digest_of(stream[start:end]),
        )
        for number, (start, end) in enumerate(zip(borders[::2], borders[1::2], strict=False))
    ]
    return Archive(Contents(tuple(files), tuple(chunks), "an encoder"), stream)


def all_work(plan: InstallPlan) -> list[ChunkWork]:
    return [*plan.present, *plan.reuse, *(work for request in plan.requests for work in request.work)]


digests = st.sets(st.sampled_from([digest_of(piece) for piece in PIECES]))


@given(archive=archives(), data=st.data(), present=digests, local=digests)
def test_a_plan_writes_every_byte_of_every_wanted_file_exactly_once(
    archive: Archive, data: st.DataObject, present: set[Blake3], local: set[Blake3]
) -> None:
    contents = archive.contents
    wanted = [file for file in contents.files if data.draw(st.booleans())]
    plan = plan_install(contents, wanted, present=present, local=local)
    written = {file.path: bytearray(file.size) for file in wanted}
    count = {file.path: bytearray(file.size) for file in wanted}
    for work in all_work(plan):
        chunk = archive.stream[work.chunk.offset : work.chunk.offset + work.chunk.length]
        for target in work.targets:
            end = target.file_offset + target.length
            assert target.length > 0
            assert target.chunk_offset + target.length <= len(chunk)
            piece = chunk[target.chunk_offset : target.chunk_offset + target.length]
            written[target.file.path][target.file_offset : end] = piece
            for position in range(target.file_offset, end):
                count[target.file.path][position] += 1
    assert {path: bytes(got) for path, got in written.items()} == {
        file.path: archive.stream[file.offset : file.offset + file.size] for file in wanted
    }
    assert all(set(counted) <= {1} for counted in count.values())
    assert plan.files == tuple(wanted)
    assert plan.empty == tuple(file for file in wanted if not file.size)
    assert plan.bytes_to_write == sum(map(len, written.values()))


@given(archive=archives(), present=digests, local=digests)
def test_a_plan_has_each_chunk_once_and_from_the_nearest_place(
    archive: Archive, present: set[Blake3], local: set[Blake3]
) -> None:
    contents = archive.contents
    plan = plan_install(contents, contents.files, present=present, local=local)
    had = [work.chunk.blake3 for work in all_work(plan)]
    assert len(had) == len(set(had))
    assert set(had) == {chunk.blake3 for file in contents.files for chunk in contents.chunks_of(file)}
    assert {work.chunk.blake3 for work in plan.present} == set(had) & present
    assert {work.chunk.blake3 for work in plan.reuse} == (set(had) & local) - present


@given(archive=archives())
def test_requests_are_of_bounded_length_apart_and_in_order(archive: Archive) -> None:
    contents = archive.contents
    plan = plan_install(contents, contents.files)
    end = 0
    for request in plan.requests:
        assert request.start >= end
        end = request.start + request.length
        assert 0 < request.length <= 8 * MEBI
        for work in request.work:
            assert request.start <= work.chunk.position
            assert work.chunk.position + work.chunk.stored <= end
        assert request.start == request.work[0].chunk.position
    assert end <= contents.stored_length
    assert plan.bytes_to_fetch == sum(request.length for request in plan.requests)


@given(archive=archives(), offset=st.integers(0, 500), size=st.integers(0, 500))
def test_the_chunks_of_a_file_are_those_that_overlap_it(archive: Archive, offset: int, size: int) -> None:
    stream = len(archive.stream)
    start, end = min(offset, stream), min(offset + size, stream)
    file = FileEntry(path="a", size=end - start, offset=start, executable=False, blake3=Blake3("0" * 64))
    overlapping = [
        chunk for chunk in archive.contents.chunks if chunk.offset < end and start < chunk.offset + chunk.length
    ]
    assert list(archive.contents.chunks_of(file)) == (overlapping if start < end else [])
