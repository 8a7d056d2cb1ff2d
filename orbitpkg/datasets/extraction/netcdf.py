"""The metadata of a netCDF file (classic or netCDF-4): its global attributes, dimensions and variables' names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.datasets.extraction.netcdf_structure import read_structure

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.extraction import Extracted

__all__ = ["read_globals"]


def read_globals(path: Path) -> Extracted:
    """Read global attributes, ``dimensions`` (lengths by name) and ``variables`` (names) of the root group.

    Raises:
        MissingExtra: What reads it is not installed.
        Exception: Whatever the libraries raise for a file that is none of netCDF, or a broken one.
    """
    root = read_structure(path)
    # An attribute of such a name is what the file itself says.
    values = {"dimensions": dict(root.dimensions), "variables": list(root.variables), **root.attributes}
    return to_object(values, what="The attribute")
