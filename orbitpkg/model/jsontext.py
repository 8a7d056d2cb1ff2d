"""Strict parsing and canonical serialization of JSON.

The parser rejects input that the standard library accepts or crashes on: duplicate keys (RFC 8259, section 4:
"unpredictable"), ``NaN`` and ``Infinity``, nesting deep enough to exhaust the stack, integers over 64 bits, numbers too
large for a double, unpaired surrogates, and a byte order mark. Every error gives the line and column.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from orbitpkg.errors import IntegrityError
from orbitpkg.model.wording import as_subject

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

__all__ = [
    "JsonValue",
    "canonical_json",
    "decode_json",
    "dump_json",
    "escape_pointer",
    "json_text",
    "line_of",
    "lines_of",
    "load_json",
    "parse_json",
    "parse_json_text",
    "pretty_json",
    "syntax_hint",
]

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"
"""Anything that a JSON document may hold."""

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
# An empty array takes three bytes of text and 64 of memory: 64 MiB of them took 1.7 GiB. No document of orbitpkg's has
# more than a few for each version or file column.
_MAX_CONTAINERS = 2_000_000
_INTEGER_CHARACTERS = 20  # the length of _LOWEST; int() takes quadratic time on thousands of digits
_NESTING = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_WORDS = ("true", "false", "null")
_HINTS = {
    **dict.fromkeys("'\u2018\u2019\u201c\u201d", 'put strings in straight double quotes: "…"'),
    **dict.fromkeys("}]", "the brackets do not match: an earlier bracket is still open"),
    "\\": r'write a backslash as \\, and use "/" in file paths',
    "=": 'put ":" between a key and its value',
    ";": 'put "," between entries',
    ".": "start a number with a digit: 0.5",
    "+": "remove the plus sign",
}
_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
# Exactly what the json decoder reads as a number or a word, because the text after it may not be JSON.
_LITERAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|NaN|-?Infinity|true|false|null")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _RefusedError(Exception):
    """Aborts decoding at a rejected value. The decoder does not report the offset, so it is searched for afterwards."""


class _Item(NamedTuple):
    """A key or a value in JSON text: its pointer, its offset, and why it is rejected, if it is."""

    pointer: str
    offset: int
    fault: str | None


def parse_json(data: bytes, *, what: str, max_bytes: int, max_depth: int = 64) -> object:
    """Parse a JSON document strictly.

    Args:
        data: The document in UTF-8.
        what: The name of the document in error messages, such as ``"the release record of model 1.0.0"``.
        max_bytes: The maximum size of the document.
        max_depth: The maximum nesting depth of objects and lists.

    Raises:
        IntegrityError: The document is invalid or exceeds a limit. ``data`` has ``reason``, and the ``line`` and
            ``column`` (from 1, in characters) if the error has a position.
    """
    return parse_json_text(decode_json(data, what=what, max_bytes=max_bytes), what=what, max_depth=max_depth)


def decode_json(data: bytes, *, what: str, max_bytes: int) -> str:
    """Decode a JSON document; the first half of :func:`parse_json`, for documents too large to keep twice.

    Raises:
        IntegrityError: The document is too large, or not plain UTF-8.
    """
    if len(data) > max_bytes:
        reason = f"too large: it has {len(data):,} bytes; the maximum is {max_bytes:,}"
        raise IntegrityError(f"{as_subject(what)} is {reason}.", what=what, reason=reason)
    return _decode(data, what)


def parse_json_text(text: str, *, what: str, max_depth: int = 64) -> object:
    """Parse a decoded JSON document; the second half of :func:`parse_json`.

    Raises:
        IntegrityError: The document is not valid.
    """
    _check_depth(text, what, max_depth)
    if text.count("[") + text.count("{") > _MAX_CONTAINERS:
        raise IntegrityError(f"{what} has more than {_MAX_CONTAINERS:,} arrays and objects.")
    try:
        value: object = json.loads(
            text, object_pairs_hook=_object, parse_constant=_number, parse_int=_integer, parse_float=_number
        )
    except json.JSONDecodeError as error:
        message = error.msg[0].lower() + error.msg[1:]
        raise _error_at(text, error.pos, what, message) from None
    except _RefusedError:
        raise _first_fault(text, what) from None
    if _SURROGATE_ESCAPE.search(text) and _has_fault(text):
        raise _first_fault(text, what)
    return value


def canonical_json(value: object) -> bytes:
    """Serialize a value to canonical JSON, for digests and comparisons: equal values give equal bytes.

    Keys are strings, sorted by code point. The output is UTF-8 without whitespace, unnecessary escapes or a trailing
    newline.

    Raises:
        ValueError: A number is not finite, or a string contains an unpaired surrogate.
        TypeError: The value contains a type that JSON does not have.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def json_text(value: object, *, ascii_only: bool = False, default: Callable[[object], object] | None = None) -> str:
    """Serialize a value on one line, in the order it has, for a message or for output.

    Args:
        value: The value.
        ascii_only: Whether to escape all other characters, so that any terminal and any file name can be written.
        default: Converts what JSON does not have.

    Raises:
        TypeError: The value contains a type that JSON does not have.
    """
    return json.dumps(value, ensure_ascii=ascii_only, default=default)


