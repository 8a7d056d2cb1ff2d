"""What type checkers tell the users of orbitpkg: nothing about a right program, and every mistake of a wrong one."""

from __future__ import annotations

import ast
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
TOP = HERE.parents[1]
RIGHT, WRONG = HERE / "right.py", HERE / "wrong.py"
CACHE = TOP / ".mypy_cache" / "user_programs"
LAZY_PACKAGES = ("orbitpkg", "orbitpkg.remote", "orbitpkg.assemblies")
# xarray and pandas define what these take.
UNTYPED = {"DataAssembly.__init__", "package_stimulus_set"}

# A checker reads a good part of boto3's types the first time.
pytestmark = pytest.mark.timeout(600)


def mypy(program: Path, *options: str) -> set[tuple[int, str]]:
    """Check a program as its author would; returns the line and the code of each error."""
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--output=json", f"--cache-dir={CACHE}"]
    done = subprocess.run(
        [*command, *options, str(program)], cwd=HERE, capture_output=True, encoding="utf-8", check=False
    )
    found = [json.loads(line) for line in done.stdout.splitlines() if line]
    assert done.returncode in {0, 1}, done.stderr
    return {(each["line"], each["code"]) for each in found if each["severity"] == "error"}


def pyright(program: Path) -> set[tuple[int, str]]:
    """Check a program with pyright; returns the line and the rule of each error."""
    if shutil.which("node") is None:
        pytest.skip("node is not installed: apt-get install nodejs")
    pytest.importorskip("pyright", reason="pyright is not installed: pip install --group check")
    command = [sys.executable, "-m", "pyright", "--outputjson", "--pythonpath", sys.executable, str(program)]
    environment = {**os.environ, "PYRIGHT_PYTHON_IGNORE_WARNINGS": "1"}
    done = subprocess.run(command, cwd=HERE, capture_output=True, encoding="utf-8", check=False, env=environment)
    found = json.loads(done.stdout)["generalDiagnostics"]
    return {
        (each["range"]["start"]["line"] + 1, each["rule"])
        for each in found
        if each["severity"] == "error" and each.get("rule")
    }


def expected(checker: str) -> set[tuple[int, str]]:
    """Return the errors that the wrong program names for a checker."""
    found = set()
    for number, line in enumerate(WRONG.read_text(encoding="utf-8").splitlines(), start=1):
        named = re.search(rf"# .*\b{checker}: ([\w-]+(?:, [\w-]+)*)", line)
        found |= {(number, code) for code in named[1].split(", ")} if named is not None else set()
    return found


def test_a_right_program_has_no_errors_under_mypy_and_no_expression_of_unknown_type() -> None:
    assert mypy(RIGHT, "--disallow-any-expr") == set()


def test_mypy_finds_every_mistake() -> None:
    assert mypy(WRONG) == expected("mypy")


def test_a_right_program_has_no_errors_under_pyright() -> None:
    assert pyright(RIGHT) == set()


def test_pyright_finds_every_mistake() -> None:
    assert pyright(WRONG) == expected("pyright")


@pytest.mark.parametrize("package", LAZY_PACKAGES)
def test_type_checkers_see_the_names_that_are_imported_at_run_time(package: str) -> None:
    module = import_module(package)
    assert module.__file__ is not None
    (block,) = (node for node in ast.parse(Path(module.__file__).read_bytes()).body if isinstance(node, ast.If))
    seen = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert sorted(seen, key=str) == module.__all__
    for name, home in seen.items():
        assert getattr(module, str(name)) is getattr(import_module(str(home)), str(name))


def public_annotations(package: str) -> Iterator[tuple[str, str]]:
    """Yield the annotations of the public functions, classes and methods of a package, each with its place."""
    module = import_module(package)
    for name in module.__all__:
        public = getattr(module, name)
        members = {name: public} if inspect.isfunction(public) else {}
        if inspect.isclass(public):
            members = {f"{name}.{key}": value for key, value in vars(public).items() if key.strip("_") == key}
        for place, member in members.items():
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            for annotation in getattr(function, "__annotations__", {}).values():
                yield place, str(annotation)


@pytest.mark.parametrize("package", LAZY_PACKAGES)
def test_no_public_function_takes_or_returns_any(package: str) -> None:
    found = {place for place, annotation in public_annotations(package) if re.search(r"\bAny\b", annotation)}
    assert found - UNTYPED == set()
