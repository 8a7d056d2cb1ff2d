"""Every way in asks the policy: no release, and no file of one, becomes visible without its consent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api.install import install_all, plan_all
from orbitpkg.api.options import InstallOptions
from orbitpkg.api.project.lock import lock
from orbitpkg.api.project.sync import add, sync
from orbitpkg.cli import main
from orbitpkg.compat import sputnik
from orbitpkg.errors import ForbiddenFormat, OrbitError, ResolutionError
from orbitpkg.filesystem.orbit import OrbitFileSystem
from orbitpkg.installer import policy
from orbitpkg.installer.policy import Candidate, Policy
from tests.packages import archive_of, make_package

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine with an empty store, and a repository and an archive of one package that holds a pickle."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "config.toml"))
    for variable in ("ORBITPKG_REPOSITORY", "ORBITPKG_FORBID", "ORBITPKG_OFFLINE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ORBITPKG_REPOSITORY", (tmp_path / "models").as_uri())
    folder = make_package(tmp_path / "package")
    orbitpkg.publish(folder)
    archive_of(folder, tmp_path / "model.tar.zst")
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def _installed(_: Path) -> None:
    orbitpkg.install("model")


def _recorded(_: Path) -> None:
    plan_all(["model"])


def _locked(_: Path) -> None:
    Path("orbit.toml").write_text('requirements = ["model"]\n')
    lock()


def _synced(machine: Path) -> None:
    _locked(machine)
    sync()


def _nothing(_: Path) -> None:
    pass


def _from_command_line(*words: str) -> None:
    """Run the command line in this process; the error is the one that its exit code stands for."""
    code = main(list(words))
    if code:
        raise OrbitError(f"exit code {code}")


# What happened before, and the way in.
WAYS: dict[str, tuple[Callable[[Path], None], Callable[[Path], object]]] = {
    "install": (_nothing, lambda _: orbitpkg.install("model")),
    "install an archive": (_nothing, lambda machine: orbitpkg.install(machine / "model.tar.zst")),
    "install several": (_nothing, lambda _: install_all(["model==1.0.0"])),
    "plan": (_nothing, lambda _: plan_all(["model"])),
    "plan with an archive": (_nothing, lambda machine: plan_all([machine / "model.tar.zst"])),
    "install what is installed": (_installed, lambda _: orbitpkg.install("model==1.0.0")),
    "install what is installed, by name": (_installed, lambda _: orbitpkg.install("model")),
    "install what is installed, offline": (_installed, lambda _: orbitpkg.install("model", offline=True)),
    "plan what is installed": (_installed, lambda _: plan_all(["model==1.0.0"])),
    "install from cached records": (
        _recorded,
        lambda _: orbitpkg.install("model==1.0.0", offline=True),
    ),
    "install what is installed, command line": (_installed, lambda _: _from_command_line("install", "model==1.0.0")),
    "add": (_nothing, lambda _: add(["model"])),
    "sync": (_locked, lambda _: sync()),
    "sync, frozen": (_locked, lambda _: sync(frozen=True)),
    "sync what is installed": (_synced, lambda _: sync()),
    "sync what is installed, frozen": (_synced, lambda _: sync(frozen=True)),
    "use of a project": (_synced, lambda _: orbitpkg.project().package("model")),
    "list of a project's packages": (_synced, lambda _: orbitpkg.project().packages()),
    "orbit:// of a published release": (_nothing, lambda _: OrbitFileSystem().cat("model/data/model.pkl")),
    "orbit:// of an installed release": (_installed, lambda _: OrbitFileSystem().cat("model/data/model.pkl")),
    "open orbit://": (_installed, lambda _: OrbitFileSystem().open("model/data/model.pkl")),
    "Sputnik's install": (_nothing, lambda _: sputnik.install(None, None, "model")),
    "Sputnik's install of an archive": (
        _nothing,
        lambda machine: sputnik.install(None, None, machine / "model.tar.zst"),
    ),
    "Sputnik's install of what is installed": (_installed, lambda _: sputnik.install(None, None, "model")),
}
every_way = pytest.mark.parametrize("way", WAYS)


@every_way
def test_a_forbidden_format_is_refused_on_every_way_in(
    machine: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    prepare, enter = WAYS[way]
    prepare(machine)
    before = orbitpkg.packages()
    monkeypatch.setenv("ORBITPKG_FORBID", "pickle")
    with pytest.raises(OrbitError) as caught:
        enter(machine)
    assert isinstance(caught.value, ForbiddenFormat) or "exit code" in str(caught.value)
    assert [package.digest for package in orbitpkg.packages()] == [package.digest for package in before]


@every_way
def test_a_check_added_in_one_place_applies_on_every_way_in(
    machine: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    prepare, enter = WAYS[way]
    prepare(machine)

    def refuse_unsigned(_: Policy, candidate: Candidate) -> None:
        raise OrbitError(f"{candidate} is not signed.")

    monkeypatch.setattr(policy, "CHECKS", (*policy.CHECKS, refuse_unsigned))
    with pytest.raises(OrbitError, match=r"model==1\.0\.0 is not signed\.|exit code"):
        enter(machine)


@every_way
def test_releases_that_the_policy_allows_are_installed(machine: Path, way: str) -> None:
    prepare, enter = WAYS[way]
    prepare(machine)
    enter(machine)


def test_the_project_that_is_opened_decides_and_not_the_working_directory(machine: Path) -> None:
    _synced(machine)
    project = machine / "project" / "orbit.toml"
    project.write_text(f'forbid = ["pickle"]\n{project.read_text()}')
    opened = orbitpkg.project(machine / "project")
    with pytest.raises(ForbiddenFormat):
        opened.package("model")


def test_a_release_that_does_not_work_with_the_app_is_refused_by_sync(machine: Path) -> None:
    orbitpkg.publish(make_package(machine / "picky", name="picky", compatibility={"my-app": "<2"}))
    Path("orbit.toml").write_text('requirements = ["picky"]\n')
    lock()
    with pytest.raises(ResolutionError, match=r"picky 1\.0\.0 does not work with my-app 2\.0"):
        sync(frozen=True, apps=["my-app==2.0"])
    _, installed = sync(frozen=True, apps=["my-app==1.0"])
    assert [package.name for package in installed.new] == ["picky"]


def test_files_that_are_left_out_are_not_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORBITPKG_FORBID", "pickle")
    result = install_all(["model"], InstallOptions(only=("data/*.csv",)))
    assert result.packages[0].files() == ("data/labels.csv", "package.json")


def test_a_policy_and_a_candidate_cannot_be_changed() -> None:
    rules = Policy(forbidden=frozenset({"pickle"}))
    with pytest.raises(AttributeError, match="immutable"):
        rules.forbidden = frozenset()
    candidate = Candidate.of_package(orbitpkg.install("model"))
    with pytest.raises(AttributeError, match="immutable"):
        candidate.name = "other"
