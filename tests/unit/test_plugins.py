"""Stores and archive formats of other distributions, found through entry points or registered by a program."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api.publish import publish
from orbitpkg.archive import registry as archives
from orbitpkg.archive.reader import LocalArchive
from orbitpkg.archive.registry import ArchiveFormat, register_format, unregister_format
from orbitpkg.errors import OfflineError, PluginError, UsageError
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import split_uri
from orbitpkg.objects.memory import MemoryStore
from orbitpkg.objects.offline import OfflineStore
from orbitpkg.objects.registry import (
    GROUP,
    OpenRequest,
    StoreScheme,
    register_scheme,
    unregister_scheme,
)
from orbitpkg.objects.schemes import check_address, needs_network
from orbitpkg.plugins import load_plugin
from tests.packages import archive_of, make_package, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PLUGIN = '''
"""A store and an archive format, as another distribution would provide them."""

import os
import zipfile
from pathlib import Path

from orbitpkg.archive.reader import LocalArchive
from orbitpkg.archive.registry import ArchiveFormat
from orbitpkg.archive.tree import read_tree
from orbitpkg.archive.writer import write_archive
from orbitpkg.objects.directory import DirectoryStore
from orbitpkg.objects.registry import StoreScheme


class VaultStore(DirectoryStore):
    def __init__(self, url, root):
        super().__init__(root)
        self.url = url


def open_vault(request):
    name = request.url.removeprefix("vault://")
    return VaultStore(request.url, Path(request.env["VAULT_ROOT"], name))


def open_zip(path, scratch):
    with zipfile.ZipFile(path) as archive:
        archive.extractall(scratch / "unzipped")
    write_archive(read_tree(scratch / "unzipped"), scratch / "converted.tar.zst")
    return LocalArchive.open(scratch / "converted.tar.zst")


VAULT = StoreScheme(open=open_vault, needs_network=False)
ZIP = ArchiveFormat(recognizes=zipfile.is_zipfile, open=open_zip)
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A folder with an installed distribution that provides the scheme ``vault`` and the archive format ``zip``."""
    folder = tmp_path / "site"
    info = folder / "acme_vault-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "acme_vault.py").write_text(PLUGIN)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-vault\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        f"[{GROUP}]\nvault = acme_vault:VAULT\nbroken = acme_vault:MISSING\n[{archives.GROUP}]\nzip = acme_vault:ZIP\n"
    )
    return folder


