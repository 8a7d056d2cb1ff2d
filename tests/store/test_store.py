"""The local store: when a release becomes visible, and that reading it changes nothing."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from orbitpkg.api.install import install, install_all
from orbitpkg.api.options import InstallOptions
from orbitpkg.api.packages import package as open_package
from orbitpkg.api.packages import packages, remove, verify
from orbitpkg.api.publish import build, publish
from orbitpkg.errors import (
    FileNotInPackage,
    IntegrityError,
    NoSpace,
    NotInstalled,
    ReadOnlyStore,
    StorageError,
    UsageError,
)
from orbitpkg.files.content import clone_or_link
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.sync import sync_files
from orbitpkg.store.store import Finding, FindingKind, Store
from tests.packages import archive_of, make_package, noise, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.store.package import Package

# The modules are loaded first: the interpreter itself may lie where only root can read.
READ_AS_NOBODY = """
import os, orbitpkg
orbitpkg.package("model").contents
try:
    orbitpkg.remove("other")
except orbitpkg.NotInstalled:
    pass
os.setuid(65534)
print(orbitpkg.package("model").read_text("data/labels.csv"))
try:
    orbitpkg.remove("model")
except orbitpkg.OrbitError as error:
    print(type(error).__name__)
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder that is not made yet."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    return tmp_path / "home"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = make_package(tmp_path / "package", license="MIT", metadata={"accuracy": 0.9})
    (package / "notes/config.json").write_text('{"layers": 3}')
    return package


@pytest.fixture
def archive(folder: Path, tmp_path: Path) -> Path:
    return archive_of(folder, tmp_path / "model-1.0.0.tar.zst")


@pytest.fixture
def package(archive: Path) -> Package:
    return install(archive)


