"""JSON that other people wrote, read strictly; and JSON of our own, written in one way only.

Reading refuses what the standard library lets pass or dies of: duplicate keys (RFC 8259, section 4: "unpredictable"),
``NaN`` and ``Infinity``, nesting deep enough to exhaust a stack, integers over 64 bits, numbers too large for a
double, lone surrogates, a byte order mark. Every refusal names the line and column.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, NamedTuple

from orbitpkg.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Generator

__all__ = ["canonical_json", "escape_pointer", "line_of", "lines_of", "parse_json", "syntax_hint"]

_LOWEST, _HIGHEST = -(2**63), 2**63 - 1
_INTEGER_CHARACTERS = 20  # as many as the lowest has; int() takes quadratic time on thousands of digits
_NESTING = re.compile(r'\\.|["\[\]{}]', re.DOTALL)
_WORDS = ("true", "false", "null")
_HINTS = {
    **dict.fromkeys("'\u2018\u2019\u201c\u201d", 'put strings in straight double quotes: "…"'),
    **dict.fromkeys("}]", "the brackets do not pair: one that was opened before is still open"),
    "\\": r'write a backslash as \\, and the paths of files with "/"',
    "=": 'put ":" between a key and its value',
    ";": 'put "," between entries',
    ".": "a number begins with a digit: 0.5",
    "+": "a number has no plus sign",
}
_BLANK = re.compile(r"[ \t\n\r]*")
_STRING = re.compile(r'"(?:[^"\\]++|\\.)*+"', re.DOTALL)
# What the decoder of json takes for a number or a word, and no character more: what follows may be no JSON.
_LITERAL = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|NaN|-?Infinity|true|false|null")
_SURROGATE_ESCAPE = re.compile(r"\\u[dD][89a-fA-F]")
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class _RefusedError(Exception):
    """A value that parses and is refused; its place is looked for afterwards, since the decoder does not tell it."""


class _Spot(NamedTuple):
    """A key or a scalar of a JSON text: its pointer, its offset, its text, and what is wrong with it."""

    pointer: str
    offset: int
    fault: str | None


def parse_json(data: bytes, *, what: str, max_bytes: int, max_depth: int = 64) -> object:
    """Read one JSON document, strictly.

    Args:
        data: The document, UTF-8.
        what: The document's name, for messages: ``"the release record of model 1.0.0"``.
        max_bytes: The longest document that is accepted.
        max_depth: How many objects and lists may be nested.

    Raises:
        IntegrityError: ``WHAT is not …`` with the place; ``data`` has ``reason``, and ``line`` and ``column`` (from 1,
            columns in characters) where there is one.
    """
    if len(data) > max_bytes:
        reason = f"shorter than {max_bytes:,} bytes, the most that is read: it has {len(data):,}"
        raise IntegrityError(f"{_subject(what)} is not {reason}.", what=what, reason=f"not {reason}")
    text = _decode(data, what)
    _check_depth(text, what, max_depth)
    try:
        value: object = json.loads(
            text, object_pairs_hook=_object, parse_constant=_number, parse_int=_integer, parse_float=_number
        )
    except json.JSONDecodeError as error:
        message = error.msg[0].lower() + error.msg[1:]
        raise _refusal(text, error.pos, what, message) from None
    except _RefusedError:
        raise _first_fault(text, what) from None
    if _SURROGATE_ESCAPE.search(text) and _has_fault(text):
        raise _first_fault(text, what)
    return value


def canonical_json(value: object) -> bytes:
    """Write JSON in the one way that is digested and compared: the same value gives the same bytes.

    Keys are strings, sorted by code point; no white space; UTF-8 without escapes that are not needed; no newline at
    the end.

    Raises:
        ValueError: A number is not finite, or a string holds a lone surrogate.
        TypeError: There is something in it that JSON has not.
    """
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode()


def escape_pointer(part: str) -> str:
    """One step of a JSON pointer (RFC 6901), escaped."""
    return part.replace("~", "~0").replace("/", "~1")


def line_of(data: bytes, pointer: str) -> int | None:
    """The line (from 1) of what ``pointer`` names in a document that :func:`parse_json` accepts; None if nothing."""
    return lines_of(data).get(pointer)


def lines_of(data: bytes) -> dict[str, int]:
    """The line (from 1) of every key and value of a document that :func:`parse_json` accepts, by JSON pointer.

    In the order of the document. A member of an object is where its key is.
    """
    text = data.decode()
    lines: dict[str, int] = {}
    line, counted = 1, 0
    for spot in _walk(text, 0, ""):
        line += text.count("\n", counted, spot.offset)
        counted = spot.offset
        lines.setdefault(spot.pointer, line)
    return lines


def syntax_hint(data: bytes, line: int, column: int) -> str | None:
    """Guess what a person who wrote the text by hand probably did, given the place where :func:`parse_json` stopped."""
    text = data.decode(errors="replace")
    at = sum(map(len, text.split("\n")[: line - 1])) + line - 1 + column - 1
    before, after = text[:at].rstrip(), text[at:].lstrip()
    if not text.strip():
        return "the file is empty"
    if "" < text[at : at + 1] < " ":
        return r"a string ends on the line it began on: close it, or write \n for a new line and \t for a tab"
    if not after:
        return "the text ends too early: a closing } or ] is missing"
    return _hint_at(before, after) or _hint_between(before, after)


def _hint_at(before: str, after: str) -> str | None:
    """A hint from what stands at the place itself."""
    if _is_trailing_comma(before, after):
        return "remove the comma before the closing bracket"
    if after.startswith(("//", "/*", "#")):
        return "JSON has no comments: remove it"
    word = re.match(r"[A-Za-z_$][\w$]*", after)
    return _hint_for_word(word.group()) if word else _HINTS.get(after[0])


def _is_trailing_comma(before: str, after: str) -> bool:
    # Python 3.13 began to point at the comma itself.
    return (before.endswith(",") and after[0] in "]}") or (after[0] == "," and after[1:].lstrip()[:1] in ("]", "}"))


def _hint_for_word(word: str) -> str:
    meant = {"true": "true", "false": "false", "none": "null", "null": "null", "undefined": "null"}.get(word.lower())
    if meant:
        return f"write it as {meant}"
    return f'put it in double quotes: "{word[:40]}"'


def _hint_between(before: str, after: str) -> str | None:
    """A hint from what stands on both sides of the place."""
    if before.endswith(("}", "]")) and before.count("{") == before.count("}"):
        return "something follows the closing bracket: remove it, or move the bracket to the end"
    if after[0].isdigit() and before.endswith("0"):
        return "a number does not begin with 0"
    if re.match(r'["\[{\d-]', after) and re.search(r'["\]}\w]$', before):
        return "a comma is missing before this"
    return "the string that begins here has no closing quote" if after[0] == '"' else None


def _decode(data: bytes, what: str) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        reason = "not UTF-8: it looks like UTF-16; save it as UTF-8"
        raise IntegrityError(f"{_subject(what)} is {reason}.", what=what, reason=reason, line=1, column=1)
    if data.startswith(b"\xef\xbb\xbf"):
        reason = "not plain UTF-8: it begins with a byte order mark; save it without one"
        raise IntegrityError(f"{_subject(what)} is {reason}.", what=what, reason=reason, line=1, column=1)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        good = data[: error.start].decode()
        byte = f"the byte 0x{data[error.start]:02x} does not belong there"
        raise _refusal(good, len(good), what, byte, kind="UTF-8") from None


def _check_depth(text: str, what: str, max_depth: int) -> None:
    """Refuse deep nesting before the decoder, which recurses, sees it."""
    # Nothing can be nested deeper than there are brackets: most documents end here, without a scan.
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
                raise _refusal(text, token.start(), what, f"more than {max_depth} levels of nesting", kind="acceptable")
        elif not in_string and char in "]}":
            depth -= 1


def _subject(what: str) -> str:
    """The beginning of a sentence; the name of a file stays as it is spelled."""
    return f"T{what[1:]}" if what.startswith("the ") else what


def _refusal(text: str, offset: int, what: str, reason: str, *, kind: str = "valid JSON") -> IntegrityError:
    line = text.count("\n", 0, offset) + 1
    column = offset - (text.rfind("\n", 0, offset) + 1) + 1
    full = f"not {kind}: {reason}"
    return IntegrityError(
        f"{_subject(what)} is {full} (line {line}, column {column}).", what=what, reason=full, line=line, column=column
    )


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise _RefusedError
    return value


def _integer(literal: str) -> int | float:
    # The contents of an archive hold millions; so few characters always fit.
    return int(literal) if len(literal) < _INTEGER_CHARACTERS - 1 else _number(literal)


def _number(literal: str) -> int | float:
    if _number_fault(literal):
        raise _RefusedError
    return float(literal) if any(char in ".eE" for char in literal) else int(literal)


def _number_fault(literal: str) -> str | None:
    if literal.lstrip("-")[:1] in ("N", "I"):
        return f"{literal} is not a number that JSON knows"
    if any(char in ".eE" for char in literal):
        return f"the number {literal[:40]} is too large" if abs(float(literal)) == float("inf") else None
    if len(literal) > _INTEGER_CHARACTERS or not _LOWEST <= int(literal) <= _HIGHEST:
        shown = literal if len(literal) <= _INTEGER_CHARACTERS + 5 else f"of {len(literal.lstrip('-'))} digits"
        return f"the integer {shown} does not fit 64 bits"
    return None


def _string_fault(value: str) -> str | None:
    lone = _LONE_SURROGATE.search(value)
    return f"the string holds half a character (\\u{ord(lone[0]):04x} without its other half)" if lone else None


def _has_fault(text: str) -> bool:
    return any(spot.fault for spot in _walk(text, 0, ""))


def _first_fault(text: str, what: str) -> IntegrityError:
    # The fault stopped the decoder, so what follows it may not even be JSON; the walk stops before it gets there.
    spot = next(spot for spot in _walk(text, 0, "") if spot.fault)
    assert spot.fault is not None
    return _refusal(text, spot.offset, what, spot.fault, kind="acceptable")


def _walk(text: str, at: int, pointer: str) -> Generator[_Spot, None, int]:
    """Yield the value at ``at`` and all within it, in order; return where it ends.

    The recursion is bounded by the depth that was checked before.
    """
    at = _after(_BLANK, text, at)
    if text[at] == "{":
        yield _Spot(pointer, at, None)
        return (yield from _walk_object(text, at + 1, pointer))
    if text[at] == "[":
        yield _Spot(pointer, at, None)
        return (yield from _walk_list(text, at + 1, pointer))
    if text[at] == '"':
        end = _after(_STRING, text, at)
        yield _Spot(pointer, at, _string_fault(json.loads(text[at:end])))
    else:
        end = _after(_LITERAL, text, at)
        literal = text[at:end]
        yield _Spot(pointer, at, None if literal in _WORDS else _number_fault(literal))
    return end


def _walk_object(text: str, at: int, pointer: str) -> Generator[_Spot, None, int]:
    seen: set[str] = set()
    at = _after(_BLANK, text, at)
    while text[at] != "}":
        end = _after(_STRING, text, at)
        key: str = json.loads(text[at:end])
        fault = f'the key "{key}" appears twice' if key in seen else _string_fault(key)
        member = f"{pointer}/{escape_pointer(key)}"
        yield _Spot(member, at, fault)
        seen.add(key)
        at = yield from _walk(text, _after(_BLANK, text, end) + 1, member)
        at = _after_comma(text, at)
    return at + 1


def _walk_list(text: str, at: int, pointer: str) -> Generator[_Spot, None, int]:
    index = 0
    at = _after(_BLANK, text, at)
    while text[at] != "]":
        at = yield from _walk(text, at, f"{pointer}/{index}")
        at = _after_comma(text, at)
        index += 1
    return at + 1


def _after_comma(text: str, at: int) -> int:
    at = _after(_BLANK, text, at)
    return _after(_BLANK, text, at + 1) if text[at] == "," else at


def _after(pattern: re.Pattern[str], text: str, at: int) -> int:
    match = pattern.match(text, at)
    assert match is not None, f"walked into text that does not parse, at {at}"
    return match.end()
