"""The metadata of a netCDF file (classic or netCDF-4): its global attributes, dimensions and variables' names.

netCDF-4, which is HDF5, is read by h5netcdf; the classic formats by netCDF4. netCDF4 would read both, but brings an
HDF5 of its own, which has failed to open files in a process that h5py is in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.extras import require

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.extraction import Extracted

__all__ = ["is_hdf5", "open_netcdf", "read_globals"]

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"


def read_globals(path: Path) -> Extracted:
    """Read global attributes, ``dimensions`` (lengths by name) and ``variables`` (names) of the root group.

    Raises:
        MissingExtra: What reads it is not installed.
        OSError: It is no netCDF file, or cut short.
    """
    with open_netcdf(path) as file:
        values = {
            "dimensions": {name: dimension.size for name, dimension in file.dimensions.items()},
            "variables": list(file.variables),
        }
        # An attribute of such a name is what the file itself says.
        values |= {name: file.getncattr(name) for name in file.ncattrs()}
    return to_object(values, what="The attribute")


def open_netcdf(path: Path) -> Any:
    """Open a file to read; returns a context manager of what is as ``netCDF4.Dataset`` is.

    Raises:
        MissingExtra: What reads it is not installed.
        OSError: It is no netCDF file, or cut short.
    """
    name = "h5netcdf.legacyapi" if is_hdf5(path) else "netCDF4"
    return require(name, extra="netcdf", what="Reading netCDF files").Dataset(path, "r")


def is_hdf5(path: Path) -> bool:
    """Tell whether a file is of netCDF-4, which is HDF5.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC
