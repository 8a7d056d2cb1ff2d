"""Values that JSON can hold, made of those that files and their libraries give.

Nothing is raised for a value: what JSON has no word for is replaced, or left out, and told.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from orbitpkg.datasets.extraction import Extracted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_DEPTH", "jsonable", "parse_object", "to_object"]

MAX_DEPTH: Final = 100
"""How deep values may be nested; catalogues and their readers recurse, and none of them takes a thousand levels."""


def parse_object(text: str | bytes, *, what: str, key: str | None = None) -> Extracted:
    """Read a JSON text whose value is an object of metadata.

    Args:
        text: The text.
        what: What it is, as the beginning of a sentence.
        key: The name under which a value that is no object is kept; None when it is not.
    """
    try:
        value = json.loads(text)
    # A number of 5,000 digits is a ValueError too.
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        return Extracted(warnings=(f"{what} is not JSON: {reason}.",))
    if isinstance(value, dict):
        return to_object(value, what=what)
    if key is None:
        return Extracted(warnings=(f"{what} is JSON, but no object.",))
    return to_object({key: value}, what=what)


def to_object(values: Mapping[str, object], *, what: str) -> Extracted:
    """Make metadata of named values; what had to be changed is a warning that begins with ``what``."""
    metadata, warnings = {}, []
    for name, value in values.items():
        faults: dict[str, None] = {}
        key = _text(str(name), faults)
        try:
            metadata[key] = jsonable(value, faults)
        except ValueError as error:
            faults[f"is left out, for {error}"] = None
        warnings += [f"{what}: {key!r} {fault}." for fault in faults]
    return Extracted(metadata=metadata, warnings=tuple(warnings))


def jsonable(value: object, faults: dict[str, None], *, depth: int = 0) -> object:
    """Give a value as JSON's types: None, bool, int, float, str, list, dict.

    Args:
        value: One of those, of numpy's or h5py's types, bytes, or a container of such.
        faults: Takes a predicate ("held NaN…") for each kind of change that was needed.
        depth: How deep the value is in another.

    Raises:
        ValueError: It is none of these, or nested deeper than ``MAX_DEPTH``.
    """
    if depth > MAX_DEPTH:
        raise ValueError(f"it is nested more than {MAX_DEPTH} levels deep")
    if isinstance(value, dict):
        return {_text(str(key), faults): jsonable(item, faults, depth=depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [jsonable(item, faults, depth=depth + 1) for item in value]
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, float):
        return _number(float(value), faults)
    return _text_or_foreign(value, faults, depth)


def _text_or_foreign(value: object, faults: dict[str, None], depth: int) -> object:
    if isinstance(value, str):
        return _text(str(value), faults)
    if isinstance(value, (bytes, bytearray)):
        return _text(bytes(value).rstrip(b"\0").decode(errors="surrogateescape"), faults)
    return _foreign(value, faults, depth)


def _foreign(value: object, faults: dict[str, None], depth: int) -> object:
    if hasattr(value, "isoformat"):
        return str(value.isoformat())
    if hasattr(value, "tolist"):  # numpy's scalars and arrays
        plain = value.tolist()
        if plain is not value:
            return jsonable(plain, faults, depth=depth + 1)
    if type(value).__name__ == "Empty":  # h5py's word for an attribute without a value
        return None
    raise ValueError(f"JSON has no word for a {type(value).__name__}")


def _number(value: float, faults: dict[str, None]) -> float | None:
    if math.isfinite(value):
        return value
    faults["held NaN or an infinite number, which JSON cannot; it is null now"] = None
    return None


def _text(value: str, faults: dict[str, None]) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        faults["held text that is not UTF-8; what is none was replaced"] = None
        return value.encode(errors="surrogatepass").decode(errors="replace")
    return value
