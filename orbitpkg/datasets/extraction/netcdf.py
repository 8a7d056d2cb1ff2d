"""The metadata of a netCDF file (classic or netCDF-4): its global attributes, dimensions and variable names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.datasets.extraction.netcdf_structure import read_structure

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.extraction.extracted import Extracted

__all__ = ["read_globals"]


def read_globals(path: Path) -> Extracted:
    """Read global attributes, ``dimensions`` (lengths by name) and ``variables`` (names) of the root group.

    Raises:
        MissingExtra: A required library is not installed.
        Exception: The file is not a valid netCDF file. The libraries raise various exceptions.
    """
    root = read_structure(path)
    # An attribute named "dimensions" or "variables" takes precedence.
    values = {"dimensions": dict(root.dimensions), "variables": list(root.variables), **root.attributes}
    return to_object(values, what="The attribute")
