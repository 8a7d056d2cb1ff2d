"""Power cuts right after a command has announced its success, on real file systems.

A file system is mounted from an image file. When the command has exited, the image is copied as the block device has it
at that moment: what the kernel still holds in memory is missing from the copy, as it would be after a power cut. The
copy is checked as a boot would check it (journal replay, e2fsck), mounted, and compared with what the user had seen.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.packages import make_package, noise, tree_of
from tests.torture.scale import SCALE, sample, tally

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

FILES = {"weights.bin": noise(1_500_000), "a/b/small": b"small", "empty": b"", "run.sh": b"#!/bin/sh\n"}
MANY = FILES | {f"many/{number}": str(number).encode() for number in range(40)}

# Rebuilt from elsewhere when it is missing, or of no use to the next command.
REBUILDABLE = {"cache", "locks", "lost+found", "tmp", "uploads"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSystem:
    """A kind of file system.

    Attributes:
        make: The command that formats an image.
        megabytes: The size of the image.
        options: Mount options. The commit intervals are long, so only synced data reach the disk.
        check: The command that a boot would run on it.
    """

    make: Sequence[str]
    megabytes: int = 64
    options: str = "loop"
    check: Sequence[str] = ()


FILE_SYSTEMS: Mapping[str, FileSystem] = {
    "ext4": FileSystem(make=["mkfs.ext4", "-q"], options="loop,commit=600", check=["e2fsck", "-fy"]),
    "ext4-no-journal": FileSystem(make=["mkfs.ext4", "-q", "-O", "^has_journal"], check=["e2fsck", "-fy"]),
    "ext2": FileSystem(make=["mkfs.ext2", "-q"], check=["e2fsck", "-fy"]),
    "xfs": FileSystem(make=["mkfs.xfs", "-q"], megabytes=320),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A command whose success is announced, and the commands before it, whose results are on the disk.

    Words may hold ``{disk}``, the mounted file system, and ``{outside}``, a folder on another disk.
    """

    words: Sequence[str]
    before: Sequence[Sequence[str]] = ()


_REPOSITORY = ("--repository", "{outside}/repository")
_PROJECT = ("repo", "add", "main", "{outside}/repository")
SCENES: Mapping[str, Scene] = {
    "init": Scene(words=["init", "{disk}/new", "--name", "fresh"]),
    "build": Scene(words=["build", "{outside}/1", "-o", "{disk}/dist"]),
    "publish": Scene(words=["publish", "{outside}/1", "--repository", "{disk}/repository"]),
    "publish-again": Scene(
        before=[["publish", "{outside}/1", "--repository", "{disk}/repository"]],
        words=["publish", "{outside}/2", "--repository", "{disk}/repository"],
    ),
    "yank": Scene(
        before=[["publish", "{outside}/1", "--repository", "{disk}/repository"]],
        words=["yank", "model==1.0.0", "--reason", "wrong", "--repository", "{disk}/repository"],
    ),
    "install": Scene(words=["install", "model==1.0.0", *_REPOSITORY]),
    "install-many": Scene(words=["install", "model==3.0.0", *_REPOSITORY]),
    "upgrade": Scene(
        before=[["install", "model==1.0.0", *_REPOSITORY]], words=["install", "model==2.0.0", *_REPOSITORY]
    ),
    "remove": Scene(before=[["install", "model==1.0.0", *_REPOSITORY]], words=["remove", "model==1.0.0"]),
    "repo-add": Scene(words=_PROJECT),
    "repo-add-user": Scene(words=[*_PROJECT, "--user"]),
    "add": Scene(before=[_PROJECT], words=["add", "model<2"]),
    "lock": Scene(before=[_PROJECT, ["add", "model<2"]], words=["lock", "--upgrade"]),
    "sync": Scene(before=[_PROJECT, ["add", "model<2"], ["remove", "model"]], words=["sync"]),
    "remote-cp": Scene(words=["remote", "cp", "{outside}/1/weights.bin", "{disk}/copy.bin"]),
    "remote-cp-down": Scene(words=["remote", "cp", "file://{outside}/1/weights.bin", "{disk}/copy.bin"]),
    "remote-cp-folder": Scene(words=["remote", "cp", "-R", "file://{outside}/1/", "{disk}/copies/"]),
    "remote-sync-down": Scene(words=["remote", "sync", "file://{outside}/1/", "{disk}/synced"]),
}


