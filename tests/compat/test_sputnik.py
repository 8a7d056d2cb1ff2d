"""Sputnik's API: the behaviour that apps rely on, without its known problems."""

from __future__ import annotations

import inspect
import json
import shutil
import subprocess
import sys
from itertools import permutations
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg import errors
from orbitpkg.compat import sputnik
from orbitpkg.objects import open_store
from tests.compat.make_archives import PACKAGES, write
from tests.compat.old_format import FILES, old_archive, old_bucket, old_package, put_package
from tests.compat.real_sputnik import sputnik_python
from tests.servers.fixtures import FOLDER, skip_or_fail
from tests.servers.processes import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Sequence

pytestmark = pytest.mark.usefixtures("home")

APP = (None, None)
# Prints Sputnik's public functions, the attributes of its packages, and its exceptions.
NAMES = """
import importlib, pkgutil, sputnik
functions = [name for name, value in vars(sputnik).items() if getattr(value, "__module__", "") == "sputnik"]
print(*functions, "Archive", "Package", "DirPackage", "PackageStub")
for module in ("archive_writer", "cache", "index", "package", "package_list", "pool", "recipe", "uget", "util"):
    found = importlib.import_module("sputnik." + module)
    kinds = [kind for kind in vars(found).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    print(*(kind.__name__ for kind in kinds if kind.__module__.startswith("sputnik")))
"""
KEPT = Path(__file__).with_name("archives")

SIGNATURES = """
import inspect, json, sputnik
functions = {name: value for name, value in vars(sputnik).items() if getattr(value, "__module__", "") == "sputnik"}
print(json.dumps({name: list(inspect.signature(value).parameters) for name, value in functions.items()}))
"""


@pytest.fixture(autouse=True)
def silence(capfd: pytest.CaptureFixture[str]) -> object:
    """A library call prints nothing."""
    yield None
    printed = capfd.readouterr()
    assert (printed.out, printed.err) == ("", "")


@pytest.fixture
def sample(tmp_path: Path) -> Path:
    """The directory of a package, as in Sputnik's own tests."""
    return write("test", tmp_path / "sample")


