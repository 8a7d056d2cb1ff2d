"""Building an archive and verifying it: one tree, one sequence of bytes, or none."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pyfastcdc
import pytest

from orbitpkg.archive.encoder import _SEGMENT_BYTES, TreeEncoder, average_chunk_bytes, hash_tree
from orbitpkg.archive.frames import ENCODER, decompress_chunk
from orbitpkg.archive.reader import LocalArchive, verify_archive
from orbitpkg.archive.tree import read_tree
from orbitpkg.archive.writer import write_archive
from orbitpkg.concurrency.cores import usable_cores
from orbitpkg.errors import StorageError, TreeChanged
from tests.packages import archive_of, make_package, noise, tree_of
from tests.peak_memory import peak_mebibytes
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import ServerMissing, find_program

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orbitpkg.model.contents import Contents

MEBI = 1024 * 1024
GIBI = 1024 * MEBI

# A little of everything: text, what does not compress, more than one chunk, names of all kinds.
VARIED: Mapping[str, bytes] = {
    "README.md": b"# A model\n" * 50,
    "data/noise": noise(3 * MEBI),
    "data/zeros": bytes(5 * MEBI),
    "empty": b"",
    "deep/" + "folder/" * 15 + "file": b"more than 100 bytes of path",
    "/".join(["d" * 150] * 2) + "/file": b"more than 255 bytes of path",
    "caf\u00e9/\u65e5\u672c\u8a9e \U0001f600.txt": "\u00e4".encode() * 1000,
    "with space/and 'quotes'.txt": b"x" * 512,
}


def varied(folder: Path) -> Path:
    make_package(folder, files={**VARIED, "bin/run": b"#!/bin/sh\n"})
    (folder / "bin/run").chmod(0o755)
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return varied(tmp_path_factory.mktemp("source") / "model")


@pytest.fixture(scope="module")
def built(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return archive_of(package, tmp_path_factory.mktemp("built") / "model-1.0.0.tar.zst")


def contents_of(path: Path) -> Contents:
    with LocalArchive.open(path) as archive:
        return archive.contents


def stream_of(path: Path) -> bytes:
    """Give the tar stream in an archive."""
    with LocalArchive.open(path) as archive:
        return b"".join(
            decompress_chunk(archive.read(chunk.position, chunk.stored), chunk, where="it")
            for chunk in archive.contents.chunks
        )


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def program(name: str) -> Path:
    try:
        return find_program(name, how_to_get="apt-get install zstd tar")
    except ServerMissing as missing:
        skip_or_fail(missing)


class TestDeterminism:
    GOLDEN_ENCODER = "zstd 1.5.7 level 3; fastcdc 64 KiB/256 KiB/1 MiB, larger above 8 GiB"
    GOLDEN_ARCHIVE = "0ca9adbbbbb3c752e1b48cc04f3cd23a00f54ea6478f7b0c127cbcfd4a411d6c"
    GOLDEN_STREAM = "41592f7aa1c5c94706f6352e3c9a4be5db1a3951472e4282d281432c9f3110fb"

    def golden(self, folder: Path) -> Path:
        files = {"a/text.txt": b"hello world\n" * 1000, "b \u00e9": bytes(range(256)) * 4, "run.sh": b"#!/bin/sh\n"}
        make_package(folder, files=files)
        (folder / "package.json").write_bytes(b'{"name": "golden", "version": "1.2.3", "include": ["**"]}\n')
        (folder / "run.sh").chmod(0o755)
        return folder

    def test_a_tree_gives_the_same_bytes_as_in_earlier_releases(self, tmp_path: Path) -> None:
        target = archive_of(self.golden(tmp_path / "golden"), tmp_path / "golden.tar.zst")
        assert hashlib.sha256(stream_of(target)).hexdigest() == self.GOLDEN_STREAM
        if ENCODER != self.GOLDEN_ENCODER:
            pytest.skip(f"the digest is one of {self.GOLDEN_ENCODER!r}; here is {ENCODER!r}")
        assert sha256(target) == self.GOLDEN_ARCHIVE

    def test_neither_name_nor_order_nor_times_nor_modes_of_the_folder_matter(
        self, package: Path, built: Path, tmp_path: Path
    ) -> None:
        other = tmp_path / "other name"
        files = tree_of(package)
        for path in sorted(files, reverse=True):
            data, executable = files[path]
            (other / path).parent.mkdir(parents=True, exist_ok=True)
            (other / path).write_bytes(data)
            (other / path).chmod(0o711 if executable else 0o600)
            os.utime(other / path, ns=(10**18, len(path) * 10**17 + 1))
        assert archive_of(other, tmp_path / "x").read_bytes() == built.read_bytes()

    def test_hard_links_and_links_are_files_like_others(self, tmp_path: Path) -> None:
        copies = make_package(tmp_path / "copies", files={"a": b"x" * 999, "b": b"x" * 999, "c/d": b"x" * 999})
        links = make_package(tmp_path / "links", files={"a": b"x" * 999})
        (links / "c").mkdir()
        (links / "b").hardlink_to(links / "a")
        (links / "c/d").symlink_to("../a")
        assert archive_of(copies, tmp_path / "x").read_bytes() == archive_of(links, tmp_path / "y").read_bytes()

    @pytest.mark.parametrize(
        "setting",
        [{"TZ": "Asia/Kathmandu"}, {"LC_ALL": "C", "PYTHONHASHSEED": "1"}, {"UMASK": "0o077", "TZ": "UTC+12"}],
        ids=["time-zone", "locale", "umask"],
    )
    def test_the_environment_of_the_process_does_not_matter(
        self, package: Path, built: Path, tmp_path: Path, setting: dict[str, str]
    ) -> None:
        script = (
            "import os, sys; from pathlib import Path; os.umask(int(os.environ.get('UMASK', '0o000'), 8));"
            "from orbitpkg.archive.tree import read_tree; from orbitpkg.archive.writer import write_archive;"
            "write_archive(read_tree(Path(sys.argv[1])), Path(sys.argv[2]))"
        )
        target = tmp_path / "x"
        subprocess.run([sys.executable, "-c", script, package, target], check=True, env={**os.environ, **setting})
        assert target.read_bytes() == built.read_bytes()

    @pytest.mark.parametrize("threads", [1, 2, 7])
    def test_the_number_of_threads_does_not_matter(self, package: Path, built: Path, threads: int) -> None:
        encoder = TreeEncoder(read_tree(package), threads=threads)
        pieces = [piece.frame for piece in encoder.chunks()]
        data = b"".join(piece for piece in pieces if piece is not None)
        assert data + encoder.finish()[1] == built.read_bytes()

    def test_there_is_at_least_one_core(self) -> None:
        assert 1 <= usable_cores() <= (os.cpu_count() or 1)


class TestOrdinaryTools:
    def test_tar_gives_the_tree_back(self, package: Path, built: Path, tmp_path: Path) -> None:
        program("zstd")
        subprocess.run([program("tar"), "--zstd", "-xf", built, "-C", tmp_path], check=True)
        assert tree_of(tmp_path) == tree_of(package)

    def test_tar_lists_plain_members_only(self, built: Path) -> None:
        program("zstd")
        command = f"{program('tar')} --zstd --numeric-owner --utc -tvf".split()
        listed = subprocess.run([*command, str(built)], check=True, capture_output=True, text=True).stdout
        assert {tuple(line.split()[:2]) for line in listed.splitlines()} == {
            ("-rw-r--r--", "0/0"),
            ("-rwxr-xr-x", "0/0"),
        }
        assert all("1970-01-01 00:00" in line for line in listed.splitlines())

    def test_zstd_finds_it_sound(self, built: Path) -> None:
        subprocess.run([program("zstd"), "-q", "-t", built], check=True)

    def test_a_file_is_cut_out_with_dd_and_zstd_alone(self, built: Path) -> None:
        contents = contents_of(built)
        (chunk, *_) = contents.chunks_of(contents.by_path["data/noise"])
        frame = built.read_bytes()[chunk.position : chunk.position + chunk.stored]
        done = subprocess.run([program("zstd"), "-q", "-d", "-c"], input=frame, check=True, capture_output=True)
        assert len(done.stdout) == chunk.length


class TestContents:
    def test_they_list_the_tree(self, package: Path, built: Path) -> None:
        contents = contents_of(built)
        listed = {file.path: (file.size, file.executable) for file in contents.files}
        assert listed == {path: (len(data), executable) for path, (data, executable) in tree_of(package).items()}
        assert contents.files[0].path == "package.json"
        assert [file.path for file in contents.files[1:]] == sorted(file.path for file in contents.files[1:])
        assert contents.encoder == ENCODER

    def test_every_file_is_read_back(self, package: Path, built: Path) -> None:
        with LocalArchive.open(built) as archive:
            read = {file.path: archive.read_file(file) for file in archive.contents.files}
        assert read == {path: data for path, (data, _) in tree_of(package).items()}

    @pytest.mark.parametrize(("start", "length"), [(0, 0), (5, 1), (0, 3 * MEBI), (1, MEBI)])
    def test_bytes_of_the_archive_come_in_pieces(self, built: Path, start: int, length: int) -> None:
        with LocalArchive.open(built) as archive:
            pieces = b"".join(archive.stream(start, length))
        assert pieces == built.read_bytes()[start : start + length]

    def test_the_archive_is_verified(self, built: Path) -> None:
        with LocalArchive.open(built) as archive:
            verify_archive(archive)
            assert archive.size == built.stat().st_size

    def test_the_built_bytes_are_the_hashed_bytes(self, package: Path, built: Path) -> None:
        seen: list[int] = []
        assert hash_tree(read_tree(package), progress=seen.append) == contents_of(built).identities
        assert sum(seen) == read_tree(package).total_size

    def test_progress_counts_every_byte_once(self, package: Path, tmp_path: Path) -> None:
        seen: list[int] = []
        tree = read_tree(package)
        contents = write_archive(tree, tmp_path / "deep/folder/x", progress=seen.append)
        assert sum(seen) == tree.total_size == contents.total_size

    def test_known_chunks_are_not_compressed_and_placed_as_long_as_they_are_stored(
        self, package: Path, built: Path
    ) -> None:
        before = contents_of(built)
        known = {chunk.blake3: chunk.stored for chunk in before.chunks[1:]}
        encoder = TreeEncoder(read_tree(package), known=known)
        pieces = list(encoder.chunks())
        assert [piece.frame is None for piece in pieces] == [piece.chunk.blake3 in known for piece in pieces]
        assert pieces[0].frame is not None
        assert encoder.finish()[0] == before


class TestCutting:
    """Where the stream is cut depends on its bytes alone, and an insertion moves few of the cuts."""

    def contents(self, folder: Path, data: bytes) -> Contents:
        make_package(folder, files={"data": data})
        encoder = TreeEncoder(read_tree(folder))
        for _ in encoder.chunks():
            pass
        return encoder.finish()[0]

    def whole(self, stream: bytes) -> list[int]:
        cdc = pyfastcdc.FastCDC(MEBI // 4, min_size=MEBI // 16, max_size=MEBI)
        return [piece.length for piece in cdc.cut_buf(stream)]

    @pytest.mark.parametrize(
        "make",
        [
            pytest.param(lambda: noise(40 * MEBI), id="noise"),
            pytest.param(lambda: bytes(37 * MEBI + 5), id="zeros"),
            pytest.param(lambda: noise(_SEGMENT_BYTES - MEBI) + bytes(20 * MEBI), id="noise-then-zeros"),
            pytest.param(lambda: bytes(_SEGMENT_BYTES - 100_000) + noise(17 * MEBI), id="zeros-then-noise"),
            pytest.param(lambda: noise(300_000) * 120, id="repeated"),
            pytest.param(lambda: b"", id="nothing"),
        ],
    )
    def test_cutting_segment_by_segment_is_cutting_the_whole(self, tmp_path: Path, make: Callable[[], bytes]) -> None:
        target = archive_of(make_package(tmp_path / "model", files={"data": make()}), tmp_path / "x")
        assert [chunk.length for chunk in contents_of(target).chunks] == self.whole(stream_of(target))

    @pytest.mark.parametrize("segments", [1, 2])
    @pytest.mark.parametrize("beyond", [-512, 0, 512])
    def test_a_stream_that_ends_with_a_segment_is_cut_in_the_same_way(
        self, tmp_path: Path, segments: int, beyond: int
    ) -> None:
        # Two headers, the manifest, and the end of the stream take 2,560 bytes.
        data = noise(segments * _SEGMENT_BYTES - 2560 + beyond)
        target = archive_of(make_package(tmp_path / "model", files={"data": data}), tmp_path / "x")
        assert contents_of(target).stream_length == segments * _SEGMENT_BYTES + beyond
        assert [chunk.length for chunk in contents_of(target).chunks] == self.whole(stream_of(target))

    @pytest.mark.parametrize(
        ("tree", "average"),
        [(0, 256), (8 * GIBI, 256), (8 * GIBI + 1, 512), (16 * GIBI, 512), (16 * GIBI + 1, 1024), (2**60, 1024)],
    )
    def test_chunks_are_larger_in_large_trees(self, tree: int, average: int) -> None:
        assert average_chunk_bytes(tree) == average * 1024

    def test_an_insertion_near_the_start_keeps_nearly_all_chunks(self, tmp_path: Path) -> None:
        data = noise(40 * MEBI)
        before = self.contents(tmp_path / "model", data)
        after = self.contents(tmp_path / "model", data[:100_000] + b"inserted" + data[100_000:])
        kept = {chunk.blake3 for chunk in before.chunks} & {chunk.blake3 for chunk in after.chunks}
        assert len(kept) >= 0.9 * len(before.chunks)

    def test_a_new_small_file_keeps_nearly_all_chunks(self, tmp_path: Path) -> None:
        data = noise(30 * MEBI)
        before = self.contents(tmp_path / "model", data)
        (tmp_path / "model/a").write_bytes(b"new")
        after = self.contents(tmp_path / "model", data)
        kept = {chunk.blake3 for chunk in before.chunks} & {chunk.blake3 for chunk in after.chunks}
        assert len(kept) >= 0.9 * len(before.chunks)

    def test_small_files_share_a_chunk(self, tmp_path: Path) -> None:
        make_package(tmp_path / "model", files={f"{number}": b"small" for number in range(50)})
        assert len(contents_of(archive_of(tmp_path / "model", tmp_path / "x")).chunks) == 1


BUILD = """
import sys
from pathlib import Path
from orbitpkg.archive.encoder import TreeEncoder
from orbitpkg.archive.tree import read_tree
encoder = TreeEncoder(read_tree(Path(sys.argv[1])), threads=int(sys.argv[3]))
with open(sys.argv[2], "wb") as file:
    for piece in encoder.chunks():
        file.write(piece.frame)
    file.write(encoder.finish()[1])
