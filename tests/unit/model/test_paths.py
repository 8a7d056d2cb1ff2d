"""Paths: which may be in a package, and which together."""

from __future__ import annotations

import pytest

from orbitpkg.model.paths import MAX_PART_BYTES, MAX_PATH_BYTES, path_problem, tree_problems


@pytest.mark.parametrize(
    "path",
    [
        "package.json",
        "data/model.pkl",
        ".hidden",
        ".zarr/.zattrs",
        "..data/x",
        "a..b",
        "...x",
        "with space/and more.txt",
        " leading space",
        "-rf",
        "~",
        "#%&'()+,;=@[]^`{}!$",
        "caf\u00e9/\u65e5\u672c\u8a9e.txt",
        "\U0001f600",
        "con1",
        "console",
        "com",
        "com10",
        "lpt",
        "nulls/auxiliary",
        "x.con",
        "\u00aacon",
        "a" * MAX_PART_BYTES,
        "\u00e9" * (MAX_PART_BYTES // 2),
        "/".join(["a" * 127] * 8),
    ],
)
def test_an_ordinary_path_has_no_problem(path: str) -> None:
    assert len(path.encode()) <= MAX_PATH_BYTES
    assert path_problem(path) is None


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("", "is empty"),
        ("/etc/passwd", "is absolute"),
        ("//x", "is absolute"),
        ("a//b", "has an empty component"),
        ("a/", "has an empty component"),
        ("..", "contains the component '..'"),
        ("a/./b", "contains the component '.'"),
        ("a/...", "has a component that ends in '.': '...'"),
        ("a /b", "has a component that ends in ' ': 'a '"),
        ("Nul", "contains 'Nul', which is a reserved device name on Windows"),
        ("data/aux.tar.gz", "contains 'aux.tar.gz', which is a reserved device name on Windows"),
        ("COM\u00b2", "contains 'COM\u00b2', which is a reserved device name on Windows"),
        ("conout$", "contains 'conout$', which is a reserved device name on Windows"),
        ("a?b", "contains '?', which some systems do not allow in file names"),
        ("a\tb", "contains a control character"),
        ("a\u00adb", "contains the invisible or unassigned character U+00AD"),
        ("\ufeffa", "contains the invisible or unassigned character U+FEFF"),
        ("a\u2800b", "contains the invisible or unassigned character U+2800"),
        ("a\u3164b", "contains the invisible or unassigned character U+3164"),
        ("a\ufe0f", "contains the invisible or unassigned character U+FE0F"),
        ("a\u202eb", "contains the invisible or unassigned character U+202E"),
        ("a\U000e0101", "contains the invisible or unassigned character U+E0101"),
        ("a\u00a0", "has a component that ends in '\\xa0': 'a\\xa0'"),
        ("a\u2029b", "contains the invisible or unassigned character U+2029"),
        ("a\udc80", "is not valid Unicode"),
        ("e\u0301", "is not in Unicode NFC form"),
        ("\u212a", "is not in Unicode NFC form"),
        ("a" * 256, "has a component longer than 255 bytes"),
        ("/".join(["a" * 127] * 8) + "aa", "is longer than 1024 bytes"),
    ],
)
def test_the_problem_of_a_path_is_reported(path: str, problem: str) -> None:
    assert path_problem(path) == problem


@pytest.mark.parametrize(
    "paths",
    [
        ["a", "b", "c/a", "c/b", "d/c/a"],
        ["a/b/c", "a/b/d", "a/e", "f/b/c"],
        ["a", "a.txt", "a-b/c", "aa"],
        ["\u00e9", "e"],
    ],
)
def test_valid_paths_have_no_problem(paths: list[str]) -> None:
    assert list(tree_problems(paths)) == []


@pytest.mark.parametrize(
    ("paths", "problems"),
    [
        (["a", "a"], ["is listed twice"]),
        (["README", "Readme"], ["differs from 'README' only in letter case"]),
        (["Data/a", "data/b"], ["is in a directory whose name differs only in letter case from one in 'Data/a'"]),
        (["x/Data/a", "x/data/b"], ["is in a directory whose name differs only in letter case from one in 'x/Data/a'"]),
        (["X/y/a", "x/y/b"], ["is in a directory whose name differs only in letter case from one in 'X/y/a'"]),
        (["a/b", "a"], ["is a file, but also a directory that contains 'a/b'"]),
        (["a", "a/b"], ["is inside 'a', which is a file"]),
        (["a", "A/b/c"], ["is inside 'a', which is a file"]),
        (["\u0130", "i\u0307"], ["differs from '\u0130' only in letter case"]),
        (["\ufb01le", "FILE"], ["differs from '\ufb01le' only in letter case"]),
        (
            ["a", "../b", "A", "nul"],
            ["contains the component '..'", "differs from 'a' only", "contains 'nul', which is a reserved"],
        ),
    ],
)
def test_conflicting_paths_are_each_reported(paths: list[str], problems: list[str]) -> None:
    found = [problem for _, problem in tree_problems(paths)]
    assert [problem[: len(expected)] for problem, expected in zip(found, problems, strict=True)] == problems
