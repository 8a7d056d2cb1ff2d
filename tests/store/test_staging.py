"""Staging a release, and resuming installs that were interrupted, lost files or were damaged."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.packages import package as open_package
from orbitpkg.api.packages import packages, remove, verify
from orbitpkg.api.publish import publish as publish_package
from orbitpkg.api.search import released
from orbitpkg.errors import IntegrityError, NotInstalled, OrbitError, StorageError
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.model.versions import parse_version
from orbitpkg.store.staging import is_abandoned
from orbitpkg.store.store import Store
from tests.packages import archive_of, make_package, noise

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.model.contents import FileEntry
    from orbitpkg.store.staging import Staging

FILES = {"a/one": b"1" * 100, "a/two": b"2" * 100, "b/three": noise(70_000)}
VERSION = parse_version("1.0.0")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return archive_of(make_package(tmp_path / "p", files=FILES), tmp_path / "model.tar.zst")


@pytest.fixture
def store(home: Path) -> Store:
    return Store(home)


def staged(store: Store, archive: Path, *paths: str) -> tuple[Staging, bytes, list[FileEntry]]:
    """Stage some files of a release, as an install does before it makes them visible."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORBITPKG_HOME", str(archive.parent / "another home"))
        package = install(archive)
    release = released("model", repository=publish(archive))
    staging = store.stage(release, origin="somewhere")
    files = [file for file in package.contents.files if file.path in paths]
    for file in files:
        target = staging.path(file)
        os.makedirs(os.path.dirname(target), exist_ok=True)  # noqa: PTH103, PTH120
        with open(target, "wb") as stream:  # noqa: PTH123
            stream.write(package.read_bytes(file.path))
    return staging, (package.path.parent / "contents").read_bytes(), files


def publish(archive: Path) -> Path:
    repository = archive.parent / "repository"
    publish_package(archive, repository)
    return repository


def test_leftovers_of_unwanted_files_never_become_visible(store: Store, archive: Path, home: Path) -> None:
    """An install of some files is killed in the middle of one; the next one wants others."""
    staging, _, files = staged(store, archive, "b/three")
    with open(staging.path(files[0]), "r+b") as half:  # noqa: PTH123
        half.truncate(1000)
    store.offer_for_reuse(staging)
    package = install("model", repository=archive.parent / "repository", only="a/*")
    assert not package.has_file("b/three")
    assert [findings for _, findings in verify() if findings] == []
    assert os.listdir(home / "store/v1/tmp") == []


def test_leftovers_of_a_partial_install_do_not_make_a_complete_one_partial(store: Store, archive: Path) -> None:
    staging, _, _ = staged(store, archive)
    with open(f"{staging.folder}/state.json", "xb"):  # noqa: PTH123
        pass
    store.offer_for_reuse(staging)
    assert install("model", repository=archive.parent / "repository").is_complete


def test_two_installs_at_once_never_share_a_folder(store: Store, archive: Path) -> None:
    one, _, _ = staged(store, archive)
    two = store.stage(one.release, origin="somewhere")
    assert one.folder != two.folder
    assert not is_abandoned(one.folder)


def test_leftovers_of_a_dead_process_are_taken_over(store: Store, archive: Path) -> None:
    staging, _, _ = staged(store, archive, "b/three")
    script = (
        "import os, sys; from orbitpkg.store import staging\n"
        "tmp, name = os.path.split(sys.argv[1]); label = name.partition('_')[0]\n"
        "os.rename(sys.argv[1], f'{tmp}/{label}_{staging._owner()}_0123abcd')\n"
    )
    subprocess.run([sys.executable, "-c", script, staging.folder], check=True)
    again = store.stage(staging.release, origin="somewhere")
    assert os.path.getsize(f"{again.files}/b/three") == 70_000  # noqa: PTH202
    assert len(os.listdir(store.layout.tmp)) == 1


