"""One object to a file and one file to an object: over real servers, and over a store that misbehaves."""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

import pytest
from blake3 import blake3

from orbitpkg.errors import (
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    ReadOnlyStore,
    RepositoryUnreachable,
    StorageError,
    TreeChanged,
)
from orbitpkg.objects.directory import DirectoryStore
from orbitpkg.objects.http import HttpStore
from orbitpkg.objects.s3 import S3Store
from orbitpkg.objects.transfer.files import download_object, upload_object
from tests.faulty_store import Fault, Faults, FaultyStore

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orbitpkg.objects import ObjectStore
    from tests.servers.processes import S3Server, StaticSite

MIB = 1 << 20
# Three ranges, the last of them short; no two of them alike.
LARGE = b"".join(number.to_bytes(4, "big") for number in range(17 * MIB // 4)) + b"end"


@pytest.fixture(params=["memory", "directory", "moto", "rclone", "ceph"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    name: str = request.param
    if name == "memory":
        opened: ObjectStore = FaultyStore()
    elif name == "directory":
        opened = DirectoryStore(tmp_path / "store")
    else:
        server: S3Server = request.getfixturevalue(name)
        opened = S3Store(server.new_bucket(), env=server.env())
    with closing(opened):
        yield opened


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


class TestBothWays:
    @pytest.mark.parametrize("data", [b"", b"small", LARGE], ids=["empty", "small", "large"])
    def test_a_file_survives_upload_and_download(self, store: ObjectStore, tmp_path: Path, data: bytes) -> None:
        source = tmp_path / "source"
        source.write_bytes(data)
        up: list[int] = []
        down: list[int] = []
        sent = upload_object(store, "dir/key, ü.bin", source, metadata={"digest": "ab"}, progress=up.append)
        target = tmp_path / "new" / "folder" / "target.bin"
        got = download_object(store, "dir/key, ü.bin", target, progress=down.append)
        assert target.read_bytes() == data
        assert sent.blake3 == got.blake3 == blake3(data).hexdigest()
        assert sent.size == got.size == sum(up) == sum(down) == len(data)
        assert sent.info.etag == got.info.etag == store.head("dir/key, ü.bin").etag
        assert names_in(target.parent) == ["target.bin"]

    def test_metadata_goes_with_a_large_file(self, tmp_path: Path) -> None:
        store = FaultyStore()
        (tmp_path / "source").write_bytes(LARGE)
        upload_object(store, "key", tmp_path / "source", metadata={"digest": "ab"})
        assert store.metadata("key") == {"digest": "ab"}

    def test_a_version_comes_down(self, moto: S3Server, tmp_path: Path) -> None:
        bucket = moto.new_bucket()
        moto.client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        with closing(S3Store(bucket, env=moto.env())) as store:
            first = store.put("key", b"first").version
            store.put("key", b"second")
            got = download_object(store, "key", tmp_path / "first", version=first)
            assert got.info.version == first
        assert (tmp_path / "first").read_bytes() == b"first"


class TestDownloads:
    def test_missing_objects_leave_no_files(self, tmp_path: Path) -> None:
        with pytest.raises(ObjectNotFound):
            download_object(FaultyStore(), "absent", tmp_path / "target")
        assert names_in(tmp_path) == []

    @pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
    def test_an_object_that_changes_meanwhile_is_refused(self, tmp_path: Path, data: bytes) -> None:
        store = FaultyStore(faults=Faults(faults=[Fault(kind="change", operation="get_range")]))
        store.put("key", data)
        (tmp_path / "target").write_bytes(b"before")
        with pytest.raises(ObjectChanged, match="changed"):
            download_object(store, "key", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"before"
        assert names_in(tmp_path) == ["target"]

    def test_a_stopped_one_resumes_where_it_was(self, tmp_path: Path) -> None:
        store = FaultyStore()
        store.put("key", LARGE)
        store.faults.faults.append(Fault(kind="before", operation="get_range", nth=2, times=None))
        with pytest.raises(RepositoryUnreachable):
            download_object(store, "key", tmp_path / "target")
        assert "target" not in names_in(tmp_path)
        assert all(name.startswith(".orbitpkg-") for name in names_in(tmp_path))
        store.faults.faults.clear()
        store.faults.requests.clear()
        download_object(store, "key", tmp_path / "target")
        ranges = [request for request in store.faults.requests if request.operation == "get_range"]
        assert len(ranges) == 2
        assert (tmp_path / "target").read_bytes() == LARGE
        assert names_in(tmp_path) == ["target"]

    def test_data_lost_from_an_earlier_attempt_are_read_again(self, tmp_path: Path) -> None:
        store = FaultyStore()
        store.put("key", LARGE)
        store.faults.faults.append(Fault(kind="before", operation="get_range", nth=3, times=None))
        with pytest.raises(RepositoryUnreachable):
            download_object(store, "key", tmp_path / "target")
        for part in tmp_path.glob("*.part"):
            os.truncate(part, 100)
        for journal in tmp_path.glob("*.journal"):
            journal.write_bytes(journal.read_bytes() + b"[0, 1")
        store.faults.faults.clear()
        download_object(store, "key", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == LARGE

    def test_parts_of_another_state_from_an_earlier_attempt_are_not_used(self, tmp_path: Path) -> None:
        store = FaultyStore()
        store.put("key", LARGE)
        store.faults.faults.append(Fault(kind="before", operation="get_range", nth=3, times=None))
        with pytest.raises(RepositoryUnreachable):
            download_object(store, "key", tmp_path / "target")
        store.faults.faults.clear()
        store.put("key", LARGE[::-1])
        download_object(store, "key", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == LARGE[::-1]
        assert names_in(tmp_path) == ["target"]

    def test_a_moment_of_silence_is_waited_out(self, tmp_path: Path) -> None:
        store = FaultyStore(faults=Faults(faults=[Fault(kind="before", operation="get_range")]))
        store.put("key", b"data")
        download_object(store, "key", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == b"data"

    def test_a_web_server_without_ranges_is_read_whole(self, rangeless_site: StaticSite, tmp_path: Path) -> None:
        site = rangeless_site.new_folder()
        (site.root / "large").write_bytes(LARGE)
        got = download_object(HttpStore(site.url), "large", tmp_path / "target")
        assert (tmp_path / "target").read_bytes() == LARGE
        assert got.blake3 == blake3(LARGE).hexdigest()

    def test_a_directory_in_place_of_the_file_is_reported(self, tmp_path: Path) -> None:
        store = FaultyStore()
        store.put("key", b"data")
        (tmp_path / "target").mkdir()
        (tmp_path / "file").write_bytes(b"")
        with pytest.raises(StorageError, match="target is a directory"):
            download_object(store, "key", tmp_path / "target")
        with pytest.raises(StorageError, match="file"):
            download_object(store, "key", tmp_path / "file" / "below")
        assert names_in(tmp_path) == ["file", "target"]

    def test_two_at_once_do_not_spoil_one_another(self, tmp_path: Path) -> None:
        from concurrent.futures import ThreadPoolExecutor

        store = FaultyStore()
        store.put("key", LARGE)
        with ThreadPoolExecutor(4) as pool:
            got = list(pool.map(lambda _: download_object(store, "key", tmp_path / "target"), range(4)))
        assert {each.blake3 for each in got} == {blake3(LARGE).hexdigest()}
        assert (tmp_path / "target").read_bytes() == LARGE
        assert names_in(tmp_path) == ["target"]

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere: run the tests as another user")
    def test_a_directory_without_write_permission_is_reported(self, tmp_path: Path) -> None:
        store = FaultyStore()
        store.put("key", b"data")
        tmp_path.chmod(0o555)
        with pytest.raises(ReadOnlyStore, match="Check who owns it"):
            download_object(store, "key", tmp_path / "target")


class TestUploads:
    def test_a_file_that_grows_meanwhile_is_refused(self, tmp_path: Path) -> None:
        store = FaultyStore()
        source = tmp_path / "source"
        source.write_bytes(LARGE)

        def grow(_: int) -> None:
            with source.open("ab") as file:
                file.write(b"more")

        with pytest.raises(TreeChanged, match="was not uploaded"):
            upload_object(store, "key", source, progress=grow)
        assert list(store.list("")) == []

    @pytest.mark.parametrize("data", [b"small", LARGE], ids=["small", "large"])
    def test_existing_files_are_kept_on_request(self, tmp_path: Path, data: bytes) -> None:
        store = FaultyStore()
        store.put("key", b"before")
        (tmp_path / "source").write_bytes(data)
        with pytest.raises(ObjectExists):
            upload_object(store, "key", tmp_path / "source", create_only=True)
        assert store.get("key")[0] == b"before"

    def test_an_object_whose_reply_was_lost_is_recognized_as_the_writers(self, tmp_path: Path) -> None:
        store = FaultyStore()
        store.put("key", b"data")
        (tmp_path / "source").write_bytes(b"data")
        assert upload_object(store, "key", tmp_path / "source", create_only=True).info == store.head("key")

    def test_a_store_that_stops_answering_keeps_no_partial_objects(self, tmp_path: Path) -> None:
        store = FaultyStore(faults=Faults(faults=[Fault(kind="before", operation="put_part", nth=2, times=None)]))
        (tmp_path / "source").write_bytes(LARGE)
        with pytest.raises(RepositoryUnreachable):
            upload_object(store, "key", tmp_path / "source")
        assert store.faults.requests[-1].operation == "abort"
        assert list(store.list("")) == []

    def test_special_files_do_not_block(self, tmp_path: Path) -> None:
        os.mkfifo(tmp_path / "fifo")
        for name, said in (("fifo", "not a regular file"), (".", "not a regular file"), ("absent", "No such file")):
            with pytest.raises(StorageError, match=said):
                upload_object(FaultyStore(), "key", tmp_path / name)
