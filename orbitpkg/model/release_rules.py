"""The rules of ``schemas/release.schema.json`` in plain Python.

An install validates the release record before anything else, and importing jsonschema takes 40 ms: as long as
everything else until the first byte of the package arrives. A record that passes these rules is valid against the
schema, which a test verifies. For any other record, the schema reports the error.
"""

from __future__ import annotations

import re

from orbitpkg.errors import UsageError
from orbitpkg.model.names import canonical_name
from orbitpkg.model.versions import parse_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    Rule: TypeAlias = Callable[[object], bool]

__all__ = ["MAX_CONTENTS_BYTES", "follows_rules"]

# Enough for 1,000,000 files with paths of 200 bytes and as many chunks. Anything larger is an attack or a mistake.
MAX_CONTENTS_BYTES = 512 * 1024 * 1024
"""The maximum size of a release's contents, uncompressed."""

_MAX_NUMBER = 2**63 - 1


def follows_rules(record: object) -> bool:
    """Return whether a record is valid."""
    return _has(record, _REQUIRED, _OPTIONAL)


def _has(value: object, required: Mapping[str, Rule], optional: Mapping[str, Rule]) -> bool:
    if not isinstance(value, dict) or not required.keys() <= value.keys() <= required.keys() | optional.keys():
        return False
    return all((required.get(key) or optional[key])(item) for key, item in value.items())


def _number(least: int, most: int = _MAX_NUMBER) -> Rule:
    # bool is an int in Python, but not in JSON.
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


def _parsed_by(parse: Callable[[str], object]) -> Rule:
    def rule(value: object) -> bool:
        try:
            return isinstance(value, str) and parse(value) is not None
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
    "name": _parsed_by(canonical_name),
    "version": _parsed_by(parse_version),
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
