"""Requirements: how they are read, what their ranges allow, and where a bad one is wrong."""

from __future__ import annotations

import copy
import pickle

import pytest

from orbitpkg.errors import UsageError
from orbitpkg.model.requirements import find_newest, parse_range, parse_requirement
from orbitpkg.model.versions import Version, parse_version

VERSIONS = [
    "0.0.0", "0.0.1", "0.1.0", "0.2.1", "0.2.9", "1.0.0-rc.1", "1.0.0", "1.2.0", "1.3.0-rc.1", "1.3.0", "1.4.0",
    "1.4.2", "1.4.7", "1.5.0-rc.1", "1.5.0", "2.0.0-rc.1", "2.0.0", "2.1.0",
]  # fmt: skip


def allowed(text: str) -> str:
    range_ = parse_range(text)
    return " ".join(version for version in VERSIONS if range_.allows(parse_version(version)))


@pytest.mark.parametrize(
    ("text", "written", "name", "key"),
    [
        ("model", "model", "model", "model"),
        ("My_Model", "My_Model", "My_Model", "my-model"),
        ("model==2.0.0", "model==2.0.0", "model", "model"),
        ("  model >= 1.2, < 2 ", "model>=1.2,<2", "model", "model"),
        ("model~=1.4\n", "model~=1.4", "model", "model"),
        ("model^1.2", "model^1.2", "model", "model"),
        ("model ~ 1", "model~1", "model", "model"),
        ("model!=1.3.0", "model!=1.3.0", "model", "model"),
        ("model-2.0.0", "model-2.0.0", "model-2.0.0", "model-2-0-0"),
        ("model==1.4.*\t,!=1.4.2", "model==1.4.*,!=1.4.2", "model", "model"),
    ],
)
def test_a_requirement_is_a_name_and_perhaps_a_range(text: str, written: str, name: str, key: str) -> None:
    requirement = parse_requirement(text)
    assert (str(requirement), requirement.name, requirement.key) == (written, name, key)
    assert parse_requirement(written) == requirement
    assert repr(requirement) == f"Requirement({written!r})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("==1.4.2", "1.4.2"),
        ("==1.4", "1.4.0 1.4.2 1.4.7"),
        ("==1.4.*", "1.4.0 1.4.2 1.4.7"),
        ("==0.*", "0.0.0 0.0.1 0.1.0 0.2.1 0.2.9"),
        ("==0.*.*", "0.0.0 0.0.1 0.1.0 0.2.1 0.2.9"),
        ("==1.0.0-rc.1", "1.0.0-rc.1"),
        (">1.4,<2", "1.5.0"),
        (">1.4.0,<1.5", "1.4.2 1.4.7"),
        ("<=1.4,>=1.4.2", "1.4.2 1.4.7"),
        ("<=1.4.0,>1.3.0", "1.4.0"),
        ("~=1.4", "1.4.0 1.4.2 1.4.7 1.5.0-rc.1 1.5.0"),
        ("~=1.4.2", "1.4.2 1.4.7"),
        ("~1.4", "1.4.0 1.4.2 1.4.7"),
        ("~1", "1.0.0 1.2.0 1.3.0-rc.1 1.3.0 1.4.0 1.4.2 1.4.7 1.5.0-rc.1 1.5.0"),
        ("^1.5", "1.5.0"),
        ("^0.2.1", "0.2.1 0.2.9"),
        ("^0.0.1", "0.0.1"),
        ("^0.0", "0.0.0 0.0.1"),
        ("^0", "0.0.0 0.0.1 0.1.0 0.2.1 0.2.9"),
        ("^1.3.0-rc.1,<1.4", "1.3.0-rc.1 1.3.0"),
        ("^1.0.0-rc.1,<1.2", "1.0.0-rc.1 1.0.0"),
        ("~=1.0.0-rc.1", "1.0.0-rc.1 1.0.0"),
        ("~2.0.0-rc.1", "2.0.0-rc.1 2.0.0"),
        ("!=1.4,>=1.3.0,<2", "1.3.0 1.5.0"),
        ("!=1.3.0,>=1.2,<1.4", "1.2.0"),
        ("!=1.3.0-rc.1,>=1.2,<1.4", "1.2.0 1.3.0"),
        (">2.0.0-rc.1", "2.0.0 2.1.0"),
        ("", " ".join(VERSIONS)),
        (" * ", " ".join(VERSIONS)),
    ],
)
def test_ranges_allow_the_expected_versions(text: str, expected: str) -> None:
    assert allowed(text) == expected


@pytest.mark.parametrize(
    ("text", "exact"),
    [("==2.0.0", "2.0.0"), (" == 2.0.0-rc.1", "2.0.0-rc.1"), ("==2.0", None), ("==2.0.*", None), ("", None),
     (">=2.0.0", None), ("==2.0.0,==2.0.0", None)],
)  # fmt: skip
def test_only_a_lone_whole_version_is_exact(text: str, exact: str | None) -> None:
    assert parse_range(text).exact == (parse_version(exact) if exact else None)


