"""One suite of behaviour for everything that holds objects: memory, a directory, three S3 servers, a web server.

Where a server is known to lack a feature, the test asserts what it does instead. A release of the server that adds the
feature, or breaks another, is thus noticed.
"""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import pytest

from orbitpkg.errors import (
    IntegrityError,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    ReadOnlyRepository,
    RepositoryError,
    StorageError,
    UnsupportedByStore,
    UsageError,
)
from orbitpkg.objects.directory import DirectoryStore
from orbitpkg.objects.http import HttpStore
from orbitpkg.objects.memory import MemoryStore
from orbitpkg.objects.s3 import S3Store
from orbitpkg.objects.s3_forked import ForkedS3Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orbitpkg.objects import ObjectStore
    from tests.servers.processes import S3Server, StaticSite

T = TypeVar("T")

MIB = 1 << 20
PART = 5 * MIB
WRITABLE = ["memory", "directory", "moto", "rclone", "ceph"]
OBJECTS = {
    "letters.txt": b"abcdefghijklmnopqrstuvwxyz",
    "deep/down/below.json": b"{}",
    "empty": b"",
    "deep/name with spaces, ünïcödé & 100%41+~=@(x).bin": b"odd",
    "long.bin": bytes(range(256)) * 4096,
}
BAD_KEYS = ["", "/", "/abs", "a//b", "a/", "../x", "a/../b", "./a", "a\\b", "a\nb", "a\0b", "a\ud800", "k" * 1025]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """An empty, writable store, and the features it is known to lack."""

    name: str
    store: ObjectStore

    @property
    def ignores_conditions(self) -> bool:
        """Whether it overwrites in silence, whatever the condition."""
        return self.name == "rclone"

    @property
    def refuses_conditions(self) -> bool:
        """Whether a write that is only to replace an unchanged object always fails."""
        return self.name == "ceph"

    @property
    def copies_parts(self) -> bool:
        return self.name != "rclone"


def new_s3_store(server: S3Server) -> S3Store:
    return S3Store(server.new_bucket(), "some/prefix", env=server.env())


def new_store(name: str, request: pytest.FixtureRequest, folder: Path) -> ObjectStore:
    if name == "memory":
        return MemoryStore()
    if name == "directory":
        return DirectoryStore(folder / "not made yet" / "root")
    if name == "botocore":
        moto: S3Server = request.getfixturevalue("moto")
        return ForkedS3Store(moto.new_bucket(), "some/prefix", env=moto.env())
    return new_s3_store(request.getfixturevalue(name))


@pytest.fixture(params=WRITABLE)
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """Each kind of store that can be written, empty."""
    with closing(new_store(request.param, request, tmp_path)) as store:
        yield Place(name=request.param, store=store)


@pytest.fixture
def store(place: Place) -> ObjectStore:
    """Each kind of store that can be written, empty; for what all do alike."""
    return place.store


@pytest.fixture(scope="module")
def shelves() -> dict[str, ObjectStore]:
    """Stores that hold `OBJECTS`, by name; each filled once."""
    return {}


@pytest.fixture(params=[*WRITABLE, "static_site", "botocore"])
def shelf(
    request: pytest.FixtureRequest, shelves: dict[str, ObjectStore], tmp_path_factory: pytest.TempPathFactory
) -> ObjectStore:
    """Each kind of store, containing `OBJECTS`, which no test changes."""
    name: str = request.param
    if name == "static_site":
        site: StaticSite = request.getfixturevalue(name)
        shelves.setdefault(name, filled_site(site.new_folder()))
    elif name not in shelves:
        shelves[name] = new_store(name, request, tmp_path_factory.mktemp("shelf"))
        for key, data in OBJECTS.items():
            shelves[name].put(key, data)
    return shelves[name]


def filled_site(site: StaticSite) -> HttpStore:
    for key, data in OBJECTS.items():
        path = site.root / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return HttpStore(site.url)


def keys(store: ObjectStore, prefix: str = "") -> list[str]:
    return [info.key for info in store.list(prefix)]


def in_threads(work: Callable[[int], T], times: int, *, threads: int = 16) -> list[T]:
    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(work, range(times)))


