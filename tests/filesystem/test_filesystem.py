"""Packages as a file system: libraries read the files of installed and published releases."""

from __future__ import annotations

import pickle
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import fsspec
import pytest

import orbitpkg
from orbitpkg.api.packages import packages
from orbitpkg.api.search import located, released
from orbitpkg.config.repositories import open_repository
from orbitpkg.errors import (
    ArchiveError,
    FileNotInPackage,
    ForbiddenFormat,
    OfflineError,
    ReadOnlyRepository,
    RepositoryUnreachable,
    UnsupportedByStore,
    UsageError,
)
from orbitpkg.filesystem.orbit import OrbitFile, OrbitFileSystem
from orbitpkg.filesystem.slices import ChunkCache, PublishedFiles
from orbitpkg.objects import open_store
from orbitpkg.repository.repository import Repository
from tests.faulty_store import Faults, FaultyStore
from tests.packages import make_package, noise, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from orbitpkg.model.contents import Chunk
    from orbitpkg.model.release import Release
    from tests.servers.processes import S3Server, StaticSite

BIG = noise(9_000_000)
"""Larger than an archive that is read as a whole, so it is read by ranges."""
SMALL = b"a,b\n1,2\n3,4\n"


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without installed packages."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "config.toml"))
    for variable in ("ORBITPKG_OFFLINE", "ORBITPKG_FORBID"):
        monkeypatch.delenv(variable, raising=False)
    OrbitFileSystem.clear_instance_cache()


@pytest.fixture
def package(tmp_path: Path) -> Path:
    files = {"data/x.csv": SMALL, "data/deep/er/y z.txt": "zwölf".encode(), "big.bin": BIG, "empty": b""}
    return make_package(tmp_path / "package", version="2.0.0", files=files)


