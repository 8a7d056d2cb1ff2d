"""Machines on which the tests run the command line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.cli.machine import Machine, write_package

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["furnished", "machine"]


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine without any packages. The name of its folder contains a space, as those of users often do."""
    folder = tmp_path / "a machine"
    folder.mkdir()
    return Machine(folder)


@pytest.fixture
def furnished(machine: Machine) -> Machine:
    """A machine on which ``tiny`` 1.0.0 is published and installed."""
    write_package(machine.folder / "tiny", description="Two small files", metadata={"task": "testing"}, license="MIT")
    machine.succeed("publish", "tiny")
    machine.succeed("install", "tiny")
    return machine
