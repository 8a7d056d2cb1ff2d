"""Archives made by hand: each is refused with an error that names the archive and what is wrong, and nothing else."""

from __future__ import annotations

import io
import json
import os
import zipfile
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from orbitpkg.archive.frames import parse_footer, unpack_contents
from orbitpkg.archive.reader import LocalArchive
from orbitpkg.errors import ArchiveError, StorageError
from orbitpkg.model.contents import MAX_CHUNK_BYTES
from orbitpkg.model.release import ContentsLocation
from tests.bad_inputs.forgery import (
    HONEST,
    MANIFEST,
    Member,
    compress,
    digest,
    footer,
    forge,
    read_whole,
    seal,
    tar,
)
from tests.packages import noise
from tests.peak_memory import peak_mebibytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

NFC, NFD = "caf\u00e9", "cafe\u0301"


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "model-1.0.0.tar.zst"


def refusal(target: Path, data: bytes) -> ArchiveError:
    """Give the error that reading an archive ends with."""
    with pytest.raises(ArchiveError) as caught:
        read_whole(target, data)
    assert str(target) in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "members",
    [HONEST, [HONEST[0], Member("n" * 120, b"1"), Member("\u00e9", b"2"), Member("x", noise(50_000), 0o755)]],
    ids=["plain", "pax"],
)
def test_the_forger_can_be_honest(target: Path, members: list[Member]) -> None:
    assert read_whole(target, forge(members).seal()) == {member.path: member.data for member in members}


PATHS = {
    "parent": ("../x", "'..'"),
    "parent-inside": ("a/../../x", "'..'"),
    "absolute": ("/abs", "is absolute"),
    "drive": ("C:\\x", "':'"),
    "forward-drive": ("C:/x", "':'"),
    "backslash": ("a\\..\\b", "'\\\\'"),
    "empty": ("", "is empty"),
    "dot": (".", "'.'"),
    "dot-slash": ("./", "'.'"),
    "dot-first": ("./x", "'.'"),
    "empty-part": ("a//b", "empty component"),
    "slash-last": ("a/", "empty component"),
    "nul": ("a\0b", "control character"),
    "newline": ("a\nb", "control character"),
    "escape": ("a\x1b[2Jb", "control character"),
    "delete": ("a\x7f", "control character"),
    "c1-control": ("a\u0085b", "U+0085"),
    "bidi": ("a\u202etxt.exe", "U+202E"),
    "zero-width": ("a\u200db", "U+200D"),
    "line-separator": ("a\u2028b", "U+2028"),
    "private-use": ("a\ue000b", "U+E000"),
    "unassigned": ("a\U000e0fffb", "U+E0FFF"),
    "device": ("CON", "reserved device name"),
    "device-with-suffix": ("data/nul.txt", "reserved device name"),
    "device-with-number": ("com1", "reserved device name"),
    "device-with-superscript": ("lpt\u00b9.log", "reserved device name"),
    "device-with-space": ("aux .txt", "reserved device name"),
    "console": ("CONIN$", "reserved device name"),
    "trailing-dot": ("a.", "ends in '.'"),
    "trailing-space": ("a ", "ends in ' '"),
    "folder-trailing-dot": ("a./b", "ends in '.'"),
    "long-part": ("a" * 256, "255 bytes"),
    "long-part-in-bytes": ("\u00e9" * 128, "255 bytes"),
    "long-path": ("/".join(["a" * 200] * 6), "1024 bytes"),
    "stream": ("a:b", "':'"),
    "wildcard": ("a*", "'*'"),
    "nfd": (NFD, "NFC"),
    "surrogate": ("a\udcff", "unpaired surrogate"),
}


