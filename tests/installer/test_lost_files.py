"""Installed releases of which a cleaner took files, or a crash damaged one: installs and syncs restore or name them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api.maintain import check
from orbitpkg.api.packages import verify
from orbitpkg.api.project.lock import lock
from orbitpkg.api.project.sync import sync
from orbitpkg.api.search import released
from orbitpkg.config.repositories import home as home_folder
from orbitpkg.errors import LockTimeout, OrbitError, StorageError
from orbitpkg.store.layout import Layout
from orbitpkg.store.locks import locked
from orbitpkg.store.package import installed_packages
from orbitpkg.store.presence import find_missing
from orbitpkg.store.project import read_lock
from orbitpkg.store.roots import read_roots, register_lockfile
from orbitpkg.store.store import Store
from tests.packages import make_package, noise

if TYPE_CHECKING:
    from collections.abc import Callable

FILES = {"data/big.bin": noise(200_000), "data/tool": b"#!/bin/sh\necho hi\n", "a.txt": b"text"}
LOSSES = ["files/data/big.bin", "files/data", "files", "contents", "origin", "release.json", "listing"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORBITPKG_REPOSITORY", str(tmp_path / "repository"))
    monkeypatch.chdir(tmp_path)
    source = make_package(tmp_path / "source", name="probe", files=FILES)
    (source / "data/tool").chmod(0o755)
    orbitpkg.publish(source)
    orbitpkg.publish(make_package(tmp_path / "other", name="other"))
    orbitpkg.install("probe")
    return tmp_path / "home"


@pytest.fixture
def release(home: Path) -> Path:
    """The folder of the installed release."""
    return home / "store/v1/packages/probe/1.0.0"


def take(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def sync_project(*, frozen: bool) -> None:
    if not Path("orbit.toml").exists():
        Path("orbit.toml").write_text('requirements = ["probe"]\n')
        sync()
    sync(frozen=frozen)


ACTIONS: dict[str, Callable[[], object]] = {
    "install": lambda: orbitpkg.install("probe"),
    "install of an exact version": lambda: orbitpkg.install("probe==1.0.0"),
    "sync": lambda: sync_project(frozen=False),
    "sync of the lockfile": lambda: sync_project(frozen=True),
    "verify with repair": lambda: check(repair=True, repository=os.environ["ORBITPKG_REPOSITORY"]),
}


@pytest.mark.parametrize("lost", LOSSES)
@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_what_was_taken_from_a_release_is_fetched(release: Path, lost: str, action: Callable[[], object]) -> None:
    action()
    take(release / lost)
    action()
    package = orbitpkg.package("probe")
    assert package.read_bytes("data/big.bin") == FILES["data/big.bin"]
    assert [findings for _, findings in verify()] == [[]]
    assert package.origin


@pytest.mark.parametrize("data", [b"", b"short", FILES["data/big.bin"] + b"longer"])
def test_a_file_of_another_size_is_replaced(release: Path, data: bytes) -> None:
    path = release / "files/data/big.bin"
    path.chmod(0o644)
    path.unlink()
    path.write_bytes(data)
    orbitpkg.install("probe")
    assert path.read_bytes() == FILES["data/big.bin"]


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo, lambda path: path.symlink_to("/dev/zero")])
def test_something_else_in_the_place_of_a_file_is_replaced(release: Path, make: Callable[[Path], None]) -> None:
    path = release / "files/data/big.bin"
    path.unlink()
    make(path)
    orbitpkg.install("probe")
    assert path.is_file()
    assert not path.is_symlink()
    assert path.read_bytes() == FILES["data/big.bin"]


OBSTACLES: dict[str, Callable[[Path], object]] = {
    "file": lambda path: path.write_bytes(b"notes"),
    "FIFO": os.mkfifo,
    "dangling link": lambda path: path.symlink_to("nowhere"),
    "link to itself": lambda path: path.symlink_to(path.name),
}


@pytest.mark.timeout(60)
@pytest.mark.parametrize("folder", ["files", "files/data"])
@pytest.mark.parametrize("obstacle", OBSTACLES)
@pytest.mark.parametrize("action", ACTIONS.values(), ids=ACTIONS)
def test_something_else_in_the_place_of_a_folder_is_moved_aside(
    home: Path, release: Path, folder: str, obstacle: str, action: Callable[[], object]
) -> None:
    action()
    take(release / folder)
    OBSTACLES[obstacle](release / folder)
    action()
    assert (release / folder).is_dir()
    assert not (release / folder).is_symlink()
    assert orbitpkg.package("probe").read_bytes("data/big.bin") == FILES["data/big.bin"]
    assert [findings for _, findings in verify()] == [[]]
    (aside,) = (home / "store/v1/aside").iterdir()
    assert os.path.lexists(aside / Path(folder).name)


def test_a_lost_executable_bit_is_found_and_restored(release: Path) -> None:
    tool = release / "files/data/tool"
    for restore in (lambda: orbitpkg.install("probe"), lambda: check(repair=True)):
        tool.chmod(0o444)
        assert find_missing(orbitpkg.package("probe")) == ["data/tool"]
        (checked,) = check(["probe"])
        assert [str(finding.kind) for finding in checked.left] == ["altered"]
        restore()
        assert os.access(tool, os.X_OK)
        assert subprocess.run([tool], check=True, capture_output=True).stdout == b"hi\n"


def test_without_its_repository_the_missing_file_is_named(release: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (release / "files/data/big.bin").unlink()
    shutil.rmtree(os.environ["ORBITPKG_REPOSITORY"])
    monkeypatch.delenv("ORBITPKG_REPOSITORY")
    with pytest.raises(OrbitError) as caught:
        orbitpkg.install("probe==1.0.0")
    assert "data/big.bin" in str(caught.value)
    assert "orbitpkg verify --repair" in str(caught.value)


@pytest.mark.parametrize("words", [["install", "probe==1.0.0"], ["install", "probe"]])
def test_the_command_line_looks_before_it_reports_that_nothing_is_to_do(release: Path, words: list[str]) -> None:
    (release / "files/data/big.bin").unlink()
    subprocess.run([sys.executable, "-m", "orbitpkg", *words], check=True, capture_output=True)
    assert (release / "files/data/big.bin").read_bytes() == FILES["data/big.bin"]


def record_is_a_folder(folder: Path) -> None:
    take(folder / "release.json")
    (folder / "release.json").mkdir()


def record_is_a_fifo(folder: Path) -> None:
    take(folder / "release.json")
    os.mkfifo(folder / "release.json")


def record_is_a_device(folder: Path) -> None:
    take(folder / "release.json")
    (folder / "release.json").symlink_to("/dev/zero")


DAMAGE: dict[str, Callable[[Path], object]] = {
    "an empty record": lambda folder: (folder / "release.json").write_bytes(b""),
    "a record that is a folder": record_is_a_folder,
    "a record that is a FIFO": record_is_a_fifo,
    "a record that is a link to a device": record_is_a_device,
    "an empty folder of a newer version": lambda folder: (folder.parent / "9.9.9").mkdir(),
    "a file in the place of a version": lambda folder: (folder.parent / "9.9.9").write_bytes(b""),
    "a foreign file beside the packages": lambda folder: (folder.parent.parent / "README").write_bytes(b"x"),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_one_damaged_release_stops_no_other(release: Path, damage: Callable[[Path], object]) -> None:
    damage(release)
    assert orbitpkg.install("other").name == "other"
    assert orbitpkg.install("other==1.0.0").name == "other"
    assert "other" in [package.name for package in orbitpkg.packages()]
    assert {checked.name for checked in check()} >= {"other"}
    assert orbitpkg.install("probe").read_bytes("a.txt") == b"text"
    assert orbitpkg.package("probe").version == "1.0.0"


def test_the_next_best_version_stands_in_for_a_damaged_one(tmp_path: Path, release: Path) -> None:
    orbitpkg.publish(make_package(tmp_path / "newer", name="probe", version="2.0.0", files=FILES))
    orbitpkg.install("probe==2.0.0")
    record = release.with_name("2.0.0") / "release.json"
    record.unlink()
    record.write_bytes(b"")
    assert orbitpkg.package("probe").version == "1.0.0"
    with pytest.raises(StorageError, match="is damaged"):
        orbitpkg.package("probe==2.0.0")
    assert [package.version for package in installed_packages(Layout(home_folder()))] == ["1.0.0"]


def test_a_lock_file_that_is_something_else_is_no_lock(tmp_path: Path, home: Path) -> None:
    (tmp_path / "precious").write_bytes(b"mine")
    orbitpkg.remove("probe")
    file = home / "store/v1/locks/probe-1.0.0.lock"
    for make in (os.mkdir, os.mkfifo, lambda path: path.symlink_to(tmp_path / "precious")):
        take(file)
        make(file)
        assert orbitpkg.install("probe").name == "probe"
        orbitpkg.remove("probe")
    assert (tmp_path / "precious").read_bytes() == b"mine"


def test_a_process_waits_as_long_as_the_holder_of_a_lock_advances(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Longer than the time without progress that is allowed; once the holder stops, the wait ends."""
    monkeypatch.setenv("ORBITPKG_LOCK_TIMEOUT", "3")
    monkeypatch.setattr("orbitpkg.store.locks._REPORT_SECONDS", 0.1)
    layout, release = Layout(home), released("probe")
    waited, done = threading.Event(), threading.Event()
    reports = 0

    def hold() -> None:
        nonlocal reports
        with locked(layout, "probe-1.0.0") as held:
            held_event.set()
            waited.wait(30)
            for _ in range(80):  # eight seconds
                done.wait(0.1)
                held.progress()
                reports += 1

    held_event = threading.Event()
    holder = threading.Thread(target=hold)
    holder.start()
    assert held_event.wait(30)
    with Store(home).lock(release, on_wait=waited.set):
        assert reports == 80
    holder.join()
    with locked(layout, "probe-1.0.0"), pytest.raises(LockTimeout), Store(home).lock(release):
        pass


