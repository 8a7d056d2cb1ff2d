"""The structure of a netCDF file: its groups, dimensions and variables with their attributes, without the data.

h5netcdf reads netCDF-4, which is HDF5, and SciPy reads the classic formats. The netCDF4 library could read both, but it
bundles another HDF5 library, which has failed to open files in a process that also uses h5py, and it allocates as much
memory as a damaged file requests.
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
        shape: The length of each dimension.
        type: The numpy type of its values, or "text".
        item_bytes: The size of a value in bytes, or None for text.
        compression: The compression, or an empty string.
        attributes: Its attributes, as the libraries return them.
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
        attributes: Its attributes, as the libraries return them.
        dimensions: The lengths of its dimensions.
        unlimited: The names of unlimited dimensions.
        variables: Its variables.
        groups: Its subgroups.
    """

    attributes: Mapping[str, object]
    dimensions: Mapping[str, int]
    unlimited: frozenset[str]
    variables: Mapping[str, Variable]
    groups: Mapping[str, Group] = field(default_factory=dict)


def is_hdf5(path: Path) -> bool:
    """Return whether a file is netCDF-4, which is HDF5.

    Raises:
        OSError: The file cannot be read.
    """
    with path.open("rb") as file:
        return file.read(len(_HDF5_MAGIC)) == _HDF5_MAGIC


def read_structure(path: Path) -> Group:
    """Read the structure of a file.

    Raises:
        MissingExtra: A required library is not installed.
        Exception: The file is not a valid netCDF file. The libraries raise various exceptions.
    """
    return _read_hdf5(path) if is_hdf5(path) else _read_classic(path)


def _read_hdf5(path: Path) -> Group:
    library = require("h5netcdf", extra="netcdf", what=_WHAT)

    class File(library.File):  # type: ignore[misc, name-defined]
        """A file that could not be opened is not closed again, which would print a traceback to stderr."""

        def __init__(self) -> None:
            try:
                # Locking fails on some network file systems, and readers do not need it.
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
            # Only the variables know the length of the unlimited dimension.
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
