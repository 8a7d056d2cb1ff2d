"""What earlier releases left keeps working, and what a later one leaves is refused with what to do."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import orbitpkg
from orbitpkg.api import maintain
from orbitpkg.api.project.sync import sync
from orbitpkg.api.repository import reindex
from orbitpkg.api.search import versions
from orbitpkg.errors import ArchiveError, IntegrityError, LockfileError, NotInstalled, OrbitError, StorageError
from orbitpkg.model.contents import parse_contents
from orbitpkg.model.lockfile import parse_lock
from orbitpkg.model.release import parse_release
from orbitpkg.model.versions import parse_version
from orbitpkg.repository.index import parse_index
from orbitpkg.repository.status import parse_status
from orbitpkg.store.garbage import Policy
from orbitpkg.store.layout import Layout
from orbitpkg.store.roots import read_roots
from tests.fixtures.make import FILES, write
from tests.packages import archive_of, make_package

if TYPE_CHECKING:
    from collections.abc import Callable

RELEASES = sorted(path for path in (Path(__file__).parents[1] / "fixtures").iterdir() if path.name[:1].isdigit())


@pytest.fixture(params=RELEASES, ids=lambda path: str(path.name))
def left(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a release of orbitpkg left, as if it had been left here."""
    folder = tmp_path / "left"
    shutil.copytree(request.param, folder)
    monkeypatch.setenv("ORBITPKG_HOME", str(folder / "home"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    return tmp_path / "home"


def test_fixtures_exist() -> None:
    assert [path.name for path in RELEASES][:1] == ["0.1.0"]


class TestStore:
    def test_installed_packages_can_be_used(self, left: Path) -> None:
        package = orbitpkg.package("long-life")
        assert (package.name, package.version, package.license) == ("Long.Life", "1.1.0", "MIT")
        for path, data in FILES.items():
            assert package.read_bytes(path) == data
        assert package.file_path("bin/run.sh").stat().st_mode & 0o111
        assert left.name == "left"

    def test_it_verifies(self, left: Path) -> None:
        checked = maintain.check()
        assert [each.version for each in checked] == ["1.0.0", "1.1.0", "2.0.0-rc.1", "1.0.0"]
        assert [each.findings for each in checked] == [()] * 4
        assert left.name == "left"

    def test_a_partial_install_is_completed(self, left: Path) -> None:
        assert not orbitpkg.package("long-life==2.0.0-rc.1").is_complete
        package = orbitpkg.install("long-life==2.0.0-rc.1", repository=left / "repository")
        assert package.is_complete
        assert package.read_bytes("empty") == b""

    def test_it_is_repaired_from_another_copy_of_its_repository(self, left: Path) -> None:
        orbitpkg.package("user").file_path("version.txt").unlink()
        done = maintain.check(["user"], repair=True, repository=left / "repository")
        assert [(each.left, each.failure) for each in done] == [((), None)]

    def test_garbage_is_collected_and_its_roots_count(self, left: Path) -> None:
        done = maintain.tidy(Policy(keep_last=1))
        assert [item.name for item in done.items] == ["long-life==1.0.0"]
        assert [kept.name for kept in done.kept] == ["long-life==1.1.0"]
        assert left.name == "left"

    def test_it_is_removed(self, left: Path) -> None:
        assert [each.version for each in orbitpkg.remove("long-life")] == ["1.0.0", "1.1.0", "2.0.0-rc.1"]
        assert [package.name for package in orbitpkg.packages()] == ["user"]
        assert left.name == "left"


class TestRepository:
    @pytest.fixture
    def place(self, left: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Its repository, seen from a machine that has nothing yet."""
        monkeypatch.setenv("ORBITPKG_HOME", str(left.parent / "elsewhere"))
        return left / "repository"

    def test_every_byte_of_it_is_right(self, place: Path) -> None:
        verdict = maintain.check_repository(place, share=1)
        assert (verdict.packages, verdict.releases, verdict.faults) == (2, 4, [])

    def test_it_is_installed_from(self, place: Path) -> None:
        assert orbitpkg.install("user", repository=place).version == "1.0.0"
        assert orbitpkg.package("long-life").read_bytes("data/words.txt") == FILES["data/words.txt"]
        assert versions("long-life", repository=place) == ["1.0.0", "1.1.0", "2.0.0-rc.1"]

    def test_it_is_published_to(self, place: Path, tmp_path: Path) -> None:
        orbitpkg.publish(write(tmp_path / "p", "1.2.0"), place)
        assert orbitpkg.install("long-life", repository=place).version == "1.2.0"
        assert maintain.check_repository(place, share=1).faults == []

    def test_published_content_is_recognized(self, place: Path, tmp_path: Path) -> None:
        more: dict[str, Any] = {"license": "MIT", "metadata": {"accuracy": 0.9}, "description": "What lasts"}
        published = orbitpkg.publish(write(tmp_path / "p", "1.1.0", **more), place)
        assert str(published.outcome) == "already published"

    def test_its_indexes_equal_rebuilt_ones(self, place: Path) -> None:
        _, changes = reindex((), repository=place)
        assert [change.differences for change in changes] == [(), ()]

    def test_an_archive_is_installed(self, place: Path) -> None:
        assert orbitpkg.install(place.parent / "long-life-1.1.0.tar.zst").version == "1.1.0"

    def test_a_project_is_synced(self, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(place.parent / "project")
        _, installed = sync(frozen=True, repository=place)
        assert sorted(str(package.version) for package in installed.packages + installed.dependencies) == [
            "1.0.0",
            "1.1.0",
        ]


def newer(data: bytes) -> bytes:
    document = json.loads(data)
    assert document["format"] == 1
    return json.dumps({**document, "format": 2}).encode()


INDEX = b'{"format":1,"name":"model","description":"","keywords":[],"releases":{}}'
STATUS = b'{"format":1,"state":"yanked","reason":"","changed":""}'
RECORD = b'{"format":1}'
PARSERS: dict[str, Callable[[], object]] = {
    "record": lambda: parse_release(newer(RECORD), name="model", version=parse_version("1.0.0")),
    "index": lambda: parse_index(newer(INDEX), name="model"),
    "status": lambda: parse_status(newer(STATUS), what="the status of model 1.0.0"),
    "contents": lambda: parse_contents(newer(RECORD)),
    "lockfile": lambda: parse_lock(b"format = 2\n\n# end\n"),
}


class TestNewerFormats:
    @pytest.mark.parametrize("name", PARSERS)
    def test_a_newer_document_advises_to_upgrade(self, name: str) -> None:
        with pytest.raises(OrbitError, match="has format 2; this version of orbitpkg supports format 1") as caught:
            PARSERS[name]()
        assert isinstance(caught.value, IntegrityError | LockfileError)
        assert caught.value.hint is not None
        assert "pip install -U orbitpkg" in caught.value.hint

    @pytest.mark.usefixtures("home")
    def test_a_newer_archive_advises_to_upgrade(self, tmp_path: Path) -> None:
        archive = archive_of(make_package(tmp_path / "p"), tmp_path / "p.tar.zst")
        data = bytearray(archive.read_bytes())
        struct.pack_into("<I", data, len(data) - 56, 2)
        archive.write_bytes(data)
        with pytest.raises(
            ArchiveError, match="has archive format 2; this version of orbitpkg supports format 1"
        ) as caught:
            orbitpkg.install(archive)
        assert "pip install -U orbitpkg" in (caught.value.hint or "")

    @pytest.mark.usefixtures("home")
    def test_a_newer_repository_is_not_published_to(self, tmp_path: Path) -> None:
        place = tmp_path / "repository"
        orbitpkg.publish(make_package(tmp_path / "p"), place)
        config = place / "orbitpkg.json"
        config.write_bytes(newer(config.read_bytes()))
        with pytest.raises(
            IntegrityError, match="has repository format 2; this version of orbitpkg supports format 1"
        ) as caught:
            orbitpkg.publish(make_package(tmp_path / "q", version="2.0.0"), place)
        assert "pip install -U orbitpkg" in (caught.value.hint or "")

    @pytest.mark.usefixtures("home")
    def test_a_newer_record_is_not_installed_and_the_others_are(self, tmp_path: Path) -> None:
        place = tmp_path / "repository"
        for version in ("1.0.0", "2.0.0"):
            orbitpkg.publish(make_package(tmp_path / version, version=version), place)
        record = place / "releases/model/2.0.0.json"
        record.write_bytes(newer(record.read_bytes()))
        with pytest.raises(IntegrityError, match="has format 2"):
            orbitpkg.install("model==2.0.0", repository=place)
        assert orbitpkg.install("model==1.0.0", repository=place).version == "1.0.0"

    def test_a_newer_record_in_the_store_advises_to_upgrade(self, home: Path, tmp_path: Path) -> None:
        package = orbitpkg.install(archive_of(make_package(tmp_path / "p"), tmp_path / "p.tar.zst"))
        record = home / "store/v1/packages/model/1.0.0/release.json"
        record.write_bytes(newer(record.read_bytes()))
        with pytest.raises(StorageError, match="has format 2; this version of orbitpkg supports format 1") as caught:
            orbitpkg.package("model")
        assert "pip install -U orbitpkg" in (caught.value.hint or "")
        assert package.version == "1.0.0"

    def test_no_store_is_created_beside_a_newer_one(self, home: Path, tmp_path: Path) -> None:
        (home / "store/v2").mkdir(parents=True)
        archive = archive_of(make_package(tmp_path / "p"), tmp_path / "p.tar.zst")
        with pytest.raises(
            StorageError, match="is the store of a newer version of orbitpkg; this version supports format 1"
        ) as caught:
            orbitpkg.install(archive)
        assert "pip install -U orbitpkg" in (caught.value.hint or "")
        with pytest.raises(NotInstalled) as missing:
            orbitpkg.package("model")
        assert "To upgrade orbitpkg: pip install -U orbitpkg" in (missing.value.hint or "")
        assert not (home / "store/v1").exists()

    def test_a_newer_root_stops_garbage_collection(self, home: Path) -> None:
        roots = Path(Layout(home).roots)
        roots.mkdir(parents=True)
        (roots / "0.json").write_bytes(newer(b'{"format":1,"packages":[]}'))
        with pytest.raises(IntegrityError, match="has format 2; this version of orbitpkg supports format 1") as caught:
            read_roots(Layout(home))
        assert "pip install -U orbitpkg" in (caught.value.hint or "")
