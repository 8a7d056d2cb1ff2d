"""JSON is read strictly, refused with its place, and written in one way."""

from __future__ import annotations

import pytest

from orbitpkg.errors import IntegrityError
from orbitpkg.model.jsontext import canonical_json, escape_pointer, line_of, lines_of, parse_json, syntax_hint


def read(data: bytes, *, max_bytes: int = 100_000) -> object:
    return parse_json(data, what="the record", max_bytes=max_bytes)


@pytest.mark.parametrize(
    ("data", "value"),
    [
        (b'{"a": [1, -2.5, true, null, "\\u00e9"]}', {"a": [1, -2.5, True, None, "é"]}),
        (b'"\\ud83d\\ude00"', "😀"),
        (b" [9223372036854775807, -9223372036854775808, 1e3, 1E-999]\n", [2**63 - 1, -(2**63), 1000.0, 0.0]),
        (b"[" * 64 + b"]" * 64, eval("[" * 64 + "]" * 64)),  # noqa: S307
        (b'["' + b"[{" * 500 + b'"]', ["[{" * 500]),
        (b'["\\"' + b"[{" * 500 + b'"]', ['"' + "[{" * 500]),
        (b"[" + b"[]," * 500 + b"[]]", [[]] * 501),
    ],
)
def test_good_json_is_read(data: bytes, value: object) -> None:
    assert read(data) == value


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b'{"a": 1,\n "b": 2, "a": 3}', 'not valid: duplicate key "a" (line 2, column 10)'),
        (b'{"x": [{"a": 1, "\\u0061": 2}], "y": NaN}', 'not valid: duplicate key "a" (line 1, column 17)'),
        (b'{"y": NaN, "y": 1}', "not valid: NaN is not a JSON number (line 1, column 7)"),
        (b"[Infinity]", "not valid: Infinity is not a JSON number (line 1, column 2)"),
        (b"[1, -Infinity", "not valid: -Infinity is not a JSON number (line 1, column 5)"),
        (b"[" * 10_000, "not valid: it has more than 64 levels of nesting (line 1, column 65)"),
        (b'{"a":' * 10_000, "not valid: it has more than 64 levels of nesting (line 1, column 321)"),
        (b"[[]" * 65, "not valid: it has more than 64 levels of nesting (line 1, column 191)"),
        (b"9" * 400, "not valid: the integer of 400 digits does not fit in 64 bits (line 1, column 1)"),
        (b"-" + b"9" * 90_000, "not valid: the integer of 90000 digits does not fit in 64 bits (line 1, column 1)"),
        (
            b'{"\xc3\xa9": 9223372036854775808}',
            "not valid: the integer 9223372036854775808 does not fit in 64 bits (line 1, column 7)",
        ),
        (b"[1e999]", "not valid: the number 1e999 is too large (line 1, column 2)"),
        (
            b'["\\ud800"]',
            "not valid: a string contains an unpaired surrogate (\\ud800) (line 1, column 2)",
        ),
        (
            b'{"\\ude00\\ud83d": 1}',
            "not valid: a string contains an unpaired surrogate (\\ude00) (line 1, column 2)",
        ),
        (b'{"a":\n"\xff"}', "not UTF-8: unexpected byte 0xff (line 2, column 2)"),
        (b'"\xed\xa0\x80"', "not UTF-8: unexpected byte 0xed (line 1, column 2)"),
        (b"[1,\n2", "not valid JSON: expecting ',' delimiter (line 2, column 2)"),
        (b"", "not valid JSON: expecting value (line 1, column 1)"),
        (b"\xef\xbb\xbf{}", "not plain UTF-8: it starts with a byte order mark; save it without one"),
        ("{}".encode("utf-16"), "not UTF-8: it looks like UTF-16; save it as UTF-8"),
    ],
)
def test_bad_json_is_refused_with_its_place(data: bytes, message: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        read(data)
    assert caught.value.message == f"The record is {message}."


def test_a_refusal_carries_its_facts() -> None:
    with pytest.raises(IntegrityError) as caught:
        read(b'{"a": 1,\n "a": 2}')
    assert caught.value.data == {
        "what": "the record",
        "reason": 'not valid: duplicate key "a"',
        "line": 2,
        "column": 2,
    }


def test_a_document_over_the_limit_is_not_looked_at() -> None:
    with pytest.raises(IntegrityError, match="too large: it has 11 bytes; the maximum is 10"):
        read(b"x" * 11, max_bytes=10)


def test_the_name_of_a_file_begins_the_message_as_it_is_spelled() -> None:
    with pytest.raises(IntegrityError, match=r"^package\.json is not valid JSON"):
        parse_json(b"", what="package.json", max_bytes=10)


def test_a_long_string_full_of_escapes_takes_no_long_time_or_stack() -> None:
    text = b'["' + rb"\\\"[" * 200_000 + b'"]'
    assert read(text, max_bytes=len(text)) == ['\\"[' * 200_000]


@pytest.mark.parametrize(
    ("value", "data"),
    [
        ({"b": 1, "a": [True, None, 0.1, "é\n"]}, '{"a":[true,null,0.1,"é\\n"],"b":1}'.encode()),
        ({}, b"{}"),
        ({"B": 1, "a": 2, "é": 3}, '{"B":1,"a":2,"é":3}'.encode()),
    ],
)
def test_canonical_json_is_sorted_and_compact(value: object, data: bytes) -> None:
    assert canonical_json(value) == data


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "\ud800"])
def test_canonical_json_holds_nothing_that_cannot_be_read_back(value: object) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        canonical_json([value])


