"""Inspect NumPy's npz and npy files. Arrays of objects, which are pickles, are listed but never read."""

from __future__ import annotations

import math
import zipfile
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.showing import Array, Node
from orbitpkg.errors import UsageError
from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["describe", "open_array"]

_SUFFIX = ".npy"
_OBJECTS = "objects"
# The header of an array with many fields is long, but a valid one does not reach a megabyte.
_MAX_HEADER_BYTES = 1_000_000


def describe(path: Path) -> Node:
    """Describe the content of the file, from the headers of the arrays."""
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return Node(name="", kind="group", children=(_array("", file, stored=None),))
    with zipfile.ZipFile(path) as archive:
        return Node(name="", kind="group", children=tuple(_member(archive, info) for info in archive.infolist()))


@contextmanager
def open_array(path: Path, name: str) -> Iterator[Array | None]:
    """Open an array, or yield None if it does not exist. The array in an npy file has the name ""."""
    numpy = _library()
    _refuse_pickles(path, name)
    if not zipfile.is_zipfile(path):
        yield numpy.load(path, mmap_mode="r", allow_pickle=False) if not name else None
        return
    with zipfile.ZipFile(path) as archive:
        if f"{name}{_SUFFIX}" not in archive.namelist():
            yield None
            return
        with archive.open(f"{name}{_SUFFIX}") as file:
            array: Array = numpy.lib.format.read_array(file, allow_pickle=False)
        yield array


def _refuse_pickles(path: Path, name: str) -> None:
    for node in describe(path).children:
        if node.name == name and node.type == _OBJECTS:
            raise UsageError(f"{name or path.name} is not read, because it is a pickle and could run code.")


def _library() -> Any:
    return require("numpy", extra="hdf5", what="Reading NumPy's files")


def _member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Node:
    if not info.filename.endswith(_SUFFIX):
        return Node(name=info.filename, kind="file", bytes=info.file_size, stored=info.compress_size)
    with archive.open(info) as file:
        return _array(info.filename.removesuffix(_SUFFIX), file, stored=info.compress_size)


def _array(name: str, file: Any, *, stored: int | None) -> Node:
    shape, dtype = _header(file)
    return Node(
        name=name,
        kind="array",
        shape=shape,
        type=_OBJECTS if dtype.hasobject else str(dtype),
        bytes=None if dtype.hasobject else math.prod(shape) * dtype.itemsize,
        stored=stored,
        details=("a pickle, not read",) if dtype.hasobject else (),
    )


def _header(file: BinaryIO) -> tuple[tuple[int, ...], Any]:
    """Read the shape and the type of an array (see the documentation of ``numpy.lib.format``)."""
    form = _library().lib.format
    version = form.read_magic(file)
    read = form.read_array_header_1_0 if version == (1, 0) else form.read_array_header_2_0
    shape, _, dtype = read(file, max_header_size=_MAX_HEADER_BYTES)
    return shape, dtype