def pretty_json(value: object, *, sort_keys: bool = False) -> str:
    """Serialize a value for people to read and edit: indented, with a final newline.

    Args:
        value: The value.
        sort_keys: Whether to sort the keys; otherwise they keep their order.

    Raises:
        ValueError: A number is not finite.
        TypeError: The value contains a type that JSON does not have.
    """
    return json.dumps(value, indent=2, sort_keys=sort_keys, ensure_ascii=False, allow_nan=False) + "\n"


def dump_json(value: object) -> bytes:
    """Serialize a value for orbitpkg itself: a cache, a journal, a process that it started.

    Compact ASCII: file names that are not UTF-8 survive, which :func:`canonical_json` rejects.
    """
    return json.dumps(value, separators=(",", ":")).encode()


def load_json(data: bytes | str) -> Any:
    """Parse what :func:`dump_json` wrote; return None if it is damaged.

    What others may have written takes :func:`parse_json`, which is strict and slower.
    """
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def escape_pointer(part: str) -> str:
    """Escape one segment of a JSON pointer (RFC 6901)."""
    return part.replace("~", "~0").replace("/", "~1")


def line_of(data: bytes, pointer: str) -> int | None:
    """Return the line (from 1) of the key or value at ``pointer`` in a valid document, or None if there is none."""
    return lines_of(data).get(pointer)


def lines_of(data: bytes) -> dict[str, int]:
    """Return the line (from 1) of every key and value in a valid document, by JSON pointer and in document order.

    The line of an object member is the line of its key.
    """
    text = data.decode()
    lines: dict[str, int] = {}
    line, counted = 1, 0
    for item in _scan(text, 0, ""):
        line += text.count("\n", counted, item.offset)
        counted = item.offset
        lines.setdefault(item.pointer, line)
    return lines


def syntax_hint(data: bytes, line: int, column: int) -> str | None:
    """Return a hint on how to fix a syntax error at the position that :func:`parse_json` reported, or None."""
    text = data.decode(errors="replace")
    at = sum(map(len, text.split("\n")[: line - 1])) + line - 1 + column - 1
    before, after = text[:at].rstrip(), text[at:].lstrip()
    if not text.strip():
        return "the file is empty"
    if "" < text[at : at + 1] < " ":
        return r"a string cannot span lines: close it, or write \n for a line break and \t for a tab"
    if not after:
        return "a closing } or ] is missing at the end"
    return _hint_at(before, after) or _hint_between(before, after)


def _hint_at(before: str, after: str) -> str | None:
    """Return a hint based on the text at the position of the error."""
    if _is_trailing_comma(before, after):
        return "remove the comma before the closing bracket"
    if after.startswith(("//", "/*", "#")):
        return "remove the comment: JSON does not support comments"
    word = re.match(r"[A-Za-z_$][\w$]*", after)
    if word is None:
        return _HINTS.get(after[0])
    what = "the key" if after[word.end() :].lstrip().startswith(":") else "it"
    return _hint_for_word(word.group(), what)


def _is_trailing_comma(before: str, after: str) -> bool:
    # Since Python 3.13, the error points at the comma itself.
    return (before.endswith(",") and after[0] in "]}") or (after[0] == "," and after[1:].lstrip()[:1] in ("]", "}"))


def _hint_for_word(word: str, what: str) -> str:
    meant = {"true": "true", "false": "false", "none": "null", "null": "null", "undefined": "null"}.get(word.lower())
    if meant:
        return f"write it as {meant}"
    return f'put {what} in double quotes: "{word[:40]}"'


def _hint_between(before: str, after: str) -> str | None:
    """Return a hint based on the text around the position of the error."""
    if before.endswith(("}", "]")) and before.count("{") == before.count("}"):
        return "remove the text after the closing bracket, or move the bracket to the end"
    if after[0].isdigit() and before.endswith("0"):
        return "remove the leading 0 of the number"
    if re.match(r'["\[{\d-]', after) and re.search(r'["\]}\w]$', before):
        return "add a comma before this"
    return "the string that starts here has no closing quote" if after[0] == '"' else None


