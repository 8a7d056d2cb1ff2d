"""Registries in memory, for tests of the resolver: a source whose offers are written down, and how much was asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from orbitpkg.errors import OrbitError, PackageNotFound, VersionNotFound
from orbitpkg.model.names import nearest
from orbitpkg.model.release import Release, parse_release
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.resolver.apps import Apps
from orbitpkg.resolver.offers import Offer
from orbitpkg.resolver.resolver import Resolution, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NO_APPS", "Registry", "chosen", "registry", "versions_of"]


def no_app(name: str) -> str | None:
    """Know no app."""
    return None


NO_APPS = Apps({}, no_app)
"""No app has a known version."""


class Registry:
    """A source.

    Attributes:
        packages: What is offered, by canonical name and version.
        listed: The names whose versions were listed.
        offered: What was asked about one by one.
        read: The releases whose record was read.
    """

    def __init__(self, packages: Mapping[str, Mapping[Version, Offer]]) -> None:
        self.packages = packages
        self.listed: list[str] = []
        self.offered: list[str] = []
        self.read: list[str] = []

    def versions(self, name: str) -> list[Version]:
        """List the versions of a package."""
        self.listed.append(name)
        return list(self.packages.get(name, {}))

    def offer(self, name: str, version: Version) -> Offer | None:
        """Say what is known of a version."""
        self.offered.append(f"{name}=={version}")
        return self.packages.get(name, {}).get(version)

    def release(self, name: str, version: Version) -> Release:
        """Make a record of what is offered."""
        self.read.append(f"{name}=={version}")
        offer = self.packages[name][version]
        said = {"compatibility": dict(offer.compatibility), "dependencies": dict(offer.dependencies)}
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
            **{key: value for key, value in said.items() if value},
        }
        return parse_release(json.dumps(record).encode(), name=name, version=version)

    def not_found_error(self, name: str, wanted: str, versions: list[Version]) -> OrbitError:
        """Return an error that lists the available versions."""
        if versions:
            available = ", ".join(map(str, versions))
            return VersionNotFound(f"No release of {name} matches {wanted}. Available: {available}.", name=name)
        close = nearest(name, self.packages)
        hint = f"Did you mean {' or '.join(close)}?" if close else None
        return PackageNotFound(f"There is no package {name}.", hint=hint, name=name)


def registry(**packages: Mapping[str, Offer | Mapping[str, str]]) -> Registry:
    """Write a registry down: for each package (``_`` stands for ``-``) its versions, each an offer or dependencies."""
    return Registry(
        {
            name.replace("_", "-"): {
                parse_version(version): said if isinstance(said, Offer) else Offer(dependencies=said)
                for version, said in versions.items()
            }
            for name, versions in packages.items()
        }
    )


def chosen(
    source: Registry,
    *asked: str,
    apps: Apps | None = None,
    prereleases: bool = False,
    prefer: Mapping[str, str] | None = None,
) -> dict[str, str]:
    """Resolve, and give the versions that were chosen by name."""
    preferred = {name: parse_version(version) for name, version in (prefer or {}).items()}
    return versions_of(
        resolve(
            [parse_requirement(text) for text in asked],
            source,
            apps=apps or NO_APPS,
            prereleases=prereleases,
            prefer=preferred,
        )
    )


def versions_of(resolution: Resolution) -> dict[str, str]:
    """Give the versions of a resolution by name."""
    return {key: str(release.version) for key, release in resolution.releases.items()}
