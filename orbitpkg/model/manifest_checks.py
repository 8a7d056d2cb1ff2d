"""All checks of a manifest, with error messages that tell an author how to fix each problem.

The JSON schema checks the structure. This module translates its errors, because "'1.0' does not match '^(0|…'" does not
help an author. It also checks what a schema cannot express: versions, ranges, PEP 440 specifiers, different spellings
of the same name, patterns that leave the directory, and the size limit of the release record. If both find a problem
with the same value, only the one from this module is reported.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from orbitpkg.errors import Problem, UsageError
from orbitpkg.model.jsontext import canonical_json, escape_pointer, json_text
from orbitpkg.model.names import canonical_name, is_valid_name, nearest
from orbitpkg.model.paths import path_problem
from orbitpkg.model.patterns import glob_problem, is_literal
from orbitpkg.model.requirements import parse_range
from orbitpkg.model.schemas import load_schema
from orbitpkg.model.versions import parse_version

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from jsonschema.exceptions import ValidationError

__all__ = ["manifest_problems"]

# A pattern with wildcards may have to be compared with every file of the directory.
_MAX_GLOBS = 10_000
_MAX_COPIED_BYTES = 60 * 1024
"""The size limit of the values that the release record copies from a manifest. The record is limited to 64 KiB, and
everything else in it takes less than 4 KiB."""
_COPIED_KEYS = ("name", "version", "description", "license", "compatibility", "dependencies", "keywords", "metadata")

_MISTAKEN_KEYS = {
    "files": "include", "data": "include", "package_data": "include", "ignore": "exclude", "requires": "dependencies",
    "requirements": "dependencies", "depends": "dependencies", "install_requires": "dependencies",
    "tags": "keywords", "url": "homepage", "repository": "homepage", "summary": "description", "meta": "metadata",
    "id": "name", "maintainers": "authors", "engines": "compatibility", "requires_python": "compatibility",
}  # fmt: skip
_MISSING_HINTS = {
    "name": 'add "name": "my-model"',
    "version": 'add "version": "1.0.0"',
    "include": 'add "include": ["**"] to include every file, or list the files',
}
_KINDS = {"string": "a string", "array": "a list", "object": "an object"}
_NAME_AND_REST = re.compile(r"\s*([A-Za-z0-9._-]*)\s*(.*)", re.DOTALL)


def manifest_problems(document: object) -> Iterator[Problem]:
    """Yield all problems of a manifest, without lines and in no particular order.

    Args:
        document: The parsed JSON, of any type.
    """
    if not isinstance(document, dict):
        hint = 'write {"name": …, "version": …, "include": […]}'
        yield Problem("", f"the manifest must be an object, not {_kind(document)}", hint)
        return
    reported: set[str] = set()
    for problem in _semantic_problems(document):
        reported.add(problem.pointer)
        yield problem
    for problem in _schema_problems(document):
        # Report only the first problem of a value or its parent. Missing keys are all reported at the root.
        if not problem.pointer or reported.isdisjoint((problem.pointer, problem.pointer.rpartition("/")[0])):
            yield problem
        reported.add(problem.pointer)


def _semantic_problems(document: dict[str, Any]) -> Iterator[Problem]:
    yield from _parse_problems("/name", document.get("name"), canonical_name, "package name")
    yield from _parse_problems("/version", document.get("version"), parse_version, "version")
    yield from _pattern_problems(document, "include")
    yield from _pattern_problems(document, "exclude")
    yield from _readme_problems(document.get("readme"))
    yield from _name_problems(document, "compatibility", "app")
    yield from _name_problems(document, "dependencies", "package")
    for name, text in _strings(document, "compatibility"):
        yield from _specifier_problems(f"/compatibility/{escape_pointer(name)}", text)
    for name, text in _strings(document, "dependencies"):
        yield from _parse_problems(f"/dependencies/{escape_pointer(name)}", text, parse_range, "version range")
    yield from _self_dependencies(document)
    yield from _size_problems(document)


def _parse_problems(pointer: str, value: object, parse: Callable[[str], object], kind: str) -> Iterator[Problem]:
    """Yield a problem if a string cannot be parsed. The schema reports values that are not strings."""
    if not isinstance(value, str):
        return
    try:
        parse(value)
    except UsageError as error:
        yield Problem(pointer, f"{_quoted(value)} is not a valid {kind}: {error.data['reason']}", _fragment(error.hint))


def _fragment(hint: str | None) -> str | None:
    """Return a hint in the form in which it follows a problem, in parentheses."""
    return hint[0].lower() + hint[1:].removesuffix(".") if hint else None


def _quoted(value: object) -> str:
    text = json_text(value)
    return text if len(text) <= 80 else f"{text[:78]}…"  # noqa: PLR2004


def _strings(document: Mapping[str, object], key: str) -> Iterator[tuple[str, str]]:
    value = document.get(key)
    if isinstance(value, dict):
        yield from ((name, text) for name, text in value.items() if isinstance(text, str))


def _pattern_problems(document: Mapping[str, object], key: str) -> Iterator[Problem]:
    entries = document.get(key)
    globs = sum(map(_has_wildcard, entries if isinstance(entries, list) else ()))
    if globs > _MAX_GLOBS:
        yield Problem(f"/{key}", f"has {globs:,} patterns with wildcards; the maximum is {_MAX_GLOBS:,}")
        return
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        pointer = f"/{key}/{index}"
        if isinstance(entry, str):
            yield from _glob_problems(pointer, entry, entry)
        elif isinstance(entry, list) and entry and all(isinstance(part, str) for part in entry):
            yield from _parts_problems(pointer, entry)


def _has_wildcard(entry: object) -> bool:
    parts = entry if isinstance(entry, list) else [entry]
    return not all(is_literal(part) for part in parts if isinstance(part, str))


def _parts_problems(pointer: str, parts: list[str]) -> Iterator[Problem]:
    if any("/" in part for part in parts):
        split = [piece for part in parts for piece in part.split("/") if piece]
        hint = f"write {_quoted(split)}, or write the pattern as one string" if split else None
        yield Problem(pointer, f'{_quoted(parts)} has a "/" in a component', hint)
    else:
        yield from _glob_problems(pointer, parts, "/".join(parts))


def _glob_problems(pointer: str, written: object, glob: str) -> Iterator[Problem]:
    problem = glob_problem(glob)
    if problem:
        yield Problem(pointer, f"the pattern {_quoted(written)} {problem[0]}", problem[1])


def _readme_problems(readme: object) -> Iterator[Problem]:
    problem = path_problem(readme) if isinstance(readme, str) else None
    if problem:
        yield Problem(
            "/readme", f"the path {_quoted(readme)} {problem}", "use a path relative to package.json, such as README.md"
        )


def _name_problems(document: Mapping[str, object], key: str, thing: str) -> Iterator[Problem]:
    value = document.get(key)
    seen: dict[str, str] = {}
    for name in value if isinstance(value, dict) else ():
        pointer = f"/{key}/{escape_pointer(name)}"
        if not is_valid_name(name):
            yield from _parse_problems(pointer, name, canonical_name, f"{thing} name")
            continue
        twin = seen.setdefault(canonical_name(name), name)
        if twin != name:
            yield Problem(pointer, f'"{name}" names the same {thing} as "{twin}"', "keep one of them")


def _self_dependencies(document: Mapping[str, object]) -> Iterator[Problem]:
    own = document.get("name")
    if not isinstance(own, str) or not is_valid_name(own):
        return
    for name, _ in _strings(document, "dependencies"):
        if is_valid_name(name) and canonical_name(name) == canonical_name(own):
            yield Problem(f"/dependencies/{name}", "a package cannot depend on itself", "remove it")


def _specifier_problems(pointer: str, text: str) -> Iterator[Problem]:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    try:
        SpecifierSet(text)
    except InvalidSpecifier:
        yield Problem(pointer, f"{_quoted(text)} is not a valid PEP 440 version specifier", _specifier_hint(text))


def _specifier_hint(text: str) -> str:
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    bare = text.strip().lstrip("vV")
    if bare in ("*", "any", "latest"):
        return 'write ">=0" to allow any version'
    for guess in _specifier_guesses(bare):
        try:
            SpecifierSet(guess[0])
        except InvalidSpecifier:
            continue
        return f"did you mean {' or '.join(json_text(word) for word in guess)}?"
    return 'use a form such as ">=1.0,<2" or "==1.4.*"'


def _specifier_guesses(bare: str) -> Iterator[list[str]]:
    """Yield possible corrections, best first. Each is a list of one or two equally likely spellings."""
    if re.fullmatch(r"\d+(\.\d+)*(\.[x*])", bare):
        yield [f"=={bare[:-1]}*"]
    if bare[:1].isdigit():
        yield [f"=={bare}", f">={bare}"]
    caret = re.fullmatch(r"\^\s*v?(\d+)((?:\.\d+)*)", bare)
    if caret:
        yield [f">={caret[1]}{caret[2]},<{int(caret[1][:18]) + 1}"]
    yield [re.sub(r"(?<![=<>~!])=(?!=)", "==", bare.replace("=>", ">=").replace("=<", "<="))]
    yield [re.sub(r"(?<=[\w*])\s+(?=[=<>~!])", ",", bare)]
    yield [re.sub(r"^~>?(?!=)", "~=", bare)]


def _size_problems(document: Mapping[str, object]) -> Iterator[Problem]:
    sizes = {key: len(canonical_json(document[key])) for key in _COPIED_KEYS if key in document}
    total = sum(sizes.values())
    if total > _MAX_COPIED_BYTES:
        largest = max(sizes, key=sizes.__getitem__)
        message = f"the manifest puts {total:,} bytes in the release record; the maximum is {_MAX_COPIED_BYTES:,}"
        yield Problem(f"/{largest}", message, "put large values in a file of the package")


def _schema_problems(document: dict[str, Any]) -> Iterator[Problem]:
    # Takes 50 ms to import, and only the checks of a manifest need it.
    from jsonschema import Draft202012Validator

    schema = load_schema("package")
    unknown = [key for key in document if key not in schema["properties"]]
    intended = {key: _intended_key(key, schema["properties"]) for key in unknown}
    for error in Draft202012Validator(schema).iter_errors(document):
        if error.validator == "required":
            continue
        if error.validator == "additionalProperties":
            yield from (_unknown_key(key, intended[key], document) for key in unknown)
        else:
            yield _translate(error)
    for key in schema["required"]:
        # A misspelled key has already been reported.
        if key not in document and key not in intended.values():
            yield Problem("", f'the required key "{key}" is missing', _MISSING_HINTS[key])


def _intended_key(key: str, known: Iterable[str]) -> str | None:
    """Return the known key that an unknown one probably stands for, or None."""
    folded = key.lower().replace("-", "_")
    return _MISTAKEN_KEYS.get(folded) or next(iter(nearest(folded, sorted({*known} - {"$schema"}), 1)), None)


def _unknown_key(key: str, intended: str | None, document: Mapping[str, object]) -> Problem:
    if intended is None:
        hint = 'put custom facts in "metadata"'
    elif intended in document:
        hint = f'remove it, or merge it into "{intended}"'
    else:
        hint = f'did you mean "{intended}"?'
    return Problem(f"/{escape_pointer(key)}", f"unknown key {_quoted(key)}", hint)


def _translate(error: ValidationError) -> Problem:
    path = list(error.absolute_path)
    pointer = "".join(f"/{escape_pointer(str(step))}" for step in path)
    value: Any = error.instance
    match error.validator:
        case "type":
            return Problem(pointer, _type_message(error), _type_hint(path, value, error.validator_value))
        case "minItems" | "minLength":
            return Problem(pointer, "must not be empty", _empty_hint(path))
        case "maxLength":
            return Problem(pointer, f"has {len(value):,} characters; the maximum is {error.validator_value:,}")
        case "uniqueItems":
            twice = next(item for index, item in enumerate(value) if item in value[:index])
            return Problem(pointer, f"contains {_quoted(twice)} twice", "remove one of them")
        case "pattern" if pointer == "/homepage":
            hint = f'did you mean "https://{value}"?' if re.match(r"[\w-]+(\.[\w-]+)+(/|$)", value) else None
            return Problem(pointer, f"{_quoted(value)} must start with https:// or http://", hint)
        case _:
            return Problem(pointer, error.message)


def _kind(value: object) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return str(value).lower()
        case int() | float():
            return f"the number {value}"
        case str():
            return "a string"
        case list():
            return "a list"
        case _:
            return "an object"


def _type_message(error: ValidationError) -> str:
    wanted: Any = error.validator_value
    kinds = [_KINDS[name] for name in ([wanted] if isinstance(wanted, str) else wanted)]
    return f"must be {' or '.join(kinds)}, not {_kind(error.instance)}"


def _empty_hint(path: list[str | int]) -> str | None:
    if path == ["include"]:
        return 'write ["**"] to include every file, or ["package.json"] to include no other file'
    return "remove it" if len(path) > 1 or path[0] != "name" else None


def _type_hint(path: list[str | int], value: Any, wanted: object) -> str | None:
    key = path[0]
    if value is None:
        return _null_hint(path)
    if key == "version":
        return _version_hint(value)
    if wanted == "string" and isinstance(value, (bool, int, float)):
        return f"put it in quotes: {json_text(json_text(value))}"
    if wanted == "array" and isinstance(value, str):
        return f"make it a list: {_quoted(_as_list(key, value))}"
    if wanted == "object" and key in ("compatibility", "dependencies"):
        return f"write {_quoted(_as_object(key, value))}"
    return _shape_hint(path, value)


def _null_hint(path: list[str | int]) -> str:
    if path in (["name"], ["version"], ["include"]):
        return _MISSING_HINTS[str(path[0])].replace("add ", "write ")
    if path[0] == "dependencies" and len(path) > 1:
        return 'write "*" to allow any version'
    return "remove it"


def _version_hint(value: object) -> str | None:
    problem = next(_parse_problems("/version", str(value), parse_version, "version"), None)
    return problem.hint if problem else None


def _as_list(key: str | int, value: str) -> list[str]:
    if key == "keywords":
        return [word for word in re.split(r"[,;\s]+", value) if word]
    return [value]


def _as_object(key: str | int, value: object) -> dict[str, str]:
    """Return the object form of a list such as ``["tokenizer>=1.2", "other"]``."""
    anything = "*" if key == "dependencies" else ">=0"
    written = {}
    for item in value if isinstance(value, list) else [value]:
        match = _NAME_AND_REST.fullmatch(item) if isinstance(item, str) else None
        if match and is_valid_name(match[1]):
            written[match[1]] = match[2].strip() or anything
    return written or ({"tokenizer": ">=1.2,<2"} if key == "dependencies" else {"my_library": ">=1.0,<2"})


def _shape_hint(path: list[str | int], value: Any) -> str | None:
    match path, value:
        case ["license", *_], {"type": str(name)}:
            return f"write {_quoted(name)}"
        case ["authors", *_], {"name": str(name), **more}:
            address = more.get("email")
            return f"write {_quoted(f'{name} <{address}>' if isinstance(address, str) else name)}"
        case ["compatibility" | "dependencies", _], [*clauses] if all(isinstance(clause, str) for clause in clauses):
            return f"write {_quoted(','.join(clauses))}"
        case ["metadata"], _:
            return 'use an object such as {"framework": "scikit-learn", "accuracy": 0.97}'
        case _:
            return None
