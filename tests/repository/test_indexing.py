"""A stale index never leads to wrong results, wherever a process is stopped and whichever processes write at once."""

from __future__ import annotations

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import IntegrityError, OfflineError, RepositoryUnreachable
from orbitpkg.model.versions import parse_version
from orbitpkg.objects.offline import OfflineStore
from orbitpkg.repository import indexing
from orbitpkg.repository.cache import Cache, KeptIndex
from orbitpkg.repository.catalogue import Catalogue
from orbitpkg.repository.indexing import announce, reindex, set_status, update_index
from orbitpkg.repository.layout import index_key, markers_prefix, record_key
from orbitpkg.repository.repository import Repository
from orbitpkg.repository.status import State, Status, parse_status
from tests.faulty_store import Fault, Faults, FaultyStore
from tests.records import record_of

if TYPE_CHECKING:
    from pathlib import Path

YANKED = Status(state=State.YANKED, reason="wrong labels", changed="2026-01-31T12:00:00Z")


@pytest.fixture
def store() -> FaultyStore:
    return FaultyStore(faults=Faults())


@pytest.fixture
def repository(store: FaultyStore) -> Repository:
    return Repository(store)


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def publish(repository: Repository, version: str, **manifest: object) -> None:
    """Do what publishing does once the archive is there."""
    release = record_of("model", version, **manifest)
    marker = announce(repository, "model")
    repository.commit(release)
    update_index(repository, "model", marker=marker)


def seen(repository: Repository, cache: Cache | None = None, *, one_page: int = 990) -> list[str]:
    return [str(version) for version in Catalogue(repository, cache, one_page=one_page).stock("model").versions]


def yanked(repository: Repository, cache: Cache | None, version: str, *, one_page: int = 990) -> str | None:
    entry = Catalogue(repository, cache, one_page=one_page).stock("model").entry(parse_version(version))
    assert entry is not None
    return entry.yanked


def operations(store: FaultyStore, since: int) -> list[str]:
    return [request.operation for request in store.faults.requests[since:]]


