"""Manifests: what they say, everything that is wrong with one at once, and which files they choose."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from orbitpkg.errors import IntegrityError, ManifestError, UsageError
from orbitpkg.model import schemas
from orbitpkg.model.manifest import IncludeEntry, Manifest, new_manifest, parse_manifest
from orbitpkg.model.versions import parse_version

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

GOOD: dict[str, Any] = {"name": "my-model", "version": "1.0.0", "include": ["data/**"]}


def problems_of(document: object) -> list[tuple[str, str, str | None]]:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data)
    return [(problem.pointer, problem.message, problem.hint) for problem in caught.value.problems]


def with_(**fields: object) -> dict[str, Any]:
    return {**GOOD, **fields}


def manifest_with(include: Sequence[object], exclude: Sequence[object] = (), **fields: object) -> Manifest:
    return parse_manifest(json.dumps(with_(include=include, exclude=exclude, **fields), indent=1).encode())


def test_a_manifest_keeps_what_its_author_wrote() -> None:
    document = {
        "$schema": "package.schema.json",
        "name": "My_Model",
        "version": "1.0.0-rc.1",
        "description": "A model.",
        "license": "MIT",
        "include": ["data/**", ["weights", "*"]],
        "exclude": ["**/*.tmp"],
        "compatibility": {"my_library": ">=1.0, <2", "python": ""},
        "dependencies": {"Tokenizer": ">= 1.2, < 2", "other": "*"},
        "authors": ["A. Author <a@example.org>"],
        "homepage": "https://example.org/model",
        "keywords": ["digits"],
        "readme": "README.md",
        "metadata": {"accuracy": 0.97, "deep": {"list": [1, None]}},
    }
    manifest = parse_manifest(json.dumps(document).encode())
    assert manifest == Manifest(
        name="My_Model",
        version=parse_version("1.0.0-rc.1"),
        description="A model.",
        license="MIT",
        include=(
            IncludeEntry(written="data/**", pointer="/include/0"),
            IncludeEntry(written=("weights", "*"), pointer="/include/1"),
        ),
        exclude=(IncludeEntry(written="**/*.tmp", pointer="/exclude/0"),),
        compatibility={"my_library": ">=1.0, <2", "python": ""},
        dependencies={"Tokenizer": ">=1.2,<2", "other": ""},
        authors=("A. Author <a@example.org>",),
        homepage="https://example.org/model",
        keywords=("digits",),
        readme="README.md",
        metadata={"accuracy": 0.97, "deep": {"list": [1, None]}},
    )
    assert manifest.key == "my-model"


def test_omitted_values_are_empty() -> None:
    manifest = parse_manifest(json.dumps(GOOD).encode())
    assert (manifest.description, manifest.license, manifest.homepage, manifest.readme) == ("", None, None, None)
    assert (manifest.exclude, manifest.authors, manifest.keywords) == ((), (), ())
    assert (manifest.compatibility, manifest.dependencies, manifest.metadata) == ({}, {}, {})


def test_an_entry_has_its_parts_and_its_line() -> None:
    manifest = parse_manifest(b'{"name": "a",\n"version": "1.0.0",\n"include": ["a/**",\n["b", "*"]]}')
    assert [(entry.parts, entry.glob, str(entry), entry.line) for entry in manifest.include] == [
        (("a", "**"), "a/**", '"a/**"', 3),
        (("b", "*"), "b/*", '["b", "*"]', 4),
    ]


def test_all_problems_are_reported_at_once_in_file_order() -> None:
    data = b"""{
  "name": "my model",
  "verison": "1.0.0",
  "include": "data/**",
  "dependencies": {
    "tokenizer": "1.2"
  },
  "metadata": null
}
"""
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data, where="here/package.json")
    assert str(caught.value) == (
        "here/package.json: 5 problems\n"
        '  line 2, /name: "my model" is not a valid package name: \' \' is not allowed (did you mean "my-model"?)\n'
        '  line 3, /verison: unknown key "verison" (did you mean "version"?)\n'
        '  line 4, /include: must be a list, not a string (make it a list: ["data/**"])\n'
        '  line 6, /dependencies/tokenizer: "1.2" is not a valid version range: '
        'an operator is missing before the version (did you mean "==1.2"?)\n'
        "  line 8, /metadata: must be an object, not null (remove it)"
    )


@pytest.mark.parametrize("key", ["name", "version", "include"])
def test_a_missing_key_is_a_problem_of_the_whole_document(key: str) -> None:
    [(pointer, message, hint)] = problems_of({name: value for name, value in GOOD.items() if name != key})
    assert (pointer, message) == ("", f'the required key "{key}" is missing')
    assert hint is not None
    assert hint.startswith(f'add "{key}": ')


def test_all_missing_keys_are_reported() -> None:
    assert [message for _, message, _ in problems_of({})] == [
        f'the required key "{key}" is missing' for key in ("name", "version", "include")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("licence", 'did you mean "license"?'),
        ("Keywords", 'did you mean "keywords"?'),
        ("requirements", 'did you mean "dependencies"?'),
        ("framework", 'put custom facts in "metadata"'),
        ("a/b~c", 'put custom facts in "metadata"'),
    ],
)
def test_an_unknown_key_gets_a_suggestion(key: str, hint: str) -> None:
    pointer = "/" + key.replace("~", "~0").replace("/", "~1")
    assert problems_of(with_(**{key: []})) == [(pointer, f'unknown key "{key}"', hint)]


def test_a_misspelling_of_a_key_that_is_also_present_should_be_removed() -> None:
    assert problems_of(with_(verison="1.0.0")) == [
        ("/verison", 'unknown key "verison"', 'remove it, or merge it into "version"')
    ]


def test_files_is_treated_as_include() -> None:
    assert problems_of({"name": "a", "version": "1.0.0", "files": ["x"]}) == [
        ("/files", 'unknown key "files"', 'did you mean "include"?')
    ]


LEAVE = "remove it"
META = 'use an object such as {"framework": "scikit-learn", "accuracy": 0.97}'


@pytest.mark.parametrize(
    ("key", "value", "place", "message", "hint"),
    [
        ("name", 1, "", "must be a string, not the number 1", 'put it in quotes: "1"'),
        ("name", None, "", "must be a string, not null", 'write "name": "my-model"'),
        ("name", "", "", '"" is not a valid package name: it is empty',
         "use letters and digits, with '.', '_' or '-' between them"),
        ("version", 1.0, "", "must be a string, not the number 1.0", 'did you mean "1.0.0"?'),
        ("version", [1, 0], "", "must be a string, not a list",
         'a version has three numbers, as in "1.0.0" or "1.0.0-rc.1"'),
        ("version", None, "", "must be a string, not null", 'write "version": "1.0.0"'),
        ("version", "1.0", "", '"1.0" is not a valid version: it has two numbers instead of three (MAJOR.MINOR.PATCH)',
         'did you mean "1.0.0"?'),
        ("version", "1.0.0\n", "", '"1.0.0\\n" is not a valid version: it has leading or trailing spaces',
         'did you mean "1.0.0"?'),
        ("description", True, "", "must be a string, not true", 'put it in quotes: "true"'),
        ("description", "x" * 4001, "", "has 4,001 characters; the maximum is 4,000", None),
        ("license", {"type": "MIT"}, "", "must be a string, not an object", 'write "MIT"'),
        ("license", ["MIT"], "", "must be a string, not a list", None),
        ("license", "", "", "must not be empty", "remove it"),
        ("include", {}, "", "must be a list, not an object", None),
        ("include", [], "", "must not be empty",
         'write ["**"] to include every file, or ["package.json"] to include no other file'),
        ("include", None, "", "must be a list, not null",
         'write "include": ["**"] to include every file, or list the files'),
        ("include", [3], "/0", "must be a string or a list, not the number 3", None),
        ("include", [["a", 3]], "/0/1", "must be a string, not the number 3", 'put it in quotes: "3"'),
        ("include", [[]], "/0", "must not be empty", "remove it"),
        ("include", [["a", ""]], "/0", 'the pattern ["a", ""] has an empty component', 'did you mean "a/**"?'),
        ("include", [["a/b", "c"]], "/0", '["a/b", "c"] has a "/" in a component',
         'write ["a", "b", "c"], or write the pattern as one string'),
        ("include", [["/"]], "/0", '["/"] has a "/" in a component', None),
        ("include", [["..", "x"]], "/0", "the pattern [\"..\", \"x\"] contains the component '..'",
         "a package contains only files in the directory of package.json: move or copy the files there"),
        ("include", ["a\\b"], "/0", 'the pattern "a\\\\b" contains a backslash',
         'separate directories with "/": "a/b"'),
        ("include", ["a", "/etc/passwd"], "/1", 'the pattern "/etc/passwd" is absolute',
         "use a path relative to package.json"),
        ("include", [""], "/0", 'the pattern "" is empty',
         'did you mean "**", which matches every file in the directory?'),
        ("exclude", "x", "", "must be a list, not a string", 'make it a list: ["x"]'),
        ("exclude", ["../x"], "/0", "the pattern \"../x\" contains the component '..'",
         "a package contains only files in the directory of package.json: move or copy the files there"),
        ("readme", "../README", "", "the path \"../README\" contains the component '..'",
         "use a path relative to package.json, such as README.md"),
        ("readme", 1, "", "must be a string, not the number 1", 'put it in quotes: "1"'),
        ("homepage", "example.org/x", "", '"example.org/x" must start with https:// or http://',
         'did you mean "https://example.org/x"?'),
        ("homepage", "my page", "", '"my page" must start with https:// or http://', None),
        ("authors", {"name": "A", "email": "a@b"}, "", "must be a list, not an object", 'write "A <a@b>"'),
        ("authors", [{"name": "A"}], "/0", "must be a string, not an object", 'write "A"'),
        ("authors", "A", "", "must be a list, not a string", 'make it a list: ["A"]'),
        ("authors", [None], "/0", "must be a string, not null", LEAVE),
        ("keywords", "a, b", "", "must be a list, not a string", 'make it a list: ["a", "b"]'),
        ("keywords", ["a", "b", "a"], "", 'contains "a" twice', "remove one of them"),
        ("metadata", None, "", "must be an object, not null", LEAVE),
        ("metadata", [1], "", "must be an object, not a list", META),
        ("metadata", False, "", "must be an object, not false", META),
        ("dependencies", ["tokenizer>=1.2", "other", 3], "", "must be an object, not a list",
         'write {"tokenizer": ">=1.2", "other": "*"}'),
        ("dependencies", "tokenizer", "", "must be an object, not a string", 'write {"tokenizer": "*"}'),
        ("dependencies", [], "", "must be an object, not a list", 'write {"tokenizer": ">=1.2,<2"}'),
        ("dependencies", {"t": None}, "/t", "must be a string, not null", 'write "*" to allow any version'),
        ("dependencies", {"t": [">=1", "<2"]}, "/t", "must be a string, not a list", 'write ">=1,<2"'),
        ("dependencies", {"t": 2}, "/t", "must be a string, not the number 2", 'put it in quotes: "2"'),
        ("dependencies", {"t": ">=1 <2"}, "/t", '">=1 <2" is not a valid version range: a comma is missing before "<2"',
         'did you mean ">=1,<2"?'),
        ("dependencies", {"t t": "*"}, "/t t", "\"t t\" is not a valid package name: ' ' is not allowed",
         'did you mean "t-t"?'),
        ("dependencies", {"T_t": "*", "t-t": "*"}, "/t-t", '"t-t" names the same package as "T_t"', "keep one of them"),
        ("dependencies", {"My_Model": ">=1"}, "/My_Model", "a package cannot depend on itself", "remove it"),
        ("compatibility", ["lib>=1", "python"], "", "must be an object, not a list",
         'write {"lib": ">=1", "python": ">=0"}'),
        ("compatibility", 3, "", "must be an object, not the number 3", 'write {"my_library": ">=1.0,<2"}'),
        ("compatibility", {"": ">=1"}, "/", '"" is not a valid app name: it is empty',
         "use letters and digits, with '.', '_' or '-' between them"),
        ("compatibility", {"a": ">=1", "A": ""}, "/A", '"A" names the same app as "a"', "keep one of them"),
        ("$schema", 1, "", "must be a string, not the number 1", 'put it in quotes: "1"'),
    ],
)  # fmt: skip
def test_each_problem_has_a_location_and_a_hint(
    key: str, value: object, place: str, message: str, hint: str | None
) -> None:
    assert problems_of(with_(**{key: value})) == [(f"/{key}{place}", message, hint)]


@pytest.mark.parametrize(
    ("specifier", "hint"),
    [
        ("1.0", 'did you mean "==1.0" or ">=1.0"?'),
        ("v1.0", 'did you mean "==1.0" or ">=1.0"?'),
        ("1.x", 'did you mean "==1.*"?'),
        ("1.4.*", 'did you mean "==1.4.*"?'),
        ("=1.0", 'did you mean "==1.0"?'),
        ("=>1.0", 'did you mean ">=1.0"?'),
        ("^1.2", 'did you mean ">=1.2,<2"?'),
        ("~1.2", 'did you mean "~=1.2"?'),
        ("~>1.2", 'did you mean "~=1.2"?'),
        (">=1 <2", 'did you mean ">=1,<2"?'),
        ("*", 'write ">=0" to allow any version'),
        ("any", 'write ">=0" to allow any version'),
        ("foo", 'use a form such as ">=1.0,<2" or "==1.4.*"'),
        ("1.0 or 2.0", 'use a form such as ">=1.0,<2" or "==1.4.*"'),
    ],
)
def test_an_app_specifier_that_is_not_pep_440_gets_a_hint(specifier: str, hint: str) -> None:
    assert problems_of(with_(compatibility={"app": specifier})) == [
        ("/compatibility/app", f"{json.dumps(specifier)} is not a valid PEP 440 version specifier", hint)
    ]


@pytest.mark.parametrize("document", [None, True, 3, 1.5, "x", []])
def test_a_manifest_that_is_not_an_object_is_a_single_problem(document: object) -> None:
    [(pointer, message, hint)] = problems_of(document)
    assert pointer == ""
    assert message.startswith("the manifest must be an object, not ")
    assert hint == 'write {"name": …, "version": …, "include": […]}'


WRONG: list[object] = [None, True, 7, 1.5, "", "x", [], [None], [7], [[]], [{}], {}, {"a": None}, {"": 7}, {"a": []}]


@pytest.mark.parametrize("value", WRONG, ids=json.dumps)
@pytest.mark.parametrize(
    "key",
    ["$schema", "name", "version", "description", "license", "include", "exclude", "compatibility", "dependencies",
     "authors", "homepage", "keywords", "readme", "metadata"],
)  # fmt: skip
def test_any_value_in_any_field_is_taken_or_is_a_problem_of_that_field(key: str, value: object) -> None:
    try:
        parse_manifest(json.dumps(with_(**{key: value})).encode())
    except ManifestError as error:
        for problem in error.problems:
            assert problem.pointer == f"/{key}" or problem.pointer.startswith(f"/{key}/")
            assert problem.line == 1


@pytest.mark.parametrize(
    ("data", "line", "message", "hint"),
    [
        (b'{"name": "a",\n"version": "1.0.0",\n}', 3,
         "invalid JSON at column 1",
         "remove the comma before the closing bracket"),
        (b"{'name': 'a'}", 1, "invalid JSON at column 2",
         'put strings in straight double quotes: "…"'),
        (b'{\n  // the name\n  "name": "a"}', 2,
         "invalid JSON at column 3",
         "remove the comment: JSON does not support comments"),
        (b"", 1, "invalid JSON at column 1", "the file is empty"),
        (b'{"name": "a",\n "name": "b"}', 2, 'duplicate key "name"', None),
        (b'{"metadata": {"x": NaN}}', 1, "NaN is not a JSON number", None),
        (b"[" * 10_000, 1, "it has more than 64 levels of nesting", None),
        (b'{"metadata": {"x": ' + b"9" * 400 + b"}}", 1,
         "the integer of 400 digits does not fit in 64 bits", None),
        (b'{"name":\n "\xff"}', 2, "not UTF-8: unexpected byte 0xff", None),
        (b" " * (1024 * 1024 + 1), None,
         "too large: it has 1,048,577 bytes; the maximum is 1,048,576", None),
    ],
)  # fmt: skip
def test_invalid_json_is_a_single_problem_with_a_line(
    data: bytes, line: int | None, message: str, hint: str | None
) -> None:
    with pytest.raises(ManifestError) as caught:
        parse_manifest(data)
    [problem] = caught.value.problems
    # Python 3.13 began to point at a trailing comma, not behind it, and to name it.
    if hint != "remove the comma before the closing bracket":
        assert (problem.line, problem.message) == (line, message)
    assert (problem.pointer, problem.hint) == ("", hint)


def test_a_manifest_too_large_for_a_release_record_is_rejected() -> None:
    [(pointer, message, hint)] = problems_of(with_(metadata={"table": "x" * 70_000}))
    assert pointer == "/metadata"
    assert message.endswith("bytes in the release record; the maximum is 61,440")
    assert hint == "put large values in a file of the package"


def test_a_new_manifest_is_a_good_one() -> None:
    data = new_manifest("my-model", "0.1.0")
    manifest = parse_manifest(data)
    assert data.endswith(b"}\n")
    assert (manifest.name, str(manifest.version)) == ("my-model", "0.1.0")
    selection = manifest.select(["package.json", "data/a", "data/.zarray", ".git/config", ".env"])
    assert selection.files == ("data/.zarray", "data/a", "package.json")
    assert selection.problems == ()


@pytest.mark.parametrize(("name", "version"), [("my model", "1.0.0"), ("model", "1.0")])
def test_a_new_manifest_is_not_made_of_bad_words(name: str, version: str) -> None:
    with pytest.raises(UsageError, match="is not a"):
        new_manifest(name, version)


TREE = [
    "package.json", "README.md", "data/a.csv", "data/b.csv", "data/deep/c.csv", "data/deep/d.bin", "img[1]/x.png",
    "weights.bin",
]  # fmt: skip


@pytest.mark.parametrize(
    ("include", "exclude", "expected"),
    [
        ([["data", "*"]], [], "data/a.csv data/b.csv package.json"),
        (["data/*"], [], "data/a.csv data/b.csv package.json"),
        (["data/**"], ["**/*.bin"], "data/a.csv data/b.csv data/deep/c.csv package.json"),
        ([["data", "**"]], ["data/deep/**"], "data/a.csv data/b.csv package.json"),
        (["**/*.bin", "README.md"], [], "README.md data/deep/d.bin package.json weights.bin"),
        (["**"], ["*"], "data/a.csv data/b.csv data/deep/c.csv data/deep/d.bin img[1]/x.png package.json"),
        (["weights.bin"], ["weights.bin", "nothing/**"], "package.json"),
        (["package.json"], ["package.json"], "package.json"),
        (["img[[]1]/*"], [], "img[1]/x.png package.json"),
    ],
)
def test_include_and_exclude_choose_files(include: list[object], exclude: list[object], expected: str) -> None:
    selection = manifest_with(include, exclude).select(reversed(TREE))
    assert " ".join(selection.files) == expected
    assert (selection.unmatched, selection.problems) == ((), ())


def test_package_json_need_not_be_listed_or_seen() -> None:
    assert manifest_with(["package.json", "a"]).select(["a"]).files == ("a", "package.json")


@pytest.mark.parametrize(
    ("entry", "hint"),
    [
        ("data", 'it is a directory; did you mean "data/**"?'),
        ("d*/deep", 'it is a directory; did you mean "d*/deep/**"?'),
        (["daat", "*"], 'there is no directory "daat"; did you mean "data/*"?'),
        ("zzz/**", 'there is no directory "zzz"'),
        ("data/ab.csv", 'did you mean "data/b.csv"?'),
        ("wieghts.bin", 'did you mean "weights.bin"?'),
        ("data/*.safetensors", None),
        ("img[1]/x.png", 'to match a "[" in a file name, write "img[[]1]/x.png"'),
    ],
)
def test_an_entry_that_matches_nothing_is_a_problem_with_a_hint(entry: object, hint: str | None) -> None:
    selection = manifest_with(["weights.bin", entry]).select(TREE)
    [problem] = selection.problems
    assert (problem.pointer, problem.message, problem.hint) == (
        "/include/1",
        f"{json.dumps(entry)} matches no file",
        hint,
    )
    assert problem.line == selection.unmatched[0].line
    assert [unmatched.pointer for unmatched in selection.unmatched] == ["/include/1"]


def test_a_hundred_thousand_paths_are_checked_quickly() -> None:
    paths = [f"data/{number % 100}/file{number}.bin" for number in range(100_000)]
    include = ["data/**", "**/*.bin", "data/?/*7*.bin", *paths[:3000]]
    assert len(manifest_with(include).select(paths).files) == 100_001


@pytest.mark.parametrize("name", ["package", "release"])
def test_the_schemas_are_valid_draft_2020_12_and_explain_themselves(name: schemas.SchemaName) -> None:
    from jsonschema import Draft202012Validator

    schema = schemas.load_schema(name)
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert schema["additionalProperties"] is False
    for described in (schema, *schema["properties"].values()):
        assert described["title"]
        assert described["description"]


RECORD: dict[str, Any] = {
    "format": 1,
    "name": "model",
    "version": "1.0.0",
    "archive": {"key": "archives/model/model-1.0.0-0123456789ab.tar.zst", "size": 10},
    "contents": {"offset": 0, "length": 1, "raw_length": 1, "blake3": "0" * 64},
    "files": 1,
    "bytes": 1,
    "encoder": "zstd",
    "published": "2025-01-31T12:00:00Z",
}


def is_record(record: object) -> bool:
    from jsonschema import Draft202012Validator

    return bool(Draft202012Validator(schemas.load_schema("release")).is_valid(record))


def test_the_schema_of_records_takes_a_record() -> None:
    said = {key: value for key, value in GOOD.items() if key in ("name", "version")}
    facts = {"description": "", "license": "MIT", "compatibility": {"a": ">=1"}, "dependencies": {"b": ""}}
    assert is_record(RECORD)
    assert is_record({**RECORD, **said, **facts, "keywords": ["a"], "metadata": {"a": None}})


@pytest.mark.parametrize("key", sorted(RECORD))
def test_the_schema_of_records_wants_every_field_of_the_right_type(key: str) -> None:
    assert not is_record({name: value for name, value in RECORD.items() if name != key})
    wrong: list[object] = [None, True, -1, "\n", [], {}, 2.5]
    for value in wrong:
        assert not is_record({**RECORD, key: value})


@pytest.mark.parametrize(
    "fields",
    [
        {"format": 2},
        {"more": 1},
        {"name": "model\n"},
        {"version": "1.0"},
        {"published": "2025-01-31T12:00:00+01:00"},
        {"published": "2025-13-31T12:00:00Z"},
        {"archive": {"key": "elsewhere/x.tar.zst", "size": 1}},
        {"archive": {"key": "archives/m/x.tar.zst"}},
        {"contents": {**RECORD["contents"], "blake3": "0" * 63}},
        {"contents": {**RECORD["contents"], "blake3": "0" * 64 + "\n"}},
        {"contents": {**RECORD["contents"], "offset": -1}},
        {"contents": {**RECORD["contents"], "sha256": ""}},
    ],
)
def test_the_schema_of_records_refuses(fields: dict[str, object]) -> None:
    assert not is_record({**RECORD, **fields})


def test_an_installation_without_its_schemas_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schemas, "_folders", lambda: [tmp_path])
    with pytest.raises(IntegrityError, match=r"package\.schema\.json is missing"):
        schemas.load_schema("package")
