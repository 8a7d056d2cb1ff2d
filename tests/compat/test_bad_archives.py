"""Malicious and damaged archives are refused by name. No files are installed or left behind."""

from __future__ import annotations

import gzip
import json
import os
import resource
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.packages import packages
from orbitpkg.compat.sputnik.formats.conversion import convert_version
from orbitpkg.errors import ArchiveError, IntegrityError, ManifestError, NoSpace, OrbitError
from tests.compat.old_format import as_tar, md5, old_archive, old_package

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("home")

MIB = 1 << 20


def refuse(path: Path, match: str, kind: type[OrbitError] = IntegrityError) -> OrbitError:
    """Check that installing an archive fails and leaves no files behind."""
    before = {each for each in path.parent.rglob("*") if "home" not in each.parts}
    with pytest.raises(kind, match=match) as refused:
        install(path)
    assert packages() == []
    assert {each for each in path.parent.rglob("*") if "home" not in each.parts} == before
    temporary = Path(os.environ["ORBITPKG_HOME"]) / "store" / "v1" / "tmp"
    assert not temporary.exists() or list(temporary.iterdir()) == []
    return refused.value


def altered(tmp_path: Path, change: Callable[[dict[str, Any]], object]) -> Path:
    """Write an archive with a changed `meta.json`."""
    meta, body = old_package()
    change(meta)
    return as_tar(tmp_path / "bad.sputnik", [("archive.gz", body), ("meta.json", json.dumps(meta).encode())])


@pytest.mark.parametrize(
    ("path", "what"),
    [
        (["..", "x"], "contains the component '..'"),
        (["data", "..", "..", "x"], "contains the component '..'"),
        (["", "etc", "passwd"], "is absolute"),
        (["/etc/passwd"], "contains a slash"),
        (["data", "../../x"], "contains a slash"),
        (["C:", "x"], "contains ':'"),
        (["data\\x"], r"contains '\\\\'"),
        ([], "is empty"),
        ([""], "is empty"),
        (["data", "."], "contains the component '.'"),
        (["a\nb"], "control character"),
        (["a\0b"], "control character"),
        (["\ud800"], "unpaired surrogate"),
        (["nul.txt"], "device"),
        (["e\u0301"], "NFC"),
        (["x" * 256], "longer than 255"),
        (["package.json", "x"], "package.json"),
    ],
)
def test_unsafe_and_unportable_paths_are_refused(tmp_path: Path, path: list[str], what: str) -> None:
    refuse(altered(tmp_path, lambda meta: meta["manifest"][0].update(path=path)), what)


@pytest.mark.parametrize(
    "paths", [(["a"], ["a"]), (["a"], ["A"]), (["a"], ["a", "b"])], ids=["twice", "case", "file and directory"]
)
def test_conflicting_paths_are_refused(tmp_path: Path, paths: tuple[list[str], list[str]]) -> None:
    def change(meta: dict[str, Any]) -> None:
        for row, path in zip(meta["manifest"], paths, strict=False):
            row["path"] = path

    refuse(altered(tmp_path, change), "bad.sputnik contains")


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda meta: meta["manifest"][0].update(checksum=["md5", md5(b"other")]), "'data/model' .* is damaged"),
        (lambda meta: meta["manifest"][0].update(checksum=["md5", "0"]), "is not a valid md5"),
        (lambda meta: meta["manifest"][0].update(checksum=["crc32", "0" * 8]), "'crc32' is not supported"),
        (lambda meta: meta.update(archive=["archive.gz", md5(b"other")]), "has the MD5"),
        (lambda meta: meta["manifest"][0].update(size=31999), "does not end where|is damaged"),
        (lambda meta: meta["manifest"][0].update(size=32001), "is damaged"),
        (lambda meta: meta["manifest"][0].update(size=-1), "has -1 bytes"),
        (lambda meta: meta["manifest"][0].update(noffset=10), "does not end where"),
        (lambda meta: meta["manifest"][0].update(noffset=0), "between bytes 0 and 0"),
        (lambda meta: meta["manifest"][-1].update(noffset=10**9), "its manifest says 1,000,000,000"),
        (lambda meta: meta["manifest"].pop(), "its manifest says"),
        (lambda meta: meta.update(manifest=[]), "lists 0 files"),
        (lambda meta: meta.pop("manifest"), "'manifest' is missing"),
        (lambda meta: meta.pop("archive"), "'archive' is missing"),
        (lambda meta: meta.update(package=[]), "expected dict"),
        (lambda meta: meta["manifest"][0].update(size=True), "expected int"),
        (lambda meta: meta["manifest"][0].update(size=1.0), "expected int"),
        (lambda meta: meta["archive"].__setitem__(0, "../archive.gz"), "contains the component '..'"),
        (lambda meta: meta["package"].update(name="../evil"), "not a valid package name"),
        (lambda meta: meta["package"].update(name="a/b"), "not a valid package name"),
        (lambda meta: meta["package"].update(name="/etc"), "not a valid package name"),
        (lambda meta: meta["package"].update(name=""), "not a valid package name"),
        (lambda meta: meta["package"].update(name=None), "expected str"),
        (lambda meta: meta["package"].update(version=1.0), "expected str"),
        (lambda meta: meta["package"].update(version="abc"), "'abc' is not a valid version"),
        (lambda meta: meta["package"].update(version="1.2.3.4"), "has 4 numbers"),
        (lambda meta: meta["package"].update(version="1.0.0+linux"), "build metadata"),
        (lambda meta: meta["package"].update(version="../1.0.0"), "is not a valid version"),
        (lambda meta: meta["package"].update(license=["MIT"]), "license must be a string"),
        (lambda meta: meta["package"].update(compatibility="spacy"), "compatibility must map apps"),
        (lambda meta: meta["package"].update(compatibility={"spacy": 1}), "compatibility must map apps"),
    ],
)
def test_an_incorrect_meta_json_is_refused(
    tmp_path: Path, change: Callable[[dict[str, Any]], object], what: str
) -> None:
    refuse(altered(tmp_path, change), what)


