"""Data assemblies: xarray arrays whose coordinates describe their rows and columns.

The classes and their dimensions are BrainIO's. All coordinates along a dimension are combined into one index, which
makes each of them selectable: ``assembly.sel(region="IT")``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import xarray as xr

from orbitpkg.errors import UsageError
from orbitpkg.model.names import nearest

if TYPE_CHECKING:
    from collections.abc import Hashable

__all__ = [
    "CLASSES",
    "BehavioralAssembly",
    "DataAssembly",
    "MetadataAssembly",
    "ModelFeaturesAssembly",
    "NeuroidAssembly",
    "NeuronRecordingAssembly",
    "PropertyAssembly",
    "SpikeTimesAssembly",
    "combine_indexes",
    "find_class",
    "list_coordinates",
    "without_indexes",
]

A = TypeVar("A", bound=xr.DataArray)

# The number of positional arguments of DataArray before `fastpath`, which xarray sets when it copies an array.
_PUBLIC_ARGUMENTS: Final = 6


class DataAssembly(xr.DataArray):
    """An array of measurements. Accepts the arguments of ``xarray.DataArray``."""

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("fastpath") or len(args) > _PUBLIC_ARGUMENTS:
            super().__init__(*args, **kwargs)
            return
        combined = combine_indexes(xr.DataArray(*args, **kwargs))
        super().__init__(combined)
        self.name = combined.name
        self.attrs = combined.attrs

    def validate(self) -> None:
        """Check that the assembly has the dimensions that its class requires.

        Raises:
            UsageError: The dimensions differ.
        """
        if self._dimensions() and set(self.dims) not in self._dimensions():
            known = " or ".join(", ".join(sorted(map(str, each))) for each in self._dimensions())
            raise UsageError(
                f"A {type(self).__name__} must have the dimensions {known}, not {', '.join(map(str, self.dims))}."
            )

    @classmethod
    def _dimensions(cls) -> tuple[set[Hashable], ...]:
        """Return the allowed sets of dimensions. Empty if any dimensions are allowed."""
        return ()


class BehavioralAssembly(DataAssembly):
    """The behaviour of subjects or models."""

    __slots__ = ()


class NeuroidAssembly(DataAssembly):
    """The responses of neurons, or of units of a model, to each presentation of a stimulus."""

    __slots__ = ()

    @classmethod
    def _dimensions(cls) -> tuple[set[Hashable], ...]:
        return {"presentation", "neuroid"}, {"presentation", "neuroid", "time_bin"}


class NeuronRecordingAssembly(NeuroidAssembly):
    """Recorded responses of neurons."""

    __slots__ = ()


class ModelFeaturesAssembly(NeuroidAssembly):
    """The activations of a model's units."""

    __slots__ = ()


class PropertyAssembly(DataAssembly):
    """Properties of single neurons."""

    __slots__ = ()


class SpikeTimesAssembly(NeuronRecordingAssembly):
    """The times of spikes."""

    __slots__ = ()

    @classmethod
    def _dimensions(cls) -> tuple[set[Hashable], ...]:
        return ({"event"},)


class MetadataAssembly(DataAssembly):
    """Data about another assembly, with different dimensions."""

    __slots__ = ()


CLASSES: Final = {
    each.__name__: each
    for each in (
        DataAssembly,
        BehavioralAssembly,
        NeuroidAssembly,
        NeuronRecordingAssembly,
        ModelFeaturesAssembly,
        PropertyAssembly,
        SpikeTimesAssembly,
        MetadataAssembly,
    )
}
"""The classes by their names in catalogues."""


def find_class(name: str) -> type[DataAssembly]:
    """Return the class with a name.

    Raises:
        UsageError: No such class exists.
    """
    if name in CLASSES:
        return CLASSES[name]
    close = nearest(name, CLASSES, n=1)
    raise UsageError(
        f"Unknown assembly class {name!r}.",
        hint=f"Did you mean {close[0]}?" if close else f"The classes are {', '.join(CLASSES)}.",
    )


def list_coordinates(array: xr.DataArray, dimension: Hashable) -> list[Hashable]:
    """List the names of the coordinates along a dimension, in order, without the index that combines them."""
    return [name for name, each in array.coords.items() if each.dims == (dimension,) and not _is_combined(array, name)]


def combine_indexes(array: A) -> A:
    """Combine the coordinates along each dimension into one index."""
    for dimension in array.dims:
        names = [name for name in list_coordinates(array, dimension) if name != dimension]
        loose = [name for name in names if name not in array.xindexes]
        if not loose:
            continue
        if len(names) == 1 and dimension not in array.coords:
            array = array.set_xindex([names[0]])
        else:
            array = _combine(array, dimension, names)
    return array


def _combine(array: A, dimension: Hashable, names: list[Hashable]) -> A:
    if dimension in array.coords and not _is_combined(array, dimension):
        # xarray does not allow an index level with the name of its dimension.
        return array
    flat = without_indexes(array, only=dimension)
    indexes: dict[Any, Any] = {dimension: names}
    return flat.set_index(indexes)


def without_indexes(array: A, *, only: Hashable | None = None) -> A:
    """Split the indexes back into plain coordinates, along all dimensions or only one."""
    for dimension in array.dims:
        if only in (None, dimension) and _is_combined(array, dimension):
            array = array.reset_index(dimension)
    singles = [name for name in array.xindexes if name not in array.dims and only in (None, array.coords[name].dims[0])]
    return array.drop_indexes(singles) if singles else array


def _is_combined(array: xr.DataArray, name: Hashable) -> bool:
    """Return whether a coordinate is an index that combines others."""
    from pandas import MultiIndex

    return name in array.dims and name in array.indexes and isinstance(array.indexes[name], MultiIndex)
