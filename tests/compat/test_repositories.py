"""Sputnik's buckets and servers, read as repositories."""

from __future__ import annotations

import gc
import hashlib
import json
import os
import shutil
import time
from contextlib import AbstractContextManager, closing, nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.packages import package as open_package
from orbitpkg.api.packages import packages as list_packages
from orbitpkg.api.packages import remove
from orbitpkg.api.publish import publish
from orbitpkg.api.search import released, search, versions
from orbitpkg.compat.sputnik.formats.fetching import Fetcher
from orbitpkg.compat.sputnik.formats.repositories import BucketRepository, open_sputnik_repository
from orbitpkg.errors import (
    ArchiveError,
    IntegrityError,
    OfflineError,
    PackageNotFound,
    ReadOnlyRepository,
    RepositoryNotFound,
    RepositoryUnreachable,
    ResolutionError,
    StorageError,
    VersionNotFound,
)
from orbitpkg.objects import open_store
from tests.compat.old_format import FILES, old_bucket, old_package, put_package
from tests.faulty_store import Fault, FaultyStore
from tests.packages import make_package, noise, tree_of
from tests.servers.fixtures import skip_or_fail
from tests.servers.interposed import Answer, Request, interposed
from tests.servers.processes import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.servers.processes import S3Server, StaticSite

pytestmark = pytest.mark.usefixtures("home")

MIB = 1 << 20
DAY = 24 * 3600


@pytest.fixture
def bucket(tmp_path: Path) -> str:
    """A copy of a PyOrbital bucket."""
    with closing(open_store((tmp_path / "bucket").as_uri())) as store:
        old_bucket(store)
    return f"sputnik+{(tmp_path / 'bucket').as_uri()}"


def serve(site: StaticSite, packages: list[tuple[dict[str, Any], bytes]], *, folder: str = "") -> str:
    """Serve packages and an index like Sputnik's server; return the address."""
    index = {}
    with closing(open_store(site.root.as_uri())) as store:
        for meta, body in packages:
            ident = put_package(store, meta, body, prefix=folder)
            text = (site.root / f"{folder}{ident}" / "meta.json").read_bytes()
            index[ident] = [f"{folder}{ident}/meta.json", hashlib.md5(text, usedforsecurity=False).hexdigest()]
        store.put("models", json.dumps(index).encode())
    return f"sputnik+{site.url}"


def files_of(name: str) -> Mapping[str, bytes]:
    found = tree_of(open_package(name).path)
    return {path: data for path, (data, _) in found.items() if path != "package.json"}


