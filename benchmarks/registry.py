"""A simulated growing registry: packages are released over time, with ranges written on the day of the release.

The ranges of a release refer to the newest versions on its day, as authors usually write them: ``>=4.2,<5``, ``^4.2``,
``~=4.2.0``, ``>=4.0``. New releases are therefore compatible with each other, and old ones with those of their time.
Older packages have more dependents.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

from orbitpkg.errors import OrbitError, ResolutionError
from orbitpkg.model.release import Release, parse_release
from orbitpkg.model.versions import Version
from orbitpkg.resolver.offers import Offer

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Registry", "grown"]

# How many packages a package needs, and how often.
_NEEDS, _SHARES = (0, 1, 2, 3, 4, 6), (10, 20, 25, 25, 15, 5)
_NEW_MAJOR, _NEW_MINOR = 0.03, 0.35


class Registry:
    """An in-memory source for the resolver.

    Args:
        packages: What is offered, by name and version.
    """

    def __init__(self, packages: Mapping[str, Mapping[Version, Offer]]) -> None:
        self.packages = packages

    @property
    def tops(self) -> list[str]:
        """The packages that no other package depends on."""
        offers = [offer for versions in self.packages.values() for offer in versions.values()]
        needed = {name for offer in offers for name in offer.dependencies}
        return [name for name in self.packages if name not in needed]

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package."""
        return list(self.packages.get(name, {}))

    def offer(self, name: str, version: Version) -> Offer | None:
        """Return the release of a version."""
        return self.packages.get(name, {}).get(version)

    def release(self, name: str, version: Version) -> Release:
        """Return the releases as records."""
        record = {
            "format": 1,
            "name": name,
            "version": str(version),
            "archive": {"key": f"archives/{name}/{version}.tar.zst", "size": 1},
            "contents": {"offset": 0, "length": 1, "raw_length": 1, "blake3": "0" * 64},
            "files": 1,
            "bytes": 1,
            "encoder": "none",
            "published": "2026-01-01T00:00:00Z",
        }
        return parse_release(json.dumps(record).encode(), name=name, version=version)

    def not_found_error(self, name: str, wanted: str, versions: list[Version]) -> OrbitError:
        """Return an error that lists the available versions."""
        return ResolutionError(f"No release of {name} matches {wanted}; it has {len(versions)} versions.")


def grown(packages: int, releases: int, *, seed: int) -> Registry:
    """Generate a registry.

    Args:
        packages: How many.
        releases: How many of each.
        seed: The same one gives the same registry.
    """
    random_ = random.Random(seed)  # noqa: S311 - the same one each time
    days = sorted((random_.random(), number) for number in range(packages) for _ in range(releases))
    needs = [_needs(number, random_) for number in range(packages)]
    newest: list[Version | None] = [None] * packages
    offers: list[dict[Version, Offer]] = [{} for _ in range(packages)]
    for _, number in days:
        version = newest[number] = _following(newest[number], random_)
        wanted = {_name(need): _range(there, random_) for need in needs[number] if (there := newest[need]) is not None}
        offers[number][version] = Offer(dependencies=wanted)
    return Registry({_name(number): offers[number] for number in range(packages)})


def _name(number: int) -> str:
    return f"p{number:04}"


def _needs(number: int, random_: random.Random) -> list[int]:
    count = min(number, random_.choices(_NEEDS, _SHARES)[0])
    return sorted({int(number * random_.random() ** 1.5) for _ in range(count)})


def _following(version: Version | None, random_: random.Random) -> Version:
    if version is None:
        return Version(1, 0, 0)
    chance = random_.random()
    if chance < _NEW_MAJOR:
        return Version(version.major + 1, 0, 0)
    if chance < _NEW_MINOR:
        return Version(version.major, version.minor + 1, 0)
    return Version(version.major, version.minor, version.patch + 1)


def _range(there: Version, random_: random.Random) -> str:
    """Return a range as written when this version was the newest."""
    major, minor = there.major, there.minor
    ranges = (f">={major}.{minor},<{major + 1}", f"^{major}.{minor}", f"~={major}.{minor}.0",
              f">={major}.{max(0, minor - 2)}", "")  # fmt: skip
    return random_.choices(ranges, (45, 20, 7, 25, 3))[0]
