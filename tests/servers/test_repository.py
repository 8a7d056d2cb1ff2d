"""One suite of a repository's behaviour for every place that can hold one, through the functions that users call."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.packages import package as open_package
from orbitpkg.api.packages import packages
from orbitpkg.api.publish import build
from orbitpkg.api.publish import publish as publish_package
from orbitpkg.api.repository import doctor, init_repository
from orbitpkg.api.search import released, search, versions
from orbitpkg.errors import (
    IntegrityError,
    OrbitError,
    PackageNotFound,
    ReadOnlyRepository,
    ReleaseExists,
    RepositoryNotFound,
    UnsafeRepository,
    UnsupportedByStore,
    VersionNotFound,
)
from orbitpkg.objects import open_store
from orbitpkg.publisher.publish import Outcome
from orbitpkg.repository.probe import Check
from orbitpkg.repository.repository import Repository
from orbitpkg.store.package import Package
from tests.packages import make_package, noise, tree_of

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.processes import S3Server, StaticSite

# A publisher in a separate process.
PUBLISH = """
import sys, orbitpkg
from orbitpkg.errors import ReleaseExists
try:
    print(orbitpkg.publish(sys.argv[1], sys.argv[2]).outcome)
except ReleaseExists:
    print("lost")
"""
PLACES = ["memory", "directory", "moto", "rclone", "ceph"]
SAFE = ["memory", "directory", "moto", "ceph"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a repository can be made.

    Attributes:
        name: What kind of place.
        url: Its address.
        unsafe: Whether it overwrites what was to be created only if absent.
    """

    name: str
    url: str
    unsafe: bool

    def publish(self, folder: Path) -> Outcome:
        return publish_package(folder, self.url, unsafe_single_writer=self.unsafe).outcome


