"""Selecting agrees with a naive matcher, and good manifests are read back whole."""

from __future__ import annotations

import json
from fnmatch import fnmatchcase
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from orbitpkg.errors import ManifestError
from orbitpkg.model.manifest import parse_manifest
from orbitpkg.model.patterns import compile_glob, glob_problem

letters = st.sampled_from("abc.")
parts = st.text(letters, min_size=1, max_size=4).filter(lambda part: not part.endswith("."))
paths = st.lists(parts, min_size=1, max_size=4).map("/".join)
glob_parts = st.just("**") | st.text("ab.*?[]!-c", min_size=1, max_size=6).filter(lambda part: "**" not in part)
globs = st.lists(glob_parts, min_size=1, max_size=5).map("/".join)


def naive_match(path: list[str], glob: list[str]) -> bool:
    """Whether the parts of a path match those of a glob, by trying everything."""
    if not glob:
        return not path
    if glob[0] == "**":
        return any(naive_match(path[skipped:], glob[1:]) for skipped in range(len(path))) if glob[1:] else bool(path)
    return bool(path) and fnmatchcase(path[0], glob[0]) and naive_match(path[1:], glob[1:])


@given(path=paths, glob=globs)
def test_a_glob_matches_what_a_naive_matcher_matches(path: str, glob: str) -> None:
    assert bool(compile_glob(glob).fullmatch(path)) == naive_match(path.split("/"), glob.split("/"))


good_globs = globs.filter(lambda glob: glob_problem(glob) is None)


@given(
    tree=st.sets(paths, max_size=12),
    include=st.lists(good_globs | paths.filter(lambda path: glob_problem(path) is None), min_size=1, max_size=3),
    exclude=st.lists(good_globs, max_size=2),
    as_parts=st.booleans(),
)
def test_a_selection_is_what_trying_every_pattern_on_every_path_gives(
    tree: set[str], include: list[str], exclude: list[str], *, as_parts: bool
) -> None:
    written = [glob.split("/") if as_parts else glob for glob in include]
    document = {"name": "a", "version": "1.0.0", "include": written, "exclude": exclude}
    selection = parse_manifest(json.dumps(document).encode()).select(tree)

    def matching(globs: list[str]) -> set[str]:
        return {path for path in tree for glob in globs if naive_match(path.split("/"), glob.split("/"))}

    assert list(selection.files) == sorted(matching(include) - matching(exclude) | {"package.json"})
    assert [entry.glob for entry in selection.unmatched] == [glob for glob in include if not matching([glob])]
    assert len(selection.problems) == len(selection.unmatched)


names = st.from_regex(r"[a-z0-9]([a-z0-9._-]{0,6}[a-z0-9])?", fullmatch=True)
words = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=10)
documents = st.fixed_dictionaries(
    {
        "name": st.just("the-package-itself"),
        "version": st.tuples(*[st.integers(0, 99)] * 3).map(lambda numbers: ".".join(map(str, numbers))),
        "include": st.lists(good_globs, min_size=1, max_size=3),
    },
    optional={
        "description": words,
        "license": words,
        "compatibility": st.dictionaries(names, st.sampled_from([">=1", "==2.*", ">=1,<2", ""]), max_size=1),
        "dependencies": st.dictionaries(names, st.sampled_from([">=1", "==2.*", ">=1,<2", "^1.2.0-rc.1"]), max_size=1),
        "authors": st.lists(words, max_size=2),
        "keywords": st.lists(words, max_size=2, unique=True),
        "metadata": st.dictionaries(words, st.none() | st.integers(0, 9) | words, max_size=3),
    },
)


@given(document=documents)
def test_a_good_manifest_is_read_back_whole(document: dict[str, Any]) -> None:
    manifest = parse_manifest(json.dumps(document, indent=2).encode())
    assert str(manifest.version) == document["version"]
    assert [entry.written for entry in manifest.include] == document["include"]
    for key in ("authors", "keywords"):
        assert list(getattr(manifest, key)) == document.get(key, [])
    for key in ("compatibility", "dependencies", "metadata"):
        assert getattr(manifest, key) == document.get(key, {})
    assert (manifest.description, manifest.license) == (document.get("description", ""), document.get("license"))


scalars = st.none() | st.booleans() | st.integers(-9, 9) | st.floats(-9, 9) | st.text(max_size=5)
anything = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
)


FIELDS = ["name", "include", "exclude", "authors", "dependencies", "compatibility", "readme", "homepage", "other"]


@given(document=documents, key=st.sampled_from(FIELDS), value=anything)
def test_anything_in_a_field_is_read_or_a_problem_with_its_line(
    document: dict[str, Any], key: str, value: object
) -> None:
    data = json.dumps({**document, key: value}, indent=1).encode()
    try:
        parse_manifest(data)
    except ManifestError as error:
        problems = error.problems
    else:
        problems = ()
    assert all(problem.line for problem in problems)
    assert len({(problem.pointer, problem.message) for problem in problems}) == len(problems)