def test_a_wait_ends_when_the_work_is_done(home: Path) -> None:
    with locked(Layout(home), "probe-1.0.0"), Store(home).lock(released("probe"), needless=lambda: True):
        pass


def test_lockfiles_of_two_folders_at_one_path_each_count(tmp_path: Path, home: Path) -> None:
    """As in two containers whose project is in the same folder."""
    project, layout = tmp_path / "app", Layout(home)
    for name in ("probe", "other"):
        if project.exists():
            project.rename(tmp_path / "the first app")
        project.mkdir()
        (project / "orbit.toml").write_text(f'requirements = ["{name}"]\n')
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(project)
            lock()
        current = read_lock(project)
        assert current is not None
        register_lockfile(layout, project / "orbit.lock", current)
    now = time.time()
    assert {key for key, _ in read_roots(layout, now=now + 29 * 86_400).needed} == {"probe", "other"}
    assert {key for key, _ in read_roots(layout, now=now + 31 * 86_400).needed} == {"other"}


def test_a_home_that_is_a_link_to_nothing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "unmounted/models")
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "link"))
    with pytest.raises(StorageError, match=r"is a link to .*unmounted/models, which does not exist"):
        orbitpkg.install("probe")


def test_a_release_that_is_a_link_to_itself_is_named_and_can_be_removed(tmp_path: Path) -> None:
    source = make_package(tmp_path / "looped", name="looped", files={"a": b"1"})
    orbitpkg.publish(source, tmp_path / "repository")
    folder = orbitpkg.install("looped", repository=tmp_path / "repository").file_path("a").parents[1]
    shutil.rmtree(folder)
    folder.symlink_to(folder.name)
    with pytest.raises(StorageError, match="symbolic links"):
        orbitpkg.install("looped", repository=tmp_path / "repository")
    orbitpkg.remove("looped==1.0.0")
    assert orbitpkg.install("looped", repository=tmp_path / "repository").file_path("a").read_bytes() == b"1"