def _decode(data: bytes, what: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise _encoding_error(what, "not UTF-8: it looks like UTF-16; save it as UTF-8")
    if data.startswith(b"\xef\xbb\xbf"):
        raise _encoding_error(what, "not plain UTF-8: it starts with a byte order mark; save it without one")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        good = data[: error.start].decode()
        byte = f"unexpected byte 0x{data[error.start]:02x}"
        raise _error_at(good, len(good), what, byte, kind="UTF-8") from None


def _encoding_error(what: str, reason: str) -> IntegrityError:
    return IntegrityError(f"{as_subject(what)} is {reason}.", what=what, reason=reason, line=1, column=1)


def _check_depth(text: str, what: str, max_depth: int) -> None:
    """Reject deep nesting before the recursive decoder runs."""
    # The depth cannot exceed the number of brackets, so most documents need no scan.
    if text.count("[") + text.count("{") <= max_depth:
        return
    depth, in_string = 0, False
    for token in _NESTING.finditer(text):
        char = token[0]
        if char == '"':
            in_string = not in_string
        elif not in_string and char in "[{":
            depth += 1
            if depth > max_depth:
                reason = f"it has more than {max_depth} levels of nesting"
                raise _error_at(text, token.start(), what, reason, kind="valid")
        elif not in_string and char in "]}":
            depth -= 1


def _error_at(text: str, offset: int, what: str, reason: str, *, kind: str = "valid JSON") -> IntegrityError:
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    full = f"not {kind}: {reason}"
    return IntegrityError(
        f"{as_subject(what)} is {full} (line {line}, column {column}).",
        what=what,
        reason=full,
        line=line,
        column=column,
    )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _RefusedError
    return value


def _integer(literal: str) -> int | float:
    # The contents of an archive have millions of integers. Short ones always fit in 64 bits.
    return int(literal) if len(literal) < _INTEGER_CHARACTERS - 1 else _number(literal)


def _number(literal: str) -> int | float:
    if _number_fault(literal):
        raise _RefusedError
    return float(literal) if any(char in ".eE" for char in literal) else int(literal)


def _number_fault(literal: str) -> str | None:
    if literal.lstrip("-")[:1] in ("N", "I"):
        return f"{literal} is not a JSON number"
    if any(char in ".eE" for char in literal):
        return f"the number {literal[:40]} is too large" if abs(float(literal)) == float("inf") else None
    if len(literal) > _INTEGER_CHARACTERS or not _LOWEST <= int(literal) <= _HIGHEST:
        shown = literal if len(literal) <= _INTEGER_CHARACTERS + 5 else f"of {len(literal.lstrip('-'))} digits"
        return f"the integer {shown} does not fit in 64 bits"
    return None


def _string_fault(value: str) -> str | None:
    lone = _LONE_SURROGATE.search(value)
    return f"a string contains an unpaired surrogate (\\u{ord(lone[0]):04x})" if lone else None


def _has_fault(text: str) -> bool:
    return any(item.fault for item in _scan(text, 0, ""))


def _first_fault(text: str, what: str) -> IntegrityError:
    # The decoder stopped at this value, so the text after it may not be JSON. The scan does not go beyond it.
    item = next(item for item in _scan(text, 0, "") if item.fault)
    assert item.fault is not None
    return _error_at(text, item.offset, what, item.fault, kind="valid")


def _scan(text: str, at: int, pointer: str) -> Generator[_Item, None, int]:
    """Yield the value at ``at`` and all keys and values within it, in order. Returns the offset of its end.

    The depth of the text was checked before, which bounds the recursion.
    """
    at = _after(_BLANK, text, at)
    if text[at] == "{":
        yield _Item(pointer, at, None)
        return (yield from _scan_object(text, at + 1, pointer))
    if text[at] == "[":
        yield _Item(pointer, at, None)
        return (yield from _scan_list(text, at + 1, pointer))
    if text[at] == '"':
        end = _after(_STRING, text, at)
        yield _Item(pointer, at, _string_fault(json.loads(text[at:end])))
    else:
        end = _after(_LITERAL, text, at)
        literal = text[at:end]
        yield _Item(pointer, at, None if literal in _WORDS else _number_fault(literal))
    return end


def _scan_object(text: str, at: int, pointer: str) -> Generator[_Item, None, int]:
    seen: set[str] = set()
    at = _after(_BLANK, text, at)
    while text[at] != "}":
        end = _after(_STRING, text, at)
        key: str = json.loads(text[at:end])
        fault = f'duplicate key "{key}"' if key in seen else _string_fault(key)
        member = f"{pointer}/{escape_pointer(key)}"
        yield _Item(member, at, fault)
        seen.add(key)
        at = yield from _scan(text, _after(_BLANK, text, end) + 1, member)
        at = _after_comma(text, at)
    return at + 1


def _scan_list(text: str, at: int, pointer: str) -> Generator[_Item, None, int]:
    index = 0
    at = _after(_BLANK, text, at)
    while text[at] != "]":
        at = yield from _scan(text, at, f"{pointer}/{index}")
        at = _after_comma(text, at)
        index += 1
    return at + 1


def _after_comma(text: str, at: int) -> int:
    at = _after(_BLANK, text, at)
    return _after(_BLANK, text, at + 1) if text[at] == "," else at


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    assert match is not None, f"the text at {at} is not valid JSON"
    return match.end()