DOCUMENT = b'{\n  "a": {\n    "x/y": 1,\n    "z~": [\n      "b",\n      {"c":\n 2}\n    ]\n  }\n}\n'


@pytest.mark.parametrize(
    ("pointer", "line"),
    [("", 1), ("/a", 2), ("/a/x~1y", 3), ("/a/z~0", 4), ("/a/z~0/0", 5), ("/a/z~0/1", 6), ("/a/z~0/1/c", 6),
     ("/b", None), ("/a/z~0/2", None)],
)  # fmt: skip
def test_a_pointer_is_resolved_to_its_line(pointer: str, line: int | None) -> None:
    assert line_of(DOCUMENT, pointer) == line


def test_lines_come_in_the_order_of_the_document() -> None:
    assert list(lines_of(b' { "b" : [ ] , "a" : { } }')) == ["", "/b", "/a"]
    assert lines_of(b"7") == {"": 1}


def test_a_step_of_a_pointer_is_escaped() -> None:
    assert escape_pointer("a/b~c") == "a~1b~0c"


@pytest.mark.parametrize(
    ("data", "hint"),
    [
        (b"", "the file is empty"),
        (b" \n", "the file is empty"),
        (b'{"a": 1,}', "remove the comma before the closing bracket"),
        (b"[1, 2,\n]", "remove the comma before the closing bracket"),
        (b"{'a': 1}", 'put strings in straight double quotes: "…"'),
        ("{“a”: 1}".encode(), 'put strings in straight double quotes: "…"'),
        (b'{"a": 1 // one\n}', "remove the comment: JSON does not support comments"),
        (b'{"a": 1, # one\n}', "remove the comment: JSON does not support comments"),
        (b"{a: 1}", 'put the key in double quotes: "a"'),
        (b"[True]", "write it as true"),
        (b"[None]", "write it as null"),
        (b'{"a" "b"}', "add a comma before this"),
        (b'{"a": 1 "b": 2}', "add a comma before this"),
        (b"[1 2]", "add a comma before this"),
        (b'{"a": [1]\n"b": 2}', "add a comma before this"),
        (b'{"a": 01}', "remove the leading 0 of the number"),
        (b'{"a": .5}', "start a number with a digit: 0.5"),
        (b'{"a": +5}', "remove the plus sign"),
        (b'{"a" = 5}', 'put ":" between a key and its value'),
        (b'{"a": 5; "b": 1}', 'put "," between entries'),
        (b'["data\\*"]', r'write a backslash as \\, and use "/" in file paths'),
        (b'["a\nb"]', r"a string cannot span lines: close it, or write \n for a line break and \t for a tab"),
        (b'["abc', "the string that starts here has no closing quote"),
        (b'{"a": [1, 2', "a closing } or ] is missing at the end"),
        (b'{"a": [1, 2}', "the brackets do not match: an earlier bracket is still open"),
        (b"{} {}", "remove the text after the closing bracket, or move the bracket to the end"),
        (b"[-]", None),
        (b"[%]", None),
    ],
)  # fmt: skip
def test_a_slip_of_the_hand_gets_a_hint(data: bytes, hint: str | None) -> None:
    with pytest.raises(IntegrityError) as caught:
        read(data)
    line, column = caught.value.data["line"], caught.value.data["column"]
    assert isinstance(line, int)
    assert isinstance(column, int)
    assert syntax_hint(data, line, column) == hint


def test_a_document_of_very_many_containers_is_refused_before_it_is_parsed() -> None:
    with pytest.raises(IntegrityError, match=r"more than 2,000,000 arrays and objects"):
        read(b"[" + b"[]," * 2_000_000 + b"[]]", max_bytes=10_000_000)
