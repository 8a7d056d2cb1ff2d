"""Assemblies as netCDF-4 files, and back. The same assembly gives the same bytes, however it was put together.

The layout is BrainIO's: one variable ``data`` and its coordinates in the root, without indexes, which netCDF cannot
hold; extras in groups of their own, each with a variable of its own. The root's attributes name the assembly and its
stimulus set (BrainIO Format Specification, "Data Assembly").

The bytes also depend on the versions of h5netcdf and HDF5, which the file names, and on the zlib that packs it.
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
_PACKED: Final = {"zlib": True, "complevel": 4}
# What h5netcdf, SciPy and xarray raise for files that are broken.
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
        assembly: With its coordinates and attributes; attributes that are tables, arrays or None are left out.
        path: The file.
        attributes: Of the file, beside those of the assembly.
        extras: Arrays of other dimensions, each for a group of its name.

    Raises:
        UsageError: netCDF cannot hold a coordinate or an attribute.
        StorageError: The disk does not take it.
    """
    for name in extras or {}:
        if not name or "/" in name or not name.isprintable():
            raise UsageError(f"{name!r} is not a valid name of an extra: it must be a valid netCDF group name.")
    _write(assembly, path, group=None, attributes=attributes or {})
    for name in sorted(extras or {}):
        _write((extras or {})[name], path, group=name, attributes={})


def _write(array: xr.DataArray, path: Path, *, group: str | None, attributes: Mapping[str, str]) -> None:
    table = _table_of(array)
    table.attrs = dict(sorted(attributes.items()))
    packed = {name: _PACKED for name, each in table.variables.items() if each.dtype.kind in _NUMBERS and each.ndim}
    try:
        with storage_errors(path, USER_FILE):
            table.to_netcdf(path, mode="w" if group is None else "a", group=group, engine=_ENGINE, encoding=packed)
    except (TypeError, ValueError) as error:
        raise UsageError(f"The assembly cannot be written as netCDF: {error}.") from error


def _table_of(array: xr.DataArray) -> xr.Dataset:
    """Give an array as plain variables, in an order that depends on their names alone."""
    flat = without_indexes(array)
    coordinates = {
        name: (flat.coords[name].dims, flat.coords[name].values, _attributes(flat.coords[name].attrs))
        for name in sorted(flat.coords, key=str)
    }
    variables: dict[Hashable, Any] = {DATA: (flat.dims, flat.values, _attributes(flat.attrs))}
    return xr.Dataset(variables, coords=coordinates)


def _attributes(attributes: Mapping[Any, object]) -> dict[str, object]:
    found = {str(name): _attribute(str(name), value) for name, value in sorted(attributes.items(), key=_by_name)}
    return {name: value for name, value in found.items() if value is not None}


def _by_name(item: tuple[object, object]) -> str:
    return str(item[0])


def _attribute(name: str, value: object) -> object:
    """Give an attribute's value as netCDF can hold it; None for what is left out."""
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
    """Read an assembly, whole, with the file's attributes and its own merged; its own count first.

    Raises:
        IntegrityError: It is no netCDF file, a damaged one, or one of several arrays.
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
    """Name the groups of a file that hold extras.

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
    """Choose what reads a file: netCDF-4 is HDF5, and the classic formats are not."""
    return _ENGINE if is_hdf5(path) else "scipy"
