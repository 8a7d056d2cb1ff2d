"""What is in a scientific file: its groups and arrays, with shapes, types, attributes and sizes; and one array of it.

Files are told apart by how they begin, not by their names. HDF5, netCDF (classic and 4), Parquet, safetensors and
NumPy's npz and npy are known. Only headers are read to describe one. Nothing is unpickled, ever.
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
"""The kinds of files, by the module that reads them, and what they are called."""

MAX_DEPTH: Final = 64
"""How many levels of groups are looked into."""

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
# Where an HDF5 file may begin, for others may put something before it (HDF5 File Format Specification, II.A).
_HDF5_OFFSETS = (0, 512, 1024, 2048, 4096)
_HEAD_BYTES = 8


class Array(Protocol):
    """An array in an open file; what is indexed is read, as a numpy array."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Its lengths."""

    @property
    def dtype(self) -> Any:
        """Its numpy type."""

    def __getitem__(self, where: Any) -> Any:
        """Read a part of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """Something in a file.

    Attributes:
        name: Its name in the group it is in; empty for the file itself.
        kind: "group", "array", "column" or "link".
        shape: An array's lengths; None for what has none.
        type: The type of an array's elements, in numpy's or the format's words; empty for what has none.
        bytes: What the values take in memory; None where nobody knows.
        stored: What they take in the file; None where the format does not say.
        details: What else there is to know, in a few words each: dimensions, compression, where a link leads.
        attributes: Facts that the file holds about it, as values JSON can hold.
        children: What is in it, in the file's order.
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
    """A file, looked into.

    Attributes:
        path: Its path.
        format: What kind of file it is, in words.
        bytes: Its size.
        root: What is in it.
    """

    path: Path
    format: str
    bytes: int
    root: Node


def describe(path: Path) -> Shown:
    """Tell what is in a file.

    Raises:
        UsageError: It is of no kind that is known.
        IntegrityError: It is broken, or cut short.
        StorageError: It cannot be read.
        MissingExtra: What reads files of this kind is not installed.
    """
    kind = _kind_of(path)
    with _broken_files_told(path, kind):
        root: Node = _reader(kind).describe(path)
    return Shown(path=path, format=KINDS[kind], bytes=path.stat().st_size, root=root)


@contextmanager
def open_array(path: Path, name: str) -> Iterator[Array]:
    """Open one array (or column) of a file by its name; those in groups have names like ``observations/images``.

    Raises:
        UsageError: The file is of no kind that is known, or holds no array of this name.
        IntegrityError: It is broken, or cut short.
        StorageError: It cannot be read.
        MissingExtra: What reads files of this kind is not installed.
    """
    kind = _kind_of(path)
    with _broken_files_told(path, kind):
        opened: AbstractContextManager[Array | None] = _reader(kind).open_array(path, name)
        with opened as array:
            if array is None:
                raise UsageError(f"{path.name} holds no array {name!r}.", hint="Without --plot, its arrays are listed.")
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
        f"{path.name} is of no kind that can be looked into.",
        hint=f"Those are {', '.join(KINDS.values())} files; they are known by how they begin.",
    )


def _reads_at(file: Any, offset: int, expected: bytes) -> bool:
    file.seek(offset)
    return bool(file.read(len(expected)) == expected)


@contextmanager
def _broken_files_told(path: Path, kind: str) -> Iterator[None]:
    """Turn what the libraries raise for broken files into an ``IntegrityError``."""
    # pyarrow's errors are ValueErrors and OSErrors; h5py's, SciPy's and zipfile's are of all these kinds.
    from zipfile import BadZipFile
    from zlib import error as zlib_error

    try:
        yield
    except (OSError, ValueError, LookupError, RuntimeError, TypeError, EOFError, BadZipFile, zlib_error) as error:
        reason = str(error).strip().partition("\n")[0].rstrip(".") or type(error).__name__
        raise IntegrityError(f"{path} cannot be read as {KINDS[kind]}: {reason}.", path=str(path)) from error