@pytest.fixture
def data(tmp_path: Path) -> str:
    return str(tmp_path / "packages")


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Versions 1.0.0, 9.0.0 and 10.0.0 of a package in an orbitpkg repository."""
    folder = tmp_path_factory.mktemp("published")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORBITPKG_HOME", str(folder / "home"))
        for version in ("1.0.0", "9.0.0", "10.0.0"):
            archive = old_archive(folder / f"test-{version}.sputnik", version=version, license="MIT")
            sputnik.upload(*APP, archive, repository_url=folder / "repository")
    return folder / "repository"


@pytest.fixture
def repository(tmp_path: Path, published: Path) -> str:
    """A copy of that repository; returns its address."""
    shutil.copytree(published, tmp_path / "repository")
    return (tmp_path / "repository").as_uri()


def idents(packages: Sequence[sputnik.PackageStub]) -> list[str]:
    return [package.ident for package in packages]


class TestBuilding:
    def test_an_archive_is_named_by_name_and_version_and_has_the_same_metadata(self, sample: Path) -> None:
        built = sputnik.build(str(sample))
        assert built.path == f"{sample}/test-1.0.0.sputnik"
        opened = sputnik.Archive(built.path)
        for key in ("name", "version", "description", "license", "compatibility"):
            assert getattr(opened, key) == getattr(built, key) == PACKAGES["test"]["package"][key]
        assert opened == built
        assert opened.manifest == built.manifest
        assert {tuple(row["path"]) for row in opened.manifest} == {
            ("data", "xyz.model"),
            ("data", "xyz.json"),
            ("data", "empty"),
        }

    def test_the_working_directory_is_the_default_package(self, sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(sample)
        assert Path(sputnik.build().path).resolve() == sample / "test-1.0.0.sputnik"

    def test_the_archive_path_may_be_a_file_or_a_folder(self, sample: Path, tmp_path: Path) -> None:
        assert sputnik.build(str(sample), str(tmp_path)).path == f"{tmp_path}/test-1.0.0.sputnik"
        assert sputnik.build(str(sample), str(tmp_path / "x.sputnik")).path == f"{tmp_path}/x.sputnik"

    def test_an_archive_contains_the_same_files_as_one_of_sputnik(self, tmp_path: Path) -> None:
        for name, old in (("my_model", "my_model-1.0"), ("orbital_test_model", "orbital_test_model-2.0.0")):
            built = sputnik.build(write(name, tmp_path / name))
            kept = sputnik.Archive(KEPT / f"{old}.sputnik")
            assert sorted(row["path"] for row in built.manifest) == sorted(row["path"] for row in kept.manifest)
            assert built.to_dict() == kept.to_dict()

    def test_a_second_build_does_not_include_the_archive(self, sample: Path) -> None:
        document = json.loads((sample / "package.json").read_text())
        (sample / "package.json").write_text(json.dumps({**document, "include": [["*"], ["data", "*"]]}))
        first = sputnik.build(sample).manifest
        assert sputnik.build(sample).manifest == first

    @pytest.mark.parametrize(
        ("change", "kind"),
        [
            ({"name": None}, sputnik.ValidationException),
            ({"version": None}, sputnik.ValidationException),
            ({"include": None}, sputnik.ValidationException),
            ({"include": 1}, sputnik.ValidationException),
            ({"name": "../x"}, sputnik.ValidationException),
            ({"version": "abc"}, sputnik.ValidationException),
            ({"compatibility": {"app": "newest"}}, sputnik.ValidationException),
            ({"include": [["nothing", "*"]]}, sputnik.EmptyArchiveException),
            ({"include": []}, sputnik.EmptyArchiveException),
            ({"include": [["..", "*"]]}, sputnik.InvalidPathException),
            ({"include": [["/etc/passwd"]]}, sputnik.InvalidPathException),
        ],
    )
    def test_an_invalid_package_json_is_refused(
        self, sample: Path, change: dict[str, object], kind: type[Exception]
    ) -> None:
        document = json.loads((sample / "package.json").read_text())
        (sample / "package.json").write_text(json.dumps({**document, **change}))
        with pytest.raises(kind):
            sputnik.build(sample)
        assert sorted(path.name for path in sample.iterdir()) == ["data", "package.json"]

    def test_a_link_that_points_outside_the_directory_is_refused(self, sample: Path) -> None:
        (sample / "data" / "link").symlink_to("/etc/passwd")
        with pytest.raises(sputnik.InvalidPathException, match="link to a file outside"):
            sputnik.build(sample)

    def test_unknown_keys_are_ignored_and_logged(self, sample: Path, caplog: pytest.LogCaptureFixture) -> None:
        document = json.loads((sample / "package.json").read_text())
        (sample / "package.json").write_text(json.dumps({**document, "author": "x", "keywords": ["y"]}))
        sputnik.build(sample)
        assert "ignored unknown keys: author" in caplog.text


class TestConstraints:
    @pytest.mark.parametrize(
        ("constraint", "version"),
        [
            (">=1.0.0", "1.0.0"),
            (" >=1.0.0", "1.0.0"),
            ("==1.0.0", "1.0.0"),
            ("<=1.0.0", "1.0.0"),
            (">1.0.0", "1.1.0"),
            (" <1.0.0", "0.1.0"),
            ("==1.0.0, >=1.0.0 ,<=1.0.0", "1.0.0"),
            (",>=1.0.0,,<2.0.0 ,", "1.5.0"),
            (",, ,", "1.0.0"),
            ("", "1.0.0"),
            (">=1.0", "1.0.0"),
            ("== 1", "1.0.0"),
            (">9.0.0", "10.0.0"),
        ],
    )
    def test_matching_versions(self, constraint: str, version: str) -> None:
        assert sputnik.constraint_match(constraint, version)

    @pytest.mark.parametrize(
        ("constraint", "version"),
        [
            (">=1.0.0 , <=1.0.0", "0.1.0"),
            (">1.0.0 , <=1.0.0,,", "0.1.0"),
            ("<1.0.0 ,, <=1.0.0", "1.1.0"),
            ("==1.0", "1.0.1"),
            ("<10.0.0", "10.0.0"),
        ],
    )
    def test_versions_that_do_not_match(self, constraint: str, version: str) -> None:
        assert not sputnik.constraint_match(constraint, version)

    @pytest.mark.parametrize("constraint", ["1.0.0", ">>1.0.0", ">=", "latest", ">=abc", "~=1.0"])
    def test_an_invalid_package_string_is_reported(self, constraint: str) -> None:
        with pytest.raises(sputnik.InvalidConstraintException):
            sputnik.constraint_match(constraint, "1.0.0")
        with pytest.raises(sputnik.InvalidConstraintException):
            sputnik.find(*APP, f"test {constraint}")

    def test_every_function_parses_package_strings(self, sample: Path, data: str) -> None:
        package = sputnik.install(*APP, sputnik.build(sample).path, data_path=data)
        for text in ("test ==1.0.0, >=1.0.0 ,<=1.0.0", "test", " test>=1.0", "test,,", "", None, " >=1.0.0"):
            assert idents(sputnik.find(*APP, text, data_path=data)) == [package.ident]
        for text in ("test>1.0.0,<1.0.0", "other", ">1.0.0"):
            assert sputnik.find(*APP, text, data_path=data) == []


class TestInstalling:
    def test_build_install_find_remove(self, sample: Path, data: str) -> None:
        archive = sputnik.build(sample)
        assert sputnik.find(*APP, data_path=data) == []
        package = sputnik.install(*APP, archive.path, data_path=data)
        assert isinstance(package.path, str)
        assert Path(package.path).is_dir()
        assert Path(package.path).is_relative_to(data)
        (found,) = sputnik.find(*APP, data_path=data)
        assert (found.ident, found.to_dict()) == (archive.ident, archive.to_dict())
        sputnik.remove(*APP, package.name, data_path=data)
        assert not Path(package.path).is_dir()
        assert sputnik.find(*APP, data_path=data) == []

    def test_the_highest_version_wins_by_numbers(self, repository: str, data: str) -> None:
        assert sputnik.install(*APP, "test", data, repository).version == "10.0.0"
        assert sputnik.install(*APP, "test <10.0.0", data, repository).version == "9.0.0"
        assert sputnik.package(*APP, "test", data).version == "10.0.0"

    def test_an_unknown_name_and_an_unknown_version_are_different_errors(self, repository: str, data: str) -> None:
        with pytest.raises(sputnik.PackageNotFoundException):
            sputnik.install(*APP, "unknown", data, repository)
        available = r"Available versions: 1\.0\.0, 9\.0\.0, 10\.0\.0"
        with pytest.raises(sputnik.CompatiblePackageNotFoundException, match=available):
            sputnik.install(*APP, "test >10.0.0", data, repository)
        sputnik.install(*APP, "test ==1.0.0", data, repository)
        with pytest.raises(sputnik.PackageNotFoundException, match="unknown is not installed"):
            sputnik.package(*APP, "unknown", data)
        installed = r"matches 'test >=1.0.1'\. Installed: 1\.0\.0"
        with pytest.raises(sputnik.CompatiblePackageNotFoundException, match=installed):
            sputnik.package(*APP, "test >=1.0.1", data)

    def test_packages_installed_by_sputnik_are_reported_and_left_alone(self, data: str) -> None:
        there = Path(data, "test-1.0.0", "meta.json")
        there.parent.mkdir(parents=True)
        there.write_text("{}")
        with pytest.raises(sputnik.PackageNotFoundException, match="Packages that Sputnik itself installed there"):
            sputnik.package(*APP, "test", data)
        sputnik.install(*APP, str(KEPT / "test-1.0.0.sputnik"), data)
        sputnik.purge(*APP, data_path=data)
        assert there.read_text() == "{}"

    def test_only_the_data_path_must_be_writable(
        self, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "a file").touch()
        monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "a file"))
        assert sputnik.install(*APP, str(KEPT / "test-1.0.0.sputnik"), data).version == "1.0.0"

    def test_versions_coexist_and_an_upgrade_removes_nothing(self, repository: str, data: str) -> None:
        old = sputnik.install(*APP, "test ==1.0.0", data, repository)
        new = sputnik.install(*APP, "test ==10.0.0", data, repository)
        assert idents(sputnik.find(*APP, data_path=data)) == ["test-1.0.0", "test-10.0.0"]
        assert Path(old.file_path("data", "model")).read_bytes() == FILES["data/model"]
        assert old < new

    def test_a_failed_upgrade_keeps_the_old_version(self, repository: str, data: str, tmp_path: Path) -> None:
        sputnik.install(*APP, "test ==1.0.0", data, repository)
        for archive in (tmp_path / "repository" / "archives").rglob("*10.0.0*"):
            archive.write_bytes(b"x" * archive.stat().st_size)
        with pytest.raises(sputnik.InvalidChecksumException):
            sputnik.install(*APP, "test ==10.0.0", data, repository)
        assert idents(sputnik.find(*APP, data_path=data)) == ["test-1.0.0"]

    def test_installed_packages_need_no_network(
        self, repository: str, data: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sputnik.install(*APP, "test", data, repository)
        monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
        for url in ("https://127.0.0.1:1", "s3://there-is-no-such-bucket"):
            assert sputnik.install(*APP, "test >=9.0.0", data, url).version == "10.0.0"
        assert sputnik.package(*APP, "test", data).version == "10.0.0"

    def test_installing_an_archive_again_returns_the_installed_package(self, data: str) -> None:
        first = sputnik.install(*APP, str(KEPT / "test-1.0.0.sputnik"), data)
        assert sputnik.install(*APP, str(KEPT / "test-1.0.0.sputnik"), data).path == first.path

    def test_a_file_with_the_name_of_the_package_is_ignored(self, repository: str, data: str, tmp_path: Path) -> None:
        old_archive(tmp_path / "test", {"evil": b""}, version="99.0.0")
        old_archive(tmp_path / "test ==1.0.0", {"evil": b""}, version="98.0.0")
        assert sputnik.install(*APP, "test", data, repository).version == "10.0.0"
        assert sputnik.install(*APP, "test ==1.0.0", data, repository).version == "1.0.0"
        assert set(sputnik.files(*APP, "test", data)) == set(FILES)

    def test_archives_are_given_by_path(self, data: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        old_archive(tmp_path / "test-1.0.0.sputnik")
        old_archive(tmp_path / "another", version="2.0.0")
        assert sputnik.install(*APP, "test-1.0.0.sputnik", data).version == "1.0.0"
        assert sputnik.install(*APP, "./another", data).version == "2.0.0"
        monkeypatch.setenv("HOME", str(tmp_path))
        assert sputnik.install(*APP, "~/test-1.0.0.sputnik", data).version == "1.0.0"
        with pytest.raises(sputnik.PackageNotFoundException, match=r"The archive nothing/here does not exist"):
            sputnik.install(*APP, "nothing/here", data)

    def test_a_damaged_archive_installs_nothing(self, data: str, tmp_path: Path) -> None:
        meta, body = old_package()
        store = open_store((tmp_path / "old").as_uri())
        put_package(store, meta, body[:-1] + b"x")
        with pytest.raises(sputnik.InvalidChecksumException):
            sputnik.install(*APP, "test", data, f"sputnik+{store.url}")
        assert sputnik.find(*APP, data_path=data) == []

    def test_the_default_store_is_that_of_orbitpkg(self, sample: Path) -> None:
        package = sputnik.install(*APP, sputnik.build(sample).path)
        assert str(orbitpkg.package("test").path) == package.path
        with pytest.raises(sputnik.InvalidDataPathException):
            sputnik.install(*APP, "test", "")

    def test_a_package_can_be_opened_by_its_path(self, sample: Path, data: str) -> None:
        package = sputnik.install(*APP, sputnik.build(sample).path, data)
        assert sputnik.Package(path=package.path) == package
        for path in (data, str(sample), f"{package.path}/data", "/"):
            with pytest.raises(sputnik.PackageNotFoundException):
                sputnik.Package(path=path)


class TestCompatibility:
    @pytest.fixture
    def url(self, tmp_path: Path) -> str:
        """Versions for apps before 2, from 2 on, and for all of them."""
        store = open_store((tmp_path / "old").as_uri())
        for version, specifier in (("1.0.0", None), ("2.0.0", "<2"), ("3.0.0", ">=2")):
            put_package(store, *old_package(version=version, compatibility={"my_library": specifier}))
        return f"sputnik+{store.url}"

    def test_the_newest_version_compatible_with_the_app_is_installed(self, url: str, data: str) -> None:
        assert sputnik.install("my_library", "1.5.0", "test", data, url).version == "2.0.0"
        assert sputnik.install("my_library", "2.1", "test", data, url).version == "3.0.0"
        assert sputnik.package("my_library", "1.5.0", "test", data).version == "2.0.0"
        assert sputnik.package("my_library", "2.1", "test", data).version == "3.0.0"
        assert sputnik.package(None, None, "test", data).version == "3.0.0"

    def test_an_incompatible_package_is_refused_with_the_reason(self, url: str, data: str, tmp_path: Path) -> None:
        reason = r"does not work with my.library 1\.5\.0 \(works with my_library>=2\)"
        with pytest.raises(sputnik.CompatiblePackageNotFoundException, match=reason):
            sputnik.install("my_library", "1.5.0", "test >=3.0.0", data, url)
        archive = old_archive(tmp_path / "a.sputnik", compatibility={"my_library": ">=2"})
        with pytest.raises(sputnik.CompatiblePackageNotFoundException, match=reason):
            sputnik.install("my_library", "1.5.0", str(archive), data)
        sputnik.install("my_library", "2.0.0", "test ==3.0.0", data, url)
        with pytest.raises(sputnik.CompatiblePackageNotFoundException, match=reason):
            sputnik.package("my_library", "1.5.0", "test", data)

    def test_an_exact_version_is_installed_but_not_returned_to_an_incompatible_app(
        self, url: str, data: str, caplog: pytest.LogCaptureFixture
    ) -> None:
        """This prepares a machine for the app's next version, as in PyOrbital's README."""
        for _ in range(2):
            assert sputnik.install("my_library", "1.5.0", "test ==3.0.0", data, url).version == "3.0.0"
            assert "does not work with my_library 1.5.0 (works with my_library>=2)" in caplog.text
            caplog.clear()
        with pytest.raises(sputnik.CompatiblePackageNotFoundException):
            sputnik.package("my_library", "1.5.0", "test ==3.0.0", data)
        assert sputnik.package("my_library", "2.0.0", "test ==3.0.0", data).version == "3.0.0"
        assert caplog.text == ""

    def test_search_lists_compatible_packages(self, url: str, data: str) -> None:
        found = sputnik.search("my_library", "1.5.0", None, data, url)
        assert idents(found) == ["test-1.0.0", "test-2.0.0"]
        assert found[1].compatibility == {"my_library": "<2"}
        assert idents(sputnik.search(None, None, "test >1.0.0", data, url)) == ["test-2.0.0", "test-3.0.0"]

    def test_only_the_given_app_is_checked(self, data: str, tmp_path: Path) -> None:
        archive = str(old_archive(tmp_path / "a.sputnik", compatibility={"pytest": "<1", "my_library": None}))
        assert sputnik.install(None, None, archive, data).version == "1.0.0"
        assert sputnik.package("my_library", "1.0", "test", data).version == "1.0.0"
        with pytest.raises(sputnik.CompatiblePackageNotFoundException):
            sputnik.package("pytest", None, "test", data)

    @pytest.mark.parametrize("name", ["", "../x", "a b"])
    def test_an_invalid_app_name_is_refused(self, name: str) -> None:
        with pytest.raises(sputnik.InvalidAppNameException):
            sputnik.package(name, "1.0.0", "test")

    def test_an_invalid_app_version_is_refused(self) -> None:
        with pytest.raises(sputnik.InvalidAppVersionException, match="Invalid version of my_library: 'newest'"):
            sputnik.package("my_library", "newest", "test")


class TestFiles:
    @pytest.fixture
    def package(self, data: str) -> sputnik.Package:
        return sputnik.install(*APP, str(KEPT / "test-1.0.0.sputnik"), data)

    def test_paths_are_strings_of_existing_files(self, package: sputnik.Package) -> None:
        path = package.file_path("data", "xyz.model")
        assert type(path) is str
        assert path == f"{package.path}/data/xyz.model"
        assert package.dir_path("data") == f"{package.path}/data"
        assert package.dir_path() == package.path

    def test_a_directory_is_not_a_file(self, package: sputnik.Package) -> None:
        assert package.has_file("data", "xyz.json")
        assert not package.has_file("data")
        assert not package.has_file("data", "model")
        assert package.has_path("data")
        assert package.has_path("data", "xyz.json")
        assert not package.has_path("data", "model")
        for parts in (("data",), ("data", "model")):
            with pytest.raises(sputnik.NotIncludedException):
                package.file_path(*parts)
        with pytest.raises(sputnik.NotIncludedException):
            package.dir_path("nothing")

    @pytest.mark.parametrize("part", ["data/xyz.json", "data\\xyz.json", "..", ".", "", "/etc/passwd", "a\0b"])
    def test_a_component_with_a_slash_is_refused(self, package: sputnik.Package, part: str, sample: Path) -> None:
        for opened in (package, sputnik.DirPackage(sample)):
            with pytest.raises(sputnik.InvalidPathPartsException):
                opened.file_path(part)
            with pytest.raises(sputnik.InvalidPathPartsException):
                opened.dir_path("data", part)
            assert not opened.has_file(part)

    def test_opening_a_file(self, package: sputnik.Package) -> None:
        with package.open(["data", "xyz.json"]) as file:
            assert json.load(file) == {"test": True}
        assert file.closed
        for encoding in (None, "utf8"):
            with package.open(("data", "xyz.json"), mode="rb", encoding=encoding) as file:
                assert file.read() == b'{"test": true}'
        assert package.load_json(["data", "xyz.json"]) == {"test": True}
        assert Path(package.file_path("data", "xyz.json")).read_text(encoding="utf8") == '{"test": true}'

    def test_a_missing_file_yields_or_raises_the_default(self, package: sputnik.Package, sample: Path) -> None:
        for opened in (package, sputnik.DirPackage(str(sample))):
            for default in (0, None, "", b"x"):
                with opened.open(["data", "foo"], default=default) as given:
                    assert given is default
                assert opened.load_json(["data", "foo"], default=default) is default
            for kind in (Exception, KeyError, OSError, errors.NotInstalled):
                with pytest.raises(kind), opened.open(["data", "foo"], default=kind):
                    pass
                with pytest.raises(kind):
                    opened.load_json(["data", "foo"], default=kind)
            with pytest.raises(OSError, match="data/foo"), opened.open(["data", "foo"]):
                pass
            with pytest.raises(ValueError, match="mine"):
                opened.load_json(["data", "foo"], default=ValueError("mine"))

    def test_files_are_not_opened_for_writing(self, package: sputnik.Package) -> None:
        with pytest.raises(ValueError, match="are read-only"), package.open(["data", "xyz.json"], mode="w"):
            pass

    def test_files_are_listed_of_packages_and_archives(self, package: sputnik.Package, data: str) -> None:
        installed = sputnik.files(None, None, "test", data_path=data)
        archived = sputnik.files(None, None, str(KEPT / "test-1.0.0.sputnik"))
        assert installed.keys() == archived.keys() == {"data/xyz.model", "data/xyz.json", "data/empty"}
        assert installed["data/xyz.model"]["size"] == archived["data/xyz.model"]["size"] == 1024
        assert archived["data/xyz.model"]["checksum"][0] == "md5"
        assert [row["path"] for row in package.manifest] == [
            ["data", "empty"],
            ["data", "xyz.json"],
            ["data", "xyz.model"],
        ]

    def test_a_directory_is_used_like_a_package(self, sample: Path) -> None:
        package = sputnik.DirPackage(str(sample))
        assert package.path == str(sample)
        assert package.has_file("data", "xyz.json")
        assert not package.has_file("data", "foo")
        assert package.file_path("data", "xyz.model") == f"{sample}/data/xyz.model"
        assert package.dir_path("data") == f"{sample}/data"
        with package.open(["data", "xyz.json"]) as file:
            assert json.load(file) == {"test": True}
        assert package.name == "test"
        assert sputnik.DirPackage(sample / "data").name is None


class TestDescriptions:
    def test_packages_are_ordered_by_version(self) -> None:
        versions = ["1.0.0-rc.1", "1.0.0", "9.0.0", "10.0.0"]
        packages = [sputnik.PackageStub({"name": "abc", "version": version}) for version in versions]
        for shuffled in permutations(packages):
            assert [package.version for package in sorted(shuffled)] == versions
        for (low, one), (high, other) in permutations(enumerate(packages), 2):
            assert (one < other, one <= other, one == other) == (low < high, low < high, False)
            assert (one > other, one >= other, one != other) == (low > high, low > high, True)
        assert packages[0] == sputnik.PackageStub({"name": "abc", "version": "1.0.0-rc.1"})

    def test_packages_with_different_names_cannot_be_compared(self) -> None:
        one, other = (sputnik.PackageStub({"name": name, "version": "1.0.0"}) for name in ("test", "abc"))
        for compare in ("__eq__", "__ne__", "__lt__", "__le__", "__gt__", "__ge__"):
            with pytest.raises(sputnik.NameMismatchException):
                getattr(one, compare)(other)
        assert one != "test"

    def test_metadata_is_returned_as_a_dictionary(self, data: str) -> None:
        package = sputnik.install(*APP, str(KEPT / "test-1.0.0.sputnik"), data)
        assert package.to_dict() == {
            "name": "test",
            "version": "1.0.0",
            "description": "test package",
            "license": "public domain",
            "compatibility": {"test": None},
        }
        assert package.to_dict(["name", "version"]) == {"name": "test", "version": "1.0.0"}
        assert json.loads(package.to_json()) == package.to_dict()
        assert package.ident == "test-1.0.0"
        with pytest.raises(sputnik.ValidationException):
            _ = sputnik.PackageStub({"name": "x"}).ident

    def test_every_exception_has_a_common_base_and_is_an_orbitpkg_error(self) -> None:
        kinds = [getattr(sputnik, name) for name in sputnik.__all__]
        kinds = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Exception)]
        assert len(kinds) == 21
        assert all(issubclass(kind, sputnik.SputnikException) for kind in kinds)
        assert issubclass(sputnik.SputnikException, orbitpkg.OrbitError)

    def test_the_names_are_those_of_the_real_sputnik(self, pytestconfig: pytest.Config) -> None:
        try:
            python = sputnik_python(pytestconfig.stash[FOLDER])
        except ServerMissing as missing:
            skip_or_fail(missing)
        done = subprocess.run([python, "-c", NAMES], check=True, capture_output=True, text=True)
        names = set(done.stdout.split())
        assert {"install", "Archive", "PackageNotFoundException", "MissingChecksumHeader"} < names
        assert names - set(dir(sputnik)) == set()

    def test_the_functions_have_the_signatures_of_the_real_ones(self, pytestconfig: pytest.Config) -> None:
        try:
            python = sputnik_python(pytestconfig.stash[FOLDER])
        except ServerMissing as missing:
            skip_or_fail(missing)
        done = subprocess.run([python, "-c", SIGNATURES], check=True, capture_output=True, text=True)
        theirs = json.loads(done.stdout)
        assert len(theirs) == 10
        for name, parameters in theirs.items():
            assert list(inspect.signature(getattr(sputnik, name)).parameters) == parameters, name


class TestRemoving:
    @pytest.mark.parametrize("text", ["Typo", "typo", "TEST_", "", " ", ">=1.0.0", None])
    def test_a_package_string_without_a_match_removes_nothing(self, text: str, data: str) -> None:
        sputnik.install(*APP, str(KEPT / "test-1.0.0.sputnik"), data)
        with pytest.raises(sputnik.SputnikException):
            sputnik.remove(*APP, text, data_path=data)
        assert idents(sputnik.find(*APP, data_path=data)) == ["test-1.0.0"]

    def test_only_matching_versions_are_removed(self, repository: str, data: str) -> None:
        for version in ("1.0.0", "9.0.0", "10.0.0"):
            sputnik.install(*APP, f"test =={version}", data, repository)
        with pytest.raises(sputnik.CompatiblePackageNotFoundException):
            sputnik.remove(*APP, "test >10.0.0", data)
        sputnik.remove(*APP, "test <10", data)
        assert idents(sputnik.find(*APP, data_path=data)) == ["test-10.0.0"]

    def test_purging(self, repository: str, data: str) -> None:
        sputnik.purge("test", "1.0.0", data_path=data)
        sputnik.install(*APP, "test", data, repository)
        sputnik.update(*APP, data, repository)
        sputnik.purge(*APP, cache=True, data_path=data)
        assert sputnik.find(*APP, cache=True, data_path=data) == []
        assert idents(sputnik.find(*APP, data_path=data)) == ["test-10.0.0"]
        sputnik.update(*APP, data, repository)
        sputnik.purge(*APP, pool=True, data_path=data)
        assert sputnik.find(*APP, data_path=data) == []
        assert len(sputnik.find(*APP, cache=True, data_path=data)) == 3
        sputnik.purge(*APP, data_path=data)
        assert sputnik.find(*APP, cache=True, data_path=data) == []

    def test_purging_the_shared_store_requires_its_path(self, home: Path) -> None:
        sputnik.install(*APP, str(KEPT / "test-1.0.0.sputnik"))
        for pool in (False, True):
            with pytest.raises(sputnik.InvalidDataPathException, match="all packages in"):
                sputnik.purge("my_library", "1.0.0", pool=pool)
        assert len(orbitpkg.packages()) == 1
        sputnik.purge("my_library", "1.0.0", cache=True)
        sputnik.purge("my_library", "1.0.0", data_path=str(home))
        assert orbitpkg.packages() == []


class TestRepositories:
    def test_search_results_are_saved(self, repository: str, data: str) -> None:
        assert sputnik.find(*APP, cache=True, data_path=data) == []
        found = sputnik.search(*APP, data_path=data, repository_url=repository)
        assert idents(found) == ["test-1.0.0", "test-9.0.0", "test-10.0.0"]
        assert idents(sputnik.find(*APP, "test >1.0.0", cache=True, data_path=data)) == ["test-9.0.0", "test-10.0.0"]
        assert idents(sputnik.search(*APP, "test ==9.0.0", data, repository)) == ["test-9.0.0"]
        assert sputnik.search(*APP, "unknown", data, repository) == []

    def test_the_address_of_an_old_server_needs_no_prefix(self, tmp_path: Path, data: str) -> None:
        old_bucket(open_store((tmp_path / "old").as_uri()))
        for url in (f"sputnik+{(tmp_path / 'old').as_uri()}", (tmp_path / "old").as_uri(), str(tmp_path / "old")):
            assert idents(sputnik.search(*APP, "test", data, url)) == ["test-1.0.0", "test-9.0.0", "test-10.0.0"]
        assert sputnik.install(*APP, "other", data, str(tmp_path / "old")).version == "1.0.0"

    def test_the_default_repository_comes_from_the_settings(
        self, repository: str, data: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORBITPKG_REPOSITORY", repository)
        assert sputnik.install(*APP, "test", data).version == "10.0.0"

    def test_uploading_again_succeeds_unless_the_content_differs(self, repository: str, tmp_path: Path) -> None:
        archive = old_archive(tmp_path / "a.sputnik", version="9.0.0", license="MIT")
        assert sputnik.upload(*APP, str(archive), repository_url=repository) is True
        other = old_archive(tmp_path / "b.sputnik", {"x": b"y"}, version="9.0.0")
        with pytest.raises(errors.ReleaseExists):
            sputnik.upload(*APP, str(other), repository_url=repository)


def test_importing_it_loads_no_more_modules_than_orbitpkg_itself() -> None:
    program = "import sys, orbitpkg; before = set(sys.modules); import orbitpkg.compat.sputnik; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"boto3", "botocore", "click", "jsonschema", "obstore", "semantic_version", "tqdm"} == set()
