"""Versions: syntax, order, and suggestions for invalid ones."""

from __future__ import annotations

import copy
import pickle
import subprocess
import sys
from itertools import pairwise

import pytest

from orbitpkg.errors import UsageError
from orbitpkg.model.versions import Version, next_free, parse_version

IN_ORDER = [
    "0.0.0",
    "0.9.10",
    "1.0.0-0",
    "1.0.0-2",
    "1.0.0-10",
    "1.0.0-alpha",
    "1.0.0-alpha.1",
    "1.0.0-alpha.beta",
    "1.0.0-beta",
    "1.0.0-beta.2",
    "1.0.0-beta.11",
    "1.0.0-rc.1",
    "1.0.0-rc10",
    "1.0.0-rc9",
    "1.0.0",
    "1.0.1",
    "1.2.0",
    "1.10.0",
    "10.0.0",
]


def test_versions_are_ordered_by_semantic_versioning() -> None:
    versions = [parse_version(text) for text in IN_ORDER]
    shuffled = versions[7:] + versions[:7]
    assert sorted(shuffled) == versions
    assert max(versions) == versions[-1]
    assert all(a < b and a <= b and b > a and b >= a and a != b for a, b in pairwise(versions))


@pytest.mark.parametrize("text", [*IN_ORDER, "1.0.0--", "1.0.0-x-y-z.--1", f"1.0.0-{'a' * 122}"])
def test_a_version_survives_a_round_trip(text: str) -> None:
    version = parse_version(text)
    assert str(version) == text
    assert parse_version(text) == version
    assert hash(parse_version(text)) == hash(version)
    assert version.is_prerelease == ("-" in text)


def test_a_version_has_its_parts_as_attributes() -> None:
    version = parse_version("1.20.3-rc.1")
    assert (version.major, version.minor, version.patch, version.prerelease) == (1, 20, 3, ("rc", "1"))
    assert repr(version) == "Version('1.20.3-rc.1')"


def test_a_version_cannot_be_changed() -> None:
    version = parse_version("1.0.0")
    with pytest.raises(AttributeError, match="cannot be changed: major"):
        version.major = 2
    with pytest.raises(AttributeError, match="cannot be changed: major"):
        del version.major


def test_a_version_survives_copying_and_pickling() -> None:
    version = parse_version("1.0.0-rc.1")
    assert copy.deepcopy(version) == version
    assert pickle.loads(pickle.dumps(version)) == version  # noqa: S301


def test_a_version_is_not_comparable_with_other_types() -> None:
    version = parse_version("1.0.0")
    assert version != "1.0.0"
    for compare in ("__lt__", "__le__", "__gt__", "__ge__"):
        assert getattr(version, compare)("1.0.0") is NotImplemented


@pytest.mark.parametrize(
    ("text", "reason", "meant"),
    [
        ("1.0", "it has two numbers instead of three (MAJOR.MINOR.PATCH)", "1.0.0"),
        ("1", "it has one number instead of three (MAJOR.MINOR.PATCH)", "1.0.0"),
        ("1.2.3.4", "it has 4 numbers instead of three (MAJOR.MINOR.PATCH)", None),
        ("v1.0.0", 'a leading "v" is not allowed', "1.0.0"),
        ("V2", 'a leading "V" is not allowed', "2.0.0"),
        ("1.0.0+b", 'build metadata ("+b") is not supported', "1.0.0"),
        ("01.0.0", '"01" has a leading zero', "1.0.0"),
        ("2024.01.15", '"01" has a leading zero', "2024.1.15"),
        ("00.0.0", '"00" has a leading zero', "0.0.0"),
        ("1.0.0-01", '"01" has a leading zero', "1.0.0-1"),
        ("1.0.0-rc.00", '"00" has a leading zero', "1.0.0-rc.0"),
        ("1.0rc1", '"0rc1" is not a number', "1.0.0-rc.1"),
        ("1.0.0.dev3", '"dev3" is not a number', "1.0.0-dev.3"),
        ("1.0.0-rc_1", '"rc_1" is not allowed in a pre-release', "1.0.0-rc.1"),
        ("1.0.0-", "its pre-release is incomplete", None),
        ("1.0.0-a..b", "its pre-release is incomplete", "1.0.0-a.b"),
        ("1.0.0-ü", '"ü" is not allowed in a pre-release', None),
        ("1.0.0-\u0661", '"\u0661" is not allowed in a pre-release', None),
        ("-1.0.0", "it does not consist of three numbers", None),
        ("1..0", "a number is missing next to a dot", "1.0.0"),
        ("latest", "it does not consist of three numbers", None),
        ("\uff11.0.0", '"\uff11" is not a number', None),
        ("1.²", '"²" is not a number', None),
        (" 1.0.0\n", "it has leading or trailing spaces", "1.0.0"),
        ("", "it is empty", None),
        (" ", "it is empty", None),
        ("9" * 400, "it has 400 characters; the maximum is 128", None),
    ],
)
def test_an_invalid_version_is_reported_with_a_reason_and_a_suggestion(
    text: str, reason: str, meant: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_version(text)
    hint = f'Did you mean "{meant}"?' if meant else 'A version has three numbers, as in "1.0.0" or "1.0.0-rc.1".'
    assert (caught.value.data["reason"], caught.value.hint) == (reason, hint)


@pytest.mark.parametrize(
    ("version", "taken", "expected"),
    [
        ("1.0.0", [], "1.0.1"),
        ("1.0.0", ["1.0.0", "1.0.1", "1.0.3"], "1.0.2"),
        ("1.0.0-rc.1", ["1.0.0-rc.2"], "1.0.0-rc.3"),
        ("1.0.0-beta", [], "1.0.0-beta.1"),
        ("1.0.0-beta", ["1.0.0-beta.1"], "1.0.0-beta.2"),
    ],
)
def test_the_next_free_version_is_the_first_later_one_not_taken(version: str, taken: list[str], expected: str) -> None:
    assert str(next_free(parse_version(version), map(parse_version, taken))) == expected


def test_the_constructor_takes_numbers() -> None:
    assert Version(1, 2, 3, ("rc", "1")) == parse_version("1.2.3-rc.1")


def test_importing_versions_and_requirements_loads_nothing_heavy() -> None:
    """An app that starts pays for these imports."""
    script = (
        "import sys; import orbitpkg.model.requirements as r;"
        "q = r.parse_requirement('model==2.0.0'); assert q.range.allows(q.range.exact);"
        "assert r.find_newest([q.range.exact], [r.parse_requirement('model').range]) == q.range.exact;"
        "print(sorted({'semantic_version', 'dataclasses', 'typing', 're', 'difflib', 'json'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