class TestPaths:
    @pytest.mark.parametrize(("path", "reason"), PATHS.values(), ids=PATHS.keys())
    def test_a_path_that_may_not_be_is_refused_and_named(self, target: Path, path: str, reason: str) -> None:
        forgery = forge()
        forgery.column("files", "path")[1] = path
        assert reason in refusal(target, forgery.seal()).message

    @pytest.mark.parametrize(
        ("first", "second", "reason"),
        [
            pytest.param("A", "a", "only in letter case", id="upper-and-lower"),
            pytest.param("stra\u00dfe", "STRASSE", "only in letter case", id="sharp-s"),
            pytest.param("d/x", "D/y", "only in letter case", id="folders"),
            pytest.param("d/x", "D", "is a file, but also a directory", id="folder-and-file-of-another-case"),
            pytest.param("d/x", "d", "is a file, but also a directory", id="folder-then-file"),
            pytest.param("d", "d/x", "which is a file", id="file-then-folder"),
            pytest.param("d", "d/e/f/x", "which is a file", id="file-then-deep-folder"),
            pytest.param("d", "d", "listed twice", id="twice"),
            pytest.param(NFC, NFD, "NFC", id="nfc-and-nfd"),
            pytest.param("package.json", "x", "listed twice", id="manifest-twice"),
        ],
    )
    def test_two_paths_that_cannot_be_in_one_tree_are_refused(
        self, target: Path, first: str, second: str, reason: str
    ) -> None:
        forgery = forge([HONEST[0], Member(first, b"1"), Member(second, b"2")])
        assert reason in refusal(target, forgery.seal()).message

    def test_a_path_that_is_not_utf8_is_refused(self, target: Path) -> None:
        forgery = forge([HONEST[0], Member("PATH", b"")])
        raw = json.dumps(forgery.table).encode().replace(b"PATH", b"\xff\xfe.bin")
        assert "not UTF-8" in refusal(target, seal(raw, b"".join(forgery.frames))).message


class TestDamage:
    """What a broken disk or line does to an archive that was good."""

    @pytest.fixture(params=[b"hello " * 20, noise(400)], ids=["compressible", "not-compressible"])
    def small(self, request: pytest.FixtureRequest) -> bytes:
        return forge([HONEST[0], Member("x", request.param)]).seal()

    def test_a_wrong_byte_anywhere_is_refused(self, target: Path, small: bytes) -> None:
        for position in range(len(small)):
            refusal(target, small[:position] + bytes([small[position] ^ 0xFF]) + small[position + 1 :])

    def test_a_flipped_bit_is_refused_or_changes_nothing_that_any_reader_sees(self, target: Path, small: bytes) -> None:
        # zstd has a bit that readers are to ignore (RFC 8878, section 3.1.1.1.1) and says some things in two ways.
        files = read_whole(target, small)
        unseen = []
        for position in range(len(small)):
            for bit in range(8):
                changed = bytearray(small)
                changed[position] ^= 1 << bit
                try:
                    assert read_whole(target, bytes(changed)) == files
                except ArchiveError:
                    continue
                unseen.append((position, bit))
        assert len(unseen) <= len(small) // 50, unseen

    def test_an_archive_cut_off_anywhere_is_refused(self, target: Path, small: bytes) -> None:
        for length in range(len(small)):
            refusal(target, small[:length])

    def test_an_archive_whose_beginning_is_missing_is_refused(self, target: Path, small: bytes) -> None:
        for start in range(1, len(small)):
            refusal(target, small[start:])

    @pytest.mark.parametrize("tail", [b"\0", b"x" * 64, bytes(4096)], ids=["byte", "footer-long", "zeros"])
    def test_data_after_the_end_is_refused(self, target: Path, small: bytes, tail: bytes) -> None:
        assert "its end is missing" in refusal(target, small + tail).message

    def test_a_second_footer_after_the_first_is_refused(self, target: Path, small: bytes) -> None:
        assert "is damaged: its BLAKE3 digest does not match." in refusal(target, small + small[-64:]).message

    def test_two_archives_in_one_file_are_refused(self, target: Path, small: bytes) -> None:
        assert "do not fill the space before it" in refusal(target, small + small).message

    def test_an_archive_that_loses_its_end_while_it_is_open_is_refused(self, target: Path) -> None:
        target.write_bytes(forge().seal())
        with LocalArchive.open(target) as archive:
            os.truncate(target, 100)
            with pytest.raises(ArchiveError, match="became shorter"):
                archive.read_file(archive.contents.files[1])

    @pytest.mark.parametrize("data", [b"", b"x", bytes(64), b"orbitpkg" + bytes(56), MANIFEST])
    def test_a_file_that_is_not_an_archive_is_refused(self, target: Path, data: bytes) -> None:
        refusal(target, data)

    def test_a_refused_archive_is_closed(self, target: Path) -> None:
        before = os.listdir("/dev/fd")
        for spoiled in (b"", forge().seal()[1:], seal(b"[1,1"), seal(b'{"a":1,"a":2}')):
            refusal(target, spoiled)
        assert os.listdir("/dev/fd") == before


