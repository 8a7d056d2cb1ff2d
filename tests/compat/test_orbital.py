"""PyOrbital's function: a bucket becomes the default repository, with PyOrbital's own packages in it."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import pytest

from orbitpkg.compat import sputnik
from orbitpkg.compat.orbital import patch_sputnik
from orbitpkg.compat.sputnik.api.repositories import use_bucket
from orbitpkg.errors import UsageError
from orbitpkg.objects import open_store
from tests.compat.make_archives import write
from tests.compat.old_format import old_archive, old_bucket, old_package, put_package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.servers.processes import S3Server

APP = (None, None)


@pytest.fixture
def bucket(tmp_path: Path, moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A bucket set in the environment, and a machine without orbitpkg's home folder."""
    name = moto.new_bucket()
    for variable, value in {**moto.env(), "BUCKET": name, "ORBITPKG_HOME": str(tmp_path / "home")}.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "no config.toml"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    yield name
    use_bucket(None)


def idents(packages: list[sputnik.PackageStub]) -> list[str]:
    return [package.ident for package in packages]


def test_uploaded_packages_can_be_installed_and_read(bucket: str, tmp_path: Path) -> None:
    """The same steps as PyOrbital's own test."""
    sample = write("orbital_test_model", tmp_path / "sputnik_sample")
    (sample / "data" / "model").write_text(str(time.time_ns()))
    archive = sputnik.build(str(sample))
    patch_sputnik()
    data = str(tmp_path / "installed_packages")
    sputnik.upload("myapp", "1.0.0", archive.path, data_path=data)
    wanted = f"{archive.name}=={archive.version}"
    sputnik.install("my_library", "2.0.0", wanted, data_path=data)
    package = sputnik.package("my_library", "2.0.0", wanted, data_path=data)
    with package.open(["data", "model"], mode="r", encoding="utf8") as file:
        assert file.read() == (sample / "data" / "model").read_text()
    assert {info.key.partition("/")[0] for info in open_store(f"s3://{bucket}").list("")} == {"models"}


def test_packages_of_pyorbital_and_new_uploads_are_both_found(bucket: str, tmp_path: Path) -> None:
    old_bucket(open_store(f"s3://{bucket}/models"))
    patch_sputnik()
    assert sputnik.install(*APP, "test").version == "10.0.0"
    sputnik.upload(*APP, str(old_archive(tmp_path / "new.sputnik", version="11.0.0")))
    assert idents(sputnik.search(*APP, "test")) == ["test-1.0.0", "test-9.0.0", "test-10.0.0", "test-11.0.0"]
    assert sputnik.install(*APP, "test >10.0.0").version == "11.0.0"
    assert sputnik.install(*APP, "test <10", data_path=str(tmp_path / "data")).version == "9.0.0"
    with pytest.raises(sputnik.CompatiblePackageNotFoundException, match="Available versions: "):
        sputnik.install(*APP, "test >11")
    with pytest.raises(sputnik.PackageNotFoundException, match="no package unknown"):
        sputnik.install(*APP, "unknown")


def test_a_newer_upload_is_found_without_downloading_pyorbitals_packages(bucket: str, tmp_path: Path) -> None:
    store = open_store(f"s3://{bucket}/models")
    old_bucket(store)
    patch_sputnik()
    sputnik.upload(*APP, str(old_archive(tmp_path / "new.sputnik", version="11.0.0")))
    for info in list(store.list("test-")):
        if info.key.endswith("archive.gz"):
            store.delete(info.key)
    assert sputnik.install(*APP, "test").version == "11.0.0"


def test_the_bucket_and_the_prefix_can_be_set(bucket: str) -> None:
    put_package(open_store(f"s3://{bucket}/a/b"), *old_package())
    patch_sputnik(bucket, prefix="a/b/")
    assert idents(sputnik.search(*APP)) == ["test-1.0.0"]
    put_package(open_store(f"s3://{bucket}"), *old_package(version="2.0.0"))
    patch_sputnik(prefix="")
    assert idents(sputnik.search(*APP)) == ["test-2.0.0"]


def test_a_given_repository_takes_precedence_over_the_bucket(bucket: str, tmp_path: Path) -> None:
    patch_sputnik()
    archive = str(old_archive(tmp_path / "a.sputnik"))
    sputnik.upload(*APP, archive, repository_url=(tmp_path / "mine").as_uri())
    assert idents(sputnik.search(*APP, repository_url=(tmp_path / "mine").as_uri())) == ["test-1.0.0"]
    assert sputnik.search(*APP) == []
    assert list(open_store(f"s3://{bucket}").list("")) == []


@pytest.mark.parametrize("name", [None, "", "not/a/bucket", "x"])
def test_a_missing_bucket_name_is_reported(name: str | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if name is None:
        monkeypatch.delenv("BUCKET", raising=False)
    else:
        monkeypatch.setenv("BUCKET", name)
    with pytest.raises(UsageError):
        patch_sputnik()
