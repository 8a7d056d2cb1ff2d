"""Globs: what they match, and which can match nothing."""

from __future__ import annotations

import pytest

from orbitpkg.model.patterns import compile_glob, glob_problem, is_literal, literal_prefix

PATHS = [
    "a", "a.csv", "b.csv", ".hidden", "a]", "data/a.csv", "data/.zarray", "data/x/a.csv", "data/x/y/b.bin",
    "other/data/a.csv",
]  # fmt: skip


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("a", "a"),
        ("*", "a a.csv b.csv .hidden a]"),
        ("*.csv", "a.csv b.csv"),
        ("?", "a"),
        ("?*", "a a.csv b.csv .hidden a]"),
        ("[ab].csv", "a.csv b.csv"),
        ("[!a].csv", "b.csv"),
        ("[a-a].csv", "a.csv"),
        ("[b-a].csv", ""),
        ("[!b-a].csv", "a.csv b.csv"),
        ("a[]]", "a]"),
        ("a[]", ""),
        ("data[.-0]a.csv", ""),
        ("data/*", "data/a.csv data/.zarray"),
        ("data/**", "data/a.csv data/.zarray data/x/a.csv data/x/y/b.bin"),
        ("data/**/**", "data/a.csv data/.zarray data/x/a.csv data/x/y/b.bin"),
        ("**", " ".join(PATHS)),
        ("**/a.csv", "a.csv data/a.csv data/x/a.csv other/data/a.csv"),
        ("**/data/**/*.csv", "data/a.csv data/x/a.csv other/data/a.csv"),
        ("**/x/**/y/*", "data/x/y/b.bin"),
        ("data/**/b.bin", "data/x/y/b.bin"),
        ("*a*/*", "data/a.csv data/.zarray"),
        ("*a*a*/a*v", "data/a.csv"),
        ("Data/*", ""),
    ],
)
def test_globs_match_the_expected_paths(glob: str, expected: str) -> None:
    assert [path for path in PATHS if compile_glob(glob).fullmatch(path)] == expected.split()


@pytest.mark.parametrize("glob", ["*a" * 100 + "b", "**/a/" * 100 + "b", "**/*a*a*a*a*/" * 20 + "*a*a*b"])
def test_no_pattern_takes_long(glob: str) -> None:
    """Each of these would take years if the text between two stars were tried at every position."""
    assert not compile_glob(glob).fullmatch("a" * 250 + "c")
    assert not compile_glob(glob).fullmatch("a/" * 500 + "c")


@pytest.mark.parametrize(
    ("glob", "literal", "prefix"), [("a/b", True, "a/b"), ("a/b*", False, "a/b"), ("[x]", False, "")]
)
def test_every_match_begins_with_the_literal_prefix(glob: str, prefix: str, *, literal: bool) -> None:
    assert (is_literal(glob), literal_prefix(glob)) == (literal, prefix)


@pytest.mark.parametrize("glob", ["data", "data/**", "**/*.csv", "a [1].txt", "été/*", "[!a]*", "con*"])
def test_a_glob_that_can_match_has_no_problem(glob: str) -> None:
    assert glob_problem(glob) is None


@pytest.mark.parametrize(
    ("glob", "problem", "hint"),
    [
        ("../x", "contains the component '..'",
         "a package contains only files in the directory of package.json: move or copy the files there"),
        ("/abs", "is absolute", "use a path relative to package.json"),
        ("C:\\x", "contains ':', which some systems do not allow in file names", "use a path relative to package.json"),
        ("a\\*", "contains a backslash", 'separate directories with "/": "a/*"'),
        ("", "is empty", 'did you mean "**", which matches every file in the directory?'),
        (".", "contains the component '.'", 'did you mean "**", which matches every file in the directory?'),
        ("./data/*", "contains the component '.'", 'did you mean "data/*"?'),
        ("data/", "has an empty component", 'did you mean "data/**"?'),
        ("a//b", "has an empty component", 'did you mean "a/b"?'),
        ("a\x00", "contains a control character", None),
        ("a\u202eb", "contains the invisible or unassigned character U+202E", None),
        ("e\u0301", "is not in Unicode NFC form", None),
        ("x/nul.txt", "contains 'nul.txt', which is a reserved device name on Windows", None),
        ("x" * 256, "has a component longer than 255 bytes", None),
        ("**.csv", "combines ** with other characters in '**.csv'", 'did you mean "**/*.csv"?'),
        ("x/data**", "combines ** with other characters in 'data**'", 'did you mean "x/data**/*"?'),
        ("***", "combines ** with other characters in '***'", 'did you mean "**/*"?'),
    ],
)  # fmt: skip
def test_a_glob_without_matches_is_reported_with_the_reason(glob: str, problem: str, hint: str | None) -> None:
    assert glob_problem(glob) == (problem, hint)