@pytest.mark.parametrize(
    ("text", "mentions"),
    [("==2.0.0-rc.1", True), (">=1.0.0-a,<2", True), ("<2.0.0-rc.1", True), (">=1.0", False), ("", False),
     (">=1,!=1.3.0-rc.1", False)],
)  # fmt: skip
def test_a_range_mentions_a_prerelease_when_it_names_one_to_have(text: str, *, mentions: bool) -> None:
    assert parse_range(text).mentions_prerelease is mentions


@pytest.mark.parametrize(
    ("text", "prereleases", "expected"),
    [
        ("", False, "2.1.0"),
        ("<2.1", False, "2.0.0"),
        (">1.3,<1.4.7", False, "1.4.2"),
        ("==1.0.0-rc.1", False, "1.0.0-rc.1"),
        (">=1.3.0-rc.1,<1.3.0-rc.2", False, "1.3.0-rc.1"),
        (">=1.3.0-rc.1,<1.3.0", False, None),
        ("<1.5.0,>=1.4.7", True, "1.4.7"),
        (">1.4.7,<=2.0.0-rc.1", False, "2.0.0-rc.1"),
        (">3", True, None),
    ],
)
def test_the_best_version_is_the_newest_that_fits(text: str, *, prereleases: bool, expected: str | None) -> None:
    versions = [parse_version(version) for version in VERSIONS]
    found = find_newest(versions, [parse_range(text)], prereleases=prereleases)
    assert found == (parse_version(expected) if expected else None)


def test_prereleases_are_not_chosen_even_if_no_other_version_exists() -> None:
    only = [parse_version("1.0.0-rc.1")]
    assert find_newest(only, [parse_range("")]) is None
    assert find_newest(only, [parse_range("")], prereleases=True) == only[0]


def test_requirements_are_equal_when_they_ask_for_the_same() -> None:
    assert parse_requirement("My_Model >=1") == parse_requirement("my-model>=1")
    assert hash(parse_requirement("My_Model >=1")) == hash(parse_requirement("my-model>=1"))
    assert parse_requirement("model") != parse_requirement("model>=1")
    assert parse_requirement("model") != "model"
    assert parse_range(">=1") != ">=1"
    assert str(parse_range(">= 1")) == ">=1"
    assert repr(parse_range(">= 1")) == "VersionRange('>=1')"


def test_requirements_survive_copying_and_pickling() -> None:
    requirement = parse_requirement("model>=1,<2")
    assert requirement.range.allows(parse_version("1.0.0"))
    assert copy.deepcopy(requirement) == requirement
    assert pickle.loads(pickle.dumps(requirement)) == requirement  # noqa: S301


def test_a_requirement_cannot_be_changed() -> None:
    requirement = parse_requirement("model")
    with pytest.raises(AttributeError, match="a Requirement cannot be changed"):
        requirement.name = "other"
    with pytest.raises(AttributeError, match="a VersionRange cannot be changed"):
        requirement.range.text = ">=1"


PLAIN = 'Write just "model", or add a range, as in "model==2.0.0" or "model>=1.2,<2".'
ALONE = 'Write just "model" to get the newest version.'
VERSION = 'A version has three numbers, as in "1.0.0" or "1.0.0-rc.1".'
COMMAS = "Join clauses with commas. All of them must match."
OPERATORS = "==, !=, >=, <=, ~=, >, <, ~, ^"


