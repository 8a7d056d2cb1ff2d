"""What every test may use, and the environment that every test starts in."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["pytest_plugins"]

pytest_plugins = ["tests.servers.fixtures"]

# Their tests are marked as slow: they start servers, kill processes at many points, or run whole tools.
SLOW = (
    "assemblies/test_workflows.py",
    "bad_inputs/test_costs.py",
    "cli/test_samples.py",
    "compat/test_importing.py",
    "compat/test_readmes.py",
    "compat/test_repositories.py",
    "datasets/test_object_stores.py",
    "datasets/test_walks.py",
    "remote/test_calls.py",
    "remote/test_offline.py",
    "remote/test_sync.py",
    "remote/test_sync_faults.py",
    "repository/test_policy.py",
    "servers/",
    "torture/",
    "typing/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the slow tests."""
    tests = Path(__file__).parent
    for item in items:
        if item.path.relative_to(tests).as_posix().startswith(SLOW):
            item.add_marker(pytest.mark.slow)


@pytest.fixture(scope="session", autouse=True)
def _own_environment() -> Iterator[None]:
    """Keep the tests and the settings of the user who runs them apart, in both directions."""
    home = tempfile.mkdtemp(prefix="orbitpkg-home-")
    for name in list(os.environ):
        if name.startswith(("AWS_", "XDG_")) or (name.startswith("ORBITPKG_") and name not in _KEPT):
            del os.environ[name]
    os.environ["HOME"] = home
    # A shell starts background jobs with SIGINT ignored, and commands under test would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(autouse=True)
def _no_user_settings_of_another_test() -> Iterator[None]:
    """Delete the user's settings that a test wrote: a repository in them would count in every later test."""
    yield
    shutil.rmtree(Path(os.environ["HOME"], ".config/orbitpkg"), ignore_errors=True)


# Set by the Makefile for the crash tests.
_KEPT = {"ORBITPKG_TORTURE", "ORBITPKG_TALLY"}