class TestReading:
    @pytest.mark.parametrize("key", OBJECTS)
    def test_a_whole_object_survives_a_round_trip(self, shelf: ObjectStore, key: str) -> None:
        data, info = shelf.get(key)
        assert data == OBJECTS[key]
        assert type(data) is bytes
        assert (info.key, info.size) == (key, len(data))

    @pytest.mark.parametrize("key", OBJECTS)
    def test_head_reports_the_same_facts_as_get(self, shelf: ObjectStore, key: str) -> None:
        assert shelf.head(key) == shelf.get(key)[1]

    def test_an_object_has_an_etag_and_a_time_with_a_zone(self, shelf: ObjectStore) -> None:
        info = shelf.head("letters.txt")
        assert info.etag is not None
        assert info.etag.endswith('"')
        assert info.modified is not None
        assert info.modified.tzinfo is not None

    @pytest.mark.parametrize("key", ["absent", "deep/absent", "letters.txt/below", "deep", "x" * 300])
    def test_missing_objects_are_not_found(self, shelf: ObjectStore, key: str) -> None:
        if key == "letters.txt/below" and "s3" in shelf.url:
            key = "letters.txt.below"  # rclone: 500 for a key below another, which a bucket of S3 may have
        if key == "x" * 300 and "s3" in shelf.url:
            key = "x" * 200  # rclone keeps objects as files, and tells a name that is too long for one as 500
        if key == "deep" and shelf.url.startswith("http"):
            key = "shallow"  # a web server sends one on from "deep" to "deep/", and answers 403 there
        for read in (shelf.get, shelf.head, lambda key: shelf.get_range(key, 0, 1)):
            with pytest.raises(ObjectNotFound) as caught:
                read(key)
            assert key in caught.value.message

    def test_a_bound_on_the_size_is_kept_to_the_byte(self, shelf: ObjectStore) -> None:
        assert shelf.get("letters.txt", max_bytes=26)[0] == OBJECTS["letters.txt"]
        with pytest.raises(IntegrityError, match="26 bytes; the maximum is 25"):
            shelf.get("letters.txt", max_bytes=25)

    @pytest.mark.parametrize("key", ["letters.txt", "long.bin"])
    def test_unchanged_files_are_not_sent_again(self, shelf: ObjectStore, key: str) -> None:
        etag = shelf.head(key).etag
        assert etag is not None
        assert shelf.get_if_changed(key, etag=etag) is None

    def test_objects_in_an_unknown_state_are_sent(self, shelf: ObjectStore) -> None:
        found = shelf.get_if_changed("letters.txt", etag='"0123456789abcdef0123456789abcdef"', max_bytes=26)
        assert found == shelf.get("letters.txt")
        with pytest.raises(IntegrityError, match="26 bytes; the maximum is 25"):
            shelf.get_if_changed("letters.txt", etag='"of another state"', max_bytes=25)
        with pytest.raises(ObjectNotFound):
            shelf.get_if_changed("absent", etag='"of another state"')

    @pytest.mark.parametrize(("start", "length"), [(0, 1), (0, 26), (25, 1), (3, 7)])
    def test_a_range_has_the_bytes_that_were_asked_for(self, shelf: ObjectStore, start: int, length: int) -> None:
        expected = OBJECTS["letters.txt"][start : start + length]
        assert bytes(shelf.get_range("letters.txt", start, length)) == expected

    @pytest.mark.parametrize(("start", "length"), [(0, 27), (25, 2), (26, 1), (1000, 1000)])
    def test_a_range_that_leaves_the_object_is_refused(self, shelf: ObjectStore, start: int, length: int) -> None:
        with pytest.raises(IntegrityError):
            shelf.get_range("letters.txt", start, length)

    @pytest.mark.parametrize(("start", "length"), [(0, 0), (-1, 2), (5, -1)])
    def test_an_invalid_range_is_an_error_of_the_caller(self, shelf: ObjectStore, start: int, length: int) -> None:
        with pytest.raises(ValueError, match="is not a range"):
            shelf.get_range("letters.txt", start, length)

    def test_a_range_of_an_unchanged_object_can_be_asked_for(self, shelf: ObjectStore) -> None:
        etag = shelf.head("letters.txt").etag
        assert bytes(shelf.get_range("letters.txt", 3, 4, etag=etag)) == b"defg"

    def test_a_range_of_another_state_of_the_object_is_refused(self, shelf: ObjectStore) -> None:
        with pytest.raises(ObjectChanged):
            shelf.get_range("letters.txt", 3, 4, etag='"of another state"')

    @pytest.mark.parametrize("key", BAD_KEYS)
    def test_a_key_that_could_be_read_in_two_ways_is_refused(self, shelf: ObjectStore, key: str) -> None:
        for use in (shelf.get, shelf.head, shelf.delete, shelf.start_upload):
            with pytest.raises(RepositoryError, match="is not valid"):
                use(key)

    def test_many_threads_read_ranges_of_one_object(self, shelf: ObjectStore) -> None:
        size = len(OBJECTS["long.bin"]) // 32
        etag = shelf.head("long.bin").etag
        pieces = in_threads(lambda i: bytes(shelf.get_range("long.bin", i * size, size, etag=etag)), 32)
        assert b"".join(pieces) == OBJECTS["long.bin"]

    def test_the_address_is_reported(self, shelf: ObjectStore) -> None:
        assert shelf.url.partition("://")[0] in {"memory", "file", "s3", "http"}


