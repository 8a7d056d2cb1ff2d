"""Verifying and repairing what is installed: what is found, what is fetched, what is kept."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api import maintain
from orbitpkg.api.install import install
from orbitpkg.config.repositories import default_repository
from orbitpkg.config.repositories import home as home_folder
from orbitpkg.errors import IntegrityError, LockTimeout, NotInstalled, UsageError
from orbitpkg.store.condition import Finding, FindingKind
from orbitpkg.store.store import Store
from tests.packages import archive_of, make_package, noise, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from orbitpkg.store.package import Package

LARGE = 12_000_000


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    for variable in ("ORBITPKG_REPOSITORY", "ORBITPKG_LOCK_TIMEOUT"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_package(tmp_path / "package", files={"big.bin": noise(LARGE), "data/a": b"a\n", "data/b": b"b\n"})


@pytest.fixture
def package(folder: Path) -> Package:
    """A package with a file of many chunks, installed from the default repository."""
    orbitpkg.publish(folder)
    return orbitpkg.install("model")


def change(path: Path, action: Callable[[Path], object]) -> None:
    """Do something to an installed file that its mode forbids."""
    path.chmod(0o644)
    action(path)


def flip(path: Path, at: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 0xFF]))


def only(checked: list[maintain.Checked]) -> maintain.Checked:
    (one,) = checked
    return one


def flaws(checked: maintain.Checked) -> dict[str, FindingKind]:
    return {finding.path: finding.kind for finding in checked.findings}


class TestChecking:
    def test_an_intact_release_has_no_flaws(self, package: Package) -> None:
        assert only(maintain.check()).findings == ()
        assert only(maintain.check(quick=True)).findings == ()
        assert package.is_complete

    def test_missing_altered_and_extra_files_are_distinguished(self, package: Package) -> None:
        change(package.path / "big.bin", lambda path: flip(path, 5_000_000))
        (package.path / "data/a").unlink()
        (package.path / "data/c").touch()
        found = only(maintain.check())
        assert flaws(found) == {
            "big.bin": FindingKind.ALTERED,
            "data/a": FindingKind.MISSING,
            "data/c": FindingKind.EXTRA,
        }
        assert maintain.finding_bits(finding.kind for finding in found.findings) == 16 + 32 + 64
        assert found.left == found.findings

    @pytest.mark.parametrize("bits", range(16, 128, 16))
    def test_no_sum_of_bits_is_an_exit_code_of_another_meaning(self, bits: int) -> None:
        assert bits not in {0, 1, 2, 70, 130}
        assert bits < 128

    def test_a_quick_check_finds_changed_sizes_and_files_changed_since_the_install(self, package: Package) -> None:
        record = package.path.parent / "release.json"
        os.utime(record, ns=(0, record.stat().st_mtime_ns - 1))
        change(package.path / "data/a", lambda path: path.write_bytes(b"longer"))
        change(package.path / "data/b", lambda path: path.write_bytes(b"x\n"))
        assert flaws(only(maintain.check(quick=True))) == {"data/a": FindingKind.ALTERED, "data/b": FindingKind.ALTERED}

    def test_a_quick_check_accepts_files_with_unchanged_size_and_time(self, package: Package) -> None:
        path = package.path / "data/a"
        before = path.stat()
        change(path, lambda path: path.write_bytes(b"x\n"))
        os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
        assert only(maintain.check(quick=True)).findings == ()
        assert flaws(only(maintain.check())) == {"data/a": FindingKind.ALTERED}

    def test_files_that_are_newer_than_their_release_and_right_are_right(self, package: Package) -> None:
        os.utime(package.path / "data/a", ns=(0, (package.path.parent / "release.json").stat().st_mtime_ns + 10**9))
        assert only(maintain.check(quick=True)).findings == ()

    def test_a_foreign_object_in_place_of_a_file_is_never_opened(self, package: Package) -> None:
        (package.path / "data/a").unlink()
        os.mkfifo(package.path / "data/a")
        (package.path / "data/b").unlink()
        (package.path / "data/b").symlink_to("/dev/zero")
        assert flaws(only(maintain.check())) == {"data/a": FindingKind.ALTERED, "data/b": FindingKind.ALTERED}

    def test_a_folder_that_a_link_stands_for_is_not_entered(self, package: Package) -> None:
        (package.path / "loop").symlink_to("..")
        assert flaws(only(maintain.check())) == {"loop": FindingKind.EXTRA}

    @pytest.mark.parametrize("name", ["release.json", "contents", "origin"])
    def test_files_of_the_store_beside_a_release_are_checked(self, package: Package, name: str) -> None:
        (package.path.parent / name).unlink()
        assert flaws(only(maintain.check())) == {f"../{name}": FindingKind.MISSING}

    @pytest.mark.parametrize("name", ["release.json", "contents"])
    @pytest.mark.parametrize("data", [b"", b"{}", b'{"format":1,"name":"model","version":"1.0.0"}'])
    def test_an_altered_record_stops_no_look_at_the_others(self, package: Package, name: str, data: bytes) -> None:
        (package.path.parent / name).write_bytes(data)
        assert flaws(only(maintain.check())) == {f"../{name}": FindingKind.ALTERED}

    @pytest.mark.usefixtures("package")
    def test_only_requested_files_are_examined(self, tmp_path: Path) -> None:
        other = make_package(tmp_path / "other", name="other", files={"x": b"x"})
        install(archive_of(other, tmp_path / "other.tar.zst"))
        assert [each.name for each in maintain.check(["other"])] == ["other"]
        assert [each.name for each in maintain.check(["other", "model>=1"])] == ["model", "other"]
        with pytest.raises(NotInstalled, match="No installed version of model matches"):
            maintain.check(["other", "model>=2"])


class TestRepairing:
    def test_it_is_as_published_afterwards_and_was_never_partial(self, package: Package, folder: Path) -> None:
        change(package.path / "big.bin", lambda path: flip(path, 5_000_000))
        change(package.path / "data/a", lambda path: path.write_bytes(b"x"))
        (package.path / "data/b").unlink()
        done = only(maintain.check(repair=True))
        assert (len(done.findings), done.left, done.failure) == (3, (), None)
        assert tree_of(package.path) == tree_of(folder)
        assert only(maintain.check()).findings == ()
        assert os.listdir(home_folder() / "store/v1/tmp") == []

    def test_only_the_broken_chunks_are_fetched(self, package: Package) -> None:
        change(package.path / "big.bin", lambda path: flip(path, 5_000_000))
        place = package.contents.by_path["big.bin"].offset + 5_000_000
        (broken,) = (chunk for chunk in package.contents.chunks if 0 <= place - chunk.offset < chunk.length)
        assert only(maintain.check(repair=True)).fetched == broken.stored

    def test_completing_a_truncated_file_fetches_only_the_rest(self, package: Package) -> None:
        change(package.path / "big.bin", lambda path: os.truncate(path, LARGE // 2))
        assert 0 < only(maintain.check(repair=True)).fetched < LARGE * 3 // 4

    def test_an_altered_blob_is_evicted(self, package: Package, home: Path) -> None:
        change(package.path / "big.bin", lambda path: flip(path, 5_000_000))
        (blob,) = (path for path in (home / "store/v1/blobs").rglob("*") if path.is_file())
        assert blob.read_bytes() != noise(LARGE)
        maintain.check(repair=True)
        assert blob.read_bytes() == noise(LARGE)

    def test_a_file_whose_blob_is_sound_is_made_from_it(self, package: Package) -> None:
        (package.path / "big.bin").unlink()
        assert only(maintain.check(repair=True)).fetched == 0
        assert package.read_bytes("big.bin") == noise(LARGE)

    @pytest.mark.usefixtures("package")
    def test_data_in_another_installed_version_are_not_fetched(self, tmp_path: Path, home: Path) -> None:
        orbitpkg.publish(make_package(tmp_path / "2", version="2.0.0", files={"big.bin": noise(LARGE), "new": b"n"}))
        newer = orbitpkg.install("model==2.0.0")
        for path in (home / "store/v1/blobs").rglob("*"):
            if path.is_file():
                path.unlink()
        (newer.path / "big.bin").unlink()
        chunks = newer.contents.chunks
        assert only(maintain.check(["model==2.0.0"], repair=True)).fetched <= chunks[0].stored + chunks[-1].stored
        assert newer.read_bytes("big.bin") == noise(LARGE)

    def test_extra_files_are_moved_aside_not_deleted(self, package: Package, folder: Path) -> None:
        (package.path / "data/notes").mkdir()
        (package.path / "data/notes/mine.txt").write_text("a day's work")
        done = only(maintain.check(repair=True))
        assert done.left == ()
        assert done.aside is not None
        assert Path(done.aside, "data/notes/mine.txt").read_text() == "a day's work"
        assert tree_of(package.path) == tree_of(folder)

    def test_folders_and_links_in_the_place_of_files_and_files_in_that_of_folders(
        self, package: Package, folder: Path, tmp_path: Path
    ) -> None:
        (package.path / "big.bin").unlink()
        (package.path / "big.bin/deeper").mkdir(parents=True)
        (package.path / "data").rename(tmp_path / "elsewhere")
        (package.path / "data").symlink_to(tmp_path / "elsewhere")
        done = only(maintain.check(repair=True))
        assert done.left == ()
        assert tree_of(package.path) == tree_of(folder)
        assert (tmp_path / "elsewhere/a").exists()

    @pytest.mark.parametrize("name", ["release.json", "contents", "origin"])
    def test_files_of_the_store_beside_a_release_are_restored(self, package: Package, name: str, folder: Path) -> None:
        path = package.path.parent / name
        before = path.read_bytes()
        path.unlink()
        (package.path / "data/a").unlink()
        done = only(maintain.check(repair=True, repository=default_repository()))
        assert (done.left, done.failure) == ((), None)
        assert path.read_bytes() == before
        assert tree_of(package.path) == tree_of(folder)

    def test_a_damaged_record_comes_from_the_origin(self, package: Package) -> None:
        path = package.path.parent / "release.json"
        before = path.read_bytes()
        path.write_bytes(b"{")
        assert only(maintain.check(repair=True)).left == ()
        assert path.read_bytes() == before

    def test_a_package_from_an_archive_is_repaired_from_it(self, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "p")
        archive = archive_of(folder, tmp_path / "p.tar.zst")
        package = install(archive)
        (package.path / "data/labels.csv").unlink()
        assert only(maintain.check(repair=True)).left == ()
        assert tree_of(package.path) == tree_of(folder)

    def test_another_archive_in_its_place_is_refused(self, tmp_path: Path) -> None:
        package = install(archive_of(make_package(tmp_path / "p"), tmp_path / "p.tar.zst"))
        (package.path / "data/model.pkl").unlink()
        (package.path / "data/labels.csv").unlink()
        archive_of(make_package(tmp_path / "q", files={"data/labels.csv": b"forged"}), tmp_path / "p.tar.zst")
        done = only(maintain.check(repair=True))
        assert isinstance(done.failure, IntegrityError)
        assert flaws(done)["data/labels.csv"] is FindingKind.MISSING
        assert not package.has_file("data/labels.csv")

    def test_one_that_cannot_be_repaired_stops_no_other(self, package: Package, tmp_path: Path) -> None:
        archive = archive_of(make_package(tmp_path / "o", name="other", files={"x": b"x"}), tmp_path / "o.tar.zst")
        other = install(archive)
        archive.unlink()
        (other.path / "x").unlink()
        (package.path / "data/a").unlink()
        model, gone = maintain.check(repair=True)
        assert (model.left, model.failure) == ((), None)
        assert gone.left == (Finding(path="x", kind=FindingKind.MISSING),)
        assert gone.failure is not None

    def test_omitted_files_stay_omitted(self, folder: Path) -> None:
        orbitpkg.publish(folder)
        package = orbitpkg.install("model", only="data/*")
        change(package.path / "data/a", lambda path: path.write_bytes(b"x"))
        assert only(maintain.check(repair=True)).left == ()
        assert package.files() == ("data/a", "data/b", "package.json")
        assert not package.is_complete


class TestWaiting:
    def test_a_lock_is_waited_for_as_long_as_the_environment_variable_sets(
        self, package: Package, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (package.path / "data/a").unlink()
        release = orbitpkg.publish(_published_again(package)).release
        monkeypatch.setenv("ORBITPKG_LOCK_TIMEOUT", "0")
        with Store(home_folder()).lock(release):
            done = only(maintain.check(repair=True))
        assert isinstance(done.failure, LockTimeout)
        assert "for more than 0 seconds" in done.failure.message
        assert only(maintain.check(repair=True)).left == ()

    @pytest.mark.parametrize("said", ["soon", "-1", "inf", "nan"])
    def test_a_wait_that_is_not_a_number_of_seconds_is_refused(
        self, package: Package, monkeypatch: pytest.MonkeyPatch, said: str
    ) -> None:
        monkeypatch.setenv("ORBITPKG_LOCK_TIMEOUT", said)
        orbitpkg.remove("model")
        with pytest.raises(UsageError, match="ORBITPKG_LOCK_TIMEOUT"):
            orbitpkg.install("model")
        assert package.version == "1.0.0"


def _published_again(package: Package) -> Path:
    return Path(package.origin.removeprefix("file://")).parents[1] / "package"