@pytest.mark.parametrize(
    ("text", "position", "reason", "hint"),
    [
        ("", 0, "it is empty", 'Write a name, as in "model" or "model==2.0.0".'),
        ("  ", 0, "it is empty", 'Write a name, as in "model" or "model==2.0.0".'),
        ("model=2.0.0", 5, '"=" is not an operator', 'Did you mean "model==2.0.0"?'),
        ("model===2.0.0", 5, '"===" is not an operator', 'Did you mean "model==2.0.0"?'),
        ("model=>2", 5, '"=>" is not an operator', 'Did you mean "model>=2"?'),
        ("model ≥ 2", 6, '"≥" is not an operator', 'Did you mean "model >= 2"?'),
        ("model<<2", 5, '"<<" is not an operator', f"The operators are {OPERATORS}."),
        ("model 2.0.0", 6, "an operator is missing before the version", 'Did you mean "model==2.0.0"?'),
        ("model v2", 6, "an operator is missing before the version", 'Did you mean "model==2"?'),
        ("model 2.0.x", 6, "an operator is missing before the version", PLAIN),
        ("model@2.0.0", 5, 'unexpected "@"; use ==', 'Did you mean "model==2.0.0"?'),
        ("model @ v2", 6, 'unexpected "@"; use ==', 'Did you mean "model==2"?'),
        ("model:>=2", 5, 'unexpected ":"; use ==', 'Did you mean "model>=2"?'),
        ("model@", 5, 'unexpected "@"; use ==', PLAIN),
        ("model@latest", 5, 'unexpected "@"; use ==', ALONE),
        ("model latest", 6, 'unexpected "latest"', ALONE),
        ("model*", 5, 'unexpected "*"', ALONE),
        ("model[all]", 5, 'unexpected "["', PLAIN),
        ("model (>=1)", 6, 'unexpected "("', 'Did you mean "model>=1"?'),
        ("model,>=1", 5, 'unexpected ","', 'Did you mean "model>=1"?'),
        ("model\x1f", 5, r"invalid package name: '\x1f' is not allowed", 'Did you mean "model"?'),
        ("my model", 2, "invalid package name: ' ' is not allowed", 'Did you mean "my-model"?'),
        ("modèle>=1", 3, r"invalid package name: 'è' (U+00E8) is not allowed", 'Did you mean "modele"?'),
        (" -x", 1, "invalid package name: it must start and end with a letter or a digit", 'Did you mean "x"?'),
        (">=1", 0, "invalid package name: it is empty", "Use letters and digits, with '.', '_' or '-' between them."),
        ("./x", 1, "this looks like a path or a URL", "Write a package name, as in model or model==2.0.0."),
        ("d\\x", 1, "this looks like a path or a URL", "Write a package name, as in model or model==2.0.0."),
        ("model==", 6, 'a version is missing after "=="', None),
        ("model==1,<", 9, 'a version is missing after "<"', None),
        ("model==v1", 7, "'v1' is not a valid version: a leading \"v\" is not allowed", 'Did you mean "1.0.0"?'),
        ("model==1.2.3.4", 7, "'1.2.3.4' is not a valid version: it has 4 numbers instead of three (MAJOR.MINOR.PATCH)",
         VERSION),
        ("model>=1.2-rc1", 7, "a pre-release needs all three version numbers", 'Did you mean "1.2.0-rc1"?'),
        ("model>=1.4.*", 7, "\"*\" is allowed only at the end of an \"==\" or \"!=\" version: '1.4.*'",
         'Did you mean ">=1.4"?'),
        ("model==*", 7, "\"*\" is allowed only at the end of an \"==\" or \"!=\" version: '*'",
         "Remove this clause to allow any version."),
        ("model==1.*.2", 7, "\"*\" is allowed only at the end of an \"==\" or \"!=\" version: '1.*.2'",
         'Did you mean "==1"?'),
        ("model>=1.2 <2", 11, 'a comma is missing before "<2"', 'Did you mean "model>=1.2,<2"?'),
        ("model>=1 2", 9, 'a comma is missing before "2"', COMMAS),
        ("model>=1,", 8, "nothing follows the comma", 'Did you mean "model>=1"?'),
        ("model>=1 || <0", 9, '"||" is not an operator',
         "Alternatives are not supported; join clauses that must all match with commas."),
        ("model>=1,2", 9, "an operator is missing before the version", 'Did you mean "==2"?'),
        ("model>=1,,<2", 9, "an operator is missing before the version", f"Start a range with one of {OPERATORS}."),
    ],
)  # fmt: skip
def test_an_invalid_requirement_is_reported_with_position_and_reason(
    text: str, position: int, reason: str, hint: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        parse_requirement(text)
    assert (caught.value.data["position"], caught.value.data["reason"], caught.value.hint) == (position, reason, hint)


def test_the_message_points_at_the_character() -> None:
    with pytest.raises(UsageError) as caught:
        parse_requirement("model=2.0.0")
    assert str(caught.value) == (
        "Cannot parse 'model=2.0.0': \"=\" is not an operator.\n    model=2.0.0\n         ^\n"
        'Did you mean "model==2.0.0"?'
    )


def test_the_caret_stays_under_its_character_in_long_and_unprintable_text() -> None:
    with pytest.raises(UsageError) as caught:
        parse_requirement("a" * 90 + "\x1b==1")
    shown, caret = caught.value.message.splitlines()[1:]
    assert shown[caret.index("^")] == "\N{REPLACEMENT CHARACTER}"
    assert len(shown) < 90


def test_a_requirement_of_unreasonable_length_is_refused_unread() -> None:
    with pytest.raises(UsageError, match="it has 1001 characters; the maximum is 1000"):
        parse_requirement("a" * 1001)


def test_a_version_in_a_range_is_bounded_too() -> None:
    with pytest.raises(UsageError, match="the maximum is 128"):
        parse_range(">=" + "1" * 500)


def test_the_newest_version_that_is_accepted_is_found_newest_first() -> None:
    versions = [parse_version(f"1.{minor}.0") for minor in (3, 0, 2, 1)]
    asked: list[str] = []

    def accept(version: Version) -> bool:
        asked.append(str(version))
        return version.minor == 1

    found = find_newest(versions, [parse_range("<1.3"), parse_range(">=1.0")], accept=accept)
    assert str(found) == "1.1.0"
    assert asked == ["1.2.0", "1.1.0"]
    assert find_newest(versions, [], accept=lambda _: False) is None
