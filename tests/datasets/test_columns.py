"""Columns: which ones tags and metadata become, and of which type."""

from __future__ import annotations

import pytest

from orbitpkg.datasets.columns import FIXED, Kind, column_values, in_kind, joined_kind, kind_of


def test_tags_and_metadata_have_columns_of_their_names() -> None:
    found = column_values({"robot": "sawyer"}, {"action_T": 15, "ok": False, "nothing": None})
    assert found == {"robot": "sawyer", "action_T": 15, "ok": False}


def test_a_name_that_is_taken_gets_a_prefix() -> None:
    found = column_values({"size": "large", "robot": "a"}, {"Robot": "b", "ETag": "c", "sha256": "d"})
    assert found == {"tag_size": "large", "robot": "a", "meta_Robot": "b", "meta_ETag": "c", "meta_sha256": "d"}


def test_names_alike_but_for_letter_case_are_not_one_column() -> None:
    found = column_values({}, {"T": 1, "t": 2, "meta_t": 3})
    assert {name.casefold() for name in found} == {"t", "meta_t", "meta_t_"}
    assert sorted(found.values()) == [1, 2, 3]  # type: ignore[type-var]


@pytest.mark.parametrize("key", ["", " ", "a\x00b", "a\nb", "\u202egnp.exe", "x" * 256])
def test_a_key_that_is_not_a_valid_column_name_has_no_column(key: str) -> None:
    assert column_values({key: "value"}, {key: 1}) == {}


def test_no_fixed_column_is_ever_taken() -> None:
    found = column_values({name.upper(): "x" for name in FIXED}, dict.fromkeys(FIXED, 1))
    assert {name.casefold() for name in found}.isdisjoint(FIXED)
    assert len(found) == 2 * len(FIXED)


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([1, 2], Kind.INTEGER),
        ([1, 1.5], Kind.NUMBER),
        ([True, False], Kind.BOOLEAN),
        ([True, 1], Kind.TEXT),
        (["a", 1], Kind.TEXT),
        ([[1], {"a": 1}], Kind.TEXT),
        ([2**63], Kind.TEXT),
    ],
)
def test_a_column_has_the_type_that_holds_all_its_values(values: list[object], kind: Kind) -> None:
    assert joined_kind(map(kind_of, values)) is kind


@pytest.mark.parametrize(
    ("value", "kind", "held"),
    [
        (1, Kind.NUMBER, 1.0),
        (1, Kind.TEXT, "1"),
        (True, Kind.TEXT, "true"),
        ("ü", Kind.TEXT, "ü"),
        ({"b": [1], "a": "ü"}, Kind.TEXT, '{"a":"ü","b":[1]}'),
        (None, Kind.TEXT, None),
        (7, Kind.INTEGER, 7),
    ],
)
def test_a_value_is_written_as_its_column_holds_it(value: object, kind: Kind, held: object) -> None:
    assert in_kind(value, kind) == held
