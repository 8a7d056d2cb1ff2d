"""Garbage collection of a store: what goes, what stays, and that nothing goes which a running install needs."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api import maintain
from orbitpkg.api.install import install
from orbitpkg.api.packages import packages as list_packages
from orbitpkg.api.project.sync import sync
from orbitpkg.errors import IntegrityError, StorageError, UsageError
from orbitpkg.model.lockfile import Lock, LockedPackage
from orbitpkg.model.versions import parse_version
from orbitpkg.store.garbage import GarbageKind, Policy, collect, find_garbage
from orbitpkg.store.layout import Layout
from orbitpkg.store.processes import find_releases_in_use
from orbitpkg.store.roots import protect_releases, read_roots, register_lockfile
from orbitpkg.store.store import Store
from tests.packages import archive_of, make_package, noise, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.store.garbage import Garbage, Item
    from orbitpkg.store.package import Package

DAY = 86_400.0
KEEP_ONE = Policy(keep_last=1)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home folder of the test's own."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    return tmp_path / "home"


@pytest.fixture
def layout(home: Path) -> Layout:
    return Layout(home)


def put(folder: Path, version: str, *, name: str = "model", size: int = 100_000, **manifest: object) -> Package:
    """Install a version that shares one file with the others and has a unique one."""
    files = {"own.bin": noise(size, seed=int(version[0])), "shared.bin": noise(50_000), "small": version.encode()}
    package = make_package(folder / f"{name}-{version}", name=name, version=version, files=files, **manifest)
    return install(archive_of(package, folder / f"{name}-{version}.tar.zst"))


@pytest.fixture
def three(tmp_path: Path) -> list[Package]:
    """Three versions, installed one after another."""
    packages = [put(tmp_path, version) for version in ("1.0.0", "2.0.0", "3.0.0")]
    for number, package in enumerate(packages):
        age(package, 100 - number)
    return packages


def age(package: Package, days: float) -> None:
    """Have a release be installed days ago."""
    record = package.path.parent / "release.json"
    then = record.stat().st_mtime - days * DAY
    os.utime(record, (then, then))


def look(layout: Layout, policy: Policy = KEEP_ONE, *, days: float = 0) -> Garbage:
    """Look for garbage as if days had passed."""
    return find_garbage(layout, policy, now=time.time() + days * DAY)


def names(items: Iterable[Item]) -> list[str]:
    return [item.name for item in items]


def installed() -> list[str]:
    return [package.version for package in list_packages()]


def used(home: Path) -> int:
    """How many bytes the store's files take, each counted once."""
    found = {(s.st_dev, s.st_ino): s.st_size for p in (home / "store").rglob("*") if p.is_file() for s in [p.stat()]}
    return sum(found.values())


