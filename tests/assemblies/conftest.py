"""Assemblies, stimulus sets and homes for the tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from orbitpkg.assemblies import NeuroidAssembly, StimulusSet

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["assembly", "home", "stimuli"]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return a separate ORBITPKG_HOME for each test."""
    folder = tmp_path / "the home"
    monkeypatch.setenv("ORBITPKG_HOME", str(folder))
    return folder


@pytest.fixture
def assembly() -> NeuroidAssembly:
    """Six presentations of three stimuli to two neurons, in one time bin."""
    return NeuroidAssembly(
        np.arange(12, dtype="f4").reshape(6, 2, 1),
        coords={
            "stimulus_id": ("presentation", ["n0", "n1", "né", "n0", "n1", "né"]),
            "repetition": ("presentation", [0, 0, 0, 1, 1, 1]),
            "neuroid_id": ("neuroid", ["A", "B"]),
            "region": ("neuroid", ["V4", "IT"]),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [170]),
        },
        dims=["presentation", "neuroid", "time_bin"],
        attrs={"lab": "Århus", "rate": 2.5, "is_public": True, "none": None, "table": pd.DataFrame({"x": [1]})},
    )


@pytest.fixture
def stimuli(tmp_path: Path) -> StimulusSet:
    """Three stimuli."""
    folder = tmp_path / "stimuli"
    folder.mkdir()
    names = {"n0": "a 0.png", "n1": "b.png", "né": "c.PNG"}
    for key, name in names.items():
        (folder / name).write_bytes(b"\x89PNG" + key.encode() * 9)
    table = StimulusSet({"stimulus_id": list(names), "kind": ["face", "house", "face"], "size": [1.5, 2.25, 3.0]})
    table.stimulus_paths = {key: folder / name for key, name in names.items()}
    return table
