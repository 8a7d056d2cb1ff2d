"""Sync with real stores: transfers, conflicts, reports and the number of requests."""

from __future__ import annotations

import hashlib
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

import pytest
from blake3 import blake3

from orbitpkg.errors import NoSpace, ObjectNotFound, OfflineError, RepositoryUnreachable, StorageError, UsageError
from orbitpkg.objects import open_store
from orbitpkg.remote.sameness import digest_of_file, is_same
from orbitpkg.remote.sync_plan import Act
from orbitpkg.remote.syncing import SyncResult, sync
from tests.faulty_store import FaultyStore
from tests.packages import noise, tree_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from orbitpkg.objects.addresses import PathOrUri
    from orbitpkg.objects.protocol import ObjectStore
    from tests.servers.processes import S3Server

FILES = {
    "a.csv": b"1,2\n",
    "deep/er/b c.bin": bytes(range(256)),
    "deep/100%.txt": "zwölf".encode(),
    "ünï/x": b"x",
    "empty": b"",
    "deep/large.bin": noise(9_000_000),
}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine without sync state."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_OFFLINE", raising=False)
    return tmp_path / "home"


def use(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """Configure this process for a server; return the address of a new bucket."""
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)
    return f"s3://{server.new_bucket()}"


@pytest.fixture(params=["memory", "directory", "moto", "rclone"])
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a folder in each kind of store."""
    if request.param == "memory":
        return f"memory://{uuid4().hex}/some/where"
    if request.param == "directory":
        return (tmp_path / "a place").as_uri()
    return f"{use(request.getfixturevalue(request.param), monkeypatch)}/some/where"


@pytest.fixture
def cloud(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a bucket."""
    return use(moto, monkeypatch)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write(tmp_path / "source", FILES)


class Keeper:
    """Opens each store once, since botocore takes a while to create an S3 client."""

    def __init__(self) -> None:
        self._stores: dict[str, ObjectStore] = {}

    def __call__(self, url: str) -> ObjectStore:
        if url not in self._stores:
            store = open_store(url)
            cast("Any", store).close = lambda: None
            self._stores[url] = store
        return self._stores[url]


def write(folder: Path, files: dict[str, bytes]) -> Path:
    for path, data in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    return {path: data for path, (data, _) in tree_of(folder).items()}


def acts(result: SyncResult) -> list[tuple[str, str]]:
    return [(str(step.act), step.path) for step in result.done]


def conflicts(result: SyncResult) -> list[str]:
    return [row.path for row in result.conflicts]


