"""A datum: what its id follows from, and the words that people write about it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from orbitpkg.datasets.datum import Datum, new_datum, parse_assignments, parse_id, parse_metadata_words
from orbitpkg.errors import UsageError

NOW = datetime(2026, 2, 1, tzinfo=UTC)


def stored(**more: Any) -> Datum:
    facts: dict[str, Any] = {"name": "a.h5", "size": 3, "uri": "s3://b/blobs/00/00", "registered": NOW, "blake3": "00"}
    return new_datum(**{**facts, **more})


@pytest.mark.parametrize(
    "other", [{"registered": datetime(2027, 1, 1, tzinfo=UTC)}, {"uri": "s3://copy/blobs/00/00"}, {"supersedes": "ab"}]
)
def test_the_same_facts_registered_elsewhere_or_later_are_the_same_datum(other: dict[str, object]) -> None:
    assert stored(**other).id == stored().id


@pytest.mark.parametrize(
    "other",
    [{"name": "b.h5"}, {"blake3": "01"}, {"tags": {"a": "b"}}, {"metadata": {"a": "b"}}, {"lineage": ["0" * 32]}],
)
def test_different_metadata_makes_another_datum(other: dict[str, object]) -> None:
    assert stored(**other).id != stored().id


def test_an_object_of_others_is_its_address_and_its_state() -> None:
    first = stored(etag='"1"', modified=NOW)
    assert first.id != stored(etag='"2"', modified=NOW).id
    assert first.id != stored(etag='"1"', modified=NOW, uri="s3://c/key").id
    assert not first.is_stored
    assert stored().is_stored


def test_a_value_may_hold_equals_signs() -> None:
    assert parse_assignments(["a=b=c", "d="], option="--tag") == {"a": "b=c", "d": ""}


@pytest.mark.parametrize("words", [["a"], ["=b"], [" =b"], ["a=1", "a=2"]])
def test_an_invalid_assignment_is_refused(words: list[str]) -> None:
    with pytest.raises(UsageError, match="--tag"):
        parse_assignments(words, option="--tag")


def test_values_of_metadata_have_types() -> None:
    words = ["a=15", "b=1.5", "c=true", "d=sawyer", 'e={"f": [1]}', "g=007", "h=nan", "i=1e3", "j=2026-02-01"]
    assert parse_metadata_words(words, option="--metadata") == {
        "a": 15,
        "b": 1.5,
        "c": True,
        "d": "sawyer",
        "e": {"f": [1]},
        "g": "007",
        "h": "nan",
        "i": 1000.0,
        "j": "2026-02-01",
    }


@pytest.mark.parametrize("value", ["{", "[1,", '{"a": NaN}', "9" * 400])
def test_a_value_that_starts_like_json_but_is_invalid_is_refused(value: str) -> None:
    with pytest.raises(UsageError, match="metadata"):
        parse_metadata_words([f"key={value}"], option="--metadata")


@pytest.mark.parametrize(
    ("word", "says"), [("xyz", "hexadecimal"), ("ab" * 20, "SHA-1"), ("ab" * 32, "SHA-256"), ("abc", "6 to 32")]
)
def test_a_word_that_is_not_an_id_is_distinguished_from_digests(word: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_id(word)


def test_an_id_may_be_cut_short() -> None:
    assert parse_id("ABCDEF") == "abcdef"
