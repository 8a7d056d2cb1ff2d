"""The resolver against a definition of a solution, and a search for one that tries everything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from orbitpkg.errors import ResolutionError
from orbitpkg.model.requirements import Requirement, parse_range, parse_requirement
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.resolver.apps import Apps
from orbitpkg.resolver.offers import Offer
from orbitpkg.resolver.resolver import resolve
from tests.registries import Registry, no_app
from tests.torture.scale import scaled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

NAMES = "abcdefg"
VERSIONS = [parse_version(text) for text in ("1.0.0", "1.1.0", "2.0.0-rc.1", "2.0.0", "3.0.0-a", "3.0.0")]
RANGES = ["", "<2", ">=2", ">=1.1", "^1.0", "~=2.0", "==1.0.0", "==2.0.0", "!=2.0.0", ">=2.0.0-rc.1", "==3.0.0-a", "<1"]


@dataclass(frozen=True)
class Case:
    """A request, and all there is to choose from."""

    packages: dict[str, dict[Version, Offer]]
    asked: tuple[Requirement, ...]
    prefer: dict[str, Version]
    prereleases: bool


APP = "2.0"


@st.composite
def cases(draw: st.DrawFn, *, withheld: bool = True) -> Case:
    names = NAMES[: draw(st.integers(5, 7))]
    some_ranges = st.sampled_from(RANGES if withheld else [text for text in RANGES if "-" not in text])
    dependencies = st.dictionaries(st.sampled_from([*names, "nobodys"]), some_ranges, max_size=3)
    offers = st.builds(
        Offer,
        dependencies=dependencies,
        compatibility=st.sampled_from([{}, {}, {}, {"app": ">=2"}, {"app": "<2"}, {"unknown": "<2"}]),
        yanked=st.sampled_from([None, None, None, "broken"]) if withheld else st.none(),
    )
    there = [version for version in VERSIONS if withheld or not version.prerelease]
    versions = st.dictionaries(st.sampled_from(there), offers, min_size=1, max_size=4)
    packages = {name: draw(versions) for name in names}
    asked = draw(st.lists(st.tuples(st.sampled_from(names), some_ranges), min_size=1, max_size=3))
    prefer = draw(st.dictionaries(st.sampled_from(names), st.sampled_from(there), max_size=2))
    return Case(
        packages,
        tuple(Requirement(name, parse_range(text)) for name, text in asked),
        prefer,
        prereleases=withheld and draw(st.booleans()),
    )


@lru_cache
def wanted(name: str, text: str) -> Requirement:
    return Requirement(name, parse_range(text))


def wants(case: Case, found: Mapping[str, Version], *, but: str | None = None) -> Iterator[Requirement]:
    """Everything that is wanted: by who asked, and by the versions found, but for one package's."""
    yield from case.asked
    for name, version in found.items():
        for other, text in case.packages[name][version].dependencies.items() if name != but else ():
            yield wanted(other, text)


def missing(case: Case, found: Mapping[str, Version]) -> str | None:
    return next((want.key for want in wants(case, found) if want.key not in found), None)


def fits(case: Case, found: Mapping[str, Version]) -> bool:
    """Whether nothing speaks against these versions, as far as they go."""
    return all(want.range.allows(found[want.key]) for want in wants(case, found) if want.key in found) and all(
        case.packages[name][version].compatibility != {"app": "<2"} for name, version in found.items()
    )


def is_named(case: Case, found: Mapping[str, Version]) -> bool:
    """Whether each withheld version is named by another package. Naming itself does not count."""
    for name, version in found.items():
        if case.prefer.get(name) == version:
            continue
        ranges = [want.range for want in wants(case, found, but=name) if want.key == name]
        if version.prerelease and not case.prereleases and not any(each.mentions_prerelease for each in ranges):
            return False
        if case.packages[name][version].yanked is not None and not any(each.exact == version for each in ranges):
            return False
    return True


def reachable(case: Case, found: Mapping[str, Version]) -> set[str]:
    seen: set[str] = set()
    left = [requirement.key for requirement in case.asked]
    while left:
        name = left.pop()
        if name not in seen:
            seen.add(name)
            left.extend(case.packages[name][found[name]].dependencies)
    return seen


def solutions(case: Case, found: dict[str, Version]) -> Iterator[dict[str, Version]]:
    """Try all combinations, in any order, and stop at the first conflict in each."""
    wants_so_far = list(wants(case, found))
    name = next((want.key for want in wants_so_far if want.key not in found), None)
    if name is None:
        if is_named(case, found):
            yield found
        return
    ranges = [want.range for want in wants_so_far if want.key == name]
    for version, offer in case.packages.get(name, {}).items():
        allowed = all(each.allows(version) for each in ranges) and offer.compatibility != {"app": "<2"}
        if allowed and all(
            wanted(other, text).range.allows({**found, name: version}[other])
            for other, text in offer.dependencies.items()
            if other in found or other == name
        ):
            yield from solutions(case, {**found, name: version})