class TestFooter:
    @pytest.mark.parametrize(
        ("fields", "reason"),
        [
            ({"magic": b"orbitpk\0"}, "is not an orbitpkg archive"),
            ({"format": 2}, "archive format 2"),
            ({"format": 0}, "archive format 0"),
            ({"zero": 1}, "footer points outside"),
            ({"length": 0}, "footer points outside"),
            ({"length": 1}, "is damaged: its BLAKE3 digest does not match."),
            ({"length": 1 << 20}, "footer points outside"),
            ({"length": 2**64 - 1}, "footer points outside"),
            ({"raw_length": 0}, "bytes after decompression instead of 0."),
            ({"raw_length": 1}, "bytes after decompression instead of 1."),
            ({"raw_length": (512 << 20) + 1}, "The limits are"),
            ({"raw_length": 2**64 - 1}, "The limits are"),
            ({"blake3": bytes(32)}, "is damaged: its BLAKE3 digest does not match."),
        ],
        ids=str,
    )
    def test_a_wrong_footer_is_refused(self, target: Path, fields: dict[str, Any], reason: str) -> None:
        forgery = forge()
        data = seal(json.dumps(forgery.table).encode(), b"".join(forgery.frames), **fields)
        assert reason in refusal(target, data).message

    def test_a_newer_format_is_distinguished_from_damage(self, target: Path) -> None:
        assert "To upgrade orbitpkg" in str(refusal(target, seal(b"{}", format=7)))

    def test_contents_larger_than_any_may_be_are_refused_before_they_are_read(self) -> None:
        length = 1 << 30
        with pytest.raises(ArchiveError, match="The limits are"):
            parse_footer(footer(b"", 100, length=length), archive_size=length + 1000, where="a sparse file")
        place = ContentsLocation(offset=8, length=4, raw_length=1 << 40, blake3=digest(b"1234"))
        with pytest.raises(ArchiveError, match="The limits are"):
            unpack_contents(b"1234", place, where="a record")


def spoiled_chunks(spoil: Callable[[dict[str, Any]], object]) -> bytes:
    forgery = forge()
    spoil(forgery.table["chunks"])
    return forgery.seal()


def spoiled_files(spoil: Callable[[dict[str, Any]], object]) -> bytes:
    forgery = forge()
    spoil(forgery.table["files"])
    return forgery.seal()


