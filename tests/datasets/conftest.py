"""What tests of datasets share: a home of their own, and a repository in a folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orbitpkg.datasets.dataset import create_dataset

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.dataset import Dataset

__all__ = ["home", "recordings"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Set a separate home directory for each test, and no repository in the environment."""
    monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ORBITPKG_REPOSITORY", raising=False)
    monkeypatch.delenv("ORBITPKG_OFFLINE", raising=False)
    return tmp_path / "home"


@pytest.fixture
def recordings(tmp_path: Path) -> Dataset:
    """An empty dataset in a folder."""
    return create_dataset("recordings", (tmp_path / "repository").as_uri())
