"""Inspect HDF5 files. Links are listed but not followed, because they can point to other files or form cycles."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.datasets.showing import MAX_DEPTH, Array, Node
from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

__all__ = ["describe", "open_array"]

# Attributes for the internal use of netCDF and of HDF5 dimension scales.
_BOOKKEEPING = {"CLASS", "DIMENSION_LIST", "NAME", "REFERENCE_LIST", "_NCProperties", "_Netcdf4Coordinates"}
_BOOKKEEPING |= {"_Netcdf4Dimid", "_nc3_strict"}


def describe(path: Path) -> Node:
    """Describe the content of the file."""
    with _open(path) as file:
        return _group(file, "", seen=set())


@contextmanager
def open_array(path: Path, name: str) -> Iterator[Array | None]:
    """Open an HDF5 dataset, or yield None if it does not exist."""
    h5py = _library()
    with _open(path) as file:
        found = file.get(name)
        yield found if isinstance(found, h5py.Dataset) and found.shape is not None else None


def _library() -> Any:
    return require("h5py", extra="hdf5", what="Reading HDF5 files")


def _open(path: Path) -> Any:
    # Locking fails on some network file systems, and readers do not need it.
    return _library().File(path, "r", locking=False)


def _group(group: Any, name: str, *, seen: set[object], depth: int = 0) -> Node:
    h5py = _library()
    address = h5py.h5o.get_info(group.id).addr
    if address in seen:
        return Node(name=name, kind="group", details=("as above",))
    if depth > MAX_DEPTH:
        return Node(name=name, kind="group", details=("not shown: nested too deeply",))
    seen.add(address)
    children = tuple(_member(group, each, seen, depth) for each in group)
    return Node(name=name, kind="group", attributes=_attributes(group.attrs), children=children)


def _member(group: Any, name: str, seen: set[object], depth: int) -> Node:
    h5py = _library()
    link = group.get(name, getlink=True)
    if isinstance(link, h5py.SoftLink):
        return Node(name=name, kind="link", details=(f"to {link.path}",))
    if isinstance(link, h5py.ExternalLink):
        return Node(name=name, kind="link", details=(f"to {link.path} in {link.filename}",))
    found = group[name]
    if isinstance(found, h5py.Group):
        return _group(found, name, seen=seen, depth=depth + 1)
    if isinstance(found, h5py.Dataset):
        return _dataset(found, name)
    return Node(name=name, kind="type", type=str(found.dtype))


def _dataset(dataset: Any, name: str) -> Node:
    return Node(
        name=name,
        kind="array",
        shape=dataset.shape,
        type=_type(dataset.dtype),
        bytes=None if dataset.shape is None or dataset.dtype.hasobject else dataset.nbytes,
        stored=dataset.id.get_storage_size(),
        details=tuple(word for word in (dataset.compression, "external" if dataset.external else "") if word),
        attributes=_attributes(dataset.attrs),
    )


def _type(dtype: Any) -> str:
    h5py = _library()
    if h5py.check_string_dtype(dtype) is not None:
        return "text"
    return "objects" if dtype.hasobject and dtype.names is None else str(dtype)


def _attributes(attributes: Any) -> Mapping[str, object]:
    values: dict[str, object] = {}
    for name in attributes:
        if name in _BOOKKEEPING:
            continue
        try:
            values[name] = attributes[name]
        except (OSError, TypeError, ValueError, RuntimeError):
            values[name] = "(cannot be read)"
    return to_object(values, what="The attribute").metadata