class TestOldVersions:
    def test_without_options_no_release_is_removed(self, three: list[Package], layout: Layout) -> None:
        assert look(layout, Policy(), days=1000).items == ()
        assert len(three) == 3

    def test_all_but_the_last_are_removed_and_the_reported_space_is_freed(
        self, three: list[Package], home: Path
    ) -> None:
        before = used(home)
        planned = maintain.tidy(KEEP_ONE, dry_run=True)
        assert used(home) == before
        done = maintain.tidy(KEEP_ONE)
        assert names(done.items) == ["model==1.0.0", "model==2.0.0"]
        assert (done, done.size) == (planned, used(home))
        assert done.freed == before - used(home)
        assert installed() == ["3.0.0"]
        assert maintain.finding_bits(f.kind for each in maintain.check() for f in each.findings) == 0
        assert three[2].read_bytes("shared.bin") == noise(50_000)

    def test_keeping_no_versions_removes_all(self, three: list[Package], home: Path) -> None:
        maintain.tidy(Policy(keep_last=0))
        assert installed() == []
        assert not any(path.is_file() for path in (home / "store/v1/blobs").rglob("*"))
        assert len(three) == 3

    @pytest.mark.parametrize(("days", "left"), [(99.5, ["2.0.0", "3.0.0"]), (98.5, ["3.0.0"]), (200, None)])
    @pytest.mark.usefixtures("three")
    def test_only_older_entries_are_removed_and_never_the_newest(
        self, layout: Layout, days: float, left: list[str] | None
    ) -> None:
        collect(Store(layout.home), look(layout, Policy(older_than=timedelta(days=days))))
        assert installed() == (left or ["1.0.0", "2.0.0", "3.0.0"])

    @pytest.mark.usefixtures("three")
    def test_the_oldest_installs_are_removed_until_the_store_is_small_enough(self, home: Path) -> None:
        done = maintain.tidy(Policy(max_size=used(home) - 1))
        assert names(done.items) == ["model==1.0.0"]
        assert maintain.tidy(Policy(max_size=used(home))).items == ()
        done = maintain.tidy(Policy(max_size=0))
        assert names(done.items) == ["model==2.0.0"]
        assert done.size == used(home) > 0

    def test_a_release_that_another_needs_is_kept_with_a_reason(self, tmp_path: Path, layout: Layout) -> None:
        for version in ("1.0.0", "1.1.0", "2.0.0"):
            orbitpkg.publish(make_package(tmp_path / version, name="words", version=version, files={"w": b"w"}))
            orbitpkg.install(f"words=={version}")
        orbitpkg.publish(make_package(tmp_path / "u", name="user", dependencies={"Words": "~=1.0"}))
        orbitpkg.install("user")
        found = look(layout)
        assert names(found.items) == ["words==1.0.0"]
        assert [(kept.name, kept.reason) for kept in found.kept] == [("words==1.1.0", "user==1.0.0")]

    def test_dependents_are_deleted_before_their_dependencies(self, tmp_path: Path) -> None:
        for version in ("1.0.0", "2.0.0"):
            words = make_package(tmp_path / f"w{version}", name="words", version=version, files={"w": b"w"})
            orbitpkg.publish(words)
            needs = {"words": f"=={version}"}
            orbitpkg.publish(make_package(tmp_path / f"u{version}", name="user", version=version, dependencies=needs))
            orbitpkg.install(f"user=={version}")
        done = maintain.tidy(KEEP_ONE)
        assert sorted(names(done.items)) == ["user==1.0.0", "words==1.0.0"]
        assert done.kept == ()

    def test_a_damaged_release_is_not_garbage(self, three: list[Package], layout: Layout) -> None:
        (three[0].path.parent / "release.json").write_bytes(b"{")
        assert names(look(layout).items) == ["model==2.0.0"]

    def test_fewer_than_none_is_refused(self, layout: Layout) -> None:
        with pytest.raises(UsageError):
            look(layout, Policy(keep_last=-1))


