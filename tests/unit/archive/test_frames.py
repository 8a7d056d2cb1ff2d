"""The pieces of an archive, byte by byte: frames, the footer, tar headers."""

from __future__ import annotations

import io
import struct
import sys
import tarfile

import pytest
from blake3 import blake3

from orbitpkg.archive.frames import (
    ENCODER,
    FOOTER_BYTES,
    SKIPPABLE_HEADER_BYTES,
    archive_size,
    compress_chunk,
    contents_frame,
    decompress_chunk,
    digest_of,
    parse_footer,
    skippable_header,
    unpack_contents,
)
from orbitpkg.archive.tarstream import BLOCK_BYTES, END_OF_STREAM, member_header, padding_after
from orbitpkg.errors import ArchiveError
from orbitpkg.model.contents import MAX_CHUNK_BYTES, Chunk, Contents, FileEntry
from orbitpkg.model.release import ContentsLocation
from tests.packages import noise

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd


def chunk_of(data: bytes) -> Chunk:
    return Chunk(index=0, offset=0, length=len(data), position=0, stored=1, blake3=digest_of(data))


CHUNK = Chunk(index=0, offset=0, length=2048, position=0, stored=300, blake3=digest_of(bytes(2048)))
CONTENTS = Contents(
    (FileEntry(path="package.json", size=5, offset=512, executable=False, blake3=digest_of(b"12345")),),
    (CHUNK,),
    ENCODER,
)


class TestFrames:
    @pytest.mark.parametrize(
        "data",
        [b"x", b"hello " * 1000, noise(300_000), bytes(MAX_CHUNK_BYTES)],
        ids=["byte", "text", "noise", "zeros"],
    )
    def test_a_chunk_is_read_back_from_its_frame(self, data: bytes) -> None:
        frame = compress_chunk(data)
        assert decompress_chunk(frame, chunk_of(data), where="it") == data
        assert decompress_chunk(memoryview(frame), chunk_of(data), where="it") == data

    def test_a_frame_contains_the_length_of_its_chunk_and_a_checksum(self) -> None:
        frame = compress_chunk(b"hello " * 1000)
        assert zstd.get_frame_info(frame).decompressed_size == 6000
        assert frame[4] & 0b100  # RFC 8878, section 3.1.1.1.1: Content_Checksum_flag

    def test_the_same_chunk_gives_the_same_frame_from_any_kind_of_buffer(self) -> None:
        data = noise(100_000) + bytes(100_000)
        assert compress_chunk(data) == compress_chunk(memoryview(bytearray(data)))

    @pytest.mark.parametrize("other", [0, 1, 99, 101, 4000])
    def test_a_frame_of_another_length_is_refused_without_decompressing_the_rest(self, other: int) -> None:
        with pytest.raises(ArchiveError, match=r"Chunk 0 of it has [0-9,]+ bytes after decompression instead of 100"):
            decompress_chunk(compress_chunk(bytes(other)), chunk_of(bytes(100)), where="it")

    def test_a_frame_cut_off_right_before_its_checksum_is_refused(self) -> None:
        data = noise(100)
        with pytest.raises(ArchiveError, match="cannot be decompressed"):
            decompress_chunk(compress_chunk(data)[:-4], chunk_of(data), where="it")

    def test_the_encoder_names_all_that_decides_about_the_bytes(self) -> None:
        assert f"zstd {zstd.zstd_version} level 3; fastcdc 64 KiB/256 KiB/1 MiB, larger above 8 GiB" == ENCODER