class TestStopped:
    """A publisher, or one who yanks, is stopped at any of its requests; the next reader sees what was done."""

    @pytest.mark.parametrize("one_page", [0, 990])
    @pytest.mark.parametrize("kind", ["before", "after"])
    def test_a_reader_sees_every_record_wherever_its_publisher_was_stopped(
        self, kind: str, one_page: int, cache: Cache
    ) -> None:
        stopped = 0
        for nth in range(1, 40):
            store = FaultyStore(faults=Faults())
            repository = Repository(store)
            publish(repository, "1.0.0")
            assert seen(repository, cache, one_page=one_page) == ["1.0.0"]
            store.faults.faults.append(Fault(kind=kind, nth=nth))  # type: ignore[arg-type]
            try:
                publish(repository, "1.1.0")
            except RepositoryUnreachable:
                stopped += 1
            store.faults.faults.clear()
            there = [str(version) for version in repository.versions("model")]
            assert seen(repository, cache, one_page=one_page) == there
            assert seen(repository, None, one_page=one_page) == there
            cache.forget_index(repository.url, "model")
        assert stopped > 5

    @pytest.mark.parametrize("one_page", [0, 990])
    def test_a_reader_sees_every_status_wherever_its_writer_was_stopped(self, one_page: int, cache: Cache) -> None:
        for nth in range(1, 40):
            store = FaultyStore(faults=Faults())
            repository = Repository(store)
            publish(repository, "1.0.0")
            seen(repository, cache, one_page=one_page)
            store.faults.faults.append(Fault(kind="after", nth=nth))
            with contextlib.suppress(RepositoryUnreachable):
                set_status(repository, "model", [parse_version("1.0.0")], YANKED)
            store.faults.faults.clear()
            status = repository.status("model", parse_version("1.0.0"))
            reason = status.reason if status else None
            assert yanked(repository, cache, "1.0.0", one_page=one_page) == reason
            cache.forget_index(repository.url, "model")

    def test_the_next_publisher_mends_the_index_and_sweeps_old_markers(
        self, repository: Repository, store: FaultyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        announce(repository, "model")
        repository.commit(record_of("model", "1.0.0"))
        publish(repository, "1.1.0")
        assert len(list(store.list(markers_prefix("model")))) == 1
        monkeypatch.setattr(indexing, "_ABANDONED", timedelta(0))
        publish(repository, "1.2.0")
        assert list(store.list(markers_prefix("model"))) == []
        index = repository.index("model")
        assert index is not None
        assert sorted(map(str, index.releases)) == ["1.0.0", "1.1.0", "1.2.0"]


def test_no_reader_misses_what_was_there_before_it_began_while_many_write(repository: Repository, cache: Cache) -> None:
    publish(repository, "1.0.0")
    seen(repository, cache)
    committed: set[str] = set()
    lock = threading.Lock()
    misses: list[set[str]] = []

    def write(number: int) -> None:
        version = f"2.0.{number}"
        marker = announce(repository, "model")
        repository.commit(record_of("model", version))
        with lock:
            committed.add(version)
        update_index(repository, "model", marker=marker)

    def read(_: int) -> None:
        with lock:
            before = set(committed)
        missed = before - set(seen(repository, cache, one_page=0))
        if missed:
            misses.append(missed)

    with ThreadPoolExecutor(12) as pool:
        done = [pool.submit(write, number) for number in range(8)]
        done += [pool.submit(read, number) for number in range(60)]
        for future in done:
            future.result()
    assert misses == []
    assert len(seen(repository)) == 9
    index = repository.index("model")
    assert index is not None
    assert len(index.releases) == 9


class TestRequests:
    def test_a_small_package_is_listed_and_its_index_not_sent_again(
        self, repository: Repository, store: FaultyStore, cache: Cache
    ) -> None:
        publish(repository, "1.0.0")
        seen(repository, cache)
        before = len(store.faults.requests)
        assert seen(repository, cache) == ["1.0.0"]
        assert operations(store, before) == ["list", "get_if_changed"]

    def test_of_a_large_one_only_the_markers_are_listed(
        self, repository: Repository, store: FaultyStore, cache: Cache
    ) -> None:
        for version in ("1.0.0", "1.1.0"):
            publish(repository, version)
        seen(repository, cache)
        before = len(store.faults.requests)
        assert seen(repository, cache, one_page=1) == ["1.0.0", "1.1.0"]
        assert [(request.operation, request.key) for request in store.faults.requests[before:]] == [
            ("list", markers_prefix("model")),
            ("get_if_changed", index_key("model")),
        ]

    def test_a_record_that_is_kept_is_not_asked_for(
        self, repository: Repository, store: FaultyStore, cache: Cache
    ) -> None:
        publish(repository, "1.0.0")
        for _ in range(2):
            catalogue = Catalogue(repository, cache)
            catalogue.stock("model")
            before = len(store.faults.requests)
            release = catalogue.release("model", parse_version("1.0.0"))
            assert release is not None
        assert operations(store, before) == []


class TestLies:
    """If an index and a record differ, the record counts, and the difference is reported."""

    def lie(self, repository: Repository, old: bytes, new: bytes) -> None:
        data, _ = repository.objects.get(index_key("model"))
        assert old in data
        repository.objects.put(index_key("model"), data.replace(old, new))

    def test_a_wrong_entry_is_corrected_and_reported(self, repository: Repository) -> None:
        publish(repository, "1.0.0", dependencies={"other": ">=1"})
        self.lie(repository, b'"other":">=1"', b'"evil":">=1"')
        catalogue = Catalogue(repository, None)
        stock, version = catalogue.stock("model"), parse_version("1.0.0")
        release = catalogue.release("model", version)
        assert release is not None
        assert release.dependencies == {"other": ">=1"}
        entry = stock.entry(version)
        assert entry is not None
        assert entry.dependencies == {"other": ">=1"}
        assert catalogue.corrections == 1
        assert "wrong about model 1.0.0: dependencies" in catalogue.differences[0]

    def test_with_mirrors_two_digests_of_one_release_are_refused(self, repository: Repository) -> None:
        publish(repository, "1.0.0")
        release = repository.find_release("model", parse_version("1.0.0"))
        assert release is not None
        self.lie(repository, release.digest.encode(), b"0" * 64)
        catalogue = Catalogue(repository, None, mirrored=True)
        catalogue.stock("model")
        with pytest.raises(IntegrityError, match="differs from the release in the index"):
            catalogue.release("model", parse_version("1.0.0"))

    def test_entries_that_exist_only_in_the_index_are_not_versions(self, repository: Repository) -> None:
        publish(repository, "1.0.0")
        self.lie(repository, b'"1.0.0":', b'"9.0.0":')
        catalogue = Catalogue(repository, None)
        assert [str(version) for version in catalogue.stock("model").versions] == ["1.0.0"]
        assert len(catalogue.differences) == 2

    def test_invented_entries_of_a_large_index_are_found_when_the_record_is_read(
        self, repository: Repository, cache: Cache
    ) -> None:
        publish(repository, "1.0.0")
        self.lie(repository, b'"1.0.0":', b'"9.0.0":')
        seen(repository, cache)
        catalogue = Catalogue(repository, cache, one_page=0)
        stock = catalogue.stock("model")
        assert catalogue.release("model", parse_version("9.0.0")) is None
        assert (stock.versions, catalogue.corrections) == ([], 1)

    @pytest.mark.parametrize("damage", [b"", b"not json", b'{"format":1}', b'{"format":0}', b"[" * 1000])
    def test_a_damaged_index_costs_requests_and_nothing_else(
        self, repository: Repository, cache: Cache, damage: bytes
    ) -> None:
        publish(repository, "1.0.0")
        seen(repository, cache)
        repository.objects.put(index_key("model"), damage)
        for one_page in (0, 990):
            catalogue = Catalogue(repository, cache, one_page=one_page)
            assert [str(version) for version in catalogue.stock("model").versions] == ["1.0.0"]
            assert catalogue.differences != []
        change = reindex(repository, "model")
        assert len(change.differences) == 1
        assert Catalogue(repository, cache).stock("model").versions == repository.versions("model")

    @pytest.mark.parametrize("one_page", [0, 990])
    def test_the_index_of_a_newer_orbitpkg_is_left_alone(
        self, repository: Repository, cache: Cache, one_page: int
    ) -> None:
        """Nobody writes over what they cannot read: readers go by the records, and writers leave their markers."""
        publish(repository, "1.0.0")
        newer = b'{"format":2,"anything":"else"}'
        repository.objects.put(index_key("model"), newer)
        marker = announce(repository, "model")
        repository.commit(record_of("model", "1.1.0"))
        with pytest.raises(IntegrityError, match="has format 2") as caught:
            update_index(repository, "model", marker=marker)
        assert "pip install -U orbitpkg" in str(caught.value.hint)
        with pytest.raises(IntegrityError, match="has format 2"):
            reindex(repository, "model")
        with pytest.raises(IntegrityError, match="has format 2"):
            set_status(repository, "model", [parse_version("1.0.0")], YANKED)
        assert repository.objects.get(index_key("model"))[0] == newer
        assert marker in [info.key for info in repository.objects.list(markers_prefix("model"))]
        catalogue = Catalogue(repository, cache, one_page=one_page)
        stock = catalogue.stock("model")
        assert [str(version) for version in stock.versions] == ["1.0.0", "1.1.0"]
        entry = stock.entry(parse_version("1.0.0"))
        assert entry is not None
        assert entry.yanked == "wrong labels"
        (difference,) = catalogue.differences
        assert "pip install -U orbitpkg" in difference
        assert "reindex" not in difference
        assert repository.summary("model").newest == parse_version("1.1.0")

    def test_reindex_names_the_errors_it_corrected(self, repository: Repository, store: FaultyStore) -> None:
        for version in ("1.0.0", "1.1.0"):
            publish(repository, version)
        self.lie(repository, b'"1.1.0":', b'"7.0.0":')
        self.lie(repository, b'"size":', b'"size":1')
        change = reindex(repository, "model")
        assert change.differences == (
            "It lacked model 1.1.0.",
            "It listed model 7.0.0, which has no record.",
            "It was wrong about model 1.0.0: size.",
        )
        assert reindex(repository, "model").differences == ()
        assert list(store.list(markers_prefix("model"))) == []

    def test_a_lost_index_is_rebuilt(self, repository: Repository) -> None:
        publish(repository, "1.0.0")
        repository.objects.delete(index_key("model"))
        assert seen(repository) == ["1.0.0"]
        assert reindex(repository, "model").differences == ("model had no index.",)
        assert repository.index("model") is not None


class TestKeeping:
    def test_a_truncated_or_altered_cache_entry_is_ignored(self, cache: Cache, tmp_path: Path) -> None:
        cache.keep_index("s3://a", "model", KeptIndex(etag='"1"', data=b"{}"))
        cache.keep_record("0" * 64, b"no record of this digest")
        assert cache.index("s3://a", "model") == KeptIndex(etag='"1"', data=b"{}")
        assert cache.index("s3://b", "model") is None
        assert cache.record("0" * 64) is None
        (path,) = (tmp_path / "cache" / "index").rglob("model.json")
        whole = path.read_bytes()
        for end in range(len(whole)):
            path.write_bytes(whole[:end])
            assert cache.index("s3://a", "model") is None

    def test_offline_cached_objects_are_used_and_missing_ones_are_named(self, store: FaultyStore, cache: Cache) -> None:
        repository = Repository(store)
        publish(repository, "1.0.0")
        publish(repository, "1.1.0")
        catalogue = Catalogue(repository, cache)
        catalogue.stock("model")
        catalogue.release("model", parse_version("1.1.0"))
        offline = Catalogue(Repository(OfflineStore(store.url)), cache)
        assert offline.stock("model").versions == repository.versions("model")
        release = offline.release("model", parse_version("1.1.0"))
        assert release is not None
        with pytest.raises(OfflineError, match=r"1\.0\.0"):
            offline.release("model", parse_version("1.0.0"))
        with pytest.raises(OfflineError, match=r"other from .* is not cached"):
            offline.stock("other")


class TestStatus:
    def test_the_last_one_is_right_and_the_index_tells_it(self, repository: Repository) -> None:
        publish(repository, "1.0.0")
        version = parse_version("1.0.0")
        set_status(repository, "model", [version], YANKED)
        assert yanked(repository, None, "1.0.0") == "wrong labels"
        set_status(repository, "model", [version], Status(state=State.AVAILABLE))
        assert yanked(repository, None, "1.0.0") is None

    def test_withdrawing_an_absent_status_writes_nothing(self, repository: Repository, store: FaultyStore) -> None:
        publish(repository, "1.0.0")
        set_status(repository, "model", [parse_version("1.0.0")], Status(state=State.AVAILABLE))
        assert list(store.list("status/")) == []

    def test_a_yank_survives_later_publishing_and_reindexing(self, repository: Repository) -> None:
        publish(repository, "1.0.0")
        set_status(repository, "model", [parse_version("1.0.0")], YANKED)
        publish(repository, "1.1.0")
        assert reindex(repository, "model").differences == ()
        assert yanked(repository, None, "1.0.0") == "wrong labels"

    @pytest.mark.parametrize(
        "data", [b"", b"[]", b'{"format":2}', b'{"format":1,"state":"gone","reason":"","changed":""}', b"x" * 9000]
    )
    def test_an_invalid_status_is_refused(self, data: bytes) -> None:
        with pytest.raises(IntegrityError):
            parse_status(data, what="the status of model 1.0.0")

    def test_it_is_written_in_one_way_and_read_back(self) -> None:
        assert parse_status(YANKED.to_json(), what="it") == YANKED
        assert YANKED.to_json() == (
            b'{"changed":"2026-01-31T12:00:00Z","format":1,"reason":"wrong labels","state":"yanked"}'
        )


def test_a_record_written_by_another_tool_is_read(repository: Repository) -> None:
    publish(repository, "1.0.0")
    foreign = record_of("model", "3.0.0", dependencies={"other": ""})
    repository.objects.put(record_key("model", foreign.version), foreign.raw)
    catalogue = Catalogue(repository, None)
    stock = catalogue.stock("model")
    assert [str(version) for version in stock.versions] == ["1.0.0", "3.0.0"]
    entry = stock.entry(foreign.version)
    assert entry is not None
    assert entry.dependencies == {"other": ""}
    assert "lacks 3.0.0" in catalogue.differences[0]