def run(site: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """Run orbitpkg in a process that finds the plug-in."""
    env = {
        **os.environ,
        "PYTHONPATH": str(site),
        "ORBITPKG_HOME": str(site.parent / "home"),
        "VAULT_ROOT": str(site.parent / "vaults"),
    }
    command = [sys.executable, "-m", "orbitpkg", *map(str, words)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=False)


def installed(site: Path, *words: str | Path) -> Path:
    done = run(site, "install", *words, "--json")
    assert done.returncode == 0, done.stderr
    path: str = json.loads(done.stdout)["data"]["packages"][0]["path"]
    return site.parent / path


class TestInstalledPlugins:
    def test_a_package_is_published_to_and_installed_from_a_plugin_store(self, site: Path, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "package")
        published = run(site, "publish", folder, "--repository", "vault://models")
        assert published.returncode == 0, published.stderr
        assert (tmp_path / "vaults" / "models" / "orbitpkg.json").exists()
        path = installed(site, "model", "--repository", "vault://models", "--offline")
        assert tree_of(path) == tree_of(folder)

    def test_a_file_is_copied_from_a_plugin_store_by_its_address(self, site: Path, tmp_path: Path) -> None:
        (tmp_path / "vaults" / "data").mkdir(parents=True)
        (tmp_path / "vaults" / "data" / "notes.txt").write_text("kept")
        done = run(site, "remote", "cp", "vault://data/notes.txt", tmp_path / "copy.txt")
        assert done.returncode == 0, done.stderr
        assert (tmp_path / "copy.txt").read_text() == "kept"

    def test_a_package_is_installed_from_an_archive_of_a_plugin_format(self, site: Path, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "package")
        with zipfile.ZipFile(tmp_path / "model.zip", "w") as archive:
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    archive.write(path, path.relative_to(folder).as_posix())
        assert tree_of(installed(site, tmp_path / "model.zip")) == tree_of(folder)

    def test_a_plugin_that_cannot_be_loaded_is_named(self, site: Path) -> None:
        done = run(site, "versions", "model", "--repository", "broken://models")
        assert done.returncode != 0
        assert "The plug-in acme_vault:MISSING for 'broken' cannot be imported:" in done.stderr
        assert "has no attribute 'MISSING'" in done.stderr


@pytest.fixture
def demo() -> Iterator[list[OpenRequest]]:
    """The requests to open stores of the scheme ``demo``, which this process registers."""
    requests: list[OpenRequest] = []

    def open_demo(request: OpenRequest) -> MemoryStore:
        requests.append(request)
        return MemoryStore(request.url.removeprefix("demo://"))

    register_scheme("demo", StoreScheme(open=open_demo))
    register_scheme("wrapped+", StoreScheme(open=open_demo))
    yield requests
    unregister_scheme("demo")
    unregister_scheme("wrapped+")


class TestRegisteredSchemes:
    def test_an_opener_gets_everything_it_needs(self, demo: list[OpenRequest], tmp_path: Path) -> None:
        open_store("demo://name", env={"KEY": "value"}, cache=tmp_path)
        assert (demo[0].url, demo[0].env, demo[0].cache) == ("demo://name", {"KEY": "value"}, tmp_path / "demo")
        open_store("wrapped+s3://name", cache=tmp_path)
        assert demo[1].cache == tmp_path / "wrapped"

    def test_offline_a_scheme_that_needs_a_network_is_not_opened(self, demo: list[OpenRequest]) -> None:
        store = open_store("demo://name", offline=True)
        assert isinstance(store, OfflineStore)
        assert demo == []
        with pytest.raises(OfflineError):
            store.get("key")

    def test_a_program_publishes_and_installs_through_its_scheme(
        self, demo: list[OpenRequest], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
        folder = make_package(tmp_path / "package")
        publish(folder, "demo://published")
        assert tree_of(orbitpkg.install("model", repository="demo://published").path) == tree_of(folder)
        assert demo
        MemoryStore.forget("published")

    def test_the_transport_decides_whether_a_network_is_needed(self, demo: list[OpenRequest]) -> None:
        assert demo == []
        urls = ["wrapped+file:///srv", "wrapped+https://host", "file:///srv", "memory://x", "s3://bucket", "demo://x"]
        assert [needs_network(url) for url in urls] == [False, True, False, False, True, True]

    def test_addresses_of_objects_are_split_for_every_known_scheme(self, demo: list[OpenRequest]) -> None:
        assert demo == []
        assert split_uri("demo://name/a/key") == ("demo://name", "a/key")
        with pytest.raises(UsageError, match="is not a valid object address"):
            split_uri("unknown://name/a/key")

    def test_addresses_are_checked_without_opening_a_store(self, demo: list[OpenRequest]) -> None:
        check_address("demo://name")
        check_address("wrapped+s3://bucket/prefix")
        for url in ("wrapped+s3://b!cket", "wrapped+ftp://host", "unknown://name"):
            with pytest.raises(UsageError):
                check_address(url)
        assert demo == []

    @pytest.mark.parametrize("name", ["", "Demo", "demo://", "1demo", "+demo"])
    def test_a_name_that_is_not_a_scheme_is_refused(self, name: str) -> None:
        with pytest.raises(ValueError, match="not a valid URL scheme"):
            register_scheme(name, StoreScheme(open=lambda _: MemoryStore()))

    def test_builtin_schemes_are_opened_without_looking_for_plugins(self, tmp_path: Path) -> None:
        opening = f"import sys, orbitpkg.objects as o; o.open_store({tmp_path.as_uri()!r})"
        code = f"{opening}; print('importlib.metadata' in sys.modules)"
        run = subprocess.run(
            [sys.executable, "-S", "-c", code],
            env={"PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout == "False\n"


class TestRegisteredFormats:
    def test_a_format_opens_what_it_recognizes(self, tmp_path: Path) -> None:
        own = archive_of(make_package(tmp_path / "package"), tmp_path / "own.tar.zst")
        other = tmp_path / "other.boxed"
        other.write_bytes(b"BOX" + own.read_bytes())

        def unbox(path: Path, scratch: Path) -> LocalArchive:
            target = scratch / "unboxed.tar.zst"
            target.write_bytes(path.read_bytes().removeprefix(b"BOX"))
            return LocalArchive.open(target)

        form = ArchiveFormat(recognizes=lambda path: path.read_bytes().startswith(b"BOX"), open=unbox)
        register_format("boxed", form)
        try:
            assert archives.has_suffix("other.boxed")
            assert archives.find_format(other) is form
            assert archives.find_format(own) is None
            with form.open(other, tmp_path) as archive:
                assert archive.contents.files
        finally:
            unregister_format("boxed")
        assert not archives.has_suffix("other.boxed")
        assert archives.find_format(other) is None

    def test_a_requirement_has_no_suffix(self) -> None:
        assert not any(map(archives.has_suffix, ["model", "model==1.0", "model>=1.0,<2.0", "model==1.0rc1"]))

    def test_a_suffix_is_a_word(self) -> None:
        with pytest.raises(ValueError, match="not a valid suffix"):
            register_format(
                ".zip", ArchiveFormat(recognizes=lambda _: False, open=lambda path, _: LocalArchive.open(path))
            )


def test_a_plugin_of_the_wrong_kind_is_refused() -> None:
    from importlib.metadata import EntryPoint

    entry = EntryPoint(name="vault", value="json:dumps", group=GROUP)
    with pytest.raises(PluginError, match="is a function, not a StoreScheme"):
        load_plugin(entry, StoreScheme)
