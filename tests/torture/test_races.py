"""Many processes at once in one store and in one repository, with locks and without."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg.api.install import install
from orbitpkg.api.packages import packages, verify
from orbitpkg.api.publish import publish
from tests.packages import make_package, noise
from tests.torture.scale import scaled, tally

if TYPE_CHECKING:
    from collections.abc import Sequence

RACER = Path(__file__).with_name("racer.py")
PROCESSES, SECONDS = scaled(6, 32), scaled(2, 60)
# Takes a release's lock, says so, and keeps it.
HOLDER = """
import sys, time
from orbitpkg.api.search import released
from orbitpkg.config.repositories import home
from orbitpkg.store.store import Store
release = released("model==1.0.0", repository=sys.argv[1])
with Store(sys.argv[2]).lock(release):
    print("held", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Publish three releases of one package that share most data, and a package that is never changed."""
    shared = {"weights.bin": noise(1_200_000), "a/blob": noise(40_000, seed=1), "b/c/small": b"small"}
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        files = {**shared, "a/own": noise(60_000, seed=int(version[0])), "b/version": version.encode()}
        publish(make_package(tmp_path / version, version=version, files=files), tmp_path / "repository")
    publish(make_package(tmp_path / "kept", name="kept", files=shared), tmp_path / "repository")
    return tmp_path / "repository"


def ended(processes: Sequence[subprocess.Popen[str]]) -> list[str]:
    """Wait for processes, and give what each wrote; all must have ended well."""
    said = [process.communicate() for process in processes]
    failed = [err for process, (_, err) in zip(processes, said, strict=True) if process.returncode]
    assert not failed, "\n".join(failed)
    return [out for out, _ in said]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("locks", ["real", "none"])
def test_processes_that_install_remove_and_read_one_store_never_meet_half_a_file(
    repository: Path, home: Path, locks: str
) -> None:
    kept = install("kept", repository=repository)
    processes = [
        subprocess.Popen(
            [sys.executable, RACER, str(number), str(SECONDS), locks, str(repository)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(PROCESSES)
    ]
    done = [json.loads(out) for out in ended(processes)]
    assert [findings for _, findings in verify() if findings] == []
    for version in ("1.0.0", "2.0.0", "3.0.0"):
        assert install(f"model=={version}", repository=repository).is_complete
    assert [findings for _, findings in verify() if findings] == []
    assert kept in packages()
    assert [name for name in os.listdir(home / "store/v1/tmp") if not name.startswith("removed-")] == []
    refused = sum(count for counts in done for what, count in counts.items() if "refused" in what)
    turns = sum(counts["turns"] for counts in done)
    assert turns > PROCESSES
    tally(f"turns of {PROCESSES} processes in one store in {SECONDS} s ({locks} locks)", turns)
    tally("of those, refused since another had removed it", refused)


def test_the_lock_of_a_killed_process_blocks_no_other(repository: Path, home: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(repository), str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout
        assert holder.stdout.readline() == "held\n"
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert list((home / "store/v1/locks").iterdir()) != []
    assert install("model==1.0.0", repository=repository).is_complete
