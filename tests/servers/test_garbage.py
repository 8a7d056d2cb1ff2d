"""Garbage collection beside publishers, by the clock of the store; and releases whose archive is gone."""

from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.maintain import check_repository
from orbitpkg.api.publish import build, publish
from orbitpkg.api.repository import collect_repository
from orbitpkg.api.search import released
from orbitpkg.archive.tree import read_tree
from orbitpkg.errors import IntegrityError, ReleaseExists
from orbitpkg.model.versions import parse_version
from orbitpkg.objects import open_store
from orbitpkg.objects.memory import MemoryStore
from orbitpkg.publisher.publish import Outcome, publish_tree
from orbitpkg.repository.claims import claimed_packages, hold_claim
from orbitpkg.repository.garbage import collect_garbage, find_garbage
from orbitpkg.repository.layout import is_archive_key, new_archive_key, new_claim_key
from orbitpkg.repository.repository import Repository
from tests.packages import make_package, noise, tree_of
from tests.torture.scale import scaled

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectInfo
    from tests.servers.processes import S3Server

NOW = timedelta(0)
WEEK = timedelta(days=7)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture(params=["memory", "directory", "moto"])
def url(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of an empty place for a repository."""
    if request.param == "memory":
        return f"memory://{uuid4().hex}"
    if request.param == "directory":
        return (tmp_path / "repository").as_uri()
    server: S3Server = request.getfixturevalue("moto")
    for key, value in server.env().items():
        monkeypatch.setenv(key, value)
    return f"s3://{server.new_bucket()}/models"


def test_a_publisher_beside_garbage_collection_loses_nothing(url: str, tmp_path: Path) -> None:
    publish(make_package(tmp_path / "first", version="0.1.0"), url)
    stop = threading.Event()
    failures: list[BaseException] = []

    def collect() -> None:
        try:
            while not stop.is_set():
                collect_repository(url, grace=NOW)
        except BaseException as error:  # noqa: BLE001 - the test reports it
            failures.append(error)

    collectors = [threading.Thread(target=collect) for _ in range(2)]
    for collector in collectors:
        collector.start()
    try:
        for number in range(1, scaled(6, 60)):
            files = {"weights.bin": noise(300_000, seed=number)}
            publish(make_package(tmp_path / str(number), version=f"1.{number}.0", files=files), url)
    finally:
        stop.set()
        for collector in collectors:
            collector.join()
    assert failures == []
    assert check_repository(url, share=1.0).faults == []


class CollectingStore(MemoryStore):
    """A store in which garbage is collected just before each record is created, when the archive looks abandoned."""

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        if key.startswith("releases/") and key.endswith(".json"):
            repository = Repository(self)
            collect_garbage(repository, find_garbage(repository, grace=NOW))
        return super().create(key, data, metadata=metadata)


def test_an_uploaded_archive_is_spared_until_its_record_exists(tmp_path: Path) -> None:
    repository = Repository(CollectingStore(uuid4().hex))
    tree = read_tree(make_package(tmp_path / "package"))
    done = publish_tree(repository, tree, published="2026-01-31T12:00:00Z", journals=tmp_path / "journals")
    assert repository.contents(done.release)[1].files
    # The claim is gone with the publisher.
    assert claimed_packages(repository, datetime.now(UTC)) == set()


def test_a_failed_publisher_leaves_no_claim(tmp_path: Path) -> None:
    repository = Repository(MemoryStore(uuid4().hex))

    def fail() -> None:
        with hold_claim(repository, "model"):
            assert claimed_packages(repository, datetime.now(UTC)) == {"model"}
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert claimed_packages(repository, datetime.now(UTC)) == set()


def test_the_claim_of_a_killed_publisher_expires(tmp_path: Path) -> None:
    repository = Repository(MemoryStore(uuid4().hex))
    repository.init()
    repository.objects.put(new_claim_key("model"), b"")
    archive = new_archive_key("model", parse_version("1.0.0"))
    repository.objects.put(archive, b"left")
    assert find_garbage(repository, grace=NOW).objects == ()
    later = datetime.now(UTC) + timedelta(days=2)
    assert archive in {info.key for info in find_garbage(repository, grace=NOW, now=later).objects}


class SlowClockStore(MemoryStore):
    """A store whose clock is a month late, as seen from this machine."""

    def _late(self, info: ObjectInfo) -> ObjectInfo:
        assert info.modified is not None
        return replace(info, modified=info.modified - timedelta(days=30))

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        return self._late(super().head(key, version=version))

    def list(self, prefix: str):  # type: ignore[no-untyped-def] # noqa: ANN201 - as the base class
        return map(self._late, super().list(prefix))


def test_age_is_measured_with_the_clock_of_the_store() -> None:
    repository = Repository(SlowClockStore(uuid4().hex))
    repository.init()
    repository.objects.put(new_archive_key("model", parse_version("1.0.0")), b"just uploaded")
    assert find_garbage(repository, grace=WEEK).objects == ()
    assert [info.key for info in repository.objects.list("probes/")] == []


def test_publishing_again_restores_a_missing_archive(url: str, tmp_path: Path) -> None:
    folder = make_package(tmp_path / "package", files={"weights.bin": noise(6 << 20)})
    publish(folder, url)
    release = released("model", repository=url)
    open_store(url).delete(release.archive.key)
    with pytest.raises(IntegrityError, match="missing"):
        install("model", repository=url)
    again = publish(folder, url)
    assert (again.outcome, again.release.raw) == (Outcome.PUBLISHED, release.raw)
    assert check_repository(url, share=1.0).faults == []
    assert tree_of(install("model", repository=url).path) == tree_of(folder)
    assert publish(folder, url).outcome is Outcome.ALREADY


def test_an_archive_file_restores_a_missing_archive_too(url: str, tmp_path: Path) -> None:
    folder = make_package(tmp_path / "package")
    publish(folder, url)
    open_store(url).delete(released("model", repository=url).archive.key)
    assert publish(build(folder, tmp_path / "out"), url, dry_run=True).outcome is Outcome.WOULD
    assert publish(build(folder, tmp_path / "out"), url).outcome is Outcome.PUBLISHED
    assert check_repository(url, share=1.0).faults == []


def test_other_content_does_not_take_the_place_of_a_missing_archive(url: str, tmp_path: Path) -> None:
    publish(make_package(tmp_path / "package"), url)
    key = released("model", repository=url).archive.key
    open_store(url).delete(key)
    with pytest.raises(ReleaseExists):
        publish(make_package(tmp_path / "other", files={"x": b"other"}), url)
    assert key not in {info.key for info in open_store(url).list("archives/")}


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("archives/model/model-1.0.0-0123456789ab.tar.zst", True),
        ("archives/model/model-1.0.0.tar.zst", True),
        ("archives/model/model-1.0.0-rc.1-0123456789ab.tar.zst", False),
        ("archives/model/model-1.0.01-0123456789ab.tar.zst", False),
        ("archives/other/other-1.0.0-0123456789ab.tar.zst", False),
        ("archives/model/../other/other-1.0.0-0123456789ab.tar.zst", False),
        ("index/model.json", False),
    ],
)
def test_an_archive_key_belongs_to_one_release(key: str, *, expected: bool) -> None:
    assert is_archive_key(key, "model", parse_version("1.0.0")) is expected
