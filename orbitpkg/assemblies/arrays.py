"""Data assemblies: xarray arrays that carry all that is known about their rows and columns as coordinates.

The classes and their dimensions are BrainIO's. All coordinates along one dimension become one index of it, so that
``assembly.sel(region="IT")`` works for each of them.
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
    "class_named",
    "coordinates_along",
    "gather_indexes",
    "without_indexes",
]

A = TypeVar("A", bound=xr.DataArray)

# How many arguments DataArray takes before `fastpath`, through which it makes copies of itself.
_ORDINARY_ARGUMENTS: Final = 6


class DataAssembly(xr.DataArray):
    """A coherent body of data. Takes what ``xarray.DataArray`` takes."""

    __slots__ = ()

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if kwargs.get("fastpath") or len(args) > _ORDINARY_ARGUMENTS:
            super().__init__(*args, **kwargs)
            return
        gathered = gather_indexes(xr.DataArray(*args, **kwargs))
        super().__init__(gathered)
        self.name = gathered.name
        self.attrs = gathered.attrs

    def validate(self) -> None:
        """Check that the dimensions are those of this class.

        Raises:
            UsageError: It has others.
        """
        if self._dimensions() and set(self.dims) not in self._dimensions():
            known = " or ".join(", ".join(sorted(map(str, each))) for each in self._dimensions())
            raise UsageError(
                f"A {type(self).__name__} must have the dimensions {known}, not {', '.join(map(str, self.dims))}."
            )

    @classmethod
    def _dimensions(cls) -> tuple[set[Hashable], ...]:
        """Give the sets of dimensions that it may have; none when any."""
        return ()


class BehavioralAssembly(DataAssembly):
    """What subjects, or models, did."""

    __slots__ = ()


class NeuroidAssembly(DataAssembly):
    """What neurons, or what stands for them in a model, did at each presentation of a stimulus."""

    __slots__ = ()

    @classmethod
    def _dimensions(cls) -> tuple[set[Hashable], ...]:
        return {"presentation", "neuroid"}, {"presentation", "neuroid", "time_bin"}


class NeuronRecordingAssembly(NeuroidAssembly):
    """What neurons did."""

    __slots__ = ()


class ModelFeaturesAssembly(NeuroidAssembly):
    """What the nodes of a model did."""

    __slots__ = ()


class PropertyAssembly(DataAssembly):
    """Properties of single neurons."""

    __slots__ = ()


class SpikeTimesAssembly(NeuronRecordingAssembly):
    """When spikes were."""

    __slots__ = ()

    @classmethod
    def _dimensions(cls) -> tuple[set[Hashable], ...]:
        return ({"event"},)


class MetadataAssembly(DataAssembly):
    """What is known about another assembly, in other dimensions than its."""

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
"""The classes, by the names that catalogues have for them."""


def class_named(name: str) -> type[DataAssembly]:
    """Find a class by its name.

    Raises:
        UsageError: It does not exist.
    """
    if name in CLASSES:
        return CLASSES[name]
    close = nearest(name, CLASSES, n=1)
    raise UsageError(
        f"Unknown assembly class {name!r}.",
        hint=f"Did you mean {close[0]}?" if close else f"The classes are {', '.join(CLASSES)}.",
    )


def coordinates_along(array: xr.DataArray, dimension: Hashable) -> list[Hashable]:
    """Name the coordinates along one dimension, without the index that they may be gathered in, in their order."""
    return [name for name, each in array.coords.items() if each.dims == (dimension,) and not _is_gathered(array, name)]


def gather_indexes(array: A) -> A:
    """Make the coordinates along each dimension one index of it."""
    for dimension in array.dims:
        names = [name for name in coordinates_along(array, dimension) if name != dimension]
        loose = [name for name in names if name not in array.xindexes]
        if not loose:
            continue
        if len(names) == 1 and dimension not in array.coords:
            array = array.set_xindex([names[0]])
        else:
            array = _gathered(array, dimension, names)
    return array


def _gathered(array: A, dimension: Hashable, names: list[Hashable]) -> A:
    if dimension in array.coords and not _is_gathered(array, dimension):
        # A coordinate of the dimension's own name cannot be a level of its index.
        return array
    flat = without_indexes(array, only=dimension)
    indexes: dict[Any, Any] = {dimension: names}
    return flat.set_index(indexes)


def without_indexes(array: A, *, only: Hashable | None = None) -> A:
    """Make coordinates of the indexes that they were gathered in, on all dimensions or only one."""
    for dimension in array.dims:
        if only in (None, dimension) and _is_gathered(array, dimension):
            array = array.reset_index(dimension)
    singles = [name for name in array.xindexes if name not in array.dims and only in (None, array.coords[name].dims[0])]
    return array.drop_indexes(singles) if singles else array


def _is_gathered(array: xr.DataArray, name: Hashable) -> bool:
    """Tell whether a coordinate is the tuples of several others."""
    from pandas import MultiIndex

    return name in array.dims and name in array.indexes and isinstance(array.indexes[name], MultiIndex)