def solved(case: Case) -> dict[str, Version] | None:
    try:
        resolution = resolve(
            case.asked,
            Registry(case.packages),
            apps=Apps({"app": APP}, no_app),
            prereleases=case.prereleases,
            prefer=case.prefer,
        )
    except ResolutionError:
        return None
    return {key: release.version for key, release in resolution.releases.items()}


def case_of(asked: str, packages: dict[str, dict[str, dict[str, str]]]) -> Case:
    """Write down a case: the dependencies of each version of each package."""
    offers = {
        name: {parse_version(version): Offer(dependencies=needs) for version, needs in versions.items()}
        for name, versions in packages.items()
    }
    name, _, text = asked.partition(" ")
    return Case(offers, (Requirement(name, parse_range(text)),), {}, prereleases=False)


NAMED_BY_ITSELF = case_of("a", {"a": {"1.0.0": {"b": ""}}, "b": {"2.0.0-rc.1": {"b": ">=2.0.0-rc.1"}}})
UNWANTED_IN_THE_PROOF = case_of(
    "a >=1.1",
    {
        "a": {"1.0.0": {}, "1.1.0": {"e": "==1.0.0"}, "2.0.0-rc.1": {}},
        "b": {"1.0.0": {}},
        "e": {"1.0.0": {"a": ">=2"}, "1.1.0": {"a": ">=2.0.0-rc.1", "b": ">=2"}},
    },
)


@settings(max_examples=scaled(400, 10_000), deadline=None)
@given(case=cases())
@example(case=NAMED_BY_ITSELF)
@example(case=UNWANTED_IN_THE_PROOF)
def test_a_solution_is_found_if_and_only_if_there_is_one(case: Case) -> None:
    found = solved(case)
    there = next(solutions(case, {}), None)
    event("solvable" if there is not None else "unsolvable")
    assert (found is None) == (there is None)


@settings(max_examples=scaled(250, 5_000), deadline=None)
@given(case=cases())
def test_a_result_is_a_solution_without_unneeded_packages(case: Case) -> None:
    found = solved(case)
    if found is not None:
        assert missing(case, found) is None
        assert fits(case, found)
        assert is_named(case, found)
        assert set(found) == reachable(case, found)


def rank(case: Case, name: str, version: Version) -> tuple[bool, Version]:
    return case.prefer.get(name) == version, version


@settings(max_examples=scaled(125, 2_000), deadline=None)
@given(case=cases())
def test_no_package_could_be_newer_with_all_others_as_they_are(case: Case) -> None:
    found = solved(case)
    for name, version in (found or {}).items():
        for other in case.packages[name]:
            if rank(case, name, other) > rank(case, name, version):
                changed = {**(found or {}), name: other}
                is_solution = (
                    missing(case, changed) is None
                    and fits(case, changed)
                    and is_named(case, changed)
                    and set(changed) == reachable(case, changed)
                )
                assert not is_solution


@settings(max_examples=scaled(125, 2_000), deadline=None)
@given(case=cases())
def test_preferred_versions_are_chosen_again(case: Case) -> None:
    found = solved(case)
    if found is not None:
        assert solved(replace(case, prefer=found)) == found


@settings(max_examples=scaled(125, 2_000), deadline=None)
@given(case=cases())
def test_the_same_request_gives_the_same(case: Case) -> None:
    turned = replace(case, packages={name: dict(reversed(all_.items())) for name, all_ in case.packages.items()})
    assert solved(turned) == solved(case)


@settings(max_examples=scaled(125, 2_000), deadline=None)
@given(case=cases())
def test_an_explanation_names_requirements_that_clash_by_themselves_and_none_too_many(case: Case) -> None:
    if next(solutions(case, {}), None) is not None:
        return
    with pytest.raises(ResolutionError) as caught:
        resolve(
            case.asked,
            Registry(case.packages),
            apps=Apps({"app": APP}, no_app),
            prereleases=case.prereleases,
            prefer=case.prefer,
        )
    words = caught.value.data.get("requirements")
    if not isinstance(words, list):  # the source itself reported what is missing
        return
    named = tuple(parse_requirement(word) for word in words)
    assert set(named) <= set(case.asked)
    assert next(solutions(replace(case, asked=named), {}), None) is None
    for requirement in named:
        fewer = tuple(other for other in named if other != requirement)
        assert next(solutions(replace(case, asked=fewer), {}), None) is not None
