"""The rules of ``schemas/release.schema.json`` once more, as plain Python.

An install waits for its record before anything else, and jsonschema takes 40 ms to load: as long as all else that
happens until the first byte of the package comes. A record that follows the rules here follows the schema (a test holds
one against the other); of any other the schema says what is wrong with it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError
from orbitpkg.model.contents import MAX_CONTENTS_BYTES
from orbitpkg.model.names import canonical_name
from orbitpkg.model.versions import parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    Rule: TypeAlias = Callable[[object], bool]

__all__ = ["follows_rules"]

_MAX_NUMBER = 2**63 - 1


def follows_rules(record: object) -> bool:
    """Say whether a record follows the schema for certain."""
    return _has(record, _REQUIRED, _OPTIONAL)


def _has(value: object, required: Mapping[str, Rule], optional: Mapping[str, Rule]) -> bool:
    if not isinstance(value, dict) or not required.keys() <= value.keys() <= required.keys() | optional.keys():
        return False
    return all((required.get(key) or optional[key])(item) for key, item in value.items())


def _number(least: int, most: int = _MAX_NUMBER) -> Rule:
    # bool is an int to Python, not to JSON.
    return lambda value: type(value) is int and least <= value <= most


def _text(least: int, most: int) -> Rule:
    return lambda value: isinstance(value, str) and least <= len(value) <= most


def _form(pattern: str, most: int) -> Rule:
    form = re.compile(pattern)
    return lambda value: isinstance(value, str) and len(value) <= most and form.fullmatch(value) is not None


def _texts(value: object) -> bool:
    return isinstance(value, dict) and all(map(_text(0, 1000), value.values()))


def _keywords(value: object) -> bool:
    word = _text(1, 100)
    return isinstance(value, list) and all(map(word, value)) and len(set(value)) == len(value)


def _understood(read: Callable[[str], object]) -> Rule:
    def rule(value: object) -> bool:
        try:
            return isinstance(value, str) and read(value) is not None
        except UsageError:
            return False

    return rule


def _archive(value: object) -> bool:
    return _has(value, _ARCHIVE, {})


def _contents(value: object) -> bool:
    return _has(value, _CONTENTS, {})


_ARCHIVE = {"key": _form(r"archives/[^/]+/[^/]+\.tar\.zst", 1024), "size": _number(1)}
_CONTENTS = {
    "offset": _number(0),
    "length": _number(1, 128 * 1024 * 1024),
    "raw_length": _number(1, MAX_CONTENTS_BYTES),
    "blake3": _form("[0-9a-f]{64}", 64),
}
_REQUIRED = {
    "format": _number(1, 1),
    "name": _understood(canonical_name),
    "version": _understood(parse_version),
    "archive": _archive,
    "contents": _contents,
    "files": _number(1),
    "bytes": _number(1),
    "encoder": _form("[ -~]+", 500),
    "published": _form(
        r"[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])"
        r"T([01][0-9]|2[0-3]):[0-5][0-9]:([0-5][0-9]|60)(\.[0-9]{1,9})?Z",
        64,
    ),
}
_OPTIONAL: Mapping[str, Rule] = {
    "description": _text(0, 4000),
    "license": _text(1, 500),
    "compatibility": _texts,
    "dependencies": _texts,
    "keywords": _keywords,
    "metadata": lambda value: isinstance(value, dict),
}