class TestUsing:
    def test_its_attributes_are_those_of_its_manifest(self, package: Package) -> None:
        assert (package.name, package.version, package.license) == ("model", "1.0.0", "MIT")
        assert package.metadata == {"accuracy": 0.9}
        assert package.description == ""
        assert package.compatibility == {}

    def test_its_files_are_the_authors(self, package: Package, folder: Path) -> None:
        assert tree_of(package.path) == tree_of(folder)

    @pytest.mark.parametrize("parts", [("data", "model.pkl"), ("data/model.pkl",)])
    def test_a_file_is_found_by_parts_or_by_one_path(self, package: Package, parts: tuple[str, ...]) -> None:
        assert package.file_path(*parts) == package.path / "data" / "model.pkl"

    def test_files_can_be_read_in_every_way(self, package: Package) -> None:
        assert package.read_bytes("data/labels.csv") == b"a,b\n1,2\n"
        assert package.read_text("data", "labels.csv") == "a,b\n1,2\n"
        assert package.load_json("notes", "config.json") == {"layers": 3}
        with package.open("data/labels.csv") as text, package.open("data/labels.csv", mode="rb") as binary:
            assert text.read().encode() == binary.read()

    def test_files_lists_them_in_order(self, package: Package, folder: Path) -> None:
        assert list(package.files()) == sorted(tree_of(folder))

    def test_directories_and_files_are_not_interchangeable(self, package: Package) -> None:
        assert not package.has_file("data")
        assert package.has_file("data", "labels.csv")
        with pytest.raises(FileNotInPackage) as caught:
            package.file_path("data")
        assert caught.value.hint == "It is a directory: use dir_path('data')."
        assert package.dir_path("data") == package.path / "data"
        assert package.dir_path() == package.path
        with pytest.raises(FileNotInPackage):
            package.dir_path("data/labels.csv")

    def test_a_missing_file_names_the_nearest(self, package: Package) -> None:
        with pytest.raises(FileNotInPackage, match=r"model 1\.0\.0 has no file 'data/model\.pk'") as caught:
            package.file_path("data", "model.pk")
        assert caught.value.hint == "Did you mean 'data/model.pkl'?"
        with pytest.raises(FileNotFoundError):
            package.file_path("data", "model.pk")

    @pytest.mark.parametrize("path", ["", ".", "..", "../release.json", "data/../data/labels.csv", "/etc/passwd",
                                      "data//labels.csv", "data\\labels.csv", "a\0b", "./empty"])  # fmt: skip
    def test_a_path_that_leaves_the_package_or_has_two_spellings_is_refused(self, package: Package, path: str) -> None:
        with pytest.raises(FileNotInPackage):
            package.file_path(path)
        assert not package.has_file(path)

    @pytest.mark.parametrize("mode", ["w", "r+", "a", "x", "rbx", ""])
    def test_files_cannot_be_opened_for_writing(self, package: Package, mode: str) -> None:
        with pytest.raises(ValueError, match="can only be read"):
            package.open("empty", mode=mode)  # type: ignore[call-overload]

    def test_installed_files_are_read_only_and_keep_their_execute_bit(self, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "p", name="tools", files={"run": b"#!/bin/sh\n", "data": b"x" * 50_000})
        (folder / "run").chmod(0o700)
        package = install(archive_of(folder, tmp_path / "tools.tar.zst"))
        assert stat.S_IMODE(package.file_path("run").stat().st_mode) & 0o333 == 0o111
        assert stat.S_IMODE(package.file_path("data").stat().st_mode) & 0o333 == 0

    def test_a_package_that_is_not_installed_is_an_error_with_a_hint(self, home: Path) -> None:
        with pytest.raises(NotInstalled, match="model is not installed in") as caught:
            open_package("model")
        assert caught.value.hint == "orbitpkg install model"
        assert not home.exists()

    def test_a_version_that_is_not_installed_names_those_that_are(self, package: Package) -> None:
        with pytest.raises(NotInstalled, match=r"matches model>=2; installed: 1\.0\.0") as c:
            open_package("model>=2")
        assert c.value.hint == "orbitpkg install 'model>=2'"
        assert package.version == "1.0.0"

    def test_a_misspelt_name_names_the_nearest(self, package: Package) -> None:
        with pytest.raises(NotInstalled) as caught:
            open_package("modle")
        assert caught.value.hint is not None
        assert caught.value.hint.startswith("Did you mean model?")
        assert open_package("MODEL") == package

    def test_the_best_installed_version_is_given_and_a_pre_release_only_when_asked_for(self, tmp_path: Path) -> None:
        for version in ("1.0.0", "9.0.0", "10.0.0", "11.0.0-rc.1"):
            install(archive_of(make_package(tmp_path / version, version=version), tmp_path / f"{version}.tar.zst"))
        assert open_package("model").version == "10.0.0"
        assert open_package("model<10").version == "9.0.0"
        assert open_package("model", prereleases=True).version == "11.0.0-rc.1"
        assert open_package("model==11.0.0-rc.1").version == "11.0.0-rc.1"

    def test_using_a_package_changes_nothing_on_the_disk(self, package: Package, home: Path) -> None:
        before = {path: path.stat().st_mtime_ns for path in home.rglob("*")}
        open_package("model").file_path("data", "model.pkl")
        assert package.files()
        assert {path: path.stat().st_mtime_ns for path in home.rglob("*")} == before

    def test_a_user_with_read_access_to_the_store_can_use_it(self, package: Package, home: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("changing to another user takes root: run the tests as root")
        for path in [home, *home.parents]:
            path.chmod(path.stat().st_mode | 0o055)
        done = subprocess.run([sys.executable, "-c", READ_AS_NOBODY], capture_output=True, text=True, check=True)
        assert done.stdout == "a,b\n1,2\n\nReadOnlyStore\n"
        assert verify() == [(package, [])]

    def test_a_damaged_record_is_an_error_with_a_hint(self, package: Package, home: Path) -> None:
        record = home / "store/v1/packages/model/1.0.0/release.json"
        record.chmod(0o644)
        record.write_text("{}")
        with pytest.raises(StorageError, match="is damaged") as caught:
            open_package("model")
        assert caught.value.hint is not None
        assert "orbitpkg remove model==1.0.0" in caught.value.hint
        assert package.version == "1.0.0"


class TestInstalling:
    def test_every_file_is_at_its_documented_path(self, package: Package, home: Path) -> None:
        folder = home / "store/v1/packages/model/1.0.0"
        assert sorted(os.listdir(folder)) == ["contents", "files", "listing", "origin", "release.json"]
        assert package.path == folder / "files"
        assert os.listdir(home / "store/v1/tmp") == []

    def test_the_home_is_private(self, package: Package, home: Path) -> None:
        assert package.version
        assert stat.S_IMODE(home.stat().st_mode) == 0o700

    def test_the_home_is_private_when_something_else_is_made_in_it_first(self, folder: Path, home: Path) -> None:
        publish(folder)
        assert stat.S_IMODE(home.stat().st_mode) == 0o700

    def test_some_files_first_and_the_rest_later(self, archive: Path, folder: Path) -> None:
        some = install(archive, only="data/*.csv")
        assert list(some.files()) == ["data/labels.csv", "package.json"]
        assert not some.is_complete
        with pytest.raises(FileNotInPackage, match=r"no file 'data/model\.pkl'") as caught:
            some.file_path("data/model.pkl")
        assert (
            caught.value.hint
            == "The release has this file, but it is not installed. To install it: orbitpkg install model==1.0.0"
        )
        more = install(archive, only=["data/*.csv", "empty"])
        assert list(more.files()) == ["data/labels.csv", "empty", "package.json"]
        assert verify() == [(more, [])]
        whole = install(archive)
        assert whole.is_complete
        assert tree_of(whole.path) == tree_of(folder)

    def test_files_of_a_complete_package_are_present_already(self, package: Package, archive: Path) -> None:
        assert install(archive, only="data/*.csv").is_complete
        assert package.is_complete

    def test_a_glob_that_matches_no_file_is_an_error(self, archive: Path) -> None:
        with pytest.raises(UsageError, match=r"--only 'data/model\.pk' matches no file") as caught:
            install(archive, only="data/model.pk")
        assert caught.value.hint == "Did you mean data/model.pkl?"

    def test_releases_share_the_files_they_have_in_common(self, tmp_path: Path) -> None:
        for version in ("1.0.0", "2.0.0"):
            files = {"same.bin": noise(100_000), "other": version.encode()}
            folder = make_package(tmp_path / version, version=version, files=files)
            install(archive_of(folder, tmp_path / f"{version}.tar.zst"))
        first, second = (open_package(f"model=={version}").file_path("same.bin") for version in ("1.0.0", "2.0.0"))
        assert first.stat().st_ino == second.stat().st_ino

    def test_an_altered_blob_is_never_installed_again(self, tmp_path: Path, home: Path) -> None:
        files = {"same.bin": noise(100_000)}
        one = make_package(tmp_path / "1", version="1.0.0", files=files)
        two = make_package(tmp_path / "2", version="2.0.0", files=files)
        install(archive_of(one, tmp_path / "1.tar.zst"))
        (blob,) = (path for path in (home / "store/v1/blobs").rglob("*") if path.is_file())
        blob.chmod(0o644)
        blob.write_bytes(noise(100_000, seed=1))
        installed = install(archive_of(two, tmp_path / "2.tar.zst"))
        assert installed.read_bytes("same.bin") == files["same.bin"]

    def test_the_same_content_in_executable_and_not_is_kept_apart(self, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "p", files={"a": noise(50_000), "b": noise(50_000)})
        (folder / "b").chmod(0o755)
        package = install(archive_of(folder, tmp_path / "p.tar.zst"))
        assert tree_of(package.path) == tree_of(folder)

    def test_other_content_under_an_installed_version_is_refused(self, package: Package, tmp_path: Path) -> None:
        other = make_package(tmp_path / "other", files={"data": b"foreign"})
        with pytest.raises(
            IntegrityError, match=r"differs from the installed model 1\.0\.0, which came from"
        ) as caught:
            install(archive_of(other, tmp_path / "other.tar.zst"))
        assert caught.value.hint is not None
        assert "orbitpkg remove model==1.0.0" in caught.value.hint
        assert verify() == [(package, [])]

    def test_16_at_once_install_it_once(self, archive: Path, home: Path) -> None:
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(install, [archive] * 16))
        assert len(set(results)) == 1
        assert verify() == [(results[0], [])]
        assert os.listdir(home / "store/v1/tmp") == []

    def test_a_damaged_archive_leaves_nothing(self, archive: Path, home: Path) -> None:
        data = bytearray(archive.read_bytes())
        data[len(data) // 3] ^= 0xFF
        archive.write_bytes(data)
        with pytest.raises(IntegrityError):
            install(archive)
        assert packages() == []
        assert not any(path.is_file() and path.suffix != ".lock" for path in home.rglob("*"))


class TestFullDisks:
    """A real file system of 4 MiB, which only root can mount."""

    @pytest.fixture
    def small_disk(self, tmp_path: Path) -> Path:
        disk = tmp_path / "disk"
        disk.mkdir()
        if os.geteuid() != 0:
            pytest.skip("mounting a small file system takes root: run the tests as root")
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", disk], check=False, capture_output=True
        )
        if done.returncode:
            pytest.skip(f"a small file system could not be mounted: {done.stderr.decode().strip()}")
        return disk

    def test_a_full_disk_is_an_error_and_leaves_the_store_unchanged(
        self, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        try:
            monkeypatch.setenv("ORBITPKG_HOME", str(small_disk / "home"))
            small = make_package(tmp_path / "small", name="small", files={"data": noise(500_000)})
            first = install(archive_of(small, tmp_path / "small.tar.zst"))
            large = make_package(tmp_path / "large", name="large", files={"data": noise(8 << 20)})
            with pytest.raises(NoSpace) as caught:
                install(archive_of(large, tmp_path / "large.tar.zst"))
            assert caught.value.hint is not None
            assert packages() == [first]
            assert verify() == [(first, [])]
            assert os.listdir(small_disk / "home/store/v1/tmp") == []
        finally:
            subprocess.run(["umount", small_disk], check=True)

    def test_no_space_for_an_archive_leaves_none(self, small_disk: Path, tmp_path: Path) -> None:
        try:
            large = make_package(tmp_path / "large", files={"data": noise(8 << 20)})
            with pytest.raises(NoSpace):
                build(large, small_disk)
            assert os.listdir(small_disk) == []
        finally:
            subprocess.run(["umount", small_disk], check=True)


class TestRemoving:
    def test_one_version_is_removed_and_the_others_stay(self, package: Package, tmp_path: Path) -> None:
        two = make_package(tmp_path / "two", version="2.0.0")
        other = install(archive_of(two, tmp_path / "two.tar.zst"))
        (removed,) = remove("model==1.0.0")
        assert (removed.name, removed.version) == ("model", "1.0.0")
        assert packages() == [other]
        assert not package.path.exists()
        assert verify() == [(other, [])]

    def test_a_bare_name_is_all_versions_and_their_blobs(self, package: Package, home: Path) -> None:
        assert package.version
        (removed,) = remove("model")
        assert removed.freed > 0
        assert [path for path in (home / "store/v1").rglob("*") if path.is_file() and path.suffix != ".lock"] == []

    def test_a_dry_run_removes_nothing(self, package: Package) -> None:
        assert [removed.version for removed in remove("model", dry_run=True)] == ["1.0.0"]
        assert packages() == [package]

    def test_a_package_that_is_not_installed_cannot_be_removed(self, package: Package) -> None:
        for requirement in ("typo", "model>=2"):
            with pytest.raises(NotInstalled):
                remove(requirement)
        assert packages() == [package]


class TestVerifying:
    def test_missing_altered_and_extra_files_are_distinguished(self, package: Package) -> None:
        folder = package.path
        (folder / "empty").unlink()
        (folder / "data/labels.csv").chmod(0o644)
        (folder / "data/labels.csv").write_bytes(b"a,b\n1,3\n")
        (folder / "data/extra").write_bytes(b"")
        assert verify(["model"]) == [
            (
                package,
                [
                    Finding(path="data/extra", kind=FindingKind.EXTRA),
                    Finding(path="data/labels.csv", kind=FindingKind.ALTERED),
                    Finding(path="empty", kind=FindingKind.MISSING),
                ],
            )
        ]

    def test_altered_contents_are_an_error(self, package: Package) -> None:
        place = package.path.parent / "contents"
        place.chmod(0o644)
        place.write_bytes(place.read_bytes()[:-1] + b"!")
        with pytest.raises(IntegrityError):
            verify()

    def test_a_package_that_is_not_installed_cannot_be_verified(self, package: Package) -> None:
        assert package.version
        with pytest.raises(NotInstalled):
            verify(["typo"])


class TestDependencies:
    def test_they_are_included(self, tmp_path: Path) -> None:
        repository = tmp_path / "repository"
        for name, version, needs in [
            ("a", "1.0.0", {"B": "^1.0"}),
            ("b", "1.0.0", {}),
            ("b", "1.5.0", {"c": ""}),
            ("b", "2.0.0", {}),
            ("c", "3.0.0", {}),
        ]:
            publish(
                make_package(tmp_path / f"{name}{version}", name=name, version=version, dependencies=needs), repository
            )
        result = install_all(["a"], InstallOptions(repository=repository))
        assert [str(package) for package in result.packages] == ["<orbitpkg.Package a==1.0.0>"]
        assert {package.name: package.version for package in result.dependencies} == {"b": "1.5.0", "c": "3.0.0"}

    def test_an_archives_dependencies_come_from_the_repository(self, tmp_path: Path) -> None:
        repository = tmp_path / "repository"
        publish(make_package(tmp_path / "b", name="b"), repository)
        a = make_package(tmp_path / "a", name="a", dependencies={"b": ">=1"})
        install(archive_of(a, tmp_path / "a.tar.zst"), repository=repository)
        assert [package.name for package in packages()] == ["a", "b"]

    def test_an_app_that_a_release_does_not_work_with_gets_another(self, tmp_path: Path) -> None:
        repository = tmp_path / "repository"
        for version, works in [("1.0.0", "<2"), ("2.0.0", ">=2")]:
            folder = make_package(tmp_path / version, version=version, compatibility={"my_app": works})
            publish(folder, repository)
        assert install("model", repository=repository, app="my-app==1.4").version == "1.0.0"
        assert install("model", repository=repository, app="my_app==2.0").version == "2.0.0"
        result = install_all(["model"], InstallOptions(repository=repository))
        assert result.unchecked == {"model": ("my_app",)}


class TestLocalFiles:
    def test_files_are_copied_where_links_are_not_supported(self, tmp_path: Path) -> None:
        source, target = tmp_path / "source", tmp_path / "target"
        source.write_bytes(b"content")
        clone_or_link(str(source), str(target))
        assert target.read_bytes() == b"content"
        with pytest.raises(FileExistsError):
            clone_or_link(str(source), str(target))

    @pytest.mark.parametrize("count", [1, 40])
    def test_files_and_their_folders_can_be_synced(self, tmp_path: Path, count: int) -> None:
        paths = []
        for number in range(count):
            path = tmp_path / f"folder{number % 3}" / f"file{number}"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(b"x")
            paths.append(str(path))
        sync_files(paths, folder=str(tmp_path))
        assert len(paths) == count

    def test_system_errors_are_translated(self) -> None:
        for number, kind in [(28, NoSpace), (13, ReadOnlyStore), (30, ReadOnlyStore), (5, StorageError)]:
            with pytest.raises(kind, match="/place"), storage_errors("/place"):
                raise OSError(number, os.strerror(number))

    def test_a_store_lists_nothing_before_it_is_made(self, home: Path) -> None:
        assert Store(home).packages() == []
        assert json.dumps(packages()) == "[]"