class TestEverywhere:
    @pytest.fixture(autouse=True)
    def keeper(self) -> None:
        """Keep stores open for one test."""
        self._opener = Keeper()

    def sync(self, source: PathOrUri, destination: PathOrUri, **options: Any) -> SyncResult:
        return sync(source, destination, opener=self._opener, **options)

    def test_a_folder_is_uploaded_and_downloaded_unchanged(self, place: str, folder: Path, tmp_path: Path) -> None:
        up = self.sync(folder, place)
        assert (sorted(step.path for step in up.done), up.is_complete) == (sorted(FILES), True)
        down = self.sync(place, tmp_path / "copy")
        assert (down.size, down.is_complete) == (sum(map(len, FILES.values())), True)
        assert files_of(tmp_path / "copy") == FILES

    def test_unchanged_files_are_not_transferred_in_either_direction(self, place: str, folder: Path) -> None:
        self.sync(folder, place)
        for result in (self.sync(folder, place), self.sync(place, folder)):
            assert (result.done, result.unchanged, result.is_complete) == ((), len(FILES), True)

    def test_a_machine_without_state_finds_equal_files(self, place: str, folder: Path, home: Path) -> None:
        self.sync(folder, place)
        (home / "cache").rename(home / "lost")
        for path in folder.rglob("*"):
            os.utime(path, (1, 1))
        for result in (self.sync(folder, place), self.sync(place, folder)):
            assert (result.done, result.unchanged, result.is_complete) == ((), len(FILES), True)

    def test_edits_are_synced_unless_the_destination_was_edited(self, place: str, folder: Path, tmp_path: Path) -> None:
        self.sync(folder, place)
        other = tmp_path / "other"
        self.sync(place, other)
        write(folder, {"a.csv": b"mine", "new": b"new"})
        assert acts(self.sync(folder, place)) == [("upload", "a.csv"), ("upload", "new")]
        write(other, {"empty": b"edited there"})
        result = self.sync(place, other)
        assert (acts(result), conflicts(result)) == ([("download", "a.csv"), ("download", "new")], ["empty"])
        assert files_of(other) == {**FILES, "a.csv": b"mine", "new": b"new", "empty": b"edited there"}
        # Another object was created in the meantime.
        write(folder, {"empty": b"edited here"})
        self.sync(folder, place)
        assert conflicts(self.sync(other, place)) == conflicts(self.sync(place, other)) == ["empty"]
        assert acts(self.sync(place, other, force=True)) == [("download", "empty")]
        assert files_of(other) == files_of(folder)

    def test_deletions_are_synced_only_on_request_and_never_delete_edits(
        self, place: str, folder: Path, tmp_path: Path
    ) -> None:
        self.sync(folder, place)
        other = tmp_path / "other"
        self.sync(place, other)
        for path in ("a.csv", "deep/er/b c.bin", "ünï/x"):
            (folder / path).unlink()
        assert acts(self.sync(folder, place)) == []
        assert len(acts(self.sync(folder, place, delete=True))) == 3
        assert acts(self.sync(place, other)) == []
        write(other, {"a.csv": b"edited", "own": b"never synced"})
        result = self.sync(place, other, delete=True)
        assert acts(result) == [("delete file", "deep/er/b c.bin"), ("delete file", "ünï/x")]
        assert conflicts(result) == ["a.csv", "own"]
        assert not (other / "deep/er").exists()
        assert (other / "deep").exists()
        assert len(self.sync(place, other, delete=True, force=True).done) == 2
        assert files_of(other) == files_of(folder)

    def test_a_dry_run_reports_and_changes_nothing(self, place: str, folder: Path, tmp_path: Path, home: Path) -> None:
        rehearsal = self.sync(folder, place, dry_run=True)
        with pytest.raises(ObjectNotFound):
            self.sync(place, tmp_path / "copy")
        assert not (home / "cache/sync").exists()
        done = self.sync(folder, place)
        assert rehearsal == done
        assert self.sync(place, tmp_path / "copy", dry_run=True).size == done.size
        assert not (tmp_path / "copy").exists()

    def test_only_included_paths_are_read(self, place: str, folder: Path, tmp_path: Path) -> None:
        assert acts(self.sync(folder, place, include=["*.bin"], exclude=["large*"])) == [("upload", "deep/er/b c.bin")]
        self.sync(folder, place)
        (folder / "a.csv").unlink()
        (folder / "empty").unlink()
        assert acts(self.sync(folder, place, delete=True, include=["*.csv"])) == [("delete object", "a.csv")]
        assert acts(self.sync(place, tmp_path / "c", exclude=["deep/**"])) == [
            ("download", "empty"),
            ("download", "ünï/x"),
        ]

    def test_a_single_file_or_object_gets_the_exact_name(self, place: str, folder: Path, tmp_path: Path) -> None:
        csv = folder / "a.csv"
        assert acts(self.sync(csv, f"{place}/x/renamed")) == [("upload", "a.csv")]
        assert acts(self.sync(csv, f"{place}/x/into/")) == [("upload", "a.csv")]
        self.sync(f"{place}/x/renamed", tmp_path / "one/name.txt")
        self.sync(f"{place}/x/renamed", f"{tmp_path}/two/")
        (tmp_path / "three").mkdir()
        self.sync(f"{place}/x/into/a.csv", tmp_path / "three")
        assert files_of(tmp_path / "one") == {"name.txt": b"1,2\n"}
        assert files_of(tmp_path / "two") == {"renamed": b"1,2\n"}
        assert files_of(tmp_path / "three") == {"a.csv": b"1,2\n"}
        write(tmp_path, {"one/name.txt": b"edited"})
        assert conflicts(self.sync(f"{place}/x/renamed", tmp_path / "one/name.txt")) == ["name.txt"]
        assert acts(self.sync(tmp_path / "one/name.txt", f"{place}/x/renamed")) == [("upload", "name.txt")]
        self.sync(f"{place}/x", tmp_path / "all")
        there = {path: data for path, data in files_of(tmp_path / "all").items() if not path.startswith(".tmp/")}
        assert there == {"renamed": b"edited", "into/a.csv": b"1,2\n"}

    def test_a_prefix_names_a_folder_rather_than_the_start_of_names(
        self, place: str, folder: Path, tmp_path: Path
    ) -> None:
        self.sync(folder / "deep", f"{place}/run1")
        self.sync(folder / "deep", f"{place}/run10")
        self.sync(f"{place}/run1", tmp_path / "copy")
        assert files_of(tmp_path / "copy") == files_of(folder / "deep")