"""
VERIFY = """
import sys
from pathlib import Path
from orbitpkg.archive.reader import LocalArchive, verify_archive
with LocalArchive.open(Path(sys.argv[1])) as archive:
    verify_archive(archive)
"""


def test_300_mebibytes_are_built_and_verified_in_less_than_200(tmp_path: Path) -> None:
    folder = make_package(tmp_path / "model", files={})
    with (folder / "big").open("wb") as file:
        # Noise makes frames as large as possible, and zeros make chunks as large as possible.
        for seed in range(6):
            file.write(noise(25 * MEBI, seed=seed))
            file.seek(25 * MEBI, os.SEEK_CUR)
        file.truncate(300 * MEBI)
    # With more threads than this machine may have: each takes memory.
    assert peak_mebibytes(BUILD, folder, tmp_path / "x", 8) < 200
    assert peak_mebibytes(VERIFY, tmp_path / "x") < 200


def at_call(number: int, change: Callable[[], object]) -> Callable[[int], None]:
    """Make a progress callback that changes something when it is called for the nth time, from 1."""
    calls = iter(range(1, 1_000_000))

    def progress(_: int) -> None:
        if next(calls) == number:
            change()

    return progress


def grow(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"more")


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


class TestChangingTrees:
    """The progress callback is called after each read, which puts a change between two reads for certain."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        # Read in this order: package.json with the 1st call, a with the 2nd and (past a segment) 3rd, b, then c.
        return make_package(tmp_path / "model", files={"a": bytes(_SEGMENT_BYTES + MEBI), "b": b"bb", "c": b"ccc"})

    @pytest.mark.parametrize(
        ("call", "change"),
        [
            pytest.param(2, lambda at: grow(at / "a"), id="grows-while-it-is-read"),
            pytest.param(2, lambda at: os.truncate(at / "a", MEBI), id="shrinks-while-it-is-read"),
            pytest.param(2, lambda at: os.utime(at / "a", ns=(1, 1)), id="written-while-it-is-read"),
            pytest.param(3, lambda at: grow(at / "a"), id="grows-after-its-last-byte-was-read"),
            pytest.param(2, lambda at: grow(at / "c"), id="grows-before-it-is-read"),
            pytest.param(2, lambda at: (at / "c").unlink(), id="removed-before-it-is-read"),
            pytest.param(4, lambda at: (at / "a").unlink(), id="removed-after-it-was-read"),
            pytest.param(4, lambda at: grow(at / "a"), id="grows-after-it-was-read"),
            pytest.param(
                2, lambda at: replace(at / "c", lambda path: path.write_bytes(b"xyz")), id="replaced-by-another"
            ),
            pytest.param(2, lambda at: replace(at / "c", os.mkfifo), id="replaced-by-a-fifo"),
            pytest.param(2, lambda at: replace(at / "c", Path.mkdir), id="replaced-by-a-folder"),
            pytest.param(2, lambda at: replace(at / "c", lambda path: path.symlink_to("b")), id="replaced-by-a-link"),
            pytest.param(
                2, lambda at: replace(at / "c", lambda path: path.symlink_to("/etc/passwd")), id="by-a-link-outward"
            ),
            pytest.param(1, lambda at: (at / "new").touch(), id="added"),
            pytest.param(4, lambda at: (at / "package.json").unlink(), id="manifest-removed"),
            pytest.param(4, lambda at: (at / "package.json").write_text("{}"), id="manifest-rewritten"),
            pytest.param(4, lambda at: at.rename(at.with_name("moved")), id="folder-moved"),
        ],
    )
    @pytest.mark.parametrize("there", [False, True], ids=["new", "replacing"])
    def test_a_tree_that_changes_gives_no_archive(
        self, folder: Path, tmp_path: Path, call: int, change: Callable[[Path], object], *, there: bool
    ) -> None:
        target = tmp_path / "out/x.tar.zst"
        target.parent.mkdir()
        if there:
            target.write_bytes(b"an older archive")
        with pytest.raises(TreeChanged) as caught:
            write_archive(read_tree(folder), target, progress=at_call(call, lambda: change(folder)))
        assert str(folder) in caught.value.message
        assert tree_of(target.parent) == ({"x.tar.zst": (b"an older archive", False)} if there else {})

    def test_a_tree_that_changes_has_no_digests(self, folder: Path) -> None:
        with pytest.raises(TreeChanged):
            hash_tree(read_tree(folder), progress=at_call(3, lambda: grow(folder / "b")))

    def test_files_that_are_not_included_may_change(self, folder: Path, tmp_path: Path) -> None:
        make_package(folder, files={}, include=["a", "b"])
        write_archive(read_tree(folder), tmp_path / "x", progress=at_call(2, lambda: grow(folder / "c")))
        assert len(contents_of(tmp_path / "x").files) == 3


