"""Inspect netCDF files, classic or netCDF-4: dimensions, variables and groups."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.datasets.extraction.netcdf_structure import is_hdf5, read_structure
from orbitpkg.datasets.showing import Array, Node
from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from orbitpkg.datasets.extraction.netcdf_structure import Group, Variable

__all__ = ["describe", "open_array"]


def describe(path: Path) -> Node:
    """Describe the content of the file."""
    return _group("", read_structure(path))


def _group(name: str, group: Group) -> Node:
    sizes = (f"{each} = {size}{', may grow' * (each in group.unlimited)}" for each, size in group.dimensions.items())
    members = [_variable(each, variable) for each, variable in group.variables.items()]
    members += [_group(each, inner) for each, inner in group.groups.items()]
    attributes = to_object(group.attributes, what="The attribute").metadata
    return Node(name=name, kind="group", details=tuple(sizes), attributes=attributes, children=tuple(members))


def _variable(name: str, variable: Variable) -> Node:
    return Node(
        name=name,
        kind="array",
        shape=variable.shape,
        type=variable.type,
        bytes=None if variable.item_bytes is None else math.prod(variable.shape) * variable.item_bytes,
        details=(f"({', '.join(variable.dimensions)})", *([variable.compression] if variable.compression else [])),
        attributes=to_object(variable.attributes, what="The attribute").metadata,
    )


@contextmanager
def open_array(path: Path, name: str) -> Iterator[Array | None]:
    """Open a variable, or yield None if it does not exist. Missing values are read as NaN."""
    *groups, last = name.strip("/").split("/")
    place: Group | None = read_structure(path)
    for each in groups:
        place = None if place is None else place.groups.get(each)
    if place is None or last not in place.variables:
        yield None
        return
    xarray = require("xarray", extra="netcdf", what="Reading netCDF files")
    engine = "h5netcdf" if is_hdf5(path) else "scipy"
    with xarray.open_dataset(path, group="/".join(groups) or None, engine=engine, decode_times=False) as file:
        yield _Decoded(file.variables[last])


class _Decoded:
    """A variable as an array, with NaN for missing values."""

    def __init__(self, variable: Any) -> None:
        self._variable = variable
        self.shape: tuple[int, ...] = variable.shape
        self.dtype = variable.dtype

    def __getitem__(self, where: Any) -> Any:
        # Copy the data, because SciPy's arrays are views of the file, which will be closed.
        return self._variable[where].to_numpy().copy()