def test_a_production_store_behaves_the_same(
    ceph: S3Server, monkeypatch: pytest.MonkeyPatch, folder: Path, tmp_path: Path
) -> None:
    place = f"{use(ceph, monkeypatch)}/some/where"
    assert len(sync(folder, place).done) == len(FILES)
    sync(place, tmp_path / "copy")
    assert files_of(tmp_path / "copy") == FILES
    assert sync(folder, place).unchanged == sync(place, tmp_path / "copy").unchanged == len(FILES)
    write(folder, {"a.csv": b"mine"})
    assert acts(sync(folder, place)) == [("upload", "a.csv")]
    (folder / "a.csv").unlink()
    assert acts(sync(folder, place, delete=True)) == [("delete object", "a.csv")]
    assert acts(sync(place, tmp_path / "copy", delete=True)) == [("delete file", "a.csv")]


class TestOtherTools:
    """Objects that other tools create in a bucket."""

    def put(self, moto: S3Server, uri: str, files: dict[str, bytes]) -> str:
        bucket = uri.removeprefix("s3://")
        for key, data in files.items():
            moto.client().put_object(Bucket=bucket, Key=key, Body=data)
        return bucket

    def test_markers_become_folders_and_invalid_keys_are_reported(
        self, moto: S3Server, cloud: str, tmp_path: Path
    ) -> None:
        files = {"d/": b"", "d/marked/": b"", "d/hadoop_$folder$": b"", "d/x": b"x", "d//y": b"", "d/../z": b"z",
                 "d/..": b"", "d/s/": b"not empty", "d/both": b"", "d/both/below": b"b", "d\\w": b""}  # fmt: skip
        self.put(moto, cloud, files)
        result = sync(f"{cloud}/d", tmp_path / "copy")
        assert files_of(tmp_path / "copy") == {"x": b"x", "both/below": b"b"}
        assert (tmp_path / "copy/marked").is_dir()
        assert (tmp_path / "copy/hadoop").is_dir()
        assert [row.path for row in result.unusable] == ["..", "../z", "/y", "both", "s/"]
        assert not result.is_complete
        assert sorted(tmp_path.iterdir()) == [tmp_path / "copy", tmp_path / "home"]
        again = sync(f"{cloud}/d", tmp_path / "copy", delete=True, exclude=["both"])
        assert acts(again) == []

    def test_the_empty_folders_of_markers_are_not_uploaded_and_markers_are_not_deleted(
        self, moto: S3Server, cloud: str, tmp_path: Path
    ) -> None:
        bucket = self.put(moto, cloud, {"d/marked/": b"", "d/x": b"x"})
        sync(f"{cloud}/d", tmp_path / "copy")
        (tmp_path / "copy/x").unlink()
        write(tmp_path / "copy", {"y": b"y"})
        assert acts(sync(tmp_path / "copy", f"{cloud}/d", delete=True)) == [("upload", "y"), ("delete object", "x")]
        keys = [row["Key"] for row in moto.client().list_objects_v2(Bucket=bucket)["Contents"]]
        assert keys == ["d/marked/", "d/y"]

    @pytest.mark.parametrize("part", [5 << 20, 8 << 20, 7_654_321, 6 << 20])
    def test_a_multipart_upload_is_recognized_by_its_etag(
        self, moto: S3Server, cloud: str, tmp_path: Path, part: int
    ) -> None:
        data = noise(20_000_001)
        bucket = self.upload_by_parts(moto, cloud, "large", data, part)
        write(tmp_path / "here", {"large": data})
        requests = _count_reads(bucket)
        result = sync(cloud, tmp_path / "here", opener=requests)
        assert (acts(result), result.unchanged, requests.reads) == ([], 1, 0)
        write(tmp_path / "here", {"large": data[:-1] + b"x"})
        assert conflicts(sync(cloud, tmp_path / "here")) == ["large"]

    def upload_by_parts(self, moto: S3Server, uri: str, key: str, data: bytes, part: int) -> str:
        bucket, client = uri.removeprefix("s3://"), moto.client()
        upload = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
        parts: list[Any] = []
        for number, start in enumerate(range(0, len(data), part), start=1):
            answer = client.upload_part(
                Bucket=bucket, Key=key, UploadId=upload, PartNumber=number, Body=data[start : start + part]
            )
            parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        client.complete_multipart_upload(Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts})
        return bucket

    def test_an_uninformative_etag_is_replaced_by_reading_the_object(self, tmp_path: Path) -> None:
        # As with SSE-KMS, the ETag looks like an MD5 but is not one of the bytes.
        store = FaultyStore(uuid4().hex)
        info = store.put("a/x", b"some bytes")
        opaque = type(info)(key=info.key, size=info.size, etag=f'"{uuid4().hex}"', modified=info.modified)
        write(tmp_path, {"same": b"some bytes", "other": b"same size!"})
        assert is_same(store, opaque, tmp_path / "same", surely=True)
        assert not is_same(store, opaque, tmp_path / "other", surely=True)
        assert not is_same(store, opaque, tmp_path / "same", surely=False)

    def test_objects_uploaded_by_orbitpkg_are_compared_by_digest(self, cloud: str, folder: Path) -> None:
        sync(folder, cloud)
        store = open_store(cloud)
        info = store.head("a.csv")
        opaque = type(info)(key=info.key, size=info.size, etag=f'"{uuid4().hex}"', modified=info.modified)
        assert is_same(store, opaque, folder / "a.csv", surely=False)


