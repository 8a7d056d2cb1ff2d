"""What a netCDF file is made of: groups, dimensions and variables with their attributes, without the data.

netCDF-4, which is HDF5, is read by h5netcdf; the classic formats by SciPy. netCDF4 would read both, but brings an HDF5
of its own, which has failed to open files in a process that h5py is in, and takes what memory a broken file asks for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Group", "Variable", "is_hdf5", "read_structure"]

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_WHAT = "Reading netCDF files"
_MAX_DEPTH = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Variable:
    """A variable.

    Attributes:
        dimensions: The names of its dimensions.
        shape: Its lengths.
        type: Of its values, in numpy's words, or "text".
        item_bytes: What a value takes; None for text.
        compression: How it is packed; empty when it is not.
        attributes: What is said of it, as the libraries give it.
    """

    dimensions: tuple[str, ...]
    shape: tuple[int, ...]
    type: str
    item_bytes: int | None
    compression: str = ""
    attributes: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """A group; the file itself is one.

    Attributes:
        attributes: What is said of it, as the libraries give it.
        dimensions: The lengths of its dimensions.
        unlimited: The names of those that may grow.
        variables: Its variables.
        groups: The groups in it.
    """

    attributes: Mapping[str, object]
    dimensions: Mapping[str, int]
    unlimited: frozenset[str]
    variables: Mapping[str, Variable]
    groups: Mapping[str, Group] = field(default_factory=dict)


def is_hdf5(path: Path) -> bool:
    """Tell whether a file is of netCDF-4, which is HDF5.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC


def read_structure(path: Path) -> Group:
    """Read what a file is made of.

    Raises:
        MissingExtra: What reads it is not installed.
        Exception: Whatever the libraries raise for a file that is none of netCDF, or a broken one.
    """
    return _read_hdf5(path) if is_hdf5(path) else _read_classic(path)


def _read_hdf5(path: Path) -> Group:
    library = require("h5netcdf", extra="netcdf", what=_WHAT)

    class File(library.File):  # type: ignore[misc, name-defined]
        """A file that is not closed, with a traceback on stderr, when it could not be opened."""

        def __init__(self) -> None:
            try:
                # Locks fail on some network file systems, and who only reads needs none.
                super().__init__(path, "r", locking=False)
            except BaseException:
                self._closed = True
                raise

    with File() as file:
        return _group(file, depth=0)


def _group(group: Any, *, depth: int) -> Group:
    if depth > _MAX_DEPTH:
        raise ValueError(f"its groups are nested more than {_MAX_DEPTH} levels deep")
    return Group(
        attributes=dict(group.attrs.items()),
        dimensions={name: dimension.size for name, dimension in group.dimensions.items()},
        unlimited=frozenset(name for name, dimension in group.dimensions.items() if dimension.isunlimited()),
        variables={name: _variable(variable) for name, variable in group.variables.items()},
        groups={name: _group(inner, depth=depth + 1) for name, inner in group.groups.items()},
    )


def _variable(variable: Any) -> Variable:
    dtype = variable.dtype
    is_text = getattr(dtype, "hasobject", True)
    return Variable(
        dimensions=tuple(variable.dimensions),
        shape=tuple(variable.shape),
        type="text" if is_text else str(dtype),
        item_bytes=None if is_text else dtype.itemsize,
        compression=str(variable.compression or ""),
        attributes=dict(variable.attrs.items()),
    )


def _read_classic(path: Path) -> Group:
    library = require("scipy.io", extra="netcdf", what=_WHAT)
    with library.netcdf_file(path, "r", mmap=True) as file:
        return Group(
            attributes=dict(file._attributes),  # noqa: SLF001 - the only word SciPy has for all of them
            # The length of the one that may grow is told by the variables alone.
            dimensions={name: _length(file, name, length) for name, length in file.dimensions.items()},
            unlimited=frozenset(name for name, length in file.dimensions.items() if length is None),
            variables={name: _classic_variable(variable) for name, variable in file.variables.items()},
        )


def _length(file: Any, name: str, length: int | None) -> int:
    if length is not None:
        return length
    lengths = (each.shape[each.dimensions.index(name)] for each in file.variables.values() if name in each.dimensions)
    return max(lengths, default=0)


def _classic_variable(variable: Any) -> Variable:
    dtype = variable.data.dtype
    return Variable(
        dimensions=tuple(variable.dimensions),
        shape=tuple(variable.shape),
        type=str(dtype.newbyteorder("=")),
        item_bytes=dtype.itemsize,
        attributes=dict(variable._attributes),  # noqa: SLF001 - the only word SciPy has for all of them
    )