@pytest.fixture(params=["directory", "moto", "web"])
def published(request: pytest.FixtureRequest, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of the repository in effect, which has the package."""
    url = (tmp_path / "a repository").as_uri()
    if request.param == "web":
        site: StaticSite = request.getfixturevalue("static_site").new_folder()
        orbitpkg.publish(package, site.root)
        monkeypatch.setenv("ORBITPKG_REPOSITORY", site.url)
        return site.url
    if request.param == "moto":
        server: S3Server = request.getfixturevalue("moto")
        for name, value in server.env().items():
            monkeypatch.setenv(name, value)
        url = f"s3://{server.new_bucket()}/some/prefix"
    orbitpkg.publish(package, url)
    monkeypatch.setenv("ORBITPKG_REPOSITORY", url)
    return url


@pytest.fixture
def nearby(package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The address of a directory repository with the package."""
    url = (tmp_path / "nearby").as_uri()
    orbitpkg.publish(package, url)
    monkeypatch.setenv("ORBITPKG_REPOSITORY", url)
    return url


@pytest.fixture
def files() -> OrbitFileSystem:
    return OrbitFileSystem()


class TestReachingPlaces:
    def test_the_entry_point_registers_the_file_system(self) -> None:
        found, path = fsspec.core.url_to_fs("orbit://model@2.0.0/data/x.csv")
        assert (type(found), path) == (OrbitFileSystem, "model@2.0.0/data/x.csv")

    @pytest.mark.usefixtures("published")
    def test_all_files_are_readable_without_installing(self, package: Path) -> None:
        files = fsspec.filesystem("orbit")
        expected = {path: data for path, (data, _) in tree_of(package).items()}
        found = {path.removeprefix("model@2.0.0/"): files.cat(path) for path in files.find("model@2.0.0")}
        assert found == expected
        assert packages() == []

    @pytest.mark.usefixtures("published")
    def test_a_file_is_read_like_a_local_file(self, files: OrbitFileSystem) -> None:
        ours, disk = files.open("model@2.0.0/big.bin"), BytesIO(BIG)
        assert isinstance(ours, OrbitFile)
        for position, length in [(0, 10), (5_000_000, 3_000_000), (8_999_990, 100), (9_000_000, 5), (17, 0), (40, -1)]:
            assert ours.seek(position) == disk.seek(position)
            assert ours.read(length) == disk.read(length)
            assert ours.tell() == disk.tell()

    def test_a_server_without_ranges_serves_small_releases_and_refuses_large_ones_with_advice(
        self, rangeless_site: StaticSite, package: Path
    ) -> None:
        site = rangeless_site.new_folder()
        orbitpkg.publish(package, site.root)
        orbitpkg.publish(make_package(site.root.parent / "small", name="small", files={"x": SMALL}), site.root)
        files = OrbitFileSystem(repository=site.url)
        assert files.cat("small/x") == SMALL
        with pytest.raises(UnsupportedByStore, match=r"orbitpkg install model==2\.0\.0"):
            files.cat("model/data/x.csv")


@pytest.mark.usefixtures("nearby")
class TestReading:
    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (None, None),
            (0, 0),
            (3, 7),
            (-5, None),
            (None, -4),
            (-6, -2),
            (5, 2),
            (7, 10**9),
            (-(10**9), 2),
            (10**9, None),
        ],
    )
    def test_ranges_work_as_in_python(self, files: OrbitFileSystem, start: int, end: int) -> None:
        for path, data in {"data/x.csv": SMALL, "empty": b""}.items():
            assert files.cat_file(f"model/{path}", start, end) == data[start:end]
        orbitpkg.install("model")
        assert files.cat_file("model/data/x.csv", start, end) == SMALL[start:end]

    def test_only_the_chunks_with_the_requested_bytes_are_read(self) -> None:
        release, repository = located("model")
        counted = _Counting(repository.objects)
        reader = PublishedFiles(Repository(counted), release, ChunkCache(1 << 26))
        counted.bytes = 0
        file = reader.contents.by_path["big.bin"]
        assert reader.read(file, 4_000_000, 4_000_010) == BIG[4_000_000:4_000_010]
        assert 0 < counted.bytes < 4_300_000
        before = counted.bytes
        assert reader.read(file, 4_000_010, 4_000_020) == BIG[4_000_010:4_000_020]
        assert counted.bytes == before

    def test_a_first_read_takes_at_most_three_requests_and_adjacent_reads_none(self, package: Path) -> None:
        name = uuid4().hex
        orbitpkg.publish(package, f"memory://{name}")
        orbitpkg.publish(make_package(package.parent / "small", name="small", files={"x": SMALL}), f"memory://{name}")
        for path, operations in (
            ("model@2.0.0/big.bin", ["get", "get_range", "get_range"]),
            ("small@1.0.0/x", ["get", "get"]),
        ):
            faults = Faults()
            FaultyStore(name, faults=faults)
            files = OrbitFileSystem(repository=f"memory://{name}", skip_instance_cache=True)
            files.cat_file(path, 0, 2)
            files.cat_file(path, 2, 4)
            assert [request.operation for request in faults.requests] == operations

    def test_text_compression_and_folders_work_as_with_every_file_system(
        self, files: OrbitFileSystem, tmp_path: Path
    ) -> None:
        with files.open("model/data/deep/er/y z.txt", "r", encoding="utf-8") as opened:
            assert opened.read() == "zwölf"
        assert files.ls("model@2.0.0/data", detail=False) == ["model@2.0.0/data/deep", "model@2.0.0/data/x.csv"]
        assert files.glob("model/**/*.csv") == ["model/data/x.csv"]
        assert [row[1:] for row in files.walk("model/data/deep")] == [(["er"], []), ([], ["y z.txt"])]
        assert (files.isdir("model/data"), files.isfile("model/data"), files.isdir("model")) == (True, False, True)
        files.get("model/data", str(tmp_path / "copy"), recursive=True)
        assert (tmp_path / "copy/deep/er/y z.txt").read_text(encoding="utf-8") == "zwölf"

    def test_concurrent_threads_read_a_chunk_once(self) -> None:
        release, repository = located("model")
        counted = _Counting(repository.objects)
        reader = PublishedFiles(Repository(counted), release, ChunkCache(1 << 26))
        counted.bytes = 0
        file = reader.contents.by_path["big.bin"]
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: reader.read(file, 0, file.size), range(8)))
        assert answers == [BIG] * 8
        assert counted.bytes <= release.archive.size

    def test_an_open_file_keeps_its_release(self, nearby: str, files: OrbitFileSystem, package: Path) -> None:
        opened = files.open("model/data/x.csv")
        assert opened.read(4) == SMALL[:4]
        _publish_next(package, nearby)
        files.invalidate_cache()
        assert opened.read() == SMALL[4:]
        assert pickle.loads(pickle.dumps(opened)).read() == b""  # noqa: S301 - pickled in the same line
        assert files.cat("model/data/x.csv") == b"newer"