def _count_reads(bucket: str) -> _Reads:
    return _Reads(bucket)


class _Reads:
    """Opens stores that count the requests for objects and their states."""

    def __init__(self, _: str = "") -> None:
        self.reads = 0
        self.heads = 0
        self._lock = threading.Lock()

    def __call__(self, url: str) -> ObjectStore:
        store = open_store(url)
        for name in ("get", "get_range", "stream", "head", "metadata"):
            setattr(store, name, self._counted(name, getattr(store, name)))
        return store

    def _counted(self, name: str, method: Callable[..., Any]) -> Callable[..., Any]:
        def counted(*words: Any, **options: Any) -> Any:
            with self._lock:
                if name in {"head", "metadata"}:
                    self.heads += 1
                else:
                    self.reads += 1
            return method(*words, **options)

        return counted


class TestCosts:
    def test_unchanged_files_take_one_listing(self, cloud: str, folder: Path, tmp_path: Path) -> None:
        sync(folder, f"{cloud}/d/")
        sync(f"{cloud}/d/", tmp_path / "copy")
        requests = _Reads()
        sync(folder, f"{cloud}/d/", opener=requests)
        sync(f"{cloud}/d/", tmp_path / "copy", opener=requests)
        assert (requests.reads, requests.heads) == (0, 0)

    def test_a_small_object_takes_one_request(self, cloud: str, tmp_path: Path) -> None:
        sync(write(tmp_path / "many", {f"{n}": b"x" * n for n in range(50)}), f"{cloud}/d/")
        requests = _Reads()
        sync(f"{cloud}/d/", tmp_path / "copy", opener=requests)
        assert (requests.reads, requests.heads) == (50, 0)


