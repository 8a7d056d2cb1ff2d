"""Archives built by Sputnik install the same files as with Sputnik itself."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api.install import install
from orbitpkg.api.packages import packages, verify
from orbitpkg.api.publish import publish
from orbitpkg.compat import sputnik
from tests.cli.machine import Machine
from tests.compat.make_archives import PACKAGES, write
from tests.compat.old_format import FILES, as_tar, old_archive, old_package
from tests.compat.real_sputnik import archives_of, sputnik_python
from tests.packages import tree_of
from tests.servers.fixtures import FOLDER, skip_or_fail
from tests.servers.processes import ServerMissing

if TYPE_CHECKING:
    from collections.abc import Mapping

pytestmark = pytest.mark.usefixtures("home")

KEPT = Path(__file__).with_name("archives")
IDENTS = {"my_model": "my_model-1.0", "orbital_test_model": "orbital_test_model-2.0.0", "test": "test-1.0.0"}
VERSIONS = {"my_model": "1.0.0", "orbital_test_model": "2.0.0", "test": "1.0.0"}


@pytest.fixture(scope="session")
def made(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Archives just built by the real Sputnik, and the files that it installs from them."""
    try:
        python = sputnik_python(pytestconfig.stash[FOLDER])
    except ServerMissing as missing:
        skip_or_fail(missing)
    return archives_of(python, tmp_path_factory.mktemp("sputnik"))


def contents(folder: Path, *, without: str) -> Mapping[str, bytes]:
    return {path: data for path, (data, _) in tree_of(folder).items() if path != without}


def included(name: str, folder: Path) -> Mapping[str, bytes]:
    """The files of a package of `make_archives.py` that Sputnik includes."""
    left_out = {"not included/x", "data/.hidden"}
    return {path: text.encode() for path, text in PACKAGES[name]["files"].items() if path not in left_out}


@pytest.mark.parametrize("name", sorted(IDENTS))
class TestRealArchives:
    def test_a_fresh_archive_installs_the_same_files_as_sputnik(self, name: str, made: Path) -> None:
        package = install(f"{made}/{IDENTS[name]}.sputnik")
        theirs = contents(made / "installed" / IDENTS[name], without="meta.json")
        assert contents(package.path, without="package.json") == theirs
        assert theirs == included(name, made)

    def test_a_stored_archive_installs_the_same_files_as_sputnik(self, name: str) -> None:
        package = install(f"{KEPT}/{IDENTS[name]}.sputnik")
        assert contents(package.path, without="package.json") == included(name, KEPT)
        assert [(each, found) for each, found in verify([name]) if found] == []

    def test_metadata_is_kept(self, name: str) -> None:
        package = install(f"{KEPT}/{IDENTS[name]}.sputnik")
        said = PACKAGES[name]["package"]
        assert (package.name, package.version) == (name, VERSIONS[name])
        assert package.description == said.get("description", "")
        assert package.license == said.get("license")
        assert package.compatibility == {app: text or "" for app, text in said.get("compatibility", {}).items()}
        kept = package.metadata["sputnik"]
        assert isinstance(kept, dict)
        assert (kept["ident"], kept["version"]) == (IDENTS[name], said["version"])

    def test_the_archives_of_these_tests_equal_those_of_sputnik(self, name: str, tmp_path: Path) -> None:
        said = {key: value for key, value in PACKAGES[name]["package"].items() if key != "include"}
        ours = old_archive(tmp_path / "ours.sputnik", included(name, KEPT), **said)
        package = install(ours)
        assert contents(package.path, without="package.json") == included(name, KEPT)


def test_installing_an_archive_again_changes_nothing(tmp_path: Path) -> None:
    first = install(f"{KEPT}/test-1.0.0.sputnik")
    assert install(f"{KEPT}/test-1.0.0.sputnik") == first
    assert [package.version for package in packages()] == ["1.0.0"]


def test_an_archive_converts_to_the_same_release_on_every_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = install(f"{KEPT}/test-1.0.0.sputnik")
    shutil.copy(KEPT / "test-1.0.0.sputnik", tmp_path / "renamed.sputnik")
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "another home"))
    there = install(tmp_path / "renamed.sputnik")
    assert there.digest == here.digest


def test_an_archive_can_be_published(tmp_path: Path) -> None:
    published = publish(f"{KEPT}/my_model-1.0.sputnik", str(tmp_path / "models"))
    assert str(published.release) == "my_model==1.0.0"
    assert orbitpkg.install("my_model", repository=tmp_path / "models").file_path("data", "model").stat().st_size


def test_temporary_files_are_removed(home: Path) -> None:
    install(f"{KEPT}/test-1.0.0.sputnik")
    assert list((home / "store" / "v1" / "tmp").iterdir()) == []


def test_the_order_of_the_members_does_not_matter(tmp_path: Path) -> None:
    meta, body = old_package()
    path = as_tar(tmp_path / "a.sputnik", [("meta.json", json.dumps(meta).encode()), ("archive.gz", body)])
    assert contents(install(path).path, without="package.json") == FILES


def test_the_manifest_replaces_a_package_json_among_the_files(tmp_path: Path) -> None:
    path = old_archive(tmp_path / "a.sputnik", {"package.json": b'{"name": "test"}', "data": b"x"}, license="MIT")
    package = install(path)
    assert package.files() == ("data", "package.json")
    document = package.load_json("package.json")
    assert isinstance(document, dict)
    assert document["license"] == "MIT"


def test_sputnik_reads_the_directory_of_a_test_package(tmp_path: Path) -> None:
    folder = write("test", tmp_path / "sample")
    assert sorted(path.name for path in (folder / "data").iterdir()) == ["empty", "xyz.json", "xyz.model"]


def test_the_store_created_for_an_archive_is_private(home: Path, tmp_path: Path) -> None:
    install(f"{KEPT}/test-1.0.0.sputnik")
    assert home.stat().st_mode & 0o777 == 0o700
    sputnik.install(None, None, f"{KEPT}/test-1.0.0.sputnik", data_path=tmp_path / "data")
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_the_command_line_installs_an_archive_by_its_path(tmp_path: Path) -> None:
    machine = Machine(tmp_path / "machine")
    machine.folder.mkdir()
    shutil.copy(KEPT / "test-1.0.0.sputnik", machine.folder)
    for word in ("./test-1.0.0.sputnik", "test-1.0.0.sputnik"):
        done = machine.run("install", word)
        assert done.code == 0
        assert "test 1.0.0" in done.out
    machine.succeed("verify", "test")
    (machine.folder / "bad.sputnik").write_bytes(b"x" * 1000)
    done = machine.run("install", "bad.sputnik")
    assert (done.code, done.out) == (1, "")
    assert "bad.sputnik" in done.err
