"""A real file system that is full at one stage after the other of an install and of an upgrade."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.packages import packages, remove, verify
from orbitpkg.api.publish import init
from orbitpkg.errors import NoSpace
from tests.packages import archive_of, make_package, noise, tree_of
from tests.torture.failures import all_failures
from tests.torture.scale import scaled, tally

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BLOCK = 4096
FILES = {
    "weights.bin": noise(600_000),
    "blob": noise(50_000, seed=1),
    **{f"many/{n}": noise(900, seed=n) for n in range(40)},
}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system takes root: run the tests as root")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", disk], check=False, capture_output=True)
    if done.returncode:
        pytest.skip(f"a small file system could not be mounted: {done.stderr.decode().strip()}")
    yield disk
    subprocess.run(["umount", disk], check=True)


def leave_free(disk: Path, blocks: int) -> Path:
    """Fill a disk but for some blocks; gives the file that does."""
    status = os.statvfs(disk)
    filler = disk / "filler"
    filler.write_bytes(bytes(max(0, status.f_bavail - blocks) * BLOCK))
    return filler


def test_a_manifest_that_could_not_be_written_does_not_exist(disk: Path) -> None:
    leave_free(disk, 0)
    with pytest.raises(NoSpace):
        init(disk / "new", name="model")
    assert not (disk / "new/package.json").exists()


@pytest.mark.timeout(600)
def test_a_full_disk_at_any_stage_is_reported_and_leaves_the_store_unchanged(
    disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORBITPKG_HOME", str(disk / "home"))
    first = make_package(tmp_path / "1", version="1.0.0", files=FILES)
    second = make_package(tmp_path / "2", version="2.0.0", files=FILES | {"more": noise(70_000, seed=99)})
    archives = [archive_of(folder, tmp_path / f"{folder.name}.tar.zst") for folder in (first, second)]
    kept = install(archives[0])
    refused = attempts = 0
    with all_failures() as watch:
        for free in range(0, 280, scaled(28, 2)):
            filler = leave_free(disk, free)
            attempts += 1
            with watch(f"{free} blocks free"):
                try:
                    install(archives[1])
                except NoSpace:
                    refused += 1
                    assert packages() == [kept]
                assert tree_of(kept.path) == tree_of(first)
                assert [findings for _, findings in verify() if findings] == []
                filler.unlink()
                assert tree_of(install(archives[1]).path) == tree_of(second)
                remove("model==2.0.0")
                assert os.listdir(disk / "home/store/v1/tmp") == []
            filler.unlink(missing_ok=True)
    tally("sizes of a full disk, refused", refused)
    tally("sizes of a full disk, enough", attempts - refused)
    assert 0 < refused < attempts