class TestEditsMeanwhile:
    """Concurrent writes during a sync."""

    def test_a_file_edited_during_its_download_is_kept(self, tmp_path: Path) -> None:
        name = uuid4().hex
        write(tmp_path / "here", {"x": b"old", "y": b"y"})
        sync(tmp_path / "here", f"memory://{name}/d")
        open_store(f"memory://{name}").put("d/x", b"newer")

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            get = store.get

            def edit_first(key: str, **options: Any) -> Any:
                write(tmp_path / "here", {"x": b"edited meanwhile"})
                return get(key, **options)

            cast("Any", store).get = edit_first
            return store

        result = sync(f"memory://{name}/d", tmp_path / "here", opener=opener)
        assert [(row.path, row.reason) for row in result.conflicts] == [("x", "the file was changed during the sync")]
        assert files_of(tmp_path / "here") == {"x": b"edited meanwhile", "y": b"y"}

    @pytest.mark.parametrize("there_before", [False, True])
    def test_an_object_created_or_changed_during_the_sync_is_kept(self, tmp_path: Path, *, there_before: bool) -> None:
        name = uuid4().hex
        write(tmp_path / "here", {"x": b"x"})
        if there_before:
            sync(tmp_path / "here", f"memory://{name}/d")
            write(tmp_path / "here", {"x": b"x, edited"})

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            listing = store.list

            def and_then(prefix: str) -> Any:
                found = list(listing(prefix))
                open_store(url).put("d/x", b"somebody else's")
                return iter(found)

            cast("Any", store).list = and_then
            return store

        result = sync(tmp_path / "here", f"memory://{name}/d", opener=opener)
        assert conflicts(result) == ["x"]
        assert open_store(f"memory://{name}").get("d/x")[0] == b"somebody else's"

    @pytest.mark.parametrize("edits", [1, 9])
    def test_a_file_changed_between_its_digest_and_its_upload_never_gets_a_wrong_digest(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, edits: int
    ) -> None:
        name, left = uuid4().hex, [b"edited %d" % number for number in range(edits)]
        folder = write(tmp_path / "here", {"x": b"x"})

        def and_edit(path: Path) -> str:
            digest = digest_of_file(path)
            if left:
                path.write_bytes(left.pop())
            return digest

        monkeypatch.setattr("orbitpkg.remote.sync_transfers.digest_of_file", and_edit)
        result = sync(folder, f"memory://{name}/d")
        store = open_store(f"memory://{name}")
        if edits == 1:
            assert acts(result) == [("upload", "x")]
            data, _ = store.get("d/x")
            assert store.metadata("d/x") == {"blake3": blake3(data).hexdigest()}
        else:
            assert [row.error.code for row in result.failed] == ["tree-changed"]
            assert list(store.list("")) == []

    def test_an_object_deleted_before_it_is_replaced_is_written(self, tmp_path: Path) -> None:
        name = uuid4().hex
        sync(write(tmp_path / "here", {"x": b"x"}), f"memory://{name}/d")
        write(tmp_path / "here", {"x": b"edited"})

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            listing = store.list

            def and_then(prefix: str) -> Any:
                found = list(listing(prefix))
                open_store(url).delete("d/x")
                return iter(found)

            cast("Any", store).list = and_then
            return store

        assert acts(sync(tmp_path / "here", f"memory://{name}/d", opener=opener)) == [("upload", "x")]

    def test_a_folder_that_appears_instead_of_a_file_is_kept(self, tmp_path: Path) -> None:
        name = uuid4().hex
        sync(write(tmp_path / "there", {"x": b"x"}), f"memory://{name}/d")

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            get = store.get

            def and_then(key: str, **options: Any) -> Any:
                (tmp_path / "here/x").mkdir()
                return get(key, **options)

            cast("Any", store).get = and_then
            return store

        result = sync(f"memory://{name}/d", tmp_path / "here", opener=opener)
        assert [(row.path, row.reason) for row in result.conflicts] == [("x", "the destination is not a regular file")]
        assert [path.name for path in (tmp_path / "here").iterdir()] == ["x"]

    def test_two_concurrent_syncs_do_not_conflict(self, tmp_path: Path) -> None:
        name = uuid4().hex
        sync(write(tmp_path / "here", {"x": b"x", "large": noise(9_000_000)}), f"memory://{name}/d")

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            get = store.get

            def and_another(key: str, **options: Any) -> Any:
                found = get(key, **options)
                write(tmp_path / "there", {"x": b"x"})
                return found

            cast("Any", store).get = and_another
            return store

        assert sync(f"memory://{name}/d", tmp_path / "there", opener=opener).is_complete
        assert sync(tmp_path / "here", f"memory://{name}/e", opener=_Twice(tmp_path / "here")).is_complete


