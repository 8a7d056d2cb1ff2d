"""Objects as files: the same calls with real servers, a directory and memory; the cache and the requests."""

from __future__ import annotations

import logging
import os
import subprocess
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg import remote
from orbitpkg.errors import (
    FileMissing,
    NoSpace,
    ObjectChanged,
    ObjectExists,
    ReadOnlyRepository,
    RepositoryError,
    StorageError,
    UnsupportedByStore,
    UsageError,
)
from orbitpkg.objects import open_store
from orbitpkg.objects.retry import RetryPolicy
from orbitpkg.objects.transfer.partial import file_digest
from tests.faulty_store import Fault
from tests.remote.conftest import Place, enter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faulty_store import FaultyStore, Request
    from tests.servers.processes import S3Server, StaticSite

MIB = 1 << 20
LARGE = b"".join(number.to_bytes(4, "big") for number in range(9 * MIB // 4)) + b"end"


# Ceph's gateway starts and answers slowly, so tests with many parameters skip it.
WITHOUT_CEPH = ["memory", "file", "moto", "rclone"]


@pytest.fixture(params=[*WITHOUT_CEPH, "ceph"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """Every kind of writable store."""
    if request.param == "memory":
        uri = f"memory://{uuid.uuid4().hex}"
        yield Place("memory", uri, open_store(uri))
    elif request.param == "file":
        uri = (tmp_path / "dir with spaces").as_uri()
        yield Place("file", uri, open_store(uri))
    else:
        yield enter(request.getfixturevalue(request.param), monkeypatch)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root: run the tests as root")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"a small file system could not be mounted: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def asked(store: FaultyStore) -> list[str]:
    found: list[Request] = store.faults.requests
    return [request.operation for request in found]


class TestEverywhere:
    def test_written_data_can_be_read(self, place: Place) -> None:
        uri = f"{place.uri}/dir/tables/one.csv"
        with remote.write(uri) as path:
            assert path.suffix == ".csv"
            path.write_text("a,b\n")
        assert not path.exists() or place.name == "memory"
        assert remote.local_path(uri).read_bytes() == b"a,b\n"
        with remote.open(uri) as file:
            assert file.read() == "a,b\n"
        with remote.open(uri, "rb") as file:
            assert file.read() == b"a,b\n"

    @pytest.mark.parametrize("place", WITHOUT_CEPH, indirect=True)
    @pytest.mark.parametrize("mode", ["w", "wb", "x", "xb"])
    def test_a_file_opened_for_writing_appears_when_it_is_closed(self, place: Place, mode: str) -> None:
        uri = f"{place.uri}/folder/new.txt"
        Path(place.uri.removeprefix("file://").replace("%20", " "), "folder").mkdir(
            parents=True
        ) if place.name == "file" else None
        with remote.open(uri, mode) as file:  # type: ignore[call-overload]
            file.write(b"text" if "b" in mode else "text")
        assert remote.local_path(uri).read_bytes() == b"text"

    def test_a_large_object_is_uploaded_and_downloaded(self, place: Place) -> None:
        with remote.write(f"{place.uri}/large.bin", keep=False) as path:
            path.write_bytes(LARGE)
        with remote.local_path(f"{place.uri}/large.bin") as path:
            assert path.read_bytes() == LARGE

    def test_objects_are_listed_found_and_described(self, place: Place) -> None:
        for key in ("dir/a.txt", "dir/b/c.txt", "other.txt"):
            place.store.put(key, key.encode())
        listed = remote.list(f"{place.uri}/dir/")
        names = [uri.rpartition("/dir/")[2] for uri in listed]
        assert names == ["a.txt", "b/c.txt"]
        assert all(remote.exists(uri) for uri in listed)
        assert not remote.exists(f"{place.uri}/dir/absent.txt")
        assert remote.stat(listed[0]).size == len("dir/a.txt")
        modified = remote.stat(listed[0]).modified
        assert modified is not None
        assert modified.tzinfo is not None

    def test_objects_are_copied_moved_and_deleted(self, place: Place, tmp_path: Path) -> None:
        place.store.put("one.txt", b"one")
        remote.copy(f"{place.uri}/one.txt", f"{place.uri}/two.txt")
        remote.move(f"{place.uri}/two.txt", f"{place.uri}/dir/")
        remote.copy(f"{place.uri}/dir/two.txt", tmp_path / "down" / "here.txt")
        remote.copy(tmp_path / "down" / "here.txt", f"{place.uri}/up.txt")
        remote.delete(f"{place.uri}/one.txt")
        remote.delete(f"{place.uri}/never was")
        assert [info.key for info in place.store.list("")] == ["dir/two.txt", "up.txt"]
        assert (tmp_path / "down" / "here.txt").read_bytes() == b"one"
        assert remote.local_path(f"{place.uri}/up.txt").read_bytes() == b"one"

    def test_a_missing_object_raises_file_missing(self, place: Place, tmp_path: Path) -> None:
        uri = f"{place.uri}/absent.txt"
        for use in (
            lambda: remote.open(uri),
            lambda: remote.local_path(uri),
            lambda: remote.stat(uri),
            lambda: remote.copy(uri, tmp_path / "down"),
            lambda: remote.copy(uri, f"{place.uri}/other"),
            lambda: remote.move(uri, f"{place.uri}/other"),
        ):
            with pytest.raises(FileNotFoundError, match="absent"):
                use()
        assert not (tmp_path / "down").exists()

    @pytest.mark.parametrize("place", WITHOUT_CEPH, indirect=True)
    @pytest.mark.parametrize(
        "key", ["with space.txt", "100%41+x.txt", "ünïcödé.txt", "日本/語.txt", "k" * 200, "#hash&amp;=.txt", ".hidden"]
    )
    def test_a_key_may_have_any_characters(self, place: Place, key: str) -> None:
        uri = f"{place.uri}/{key}" if place.name != "file" else Path(os.fsdecode(place.uri), key).as_posix()
        if place.name == "file":
            from urllib.parse import quote

            uri = f"{place.uri}/{quote(key)}"
        with remote.write(uri) as path:
            path.write_bytes(key.encode())
        assert place.store.get(key)[0] == key.encode()
        assert remote.local_path(uri).read_bytes() == key.encode()


class TestCache:
    def test_an_unchanged_object_takes_one_request(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        first = remote.local_path(f"{url}/key.txt")
        store.faults.requests.clear()
        assert remote.local_path(f"{url}/key.txt") == first
        assert asked(store) == ["head"]

    def test_no_request_is_made_within_max_age(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        remote.local_path(f"{url}/key.txt")
        store.faults.requests.clear()
        store.put("key.txt", b"new")
        assert remote.local_path(f"{url}/key.txt", max_age=3600).read_bytes() == b"data"
        assert remote.local_path(f"{url}/key.txt", fresh=False).read_bytes() == b"data"
        assert asked(store) == ["put"]
        assert remote.local_path(f"{url}/key.txt", max_age=0).read_bytes() == b"new"

    def test_an_object_replaced_from_this_machine_is_never_read_from_the_cache(
        self, memory: tuple[str, FaultyStore], tmp_path: Path
    ) -> None:
        url, store = memory
        store.put("source.txt", b"copied")
        (tmp_path / "local.txt").write_bytes(b"uploaded")

        def write() -> None:
            with remote.write(f"{url}/key.txt", keep=False) as path:
                path.write_bytes(b"written")

        for change, data in (
            (write, b"written"),
            (lambda: remote.copy(f"{url}/source.txt", f"{url}/key.txt"), b"copied"),
            (lambda: remote.copy(tmp_path / "local.txt", f"{url}/key.txt"), b"uploaded"),
            (lambda: remote.move(f"{url}/source.txt", f"{url}/key.txt"), b"copied"),
        ):
            store.put("key.txt", b"before")
            remote.local_path(f"{url}/key.txt")
            change()
            assert remote.local_path(f"{url}/key.txt", max_age=3600).read_bytes() == data

    def test_a_download_restarts_when_the_object_changes(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.bin", LARGE)
        store.faults.faults.append(Fault(kind="change", operation="get_range", nth=2))
        assert remote.local_path(f"{url}/key.bin").read_bytes() == LARGE
        store.faults.faults.append(Fault(kind="change", operation="get_range", times=None))
        with pytest.raises(ObjectChanged, match="changed while"):
            remote.local_path(f"{url}/key.bin", force=True)

    def test_a_clock_set_back_does_not_extend_max_age(self, memory: tuple[str, FaultyStore], home: Path) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        remote.local_path(f"{url}/key.txt")
        for record in home.rglob("*.json"):
            os.utime(record, (5e9, 5e9))
        store.put("key.txt", b"new")
        assert remote.local_path(f"{url}/key.txt", max_age=3600).read_bytes() == b"new"

    def test_a_change_of_the_same_size_within_a_second_is_detected(self, place: Place) -> None:
        uri = f"{place.uri}/key.txt"
        for data in (b"one", b"two", b"six"):
            place.store.put("key.txt", data)
            assert remote.local_path(uri).read_bytes() == data

    def test_two_states_are_cached_together(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.txt", b"one")
        first = remote.local_path(f"{url}/key.txt")
        store.put("key.txt", b"two")
        second = remote.local_path(f"{url}/key.txt")
        assert (first.read_bytes(), second.read_bytes()) == (b"one", b"two")

    def test_equal_contents_are_cached_once(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        for key in ("a.txt", "b.txt", "dir/a.txt"):
            store.put(key, b"x" * 1000)
        paths = [remote.local_path(f"{url}/{key}") for key in ("a.txt", "b.txt", "dir/a.txt")]
        assert remote.cache_size() < 3000
        assert [path.name for path in paths] == ["a.txt", "b.txt", "a.txt"]
        assert {path.stat().st_ino for path in paths} == {paths[0].stat().st_ino}

    def test_a_key_and_one_below_it_both_fit(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("d", b"file")
        store.put("d/e", b"below")
        assert remote.local_path(f"{url}/d").read_bytes() == b"file"
        assert remote.local_path(f"{url}/d/e").read_bytes() == b"below"

    def test_versions_are_downloaded_once(self, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        place = enter(moto, monkeypatch)
        moto.client().put_bucket_versioning(
            Bucket=place.uri.removeprefix("s3://"), VersioningConfiguration={"Status": "Enabled"}
        )
        first = place.store.put("key.txt", b"one").version
        place.store.put("key.txt", b"two")
        uri = f"{place.uri}/key.txt"
        assert remote.local_path(uri, version=first).read_bytes() == b"one"
        assert remote.local_path(uri).read_bytes() == b"two"
        assert remote.stat(uri, version=first).version == first
        place.store.delete("key.txt")
        monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
        assert remote.local_path(uri, version=first).read_bytes() == b"one"
        assert remote.stat(uri, version=first).version == first
        with pytest.raises(RepositoryError):
            remote.stat(uri, version="another")

    def test_a_cached_version_is_not_used_as_the_current_state(
        self, moto: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place = enter(moto, monkeypatch)
        moto.client().put_bucket_versioning(
            Bucket=place.uri.removeprefix("s3://"), VersioningConfiguration={"Status": "Enabled"}
        )
        first = place.store.put("key.txt", b"one").version
        second = place.store.put("key.txt", b"two").version
        uri = f"{place.uri}/key.txt"
        assert remote.local_path(uri, version=first).read_bytes() == b"one"
        with monkeypatch.context() as away:
            away.setenv("ORBITPKG_OFFLINE", "1")
            with pytest.raises(RepositoryError):
                remote.local_path(uri, fresh=False)
        assert remote.local_path(uri).read_bytes() == b"two"
        assert remote.local_path(uri, version=first).read_bytes() == b"one"
        assert remote.local_path(uri, version=second).read_bytes() == b"two"
        assert remote.local_path(uri, max_age=3600).read_bytes() == b"two"
        assert remote.local_path(uri, fresh=False).read_bytes() == b"two"

    def test_a_written_object_is_not_downloaded(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        with remote.write(f"{url}/key.txt") as path:
            path.write_bytes(b"data")
        store.faults.requests.clear()
        assert remote.local_path(f"{url}/key.txt").read_bytes() == b"data"
        assert asked(store) == ["head"]

    def test_a_written_object_that_was_not_kept_is_downloaded(self, memory: tuple[str, FaultyStore]) -> None:
        url, _ = memory
        with remote.write(f"{url}/key.txt", keep=False) as path:
            path.write_bytes(b"data")
        assert remote.cache_size() == 0
        assert not path.exists()

    def test_force_downloads_again(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        remote.local_path(f"{url}/key.txt")
        store.faults.requests.clear()
        assert remote.local_path(f"{url}/key.txt", force=True).read_bytes() == b"data"
        assert "get_range" in asked(store)

    def test_a_changed_cache_file_is_set_aside_and_downloaded_again(
        self, memory: tuple[str, FaultyStore], caplog: pytest.LogCaptureFixture, home: Path
    ) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        remote.local_path(f"{url}/key.txt").write_bytes(b"my own work")
        assert remote.local_path(f"{url}/key.txt").read_bytes() == b"data"
        assert "was changed on this machine" in caplog.text
        assert [path.read_bytes() for path in home.rglob("changed/*")] == [b"my own work"]

    def test_a_change_that_keeps_the_time_is_found_by_verify(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        path = remote.local_path(f"{url}/key.txt")
        before = path.stat().st_mtime_ns
        path.write_bytes(b"DATA")
        os.utime(path, ns=(before, before))
        assert remote.local_path(f"{url}/key.txt").read_bytes() == b"DATA"
        assert remote.local_path(f"{url}/key.txt", verify=True).read_bytes() == b"data"

    def test_a_touched_file_is_intact(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        path = remote.local_path(f"{url}/key.txt")
        os.utime(path, (0, 0))
        store.faults.requests.clear()
        assert remote.local_path(f"{url}/key.txt").read_bytes() == b"data"
        assert asked(store) == ["head"]

    def test_a_touched_file_does_not_extend_max_age(self, memory: tuple[str, FaultyStore], home: Path) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        path = remote.local_path(f"{url}/key.txt")
        for record in home.rglob("*.json"):
            os.utime(record, (1e9, 1e9))
        os.utime(path, (0, 0))
        store.put("key.txt", b"new")
        assert remote.local_path(f"{url}/key.txt", fresh=False).read_bytes() == b"data"
        assert remote.local_path(f"{url}/key.txt", max_age=3600).read_bytes() == b"new"

    def test_damaged_records_are_ignored(self, memory: tuple[str, FaultyStore], home: Path) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        for damage in (b"", b"{", b"[]", b'{"format": 2}', b'{"format": 1, "uri": 3}', b"\xff\xfe"):
            remote.local_path(f"{url}/key.txt")
            for record in home.rglob("*.json"):
                record.write_bytes(damage)
            assert remote.local_path(f"{url}/key.txt").read_bytes() == b"data"

    def test_the_number_of_cached_states_of_an_object_is_limited(
        self, memory: tuple[str, FaultyStore], home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("orbitpkg.remote.cache._MAX_STATES", 3)
        url, store = memory
        for number in range(6):
            store.put("key.txt", b"%d" % number)
            assert remote.local_path(f"{url}/key.txt").read_bytes() == b"%d" % number
        assert len(list(home.rglob("*.json"))) == 3
        assert remote.local_path(f"{url}/key.txt", fresh=False).read_bytes() == b"5"

    def test_a_deleted_object_is_missing_although_it_is_cached(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        remote.local_path(f"{url}/key.txt")
        store.delete("key.txt")
        with pytest.raises(FileMissing, match="fresh=False"):
            remote.open(f"{url}/key.txt")
        assert not remote.exists(f"{url}/key.txt")
        with remote.open(f"{url}/key.txt", fresh=False) as file:
            assert file.read() == "data"

    @pytest.mark.parametrize(("mode", "folder"), [("600", 0o700), ("660", 0o770), ("0o644", 0o755)])
    def test_files_have_the_configured_mode(
        self, memory: tuple[str, FaultyStore], home: Path, monkeypatch: pytest.MonkeyPatch, mode: str, folder: int
    ) -> None:
        monkeypatch.setenv("ORBITPKG_REMOTE_FILE_MODE", mode)
        url, store = memory
        store.put("read.txt", b"data")
        remote.local_path(f"{url}/read.txt")
        with remote.write(f"{url}/written.txt") as path:
            path.write_bytes(b"other")
        files = [path for path in (home / "cache" / "remote").rglob("*.[tj]*") if path.is_file()]
        assert {path.suffix for path in files} == {".txt", ".json"}
        assert {path.stat().st_mode & 0o777 for path in files} == {int(mode, 8)}
        folders = [path for path in (home / "cache" / "remote").rglob("*") if path.is_dir()]
        assert {path.stat().st_mode & 0o777 for path in folders} == {folder}

    @pytest.mark.parametrize("mode", ["rw", "999", "-1", "4660", "400", "6 60"])
    def test_an_invalid_file_mode_is_refused(self, monkeypatch: pytest.MonkeyPatch, mode: str) -> None:
        monkeypatch.setenv("ORBITPKG_REMOTE_FILE_MODE", mode)
        with pytest.raises(UsageError, match="ORBITPKG_REMOTE_FILE_MODE"):
            remote.cache_size()


class TestWriting:
    def test_after_an_exception_nothing_is_uploaded_or_left_behind(
        self, memory: tuple[str, FaultyStore], home: Path
    ) -> None:
        url, store = memory

        def fail(uri: str) -> None:
            with remote.write(uri) as path:
                path.write_bytes(b"half")
                raise KeyError

        with pytest.raises(KeyError):
            fail(f"{url}/key.txt")
        assert list(store.list("")) == []
        assert [path for path in home.rglob("*") if path.is_file()] == []

    @pytest.mark.parametrize("mode", ["w", "wb"])
    def test_after_an_exception_an_open_file_is_not_uploaded(
        self, memory: tuple[str, FaultyStore], home: Path, mode: str
    ) -> None:
        url, store = memory

        def fail(uri: str) -> None:
            with remote.open(uri, mode) as file:  # type: ignore[call-overload]
                file.write("half" if mode == "w" else b"half")
                raise KeyError

        with pytest.raises(KeyError):
            fail(f"{url}/key.txt")
        file = remote.open(f"{url}/key.txt", mode)  # type: ignore[call-overload]
        del file
        assert list(store.list("")) == []
        assert [path for path in home.rglob("*") if path.is_file()] == []

    def test_a_file_closed_outside_a_block_is_uploaded(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        file = remote.open(f"{url}/key.txt", "w", encoding="utf-16", newline="\r\n")
        file.write("a\n")
        file.close()
        file.close()
        assert store.get("key.txt")[0].decode("utf-16") == "a\r\n"

    def test_a_file_that_cannot_be_uploaded_is_kept_and_reported(self, memory: tuple[str, FaultyStore]) -> None:
        from tests.faulty_store import Fault

        url, store = memory
        store.faults.faults.append(Fault(kind="before", operation="put", times=None))

        def write() -> None:
            with remote.write(f"{url}/key.txt") as path:
                path.write_bytes(b"hours of work")

        with pytest.raises(RepositoryError) as caught:
            write()
        assert Path(str(caught.value.data["kept"])).read_bytes() == b"hours of work"
        assert str(caught.value.data["kept"]) in str(caught.value)

    def test_a_file_that_was_never_written_is_reported(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory

        def write() -> None:
            with remote.write(f"{url}/key.txt"):
                pass

        with pytest.raises(FileMissing, match="was never written"):
            write()
        assert list(store.list("")) == []

    def test_concurrent_writes_are_each_complete(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        with remote.write(f"{url}/key.txt") as one, remote.write(f"{url}/key.txt") as two:
            assert one != two
            one.write_bytes(b"one")
            two.write_bytes(b"two")
        assert store.get("key.txt")[0] == b"one"
        assert remote.local_path(f"{url}/key.txt").read_bytes() == b"one"

    def test_create_only_replaces_nothing(self, place: Place) -> None:
        if place.name == "rclone":
            pytest.skip("rclone's server ignores create-only writes")
        place.store.put("key.txt", b"before")

        def write() -> None:
            with remote.write(f"{place.uri}/key.txt", create_only=True) as path:
                path.write_bytes(b"after")

        with pytest.raises(ObjectExists):
            write()
        assert place.store.get("key.txt")[0] == b"before"

    def test_metadata_is_uploaded(self, memory: tuple[str, FaultyStore], tmp_path: Path) -> None:
        url, _ = memory
        with remote.write(f"{url}/key.txt", metadata={"owner": "me"}) as path:
            path.write_bytes(b"x")
        assert remote.metadata(f"{url}/key.txt") == {"owner": "me"}
        remote.copy(f"{url}/key.txt", f"{url}/copy.txt")
        assert remote.metadata(f"{url}/copy.txt") == {"owner": "me"}
        assert remote.metadata(tmp_path) == {}


class TestPruning:
    def test_the_least_recently_used_files_are_pruned_first(self, memory: tuple[str, FaultyStore], home: Path) -> None:
        url, store = memory
        for number, key in enumerate(("a.txt", "b.txt", "c.txt")):
            store.put(key, bytes([number]) * 1000)
            remote.local_path(f"{url}/{key}")
        for path in home.rglob("content/*/*/*"):
            os.utime(path.parent, (1e9, 1e9 - 10 * (path.name == "a.txt")))
        pruned = remote.prune(max_size="2kB")
        assert (pruned.files, pruned.size) == (1, 1000)
        left = [info for info in ("a.txt", "b.txt", "c.txt") if _is_cached(f"{url}/{info}", store)]
        assert left == ["b.txt", "c.txt"]

    def test_old_files_are_pruned(self, memory: tuple[str, FaultyStore], home: Path) -> None:
        url, store = memory
        store.put("key.txt", b"x" * 1000)
        remote.local_path(f"{url}/key.txt")
        assert remote.prune(older_than="1d").files == 0
        for folder in home.rglob("content/*/*"):
            os.utime(folder, (1e9, 1e9))
        assert remote.prune(older_than="1d", dry_run=True).files == 1
        assert remote.cache_size() >= 1000
        assert remote.prune(older_than="1d").files == 1
        assert remote.cache_size() == 0

    def test_files_in_use_are_not_pruned(self, memory: tuple[str, FaultyStore]) -> None:
        url, store = memory
        store.put("key.txt", b"data")
        with remote.local_path(f"{url}/key.txt") as path:
            assert remote.prune(max_size=0).files == 0
            assert path.read_bytes() == b"data"
        assert remote.prune(max_size=0).files == 1
        assert not path.exists()

    @pytest.mark.parametrize("said", [{}, {"older_than": "yesterday"}, {"max_size": "much"}])
    def test_prune_requires_a_criterion(self, said: dict[str, str]) -> None:
        with pytest.raises(UsageError):
            remote.prune(**said)  # type: ignore[arg-type]


def _is_cached(uri: str, store: FaultyStore) -> bool:
    store.faults.requests.clear()
    remote.local_path(uri, fresh=False)
    return asked(store) == []


class TestBadInput:
    @pytest.mark.parametrize(
        ("uri", "said"),
        [
            ("s3://bucket", "does not name an object"),
            ("s3://bucket/", "does not name an object"),
            ("s3://bucket/dir/", "is a directory"),
            ("s3://", "is not a valid bucket name"),
            ("s3:///key", "is not a valid bucket name"),
            ("s3://bucket/a/../b", "'.' or '..'"),
            ("s3://bucket/a//b", "empty part"),
            ("s3://bucket//b", "empty part"),
            ("s3://bucket/a\\b", "backslash"),
            ("s3://bucket/a\nb", "control character"),
            ("s3://bucket/" + "k" * 1025, "longer than 1024 bytes"),
            ("s3://bucket/" + "ü" * 513, "longer than 1024 bytes"),
            ("s3://bucket/a\0b", "NUL"),
            ("s3:/bucket/key", "a slash is missing"),
            (Path("s3://bucket/key"), "pathlib.Path has removed a slash"),
            (Path("https://host/key"), "pathlib.Path has removed a slash"),
            ("gs://bucket/key", "is not a valid object address"),
            ("https://host/key?versionId=1", "a query"),
            ("", "empty"),
        ],
        ids=str,
    )
    def test_every_function_refuses_an_invalid_uri(self, uri: str | Path, said: str, tmp_path: Path) -> None:
        for use in (
            lambda: remote.open(uri),
            lambda: remote.open(uri, "w"),
            lambda: remote.local_path(uri),
            lambda: remote.write(uri).__enter__(),
            lambda: remote.exists(uri),
            lambda: remote.stat(uri),
            lambda: remote.delete(uri),
            lambda: remote.copy(uri, tmp_path / "x"),
        ):
            with pytest.raises(UsageError, match=said):
                use()
        assert list(tmp_path.glob("x")) == []

    @pytest.mark.parametrize("mode", ["", "z", "rw", "rr", "bt", "b", "r+w", "wx", "rbt"])
    def test_an_invalid_mode_is_refused(self, memory: tuple[str, FaultyStore], mode: str) -> None:
        with pytest.raises(UsageError, match="Invalid mode"):
            remote.open(f"{memory[0]}/key", mode)  # type: ignore[call-overload]

    @pytest.mark.parametrize("mode", ["a", "ab", "r+", "w+", "rb+"])
    def test_an_object_cannot_be_changed_in_place(self, memory: tuple[str, FaultyStore], mode: str) -> None:
        with pytest.raises(UsageError, match="in place"):
            remote.open(f"{memory[0]}/key", mode)  # type: ignore[call-overload]

    def test_a_binary_mode_has_no_encoding(self, memory: tuple[str, FaultyStore]) -> None:
        with pytest.raises(UsageError, match="binary"):
            remote.open(f"{memory[0]}/key", "rb", encoding="utf-8")  # type: ignore[call-overload]

    def test_a_folder_instead_of_a_file_is_reported(self, memory: tuple[str, FaultyStore], tmp_path: Path) -> None:
        url, store = memory
        store.put("key", b"data")
        (tmp_path / "down" / "key").mkdir(parents=True)
        with pytest.raises(StorageError, match="is a directory"):
            remote.copy(f"{url}/key", tmp_path / "down")
        with pytest.raises(StorageError, match="folder"):
            remote.local_path(tmp_path)
        with pytest.raises(StorageError, match="folder"):
            remote.copy(tmp_path / "down", tmp_path / "other")

    def test_the_longest_key_is_read(self, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
        place = enter(moto, monkeypatch)
        key = "dir/" + "k" * 1012 + ".tar.zst"
        place.store.put(key, b"data")
        path = remote.local_path(f"{place.uri}/{key}")
        assert path.read_bytes() == b"data"
        assert path.name.endswith(".tar.zst")

    def test_without_a_writable_cache_temporary_files_are_used(
        self,
        memory: tuple[str, FaultyStore],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        (tmp_path / "file").write_bytes(b"")
        monkeypatch.setenv("ORBITPKG_REMOTE_CACHE", str(tmp_path / "file" / "below"))
        url, store = memory
        store.put("key.csv", b"data")
        with remote.local_path(f"{url}/key.csv") as path:
            assert path.read_bytes() == b"data"
            assert path.name == "key.csv"
        assert not path.exists()
        assert "The cache cannot be written" in caplog.text
        with remote.write(f"{url}/other.csv") as draft:
            draft.write_bytes(b"more")
        assert store.get("other.csv")[0] == b"more"
        assert not draft.exists()

    def test_with_a_full_disk_temporary_files_are_used(
        self,
        memory: tuple[str, FaultyStore],
        small_disk: Path,
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        monkeypatch.setenv("ORBITPKG_REMOTE_CACHE", str(small_disk / "cache"))
        url, store = memory
        store.put("key.bin", LARGE)
        with remote.local_path(f"{url}/key.bin") as path:
            assert path.read_bytes() == LARGE
        assert "no space left" in caplog.text
        assert [path for path in small_disk.rglob("*") if path.is_file() and path.stat().st_size] == []
        store.put("small.bin", b"small")
        assert small_disk in remote.local_path(f"{url}/small.bin").parents
        monkeypatch.setattr("tempfile.tempdir", str(small_disk))
        with pytest.raises(NoSpace, match="no space left"):
            remote.local_path(f"{url}/key.bin")

    def test_a_read_only_cache_is_used(self, memory: tuple[str, FaultyStore], tmp_path: Path) -> None:
        if os.geteuid() != 0:
            pytest.skip("being another user takes root: run the tests as root")
        url, store = memory
        cache = open_to_all(tmp_path) / "group's"
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ORBITPKG_REMOTE_CACHE", str(cache))
            patch.setenv("ORBITPKG_REMOTE_FILE_MODE", "644")
            patch.setattr("tempfile.tempdir", str(tmp_path))  # the folder of the run may be readable by root only
            store.put("cached.txt", b"cached")
            store.put("other.txt", b"other")
            remote.local_path(f"{url}/cached.txt")

            def read() -> bool:
                cached = remote.local_path(f"{url}/cached.txt")
                with remote.local_path(f"{url}/other.txt") as other:
                    return cache in cached.parents and cache not in other.parents and other.read_bytes() == b"other"

            assert as_somebody_else(read)

    def test_a_shared_cache_is_written_by_all_users(
        self, memory: tuple[str, FaultyStore], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        if os.geteuid() != 0:
            pytest.skip("being another user takes root: run the tests as root")
        monkeypatch.setattr("orbitpkg.objects.transfer.files.OVERLOAD", RetryPolicy(first_pause=0.01))
        url, store = memory
        cache = open_to_all(tmp_path) / "everybody's"
        monkeypatch.setenv("ORBITPKG_REMOTE_CACHE", str(cache))
        monkeypatch.setenv("ORBITPKG_REMOTE_FILE_MODE", "666")
        store.put("small.txt", b"one")
        store.put("large.bin", LARGE)
        remote.local_path(f"{url}/small.txt")
        store.faults.faults.append(Fault(kind="before", operation="get_range", nth=2, times=None))
        with pytest.raises(RepositoryError):
            remote.local_path(f"{url}/large.bin")
        store.faults.faults.clear()
        store.put("small.txt", b"two")

        def read() -> bool:
            small, large = remote.local_path(f"{url}/small.txt"), remote.local_path(f"{url}/large.bin")
            with remote.write(f"{url}/new.txt") as path:
                path.write_bytes(b"new")
            new = remote.local_path(f"{url}/new.txt", fresh=False)
            is_right = (small.read_bytes(), large.read_bytes()) == (b"two", LARGE)
            return is_right and all(cache in path.parents for path in (small, large, new))

        assert as_somebody_else(read)
        store.put("small.txt", b"six")
        assert remote.local_path(f"{url}/small.txt").read_bytes() == b"six"


def open_to_all(folder: Path) -> Path:
    """Let all users enter a folder."""
    for each in (folder, *folder.parents):
        if each.stat().st_uid == 0 and each != Path("/"):
            each.chmod(each.stat().st_mode | 0o055)
    folder.chmod(0o777)
    return folder


def as_somebody_else(work: Callable[[], bool]) -> bool:
    """Run a function in a forked process of another user."""
    fork = os.fork()
    if fork == 0:
        try:
            os.setgid(65534)
            os.setuid(65534)
            fine = work()
        except BaseException:  # noqa: BLE001 - a fork of pytest must not continue as pytest
            fine = False
        os._exit(0 if fine else 1)
    return os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0


class TestLocalFiles:
    """Every function accepts a local path instead of a URI."""

    @pytest.mark.parametrize("kind", [str, Path, Path.as_uri])
    def test_local_files_are_read_and_written(self, tmp_path: Path, kind: type[str]) -> None:
        path = tmp_path / "ein Ordner" / "naïve.txt"
        word = kind(path)
        with remote.write(word) as draft:
            assert draft.suffix == ".txt"
            draft.write_text("one")
        with remote.open(word, "a") as file:
            file.write(" two")
        with remote.open(word) as file:
            assert file.read() == "one two"
        assert remote.local_path(word) == path
        assert remote.exists(word)
        assert remote.stat(word).size == 7
        assert remote.list(str(path.parent)) == [str(path)]
        remote.copy(word, tmp_path / "copy.txt")
        remote.move(tmp_path / "copy.txt", tmp_path / "moved.txt")
        remote.delete(word)
        assert not remote.exists(word)
        assert [found.name for found in tmp_path.iterdir() if found.is_file()] == ["moved.txt"]

    def test_a_local_file_appears_when_it_is_complete(self, tmp_path: Path) -> None:
        path = tmp_path / "file.txt"
        path.write_text("before")

        def fail() -> None:
            with remote.write(path) as draft:
                draft.write_text("half")
                assert path.read_text() == "before"
                raise KeyError

        with pytest.raises(KeyError):
            fail()
        assert path.read_text() == "before"
        assert [found.name for found in tmp_path.iterdir() if found.is_file()] == ["file.txt"]

    def test_copying_or_moving_onto_itself_changes_nothing(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("data")
        remote.copy(tmp_path / "file", tmp_path / "file")
        remote.move(tmp_path / "file", f"{tmp_path}/../{tmp_path.name}/file")
        assert (tmp_path / "file").read_text() == "data"

    def test_local_files_have_no_versions(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("data")
        with pytest.raises(UsageError, match="versions"):
            remote.local_path(tmp_path / "file", version="1")


class TestWebServers:
    def test_objects_of_web_servers_are_read_and_cached(self, static_site: StaticSite) -> None:
        site = static_site.new_folder()
        (site.root / "a b.txt").write_bytes(b"data")
        path = remote.local_path(f"{site.url}/a%20b.txt")
        assert (path.name, path.read_bytes()) == ("a b.txt", b"data")
        assert remote.local_path(f"{site.url}/a%20b.txt") == path
        with pytest.raises(UnsupportedByStore):
            remote.list(site.url)

    def test_writing_to_a_web_server_is_refused_at_once(self, static_site: StaticSite) -> None:
        with pytest.raises(ReadOnlyRepository, match="cannot be written"):
            remote.write(f"{static_site.url}/new.txt").__enter__()
        with pytest.raises(ReadOnlyRepository, match="cannot be written"):
            remote.open(f"{static_site.url}/new.txt", "w")


def test_notes_go_to_the_given_reporter(memory: tuple[str, FaultyStore], caplog: pytest.LogCaptureFixture) -> None:
    from orbitpkg.reporting import SILENT

    notes: list[str] = []

    class Listening:
        def task(self, title: str, total: int | None) -> object:
            return SILENT.task(title, total)

        def note(self, message: str) -> None:
            notes.append(message)

    url, store = memory
    store.put("key.txt", b"data")
    remote.local_path(f"{url}/key.txt").write_bytes(b"changed")
    with caplog.at_level(logging.WARNING):
        remote.local_path(f"{url}/key.txt", reporter=Listening())  # type: ignore[arg-type]
    assert len(notes) == 1
    assert caplog.text == ""


def test_forked_workers_read_and_write(moto: S3Server, monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    """PyTorch's DataLoader forks its workers from a program that may already have open stores."""
    place = enter(moto, monkeypatch)
    place.store.put("large.bin", LARGE)
    place.store.put("small.txt", b"small")
    remote.local_path(f"{place.uri}/small.txt")
    (home / "large").write_bytes(LARGE)
    file_digest(home / "large")
    worker = os.fork()
    if worker == 0:
        try:
            fine = remote.local_path(f"{place.uri}/small.txt").read_bytes() == b"small"
            fine &= remote.local_path(f"{place.uri}/large.bin").read_bytes() == LARGE
            with remote.write(f"{place.uri}/of the worker.bin") as path:
                path.write_bytes(LARGE)
            fine &= len(remote.list(place.uri)) == 3
            try:
                place.store.head("small.txt")
            except RepositoryError as error:
                fine &= "forked" in error.message
        except BaseException:  # noqa: BLE001 - a fork of pytest must not continue as pytest
            fine = False
        os._exit(0 if fine else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) == 0
    assert place.store.get("of the worker.bin")[0] == LARGE
