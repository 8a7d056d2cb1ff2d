"""Convert the values that libraries return to JSON values.

A value that JSON cannot represent never raises an error. It is replaced or omitted, with a warning.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Final

from orbitpkg.datasets.extraction.extracted import Extracted

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["MAX_DEPTH", "jsonable", "parse_object", "to_object"]

MAX_DEPTH: Final = 100
"""The maximum nesting depth. Catalogues and their readers use recursion, which fails at about a thousand levels."""


def parse_object(text: str | bytes, *, what: str, key: str | None = None, rejected: str | None = None) -> Extracted:
    """Parse JSON text that contains an object of metadata.

    Args:
        text: The text.
        what: The name of the text, as the subject of a warning.
        key: The key under which to keep a value that is not an object, or None to reject it.
        rejected: The subject of the warning that the whole text was rejected, if it differs from ``what``.
    """
    subject = rejected or what
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        return Extracted(warnings=(f"{subject} is not valid JSON (line {error.lineno}, column {error.colno}).",))
    # A number of 5,000 digits also raises a ValueError.
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        return Extracted(warnings=(f"{subject} cannot be read as JSON: {reason}.",))
    if isinstance(value, dict):
        return to_object(value, what=what)
    if key is None:
        return Extracted(warnings=(f"{subject} is not a JSON object.",))
    return to_object({key: value}, what=what)


def to_object(values: Mapping[str, object], *, what: str) -> Extracted:
    """Convert named values to metadata. Each change leads to a warning that starts with ``what``."""
    metadata, warnings = {}, []
    for name, value in values.items():
        faults: dict[str, None] = {}
        key = _text(str(name), faults)
        try:
            metadata[key] = jsonable(value, faults)
        except ValueError as error:
            faults[f"was omitted, because {error}"] = None
        warnings += [f"{what}: {key!r} {fault}." for fault in faults]
    return Extracted(metadata=metadata, warnings=tuple(warnings))


def jsonable(value: object, faults: dict[str, None], *, depth: int = 0) -> object:
    """Convert a value to the types of JSON: None, bool, int, float, str, list, dict.

    Args:
        value: A value of these types, of numpy's or h5py's types, bytes, or a container of such values.
        faults: Receives a predicate ("contained NaN…") for each kind of change.
        depth: The nesting depth of the value.

    Raises:
        ValueError: The value has another type, or is nested deeper than ``MAX_DEPTH``.
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
    if type(value).__name__ == "Empty":  # h5py's type for an attribute without a value
        return None
    raise ValueError(f"JSON cannot represent the type {type(value).__name__}")


def _number(value: float, faults: dict[str, None]) -> float | None:
    if math.isfinite(value):
        return value
    faults["contained NaN or an infinite number, which was replaced by null"] = None
    return None


def _text(value: str, faults: dict[str, None]) -> str:
    try:
        value.encode()
    except UnicodeEncodeError:
        faults["contained text that is not UTF-8, of which the invalid characters were replaced"] = None
        return value.encode(errors="surrogatepass").decode(errors="replace")
    return value