@pytest.mark.usefixtures("nearby")
class TestChoosing:
    @pytest.mark.parametrize("word", ["model", "model@2.0.0", "Model@2.0", "model@^2", "model@>=1,<3", "model==2.0.0"])
    def test_an_address_has_a_name_and_an_exact_version_or_a_range(self, files: OrbitFileSystem, word: str) -> None:
        assert files.cat(f"{word}/data/x.csv") == SMALL
        orbitpkg.install("model==2.0.0")
        assert files.cat(f"orbit://{word}/data/x.csv") == SMALL

    def test_installed_files_are_read_without_the_repository(
        self, nearby: str, files: OrbitFileSystem, package: Path
    ) -> None:
        installed = orbitpkg.install("model")
        _publish_next(package, nearby)
        with files.open("model/data/x.csv") as opened:
            assert opened.name == str(installed.file_path("data", "x.csv"))
        Path(nearby.removeprefix("file://").replace("%20", " ")).rename(package.parent / "gone")
        assert files.cat("model@2.0.0/big.bin") == BIG
        assert files.ls("", detail=False) == ["model@2.0.0"]

    def test_new_installations_are_seen_at_once(self, nearby: str, files: OrbitFileSystem, package: Path) -> None:
        orbitpkg.install("model==2.0.0")
        assert files.cat("model/data/x.csv") == SMALL
        _publish_next(package, nearby)
        orbitpkg.install("model==2.1.0")
        assert files.cat("model/data/x.csv") == b"newer"

    def test_new_releases_are_seen_after_max_age(self, nearby: str, package: Path) -> None:
        patient, eager = OrbitFileSystem(), OrbitFileSystem(max_age=0)
        assert patient.cat("model/data/x.csv") == eager.cat("model/data/x.csv") == SMALL
        _publish_next(package, nearby)
        assert patient.cat("model/data/x.csv") == SMALL
        assert eager.cat("model/data/x.csv") == b"newer"

    def test_files_skipped_by_an_installation_are_read_from_the_repository(self, files: OrbitFileSystem) -> None:
        installed = orbitpkg.install("model", only="data/*.csv")
        with files.open("model/data/x.csv") as opened:
            assert opened.name == str(installed.file_path("data/x.csv"))
        assert files.cat("model/big.bin") == BIG
        assert not installed.has_file("big.bin")

    def test_a_skipped_file_that_changed_in_the_repository_is_missing(
        self, nearby: str, files: OrbitFileSystem, package: Path
    ) -> None:
        orbitpkg.install("model", only="data/*.csv")
        place = Path(open_store(nearby).url.removeprefix("file://").replace("%20", " "))
        place.rename(package.parent / "gone")
        (package / "big.bin").write_bytes(b"another")
        orbitpkg.publish(package, nearby)
        with pytest.raises(FileNotInPackage, match="has this file, but it is not installed"):
            files.cat("model/big.bin")

    def test_a_given_repository_is_the_only_source(self, nearby: str, package: Path, tmp_path: Path) -> None:
        orbitpkg.install("model==2.0.0")
        other = (tmp_path / "other").as_uri()
        (package / "data/x.csv").write_bytes(b"other")
        orbitpkg.publish(package, other)
        assert OrbitFileSystem(repository=other).cat("model@2.0.0/data/x.csv") == b"other"
        assert OrbitFileSystem(repository=nearby).cat("model@2.0.0/data/x.csv") == SMALL

    def test_keys_depend_on_the_content_of_files(self, nearby: str, files: OrbitFileSystem, package: Path) -> None:
        _publish_next(package, nearby)
        old, new = "model@2.0.0", "model@2.1.0"
        assert files.ukey(f"{old}/data/x.csv") != files.ukey(f"{new}/data/x.csv")
        assert files.ukey(f"{old}/big.bin") == files.ukey(f"{new}/big.bin")
        assert files.checksum(f"{old}/big.bin") == files.checksum(f"{new}/big.bin")
        assert files.created(f"{old}/big.bin") == files.modified(f"{old}/big.bin")
        assert files.ukey(f"{old}/data") != files.ukey(f"{new}/data")


