"""What is in a netCDF file, classic or netCDF-4: dimensions, variables and groups."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.datasets.extraction.netcdf import is_hdf5, open_netcdf
from orbitpkg.datasets.showing import Array, Node
from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["describe", "open_array"]


def describe(path: Path) -> Node:
    """Tell what is in the file."""
    with open_netcdf(path) as file:
        return _group(file, "")


@contextmanager
def open_array(path: Path, name: str) -> Iterator[Array | None]:
    """Open a variable; None when there is none of this name. What is missing in it reads as NaN."""
    xarray = require("xarray", extra="netcdf", what="Reading netCDF files")
    group, _, last = name.strip("/").rpartition("/")
    engine = "h5netcdf" if is_hdf5(path) else "netcdf4"
    try:
        file = xarray.open_dataset(path, group=group or None, engine=engine, decode_times=False)
    except (OSError, KeyError):
        # So it says that there is no such group; a file that is broken is not opened by this either.
        with open_netcdf(path):
            yield None
        return
    with file:
        yield _Variable(file.variables[last]) if last in file.variables else None


class _Variable:
    """A variable as an array."""

    def __init__(self, variable: Any) -> None:
        self._variable = variable
        self.shape: tuple[int, ...] = variable.shape
        self.dtype = variable.dtype

    def __getitem__(self, where: Any) -> Any:
        return self._variable[where].to_numpy()


def _group(group: Any, name: str) -> Node:
    sizes = (f"{each} = {size.size}{', may grow' * size.isunlimited()}" for each, size in group.dimensions.items())
    members = [_variable(each, variable) for each, variable in group.variables.items()]
    members += [_group(inner, each) for each, inner in group.groups.items()]
    return Node(name=name, kind="group", details=tuple(sizes), attributes=_attributes(group), children=tuple(members))


def _variable(name: str, variable: Any) -> Node:
    is_text = variable.dtype is str
    return Node(
        name=name,
        kind="array",
        shape=variable.shape,
        type="text" if is_text else str(variable.dtype),
        bytes=None if is_text else math.prod(variable.shape) * variable.dtype.itemsize,
        details=(f"({', '.join(variable.dimensions)})", *_compression(variable)),
        attributes=_attributes(variable),
    )


def _compression(variable: Any) -> list[str]:
    filters = variable.filters() or {}
    return [name for name, is_on in filters.items() if is_on is True and name not in ("shuffle", "fletcher32")]


def _attributes(place: Any) -> Mapping[str, object]:
    values = {name: place.getncattr(name) for name in place.ncattrs()}
    return to_object(values, what="The attribute").metadata