class TestChunkTable:
    @pytest.mark.parametrize("value", [0, -1, MAX_CHUNK_BYTES + 1, 2**62, 2**63 - 1, 1.0, True, "1", None, [1], {}])
    @pytest.mark.parametrize("column", ["length", "stored"])
    def test_a_length_that_cannot_be_is_refused_with_its_row(self, target: Path, column: str, value: object) -> None:
        if (column, value) == ("stored", MAX_CHUNK_BYTES + 1):
            value = 2 * MAX_CHUNK_BYTES
        data = spoiled_chunks(lambda chunks: chunks[column].__setitem__(1, value))
        assert f"{column}[1] is not an integer between 1 and" in refusal(target, data).message

    @pytest.mark.parametrize("value", [2**63, 10**400, -(10**400)], ids=["64-bits", "400-digits", "negative"])
    def test_a_number_without_bound_is_refused(self, target: Path, value: int) -> None:
        data = spoiled_chunks(lambda chunks: chunks["length"].__setitem__(0, value))
        assert "does not fit in 64 bits" in refusal(target, data).message

    @pytest.mark.parametrize("by", [-1, 1])
    def test_chunks_that_overlap_or_leave_a_gap_in_the_archive_are_refused(self, target: Path, by: int) -> None:
        def shift(chunks: dict[str, Any]) -> None:
            chunks["stored"][0] += by
            chunks["stored"][1] -= by

        assert "(chunk 0 cannot be decompressed)" in refusal(target, spoiled_chunks(shift)).message

    @pytest.mark.parametrize("by", [-1, 1])
    def test_chunks_that_end_before_or_after_the_contents_begin_are_refused(self, target: Path, by: int) -> None:
        def shift(chunks: dict[str, Any]) -> None:
            chunks["stored"][-1] += by

        assert "do not fill the space before it" in refusal(target, spoiled_chunks(shift)).message

    @pytest.mark.parametrize("by", [-1, 1])
    def test_a_chunk_of_the_wrong_length_is_refused(self, target: Path, by: int) -> None:
        def shift(chunks: dict[str, Any]) -> None:
            chunks["length"][0] += by
            chunks["length"][1] -= by

        assert "has 16,384 bytes after decompression instead of" in refusal(target, spoiled_chunks(shift)).message

    def test_columns_of_different_lengths_are_refused(self, target: Path) -> None:
        data = spoiled_chunks(lambda chunks: chunks["stored"].append(1))
        assert "differ in length" in refusal(target, data).message

    @pytest.mark.parametrize(
        "spoil",
        [
            lambda text: text[:-1],
            lambda text: text + "0" * 64,
            lambda text: text.upper(),
            lambda text: "g" + text[1:],
            lambda text: "\u0663" + text[1:],
            lambda _: 5,
            lambda _: ["a"],
        ],
        ids=["short", "long", "upper-case", "letter", "foreign-digit", "number", "list"],
    )
    @pytest.mark.parametrize("table", ["chunks", "files"])
    def test_invalid_digests_are_refused(self, target: Path, table: str, spoil: Callable[[str], object]) -> None:
        forgery = forge()
        forgery.table[table]["blake3"] = spoil(forgery.table[table]["blake3"])
        assert "hexadecimal digits" in refusal(target, forgery.seal()).message

    def test_chunks_in_another_order_are_refused(self, target: Path) -> None:
        forgery = forge()
        forgery.frames[0], forgery.frames[1] = forgery.frames[1], forgery.frames[0]
        assert "(chunk 0 cannot be decompressed)" in refusal(target, forgery.seal()).message

    def test_a_stream_longer_than_numbers_go_is_refused(self, target: Path) -> None:
        forgery = forge()
        forgery.column("files", "offset")[-1] = 2**62 + 1
        assert "is not an integer between 0 and" in refusal(target, forgery.seal()).message


