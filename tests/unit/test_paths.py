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
        ("a//b", "has an empty part"),
        ("a/", "has an empty part"),
        ("..", "has the part '..'"),
        ("a/./b", "has the part '.'"),
        ("a/...", "has a part that ends in '.': '...'"),
        ("a /b", "has a part that ends in ' ': 'a '"),
        ("Nul", "has the part 'Nul', a device's name on Windows"),
        ("data/aux.tar.gz", "has the part 'aux.tar.gz', a device's name on Windows"),
        ("COM\u00b2", "has the part 'COM\u00b2', a device's name on Windows"),
        ("conout$", "has the part 'conout$', a device's name on Windows"),
        ("a?b", "holds '?', which not every system allows in a name"),
        ("a\tb", "holds a control character"),
        ("a\u00adb", "holds the invisible or unassigned character U+00AD"),
        ("\ufeffa", "holds the invisible or unassigned character U+FEFF"),
        ("a\u2029b", "holds the invisible or unassigned character U+2029"),
        ("a\udc80", "is not valid Unicode"),
        ("e\u0301", "is not in Unicode's NFC form"),
        ("\u212a", "is not in Unicode's NFC form"),
        ("a" * 256, "has a part longer than 255 bytes"),
        ("/".join(["a" * 127] * 8) + "aa", "is longer than 1024 bytes"),
    ],
)
def test_what_is_wrong_with_a_path_is_said(path: str, problem: str) -> None:
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
def test_paths_of_one_tree_have_no_problem(paths: list[str]) -> None:
    assert list(tree_problems(paths)) == []


@pytest.mark.parametrize(
    ("paths", "problems"),
    [
        (["a", "a"], ["is listed twice"]),
        (["README", "Readme"], ["differs from 'README' in nothing but letter case"]),
        (["Data/a", "data/b"], ["lies in a directory that differs from one of 'Data/a' in nothing but letter case"]),
        (["x/Data/a", "x/data/b"], ["lies in a directory that differs from one of 'x/Data/a' in nothing but letter"]),
        (["X/y/a", "x/y/b"], ["lies in a directory that differs from one of 'X/y/a' in nothing but letter case"]),
        (["a/b", "a"], ["is a file and a directory (of 'a/b')"]),
        (["a", "a/b"], ["lies in 'a', which is a file"]),
        (["a", "A/b/c"], ["lies in 'a', which is a file"]),
        (["\u0130", "i\u0307"], ["differs from '\u0130' in nothing but letter case"]),
        (["\ufb01le", "FILE"], ["differs from '\ufb01le' in nothing but letter case"]),
        (["a", "../b", "A", "nul"], ["has the part '..'", "differs from 'a' in", "has the part 'nul', a device"]),
    ],
)
def test_what_keeps_paths_from_being_one_tree_is_said_of_each(paths: list[str], problems: list[str]) -> None:
    found = [problem for _, problem in tree_problems(paths)]
    assert [problem[: len(expected)] for problem, expected in zip(found, problems, strict=True)] == problems
