"""JSON that is written is read back; what is read strictly is what the standard library reads."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orbitpkg.errors import IntegrityError
from orbitpkg.model.jsontext import canonical_json, escape_pointer, line_of, lines_of, parse_json, syntax_hint

scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
)
keys = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)
values = st.recursive(scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4))


def read(data: bytes) -> object:
    return parse_json(data, what="it", max_bytes=10**6)


@given(value=values)
def test_canonical_json_is_read_back_and_written_alike(value: object) -> None:
    data = canonical_json(value)
    assert read(data) == value
    assert canonical_json(read(data)) == data


@given(value=values, indent=st.sampled_from([None, 1]), escaped=st.booleans())
def test_every_value_of_a_document_has_its_line(value: object, indent: int | None, *, escaped: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=escaped)
    pointers = list(pointers_of(value, ""))
    lines = lines_of(text.encode())
    assert list(lines) == pointers
    assert list(lines.values()) == sorted(lines.values())
    if indent:
        openers = [line for line in text.split("\n") if line.strip(" ],}")]
        assert len(set(lines.values())) == len(openers)
    assert line_of(text.encode(), pointers[-1]) == lines[pointers[-1]]


def pointers_of(value: Any, pointer: str) -> list[str]:
    inner: list[tuple[str, Any]] = []
    if isinstance(value, dict):
        inner = [(escape_pointer(key), item) for key, item in value.items()]
    elif isinstance(value, list):
        inner = [(str(index), item) for index, item in enumerate(value)]
    return [pointer, *(found for step, item in inner for found in pointers_of(item, f"{pointer}/{step}"))]


@given(text=st.text("{}[]\",:\\ \n\tu0123456789dD8cCeE.-+NaInfity/#'truefalsn", max_size=24))
def test_any_text_is_read_as_the_standard_library_does_or_refused_with_its_place(text: str) -> None:
    data = text.encode()
    try:
        value = read(data)
    except IntegrityError as error:
        check_place(text, error.data["line"], error.data["column"])
    else:
        assert value == json.loads(text)
        assert lines_of(data)[""] >= 1


def check_place(text: str, line: object, column: object) -> None:
    assert isinstance(line, int)
    assert isinstance(column, int)
    assert 1 <= line <= text.count("\n") + 1
    assert 1 <= column <= len(text.split("\n")[line - 1]) + 1
    syntax_hint(text.encode(), line, column)


@given(data=st.binary(max_size=20))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    try:
        read(data)
    except IntegrityError as error:
        message = error.message
    else:
        message = "it is not refused"
    assert message.startswith("it is not ")
