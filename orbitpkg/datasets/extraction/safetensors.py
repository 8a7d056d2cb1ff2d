"""The metadata of a safetensors file, from its header alone; the tensors are not read.

The format: 8 bytes, little-endian, say how long the header is; it is a JSON object of tensors by name, whose
``__metadata__``, if there, is an object of texts (the "Format" section of safetensors' README).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction import Extracted
from orbitpkg.datasets.extraction.jsonable import parse_object, to_object

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HEADER_METADATA", "read_header", "read_tensors"]

HEADER_METADATA = "__metadata__"
# What the format's own reader takes at most.
_MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8


def read_header(path: Path) -> Extracted:
    """Read ``__metadata__``, and count ``tensors`` and ``parameters``.

    Raises:
        ValueError: It is no safetensors file, or cut short.
    """
    header = read_tensors(path)
    inner = header.pop(HEADER_METADATA, None)
    found = to_object(inner if isinstance(inner, dict) else {}, what="The header")
    counts = {"tensors": len(header), "parameters": sum(_parameters(tensor) for tensor in header.values())}
    return Extracted(metadata={**counts, **found.metadata}, warnings=found.warnings)


def read_tensors(path: Path) -> dict[str, Any]:
    """Read the whole header: for each tensor its ``dtype``, ``shape`` and ``data_offsets``, and ``__metadata__``.

    Raises:
        ValueError: It is no safetensors file, or cut short.
    """
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        if len(start) < _LENGTH_BYTES or not 0 < length <= _MAX_HEADER_BYTES:
            raise ValueError("it does not begin with the length of a header")
        text = file.read(length)
    if len(text) < length:
        raise ValueError(f"it ends within its header of {length:,} bytes")
    found = parse_object(text, what="its header")
    if found.warnings:
        raise ValueError(found.warnings[0].rstrip("."))
    return dict(found.metadata)


def _parameters(tensor: Any) -> int:
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    return math.prod(shape) if isinstance(shape, list) and all(isinstance(side, int) for side in shape) else 0
