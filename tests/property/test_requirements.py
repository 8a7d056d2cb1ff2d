"""Ranges agree with ``semantic_version`` and with the definitions written out by hand."""

from __future__ import annotations

import semantic_version
from hypothesis import given
from hypothesis import strategies as st

from orbitpkg.errors import UsageError
from orbitpkg.model.requirements import find_newest, parse_range, parse_requirement
from orbitpkg.model.versions import Version, parse_version

small = st.integers(0, 3)
prereleases = st.sampled_from([(), (), ("a",), ("rc", "1"), ("rc", "2")])
versions = st.builds(Version, small, small, small, prereleases)
partial = st.lists(small, min_size=1, max_size=2).map(lambda numbers: ".".join(map(str, numbers)))
operands = partial | versions.map(str)
plain_clauses = st.builds(str.__add__, st.sampled_from(["==", "!=", ">=", "<=", ">", "<"]), operands)
reaching_clauses = st.tuples(st.sampled_from(["^", "~", "~="]), operands)


@given(clauses=st.lists(plain_clauses, min_size=1, max_size=3), version=versions)
def test_comparisons_mean_what_simple_spec_means(clauses: list[str], version: Version) -> None:
    theirs = semantic_version.SimpleSpec(",".join(clauses)).match(semantic_version.Version(str(version)))
    assert parse_range(" , ".join(clauses)).allows(version) == theirs


@given(clause=reaching_clauses, version=versions)
def test_caret_and_tildes_mean_what_simple_spec_means_but_for_what_is_documented(
    clause: tuple[str, str], version: Version
) -> None:
    text = "".join(clause)
    if "-" in text or text in ("^0", "^0.0"):
        return
    theirs = semantic_version.SimpleSpec(text).match(semantic_version.Version(str(version)))
    assert parse_range(text).allows(version) == theirs


def reaches(operator: str, operand: str, version: Version) -> bool:
    """Whether a ``^``, ``~`` or ``~=`` clause allows a version: which numbers must stay as they are."""
    numbers = [int(number) for number in operand.partition("-")[0].split(".")]
    floor = parse_version(operand if len(numbers) == 3 else operand + ".0" * (3 - len(numbers)))
    if operator == "^":
        fixed = 1
        while fixed < len(numbers) and not any(numbers[:fixed]):
            fixed += 1
    elif operator == "~":
        fixed = min(2, len(numbers))
    else:
        fixed = 2 if len(numbers) == 3 else 1
    return version >= floor and [version.major, version.minor, version.patch][:fixed] == numbers[:fixed]


@given(clause=reaching_clauses, version=versions)
def test_caret_and_tildes_keep_their_leading_numbers(clause: tuple[str, str], version: Version) -> None:
    assert parse_range("".join(clause)).allows(version) == reaches(*clause, version)


@given(
    clauses=st.lists(plain_clauses | reaching_clauses.map("".join), max_size=3),
    offered=st.lists(versions, max_size=8),
    wanted=st.booleans(),
)
def test_the_best_is_the_greatest_allowed_version(clauses: list[str], offered: list[Version], *, wanted: bool) -> None:
    range_ = parse_range(",".join(clauses))
    mentioned = wanted or any("-" in clause for clause in clauses if not clause.startswith("!="))
    fitting = [version for version in offered if range_.allows(version) and (mentioned or not version.is_prerelease)]
    assert find_newest(offered, [range_], prereleases=wanted) == max(fitting, default=None)


@given(version=versions, other=versions)
def test_an_exact_range_allows_its_version_alone(version: Version, other: Version) -> None:
    range_ = parse_range(f"=={version}")
    assert range_.exact == version
    assert range_.allows(other) == (other == version)


@given(clauses=st.lists(plain_clauses | reaching_clauses.map("".join), max_size=3))
def test_written_values_are_read_back(clauses: list[str]) -> None:
    requirement = parse_requirement("My_Model " + " , ".join(clauses))
    assert str(requirement) == "My_Model" + ",".join(clauses)
    assert parse_requirement(str(requirement)) == requirement


@given(
    clauses=st.lists(plain_clauses | reaching_clauses.map("".join), max_size=4),
    offered=st.lists(versions, max_size=12, unique=True),
)
def test_ranges_contain_the_allowed_versions(clauses: list[str], offered: list[Version]) -> None:
    range_, ordered = parse_range(",".join(clauses)), sorted(offered)
    stretches = range_.allowed_slices([version.precedence for version in ordered])
    found = [version for start, end in stretches for version in ordered[start:end]]
    assert found == [version for version in ordered if range_.allows(version)]
    assert all(start < end for start, end in stretches)


def check_caret(text: str, error: UsageError) -> None:
    position = error.data["position"]
    assert isinstance(position, int)
    assert 0 <= position <= max(0, len(text) - 1)
    assert error.message.split("\n")[-1] == "    " + " " * position + "^"


@given(text=st.text("model-_ =<>~^!,.*@[]()|/v0123\t\n", max_size=20) | st.text(max_size=20))
def test_any_text_is_a_requirement_or_refused_with_a_caret_under_a_character(text: str) -> None:
    try:
        requirement = parse_requirement(text)
    except UsageError as error:
        check_caret(text, error)
    else:
        assert parse_requirement(str(requirement)) == requirement