class TestContentsFrame:
    def test_it_is_a_skippable_frame_that_ends_in_a_footer(self) -> None:
        frame, place = contents_frame(CONTENTS)
        magic, size = struct.unpack("<II", frame[:SKIPPABLE_HEADER_BYTES])
        assert magic == 0x184D2A5F
        assert size == len(frame) - SKIPPABLE_HEADER_BYTES
        packed = frame[SKIPPABLE_HEADER_BYTES:-FOOTER_BYTES]
        raw = zstd.decompress(packed)
        assert raw == CONTENTS.to_json()
        assert frame[-FOOTER_BYTES:] == struct.pack(
            "<8sIIQQ32s", b"orbitpkg", 1, 0, len(packed), len(raw), blake3(packed).digest()
        )
        assert frame.startswith(skippable_header(place))

    def test_its_place_is_read_back_from_the_footer(self) -> None:
        frame, place = contents_frame(CONTENTS)
        size = CONTENTS.stored_length + len(frame)
        assert archive_size(place) == size
        assert parse_footer(frame[-FOOTER_BYTES:], archive_size=size, where="it") == place

    def test_the_contents_are_read_back(self) -> None:
        frame, place = contents_frame(CONTENTS)
        packed = frame[SKIPPABLE_HEADER_BYTES:-FOOTER_BYTES]
        assert unpack_contents(packed, place, where="it") == CONTENTS

    @pytest.mark.parametrize("size", [0, 1, FOOTER_BYTES])
    def test_a_footer_alone_is_not_an_archive(self, size: int) -> None:
        frame, _ = contents_frame(CONTENTS)
        with pytest.raises(ArchiveError):
            parse_footer(frame[-FOOTER_BYTES:][:size], archive_size=size, where="it")


class TestPlausibility:
    """Contents are weighed before they are held."""

    def unpack(self, raw: bytes) -> None:
        packed = compress_chunk(raw)
        place = ContentsLocation(offset=8, length=len(packed), raw_length=len(raw), blake3=digest_of(packed))
        unpack_contents(packed, place, where="it")

    def test_more_files_than_may_be_are_refused_by_their_number(self) -> None:
        with pytest.raises(ArchiveError, match="table of contents of it lists more than 1,000,000 files"):
            self.unpack(b'"",' * 1_000_016)

    def test_a_table_larger_than_what_it_lists_is_refused_by_its_size(self) -> None:
        with pytest.raises(ArchiveError, match="has 2,097,152 bytes, which is too large for 0 files"):
            self.unpack(b" " * 2**21)

    def test_a_table_of_long_paths_is_not(self) -> None:
        paths = [f"{'d' * 200}/{'e' * 200}/{number:0200}" for number in range(4000)]
        files = tuple(
            FileEntry(path=path, size=0, offset=0, executable=False, blake3=CHUNK.blake3) for path in sorted(paths)
        )
        frame, place = contents_frame(Contents(files, (), "e"))
        assert place.raw_length > 2**21
        assert len(unpack_contents(frame[8:-FOOTER_BYTES], place, where="it").files) == 4000


PATHS = [
    "a",
    "data/with space.txt",
    "x" * 100,
    "x" * 101,
    "d" * 60 + "/" + "x" * 60,
    "/".join(["d" * 200] * 5),
    "caf\u00e9/\u65e5\u672c\u8a9e",
    "\u00e9" * 60,
]


class TestTarHeaders:
    @pytest.mark.parametrize("size", [0, 1, 512, 8**11 - 1, 8**11, 2**40])
    @pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
    def test_a_header_is_the_one_of_pythons_own_tar(self, path: str, size: int) -> None:
        for executable in (False, True):
            member = tarfile.TarInfo(path)
            member.size, member.mode = size, 0o755 if executable else 0o644
            assert member_header(path, size=size, executable=executable) == member.tobuf(tarfile.PAX_FORMAT)

    @pytest.mark.parametrize("executable", [False, True])
    @pytest.mark.parametrize("path", PATHS, ids=range(len(PATHS)))
    def test_a_header_is_independent_of_the_machine(self, path: str, *, executable: bool) -> None:
        header = member_header(path, size=3, executable=executable)
        assert len(header) % BLOCK_BYTES == 0
        with tarfile.open(fileobj=io.BytesIO(header + b"123" + bytes(padding_after(3)) + END_OF_STREAM)) as file:
            (read,) = file
        assert (read.name, read.size, read.mode) == (path, 3, 0o755 if executable else 0o644)
        assert (read.uid, read.gid, read.uname, read.gname, read.mtime) == (0, 0, "", "", 0)
        assert read.type == tarfile.REGTYPE

    @pytest.mark.parametrize(("size", "padding"), [(0, 0), (1, 511), (511, 1), (512, 0), (513, 511)])
    def test_padding_reaches_to_the_next_block(self, size: int, padding: int) -> None:
        assert padding_after(size) == padding

    def test_a_stream_ends_in_two_blocks_of_zeros(self) -> None:
        assert bytes(1024) == END_OF_STREAM
