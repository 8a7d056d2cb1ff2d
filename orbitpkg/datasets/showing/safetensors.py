"""Inspect safetensors files: list their tensors from the header."""

from __future__ import annotations

import math
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.datasets.extraction.safetensors import HEADER_METADATA, read_tensors
from orbitpkg.datasets.showing import Array, Node
from orbitpkg.extras import require

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["describe", "open_array"]

# The numpy types of the format's types. BF16 is the upper half of an F32.
_NUMPY = {"BOOL": "?", "U8": "u1", "I8": "i1", "U16": "<u2", "I16": "<i2", "F16": "<f2", "BF16": "<u2"}
_NUMPY |= {"U32": "<u4", "I32": "<i4", "F32": "<f4", "U64": "<u8", "I64": "<i8", "F64": "<f8"}
_LENGTH_BYTES = 8


def describe(path: Path) -> Node:
    """Describe the content of the file."""
    tensors = read_tensors(path)
    inner = tensors.pop(HEADER_METADATA, None)
    attributes = to_object(inner if isinstance(inner, dict) else {}, what="The header").metadata
    children = tuple(_tensor(name, facts) for name, facts in tensors.items())
    ends = [child.bytes or 0 for child in children]
    available = path.stat().st_size - _LENGTH_BYTES - _header_bytes(path)
    if sum(ends) > available:
        raise ValueError(f"its tensors need {sum(ends):,} bytes, but it has only {max(available, 0):,}")
    return Node(name="", kind="group", attributes=attributes, children=children)


@contextmanager
def open_array(path: Path, name: str) -> Iterator[Array | None]:
    """Open a tensor, or yield None if it does not exist."""
    facts = read_tensors(path).get(name) if name != HEADER_METADATA else None
    if facts is None:
        yield None
        return
    shape, begin, _, kind = _parts(facts)
    if kind not in _NUMPY:
        raise ValueError(f"numpy does not support the type {kind}")
    numpy = require("numpy", extra="hdf5", what="Reading arrays")
    start = _LENGTH_BYTES + _header_bytes(path) + begin
    if not math.prod(shape):
        yield numpy.zeros(shape, _NUMPY[kind])
        return
    array = numpy.memmap(path, dtype=_NUMPY[kind], mode="r", offset=start, shape=shape)
    yield (array.astype("<u4") << 16).view("<f4") if kind == "BF16" else array


def _header_bytes(path: Path) -> int:
    with path.open("rb") as file:
        return int.from_bytes(file.read(_LENGTH_BYTES), "little")


def _tensor(name: str, facts: object) -> Node:
    shape, begin, end, kind = _parts(facts)
    return Node(name=name, kind="array", shape=shape, type=kind, bytes=end - begin, stored=end - begin)


def _parts(facts: Any) -> tuple[tuple[int, ...], int, int, str]:
    """Return the shape, the start and end of the data, and the type of a tensor.

    Raises:
        ValueError: The description of the tensor is invalid.
    """
    try:
        shape, (begin, end) = tuple(facts["shape"]), facts["data_offsets"]
        numbers = (*shape, begin, end)
        if all(type(number) is int and number >= 0 for number in numbers) and begin <= end:
            return shape, begin, end, str(facts["dtype"])
    except (TypeError, KeyError, ValueError):
        pass
    raise ValueError("a tensor in its header lacks a shape, a type or offsets")
