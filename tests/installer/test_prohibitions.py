"""Formats that can run code are recognized by file name, and refused where a setting forbids them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

import orbitpkg
from orbitpkg.api.install import install, plan_all
from orbitpkg.api.options import InstallOptions
from orbitpkg.errors import ForbiddenFormat, ProjectError, UsageError
from orbitpkg.model.executables import executable_files, forbidden_files
from tests.packages import archive_of, make_package

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's file in the working directory, and a home folder of the test's own."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    for variable in ("ORBITPKG_REPOSITORY", "ORBITPKG_FORBID"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("ORBITPKG_CONFIG", str(tmp_path / "config.toml"))
    (tmp_path / "project").mkdir()
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project" / "orbit.toml"


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """An archive with a pickle."""
    return archive_of(make_package(tmp_path / "package"), tmp_path / "p.tar.zst")


@pytest.mark.parametrize(
    ("path", "form"),
    [("a/B.PKL", "pickle"), ("m.joblib", "joblib"), ("m.pt", "pytorch"), ("m.h5", "keras"), ("x.ipynb", "notebook"),
     ("pytorch_model.bin", "pytorch"), ("model.bin", None), ("pkl", None), ("m.safetensors", None)],
)  # fmt: skip
def test_formats_are_recognized_by_file_names(path: str, form: str | None) -> None:
    assert executable_files([path]) == ({form: (path,)} if form else {})


def test_forbidding_pickle_forbids_formats_that_contain_pickles() -> None:
    paths = ["a.pkl", "b.joblib", "c.pt", "d.h5"]
    assert list(forbidden_files(paths, ["pickle"])) == ["pickle", "joblib", "pytorch"]
    assert list(forbidden_files(paths, ["joblib"])) == ["joblib"]


@pytest.mark.parametrize("where", ["project", "user", "environment"])
def test_a_package_with_a_forbidden_file_is_refused(
    archive: Path, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    if where == "environment":
        monkeypatch.setenv("ORBITPKG_FORBID", "notebook, pickle")
    else:
        (project if where == "project" else tmp_path / "config.toml").write_text('forbid = ["pickle"]\n')
    with pytest.raises(ForbiddenFormat, match=r"forbidden format: data/model\.pkl \(pickle") as caught:
        orbitpkg.install(archive)
    assert caught.value.data["formats"] == {"pickle": ["data/model.pkl"]}
    assert orbitpkg.packages() == []
    assert orbitpkg.install(archive, only="data/*.csv").files() == ("data/labels.csv", "package.json")
    with pytest.raises(ForbiddenFormat):
        orbitpkg.install(archive)


def test_a_dry_run_refuses_forbidden_formats_too(archive: Path, project: Path) -> None:
    project.write_text('forbid = ["pickle"]\n')
    with pytest.raises(ForbiddenFormat, match=r"forbidden format: data/model\.pkl \(pickle"):
        plan_all([archive])
    ((_, plan),) = plan_all([archive], InstallOptions(only=("data/*.csv",)))
    assert {file.path for file in plan.files} == {"data/labels.csv", "package.json"}
    project.unlink()
    install(archive)
    project.write_text('forbid = ["pickle"]\n')
    for requirement in (archive, "model==1.0.0"):
        with pytest.raises(ForbiddenFormat):
            plan_all([requirement])


def test_packages_installed_by_another_project_are_refused_too(archive: Path, project: Path) -> None:
    install(archive)
    project.write_text('forbid = ["pickle"]\n')
    for requirement in (archive, "model==1.0.0"):
        with pytest.raises(ForbiddenFormat):
            orbitpkg.install(requirement)


def test_an_unknown_format_is_refused(archive: Path, project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project.write_text('forbid = ["pickel"]\n')
    with pytest.raises(ProjectError, match="unknown file format 'pickel'") as caught:
        orbitpkg.install(archive)
    assert caught.value.hint == "Did you mean pickle?"
    project.unlink()
    monkeypatch.setenv("ORBITPKG_FORBID", "everything")
    with pytest.raises(UsageError, match="ORBITPKG_FORBID"):
        orbitpkg.install(archive)