def test_an_invalid_compatibility_is_refused_rather_than_dropped(tmp_path: Path) -> None:
    path = altered(tmp_path, lambda meta: meta["package"].update(compatibility={"spacy": "1.x or so"}))
    refuse(path, "not a valid PEP 440 version specifier", ManifestError)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (b"{", "not valid JSON"),
        (b"\xff\xfe", "UTF-8"),
        (b'{"a": 1, "a": 2}', "twice|duplicate"),
        (b'{"a": NaN}', "NaN"),
        (b"[" * 10000, "deep|nested|levels"),
        (b"[" + b"9" * 400 + b"]", "integer|digits|number"),
        (b"[]", "not in Sputnik's format"),
        (b"null", "not in Sputnik's format"),
    ],
)
def test_an_invalid_meta_json_is_refused(tmp_path: Path, text: bytes, what: str) -> None:
    refuse(as_tar(tmp_path / "bad.sputnik", [("archive.gz", b""), ("meta.json", text)]), what)


def member(name: str, kind: bytes, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_a_third_member_is_refused_and_not_unpacked(tmp_path: Path) -> None:
    meta, body = old_package()
    for number, extra in enumerate(
        [
            tarfile.TarInfo("setup.py"),
            tarfile.TarInfo("../../evil"),
            tarfile.TarInfo("/tmp/evil"),
            member("link", tarfile.SYMTYPE, "/etc/passwd"),
            member("hard", tarfile.LNKTYPE, "archive.gz"),
            member("device", tarfile.CHRTYPE),
            member("pipe", tarfile.FIFOTYPE),
            member("folder", tarfile.DIRTYPE),
            tarfile.TarInfo("meta.json"),
        ]
    ):
        for place in (0, 1, 2):
            members: list[tuple[str | tarfile.TarInfo, bytes]]
            members = [("archive.gz", body), ("meta.json", json.dumps(meta).encode())]
            members.insert(place, (extra, b""))
            refuse(as_tar(tmp_path / f"bad{number}{place}.sputnik", members), "has an invalid member")


@pytest.mark.parametrize("name", ["archive.gz", "meta.json"])
def test_a_member_that_is_a_link_is_refused(tmp_path: Path, name: str) -> None:
    meta, body = old_package()
    members: list[tuple[str | tarfile.TarInfo, bytes]]
    members = [("archive.gz", body), ("meta.json", json.dumps(meta).encode())]
    at = [each[0] for each in members].index(name)
    members[at] = (member(name, tarfile.SYMTYPE, "/etc/passwd"), b"")
    refuse(as_tar(tmp_path / "bad.sputnik", members), "is not a regular file")


@pytest.mark.parametrize("missing", ["archive.gz", "meta.json"])
def test_a_missing_member_is_reported(tmp_path: Path, missing: str) -> None:
    meta, body = old_package()
    members = [("archive.gz", body), ("meta.json", json.dumps(meta).encode())]
    refuse(as_tar(tmp_path / "bad.sputnik", [each for each in members if each[0] != missing]), "meta.json")


def test_a_header_that_declares_gigabytes_is_not_read(tmp_path: Path) -> None:
    info = member("x", tarfile.XHDTYPE)
    info.size = 4 << 30
    path = tmp_path / "bad.sputnik"
    with path.open("wb") as file:
        file.write(info.tobuf(tarfile.USTAR_FORMAT))
        file.truncate(5 << 30)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    refuse(path, "a tar header of")
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100 * 1024


def pax_header(body: bytes) -> bytes:
    """Return an extended header with its body, padded to whole blocks."""
    info = tarfile.TarInfo("pax")
    info.type, info.size = tarfile.XHDTYPE, len(body)
    return info.tobuf(tarfile.USTAR_FORMAT) + body + bytes(-len(body) % tarfile.BLOCKSIZE)


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    ("headers", "match"),
    [
        ([b"1" * 65_536], "a tar header of 65,536 bytes; the maximum is 4,096"),
        ([b"1" * 131_072], "a tar header of 131,072 bytes; the maximum is 4,096"),
        ([b"1" * 4_096] * 1_000, "more than 32,768 bytes of tar headers"),
        ([b"9 a=bcde\n"] * 5_000, "more than 32,768 bytes of tar headers"),
    ],
    ids=["64 KiB", "128 KiB", "many", "a long chain"],
)
def test_extended_headers_cost_little(tmp_path: Path, headers: list[bytes], match: str) -> None:
    meta, body = old_package()
    path = as_tar(tmp_path / "bad.sputnik", [("archive.gz", body), ("meta.json", json.dumps(meta).encode())])
    path.write_bytes(b"".join(map(pax_header, headers)) + path.read_bytes())
    refuse(path, match)