class TestFrames:
    """Frames that are not what the table says: the decompressor is never given the chance to run away."""

    def with_first_frame(self, frame: bytes) -> bytes:
        forgery = forge()
        forgery.frames[0] = frame
        forgery.column("chunks", "stored")[0] = len(frame)
        return forgery.seal()

    def first_chunk(self) -> bytes:
        return tar(HONEST)[0][: 16 * 1024]

    def test_a_bomb_is_refused(self, target: Path) -> None:
        bomb = compress(bytes(64 << 20))
        message = refusal(target, self.with_first_frame(bomb)).message
        assert "has 67,108,864 bytes after decompression instead of 16,384" in message

    def test_a_frame_with_a_window_of_a_gibibyte_is_refused(self, target: Path) -> None:
        # No content size, window descriptor 2^30, one raw block.
        data = self.first_chunk()
        block = ((len(data) << 3) | 1).to_bytes(3, "little")
        frame = b"\x28\xb5\x2f\xfd\x00" + bytes([(30 - 10) << 3]) + block + data
        assert "needs 1,073,741,824 bytes of memory" in refusal(target, self.with_first_frame(frame)).message
        small_window = frame[:5] + bytes([(15 - 10) << 3]) + frame[6:]
        assert read_whole(target, self.with_first_frame(small_window))["data/big"] == HONEST[1].data

    def test_contents_with_a_window_of_a_gibibyte_are_refused(self, target: Path) -> None:
        raw = b"{}"
        packed = b"\x28\xb5\x2f\xfd\x00" + bytes([(30 - 10) << 3]) + ((2 << 3) | 1).to_bytes(3, "little") + raw
        assert "too much memory" in refusal(target, seal(raw, packed=packed)).message

    @pytest.mark.parametrize("tail", [b"x", compress(b""), compress(b"more"), b"\x50\x2a\x4d\x18\0\0\0\0"])
    def test_anything_after_a_frame_is_refused(self, target: Path, tail: bytes) -> None:
        frame = compress(self.first_chunk()) + tail
        assert "cannot be decompressed" in refusal(target, self.with_first_frame(frame)).message

    @pytest.mark.parametrize("frame", [b"x", b"\x50\x2a\x4d\x18\0\0\0\0", b"\x28\xb5\x2f\xfd", b"BZh91AY&SY"])
    def test_an_invalid_frame_is_refused(self, target: Path, frame: bytes) -> None:
        assert "chunk 0 " in refusal(target, self.with_first_frame(frame)).message.lower()

    def test_other_bytes_of_the_right_length_are_refused(self, target: Path) -> None:
        frame = compress(bytes(16 * 1024))
        message = refusal(target, self.with_first_frame(frame)).message
        assert "is damaged: its BLAKE3 digest does not match the table of contents." in message

    def test_contents_that_are_two_frames_are_refused(self, target: Path) -> None:
        raw = json.dumps(forge().table).encode()
        packed = compress(raw[:100]) + compress(raw[100:])
        assert "has 100 bytes after decompression instead of" in refusal(target, seal(raw, packed=packed)).message

    def test_contents_without_a_frame_are_refused(self, target: Path) -> None:
        assert "is damaged" in refusal(target, seal(b"{}", packed=b"{}")).message


class TestFileTable:
    @pytest.mark.parametrize("value", [-1, 2**62 + 1, 0.5, True, "0", None])
    @pytest.mark.parametrize("column", ["size", "offset"])
    def test_a_number_that_cannot_be_is_refused_with_its_row(self, target: Path, column: str, value: object) -> None:
        data = spoiled_files(lambda files: files[column].__setitem__(2, value))
        assert f"{column}[2] is not an integer between 0 and" in refusal(target, data).message

    def test_a_file_that_overlaps_another_is_refused(self, target: Path) -> None:
        data = spoiled_files(lambda files: files["size"].__setitem__(0, files["offset"][1]))
        assert "'data/big' overlaps the file before it" in refusal(target, data).message

    def test_a_file_that_the_chunks_cannot_hold_is_refused(self, target: Path) -> None:
        data = spoiled_files(lambda files: files["size"].__setitem__(-1, 10**9))
        assert "the last file ends at" in refusal(target, data).message

    def test_an_empty_file_behind_the_stream_is_refused(self, target: Path) -> None:
        def move(files: dict[str, Any]) -> None:
            files["size"][-1], files["offset"][-1] = 0, 2**62

        assert "the last file ends at" in refusal(target, spoiled_files(move)).message

    def test_files_without_any_chunk_are_refused(self, target: Path) -> None:
        forgery = forge([Member("package.json", b"")], stream=b"")
        forgery.column("files", "offset")[0] = 0
        assert "is truncated: the tar header of 'package.json' in" in refusal(target, forgery.seal()).message

    def test_no_files_are_refused(self, target: Path) -> None:
        assert "0 files are listed" in refusal(target, forge([]).seal()).message

    @pytest.mark.parametrize("rows", [[4], [-1], [3, 3], [3, 0], [True], ["3"], 3, None])
    def test_a_wrong_list_of_executables_is_refused(self, target: Path, rows: object) -> None:
        data = spoiled_files(lambda files: files.__setitem__("executable", rows))
        assert "executable" in refusal(target, data).message

    @pytest.mark.parametrize("column", ["path", "size", "offset"])
    def test_columns_of_different_lengths_are_refused(self, target: Path, column: str) -> None:
        data = spoiled_files(lambda files: files[column].append("x" if column == "path" else 1 << 20))
        refusal(target, data)

    def test_a_wrong_digest_of_a_file_is_refused(self, target: Path) -> None:
        data = spoiled_files(lambda files: files.__setitem__("blake3", files["blake3"][64:] + files["blake3"][:64]))
        assert "'package.json' in" in refusal(target, data).message