@pytest.mark.usefixtures("nearby")
class TestRefusals:
    @pytest.mark.parametrize(
        "path",
        [
            "model/data/y.csv",
            "model/data/x.csv/more",
            "model/../x",
            "model//x",
            "model@9.9.9/x",
            "nobody/x",
            "model@<1/x",
        ],
    )
    def test_missing_packages_and_files_raise_file_not_found_error(self, files: OrbitFileSystem, path: str) -> None:
        for ask in (files.open, files.info, files.cat_file, files.ls):
            with pytest.raises(FileNotInPackage) as caught:
                ask(path)
            assert isinstance(caught.value, FileNotFoundError)
        assert not files.exists(path)

    @pytest.mark.parametrize("path", ["mod el/x", "model@v2.0.0/x", "model@latest/x", "model@==/x"])
    def test_an_invalid_address_is_an_error_with_the_correct_form(self, files: OrbitFileSystem, path: str) -> None:
        with pytest.raises(UsageError, match="orbit://NAME@VERSION/path"):
            files.exists(path)

    def test_a_folder_cannot_be_opened(self, files: OrbitFileSystem) -> None:
        with pytest.raises(IsADirectoryError, match="orbit://model/data is a directory"):
            files.open("model/data")

    def test_nothing_can_be_written(self, files: OrbitFileSystem, tmp_path: Path) -> None:
        orbitpkg.install("model")
        path = "model/data/x.csv"
        attempts: list[tuple[Any, tuple[Any, ...]]] = [
            (files.open, (path, "wb")),
            (files.open, (path, "ab")),
            (files.open, (path, "r+b")),
            (files.pipe, (path, b"no")),
            (files.rm, (path,)),
            (files.rm_file, (path,)),
            (files.mv, (path, "model/b")),
            (files.cp_file, (path, "model/b")),
            (files.touch, (path,)),
            (files.mkdir, ("model/new",)),
            (files.makedirs, ("model/new",)),
            (files.rmdir, ("model/data",)),
            (files.put_file, (str(tmp_path / "package/empty"), path)),
        ]
        for attempt, words in attempts:
            with pytest.raises(ReadOnlyRepository, match=r"orbit://model.* cannot be written"):
                attempt(*words)
        assert files.cat(path) == SMALL

    def test_offline_a_package_that_is_not_installed_is_an_error_rather_than_absent(self) -> None:
        files = OrbitFileSystem(repository="s3://no-such-bucket", offline=True)
        for ask in (files.exists, files.open, files.isfile):
            with pytest.raises(OfflineError):
                ask("model/data/x.csv")

    def test_an_unreachable_repository_is_an_error_rather_than_absence(self, unused_tcp_port: int) -> None:
        files = OrbitFileSystem(repository=f"http://127.0.0.1:{unused_tcp_port}/models")
        with pytest.raises(RepositoryUnreachable):
            files.exists("model@2.0.0/data/x.csv")

    def test_forbidden_formats_are_not_read_from_a_repository(
        self, files: OrbitFileSystem, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        folder = make_package(tmp_path / "pickled", name="pickled", files={"m.pkl": b"\x80\x04N.", "x.csv": SMALL})
        monkeypatch.setenv("ORBITPKG_REPOSITORY", (tmp_path / "repo").as_uri())
        orbitpkg.publish(folder)
        monkeypatch.setenv("ORBITPKG_FORBID", "pickle")
        assert files.cat("pickled/x.csv") == SMALL
        for read in (files.open, files.cat_file):
            with pytest.raises(ForbiddenFormat):
                read("pickled/m.pkl")

    def test_a_flipped_byte_in_the_archive_is_detected(self, nearby: str, files: OrbitFileSystem) -> None:
        release = released("model")
        archive = Path(open_repository(nearby).objects.url.removeprefix("file://")) / release.archive.key
        tree = PublishedFiles(located("model")[1], release, ChunkCache(0))
        chunk = tree.contents.chunks_of(tree.contents.by_path["big.bin"])[3]
        archive.chmod(0o644)
        with archive.open("r+b") as file:
            file.seek(chunk.position + chunk.stored // 2)
            byte = file.read(1)
            file.seek(-1, 1)
            file.write(bytes([byte[0] ^ 1]))
        with pytest.raises(ArchiveError):
            files.cat("model/big.bin")
        with pytest.raises(ArchiveError):
            files.open("model/big.bin").read()
        assert files.cat("model/data/x.csv") == SMALL

    def test_bytes_corrupted_in_transit_are_read_again(self) -> None:
        release, repository = located("model")
        flaky = _Counting(repository.objects)
        reader = PublishedFiles(Repository(flaky), release, ChunkCache(1 << 26))
        flaky.spoil = 1
        assert reader.read(reader.contents.by_path["big.bin"], 0, 100) == BIG[:100]

    def test_without_fsspec_the_error_names_the_extra(self) -> None:
        program = "import sys; sys.modules['fsspec'] = None; import orbitpkg.filesystem.orbit"
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "pip install 'orbitpkg[fsspec]'" in done.stderr


class TestLibraries:
    """The libraries that users read packages with."""

    @pytest.fixture(params=["published", "installed"])
    def table(
        self, request: pytest.FixtureRequest, tmp_path: Path, moto: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> str:
        """The address of a package with a table of 1,000 rows, in a bucket or installed."""
        import numpy as np
        import pandas as pd
        import zarr

        folder = make_package(tmp_path / "table", name="table", files={})
        frame = pd.DataFrame({"n": range(1000), "half": [n / 2 for n in range(1000)]})
        frame.to_csv(folder / "t.csv", index=False)
        frame.to_parquet(folder / "t.parquet")
        halves: Any = np.arange(1000) / 2
        zarr.save_array(str(folder / "t.zarr"), halves)
        for name, value in moto.env().items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("ORBITPKG_REPOSITORY", f"s3://{moto.new_bucket()}")
        orbitpkg.publish(folder)
        if request.param == "installed":
            orbitpkg.install("table")
        return "orbit://table@1.0.0"

    def test_pandas_reads_csv_and_parquet(self, table: str) -> None:
        import pandas as pd

        assert pd.read_csv(f"{table}/t.csv")["half"].sum() == 249750
        assert pd.read_parquet(f"{table}/t.parquet", columns=["n"])["n"].sum() == 499500

    @pytest.mark.usefixtures("table")
    def test_pyarrow_reads_a_dataset(self) -> None:
        import pyarrow.dataset

        dataset = pyarrow.dataset.dataset("table@1.0.0/t.parquet", filesystem=OrbitFileSystem())
        assert dataset.count_rows() == 1000

    def test_dask_reads_csv(self, table: str) -> None:
        import dask.dataframe

        frame = dask.dataframe.read_csv(f"{table}/*.csv", blocksize=4000)
        assert frame.npartitions > 1
        assert frame["n"].sum().compute(scheduler="threads") == 499500

    def test_zarr_reads_an_array(self, table: str) -> None:
        import numpy as np
        import zarr

        array = zarr.open_array(f"{table}/t.zarr", mode="r")
        assert np.asarray(array[...]).sum() == 249750


@pytest.mark.usefixtures("nearby")
class TestChunkCache:
    def test_the_most_recently_used_chunks_are_kept_up_to_the_limit(self) -> None:
        release, repository = located("model")
        reader = PublishedFiles(repository, release, ChunkCache(0))
        chunks = reader.contents.chunks[:4]
        cache, loaded = ChunkCache(25), list[int]()

        def load(wanted: Sequence[Chunk]) -> Iterator[tuple[Chunk, bytes]]:
            for chunk in wanted:
                loaded.append(chunk.index)
                yield chunk, bytes(10)

        for index in (0, 1, 0, 2, 0, 1):
            assert len(cache.take([chunks[index]], load)) == 1
        assert loaded == [0, 1, 2, 1]

    def test_a_failure_in_one_thread_does_not_fail_another(self) -> None:
        release, repository = located("model")
        chunk = PublishedFiles(repository, release, ChunkCache(0)).contents.chunks[0]
        cache, reading, failing = ChunkCache(100), threading.Event(), threading.Event()

        def fail(_: Sequence[Chunk]) -> Iterator[tuple[Chunk, bytes]]:
            reading.set()
            failing.wait(30)
            raise ArchiveError("It failed.")
            yield

        def succeed(_: Sequence[Chunk]) -> Iterator[tuple[Chunk, bytes]]:
            yield chunk, b"data"

        with ThreadPoolExecutor(2) as pool:
            first = pool.submit(cache.take, [chunk], fail)
            reading.wait(30)
            second = pool.submit(cache.take, [chunk], succeed)
            failing.set()
            assert second.result(30) == {chunk.blake3: b"data"}
            with pytest.raises(ArchiveError):
                first.result(30)


class _Counting:
    """A store that counts the bytes it returns, and returns wrong ones on demand."""

    def __init__(self, store: Any) -> None:
        self._store = store
        self._lock = threading.Lock()
        self.bytes = 0
        self.spoil = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def get_range(self, key: str, start: int, length: int, **options: Any) -> bytes:
        data = bytes(self._store.get_range(key, start, length, **options))
        with self._lock:
            self.bytes += len(data)
            if self.spoil:
                self.spoil -= 1
                return bytes(length)
        return data


def _publish_next(package: Path, url: str) -> Release:
    """Publish version 2.1.0 of the package, with one changed file."""
    (package / "data/x.csv").write_bytes(b"newer")
    manifest = package / "package.json"
    manifest.write_text(manifest.read_text().replace("2.0.0", "2.1.0"))
    return orbitpkg.publish(package, url).release


@pytest.fixture
def unused_tcp_port() -> int:
    from tests.servers.processes import free_port

    return free_port()


def test_memory_stores_work_too(package: Path) -> None:
    url = f"memory://{uuid4().hex}"
    orbitpkg.publish(package, url)
    assert OrbitFileSystem(repository=url).cat("model/data/x.csv") == SMALL
    assert open_store(url).head("orbitpkg.json").size > 0
