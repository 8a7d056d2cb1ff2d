"""Inspect scientific files: list their groups and arrays with shapes, types, attributes and sizes, and open an array.

The supported formats are HDF5, netCDF (classic and 4), Parquet, safetensors, and NumPy's npz and npy. They are detected
by content instead of file name, except for safetensors. Only headers are read to describe a file, and nothing is ever
unpickled.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Protocol

from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.files.errors import READ, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager
    from pathlib import Path
    from types import ModuleType

__all__ = ["KINDS", "MAX_DEPTH", "Array", "Node", "Shown", "describe", "open_array"]

KINDS: Final = {
    "hdf5": "HDF5",
    "netcdf": "netCDF",
    "parquet": "Parquet",
    "safetensors": "safetensors",
    "numpy": "NumPy",
}
"""The display names of the supported formats, by the module that reads them."""

MAX_DEPTH: Final = 64
"""The maximum nesting depth of groups to describe."""

_HDF5_MAGIC = b"\x89HDF\r\n\x1a\n"
_STARTS = {
    b"CDF\x01": "netcdf",
    b"CDF\x02": "netcdf",
    b"CDF\x05": "netcdf",
    b"PAR1": "parquet",
    b"PK\x03\x04": "numpy",
    b"PK\x05\x06": "numpy",
    b"\x93NUMPY": "numpy",
}
_NETCDF_SUFFIXES = (".nc", ".nc4", ".cdf")
# HDF5 data can start at these offsets, after a user block (HDF5 File Format Specification, II.A).
_HDF5_OFFSETS = (0, 512, 1024, 2048, 4096)
_HEAD_BYTES = 8


class Array(Protocol):
    """An array in an open file. Indexing reads a part of it as a numpy array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """The length of each dimension."""

    @property
    def dtype(self) -> Any:
        """The numpy type."""

    def __getitem__(self, where: Any) -> Any:
        """Read a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """An object in a file, or the file itself.

    Attributes:
        name: The name in its group, or an empty string for the file.
        kind: "group", "array", "column" or "link".
        shape: The shape of an array, else None.
        type: The element type of an array, as numpy or the format names it, else an empty string.
        bytes: The size of the values in memory, or None if unknown.
        stored: The size of the values in the file, or None if unknown.
        details: Other facts in a few words each, such as dimensions, compression, or the target of a link.
        attributes: Its attributes, as JSON values.
        children: The objects in it, in file order.
    """

    name: str
    kind: str
    shape: tuple[int, ...] | None = None
    type: str = ""
    bytes: int | None = None
    stored: int | None = None
    details: tuple[str, ...] = ()
    attributes: Mapping[str, object] = field(default_factory=dict)
    children: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """The description of a file.

    Attributes:
        path: The path of the file.
        format: The name of its format.
        bytes: The size of the file.
        root: Its content.
    """

    path: Path
    format: str
    bytes: int
    root: Node


def describe(path: Path) -> Shown:
    """Describe the content of a file.

    Raises:
        UsageError: The format is not supported.
        IntegrityError: The file is damaged or truncated.
        StorageError: The file cannot be read.
        MissingExtra: The library that reads this format is not installed.
    """
    kind = _kind_of(path)
    with _broken_files_told(path, kind):
        root: Node = _reader(kind).describe(path)
    return Shown(path=path, format=KINDS[kind], bytes=path.stat().st_size, root=root)


@contextmanager
def open_array(path: Path, name: str) -> Iterator[Array]:
    """Open an array or a column in a file by name. An array in a group has a name such as ``observations/images``.

    Raises:
        UsageError: The format is not supported, or the array does not exist.
        IntegrityError: The file is damaged or truncated.
        StorageError: The file cannot be read.
        MissingExtra: The library that reads this format is not installed.
    """
    kind = _kind_of(path)
    with _broken_files_told(path, kind):
        opened: AbstractContextManager[Array | None] = _reader(kind).open_array(path, name)
        with opened as array:
            if array is None:
                raise UsageError(f"{path.name} has no array {name!r}.", hint="Omit --plot to list its arrays.")
            yield array


def _reader(kind: str) -> ModuleType:
    from importlib import import_module

    return import_module(f"orbitpkg.datasets.showing.{kind}")


def _kind_of(path: Path) -> str:
    with storage_errors(path, READ), path.open("rb") as file:
        if any(_reads_at(file, offset, _HDF5_MAGIC) for offset in _HDF5_OFFSETS):
            return "netcdf" if path.suffix.lower() in _NETCDF_SUFFIXES else "hdf5"
        file.seek(0)
        head = file.read(_HEAD_BYTES)
    for start, kind in _STARTS.items():
        if head.startswith(start):
            return kind
    if path.suffix.lower() == ".safetensors":
        return "safetensors"
    raise UsageError(
        f"The format of {path.name} is not supported.",
        hint=f"The supported formats are {', '.join(KINDS.values())}. They are detected by content.",
    )


def _reads_at(file: Any, offset: int, expected: bytes) -> bool:
    file.seek(offset)
    return bool(file.read(len(expected)) == expected)


@contextmanager
def _broken_files_told(path: Path, kind: str) -> Iterator[None]:
    """Translate the exceptions that libraries raise for damaged files to ``IntegrityError``."""
    # pyarrow raises ValueError and OSError; h5py, SciPy and zipfile raise all of these.
    from zipfile import BadZipFile
    from zlib import error as zlib_error

    try:
        yield
    except (OSError, ValueError, LookupError, RuntimeError, TypeError, EOFError, BadZipFile, zlib_error) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise IntegrityError(f"{path} cannot be read as {KINDS[kind]}: {reason}.", path=str(path)) from error
