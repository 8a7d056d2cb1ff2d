"""A missing library of an extra is named with the command that installs it; a broken one is reported as broken."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import MissingExtra
from orbitpkg.extras import require

if TYPE_CHECKING:
    from pathlib import Path


def test_an_installed_library_is_returned() -> None:
    assert require("json.decoder", extra="x", what="Reading").__name__ == "json.decoder"


@pytest.mark.parametrize("module", ["acme_no_such", "acme_no_such.part", "json.no_such"])
def test_one_that_is_missing_is_named_with_its_extra(module: str) -> None:
    with pytest.raises(MissingExtra) as caught:
        require(module, extra="hdf5", what="Reading HDF5 files")
    library = module.partition(".")[0]
    assert caught.value.message == f"Reading HDF5 files needs {library}, which is not installed."
    assert caught.value.hint == "To install it: pip install 'orbitpkg[hdf5]'"
    assert caught.value.data == {"extra": "hdf5", "module": module}


def test_one_that_lacks_a_dependency_reports_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "acme_broken.py").write_text("import acme_no_such_either\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(ModuleNotFoundError, match="acme_no_such_either"):
        require("acme_broken", extra="x", what="Reading")
