"""The rules of a release record in Python agree with the schema."""

from __future__ import annotations

import copy
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.validators import extend

from orbitpkg.model.release_rules import follows_rules
from orbitpkg.model.schemas import load_schema
from tests.records import RECORD

INTEGERS = Draft202012Validator.TYPE_CHECKER.redefine("integer", lambda _, value: type(value) is int)
VALIDATOR = extend(Draft202012Validator, type_checker=INTEGERS)(load_schema("release"))  # type: ignore[no-untyped-call]

numbers = st.sampled_from([-1, 0, 1, 2, 128 << 20, (128 << 20) + 1, 512 << 20, (512 << 20) + 1, 2**63 - 1, 2**63])
texts = st.one_of(
    st.text(max_size=8),
    st.sampled_from(["", "a", "a" * 100, "a" * 101, "a" * 500, "a" * 501, "a" * 1001, "a" * 4000, "a" * 4001]),
    st.sampled_from(
        ["model\n", "-a", "a-", "A.b_c", "\u00e9", "1.0.0-rc.1", "1.0.0-01", "1.0.0+a", "01.0.0", "1.0.0\n"]
    ),
    st.sampled_from(
        ["archives/a/b.tar.zst", "archives/a/b.tar.zst\n", "archives//b.tar.zst", "archives/a/b/c.tar.zst"]
    ),
    st.sampled_from(["2026-12-31T23:59:60.5Z", "2026-13-01T00:00:00Z", "2026-01-31T12:00:00Z\n", "ab" * 32, "AB" * 32]),
)
values: st.SearchStrategy[object] = st.one_of(
    numbers,
    texts,
    st.sampled_from([None, True, 0.5, 1.0, [], {}]),
    st.lists(texts, max_size=3),
    st.dictionaries(st.sampled_from(["app", "key", "size"]), texts | numbers, max_size=2),
)
places = st.sampled_from(
    [(key,) for key in (*RECORD, "other")]
    + [(key, part) for key in ("archive", "contents") for part in (*RECORD[key], "other")]
    + [("compatibility", "app"), ("dependencies", "other")]
)
changes = st.lists(st.tuples(places, st.just("put") | st.just("drop"), values), min_size=1, max_size=3)


@given(changes)
@example([(("format",), "put", True)])
@example([(("keywords",), "put", ["a", "a"])])
@example([(("keywords",), "put", [["a"]])])
def test_the_rules_match_the_schema(changes: list[tuple[tuple[str, ...], str, object]]) -> None:
    record = copy.deepcopy(RECORD)
    for (*parents, last), change, value in changes:
        holder: Any = record
        for parent in parents:
            holder = holder.get(parent) if isinstance(holder, dict) else None
        if isinstance(holder, dict) and change == "put":
            holder[last] = value
        elif isinstance(holder, dict):
            holder.pop(last, None)
    assert follows_rules(record) is VALIDATOR.is_valid(record)


@given(values)
def test_invalid_records_match_neither(value: object) -> None:
    assert not follows_rules(value)
    assert not VALIDATOR.is_valid(value)


def test_the_record_that_is_changed_follows_both() -> None:
    assert follows_rules(RECORD)
    assert VALIDATOR.is_valid(RECORD)