class TestTarStream:
    """What `tar` would unpack and what the contents list must be the same tree."""

    def test_another_name_is_refused(self, target: Path) -> None:
        forgery = forge(stream=tar([replace(HONEST[0], path="../../escape"), *HONEST[1:]])[0])
        assert "The tar header of 'package.json'" in refusal(target, forgery.seal()).message

    def test_another_mode_is_refused(self, target: Path) -> None:
        forgery = forge(stream=tar([HONEST[0], replace(HONEST[1], mode=0o4755), *HONEST[2:]])[0])
        assert "The tar header of 'data/big'" in refusal(target, forgery.seal()).message

    def test_a_member_that_is_not_listed_is_refused(self, target: Path) -> None:
        forgery = forge(stream=tar([*HONEST, Member("evil", b"x")])[0])
        assert "The end of the tar stream" in refusal(target, forgery.seal()).message

    def test_a_listed_file_that_is_not_a_member_is_refused(self, target: Path) -> None:
        forgery = forge(stream=tar(HONEST[:-1])[0] + bytes(4096))
        assert "The tar header of 'run.sh'" in refusal(target, forgery.seal()).message

    def test_a_member_between_two_files_is_refused(self, target: Path) -> None:
        members = [HONEST[0], Member("evil", b"x"), *HONEST[1:]]
        stream, offsets = tar(members)
        forgery = forge(stream=stream)
        forgery.table["files"]["offset"] = [offsets[0], *offsets[2:]]
        assert "The tar header of 'data/big'" in refusal(target, forgery.seal()).message

    def test_a_file_taken_from_elsewhere_in_the_stream_is_refused(self, target: Path) -> None:
        forgery = forge()
        forgery.column("files", "offset")[0] += 1
        assert "give different offsets for 'package.json'" in refusal(target, forgery.seal()).message

    def test_data_in_the_padding_is_refused(self, target: Path) -> None:
        stream = bytearray(tar(HONEST)[0])
        stream[512 + len(MANIFEST)] = 1
        assert "The padding after 'package.json'" in refusal(target, forge(stream=bytes(stream)).seal()).message

    def test_data_after_the_end_of_the_stream_is_refused(self, target: Path) -> None:
        assert "data after the end" in refusal(target, forge(stream=tar(HONEST)[0] + bytes(512)).seal()).message

    def test_a_stream_without_an_end_is_refused(self, target: Path) -> None:
        shortened = forge(stream=tar(HONEST)[0][:-512]).seal()
        assert "is truncated: the end of the tar stream" in refusal(target, shortened).message

    def test_a_link_in_the_stream_is_refused(self, target: Path) -> None:
        stream = bytearray(tar(HONEST)[0])
        stream[156] = ord("2")
        assert "The tar header of 'package.json'" in refusal(target, forge(stream=bytes(stream)).seal()).message


