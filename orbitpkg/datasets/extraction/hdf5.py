"""The metadata of an HDF5 file: the attributes of its root, and the JSON object in the attribute ``metadata``.

Robot-learning datasets (RoboNet, deon) store their metadata in that attribute. Its values override other attributes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from orbitpkg.datasets.extraction.extracted import Extracted
from orbitpkg.datasets.extraction.jsonable import parse_object, to_object
from orbitpkg.extras import require

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["JSON_ATTRIBUTE", "read_attributes"]

JSON_ATTRIBUTE = "metadata"
"""The attribute that contains JSON text."""


def read_attributes(path: Path) -> Extracted:
    """Read the attributes of the file's root.

    Raises:
        MissingExtra: h5py is not installed.
        OSError: The file is not a valid HDF5 file.
    """
    h5py = require("h5py", extra="hdf5", what="Reading HDF5 files")
    # Locking fails on some network file systems, and readers do not need it.
    with h5py.File(path, "r", locking=False) as file:
        values, broken = _attributes(file.attrs)
    text = values.pop(JSON_ATTRIBUTE, None)
    ordinary = to_object(values, what="The attribute")
    inner = _json_attribute(text)
    warnings = (*broken, *ordinary.warnings, *inner.warnings)
    metadata = {**ordinary.metadata, **inner.metadata}
    if not metadata and not warnings:
        warnings = ("It contains no metadata: its root has no attributes.",)
    return Extracted(metadata=metadata, warnings=warnings)


def _attributes(attributes: Any) -> tuple[dict[str, object], list[str]]:
    """Read attributes one by one, because one of an unknown type cannot be read."""
    values: dict[str, object] = {}
    broken = []
    for name in attributes:
        try:
            values[name] = attributes[name]
        except (OSError, TypeError, ValueError, RuntimeError) as error:
            broken.append(f"The attribute {name!r} could not be read: {error}.")
    return values, broken


def _json_attribute(value: object) -> Extracted:
    what = f"The attribute {JSON_ATTRIBUTE!r}"
    if value is None:
        return Extracted()
    if hasattr(value, "tolist") and getattr(value, "size", 0) == 1:
        value = value.reshape(-1)[0] if hasattr(value, "reshape") else value
    if hasattr(value, "tobytes") and getattr(getattr(value, "dtype", None), "kind", "") in "ui":
        value = value.tobytes()
    if isinstance(value, (str, bytes)):
        return parse_object(value.rstrip(b"\0") if isinstance(value, bytes) else value, what=what, key=JSON_ATTRIBUTE)
    return to_object({JSON_ATTRIBUTE: value}, what="The attribute")