def test_a_bomb_is_unpacked_only_up_to_its_declared_size(tmp_path: Path) -> None:
    meta, _ = old_package({"data": b""})
    body = gzip.compress(bytes(200 * MIB), 1)
    meta["archive"][1] = md5(body)
    meta["manifest"][0].update(noffset=len(body), size=1000)
    members = [("archive.gz", body), ("meta.json", json.dumps(meta).encode())]
    refuse(as_tar(tmp_path / "bad.sputnik", members), "does not end where")


def test_an_archive_larger_than_the_free_space_is_refused_before_unpacking(tmp_path: Path) -> None:
    path = altered(tmp_path, lambda meta: meta["manifest"][0].update(size=1 << 60))
    refuse(path, "take 1,152,921,504,606,8", NoSpace)


def test_every_truncation_is_detected(tmp_path: Path) -> None:
    whole = old_archive(tmp_path / "whole", {"data": b"x" * 2000}).read_bytes()
    end = whole.rindex(b"}") + 1
    for length in range(0, end, 97):
        path = tmp_path / f"cut{length}.sputnik"
        path.write_bytes(whole[:length])
        with pytest.raises((IntegrityError, ManifestError)):
            install(path)
        path.unlink()
    assert packages() == []


def test_every_flipped_bit_is_detected(tmp_path: Path) -> None:
    whole = bytearray(old_archive(tmp_path / "whole", {"data": bytes(range(256)) * 10}).read_bytes())
    start = whole.index(b"\x1f\x8b")
    for at in range(start, start + 300, 7):
        whole[at] ^= 1
        path = tmp_path / "flipped.sputnik"
        path.write_bytes(whole)
        with pytest.raises(IntegrityError):
            install(path)
        whole[at] ^= 1


def test_a_file_that_is_not_an_archive_is_reported(tmp_path: Path) -> None:
    for data in (b"", b"PK\x03\x04", b"x" * 100_000):
        path = tmp_path / "bad.sputnik"
        path.write_bytes(data)
        refuse(path, "bad.sputnik", ArchiveError)


def test_a_folder_or_a_missing_file_is_reported(tmp_path: Path) -> None:
    (tmp_path / "folder.sputnik").mkdir()
    for name in ("folder.sputnik", "nothing.sputnik"):
        with pytest.raises(OrbitError, match=name):
            install(tmp_path / name)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("1.0.0", "1.0.0"),
        ("1.0", "1.0.0"),
        ("1", "1.0.0"),
        ("v1.2.3", "1.2.3"),
        ("0.100.0", "0.100.0"),
        ("2.0-rc.1", "2.0.0-rc.1"),
    ],
)
def test_versions_are_converted_to_semver_by_documented_rules(tmp_path: Path, old: str, new: str) -> None:
    assert str(convert_version(old)) == new
    package = install(old_archive(tmp_path / "a.sputnik", version=old))
    assert package.version == new
    kept = package.metadata["sputnik"]
    assert isinstance(kept, dict)
    assert (kept["version"], kept["ident"]) == (old, f"test-{old}")


def test_a_file_named_like_an_archive_of_the_package_is_reported(tmp_path: Path) -> None:
    refuse(old_archive(tmp_path / "a.sputnik", {"x": b"", "test-0.9.0.tar.zst": b""}), "looks like an archive")