class _Twice:
    """Opens stores to which another process uploads the same object first."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __call__(self, url: str) -> ObjectStore:
        store = open_store(url)
        listing = store.list

        def and_then(prefix: str) -> Any:
            found = list(listing(prefix))
            for path, data in files_of(self._folder).items():
                open_store(url).put(f"{prefix}{path}", data, metadata={"blake3": blake3(data).hexdigest()})
            return iter(found)

        cast("Any", store).list = and_then
        return store


class TestBadInput:
    def test_exactly_one_side_must_be_local(self, tmp_path: Path) -> None:
        for source, destination in ((tmp_path, tmp_path / "b"), ("s3://abc/b", "memory://c/d")):
            with pytest.raises(UsageError, match="One side of a sync must be a local directory"):
                sync(source, destination)

    @pytest.mark.parametrize("uri", ["s3:/bucket/key", "s3://", "ftp://host/x", "memory://n/a/../b", "memory://n/a//b"])
    def test_an_invalid_address_is_refused(self, uri: str, tmp_path: Path) -> None:
        with pytest.raises(UsageError):
            sync(tmp_path, uri)

    def test_a_lost_slash_is_reported(self, tmp_path: Path) -> None:
        with pytest.raises(UsageError, match="has removed a slash"):
            sync(Path("s3://bucket/key"), tmp_path)

    def test_an_empty_source_is_an_error_and_deletes_nothing(self, tmp_path: Path) -> None:
        place = f"memory://{uuid4().hex}/d"
        write(tmp_path / "here", {"x": b"x"})
        with pytest.raises(StorageError, match="does not exist"):
            sync(tmp_path / "nowhere", place, delete=True)
        with pytest.raises(ObjectNotFound, match="No objects found at"):
            sync(place, tmp_path / "here", delete=True)
        sync(tmp_path / "here", place)
        (tmp_path / "here/x").unlink()
        with pytest.raises(StorageError, match="would delete everything"):
            sync(tmp_path / "here", place, delete=True)
        assert acts(sync(tmp_path / "here", place, delete=True, force=True)) == [("delete object", "x")]

    def test_an_emptied_bucket_does_not_empty_the_folder(self, tmp_path: Path) -> None:
        name = uuid4().hex
        sync(write(tmp_path / "here", {"x": b"x"}), f"memory://{name}/d")
        open_store(f"memory://{name}").delete("d/x")
        with pytest.raises(ObjectNotFound, match="would delete everything"):
            sync(f"memory://{name}/d", tmp_path / "here", delete=True)
        assert files_of(tmp_path / "here") == {"x": b"x"}

    def test_a_folder_in_place_of_a_file_or_the_reverse_is_a_conflict(self, tmp_path: Path) -> None:
        place = f"memory://{uuid4().hex}/d"
        sync(write(tmp_path / "a", {"x": b"x", "y/z": b"z"}), place)
        write(tmp_path / "b", {"x/inside": b"", "y": b"a file"})
        for force in (False, True):
            result = sync(place, tmp_path / "b", force=force)
            assert conflicts(result) == ["x", "y/z"]
        assert files_of(tmp_path / "b") == {"x/inside": b"", "y": b"a file"}

    def test_a_file_instead_of_the_folder_is_reported(self, tmp_path: Path) -> None:
        place = f"memory://{uuid4().hex}/d"
        sync(write(tmp_path / "a", {"x": b"x"}), place)
        with pytest.raises(StorageError, match="is a file, but the destination must be a directory"):
            sync(f"{place}/", tmp_path / "a/x")

    def test_special_files_are_reported_and_the_rest_is_uploaded(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "a", {"x": b"x", "back\\slash": b""})
        os.mkfifo(folder / "pipe")
        (folder / "dangling").symlink_to("nowhere")
        (folder / "loop").symlink_to(folder)
        (folder / "link").symlink_to("x")
        (folder / ".orbitpkg-1234.tmp").write_bytes(b"on its way")
        result = sync(folder, f"memory://{uuid4().hex}/d")
        assert acts(result) == [("upload", "link"), ("upload", "x")]
        assert [row.path for row in result.unusable] == ["back\\slash", "dangling", "loop", "pipe"]

    def test_a_path_that_can_no_longer_be_synced_is_not_deleted(self, tmp_path: Path) -> None:
        name = uuid4().hex
        folder = write(tmp_path / "a", {"x": b"x", "y/z": b"z", "other": b"o"})
        sync(folder, f"memory://{name}/d")
        (folder / "x").unlink()
        os.mkfifo(folder / "x")
        (folder / "y").rename(tmp_path / "elsewhere")
        (folder / "y").symlink_to(tmp_path / "elsewhere")
        result = sync(folder, f"memory://{name}/d", delete=True)
        assert (acts(result), [row.path for row in result.unusable]) == ([], ["x", "y"])
        assert [info.key for info in open_store(f"memory://{name}").list("")] == ["d/other", "d/x", "d/y/z"]

    def test_a_folder_replaced_by_a_file_is_deleted(self, tmp_path: Path) -> None:
        name = uuid4().hex
        folder = write(tmp_path / "a", {"y/z": b"z"})
        sync(folder, f"memory://{name}/d")
        (folder / "y/z").unlink()
        (folder / "y").rmdir()
        write(folder, {"y": b"a file"})
        assert acts(sync(folder, f"memory://{name}/d", delete=True)) == [("upload", "y"), ("delete object", "y/z")]

    def test_a_file_whose_key_became_a_folder_is_not_deleted(self, tmp_path: Path) -> None:
        name = uuid4().hex
        sync(write(tmp_path / "a", {"x": b"x"}), f"memory://{name}/d")
        open_store(f"memory://{name}").put("d/x/below", b"b")
        result = sync(f"memory://{name}/d", tmp_path / "a", delete=True)
        assert (acts(result), conflicts(result)) == ([], ["x/below"])
        assert [row.path for row in result.unusable] == ["x"]
        assert files_of(tmp_path / "a") == {"x": b"x"}

    def test_a_key_below_a_link_to_a_folder_does_not_leave_the_folder(self, tmp_path: Path) -> None:
        place = f"memory://{uuid4().hex}/d"
        sync(write(tmp_path / "a", {"link/x": b"x"}), place)
        (tmp_path / "outside").mkdir()
        (tmp_path / "b").mkdir()
        (tmp_path / "b/link").symlink_to(tmp_path / "outside")
        for include in ([], ["x"]):
            assert conflicts(sync(place, tmp_path / "b", include=include)) == ["link/x"]
        assert files_of(tmp_path / "outside") == {}

    def test_markers_neither_follow_links_nor_fail_on_files(self, moto: S3Server, cloud: str, tmp_path: Path) -> None:
        for key in ("d/link/inner/", "d/file/inner/", "d/file/", "d/fine/"):
            moto.client().put_object(Bucket=cloud.removeprefix("s3://"), Key=key, Body=b"")
        (tmp_path / "outside").mkdir()
        write(tmp_path / "b", {"file": b"a file"})
        (tmp_path / "b/link").symlink_to(tmp_path / "outside")
        assert sync(f"{cloud}/d", tmp_path / "b").is_complete
        assert sorted(path.name for path in (tmp_path / "b").iterdir()) == ["file", "fine", "link"]
        assert list((tmp_path / "outside").iterdir()) == []

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything; run the tests as another user")
    def test_an_unreadable_folder_is_reported_and_can_be_excluded(self, tmp_path: Path) -> None:
        folder = write(tmp_path / "a", {"x": b"x", "closed/y": b"y"})
        (folder / "closed").chmod(0)
        try:
            with pytest.raises(StorageError, match="closed"):
                sync(folder, f"memory://{uuid4().hex}/d")
            assert acts(sync(folder, f"memory://{uuid4().hex}/d", exclude=["closed"])) == [("upload", "x")]
        finally:
            (folder / "closed").chmod(0o755)

    def test_a_file_deleted_during_its_comparison_is_reported_and_the_rest_is_synced(self, tmp_path: Path) -> None:
        name = uuid4().hex
        write(tmp_path / "a", {"x": b"x", "y": b"y"})
        sync(tmp_path / "a", f"memory://{name}/d")
        write(tmp_path / "a", {"z": b"z"})
        os.utime(tmp_path / "a/x", (5, 5))

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            listing = store.list

            def and_then(prefix: str) -> Any:
                found = list(listing(prefix))
                (tmp_path / "a/x").unlink()
                return iter(found)

            cast("Any", store).list = and_then
            return store

        result = sync(tmp_path / "a", f"memory://{name}/d", opener=opener)
        assert ([row.path for row in result.failed], acts(result)) == (["x"], [("upload", "z")])

    @pytest.mark.skipif(not Path("/proc").is_dir(), reason="there is no /proc, in which nobody can write")
    def test_a_folder_that_cannot_be_created_is_reported_at_once(self, tmp_path: Path) -> None:
        place = f"memory://{uuid4().hex}/d"
        sync(write(tmp_path / "a", {"x": b"x"}), place)
        with pytest.raises(StorageError, match="/proc/nowhere"):
            sync(place, "/proc/nowhere")

    def test_offline_mode_is_reported(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
        with pytest.raises(OfflineError):
            sync("s3://bucket/d", tmp_path)

    def test_a_damaged_or_unwritable_state_only_costs_a_comparison(self, tmp_path: Path, home: Path) -> None:
        place = f"memory://{uuid4().hex}/d"
        folder = write(tmp_path / "a", {"x": b"x"})
        sync(folder, place)
        [state] = (home / "cache/sync").iterdir()
        for damage in (b"", b"{", b"[]", b'{"format":9}', b'{"format":1,"pair":[],"files":{}}', b"\xff"):
            state.write_bytes(damage)
            assert sync(folder, place).unchanged == 1
        (home / "cache/sync").rename(home / "aside")
        (home / "cache/sync").write_bytes(b"a file in its place")
        notes = _Notes()
        assert sync(folder, place, reporter=notes).unchanged == 1
        assert len(notes.said) == 1
        assert "The next sync compares contents instead" in notes.said[0]

    def test_an_error_with_one_path_is_reported_and_the_rest_is_synced(self, tmp_path: Path) -> None:
        place = f"memory://{uuid4().hex}/d"
        sync(write(tmp_path / "a", {"x": b"x", "y": b"y"}), place)

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            listing = store.list

            def and_then(prefix: str) -> Any:
                found = list(listing(prefix))
                open_store(url).delete("d/x")
                return iter(found)

            cast("Any", store).list = and_then
            return store

        result = sync(place, tmp_path / "b", opener=opener)
        assert ([row.path for row in result.failed], acts(result)) == (["x"], [("download", "y")])

    @pytest.mark.parametrize("error", [RepositoryUnreachable, NoSpace])
    def test_a_general_error_ends_the_sync_and_saves_its_state(self, tmp_path: Path, error: type[Exception]) -> None:
        place = f"memory://{uuid4().hex}/d"
        sync(write(tmp_path / "a", {f"{n:03}": b"x" for n in range(60)}), place)

        def opener(url: str) -> ObjectStore:
            store = open_store(url)
            get = store.get

            def sometimes(key: str, **options: Any) -> Any:
                if key == "d/050":
                    raise error("No.")
                return get(key, **options)

            cast("Any", store).get = sometimes
            return store

        with pytest.raises(error):
            sync(place, tmp_path / "b", opener=opener)
        there = files_of(tmp_path / "b")
        assert not [name for name in there if name.startswith(".")]
        rest = sync(place, tmp_path / "b")
        assert len(rest.done) + len(there) == 60
        assert rest.is_complete


class _Notes:
    def __init__(self) -> None:
        self.said: list[str] = []

    def task(self, title: str, total: int | None) -> Any:
        from orbitpkg.reporting import SILENT

        return SILENT.task(title, total)

    def note(self, message: str) -> None:
        self.said.append(message)


def test_a_downloaded_file_has_the_time_of_its_object(tmp_path: Path) -> None:
    name = uuid4().hex
    info = FaultyStore(name).put("d/x", b"x")
    assert info.modified is not None
    sync(f"memory://{name}/d", tmp_path / "here")
    assert datetime.fromtimestamp((tmp_path / "here/x").stat().st_mtime, UTC) == info.modified


def test_both_forms_of_a_bucket_address_share_one_state(cloud: str, tmp_path: Path) -> None:
    folder = write(tmp_path / "a", {"x": b"x"})
    sync(folder, cloud)
    sync(folder, f"{cloud}/")
    assert sync(f"{cloud}/", folder).unchanged == 1
    assert {step.act for step in sync(cloud, tmp_path / "b").done} == {Act.DOWNLOAD}


def test_uploaded_objects_have_their_blake3_in_the_metadata(cloud: str, tmp_path: Path) -> None:
    sync(write(tmp_path / "a", {"x": b"x", "large": noise(9_000_000)}), cloud)
    store = open_store(cloud)
    assert store.metadata("x") == {"blake3": blake3(b"x").hexdigest()}
    assert store.metadata("large") == {"blake3": blake3(noise(9_000_000)).hexdigest()}
    assert store.head("x").etag == f'"{hashlib.md5(b"x", usedforsecurity=False).hexdigest()}"'