class TestPolyglots:
    def zip_of(self, data: bytes = b"") -> bytes:
        target = io.BytesIO(data)
        with zipfile.ZipFile(target, "a") as file:
            file.writestr("evil.txt", "x")
        return target.getvalue()

    def test_an_archive_that_is_also_a_zip_file_is_refused(self, target: Path) -> None:
        data = self.zip_of(forge().seal())
        assert zipfile.is_zipfile(io.BytesIO(data))
        assert "its end is missing" in refusal(target, data).message

    def test_an_archive_after_a_zip_file_is_refused(self, target: Path) -> None:
        assert "do not fill the space before it" in refusal(target, self.zip_of() + forge().seal()).message

    def test_a_zip_file_hidden_in_a_skippable_frame_is_refused(self, target: Path) -> None:
        forgery = forge()
        hidden = self.zip_of()
        forgery.frames.append(b"\x50\x2a\x4d\x18" + len(hidden).to_bytes(4, "little") + hidden)
        assert "do not fill the space before it" in refusal(target, forgery.seal()).message

    def test_a_zip_file_hidden_in_a_chunk_is_refused(self, target: Path) -> None:
        forgery = forge()
        hidden = self.zip_of()
        forgery.frames.append(b"\x50\x2a\x4d\x18" + len(hidden).to_bytes(4, "little") + hidden)
        forgery.column("chunks", "stored")[-1] += len(forgery.frames[-1])
        assert "cannot be decompressed" in refusal(target, forgery.seal()).message

    def test_contents_that_are_also_something_else_are_refused(self, target: Path) -> None:
        raw = json.dumps(forge().table).encode() + b"\nPK\x05\x06"
        assert "not valid JSON" in refusal(target, seal(raw)).message


class TestNoFile:
    def test_a_missing_archive_is_reported(self, target: Path) -> None:
        with pytest.raises(StorageError, match="cannot be read: No such file"):
            LocalArchive.open(target)

    def test_a_directory_is_not_an_archive(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="cannot be read: Is a directory"):
            LocalArchive.open(tmp_path)

    def test_a_fifo_is_not_an_archive_and_does_not_block(self, target: Path) -> None:
        os.mkfifo(target)
        with pytest.raises(StorageError, match="cannot be read: Illegal seek"):
            LocalArchive.open(target)


OPEN_AND_REFUSE = """
import sys
from pathlib import Path
from orbitpkg.archive.reader import LocalArchive
from orbitpkg.errors import ArchiveError
try:
    LocalArchive.open(Path(sys.argv[1]))
except ArchiveError as error:
    print(error.message)
else:
    raise SystemExit("it was accepted")
"""


def table_text(files: int, path: str = "a") -> bytes:
    """Write contents that list one file many times over, without a digest for each."""
    columns = {
        "path": ",".join([f'"{path}"'] * files),
        "size": ",".join(["0"] * files),
        "offset": ",".join(["0"] * files),
    }
    written = ",".join(f'"{name}":[{text}]' for name, text in columns.items())
    chunks = '{"length":[],"stored":[],"blake3":""}'
    digests = "0" * 64 * files
    files_table = f'{{{written},"executable":[],"blake3":"{digests}"}}'
    return f'{{"chunks":{chunks},"encoder":"e","files":{files_table},"format":1}}'.encode()


class TestSize:
    """What would take all memory is refused before it does; 200 MiB are the bound, interpreter included."""

    @pytest.mark.parametrize(
        "raw",
        [
            pytest.param(lambda: table_text(1_000_001), id="a-million-files-and-one"),
            pytest.param(lambda: b" " * (512 << 20), id="spaces"),
            pytest.param(lambda: b'"' + b"a" * (300 << 20) + b'"', id="one-long-string"),
            pytest.param(lambda: b"[" * (300 << 20), id="brackets"),
            pytest.param(lambda: b'{"format":1,"chunks":[' + b"1," * (100 << 20) + b"1]}", id="numbers"),
            pytest.param(lambda: b'"' * (200 << 20), id="quotation-marks"),
        ],
    )
    def test_contents_without_measure_are_refused_within_bounds(self, target: Path, raw: Callable[[], bytes]) -> None:
        target.write_bytes(seal(raw()))
        assert peak_mebibytes(OPEN_AND_REFUSE, target) < 200

    def test_contents_larger_than_declared_are_refused_within_bounds(self, target: Path) -> None:
        raw = table_text(1)
        target.write_bytes(seal(raw, packed=compress(raw + b" " * (600 << 20))))
        assert peak_mebibytes(OPEN_AND_REFUSE, target) < 200

    def test_a_huge_sparse_file_is_refused_within_bounds(self, target: Path) -> None:
        size = 1 << 40
        with target.open("wb") as file:
            file.truncate(size)
            file.seek(size)
            file.write(footer(b"", 1000, length=size // 2))
        assert peak_mebibytes(OPEN_AND_REFUSE, target) < 200
