"""What an API user sees of an error: one traceback that ends in one frame of orbitpkg, and no internal exception."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.packages import make_package

if TYPE_CHECKING:
    from collections.abc import Mapping

TOP = Path(__file__).resolve().parents[3]
CHAINED = ("During handling of the above exception", "direct cause of the following exception")

# A program, and the last line of its traceback.
FAILURES = {
    "install of an unknown package": ("orbitpkg.install('nope')", "PackageNotFound"),
    "install of an unknown version": ("orbitpkg.install('model==9.9.9')", "VersionNotFound"),
    "install of a range that nothing matches": ("orbitpkg.install('model>=9')", "VersionNotFound"),
    "install of an unsatisfiable package": ("orbitpkg.install('broken')", "VersionNotFound"),
    "install of an invalid requirement": ("orbitpkg.install('model=>1')", "UsageError"),
    "install for an invalid app": ("orbitpkg.install('model', app='a b')", "UsageError"),
    "install for an app that excludes it": ("orbitpkg.install('picky', app='my-app==2')", "ResolutionError"),
    "install of no such files": ("orbitpkg.install('model', only='nope/*')", "UsageError"),
    "install of a forbidden format": ("orbitpkg.install('model')", "ForbiddenFormat"),
    "install offline": ("orbitpkg.install('model', repository='https://models.invalid', offline=True)", "NotInstalled"),
    "install of a missing archive": ("orbitpkg.install('nope.tar.zst')", "StorageError"),
    "package that is not installed": ("orbitpkg.package('nope')", "NotInstalled"),
    "package with an invalid requirement": ("orbitpkg.package('model>>1')", "UsageError"),
    "package for an invalid app": ("orbitpkg.package('model', app='a b')", "UsageError"),
    "project without a lockfile": ("orbitpkg.project()", "LockfileError"),
    "publish of a directory without a manifest": ("orbitpkg.publish('.')", "ManifestError"),
    "publish of a missing directory": ("orbitpkg.publish('nope')", "StorageError"),
    "publish of other content": ("orbitpkg.publish('changed')", "ReleaseExists"),
    "lock without a project": ("from orbitpkg.api.project.lock import lock; lock()", "ProjectError"),
    "lock of an unknown package": ("from orbitpkg.api.project.sync import add; add(['nope'])", "PackageNotFound"),
    "lock of conflicting requirements": (
        "from orbitpkg.api.project.sync import add; add(['needy', 'model<1'])",
        "ResolutionError",
    ),
}


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A machine with a repository of a few packages, and a folder of another package of the same version."""
    root = tmp_path_factory.mktemp("tracebacks")
    (root / "work").mkdir()
    make_package(root / "model")
    make_package(root / "broken", name="broken", dependencies={"model": ">=9"})
    make_package(root / "needy", name="needy", dependencies={"model": ">=1"})
    make_package(root / "old", version="0.9.0")
    make_package(root / "picky", name="picky", compatibility={"my-app": "<2"})
    make_package(root / "work" / "changed", files={"other": b"content"})
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ORBITPKG_")},
        "ORBITPKG_HOME": str(root / "home"),
        "ORBITPKG_CONFIG": str(root / "config.toml"),
        "ORBITPKG_REPOSITORY": (root / "models").as_uri(),
        "PYTHONPATH": str(TOP),
        "WORK": str(root / "work"),
    }
    for name in ("model", "broken", "needy", "old", "picky"):
        run(f"orbitpkg.publish({str(root / name)!r})", environment)
    return environment


def run(statement: str, environment: Mapping[str, str]) -> str:
    """Run a statement as a script of a user, and return what it prints to its standard error."""
    program = f"import orbitpkg\n{statement}\n"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=dict(environment),
        cwd=environment["WORK"],
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stderr


@pytest.mark.parametrize("name", FAILURES)
def test_a_traceback_ends_in_one_frame_of_ours_and_shows_no_internal_exception(
    environment: dict[str, str], name: str
) -> None:
    statement, error = FAILURES[name]
    forbid = {"ORBITPKG_FORBID": "pickle"} if error == "ForbiddenFormat" else {}
    printed = run(statement, {**environment, **forbid})
    frames = [line for line in printed.splitlines() if line.startswith("  File ")]
    ours = [frame for frame in frames if f"{TOP}{os.sep}orbitpkg" in frame]
    assert f"orbitpkg.errors.{error}: " in printed, printed
    assert not any(text in printed for text in CHAINED), printed
    assert len(ours) == 1, printed
