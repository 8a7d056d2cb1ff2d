"""Manifests with thousands of patterns, over directories with thousands of files."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orbitpkg.errors import ManifestError
from orbitpkg.model.manifest import Manifest, parse_manifest
from orbitpkg.model.patterns import compile_glob

FILES = [f"data/{number % 50}/file{number}.bin" for number in range(2_000)]
PIECES = st.sampled_from(["a", "b", "ab", "x.csv", "a]", "c"])
GLOBS = st.sampled_from(["a", "*", "**", "a*", "*.csv", "?b", "[ab]", "a]", "*]", "[a", "x.csv", "[!a]*", "*[ab]"])


def manifest(include: list[str], exclude: list[str]) -> Manifest:
    document = {"name": "model", "version": "1.0.0", "include": include, "exclude": exclude}
    return parse_manifest(json.dumps(document).encode())


@pytest.mark.timeout(60)
@pytest.mark.parametrize("form", ["**/*{}x", "d{}/*", "*/*/file{}.bin", "[{}]*?{}*/*/*"])
def test_thousands_of_patterns_are_compared_with_few_files_each(form: str) -> None:
    globs = [form.replace("{}", str(number)) for number in range(10_000)]
    compile_glob.cache_clear()
    manifest(["**"], globs[:9_999]).select(FILES)
    found = manifest(globs, []).select(FILES)
    assert len(found.problems) == len(found.unmatched)
    # Only the first patterns without files get a guess.
    assert sum(problem.hint is not None for problem in found.problems) <= 20


def test_patterns_are_compiled_only_for_the_files_that_they_may_match() -> None:
    compile_glob.cache_clear()
    manifest(["**"], [f"**/*{number}x" for number in range(5_000)]).select(FILES)
    assert compile_glob.cache_info().misses <= 1


@pytest.mark.parametrize("key", ["include", "exclude"])
def test_more_than_ten_thousand_patterns_are_refused(key: str) -> None:
    patterns = {"include": ["**"], "exclude": [], key: [f"*{number}" for number in range(10_001)]}
    with pytest.raises(ManifestError, match="has 10,001 patterns with wildcards; the maximum is 10,000"):
        manifest(**patterns)


def test_any_number_of_exact_paths_is_allowed() -> None:
    assert len(manifest(FILES * 10, []).select(FILES).files) == len(FILES) + 1


@given(
    st.sets(st.lists(PIECES, min_size=1, max_size=4).map("/".join), min_size=20, max_size=40),
    st.lists(GLOBS, min_size=1, max_size=4).map("/".join),
)
def test_a_pattern_selects_the_paths_that_its_expression_matches(paths: set[str], glob: str) -> None:
    expected = {path for path in paths if compile_glob(glob).fullmatch(path)} | {"package.json"}
    assert set(manifest([glob], []).select(paths).files) == expected