class TestBuckets:
    def test_packages_are_found_and_installed_like_others(self, bucket: str) -> None:
        assert versions("test", repository=bucket) == ["1.0.0", "9.0.0", "10.0.0"]
        assert [(each.name, each.newest) for each in search(repository=bucket)] == [
            ("other", "1.0.0"),
            ("test", "10.0.0"),
        ]
        assert install("test", repository=bucket).version == "10.0.0"
        assert files_of("test") == {**FILES, "data/version": b"10.0.0"}
        assert install("test<10", repository=bucket).version == "9.0.0"
        assert released("other", repository=bucket).compatibility == {"my_library": ">=1.1.1"}

    def test_compatibility_is_checked_before_downloading(self, bucket: str, tmp_path: Path) -> None:
        for archive in (tmp_path / "bucket").rglob("archive.gz"):
            archive.write_bytes(b"")
        with pytest.raises(ResolutionError, match=r"does not work with my.library 1\.0"):
            install("other", repository=bucket, app="my_library==1.0")

    @pytest.mark.parametrize("size", [1000, 6 * MIB], ids=["read whole", "read by ranges"])
    def test_a_removed_package_is_reinstalled_as_the_same_release(self, bucket: str, tmp_path: Path, size: int) -> None:
        put_package(open_store((tmp_path / "bucket").as_uri()), *old_package({"data": noise(size)}, name="again"))
        digest = install("again", repository=bucket).digest
        remove("again")
        gc.collect()
        package = install("again", repository=bucket)
        assert package.digest == digest
        assert package.read_bytes("data") == noise(size)

    def test_installed_packages_are_not_downloaded_again(self, bucket: str, tmp_path: Path) -> None:
        first = install("test", repository=bucket)
        for archive in (tmp_path / "bucket").rglob("archive.gz"):
            archive.write_bytes(b"")
        assert install("test", repository=bucket) == first
        assert install("test==10.0.0", repository=bucket) == first

    def test_two_machines_convert_a_package_to_the_same_release(
        self, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        digest = install("test", repository=bucket).digest
        monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "another home"))
        assert install("test", repository=bucket).digest == digest

    def test_cached_metadata_suffices_offline(self, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
        install("test", repository=bucket)
        assert install("test", repository=bucket, offline=True).version == "10.0.0"
        monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
        with pytest.raises(OfflineError):
            versions("test", repository="sputnik+s3://nowhere/models")

    def test_the_repository_is_read_only(self, bucket: str, tmp_path: Path) -> None:
        with pytest.raises(ReadOnlyRepository, match="orbitpkg import sputnik"):
            publish(make_package(tmp_path / "new", name="new"), bucket)
        assert not (tmp_path / "bucket" / "orbitpkg.json").exists()

    def test_missing_packages_are_reported(self, bucket: str) -> None:
        with pytest.raises(PackageNotFound, match="There is no package tset"):
            install("tset", repository=bucket)
        with pytest.raises(VersionNotFound, match=r"Available versions: 1\.0\.0, 9\.0\.0, 10\.0\.0"):
            install("test==2.0.0", repository=bucket)

    def test_an_invalid_package_does_not_block_others(self, bucket: str, tmp_path: Path) -> None:
        store = open_store((tmp_path / "bucket").as_uri())
        put_package(store, *old_package(version="abc"))
        put_package(store, *old_package(version="11.0.0", compatibility=["x"]))
        store.put("test-12.0.0/meta.json", b"{")
        store.put("test-13.0.0/archive.gz", b"half a package")
        assert versions("test", repository=bucket) == ["1.0.0", "9.0.0", "10.0.0"]
        assert install("test", repository=bucket).version == "10.0.0"
        with pytest.raises(ArchiveError, match="compatibility must map"):
            install("test==11.0.0", repository=bucket)
        with pytest.raises(IntegrityError, match="not valid JSON"):
            install("test==12.0.0", repository=bucket)
        with pytest.raises(ArchiveError, match=r"test-13\.0\.0 has no meta\.json"):
            install("test==13.0.0", repository=bucket)

    def test_a_package_without_a_valid_version_is_reported_with_the_reasons(self, bucket: str, tmp_path: Path) -> None:
        put_package(open_store((tmp_path / "bucket").as_uri()), *old_package(name="only", version="abc"))
        with pytest.raises(ArchiveError, match=r"(?s)No version of only .* only-abc: .*'abc' is not a valid version"):
            install("only", repository=bucket)

    def test_the_unchanged_version_wins_when_two_convert_to_the_same(self, bucket: str, tmp_path: Path) -> None:
        store = open_store((tmp_path / "bucket").as_uri())
        put_package(store, *old_package({"which": b"1.0"}, version="1.0"))
        install("test==1.0.0", repository=bucket)
        assert files_of("test") == {**FILES, "data/version": b"1.0.0"}

    @pytest.mark.parametrize("name", ["data", "meta"])
    def test_an_archive_that_does_not_match_its_manifest_is_refused(
        self, bucket: str, tmp_path: Path, name: str
    ) -> None:
        archive = tmp_path / "bucket" / "other-1.0.0" / "archive.gz"
        data = bytearray(archive.read_bytes())
        data[-9] ^= 1
        archive.write_bytes(data if name == "data" else data[:-1])
        with pytest.raises(IntegrityError, match=r"has the MD5|bytes; its meta\.json says"):
            install("other", repository=bucket)
        assert list_packages() == []

    def test_a_damaged_download_is_repeated(self, bucket: str, tmp_path: Path) -> None:
        archive = tmp_path / "bucket" / "other-1.0.0" / "archive.gz"
        good = archive.read_bytes()
        archive.write_bytes(b"x" * len(good))
        with pytest.raises(IntegrityError):
            install("other", repository=bucket)
        archive.write_bytes(good)
        assert install("other", repository=bucket).version == "1.0.0"

    def test_damaged_cache_files_are_read_again(self, bucket: str, home: Path) -> None:
        install("other", repository=bucket)
        remove("other")
        for kept in [path for path in (home / "cache").rglob("*") if path.is_file()]:
            kept.write_bytes(kept.read_bytes()[: kept.stat().st_size // 2])
        assert install("other", repository=bucket).version == "1.0.0"

    def test_a_replaced_meta_json_is_read_again(self, bucket: str, tmp_path: Path) -> None:
        assert released("other", repository=bucket).description == "Words."
        meta, body = old_package({"words": b"d"}, name="other", description="Other words.")
        put_package(open_store((tmp_path / "bucket").as_uri()), meta, body)
        assert released("other", repository=bucket).description == "Other words."


def test_an_interrupted_download_resumes(tmp_path: Path) -> None:
    store = FaultyStore()
    put_package(store, *old_package({"data": noise(20 * MIB)}))
    store.faults.faults.append(Fault(kind="before", operation="get_range", nth=2, times=None))
    with pytest.raises(RepositoryUnreachable), Fetcher(BucketRepository(store), tmp_path).tree("test-1.0.0"):
        pass
    store.faults.faults.clear()
    store.faults.requests.clear()
    with Fetcher(BucketRepository(store), tmp_path).tree("test-1.0.0") as tree:
        assert tree.total_size > 20 * MIB
    read = sum(request.length for request in store.faults.requests if request.operation == "get_range")
    assert 0 < read < 15 * MIB
    assert list((tmp_path / "downloads").iterdir()) == []


@pytest.mark.parametrize("metadata", [{"md5": "0" * 32}, {"md5": '"' + "0" * 32 + '"'}])
def test_an_archive_with_another_recorded_md5_is_refused(tmp_path: Path, metadata: dict[str, str]) -> None:
    store = FaultyStore()
    meta, body = old_package()
    ident = put_package(store, meta, body)
    store.put(f"{ident}/archive.gz", body, metadata=metadata)
    fetcher = Fetcher(BucketRepository(store), tmp_path)
    with pytest.raises(IntegrityError, match="was uploaded with the MD5 000"), fetcher.tree(ident):
        pass


def test_an_archive_without_a_recorded_md5_is_verified_by_its_manifest(tmp_path: Path) -> None:
    store = FaultyStore()
    meta, body = old_package()
    ident = put_package(store, meta, body)
    store.put(f"{ident}/archive.gz", body)
    with Fetcher(BucketRepository(store), tmp_path).tree(ident) as tree:
        assert len(tree.files) == len(FILES) + 1


class TestServers:
    def test_packages_of_an_index_server_are_installed(self, static_site: StaticSite) -> None:
        packages = [old_package(version=version) for version in ("9.0.0", "10.0.0")]
        url = serve(static_site.new_folder(), packages)
        assert versions("test", repository=url) == ["9.0.0", "10.0.0"]
        assert install("test", repository=url).version == "10.0.0"
        assert files_of("test") == FILES

    def test_packages_of_a_server_without_ranges_are_installed(self, rangeless_site: StaticSite) -> None:
        url = serve(rangeless_site.new_folder(), [old_package()])
        assert install("test", repository=url).version == "1.0.0"

    def test_packages_may_be_on_another_server(self, static_site: StaticSite, python_site: StaticSite) -> None:
        here, there = static_site.new_folder(), python_site.new_folder()
        serve(there, [old_package()])
        index = json.loads((there.root / "models").read_bytes())
        index["test-1.0.0"][0] = f"{there.url}/test-1.0.0/meta.json"
        (here.root / "models").write_text(json.dumps(index))
        assert install("test", repository=f"sputnik+{here.url}").version == "1.0.0"

    def test_a_password_is_sent_to_no_other_server(self, python_site: StaticSite) -> None:
        seen: list[Request] = []

        def listen(request: Request) -> Answer | None:
            seen.append(request)
            return None

        here, there = python_site.new_folder(), python_site.new_folder()
        serve(there, [old_package()])
        index = json.loads((there.root / "models").read_bytes())
        root = python_site.url.removesuffix("/")
        with interposed(root, listen) as before:
            index["test-1.0.0"][0] = f"{before}/{there.root.name}/test-1.0.0/meta.json"
            (here.root / "models").write_text(json.dumps(index))
            url = f"sputnik+{here.url.replace('://', '://user:secret@')}"
            assert install("test", repository=url).version == "1.0.0"
            assert "secret" not in open_package("test").origin
        assert {"authorization"} & {name for request in seen for name in request.headers} == set()

    def test_an_ident_removed_from_the_index_is_not_found(self, static_site: StaticSite) -> None:
        site = static_site.new_folder()
        url = serve(site, [old_package(), old_package(version="2.0.0")])
        assert versions("test", repository=url) == ["1.0.0", "2.0.0"]
        index = json.loads((site.root / "models").read_bytes())
        del index["test-2.0.0"]
        (site.root / "models").write_text(json.dumps(index))
        assert versions("test", repository=url) == ["1.0.0"]
        with pytest.raises(VersionNotFound, match=r"Available versions: 1\.0\.0"):
            install("test==2.0.0", repository=url)

    def test_an_indexed_package_without_files_is_reported(self, static_site: StaticSite) -> None:
        site = static_site.new_folder()
        url = serve(site, [old_package()])
        shutil.rmtree(site.root / "test-1.0.0")
        with pytest.raises(ArchiveError, match=r"(?s)No version of test .* test-1\.0\.0"):
            install("test", repository=url)

    def test_an_outdated_index_is_reported(self, static_site: StaticSite) -> None:
        site = static_site.new_folder()
        url = serve(site, [old_package(), old_package(version="2.0.0")])
        meta, body = old_package({"new": b"content"}, version="2.0.0")
        put_package(open_store(site.root.as_uri()), meta, body)
        with pytest.raises(IntegrityError, match="does not match the index"):
            install("test==2.0.0", repository=url)
        assert install("test", repository=url).version == "1.0.0"

    @pytest.mark.parametrize(
        ("index", "match"),
        [
            (b"<html>", "not valid JSON"),
            (b"[]", "not a JSON object of idents"),
            (b'{"test-1.0.0": "x"}', "invalid entry.* 'x'"),
            (b'{"test-1.0.0": ["file:///etc/passwd", "x"]}', "invalid address"),
            (b'{"test-1.0.0": ["http://user@host/meta.json", "x"]}', "invalid address"),
            (b'{"test-1.0.0": ["x/meta.json?signature", "x"]}', "invalid address"),
        ],
    )
    def test_an_invalid_index_is_refused(self, static_site: StaticSite, index: bytes, match: str) -> None:
        site = static_site.new_folder()
        (site.root / "models").write_bytes(index)
        with pytest.raises(IntegrityError, match=match):
            install("test", repository=f"sputnik+{site.url}")

    def test_a_server_without_an_index_is_reported(self, static_site: StaticSite) -> None:
        with pytest.raises(RepositoryNotFound, match="is not a Sputnik index server"):
            versions("test", repository=f"sputnik+{static_site.new_folder().url}")

    def test_an_unreachable_server_is_reported(self) -> None:
        with pytest.raises(RepositoryUnreachable):
            versions("test", repository="sputnik+http://127.0.0.1:1")


def test_a_pyorbital_bucket_is_read_from_s3(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in moto.env().items():
        monkeypatch.setenv(name, value)
    url = f"s3://{moto.new_bucket()}/models"
    old_bucket(open_store(url))
    assert open_store(url).metadata("test-1.0.0/archive.gz").keys() == {"md5"}
    assert install("test", repository=f"sputnik+{url}").version == "10.0.0"
    assert files_of("test") == {**FILES, "data/version": b"10.0.0"}
    assert open_sputnik_repository(f"sputnik+{url}").url == f"sputnik+{url}"


@pytest.mark.parametrize("folder", ["", "meta", "locks", "downloads", "scratch", "runs"])
def test_a_folder_of_the_cache_that_another_user_replaced_by_a_link_is_not_written_to(
    bucket: str, home: Path, tmp_path: Path, folder: str
) -> None:
    if os.geteuid() != 0:
        skip_or_fail(ServerMissing("a link of another user takes root: run the tests as root"))
    install("other", repository=bucket)
    home.chmod(0o2775)
    (cache,) = (home / "cache" / "sputnik").iterdir()
    own, planted = tmp_path / "own", cache / folder
    own.mkdir()
    shutil.rmtree(planted, ignore_errors=True)
    planted.symlink_to(own)
    os.lchown(planted, 61_001, 61_001)
    # Metadata that cannot be cached is used without the cache.
    expected: AbstractContextManager[object] = pytest.raises(StorageError, match="another user")
    with nullcontext() if folder == "meta" else expected:
        install("test", repository=bucket)
    gc.collect()
    assert os.listdir(own) == []


def test_old_scratch_folders_are_deleted_and_those_in_use_are_kept(bucket: str, home: Path) -> None:
    install("other", repository=bucket)
    (folder,) = (home / "cache" / "sputnik").iterdir()
    for kind in ("scratch", "runs"):
        for name, age in (("sputnik-old", 2 * DAY), ("sputnik-new", DAY // 2)):
            (folder / kind / name / "data").mkdir(parents=True)
            os.utime(folder / kind / name, (time.time() - age,) * 2)
    install("test", repository=bucket)
    gc.collect()
    assert [path.name for path in (folder / "scratch").iterdir()] == ["sputnik-new"]
    assert [path.name for path in (folder / "runs").iterdir()] == ["sputnik-new"]
