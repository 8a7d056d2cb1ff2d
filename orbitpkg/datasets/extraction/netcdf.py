"""The metadata of a netCDF file (classic or netCDF-4): its global attributes, dimensions and variables' names."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.extras import require

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.extraction import Extracted

__all__ = ["read_globals"]


def read_globals(path: Path) -> Extracted:
    """Read global attributes, ``dimensions`` (lengths by name) and ``variables`` (names) of the root group.

    Raises:
        MissingExtra: netCDF4 is not installed.
        OSError: It is no netCDF file, or cut short.
    """
    library = require("netCDF4", extra="netcdf", what="Reading netCDF files")
    with library.Dataset(path, "r") as file:
        values = {
            "dimensions": {name: len(dimension) for name, dimension in file.dimensions.items()},
            "variables": list(file.variables),
        }
        # An attribute of such a name is what the file itself says.
        values |= {name: file.getncattr(name) for name in file.ncattrs()}
    return to_object(values, what="The attribute")
