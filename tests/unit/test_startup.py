"""What an app and a script wait for: the modules that are loaded, each of them on purpose.

The lists are whole. A module that is not in them has to earn its place here, in milliseconds.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Sequence

TOP = Path(__file__).resolve().parents[2]
OURS = "orbitpkg"

# The modules of orbitpkg.
PACKAGE = {"orbitpkg", "orbitpkg.lazy"}
STORE = {
    "orbitpkg.api",
    "orbitpkg.config",
    "orbitpkg.config.environment",
    "orbitpkg.config.home",
    "orbitpkg.errors",
    "orbitpkg.files",
    "orbitpkg.files.names",
    "orbitpkg.model",
    "orbitpkg.model.names",
    "orbitpkg.model.requirements",
    "orbitpkg.model.versions",
    "orbitpkg.store",
    "orbitpkg.store.layout",
    "orbitpkg.store.package",
}
USE = PACKAGE | STORE | {"orbitpkg.api.boundary", "orbitpkg.api.packages"}
VERSION = PACKAGE | {"orbitpkg._version", "orbitpkg.cli", "orbitpkg.cli.streams"}
QUICK = VERSION | STORE | {"orbitpkg.cli.quick"}
PATH = QUICK | {"orbitpkg.api.boundary", "orbitpkg.api.packages"}
UNCHANGED = QUICK | {
    "orbitpkg.api.unchanged",
    "orbitpkg.cli.layout",
    "orbitpkg.cli.terminal",
    "orbitpkg.config.discovery",
    "orbitpkg.escaping",
    "orbitpkg.files",
    "orbitpkg.files.reading",
    "orbitpkg.files.working",
    "orbitpkg.installer",
    "orbitpkg.installer.policy",
    "orbitpkg.model.executables",
    "orbitpkg.model.release_rules",
    "orbitpkg.model.wording",
    "orbitpkg.store.presence",
}
COMMAND = {
    "orbitpkg.cli.console",
    "orbitpkg.cli.exit_codes",
    "orbitpkg.cli.process",
    "orbitpkg.cli.layout",
    "orbitpkg.cli.options",
    "orbitpkg.cli.program",
    "orbitpkg.cli.terminal",
    "orbitpkg.cli.installed",
    "orbitpkg.escaping",
    "orbitpkg.model.jsontext",
    "orbitpkg.model.wording",
}
# Packages of others, by their top-level name.
CLICK = {"click"}
# Modules of the standard library that take a millisecond or more.
SLOW = {
    *("asyncio", "contextlib", "ctypes", "dataclasses", "difflib", "hashlib", "importlib", "inspect", "logging"),
    *("subprocess", "tempfile", "threading", "tomllib", "typing"),
}

SHOW = "import json, sys; sys.stdout.write('\\n' + json.dumps(sorted(sys.modules)))"


def loaded_by(program: str, environment: dict[str, str] | None = None) -> set[str]:
    """Run a program in a new interpreter. Return the modules it imported beyond those of the start."""
    before, after = (_modules(text, environment) for text in ("", program))
    return after - before


def _modules(program: str, environment: dict[str, str] | None) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", f"{program}\n{SHOW}"],
        env={**os.environ, "PYTHONPATH": str(TOP), **(environment or {})},
        cwd=tempfile.gettempdir(),
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def ours(modules: set[str]) -> set[str]:
    """Return the modules of orbitpkg."""
    return {name for name in modules if name.split(".")[0] == OURS}


def foreign(modules: set[str]) -> set[str]:
    """Return the tops of what is neither orbitpkg's nor Python's."""
    tops = {name.split(".")[0] for name in modules}
    return {top for top in tops - set(sys.stdlib_module_names) - {OURS} if not top.startswith("__")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a machine on which a package is installed."""
    root = tmp_path_factory.mktemp("startup")
    folder = root / "tiny"
    folder.mkdir()
    (folder / "model.bin").write_bytes(b"1")
    (folder / "package.json").write_text('{"name": "tiny", "version": "1.0.0", "include": ["*"]}')
    environment = {"ORBITPKG_HOME": str(root / "home")}
    for words in (["publish", str(folder)], ["install", "tiny"]):
        command = [sys.executable, "-m", "orbitpkg", *words]
        subprocess.run(command, env={**os.environ, **environment}, cwd=TOP, check=True, capture_output=True)
    return environment


def test_importing_orbitpkg_loads_two_modules() -> None:
    modules = loaded_by("import orbitpkg")
    assert ours(modules) == PACKAGE
    assert modules - PACKAGE <= {"__future__"}


def test_an_app_finds_its_file_without_packages_of_others(home: dict[str, str]) -> None:
    modules = loaded_by("import orbitpkg; orbitpkg.package('tiny').file_path('model.bin')", home)
    assert ours(modules) == USE
    assert foreign(modules) == set()
    assert modules & SLOW == set()


def test_a_named_version_and_a_later_package_load_no_more(home: dict[str, str]) -> None:
    first = "import orbitpkg; orbitpkg.package('tiny').file_path('model.bin')"
    assert loaded_by(f"{first}; orbitpkg.package('tiny==1.0.0').dir_path()", home) == loaded_by(first, home)


def command(*words: str) -> str:
    """Return a program that runs a command."""
    return f"from orbitpkg.cli import main; assert main({list(words)!r}) == 0"


def test_the_version_is_printed_without_click() -> None:
    modules = loaded_by(command("--version"))
    assert ours(modules) == VERSION
    assert modules - ours(modules) <= {"__future__"}


@pytest.mark.parametrize(
    ("words", "expected"),
    [(("path", "tiny", "model.bin"), PATH), (("install", "tiny==1.0.0"), UNCHANGED)],
    ids=["path", "install"],
)
def test_commands_that_scripts_run_often_do_not_load_click(
    words: Sequence[str], expected: set[str], home: dict[str, str]
) -> None:
    modules = loaded_by(command(*words), home)
    assert ours(modules) == expected
    assert foreign(modules) == set()
    assert modules & {*SLOW, "pathlib"} == set()


def test_another_form_of_path_loads_click_and_what_an_app_loads(home: dict[str, str]) -> None:
    modules = loaded_by(command("path", "tiny", "model.bin", "--json"), home)
    assert ours(modules) == PATH | COMMAND
    assert foreign(modules) == CLICK


@pytest.mark.parametrize("words", [("list",), ("files", "tiny"), ("--help",)], ids=" ".join)
def test_commands_about_what_is_installed_load_nothing_of_the_network(
    words: Sequence[str], home: dict[str, str]
) -> None:
    assert foreign(loaded_by(command(*words), home)) & {"boto3", "botocore", "obstore", "jsonschema", "tqdm"} == set()