class TestWriting:
    def test_put_writes_and_overwrites(self, store: ObjectStore) -> None:
        first = store.put("a/key.json", b"one")
        second = store.put("a/key.json", memoryview(b"xtwox")[1:4])
        assert store.get("a/key.json")[0] == b"two"
        assert (first.key, first.size, second.size) == ("a/key.json", 3, 3)
        assert second.etag == store.head("a/key.json").etag
        assert first.etag != second.etag

    def test_an_object_of_some_megabytes_is_written_in_one_go(self, store: ObjectStore) -> None:
        data = bytes(7 * MIB)
        store.put("large", data)
        assert store.get("large")[0] == data

    def test_create_writes_missing_objects(self, store: ObjectStore) -> None:
        info = store.create("new/key", memoryview(b"first"))
        assert (info.key, info.size) == ("new/key", 5)
        assert info.etag == store.head("new/key").etag
        assert store.get("new/key")[0] == b"first"

    def test_create_leaves_an_existing_object(self, place: Place) -> None:
        place.store.create("key", b"first")
        if place.ignores_conditions:
            place.store.create("key", b"second")
            assert place.store.get("key")[0] == b"second"
            return
        with pytest.raises(ObjectExists) as caught:
            place.store.create("key", b"second")
        assert caught.value.data == {"key": "key"}
        assert place.store.get("key")[0] == b"first"

    def test_of_sixteen_concurrent_creators_of_a_key_one_wins(self, place: Place) -> None:
        if place.ignores_conditions:
            pytest.skip("rclone's server ignores create-only writes: nobody loses there")
        start = threading.Barrier(16)

        def create(number: int) -> bool:
            start.wait()
            try:
                place.store.create("contested", b"%d" % number)
            except ObjectExists:
                return False
            return True

        won = in_threads(create, 16)
        assert won.count(True) == 1
        assert place.store.get("contested")[0] == b"%d" % won.index(True)

    def test_an_unchanged_object_is_replaced(self, place: Place) -> None:
        etag = place.store.put("key", b"one").etag
        assert etag is not None
        if place.refuses_conditions:
            with pytest.raises(UnsupportedByStore):
                place.store.replace("key", b"two", etag=etag)
            return
        info = place.store.replace("key", b"two", etag=etag)
        assert place.store.get("key") == (b"two", place.store.head("key"))
        assert info.etag == place.store.head("key").etag

    def test_a_changed_object_is_not_replaced(self, place: Place) -> None:
        etag = place.store.put("key", b"one").etag
        assert etag is not None
        place.store.put("key", b"somebody else's")
        if place.ignores_conditions:
            place.store.replace("key", b"two", etag=etag)
            assert place.store.get("key")[0] == b"two"
            return
        with pytest.raises(ObjectChanged):
            place.store.replace("key", b"two", etag=etag)
        assert place.store.get("key")[0] == b"somebody else's"

    def test_an_object_that_is_gone_is_not_replaced(self, place: Place) -> None:
        etag = place.store.put("key", b"one").etag
        assert etag is not None
        place.store.delete("key")
        if place.ignores_conditions:
            place.store.replace("key", b"two", etag=etag)
            assert keys(place.store) == ["key"]
            return
        with pytest.raises(ObjectChanged):
            place.store.replace("key", b"two", etag=etag)
        assert keys(place.store) == []

    def test_of_sixteen_concurrent_replacements_of_a_state_one_wins(self, place: Place) -> None:
        if place.ignores_conditions or place.refuses_conditions:
            pytest.skip(f"{place.name} has no conditional replacement")
        etag = place.store.put("contested", b"before").etag
        assert etag is not None
        start = threading.Barrier(16)

        def replace(number: int) -> bool:
            start.wait()
            try:
                place.store.replace("contested", b"%d" % number, etag=etag)
            except ObjectChanged:
                return False
            return True

        won = in_threads(replace, 16)
        assert won.count(True) == 1
        assert place.store.get("contested")[0] == b"%d" % won.index(True)

    def test_readers_see_a_whole_state_while_it_is_overwritten(self, store: ObjectStore) -> None:
        states = [bytes([number]) * 50_000 for number in range(20)]
        store.put("key", states[0])
        done = threading.Event()

        def read(_: int) -> set[bytes]:
            seen = set()
            while not done.is_set():
                seen.add(store.get("key")[0])
            return seen

        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(read, 0)
            for state in states:
                store.put("key", state)
            done.set()
            assert reading.result() <= set(states)

    def test_delete_removes_objects_and_accepts_missing_ones(self, store: ObjectStore) -> None:
        store.put("a/key", b"x")
        store.delete("a/key")
        store.delete("a/key")
        store.delete("never/was")
        with pytest.raises(ObjectNotFound):
            store.get("a/key")
        assert keys(store) == []


