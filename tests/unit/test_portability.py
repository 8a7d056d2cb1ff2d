"""orbitpkg where it is not a folder of files, and its values in other processes."""

from __future__ import annotations

import copy
import importlib
import json
import multiprocessing
import pickle
import pkgutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import pytest

import orbitpkg
from orbitpkg.errors import ManifestError, OrbitError, Problem
from tests.packages import make_package, tree_of

if TYPE_CHECKING:
    from collections.abc import Iterator

Value = TypeVar("Value")
SOURCE = Path(orbitpkg.__file__).parent


def error_classes(root: type[OrbitError] = OrbitError) -> Iterator[type[OrbitError]]:
    """Yield every class of error in the package, imported or not."""
    if root is OrbitError:
        for module in pkgutil.walk_packages([str(SOURCE)], "orbitpkg."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
        yield root
    for kind in root.__subclasses__():
        if kind.__module__.startswith("orbitpkg."):
            yield kind
            yield from error_classes(kind)


def example(kind: type[OrbitError]) -> OrbitError:
    """Return an error of a class with all that an error can carry."""
    if issubclass(kind, ManifestError):
        return kind("package.json", [Problem("/name", "is missing", "add one", 3)])
    error = kind("It failed.", hint="Do this.", path="a/b", count=3)
    error.add_note("a note")
    return error


def pickled(value: Value, protocol: int = pickle.DEFAULT_PROTOCOL) -> Value:
    """Return what another process gets of a value."""
    again: Value = pickle.loads(pickle.dumps(value, protocol))  # noqa: S301 - just pickled here
    return again


def facts(error: OrbitError) -> dict[str, object]:
    """Return everything that an error tells its readers."""
    return {"text": str(error), "arguments": error.args, "code": error.code, **vars(error)}


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_error_survives_pickling(protocol: int) -> None:
    kinds = sorted(set(error_classes()), key=lambda kind: kind.__qualname__)
    assert len(kinds) > 50
    for kind in kinds:
        error = example(kind)
        again = pickled(error, protocol)
        assert type(again) is kind
        assert facts(again) == facts(error)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_every_error_can_be_copied(copied: object) -> None:
    assert callable(copied)
    for kind in set(error_classes()):
        error = example(kind)
        assert facts(copied(error)) == facts(error)


def build_broken(folder: str) -> object:
    """Fail with a manifest error in a worker."""
    return orbitpkg.build(folder, folder)


@pytest.mark.timeout(60)
def test_the_error_of_a_worker_reaches_the_parent_process(tmp_path: Path) -> None:
    (tmp_path / "package.json").write_text(json.dumps({"name": "x"}))
    with multiprocessing.get_context("spawn").Pool(1) as pool, pytest.raises(ManifestError) as caught:
        pool.apply(build_broken, (str(tmp_path),))
    assert [problem.pointer for problem in caught.value.problems] == ["", ""]
    assert caught.value.hint is None
    assert caught.value.data["problems"] == [problem.to_dict() for problem in caught.value.problems]


def test_packages_and_projects_survive_pickling_and_copying(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    run = [sys.executable, "-m", "orbitpkg"]
    make_package(tmp_path / "model")
    project = tmp_path / "project"
    project.mkdir()
    for words in (
        ["publish", str(tmp_path / "model"), "--repository", str(tmp_path / "repository")],
        ["repo", "add", "main", str(tmp_path / "repository")],
        ["add", "model"],
    ):
        subprocess.run([*run, *words], cwd=project, check=True, capture_output=True)
    package, opened = orbitpkg.package("model"), orbitpkg.project(project)
    assert package.contents
    for again in (pickled(package), copy.copy(package), copy.deepcopy(package)):
        assert again == package
        assert again.files() == package.files()
        assert again.read_bytes("empty") == b""
    for same in (pickled(opened), copy.copy(opened), copy.deepcopy(opened)):
        assert same.lock == opened.lock
        assert same.package("model") == package
    assert pickled(opened.lock) == opened.lock


def test_orbitpkg_works_from_a_zip_archive(tmp_path: Path) -> None:
    archive = tmp_path / "orbitpkg.zip"
    schemas = next(path for path in (SOURCE / "schemas", SOURCE.parent / "schemas") if path.is_dir())
    with zipfile.ZipFile(archive, "w") as packed:
        for path in SOURCE.rglob("*"):
            if path.is_file() and path.suffix in {".py", ".json", ".typed"}:
                packed.write(path, Path("orbitpkg") / path.relative_to(SOURCE))
        for path in schemas.iterdir():
            packed.write(path, f"orbitpkg/schemas/{path.name}")
    make_package(tmp_path / "model")
    program = (
        f"import sys; sys.path.insert(0, {str(archive)!r}); import orbitpkg; assert '.zip' in orbitpkg.__file__; "
        "from orbitpkg.cli import main; sys.argv[0] = 'orbitpkg'; sys.exit(main())"
    )
    for words in (
        ["validate", "model"],
        ["publish", "model", "--repository", "./repository"],
        ["install", "model", "--repository", "./repository"],
        ["verify"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *words],
            cwd=tmp_path,
            env={"ORBITPKG_HOME": str(tmp_path / "home"), "PATH": "", "HOME": str(tmp_path)},
            check=False,
            capture_output=True,
            text=True,
        )
        assert (done.returncode, done.stderr if done.returncode else "") == (0, "")
    assert tree_of(tmp_path / "home/store/v1/packages/model/1.0.0/files") == tree_of(tmp_path / "model")
