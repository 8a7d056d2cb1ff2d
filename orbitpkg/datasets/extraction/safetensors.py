"""The metadata of a safetensors file, read from its header without reading the tensors.

The file starts with the length of the header, as 8 bytes in little-endian order. The header is a JSON object of tensors
by name. Its optional member ``__metadata__`` is an object of strings (see "Format" in the README of safetensors).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction.extracted import Extracted
from orbitpkg.datasets.extraction.jsonable import parse_object, to_object

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HEADER_METADATA", "read_header", "read_tensors"]

HEADER_METADATA = "__metadata__"
# The limit of the format's reference implementation.
_MAX_HEADER_BYTES = 100_000_000
_LENGTH_BYTES = 8


def read_header(path: Path) -> Extracted:
    """Read ``__metadata__``, and count ``tensors`` and ``parameters``.

    Raises:
        ValueError: The file is not a valid safetensors file.
    """
    header = read_tensors(path)
    inner = header.pop(HEADER_METADATA, None)
    found = to_object(inner if isinstance(inner, dict) else {}, what="The header")
    counts = {"tensors": len(header), "parameters": sum(_parameters(tensor) for tensor in header.values())}
    return Extracted(metadata={**counts, **found.metadata}, warnings=found.warnings)


def read_tensors(path: Path) -> dict[str, Any]:
    """Read the header: the ``dtype``, ``shape`` and ``data_offsets`` of each tensor, and ``__metadata__``.

    Raises:
        ValueError: The file is not a valid safetensors file.
    """
    with path.open("rb") as file:
        start = file.read(_LENGTH_BYTES)
        length = int.from_bytes(start, "little")
        if len(start) < _LENGTH_BYTES or not 0 < length <= _MAX_HEADER_BYTES:
            raise ValueError("it does not start with a valid header length")
        text = file.read(length)
    if len(text) < length:
        raise ValueError(f"it is truncated: its header has {length:,} bytes")
    found = parse_object(text, what="its header")
    if found.warnings:
        raise ValueError(found.warnings[0].rstrip("."))
    return dict(found.metadata)


def _parameters(tensor: Any) -> int:
    shape = tensor.get("shape") if isinstance(tensor, dict) else None
    return math.prod(shape) if isinstance(shape, list) and all(isinstance(side, int) for side in shape) else 0