def test_the_rest_of_a_removed_release_is_not_treated_as_complete(store: Store, archive: Path) -> None:
    install(archive, only="a/one")
    staging, packed, files = staged(store, archive, "a/two", "b/three")
    contents = open_package("model").contents
    store.remove("model", VERSION)
    with pytest.raises(StorageError, match="was removed while it was being installed"):
        store.commit(staging, packed, contents, files, installed=True)
    assert packages() == []
    assert not os.path.exists(store.layout.package("model"))  # noqa: PTH110
    assert install(archive).is_complete


def test_of_two_installs_of_different_releases_as_one_version_one_fails(store: Store, archive: Path) -> None:
    staging, packed, files = staged(store, archive, "a/one", "a/two", "b/three", "package.json")
    other = make_package(archive.parent / "other", files={"data": b"foreign"})
    installed = install(archive_of(other, archive.parent / "other.tar.zst"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORBITPKG_HOME", str(archive.parent / "another home"))
        contents = open_package("model").contents
    with pytest.raises(IntegrityError, match=r"installed different contents as model 1\.0\.0"):
        store.commit(staging, packed, contents, files, installed=False)
    assert verify() == [(installed, [])]


def test_a_release_can_be_installed_over_foreign_files_in_its_directory(archive: Path, home: Path) -> None:
    (home / "store/v1/packages/model/1.0.0/files/a").mkdir(parents=True)
    assert packages() == []
    assert install(archive).is_complete


def test_foreign_files_among_packages_are_ignored(archive: Path, home: Path) -> None:
    package = install(archive)
    for folder in ("lost+found", "model/lost+found", "model/1.0"):
        (home / "store/v1/packages" / folder).mkdir()
    assert packages() == [package]
    assert open_package("model") == package


@pytest.mark.parametrize(
    "record",
    [
        b"",
        b"null",
        b"[" * 100_000,
        b'{"version": "1.0.0"}',
        b'{"version": "1.0.0", "name": 1}',
        b'{"version": "1.0.0", "name": "model", "metadata": []}',
        b'{"version": "1.0.0", "name": "model", "description": {}}',
        b'{"version": "1.0.0", "name": "model", "license": 1}',
        b'{"version": "1.0.0", "name": "model"}' + b" " * 70_000,
        b"\xff",
        b"1" * 5000,
    ],
    ids=["empty", "null", "deep", "nameless", "name", "metadata", "description", "license", "long", "latin", "digits"],
)
def test_a_release_with_a_damaged_record_is_reported_and_can_be_reinstalled(
    archive: Path, home: Path, record: bytes
) -> None:
    install(archive)
    place = home / "store/v1/packages/model/1.0.0/release.json"
    place.chmod(0o644)
    place.write_bytes(record)
    with pytest.raises(StorageError, match="is damaged"):
        open_package("model")
    with pytest.raises(OrbitError):
        verify()
    assert packages() == []
    assert [removed.version for removed in remove("model==1.0.0")] == ["1.0.0"]
    assert install(archive).is_complete


@pytest.mark.parametrize("name", ["contents", "origin"])
@pytest.mark.parametrize("data", [None, b"", b"\xff\xfe", b"\x28\xb5\x2f\xfd" + b"\xff" * 100])
def test_a_damaged_file_beside_the_record_is_reported(archive: Path, home: Path, name: str, data: bytes | None) -> None:
    package = install(archive)
    place = home / "store/v1/packages/model/1.0.0" / name
    place.unlink()
    if data is not None:
        place.write_bytes(data)
    if name == "contents":
        with pytest.raises(OrbitError):
            verify()
    elif data != b"":
        with pytest.raises(StorageError, match="origin cannot be read"):
            package.origin  # noqa: B018
    assert remove("model")[0].version == "1.0.0"


def test_removing_a_release_twice_reports_that_it_is_not_installed(store: Store, archive: Path) -> None:
    install(archive)
    store.remove("model", VERSION)
    with pytest.raises(NotInstalled):
        store.remove("model", VERSION)
    assert parse_requirement("model").key == "model"
