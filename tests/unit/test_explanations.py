"""Every kind of explanation, word for word: what clashes, who wants it, and what can be done."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orbitpkg.errors import OrbitError
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.resolver.apps import Apps
from orbitpkg.resolver.nogoods import Clash, TooHardError
from orbitpkg.resolver.offers import Offer
from orbitpkg.resolver.request import Request
from orbitpkg.resolver.shelves import Shelves
from tests.registries import Registry, chosen, no_app, registry

SNAPSHOTS = Path(__file__).with_name("explanations.txt")
APPS = Apps({"my-library": "1.0"}, no_app)


def yanked(reason: str) -> Offer:
    return Offer(yanked=reason)


def works_with(app: str, specifier: str) -> Offer:
    return Offer(compatibility={app: specifier})


MANY = {f"1.{number}.0": {"base": ">=2"} for number in range(12)}
SPARSE = {f"1.{number}.0": {"base": ">=2" if number % 2 else ">=3"} for number in range(14)}
BASE: dict[str, Offer | dict[str, str]] = {"1.0.0": {}, "2.0.0": {}, "2.1.0": {}}

# What is asked for, and of whom; `--pre` lets pre-releases be chosen.
CASES: dict[str, tuple[str, Registry]] = {
    "two ranges of one package": ("base<2 base>=2", registry(base=BASE)),
    "two packages that need different versions of a third": (
        "left right",
        registry(left={"1.0.0": {"base": "<2"}}, right={"1.0.0": {"base": ">=2"}}, base=BASE),
    ),
    "the fewest that clash are named": (
        "other left more base<2 others",
        registry(left={"1.0.0": {"base": ">=2"}}, base=BASE, other=BASE, others=BASE, more={"1.0.0": {"base": ""}}),
    ),
    "three that clash only together": (
        "one two three",
        registry(
            one={"1.0.0": {"base": "!=1.0.0"}},
            two={"1.0.0": {"base": "!=2.0.0"}},
            three={"1.0.0": {"base": "!=2.1.0"}},
            base=BASE,
        ),
    ),
    "many versions that say the same are one line": ("top base<2", registry(top=MANY, base=BASE)),
    "versions here and there": ("top base<2", registry(top=SPARSE, base=BASE)),
    "a way through several packages": (
        "top base<2",
        registry(top={"1.0.0": {"mid": ""}}, mid={"1.0.0": {"low": ">=1"}}, low={"1.0.0": {"base": "^2.0"}}, base=BASE),
    ),
    "a package that is not there": ("bass", registry(base=BASE)),
    "a version that is not there": ("base>=7", registry(base=BASE)),
    "an exact version that is not there": ("base==7.0.0", registry(base=BASE)),
    "a dependency that nobody publishes": ("top", registry(top={"1.0.0": {"bass": ""}}, base=BASE)),
    "dependencies of several versions that nobody publishes": (
        "top",
        registry(top={"1.0.0": {"bass": ""}, "2.0.0": {"base": ">=7"}}, base=BASE),
    ),
    "a version that needs another one of itself": ("top", registry(top={"1.0.0": {"top": "<1"}})),
    "a range that cannot be read": ("top", registry(top={"1.0.0": {"base": "=>1"}}, base=BASE)),
    "ranges that cannot be read, of several versions": (
        "top",
        registry(top={"1.0.0": {"base": "=>1"}, "1.1.0": {"base": "=>1"}}, base=BASE),
    ),
    "only pre-releases": ("base>=2.5", registry(base={**BASE, "3.0.0-rc.1": {}, "3.0.0-rc.2": {}})),
    "a pre-release that needs what there is not": (
        "top>=1.5",
        registry(top={"1.0.0": {}, "2.0.0-a": {"base": ">=7"}}, base=BASE),
    ),
    "a version that was yanked": ("base>=2.1", registry(base={**BASE, "2.1.0": yanked("the labels are off by one")})),
    "versions that were yanked and nobody said why": (
        "base>=2",
        registry(base={"1.0.0": {}, "2.0.0": yanked(""), "2.1.0": yanked("")}),
    ),
    "an app that none works with": (
        "top",
        registry(top={"1.0.0": works_with("my_library", ">=2"), "1.1.0": works_with("my_library", ">=3")}),
    ),
    "an app that a dependency does not work with": (
        "top",
        registry(top={"1.0.0": {"base": ""}}, base={"1.0.0": works_with("my_library", "<1")}),
    ),
    "nothing helps but to leave one out": (
        "left right",
        registry(left={"1.0.0": {"base": "==1.0.0"}}, right={"1.0.0": {"base": "==2.0.0"}}, base=BASE),
    ),
    "more lines than anybody reads": (
        "top",
        registry(top={f"{number}.0.0": {f"gone-{number}": ""} for number in range(1, 31)}),
    ),
}


def pigeons(count: int) -> tuple[str, Registry]:
    """Have each of some packages need one of a smaller number to itself: no proof of why not is short (Haken, 1985)."""
    holes = range(1, count)
    packages: dict[str, dict[str, dict[str, str]]] = {
        f"pigeon_{number}": {f"{hole}.0.0": {f"hole-{hole}": f"=={number}.0.0"} for hole in holes}
        for number in range(1, count + 1)
    }
    packages |= {f"hole_{hole}": {f"{number}.0.0": {} for number in range(1, count + 1)} for hole in holes}
    return " ".join(f"pigeon-{number}" for number in range(1, count + 1)), registry(**packages)


def test_a_request_that_is_too_hard_ends() -> None:
    asked, source = pigeons(7)
    request = Request(
        shelves=Shelves(source, APPS, {}), asked=tuple(map(parse_requirement, asked.split())), patience=100
    )
    with pytest.raises(TooHardError):
        request.solve()
    with pytest.raises(Clash):
        replace(request, patience=100_000).solve()


def told(name: str) -> str:
    asked, source = CASES[name]
    with pytest.raises(OrbitError) as caught:
        chosen(source, *asked.split(), apps=APPS)
    error = caught.value
    return "\n".join([error.message, *([f"hint: {error.hint}"] if error.hint else [])])


def snapshots() -> dict[str, str]:
    sections = SNAPSHOTS.read_text().split("## ")[1:]
    return {name: text.strip() for name, _, text in (section.partition("\n") for section in sections)}


@pytest.mark.parametrize("name", CASES)
def test_an_explanation_is_the_one_that_was_read_and_found_good(name: str) -> None:
    assert f"$ {CASES[name][0]}\n{told(name)}" == snapshots()[name]


def test_no_snapshot_is_of_a_case_that_is_gone() -> None:
    assert list(snapshots()) == list(CASES)
