"""Every kind of explanation, word for word: the conflict, the packages involved, and what the user can do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from orbitpkg.errors import OrbitError
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.resolver.apps import Apps
from orbitpkg.resolver.nogoods import Clash, TooHardError
from orbitpkg.resolver.offers import Offer
from orbitpkg.resolver.packages import Packages
from orbitpkg.resolver.request import Request
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

# The requirements, and the registry they are resolved against.
CASES: dict[str, tuple[str, Registry]] = {
    "two ranges of one package": ("base<2 base>=2", registry(base=BASE)),
    "two packages that depend on different versions of a third": (
        "left right",
        registry(left={"1.0.0": {"base": "<2"}}, right={"1.0.0": {"base": ">=2"}}, base=BASE),
    ),
    "only the conflicting requirements are named": (
        "other left more base<2 others",
        registry(left={"1.0.0": {"base": ">=2"}}, base=BASE, other=BASE, others=BASE, more={"1.0.0": {"base": ""}}),
    ),
    "three requirements that conflict only together": (
        "one two three",
        registry(
            one={"1.0.0": {"base": "!=1.0.0"}},
            two={"1.0.0": {"base": "!=2.0.0"}},
            three={"1.0.0": {"base": "!=2.1.0"}},
            base=BASE,
        ),
    ),
    "many versions with the same dependency take one line": ("top base<2", registry(top=MANY, base=BASE)),
    "versions with gaps between them": ("top base<2", registry(top=SPARSE, base=BASE)),
    "a conflict through several packages": (
        "top base<2",
        registry(top={"1.0.0": {"mid": ""}}, mid={"1.0.0": {"low": ">=1"}}, low={"1.0.0": {"base": "^2.0"}}, base=BASE),
    ),
    "a package that does not exist": ("bass", registry(base=BASE)),
    "a version that does not exist": ("base>=7", registry(base=BASE)),
    "an exact version that does not exist": ("base==7.0.0", registry(base=BASE)),
    "a dependency that does not exist": ("top", registry(top={"1.0.0": {"bass": ""}}, base=BASE)),
    "dependencies of several versions that do not exist": (
        "top",
        registry(top={"1.0.0": {"bass": ""}, "2.0.0": {"base": ">=7"}}, base=BASE),
    ),
    "a version that depends on a different version of itself": ("top", registry(top={"1.0.0": {"top": "<1"}})),
    "an invalid dependency": ("top", registry(top={"1.0.0": {"base": "=>1"}}, base=BASE)),
    "the same invalid dependency of several versions": (
        "top",
        registry(top={"1.0.0": {"base": "=>1"}, "1.1.0": {"base": "=>1"}}, base=BASE),
    ),
    "only pre-releases": ("base>=2.5", registry(base={**BASE, "3.0.0-rc.1": {}, "3.0.0-rc.2": {}})),
    "a pre-release with a dependency that does not exist": (
        "top>=1.5",
        registry(top={"1.0.0": {}, "2.0.0-a": {"base": ">=7"}}, base=BASE),
    ),
    "a yanked version": ("base>=2.1", registry(base={**BASE, "2.1.0": yanked("the labels are off by one")})),
    "versions yanked without a reason": (
        "base>=2",
        registry(base={"1.0.0": {}, "2.0.0": yanked(""), "2.1.0": yanked("")}),
    ),
    "an app that no version works with": (
        "top",
        registry(top={"1.0.0": works_with("my_library", ">=2"), "1.1.0": works_with("my_library", ">=3")}),
    ),
    "an app that a dependency does not work with": (
        "top",
        registry(top={"1.0.0": {"base": ""}}, base={"1.0.0": works_with("my_library", "<1")}),
    ),
    "only leaving one requirement out helps": (
        "left right",
        registry(left={"1.0.0": {"base": "==1.0.0"}}, right={"1.0.0": {"base": "==2.0.0"}}, base=BASE),
    ),
    "a long explanation is cut short": (
        "top",
        registry(top={f"{number}.0.0": {f"gone-{number}": ""} for number in range(1, 31)}),
    ),
}


def pigeons(count: int) -> tuple[str, Registry]:
    """Make each of some packages require one of a smaller number for itself: every proof is long (Haken, 1985)."""
    holes = range(1, count)
    packages: dict[str, dict[str, dict[str, str]]] = {
        f"pigeon_{number}": {f"{hole}.0.0": {f"hole-{hole}": f"=={number}.0.0"} for hole in holes}
        for number in range(1, count + 1)
    }
    packages |= {f"hole_{hole}": {f"{number}.0.0": {} for number in range(1, count + 1)} for hole in holes}
    return " ".join(f"pigeon-{number}" for number in range(1, count + 1)), registry(**packages)


def test_a_request_that_is_too_hard_ends_at_the_limit_of_conflicts() -> None:
    asked, source = pigeons(7)
    request = Request(
        packages=Packages(source, APPS, {}), asked=tuple(map(parse_requirement, asked.split())), max_conflicts=100
    )
    with pytest.raises(TooHardError):
        request.solve()
    with pytest.raises(Clash):
        replace(request, max_conflicts=100_000).solve()


def explanation_of(name: str) -> str:
    asked, source = CASES[name]
    with pytest.raises(OrbitError) as caught:
        chosen(source, *asked.split(), apps=APPS)
    error = caught.value
    return "\n".join([error.message, *([f"hint: {error.hint}"] if error.hint else [])])


def snapshots() -> dict[str, str]:
    sections = SNAPSHOTS.read_text().split("## ")[1:]
    return {name: text.strip() for name, _, text in (section.partition("\n") for section in sections)}


@pytest.mark.parametrize("name", CASES)
def test_an_explanation_is_the_reviewed_one(name: str) -> None:
    assert f"$ {CASES[name][0]}\n{explanation_of(name)}" == snapshots()[name]


def test_every_snapshot_has_its_case() -> None:
    assert list(snapshots()) == list(CASES)
