"""Text for people fits the screen, and nothing that is pasted is cut."""

from __future__ import annotations

import pytest

from orbitpkg.cli.layout import columns, count, pairs, size, wrap
from orbitpkg.escaping import printable


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.0 kB"),
        (1234, "1.2 kB"),
        (9949, "9.9 kB"),
        (9950, "10 kB"),
        (999_499, "999 kB"),
        (999_500, "1.0 MB"),
        (35_000_000, "35 MB"),
        (2_500_000_000, "2.5 GB"),
        (10**19, "10000 PB"),
    ],
)
def test_a_size_has_three_digits_at_most_up_to_petabytes(number: int, text: str) -> None:
    assert size(number) == text


def test_a_count_agrees_with_its_noun() -> None:
    assert [count(number, "file") for number in (0, 1, 1234)] == ["0 files", "1 file", "1,234 files"]


def test_control_characters_are_spelled_out_and_spaces_are_not() -> None:
    assert printable("a\x1b[31mb\r\n\tc\u00a0d\u3000e\u2028f") == "a\\x1b[31mb\\r\n\tc\u00a0d\u3000e\\u2028f"
    assert printable("caf\udce9") == "caf\udce9"


def test_without_a_width_nothing_is_wrapped() -> None:
    assert wrap("word " * 100, None, first="note: ") == "note: " + "word " * 100


def test_words_are_wrapped_and_never_broken() -> None:
    path = "/a/path/that/is/longer/than/the/screen/is/wide"
    assert wrap(f"It is in {path} and more.", 20, first="note: ", rest="  ") == f"note: It is in\n  {path}\n  and more."


def test_lines_keep_their_indent_when_wrapped() -> None:
    text = "two problems\n  line 1: this one is long\n  line 2: short"
    assert wrap(text, 18) == "two problems\n  line 1: this one\n    is long\n  line 2: short"


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert columns([["a", "1.0.0", "first"], ["bcd", "1.10.0", ""]], None) == ["a    1.0.0   first", "bcd  1.10.0"]
    assert columns([], 80) == []


def test_the_text_of_a_row_is_one_line() -> None:
    assert columns([["a", "two\nlines"]], None) == ["a  two lines"]


def test_labels_without_a_value_are_left_out() -> None:
    assert pairs([("name", "tiny"), ("license", ""), ("keywords", "a\nb")], None) == [
        "name      tiny",
        "keywords  a\n          b",
    ]
    assert pairs([("name", "tiny")], 40) == ["name", "  tiny"]
    assert pairs([], None) == []