class Disk:
    """An image of a file system, mounted, and what is run on it."""

    def __init__(self, kind: FileSystem, folder: Path, outside: Path) -> None:
        self.kind = kind
        self.image = folder / "disk.img"
        self.disk = folder / "disk"
        self.outside = outside

    @contextmanager
    def mounted(self, image: Path) -> Iterator[Path]:
        """Mount an image, check it before if that is due, and unmount it."""
        self.disk.mkdir(exist_ok=True)
        subprocess.run(["mount", "-o", self.kind.options, image, self.disk], check=True, capture_output=True)
        try:
            yield self.disk
        finally:
            subprocess.run(["umount", self.disk], check=True)

    def format(self) -> None:
        """Make an empty file system."""
        with self.image.open("wb") as file:
            file.truncate(self.kind.megabytes << 20)
        subprocess.run([*self.kind.make, self.image], check=True, capture_output=True)

    def run(self, words: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run a command in a project on the disk."""
        arguments = [word.format(disk=self.disk, outside=self.outside) for word in words]
        home, project = self.disk / "home", self.disk / "project"
        project.mkdir(exist_ok=True)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("ORBITPKG_", "XDG_"))}
        return subprocess.run(
            [sys.executable, "-m", "orbitpkg", *arguments],
            cwd=project,
            env={**environment, "HOME": str(home)},
            check=False,
            capture_output=True,
            text=True,
        )

    def visible(self) -> dict[str, tuple[bytes, bool]]:
        """Return the files that a user may rely on."""
        return {
            path: content
            for path, content in tree_of(self.disk).items()
            if not REBUILDABLE.intersection(path.split("/")) and not path.rpartition("/")[2].startswith(".")
        }


@pytest.fixture(scope="module")
def outside(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three versions of a package, and a repository that holds them, on a disk whose power stays on."""
    folder = tmp_path_factory.mktemp("outside")
    contents = {"1": FILES, "2": FILES | {"new.bin": noise(40_000, seed=3)}, "3": MANY}
    for number, files in contents.items():
        package = make_package(folder / number, version=f"{number}.0.0", files=files)
        words = ["publish", str(package), "--repository", str(folder / "repository")]
        environment = {**os.environ, "ORBITPKG_HOME": str(folder / "home")}
        subprocess.run([sys.executable, "-m", "orbitpkg", *words], env=environment, check=True, capture_output=True)
    return folder


@pytest.fixture
def disk(request: pytest.FixtureRequest, tmp_path: Path, outside: Path) -> Disk:
    """A freshly formatted disk of the requested kind."""
    if os.geteuid() != 0:
        pytest.skip("mounting a file system takes root: run the tests as root")
    kind = FILE_SYSTEMS[request.param]
    for program in (kind.make[0], *kind.check[:1]):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed; on Debian: apt-get install e2fsprogs xfsprogs")
    disk = Disk(kind, tmp_path, outside)
    disk.format()
    return disk


CASES = [(kind, scene) for scene in SCENES for kind in FILE_SYSTEMS]
# The sample tries every scene once, and every file system with some of them.
SAMPLE = [(list(FILE_SYSTEMS)[number % len(FILE_SYSTEMS)], scene) for number, scene in enumerate(SCENES)]


@pytest.mark.parametrize(("disk", "scene"), sample(CASES, 1) if SCALE else SAMPLE, indirect=["disk"])
def test_announced_results_survive_a_power_cut(disk: Disk, scene: str, tmp_path: Path) -> None:
    after = tmp_path / "after.img"
    with disk.mounted(disk.image):
        for words in SCENES[scene].before:
            done = disk.run(words)
            assert done.returncode == 0, done.stderr
        os.sync()
        done = disk.run(SCENES[scene].words)
        assert done.returncode == 0, done.stderr
        shutil.copyfile(disk.image, after)
        expected = disk.visible()
    if disk.kind.check:
        subprocess.run([*disk.kind.check, after], check=False, capture_output=True)
    with disk.mounted(after):
        found = disk.visible()
        lost = sorted(path for path in expected if path not in found)
        returned = sorted(path for path in found if path not in expected and "/packages/" in path)
        changed = sorted(path for path in expected if path in found and found[path] != expected[path])
        assert (lost, returned, changed) == ([], [], [])
        # The next command must work on the remaining state.
        again = disk.run(["verify"])
        assert again.returncode == 0, again.stdout + again.stderr
    tally("power cuts after an announced success", 1)