class TestRoots:
    @pytest.fixture
    def lockfile(self, three: list[Package], tmp_path: Path, layout: Layout) -> Path:
        """A lockfile that names the first version."""
        first = three[0]
        locked = LockedPackage(
            name="model", version=parse_version("1.0.0"), digest=first.digest, size=1, repository="default"
        )
        path = tmp_path / "orbit.lock"
        lock = Lock([locked])
        path.write_text(lock.to_toml())
        register_lockfile(layout, path, lock)
        return path

    def test_locked_releases_are_kept(self, lockfile: Path, layout: Layout) -> None:
        found = look(layout)
        assert names(found.items) == ["model==2.0.0"]
        assert [(kept.name, kept.reason) for kept in found.kept] == [("model==1.0.0", str(lockfile))]

    def test_entries_it_no_longer_names_are_removed(self, lockfile: Path, layout: Layout) -> None:
        lockfile.write_text(Lock([]).to_toml())
        assert names(look(layout).items) == ["model==1.0.0", "model==2.0.0"]

    def test_one_that_cannot_be_read_counts_with_its_previous_state(self, lockfile: Path, layout: Layout) -> None:
        lockfile.write_text("<<<<<<< ours\n")
        assert names(look(layout).items) == ["model==2.0.0"]

    def test_one_that_is_gone_counts_for_a_month(self, lockfile: Path, layout: Layout) -> None:
        lockfile.unlink()
        assert names(look(layout, days=29).items) == ["model==2.0.0"]
        found = look(layout, days=31)
        assert names(found.items)[:2] == ["model==1.0.0", "model==2.0.0"]
        assert [item.kind for item in found.items[2:]] == [GarbageKind.ROOT]

    @pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"format":2}'])
    @pytest.mark.usefixtures("lockfile")
    def test_an_invalid_root_stops_garbage_collection(self, layout: Layout, data: bytes) -> None:
        (root,) = Path(layout.roots).iterdir()
        root.write_bytes(data)
        with pytest.raises(IntegrityError):
            look(layout)
        assert installed() == ["1.0.0", "2.0.0", "3.0.0"]

    @pytest.mark.usefixtures("three")
    def test_files_needed_by_a_running_install_are_kept_until_it_ends(self, layout: Layout) -> None:
        with protect_releases(layout, ["model==1.0.0"]):
            assert names(look(layout).items) == ["model==2.0.0"]
        assert names(look(layout).items) == ["model==1.0.0", "model==2.0.0"]

    @pytest.mark.usefixtures("three")
    def test_an_install_that_begins_after_the_look_counts(self, layout: Layout) -> None:
        found = look(layout)
        with protect_releases(layout, ["model==1.0.0"]):
            assert names(collect(Store(layout.home), found)) == ["model==2.0.0"]
        assert installed() == ["1.0.0", "3.0.0"]

    @pytest.mark.usefixtures("three")
    def test_an_install_that_was_killed_counts_for_a_day(self, layout: Layout) -> None:
        Path(layout.roots).mkdir(exist_ok=True)
        (Path(layout.roots) / "running-0.json").write_text('{"format":1,"packages":["model==1.0.0"]}')
        (Path(layout.roots) / "running-1.json").write_text("")
        assert names(look(layout).items) == ["model==2.0.0"]
        assert len(read_roots(layout).stale) == 0
        assert [item.kind for item in look(layout, days=2).items[2:]] == [GarbageKind.ROOT] * 2

    def test_syncing_a_project_registers_its_lockfile(
        self, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch
    ) -> None:

        for version in ("1.0.0", "2.0.0"):
            orbitpkg.publish(make_package(tmp_path / version, version=version))
        project = tmp_path / "project"
        project.mkdir()
        (project / "orbit.toml").write_text('requirements = ["model<2"]\n')
        monkeypatch.chdir(project)
        sync()
        orbitpkg.install("model==2.0.0")
        assert names(look(layout).items) == []
        assert [kept.name for kept in look(layout).kept] == ["model==1.0.0"]

    @pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="what processes have open is known on Linux only")
    def test_open_and_mapped_files_are_kept(self, three: list[Package], layout: Layout) -> None:
        program = (
            "import mmap, sys; file = open(sys.argv[1], 'rb');"
            "mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ); file.close();"
            "print('ready', flush=True); sys.stdin.read()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", program, three[0].path / "own.bin"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            assert find_releases_in_use(layout) == {("model", "1.0.0")}
            assert names(look(layout).items) == ["model==2.0.0"]
            process.communicate()
        assert find_releases_in_use(layout) == set()


class TestLeftovers:
    def test_leftovers_of_a_stopped_install_are_removed_after_a_day(self, three: list[Package], layout: Layout) -> None:
        staging = Path(layout.tmp) / f"model-9.0.0-{'0' * 16}"
        (staging / "files").mkdir(parents=True)
        (staging / "files/part").write_bytes(bytes(1000))
        (Path(layout.tmp) / "scratch-0").write_bytes(bytes(500))
        assert look(layout, Policy(), days=0.9).items == ()
        found = look(layout, Policy(), days=1.1)
        assert {(item.kind, item.size) for item in found.items} == {
            ("unfinished install", 1000),
            ("unfinished install", 500),
        }
        assert len(collect(Store(layout.home), found)) == 2
        assert os.listdir(layout.tmp) == []
        assert len(three) == 3

    def test_files_written_since_the_scan_are_kept(self, layout: Layout) -> None:
        staging = Path(layout.tmp) / f"model-9.0.0-{'0' * 16}"
        (staging / "files").mkdir(parents=True)
        found = look(layout, Policy(), days=2)
        (staging / "files/part").write_bytes(bytes(1000))
        assert collect(Store(layout.home), found) == []
        assert (staging / "files/part").exists()

    def test_a_folder_whose_lock_is_held_stays(self, three: list[Package], layout: Layout, tmp_path: Path) -> None:
        folder = make_package(tmp_path / "new", version="9.0.0")
        release = orbitpkg.publish(folder).release
        store = Store(layout.home)
        staging = store.stage(release, origin="file:///x")
        found = look(layout, Policy(), days=2)
        with store.lock(release):
            assert collect(store, found) == []
        assert names(collect(store, found)) == [os.path.relpath(staging.folder, layout.home)]
        assert len(three) == 3

    def test_a_blob_that_no_release_holds_goes_after_a_day(self, three: list[Package], layout: Layout) -> None:
        blob = Path(layout.blobs) / "00" / ("0" * 64)
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(bytes(70_000))
        assert look(layout, Policy(), days=0.5).items == ()
        done = collect(Store(layout.home), look(layout, Policy(), days=2))
        assert [(item.kind, item.size) for item in done] == [("blob", 70_000)]
        assert not blob.exists()
        assert three[0].read_bytes("shared.bin") == noise(50_000)

    def test_journals_and_caches_are_deleted_after_long_disuse(self, home: Path, layout: Layout) -> None:
        for path in ("uploads/model-1.0.0-0.jsonl", "cache/index/0/model.json"):
            (home / path).parent.mkdir(parents=True)
            (home / path).write_bytes(b"x")
        assert look(layout, Policy(), days=6).items == ()
        assert names(look(layout, Policy(), days=8).items) == ["uploads/model-1.0.0-0.jsonl"]
        collect(Store(home), look(layout, Policy(), days=91))
        assert [path for path in home.rglob("*") if path.is_file()] == []

    def test_nothing_is_old_for_a_clock_that_was_set_back(self, three: list[Package], layout: Layout) -> None:
        staging = Path(layout.tmp) / f"model-9.0.0-{'0' * 16}"
        (staging / "files").mkdir(parents=True)
        policy = Policy(keep_last=0, older_than=timedelta(days=1))
        assert look(layout, policy, days=-365).items == ()
        assert names(look(layout, policy, days=2).items) == [
            *(f"{each.name}=={each.version}" for each in three),
            f"store/v1/tmp/{staging.name}",
        ]

    def test_an_empty_home_has_no_garbage_and_is_not_made(self, home: Path, layout: Layout) -> None:
        assert look(layout, Policy(keep_last=0)).items == ()
        maintain.tidy(Policy(keep_last=0))
        assert not home.exists()

    def test_files_moved_aside_are_kept(self, three: list[Package], layout: Layout) -> None:
        (three[0].path / "mine").write_bytes(b"work")
        (done,) = [each for each in maintain.check(repair=True) if each.aside]
        assert look(layout, Policy(), days=1000).items == ()
        assert done.aside is not None
        assert Path(done.aside, "mine").exists()


class TestRacing:
    """Garbage collection that calls everything old, beside installs."""

    @pytest.mark.parametrize("locks", [True, False])
    def test_no_install_is_harmed(
        self, tmp_path: Path, layout: Layout, monkeypatch: pytest.MonkeyPatch, *, locks: bool
    ) -> None:
        if not locks:
            monkeypatch.setattr("orbitpkg.store.garbage._lock_of", _no_lock)
        files = {f"{number}.bin": noise(60_000, seed=number) for number in range(40)}
        folder = make_package(tmp_path / "p", files=files)
        archive = archive_of(folder, tmp_path / "p.tar.zst")
        done: list[int] = []

        def sweep() -> None:
            while not done:
                collect(Store(layout.home), find_garbage(layout, Policy(), grace=-DAY))

        failures = 0
        with ThreadPoolExecutor(1) as pool:
            sweeping = pool.submit(sweep)
            try:
                for _ in range(12):
                    try:
                        package = install(archive)
                    except StorageError:
                        failures += 1
                        continue
                    assert tree_of(package.path) == tree_of(folder)
                    orbitpkg.remove("model")
            finally:
                done.append(1)
            sweeping.result()
        assert not locks or failures == 0
        package = install(archive)
        assert tree_of(package.path) == tree_of(folder)


class _no_lock:  # noqa: N801 - in the place of a function
    """A lock that everybody has."""

    def __init__(self, *_: object) -> None: ...

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None: ...


def test_the_copy_of_a_folder_that_a_crash_left_beside_its_target_is_deleted(
    home: Path, layout: Layout, three: list[Package]
) -> None:
    """A folder that came with an image is copied where it cannot be renamed; the power fails in between."""
    left = home / "store/v1/packages/model/.orbitpkg-0123456789abcdef01234567.tmp"
    (left / "files").mkdir(parents=True)
    (left / "files/half.bin").write_bytes(bytes(1000))
    mine = left.with_name(".notes")
    mine.write_bytes(b"mine")
    assert look(layout, Policy(), days=0.5).items == ()
    (item,) = collect(Store(home), look(layout, Policy(), days=2))
    assert (item.kind, item.size) == ("unfinished install", 1000)
    assert not left.exists()
    assert mine.exists()
    assert len(three) == len(orbitpkg.packages())
