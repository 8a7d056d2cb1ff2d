"""The plan of an install: what is read, in which requests, and where each byte goes."""

from __future__ import annotations

from orbitpkg.installer.plan import InstallPlan, Target, plan_install
from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry

KIBI = 1024
MEBI = 1024 * KIBI


def digest(number: int) -> Blake3:
    return Blake3(f"{number:064x}")


def contents_of(files: list[tuple[str, int, int]], stored: list[int], same: dict[int, int] | None = None) -> Contents:
    """Make contents of files (path, offset, size) over chunks of a MiB.

    Args:
        files: The files.
        stored: How long each chunk's frame is.
        same: Chunks that are the same as an earlier one.
    """
    chunks = [
        Chunk(
            index=index,
            offset=index * MEBI,
            length=MEBI,
            position=sum(stored[:index]),
            stored=size,
            blake3=digest((same or {}).get(index, index)),
        )
        for index, size in enumerate(stored)
    ]
    entries = [
        FileEntry(path=path, size=size, offset=offset, executable=False, blake3=digest(offset))
        for path, offset, size in files
    ]
    return Contents(tuple(entries), tuple(chunks), "an encoder")


def requested(plan: InstallPlan) -> list[tuple[int, int, list[int]]]:
    return [(request.start, request.length, [work.chunk.index for work in request.work]) for request in plan.requests]


def test_a_file_across_chunks_gets_a_slice_of_each() -> None:
    contents = contents_of([("a", MEBI - 10, MEBI + 30)], [100, 200, 300])
    plan = plan_install(contents, contents.files)
    (file,) = contents.files
    assert [work.targets for request in plan.requests for work in request.work] == [
        (Target(file=file, file_offset=0, chunk_offset=MEBI - 10, length=10),),
        (Target(file=file, file_offset=10, chunk_offset=0, length=MEBI),),
        (Target(file=file, file_offset=MEBI + 10, chunk_offset=0, length=20),),
    ]
    assert requested(plan) == [(0, 600, [0, 1, 2])]
    assert (plan.bytes_to_fetch, plan.bytes_reused, plan.bytes_to_write) == (600, 0, MEBI + 30)


def test_files_that_share_a_chunk_are_cut_from_one() -> None:
    contents = contents_of([("a", 0, 10), ("b", 512, 20)], [100])
    (request,) = plan_install(contents, contents.files).requests
    assert [(target.file.path, target.chunk_offset) for target in request.work[0].targets] == [("a", 0), ("b", 512)]


def test_empty_files_need_no_chunk() -> None:
    contents = contents_of([("a", 0, 0), ("b", 0, 0)], [100])
    plan = plan_install(contents, contents.files)
    assert (plan.files, plan.empty, plan.requests, plan.bytes_to_fetch) == (contents.files, contents.files, (), 0)


def test_an_empty_request_needs_no_work() -> None:
    plan = plan_install(contents_of([("a", 0, 10)], [100]), [])
    assert plan == InstallPlan(files=(), empty=(), present=(), reuse=(), requests=())


def test_only_requested_bytes_are_read() -> None:
    contents = contents_of([("a", 0, 10), ("b", MEBI, 10), ("c", 2 * MEBI, 10)], [100 * KIBI] * 3)
    assert requested(plan_install(contents, contents.files[1:2])) == [(100 * KIBI, 100 * KIBI, [1])]


def test_neighbours_are_read_in_one_request_of_at_most_eight_mebibytes() -> None:
    contents = contents_of([("a", 0, 10 * MEBI)], [MEBI] * 10)
    assert requested(plan_install(contents, contents.files)) == [
        (0, 8 * MEBI, list(range(8))),
        (8 * MEBI, 2 * MEBI, [8, 9]),
    ]


def test_a_small_gap_is_read_along_and_a_larger_one_is_not() -> None:
    files = [("a", 0, 10), ("b", 2 * MEBI, 10)]
    narrow = contents_of(files, [100, 32 * KIBI, 100])
    assert requested(plan_install(narrow, narrow.files)) == [(0, 200 + 32 * KIBI, [0, 2])]
    wide = contents_of(files, [100, 32 * KIBI + 1, 100])
    assert requested(plan_install(wide, wide.files)) == [(0, 100, [0]), (101 + 32 * KIBI, 100, [2])]


def test_a_chunk_that_occurs_twice_is_read_once_and_goes_to_both_places() -> None:
    contents = contents_of([("a", 0, MEBI), ("b", 2 * MEBI, MEBI)], [100, 100, 100], same={2: 0})
    plan = plan_install(contents, contents.files)
    assert requested(plan) == [(0, 100, [0])]
    (work,) = plan.requests[0].work
    assert [target.file.path for target in work.targets] == ["a", "b"]


def test_an_available_chunk_is_not_read() -> None:
    contents = contents_of([("a", 0, 3 * MEBI)], [100, 100, 100])
    plan = plan_install(contents, contents.files, local={digest(1)})
    assert [work.chunk.index for work in plan.reuse] == [1]
    assert requested(plan) == [(0, 300, [0, 2])]
    assert plan.bytes_reused == MEBI


def test_a_chunk_in_its_place_is_neither_read_nor_copied() -> None:
    contents = contents_of([("a", 0, 3 * MEBI)], [100, 40 * KIBI, 100])
    plan = plan_install(contents, contents.files, present={digest(1)}, local={digest(1), digest(2)})
    assert [work.chunk.index for work in plan.present] == [1]
    assert [work.chunk.index for work in plan.reuse] == [2]
    assert requested(plan) == [(0, 100, [0])]
    assert plan.bytes_reused == 2 * MEBI
