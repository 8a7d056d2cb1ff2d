"""The order of versions is that of an independent implementation of Semantic Versioning."""

from __future__ import annotations

import semantic_version
from hypothesis import given
from hypothesis import strategies as st

from orbitpkg.errors import UsageError
from orbitpkg.model.versions import Version, next_free, parse_version

numbers = st.integers(0, 12) | st.integers(0, 10**20)
identifiers = st.one_of(
    numbers.map(str),
    st.sampled_from(["alpha", "beta", "rc", "rc1", "A", "Z", "-", "--", "0a", "00a", "x-y"]),
    st.from_regex(r"[0-9]{0,2}[A-Za-z-][0-9A-Za-z-]{0,3}", fullmatch=True),
)
versions = st.builds(
    Version, numbers, numbers, numbers, st.just(()) | st.lists(identifiers, min_size=1, max_size=3).map(tuple)
)


@given(a=versions, b=versions)
def test_two_versions_compare_as_semantic_version_has_it(a: Version, b: Version) -> None:
    x, y = semantic_version.Version(str(a)), semantic_version.Version(str(b))
    assert (a < b, a <= b, a == b, a > b, a >= b) == (x < y, x <= y, x == y, x > y, x >= y)
    assert (hash(a) == hash(b)) or a != b


@given(version=versions)
def test_written_values_are_read_back(version: Version) -> None:
    assert parse_version(str(version)) == version


def check_hint(hint: str | None) -> None:
    assert hint
    if hint.startswith("Did you mean"):
        parse_version(hint.split('"')[1])


@given(text=st.text("0123456789.-+vrc_ \nü", max_size=14) | st.text(max_size=20))
def test_any_text_is_the_version_it_looks_like_or_refused_with_a_hint(text: str) -> None:
    try:
        version = parse_version(text)
    except UsageError as error:
        check_hint(error.hint)
    else:
        assert str(version) == text
        assert semantic_version.validate(text)


@given(version=versions, taken=st.lists(versions, max_size=5))
def test_the_next_free_version_is_free_and_later(version: Version, taken: list[Version]) -> None:
    free = next_free(version, [*taken, next_free(version, taken)])
    assert free > version
    assert free not in taken
    assert free.is_prerelease == version.is_prerelease
