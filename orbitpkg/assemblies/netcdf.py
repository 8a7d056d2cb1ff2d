"""Read and write assemblies as netCDF-4 files. Equal assemblies produce identical bytes.

The layout is BrainIO's (BrainIO Format Specification, "Data Assembly"): the root holds one variable ``data`` and its
coordinates, without indexes, which netCDF cannot represent. Each extra is the variable of a separate group. Attributes
of the root name the assembly and its stimulus set.

The bytes also depend on the versions of h5netcdf and HDF5, which the file records, and on the zlib library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
import xarray as xr

from orbitpkg.assemblies.arrays import without_indexes
from orbitpkg.datasets.extraction.netcdf_structure import is_hdf5
from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.files.errors import USER_FILE, storage_errors

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from pathlib import Path

__all__ = ["DATA", "read_groups", "read_netcdf", "write_netcdf"]

DATA: Final = "data"
"""The variable that holds the measurements."""

_ENGINE: Final = "h5netcdf"
_COMPRESSED: Final = {"zlib": True, "complevel": 4}
# The exceptions of h5netcdf, SciPy and xarray for damaged files.
_FAILURES: Final = (OSError, ValueError, LookupError, RuntimeError, TypeError, EOFError)
_NUMBERS: Final = "biufMm"


def write_netcdf(
    assembly: xr.DataArray,
    path: Path,
    *,
    attributes: Mapping[str, str] | None = None,
    extras: Mapping[str, xr.DataArray] | None = None,
) -> None:
    """Write an assembly to a new file.

    Args:
        assembly: The assembly. Attributes that are tables, xarray arrays or None are omitted.
        path: The file.
        attributes: Attributes of the file, in addition to those of the assembly.
        extras: Arrays with other dimensions, by the names of their groups.

    Raises:
        UsageError: netCDF cannot represent a coordinate or an attribute.
        StorageError: The file cannot be written.
    """
    for name in extras or {}:
        if not name or "/" in name or not name.isprintable():
            raise UsageError(f"{name!r} is not a valid name for an extra: it must be a valid netCDF group name.")
    _write(assembly, path, group=None, attributes=attributes or {})
    for name in sorted(extras or {}):
        _write((extras or {})[name], path, group=name, attributes={})


def _write(array: xr.DataArray, path: Path, *, group: str | None, attributes: Mapping[str, str]) -> None:
    table = _to_dataset(array)
    table.attrs = dict(sorted(attributes.items()))
    compressed = {
        name: _COMPRESSED for name, each in table.variables.items() if each.dtype.kind in _NUMBERS and each.ndim
    }
    try:
        with storage_errors(path, USER_FILE):
            table.to_netcdf(path, mode="w" if group is None else "a", group=group, engine=_ENGINE, encoding=compressed)
    except (TypeError, ValueError) as error:
        raise UsageError(f"The assembly cannot be written as netCDF: {error}.") from error


def _to_dataset(array: xr.DataArray) -> xr.Dataset:
    """Convert an array to plain variables, ordered by name."""
    flat = without_indexes(array)
    coordinates = {
        name: (flat.coords[name].dims, flat.coords[name].values, _convert_attributes(flat.coords[name].attrs))
        for name in sorted(flat.coords, key=str)
    }
    variables: dict[Hashable, Any] = {DATA: (flat.dims, flat.values, _convert_attributes(flat.attrs))}
    return xr.Dataset(variables, coords=coordinates)


def _convert_attributes(attributes: Mapping[Any, object]) -> dict[str, object]:
    found = {
        str(name): _convert_attribute(str(name), value) for name, value in sorted(attributes.items(), key=_name_of)
    }
    return {name: value for name, value in found.items() if value is not None}


def _name_of(item: tuple[object, object]) -> str:
    return str(item[0])


def _convert_attribute(name: str, value: object) -> object:
    """Convert an attribute to a type that netCDF supports. None if it is omitted."""
    from pandas import DataFrame

    if value is None or isinstance(value, (DataFrame, xr.DataArray, xr.Dataset)):
        return None
    if isinstance(value, (bool, np.bool_)):
        return int(value)
    if isinstance(value, (str, int, float, np.number, np.str_)):
        return value
    try:
        array = np.asarray(value)
    except ValueError:
        array = np.empty((0, 0))
    if array.ndim != 1 or array.dtype.kind not in "iufU":
        raise UsageError(
            f"The attribute {name!r} is a {type(value).__name__}, but netCDF supports only strings, numbers and lists.",
            hint="Encode it as JSON, or omit it.",
        )
    return array.tolist() if array.dtype.kind == "U" else array


def read_netcdf(path: Path, *, group: str | None = None) -> xr.DataArray:
    """Read a whole assembly, with the attributes of the file. The assembly's own attributes take precedence.

    Raises:
        IntegrityError: The file is damaged or not netCDF, or contains several arrays.
    """
    try:
        with xr.open_dataset(path, group=group, engine=_engine_of(path)) as table:
            table.load()
    except _FAILURES as error:
        raise _unreadable(path, error) from error
    names = list(table.data_vars)
    if DATA not in names and len(names) != 1:
        raise IntegrityError(f"{path} contains {len(names)} arrays, none of which is named {DATA!r}.")
    array = table[DATA if DATA in names else names[0]]
    array.attrs = {**table.attrs, **array.attrs}
    return array


def read_groups(path: Path) -> list[str]:
    """List the groups of a file that contain extras.

    Raises:
        IntegrityError: The file is not a valid netCDF file.
    """
    if _engine_of(path) != _ENGINE:
        return []
    import h5netcdf

    try:
        with h5netcdf.File(path, "r") as file:
            return [name for name, group in file.groups.items() if group.variables]
    except _FAILURES as error:
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> IntegrityError:
    reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
    return IntegrityError(f"{path} cannot be read as netCDF: {reason}.", path=str(path))


def _engine_of(path: Path) -> str:
    """Return the xarray engine for a file. netCDF-4 files are HDF5; the classic formats are not."""
    return _ENGINE if is_hdf5(path) else "scipy"
