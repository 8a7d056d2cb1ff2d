"""Commands that are killed, or failed by the kernel, at each system call that changes the store.

After each: what was installed is as it was, what is visible is whole, and the same command run again does its work.
"""

from __future__ import annotations

import itertools
import shutil
import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.maintain import tidy
from orbitpkg.api.packages import packages as list_packages
from orbitpkg.api.packages import remove, verify
from orbitpkg.api.publish import publish
from orbitpkg.errors import NotInstalled
from orbitpkg.store.garbage import Policy
from tests.packages import make_package, noise, tree_of
from tests.torture.failures import all_failures
from tests.torture.scale import sample, tally
from tests.torture.tracing import victim

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from orbitpkg.store.package import Package
    from tests.torture.tracing import Result, Victim

Tree = dict[str, tuple[bytes, bool]]

# One file of each kind: in several chunks, with a blob, without one, empty, executable, in nested directories.
FIRST = {
    "weights.bin": noise(1_500_000),
    "blob.bin": noise(50_000, seed=1),
    "a/b/small": b"small",
    "empty": b"",
    "run.sh": b"#!/bin/sh\n",
}
SECOND = FIRST | {"weights.bin": FIRST["weights.bin"][:-1000] + noise(2000, seed=2), "new.bin": noise(40_000, seed=3)}
# So many that they are synced by one call for the file system.
THIRD = FIRST | {f"many/{number}": str(number).encode() for number in range(40)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """A command, and what there was before it.

    Attributes:
        before: Commands that were done.
        words: The command.
        after: What is installed when it is done.
        untouched: What was installed before and is not what the command is about.
        mode: Of the home folder.
    """

    before: Sequence[Sequence[str]]
    words: Sequence[str]
    after: Sequence[str]
    untouched: Sequence[str] = ()
    mode: int = 0o700


SCENES = {
    "install": Scene(before=[], words=["install", "model==1.0.0"], after=["1.0.0"]),
    "install-shared": Scene(before=[], words=["install", "model==1.0.0"], after=["1.0.0"], mode=0o2770),
    "install-many": Scene(before=[], words=["install", "model==3.0.0"], after=["3.0.0"]),
    "install-some": Scene(
        before=[], words=["install", "model==1.0.0", "--only", "weights.bin", "--only", "a/**"], after=["1.0.0"]
    ),
    "install-rest": Scene(
        before=[["install", "model==1.0.0", "--only", "run.sh"]], words=["install", "model==1.0.0"], after=["1.0.0"]
    ),
    "upgrade": Scene(
        before=[["install", "model==1.0.0"]],
        words=["install", "model==2.0.0"],
        after=["1.0.0", "2.0.0"],
        untouched=["1.0.0"],
    ),
    "remove": Scene(
        before=[["install", "model==1.0.0"], ["install", "model==2.0.0"]],
        words=["remove", "model==1.0.0"],
        after=["2.0.0"],
        untouched=["2.0.0"],
    ),
    "gc": Scene(
        before=[["install", "model==1.0.0"], ["install", "model==2.0.0"]],
        words=["gc", "--keep-last", "1"],
        after=["2.0.0"],
        untouched=["2.0.0"],
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """Where scenes are played: a repository of three releases, and what each of them holds."""

    folder: Path
    repository: Path
    trees: Mapping[str, Tree]
    victim: Victim

    def words(self, words: Sequence[str]) -> list[str]:
        """Give the words of a command, with the repository if it takes one."""
        return [*words, "--repository", str(self.repository)] if words[0] == "install" else [*words]

    def home(self, name: str, scene: Scene) -> Path:
        """Make a home folder as it was before a scene."""
        template = self.folder / f"{name}-before"
        if not template.exists():
            template.mkdir()
            template.chmod(scene.mode)
            for words in scene.before:
                self.do(words, template)
        home = self.folder / "home"
        shutil.rmtree(home, ignore_errors=True)
        # With its hard links: what is a blob as well as a file must stay so.
        subprocess.run(["cp", "-a", template, home], check=True)
        return home

    def do(self, words: Sequence[str], home: Path) -> None:
        """Do a command here, undisturbed."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ORBITPKG_HOME", str(home))
            if words[0] == "gc":
                tidy(Policy(keep_last=1))
            elif words[0] == "remove":
                remove(words[1])
            else:
                only = [word for option, word in itertools.pairwise(words) if option == "--only"]
                install(words[1], repository=self.repository, only=only)

    def check(self, home: Path) -> list[Package]:
        """See that all that is visible is right, and that each file is whole; gives what is installed."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("ORBITPKG_HOME", str(home))
            packages = list_packages()
            for package in packages:
                tree = self.trees[package.version]
                there = {path: (data, run) for path, (data, run) in tree.items() if package.has_file(path)}
                assert tree_of(package.path) == there
                if package.is_complete:
                    assert there == tree
            assert [findings for _, findings in verify() if findings] == []
        return packages

    def check_and_finish(self, scene: Scene, home: Path) -> None:
        """Check that no data are lost or incomplete, and that the command now succeeds."""
        versions = [package.version for package in self.check(home)]
        assert set(scene.untouched) <= set(versions)
        try:
            self.do(scene.words, home)
        except NotInstalled:
            assert scene.words[0] == "remove"
        packages = self.check(home)
        assert [package.version for package in packages] == list(scene.after)
        if "--only" not in scene.words:
            assert all(package.is_complete for package in packages)
        # A release that is there in part, then wanted whole, is whole.
        for version in scene.after:
            self.do(["install", f"model=={version}"], home)
        assert all(package.is_complete for package in self.check(home))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    folder = tmp_path_factory.mktemp("stage")
    repository = folder / "repository"
    trees: dict[str, Tree] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ORBITPKG_HOME", str(folder / "publisher"))
        for version, files in (("1.0.0", FIRST), ("2.0.0", SECOND), ("3.0.0", THIRD)):
            source = make_package(folder / version, version=version, files=files)
            (source / "run.sh").chmod(0o755)
            publish(source, repository)
            trees[version] = tree_of(source)
    with victim(folder / "victim") as process:
        yield Stage(folder=folder, repository=repository, trees=trees, victim=process)


def points(stage: Stage, name: str, *, calls: frozenset[str] | None = None) -> list[tuple[str, int]]:
    """Give all calls at which a scene's command can be met: the call's name, and which of its kind."""
    scene = SCENES[name]
    counts = stage.victim.calls(stage.words(scene.words), stage.home(name, scene))
    return [
        (call, number)
        for call, count in sorted(counts.items())
        if calls is None or call in calls
        for number in range(1, count + 1)
    ]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("name", SCENES)
def test_a_kill_at_any_call_leaves_no_partial_work_and_the_next_run_succeeds(stage: Stage, name: str) -> None:
    scene, killed = SCENES[name], 0
    everywhere = points(stage, name)
    chosen = sample(everywhere, 6)
    with all_failures() as watch:
        for call, number in chosen:
            home = stage.home(name, scene)
            result = stage.victim.run(stage.words(scene.words), home, f"{call}:signal=KILL:when={number}")
            killed += result.killed
            with watch(f"killed at {call} number {number}: {result.output}"):
                assert result.killed or result.status == 0
                stage.check_and_finish(scene, home)
    tally(f"kills of {scene.words[0]}", killed)
    assert killed > 0


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("error", ["EIO", "ENOSPC"])
@pytest.mark.parametrize("name", SCENES)
def test_a_failure_at_any_call_is_named_and_leaves_no_partial_work(stage: Stage, name: str, error: str) -> None:
    scene, failed = SCENES[name], 0
    everywhere = points(stage, name)
    chosen = sample(everywhere, 6)
    with all_failures() as watch:
        for call, number in chosen:
            home = stage.home(name, scene)
            result = stage.victim.run(stage.words(scene.words), home, f"{call}:error={error}:when={number}")
            failed += result.status != 0
            with watch(f"{error} at {call} number {number}: {result.output}"):
                assert_clean(result, call)
                versions = [package.version for package in stage.check(home)]
                if result.status == 0:
                    assert versions == list(scene.after)
                stage.check_and_finish(scene, home)
    tally(f"calls of {scene.words[0]} failed by {error}", len(chosen))
    assert failed > 0


@pytest.mark.parametrize("error", ["EPERM", "EOPNOTSUPP", "ENOSYS", "EIO"])
def test_a_file_system_without_links_does(stage: Stage, error: str) -> None:
    """What systems say of a link there differs: EIO is a mount by FUSE's."""
    scene = SCENES["upgrade"]
    home = stage.home("upgrade", scene)
    result = stage.victim.run(stage.words(scene.words), home, f"?link,?linkat:error={error}")
    assert (result.status, [package.version for package in stage.check(home)]) == (0, ["1.0.0", "2.0.0"]), result.output
    shutil.rmtree(home / "store/v1/blobs")
    stage.do(["remove", "model==2.0.0"], home)
    result = stage.victim.run(stage.words(scene.words), home, f"?link,?linkat:error={error}")
    assert result.status == 0, result.output
    # A blob that shares nothing would take its size once more.
    assert [path for path in (home / "store/v1/blobs").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("error", ["ENOSYS", "ENOLCK", "EOPNOTSUPP", "EINVAL"])
def test_a_file_system_without_locks_does(stage: Stage, error: str) -> None:
    """NFS without its lock daemon says ENOLCK, Lustre mounted without them ENOSYS."""
    scene = SCENES["upgrade"]
    home = stage.home("upgrade", scene)
    result = stage.victim.run(stage.words(scene.words), home, f"flock:error={error}")
    assert (result.status, [package.version for package in stage.check(home)]) == (0, ["1.0.0", "2.0.0"]), result.output
    assert "flock" not in result.output


def assert_clean(result: Result, call: str) -> None:
    """Check that a failure is reported as an error message, without a traceback or the exit code of a bug."""
    assert result.status in {0, 1}
    assert "Traceback" not in result.output
    # The call that failed may be the one that says so, in another thread than the first that failed.
    if result.status and call != "write":
        assert "error" in result.output.lower()