def place_of(name: str, request: pytest.FixtureRequest, folder: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    if name == "memory":
        return Place(name=name, url=f"memory://{uuid4().hex}", unsafe=False)
    if name == "directory":
        return Place(name=name, url=(folder / "a repository").as_uri(), unsafe=False)
    server: S3Server = request.getfixturevalue(name)
    for key, value in server.env().items():
        monkeypatch.setenv(key, value)
    return Place(name=name, url=f"s3://{server.new_bucket()}/some/prefix", unsafe=name == "rclone")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine's home folder, empty."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    return tmp_path / "home"


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Each place a repository can be made in."""
    return place_of(request.param, request, tmp_path, monkeypatch)


@pytest.fixture(params=SAFE)
def safe_place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Each place that honours create-only writes."""
    return place_of(request.param, request, tmp_path, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return make_package(tmp_path / "package")


@pytest.fixture
def large_folder(tmp_path: Path) -> Path:
    """A package whose archive takes several parts and several ranges."""
    files = {"weights.bin": noise(20 << 20), "run.sh": b"#!/bin/sh\n", "empty": b""}
    package = make_package(tmp_path / "large", name="Large_Model", files=files)
    (package / "run.sh").chmod(0o755)
    return package


class TestPublishing:
    def test_published_releases_install_with_the_same_files(self, place: Place, folder: Path) -> None:
        assert place.publish(folder) is Outcome.PUBLISHED
        installed = install("model", repository=place.url)
        assert tree_of(installed.path) == tree_of(folder)

    def test_an_archive_of_many_parts_and_ranges_comes_back_whole(self, place: Place, large_folder: Path) -> None:
        assert place.publish(large_folder) is Outcome.PUBLISHED
        installed = install("large-model==1.0.0", repository=place.url)
        assert installed.name == "Large_Model"
        assert tree_of(installed.path) == tree_of(large_folder)

    def test_the_published_object_equals_the_built_archive(self, place: Place, folder: Path, tmp_path: Path) -> None:
        place.publish(folder)
        archive = build(folder, tmp_path / "out")
        release = released("model", repository=place.url)
        data, _ = open_store(place.url).get(release.archive.key)
        assert data == archive.read_bytes()

    def test_an_archive_publishes_as_its_folder_does(self, place: Place, folder: Path, tmp_path: Path) -> None:
        archive = build(folder, tmp_path / "out")
        assert place.publish(archive) is Outcome.PUBLISHED
        assert place.publish(folder) is Outcome.ALREADY

    def test_the_same_content_again_succeeds_and_sends_nothing(self, place: Place, folder: Path) -> None:
        place.publish(folder)
        again = publish_package(folder, place.url, unsafe_single_writer=place.unsafe)
        assert (again.outcome, again.uploaded) == (Outcome.ALREADY, 0)

    def test_other_content_under_a_published_version_is_refused_and_the_next_free_one_named(
        self, place: Place, folder: Path
    ) -> None:
        place.publish(folder)
        (folder / "data/labels.csv").write_bytes(b"other")
        with pytest.raises(ReleaseExists, match=r"model 1\.0\.0 is already published") as caught:
            place.publish(folder)
        assert caught.value.hint is not None
        assert "1.0.1" in caught.value.hint

    def test_a_refused_publish_leaves_nothing_behind(self, place: Place, folder: Path) -> None:
        place.publish(folder)
        before = [info.key for info in open_store(place.url).list("")]
        (folder / "data/labels.csv").write_bytes(b"other")
        with pytest.raises(ReleaseExists):
            place.publish(folder)
        assert [info.key for info in open_store(place.url).list("")] == before

    def test_a_dry_run_reports_what_would_be_sent_without_changes(self, place: Place, folder: Path) -> None:
        rehearsal = publish_package(folder, place.url, dry_run=True, unsafe_single_writer=place.unsafe)
        assert rehearsal.outcome is Outcome.WOULD
        assert list(open_store(place.url).list("")) == []
        done = publish_package(folder, place.url, unsafe_single_writer=place.unsafe)
        assert done.uploaded == rehearsal.uploaded

    def test_a_bucket_holds_exactly_the_documented_objects(self, place: Place, folder: Path) -> None:
        place.publish(folder)
        release = released("model", repository=place.url)
        keys = [info.key for info in open_store(place.url).list("")]
        assert keys == [release.archive.key, "index/model.json", "orbitpkg.json", "releases/model/1.0.0.json"]


class TestRaces:
    def test_of_16_publishers_of_one_version_exactly_one_wins(self, safe_place: Place, tmp_path: Path) -> None:
        folders = [make_package(tmp_path / f"p{n}", files={"which": str(n).encode()}) for n in range(16)]
        init_repository(safe_place.url)

        def publish(folder: Path) -> str:
            try:
                return safe_place.publish(folder)
            except ReleaseExists:
                return "lost"

        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(publish, folders))
        assert sorted(results) == ["lost"] * 15 + [Outcome.PUBLISHED]
        installed = install("model==1.0.0", repository=safe_place.url)
        assert installed.read_text("which") == str(results.index(Outcome.PUBLISHED))

    @pytest.mark.parametrize("name", ["directory", "moto", "ceph"])
    def test_of_16_processes_that_publish_one_version_exactly_one_wins(
        self, name: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = place_of(name, request, tmp_path, monkeypatch)
        folders = [make_package(tmp_path / f"p{n}", files={"which": str(n).encode()}) for n in range(16)]
        init_repository(place.url)
        processes = [
            subprocess.Popen([sys.executable, "-c", PUBLISH, folder, place.url], stdout=subprocess.PIPE, text=True)
            for folder in folders
        ]
        results = [process.communicate()[0].strip() for process in processes]
        assert sorted(results) == ["lost"] * 15 + ["published"]
        installed = install("model==1.0.0", repository=place.url)
        assert installed.read_text("which") == str(results.index("published"))

    def test_of_16_publishers_of_the_same_content_all_succeed(self, safe_place: Place, folder: Path) -> None:
        init_repository(safe_place.url)
        with ThreadPoolExecutor(16) as pool:
            results = list(pool.map(safe_place.publish, [folder] * 16))
        assert sorted(results) == [Outcome.ALREADY] * 15 + [Outcome.PUBLISHED]
        archives = list(open_store(safe_place.url).list("archives/"))
        assert len(archives) == 1

    def test_16_publishers_of_different_versions_are_all_listed_and_indexed(
        self, safe_place: Place, tmp_path: Path
    ) -> None:
        folders = [make_package(tmp_path / f"p{n}", version=f"1.0.{n}") for n in range(16)]
        init_repository(safe_place.url)
        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(safe_place.publish, folders)) == {Outcome.PUBLISHED}
        expected = [f"1.0.{n}" for n in range(16)]
        assert versions("model", repository=safe_place.url) == expected
        index = Repository(open_store(safe_place.url)).index("model")
        assert index is not None
        assert sorted(map(str, index.releases), key=lambda text: int(text[4:])) == expected


class TestFinding:
    @pytest.fixture
    def shelf(self, place: Place, tmp_path: Path) -> Place:
        for version in ("1.0.0", "9.0.0", "10.0.0", "11.0.0-rc.1"):
            place.publish(make_package(tmp_path / version, version=version))
        return place

    def test_versions_are_listed_in_their_order(self, shelf: Place) -> None:
        assert versions("Model", repository=shelf.url) == ["1.0.0", "9.0.0", "10.0.0", "11.0.0-rc.1"]

    @pytest.mark.parametrize(
        ("requirement", "version"),
        [
            ("model", "10.0.0"),
            ("model<10", "9.0.0"),
            ("model==1.0.0", "1.0.0"),
            ("model>=11.0.0-rc.1", "11.0.0-rc.1"),
        ],
    )
    def test_the_best_version_in_the_range_is_installed(self, shelf: Place, requirement: str, version: str) -> None:
        assert install(requirement, repository=shelf.url).version == version

    def test_versions_live_side_by_side(self, shelf: Place) -> None:
        for version in ("1.0.0", "9.0.0"):
            install(f"model=={version}", repository=shelf.url)
        assert [package.version for package in packages()] == ["1.0.0", "9.0.0"]
        assert open_package("model<9").version == "1.0.0"

    def test_an_unknown_package_names_the_nearest(self, shelf: Place) -> None:
        with pytest.raises(PackageNotFound, match="no package modell") as caught:
            install("modell", repository=shelf.url)
        assert caught.value.hint == "Did you mean model?"

    @pytest.mark.parametrize("requirement", ["model==2.0.0", "model>11", "model~=1.1"])
    def test_a_range_without_a_match_lists_the_available_versions(self, shelf: Place, requirement: str) -> None:
        with pytest.raises(VersionNotFound, match=r"Available versions: 1\.0\.0, 9\.0\.0, 10\.0\.0, 11\.0\.0-rc\.1"):
            install(requirement, repository=shelf.url)

    def test_a_search_looks_into_names_and_descriptions(self, place: Place, tmp_path: Path) -> None:
        place.publish(make_package(tmp_path / "a", name="digits", description="Reads handwriting"))
        place.publish(make_package(tmp_path / "b", name="words", description="Splits text", keywords=["nlp"]))
        found = {text: [hit.name for hit in search(text, repository=place.url)] for text in ("", "HAND", "nlp")}
        assert found == {"": ["digits", "words"], "HAND": ["digits"], "nlp": ["words"]}

    def test_an_address_without_releases_is_not_a_repository(self, place: Place) -> None:
        with pytest.raises(RepositoryNotFound, match="There is no repository at"):
            install("model", repository=place.url)


class TestTrust:
    def test_a_store_that_ignores_create_only_writes_is_refused(
        self, folder: Path, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = place_of("rclone", request, tmp_path, monkeypatch)
        with pytest.raises(UnsafeRepository, match="two publishers could overwrite") as caught:
            publish_package(folder, place.url)
        assert caught.value.hint is not None
        assert "--unsafe-single-writer" in caught.value.hint
        assert publish_package(folder, place.url, unsafe_single_writer=True).outcome is Outcome.PUBLISHED

    def test_an_altered_archive_is_refused_and_nothing_installed(self, place: Place, large_folder: Path) -> None:
        place.publish(large_folder)
        store = open_store(place.url)
        key = released("large-model", repository=place.url).archive.key
        data = bytearray(store.get(key)[0])
        data[len(data) // 2] ^= 1
        store.put(key, bytes(data))
        with pytest.raises(IntegrityError):
            install("large-model", repository=place.url)
        assert packages() == []

    def test_a_missing_archive_is_reported_as_missing(self, place: Place, folder: Path) -> None:
        place.publish(folder)
        store = open_store(place.url)
        store.delete(released("model", repository=place.url).archive.key)
        with pytest.raises(IntegrityError, match="is missing from"):
            install("model", repository=place.url)
        assert packages() == []

    def test_a_record_of_another_version_is_refused(self, place: Place, folder: Path) -> None:
        place.publish(folder)
        store = open_store(place.url)
        store.put("releases/model/2.0.0.json", store.get("releases/model/1.0.0.json")[0])
        with pytest.raises(IntegrityError, match="describes model"):
            install("model==2.0.0", repository=place.url)

    @pytest.mark.parametrize("record", [b"", b"{}", b"not json", b'{"format":2}', b"[" * 10_000])
    def test_an_invalid_record_is_refused(self, record: bytes, folder: Path, tmp_path: Path) -> None:
        url = (tmp_path / "repository").as_uri()
        publish_package(folder, url)
        open_store(url).put("releases/model/1.0.0.json", record)
        with pytest.raises(IntegrityError):
            install("model==1.0.0", repository=url)

    def test_another_repositorys_release_of_an_installed_version_is_refused(
        self, place: Place, folder: Path, tmp_path: Path
    ) -> None:
        place.publish(folder)
        install("model", repository=place.url)
        other = (tmp_path / "other").as_uri()
        (folder / "data/labels.csv").write_bytes(b"foreign")
        publish_package(folder, other)
        for requirement in ("model", "model==1.0.0"):
            with pytest.raises(IntegrityError, match=r"differs from the installed model 1\.0\.0, which came from"):
                install(requirement, repository=other)

    def test_a_lost_index_costs_only_requests(self, place: Place, folder: Path) -> None:
        place.publish(folder)
        open_store(place.url).delete("index/model.json")
        assert versions("model", repository=place.url) == ["1.0.0"]
        assert [hit.newest for hit in search("model", repository=place.url)] == ["1.0.0"]
        place.publish(folder)
        assert Repository(open_store(place.url)).index("model") is not None


class TestDoctor:
    def test_it_reports_the_capabilities_of_each_store(self, place: Place) -> None:
        report = doctor(place.url)
        works = {answer.check for answer in report.answers if answer.works}
        broken = {Check.CREATE_ONLY, Check.PART_COPIES} if place.name == "rclone" else set()
        assert works == set(Check) - broken

    def test_it_leaves_nothing_behind(self, place: Place) -> None:
        doctor(place.url)
        assert list(open_store(place.url).list("")) == []

    def test_a_repository_is_made_once(self, place: Place) -> None:
        first, report = init_repository(place.url)
        assert report is not None
        again, nothing = init_repository(place.url)
        assert nothing is None
        assert first.config().id == again.config().id


class TestWebServers:
    @pytest.fixture
    def site_url(self, static_site: StaticSite, folder: Path, large_folder: Path) -> str:
        site = static_site.new_folder()
        shutil.rmtree(site.root)
        for package in (folder, large_folder):
            publish_package(package, site.root)
        return site.url

    def test_the_content_of_a_directory_installs_over_the_web(
        self, site_url: str, folder: Path, large_folder: Path
    ) -> None:
        assert tree_of(install("model", repository=site_url).path) == tree_of(folder)
        assert tree_of(install("large_model", repository=site_url).path) == tree_of(large_folder)

    def test_versions_come_from_the_index(self, site_url: str) -> None:
        assert versions("model", repository=site_url) == ["1.0.0"]

    def test_an_unknown_package_is_not_found(self, site_url: str) -> None:
        with pytest.raises(PackageNotFound):
            install("modle", repository=site_url)

    def test_nothing_can_be_published_there(self, site_url: str, folder: Path) -> None:
        (folder / "package.json").write_text(
            json.dumps({"name": "model", "version": "2.0.0", "include": ["**"]}), encoding="utf-8"
        )
        with pytest.raises(ReadOnlyRepository):
            publish_package(folder, site_url)

    def test_it_reports_that_it_cannot_be_searched(self, site_url: str) -> None:
        with pytest.raises(UnsupportedByStore):
            search("", repository=site_url)


class TestInstalledForGood:
    """What is installed needs no network."""

    def test_a_model_from_a_bucket_is_used_when_the_network_is_gone(
        self, place: Place, large_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        # Published on one machine, installed on another.
        monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "publisher"))
        place.publish(large_folder)
        monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "user"))
        install("large-model", repository=place.url)
        for key in [key for key in os.environ if key.startswith("AWS_")]:
            monkeypatch.delenv(key)
        monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
        package = open_package("large-model")
        assert isinstance(package, Package)
        assert package.file_path("weights.bin").read_bytes() == (large_folder / "weights.bin").read_bytes()
        assert install("large-model==1.0.0", repository=place.url) == package

    def test_a_warm_install_of_an_exact_version_makes_no_request(
        self, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        repository = tmp_path / "repository"
        publish_package(folder, repository)
        monkeypatch.setenv("ORBITPKG_REPOSITORY", repository.as_uri())
        first = install("model==1.0.0")
        shutil.rmtree(repository)
        assert install("model==1.0.0") == first
        with pytest.raises(OrbitError):
            install("model")