class TestWriting:
    def test_an_archive_may_be_put_beside_the_manifest_and_built_again(self, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "model")
        target = folder / "model-1.0.0.tar.zst"
        first = archive_of(folder, target).read_bytes()
        assert archive_of(folder, target).read_bytes() == first

    def test_an_exception_of_a_callback_is_raised_and_leaves_no_files(self, tmp_path: Path) -> None:
        def stop() -> None:
            raise KeyboardInterrupt

        tree = read_tree(make_package(tmp_path / "model"))
        with pytest.raises(KeyboardInterrupt):
            write_archive(tree, tmp_path / "out/x", progress=at_call(3, stop))
        assert tree_of(tmp_path / "out") == {}

    def test_a_directory_that_cannot_be_created_is_reported(self, tmp_path: Path) -> None:
        tree = read_tree(make_package(tmp_path / "model"))
        (tmp_path / "file").touch()
        with pytest.raises(StorageError, match=r"file/x\.tar\.zst cannot be written: ") as caught:
            write_archive(tree, tmp_path / "file/x.tar.zst")
        assert caught.value.hint == "To choose another directory, add -o DIR."

    def test_a_directory_in_place_of_the_archive_is_reported_and_leaves_no_files(self, tmp_path: Path) -> None:
        tree = read_tree(make_package(tmp_path / "model"))
        (tmp_path / "out/x").mkdir(parents=True)
        with pytest.raises(StorageError, match="cannot be written: Is a directory"):
            write_archive(tree, tmp_path / "out/x")
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["x"]

    def test_builds_at_once_do_not_meet(self, tmp_path: Path) -> None:
        tree = read_tree(make_package(tmp_path / "model", files={"a": noise(MEBI), "b": b""}))
        target = tmp_path / "x"
        # The second build begins and ends while the first is in the middle.
        write_archive(tree, target, progress=at_call(2, lambda: write_archive(tree, target)))
        with LocalArchive.open(target) as archive:
            verify_archive(archive)
        assert {path.name for path in tmp_path.iterdir()} == {"model", "x"}

    def test_a_file_that_cannot_be_read_is_reported(self, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "model", files={"a": b"a", "b": b"b"})
        tree = read_tree(folder)

        def lengthen() -> None:
            shutil.rmtree(folder)
            folder.symlink_to("model", target_is_directory=True)  # a loop: root may read all else

        with pytest.raises(StorageError, match="cannot be read: Too many levels of symbolic links"):
            write_archive(tree, tmp_path / "x", progress=at_call(1, lengthen))

    def test_no_thread_outlives_a_reader_that_stops_early(self, package: Path) -> None:
        pieces = iter(TreeEncoder(read_tree(package)).chunks())
        next(pieces)
        assert any(thread.name.startswith("orbitpkg-encode") for thread in threading.enumerate())
        del pieces
        assert not any(thread.name.startswith("orbitpkg-encode") for thread in threading.enumerate())