class TestListing:
    def test_an_empty_store_lists_nothing(self, store: ObjectStore) -> None:
        assert keys(store) == []
        assert keys(store, "releases/model/") == []
        assert store.list_folders("") == []
        assert store.list_folders("releases/") == []

    def test_keys_are_listed_in_order_with_the_facts_of_head(self, place: Place) -> None:
        names = ["a-b", "a.b", "a/b", "a/c/d", "a0", "b", "ü/ä"]
        for name in reversed(names):
            place.store.put(name, name.encode())
        found = list(place.store.list(""))
        assert [info.key for info in found] == names
        heads = [place.store.head(name) for name in names]
        assert [(info.size, info.etag) for info in found] == [(info.size, info.etag) for info in heads]
        assert all(info.modified is not None and info.modified.tzinfo is not None for info in found)

    def test_a_prefix_is_a_string_and_not_a_folder(self, store: ObjectStore) -> None:
        for name in ("releases/model/1", "releases/model-b/1", "releases/model.json", "releases/mode", "other/model"):
            store.put(name, b"")
        assert keys(store, "releases/model/") == ["releases/model/1"]
        assert keys(store, "releases/model") == ["releases/model-b/1", "releases/model.json", "releases/model/1"]
        assert keys(store, "releases/mode") == [*keys(store, "releases/mode")[:1], *keys(store, "releases/model")]
        assert keys(store, "oth") == ["other/model"]
        assert keys(store, "releases/model/1/") == []

    def test_folders_are_those_right_below(self, store: ObjectStore) -> None:
        for name in ("releases/b/1", "releases/b/2", "releases/a/x/y", "releases/file", "top", "index/a.json"):
            store.put(name, b"")
        assert store.list_folders("") == ["index", "releases"]
        assert store.list_folders("releases/") == ["a", "b"]
        assert store.list_folders("releases/a/") == ["x"]
        assert store.list_folders("releases/a/x/") == []

    def test_a_folder_goes_with_its_last_object(self, store: ObjectStore) -> None:
        store.put("releases/a/1", b"")
        store.delete("releases/a/1")
        assert store.list_folders("releases/") == []

    @pytest.mark.parametrize("server", ["moto", "ceph"])
    def test_unusable_keys_of_other_tools_are_skipped(self, server: str, request: pytest.FixtureRequest) -> None:
        found: S3Server = request.getfixturevalue(server)
        bucket = found.new_bucket()
        for key in ("a//b", "folder/", "folder/x/", "x/../y", "./z", "ok", "folder/ok", "folder/x/ok"):
            found.client().put_object(Bucket=bucket, Key=key, Body=b"")
        with closing(S3Store(bucket, env=found.env())) as store:
            assert keys(store) == ["folder/ok", "folder/x/ok", "ok"]
            assert keys(store, "folder/") == ["folder/ok", "folder/x/ok"]
            assert store.list_folders("") == ["folder"]
            assert store.list_folders("folder/") == ["x"]

    def test_a_listing_continues_after_a_thousand_objects(self, store: ObjectStore) -> None:
        in_threads(lambda number: store.put(f"many/{number:04}/x", b"").size, 1005)
        assert keys(store, "many/") == [f"many/{number:04}/x" for number in range(1005)]
        assert len(store.list_folders("many/")) == 1005


class TestUploading:
    def test_parts_from_many_threads_make_one_object(self, store: ObjectStore) -> None:
        parts = [bytes([number]) * PART for number in range(4)] + [b"the last may be small"]
        upload = store.start_upload("archives/large.bin")
        in_threads(lambda i: upload.put_part(5 - i, (4 - i) * PART, memoryview(parts[4 - i])), 5)
        info = upload.complete()
        assert info.size == sum(map(len, parts))
        assert info.etag == store.head("archives/large.bin").etag
        assert store.get("archives/large.bin")[0] == b"".join(parts)

    def test_nothing_is_visible_before_the_upload_is_complete(self, store: ObjectStore) -> None:
        upload = store.start_upload("archives/new.bin")
        upload.put_part(1, 0, b"data")
        assert keys(store) == []
        with pytest.raises(ObjectNotFound):
            store.head("archives/new.bin")
        upload.complete()
        assert keys(store) == ["archives/new.bin"]

    def test_an_upload_replaces_an_existing_object(self, store: ObjectStore) -> None:
        store.put("key", b"before")
        upload = store.start_upload("key")
        upload.put_part(1, 0, b"after")
        assert store.get("key")[0] == b"before"
        upload.complete()
        assert store.get("key")[0] == b"after"

    def test_a_part_may_be_given_again(self, store: ObjectStore) -> None:
        upload = store.start_upload("key")
        upload.put_part(1, 0, b"data")
        upload.put_part(1, 0, b"data")
        assert upload.complete().size == 4
        assert store.get("key")[0] == b"data"

    def test_a_part_given_again_takes_the_place_of_the_first(self, place: Place) -> None:
        upload = place.store.start_upload("key")
        upload.put_part(1, 0, b"a longer first try")
        if place.name == "rclone":
            with pytest.raises(UnsupportedByStore):
                upload.put_part(1, 0, b"second try")
            return
        upload.put_part(1, 0, b"second try")
        assert upload.complete().size == 10
        assert place.store.get("key")[0] == b"second try"

    def test_an_aborted_upload_leaves_nothing(self, store: ObjectStore) -> None:
        upload = store.start_upload("key")
        upload.put_part(1, 0, b"data")
        upload.abort()
        upload.abort()
        assert keys(store) == []
        with pytest.raises(RepositoryError):
            upload.put_part(1, 0, b"data")

    def test_abort_after_completion_leaves_the_object(self, store: ObjectStore) -> None:
        upload = store.start_upload("key")
        upload.put_part(1, 0, b"data")
        upload.complete()
        upload.abort()
        assert store.get("key")[0] == b"data"

    @pytest.mark.parametrize(
        "parts",
        [
            pytest.param({}, id="no part at all"),
            pytest.param({2: (0, b"x")}, id="the first is missing"),
            pytest.param({1: (0, b"x"), 3: (1, b"y")}, id="one in the middle is missing"),
            pytest.param({1: (0, b"x"), 2: (2, b"y")}, id="a gap"),
            pytest.param({1: (0, b"xx"), 2: (1, b"y")}, id="an overlap"),
        ],
    )
    def test_parts_that_do_not_join_are_refused(self, store: ObjectStore, parts: dict[int, tuple[int, bytes]]) -> None:
        upload = store.start_upload("key")
        for number, (offset, data) in parts.items():
            upload.put_part(number, offset, data)
        with pytest.raises(ValueError, match="part"):
            upload.complete()
        upload.abort()
        assert keys(store) == []

    def test_parts_are_copied_inside_the_store(self, place: Place) -> None:
        source = bytes(range(256)) * (6 * MIB // 256)
        place.store.put("archives/v1.bin", source)
        upload = place.store.start_upload("archives/v2.bin")
        if not place.copies_parts:
            with pytest.raises(UnsupportedByStore):
                upload.copy_part(1, 0, "archives/v1.bin", 100, PART)
            upload.abort()
            return
        upload.put_part(2, PART, b"new")
        upload.copy_part(1, 0, "archives/v1.bin", 100, PART)
        info = upload.complete()
        assert info.size == PART + 3
        assert place.store.get("archives/v2.bin")[0] == source[100 : 100 + PART] + b"new"

    def test_copying_a_missing_object_is_refused(self, place: Place) -> None:
        upload = place.store.start_upload("key")
        with pytest.raises(ObjectNotFound if place.copies_parts else UnsupportedByStore):
            upload.copy_part(1, 0, "absent", 0, PART)
        upload.abort()

    def test_a_copy_that_leaves_its_source_is_refused(self, place: Place) -> None:
        place.store.put("short", b"short")
        upload = place.store.start_upload("key")
        if place.name == "moto":
            upload.copy_part(1, 0, "short", 0, PART)
            with pytest.raises(IntegrityError, match="has 5 bytes, not 5242880"):
                upload.complete()
            return
        with pytest.raises(IntegrityError if place.copies_parts else UnsupportedByStore):
            upload.copy_part(1, 0, "short", 0, PART)
        upload.abort()


class TestWithoutObstore:
    """What a process does that was forked from one that used obstore; its reading is tried with all others'."""

    def test_it_writes_lists_and_deletes(self, moto: S3Server) -> None:
        with closing(ForkedS3Store(moto.new_bucket(), "some/prefix", env=moto.env())) as store:
            first = store.create("a/key", memoryview(b"xonex")[1:4], metadata={"digest": "ab12"})
            assert first.etag is not None
            with pytest.raises(ObjectExists):
                store.create("a/key", b"two")
            assert store.metadata("a/key") == {"digest": "ab12"}
            second = store.replace("a/key", b"two", etag=first.etag)
            with pytest.raises(ObjectChanged):
                store.replace("a/key", b"three", etag=first.etag)
            assert second.etag == store.head("a/key").etag
            assert store.put("b", b"").size == 0
            assert keys(store) == ["a/key", "b"]
            assert store.list_folders("") == ["a"]
            store.delete("a/key")
            store.delete("a/key")
            assert keys(store) == ["b"]


class TestMetadata:
    """What a writer says of an object beside its bytes."""

    SAID = {"digest": "ab12", "with-hyphen": "a value, with = and spaces"}  # noqa: RUF012

    @staticmethod
    def kept(place: Place, said: dict[str, str]) -> dict[str, str]:
        """Return the expected metadata: a directory keeps none, and rclone adds the time of a file."""
        return {} if place.name == "directory" else said

    @staticmethod
    def found(store: ObjectStore, key: str) -> dict[str, str]:
        return {name: value for name, value in store.metadata(key).items() if name != "mtime"}

    def test_it_survives_a_round_trip(self, place: Place) -> None:
        place.store.put("key", b"x", metadata=self.SAID)
        assert self.found(place.store, "key") == self.kept(place, self.SAID)
        place.store.put("key", b"x")
        assert self.found(place.store, "key") == {}
        place.store.create("created", b"x", metadata=self.SAID)
        assert self.found(place.store, "created") == self.kept(place, self.SAID)

    def test_names_come_back_in_lower_case(self, place: Place) -> None:
        place.store.put("key", b"x", metadata={"Digest": "Ab12"})
        assert self.found(place.store, "key") == self.kept(place, {"digest": "Ab12"})

    def test_an_upload_by_parts_carries_it(self, place: Place) -> None:
        upload = place.store.start_upload("key", metadata=self.SAID)
        upload.put_part(1, 0, b"data")
        upload.complete()
        assert self.found(place.store, "key") == self.kept(place, self.SAID)

    def test_missing_files_are_not_reported(self, shelf: ObjectStore) -> None:
        with pytest.raises(ObjectNotFound, match="absent"):
            shelf.metadata("absent")
        assert {name for name in shelf.metadata("letters.txt") if name != "mtime"} == set()

    @pytest.mark.parametrize(
        "metadata",
        [
            pytest.param({"": "x"}, id="no name"),
            pytest.param({"two words": "x"}, id="a space in a name"),
            pytest.param({"under_score": "x"}, id="an underscore, which Ceph's gateway makes a hyphen"),
            pytest.param({"umläut": "x"}, id="a name that is not ASCII"),
            pytest.param({"name": "zwölf"}, id="a value that is not ASCII"),
            pytest.param({"name": "two\nlines"}, id="a value of two lines"),
            pytest.param({"name": " x "}, id="spaces that HTTP strips"),
            pytest.param({"name": "x", "Name": "y"}, id="one name twice"),
            pytest.param({"name": "x" * 2045}, id="too much"),
        ],
    )
    def test_keys_that_no_store_supports_are_refused(self, store: ObjectStore, metadata: dict[str, str]) -> None:
        with pytest.raises(UsageError, match="metadata"):
            store.put("key", b"x", metadata=metadata)
        with pytest.raises(UsageError, match="metadata"):
            store.start_upload("key", metadata=metadata)
        assert keys(store) == []


class TestCopying:
    def test_a_copy_has_the_bytes_and_the_metadata(self, place: Place) -> None:
        place.store.put("a/source, ünïcödé & 100%41+.bin", b"data", metadata={"digest": "ab12"})
        info = place.store.copy("a/source, ünïcödé & 100%41+.bin", "b/copy")
        assert place.store.get("b/copy") == (b"data", place.store.head("b/copy"))
        assert (info.key, info.size, info.etag) == ("b/copy", 4, place.store.head("b/copy").etag)
        if place.name != "directory":
            assert place.store.metadata("b/copy")["digest"] == "ab12"

    def test_a_copy_replaces_an_existing_object(self, store: ObjectStore) -> None:
        store.put("source", b"new")
        store.put("key", b"something before")
        assert store.copy("source", "key").size == 3
        assert store.get("key")[0] == b"new"
        assert store.get("source")[0] == b"new"

    def test_an_empty_object_is_copied(self, store: ObjectStore) -> None:
        store.put("empty", b"")
        assert store.copy("empty", "copy").size == 0
        assert store.get("copy")[0] == b""

    def test_a_copy_onto_itself_changes_nothing(self, store: ObjectStore) -> None:
        store.put("key", b"data")
        assert store.copy("key", "key").size == 4
        assert store.get("key")[0] == b"data"

    def test_missing_objects_are_not_copied(self, store: ObjectStore) -> None:
        with pytest.raises(ObjectNotFound, match="absent"):
            store.copy("absent", "key")
        assert keys(store) == []

    def test_large_objects_are_copied_in_parts(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("orbitpkg.objects.s3._COPY_BYTES", PART)
        data = bytes(range(256)) * (PART // 256) + b"the rest"
        place.store.put("large", data, metadata={"digest": "ab12"})
        if place.name == "rclone":
            with pytest.raises(UnsupportedByStore):
                place.store.copy("large", "copy")
            return
        assert place.store.copy("large", "copy").size == len(data)
        assert place.store.get("copy")[0] == data
        assert place.name == "directory" or place.store.metadata("copy") == {"digest": "ab12"}

    @pytest.mark.parametrize("server", ["moto", "rclone", "ceph"])
    def test_s3_copies_from_bucket_to_bucket(self, server: str, request: pytest.FixtureRequest) -> None:
        found: S3Server = request.getfixturevalue(server)
        with closing(new_s3_store(found)) as source, closing(new_s3_store(found)) as target:
            source.put("a key ü", b"data", metadata={"digest": "ab12"})
            assert target.copy_from(source, "a key ü", "copy").size == 4
            assert target.get("copy")[0] == b"data"
            assert target.metadata("copy")["digest"] == "ab12"
            with pytest.raises(ObjectNotFound):
                target.copy_from(source, "absent", "copy")

    def test_s3_does_not_copy_from_another_service(self, moto: S3Server, rclone: S3Server) -> None:
        with closing(new_s3_store(moto)) as source, closing(new_s3_store(rclone)) as target:
            source.put("key", b"data")
            with pytest.raises(UnsupportedByStore):
                target.copy_from(source, "key", "copy")


class TestVersions:
    """A bucket that keeps versions; what keeps none says so."""

    @pytest.fixture(params=["moto", "ceph"])
    def versioned(self, request: pytest.FixtureRequest) -> Iterator[S3Store]:
        server: S3Server = request.getfixturevalue(request.param)
        bucket = server.new_bucket()
        server.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        with closing(S3Store(bucket, "some/prefix", env=server.env())) as store:
            yield store

    def test_each_write_is_a_version_that_can_be_read(self, versioned: S3Store) -> None:
        first = versioned.put("key", b"first", metadata={"nth": "1"})
        second = versioned.put("key", b"the second", metadata={"nth": "2"})
        assert first.version
        assert second.version not in (None, first.version)
        assert versioned.head("key").version == second.version
        data, info = versioned.get("key", version=first.version)
        assert (data, info.version, info.etag, info.size) == (b"first", first.version, first.etag, 5)
        assert versioned.head("key", version=first.version) == info
        assert bytes(versioned.get_range("key", 1, 3, version=first.version, etag=first.etag)) == b"irs"
        assert versioned.metadata("key", version=first.version) == {"nth": "1"}
        assert versioned.metadata("key") == {"nth": "2"}

    def test_a_version_outlives_its_object(self, versioned: S3Store) -> None:
        version = versioned.put("key", b"data").version
        versioned.delete("key")
        with pytest.raises(ObjectNotFound):
            versioned.get("key")
        assert versioned.get("key", version=version)[0] == b"data"

    def test_a_multipart_upload_reports_its_version(self, versioned: S3Store) -> None:
        upload = versioned.start_upload("key")
        upload.put_part(1, 0, b"data")
        assert upload.complete().version == versioned.head("key").version is not None

    def test_a_version_that_never_was_is_not_found(self, versioned: S3Store) -> None:
        version = versioned.put("key", b"data").version
        assert version is not None
        absent = version[:-4] + ("abcd" if not version.endswith("abcd") else "dcba")
        for read in (versioned.get, versioned.head, versioned.metadata):
            with pytest.raises(ObjectNotFound):
                read("key", version=absent)

    @pytest.mark.parametrize("name", ["memory", "directory"])
    def test_a_store_without_versions_reports_it(
        self, name: str, request: pytest.FixtureRequest, tmp_path: Path
    ) -> None:
        store = new_store(name, request, tmp_path)
        store.put("key", b"data")
        assert store.head("key").version is None
        for read in (
            lambda: store.get("key", version="1"),
            lambda: store.head("key", version="1"),
            lambda: store.get_range("key", 0, 1, version="1"),
            lambda: store.metadata("key", version="1"),
        ):
            with pytest.raises(UnsupportedByStore, match="versions"):
                read()


class TestCreatingByParts:
    def test_a_create_only_upload_leaves_an_existing_object(self, place: Place) -> None:
        upload = place.store.start_upload("key")
        upload.put_part(1, 0, b"first")
        assert upload.complete(create_only=True).size == 5
        second = place.store.start_upload("key")
        second.put_part(1, 0, b"second")
        if place.name in ("rclone", "ceph"):
            second.complete(create_only=True)
            assert place.store.get("key")[0] == b"second"
            return
        with pytest.raises(ObjectExists):
            second.complete(create_only=True)
        second.abort()
        assert place.store.get("key")[0] == b"first"


class TestWebServers:
    """What a web server cannot do, it says."""

    def test_it_is_not_written(self, static_site: StaticSite) -> None:
        store = HttpStore(static_site.new_folder().url)
        for use in (
            lambda: store.put("key", b""),
            lambda: store.create("key", b""),
            lambda: store.replace("key", b"", etag="x"),
            lambda: store.delete("key"),
            lambda: store.start_upload("key"),
            lambda: store.copy("key", "copy"),
        ):
            with pytest.raises(ReadOnlyRepository, match="cannot be written"):
                use()

    def test_it_does_not_list(self, static_site: StaticSite) -> None:
        store = HttpStore(static_site.new_folder().url)
        with pytest.raises(UnsupportedByStore):
            store.list("")
        with pytest.raises(UnsupportedByStore):
            store.list_folders("")

    def test_it_keeps_no_versions(self, static_site: StaticSite) -> None:
        store = filled_site(static_site.new_folder())
        for read in (store.get, store.head, store.metadata):
            with pytest.raises(UnsupportedByStore, match="versions"):
                read("letters.txt", version="1")

    def test_one_without_ranges_still_returns_whole_objects(self, rangeless_site: StaticSite) -> None:
        store = filled_site(rangeless_site.new_folder())
        assert store.get("long.bin")[0] == OBJECTS["long.bin"]
        with pytest.raises(UnsupportedByStore):
            store.get_range("long.bin", 10, 10)


class TestDirectories:
    """What only a directory can get wrong."""

    def test_a_directory_is_created_by_the_first_write(self, tmp_path: Path) -> None:
        root = tmp_path / "a" / "b"
        store = DirectoryStore(root)
        assert keys(store) == []
        with pytest.raises(ObjectNotFound):
            store.get("key")
        store.delete("key")
        assert not root.exists()
        store.create("key", b"x")
        assert (root / "key").read_bytes() == b"x"

    def test_temporary_files_are_neither_listed_nor_reached(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        upload = store.start_upload("key")
        upload.put_part(1, 0, b"x")
        assert list(store.list("")) == list(store.list(".tmp/")) == []
        assert store.list_folders("") == []
        with pytest.raises(RepositoryError, match="temporary"):
            store.put(".tmp/key", b"")
        upload.abort()
        store.put("key", b"x")
        assert [path.name for path in (tmp_path / ".tmp").iterdir()] == ["lock"]

    def test_special_files_are_neither_listed_nor_opened(self, tmp_path: Path) -> None:
        import os

        os.mkfifo(tmp_path / "fifo")
        (tmp_path / "nowhere").symlink_to("absent")
        (tmp_path / "circle").symlink_to("circle")
        (tmp_path / "up").symlink_to(".")
        store = DirectoryStore(tmp_path)
        assert keys(store) == []
        with pytest.raises(RepositoryError, match="not a regular file"):
            store.get("fifo")
        with pytest.raises(ObjectNotFound):
            store.get("nowhere")

    def test_files_are_for_everyone_whom_the_umask_lets_in(self, tmp_path: Path) -> None:
        import os

        before = os.umask(0o022)
        try:
            DirectoryStore(tmp_path).create("key", b"x")
        finally:
            os.umask(before)
        assert (tmp_path / "key").stat().st_mode & 0o777 == 0o644

    def test_a_file_in_place_of_a_directory_is_reported(self, tmp_path: Path) -> None:
        store = DirectoryStore(tmp_path)
        store.put("a", b"x")
        with pytest.raises(StorageError) as caught:
            store.put("a/b", b"x")
        assert str(tmp_path / "a") in caught.value.message


class TestCapabilities:
    def test_operations_that_a_store_lacks_are_unsupported(self, shelf: ObjectStore) -> None:
        """A store does what its capabilities promise, and refuses the rest."""
        key = next(iter(OBJECTS))
        can = shelf.capabilities
        assert can.listing == succeeds(lambda: next(shelf.list(""), None))
        assert can.versions or not succeeds(lambda: shelf.get(key, version="1"))
        assert can.remote_copies or not succeeds(lambda: shelf.copy_from(MemoryStore(), key, "copy"))
        assert can.writing or not succeeds(lambda: shelf.put("new", b"x"))
        if can.listing:
            assert {info.key for info in shelf.list("")} <= {info.key for info in shelf.list_everything("")}

    def test_metadata_is_kept_where_it_is_promised(self, store: ObjectStore) -> None:
        store.put("key", b"x", metadata={"name": "value"})
        assert store.metadata("key") == ({"name": "value"} if store.capabilities.metadata else {})


def succeeds(work: Callable[[], object]) -> bool:
    try:
        work()
    except (UnsupportedByStore, ReadOnlyRepository):
        return False
    return True
