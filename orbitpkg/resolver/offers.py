"""What the resolver asks of whoever has releases: which versions there are, and what each of them takes.

An offer is what can be said of a version without reading its record: a package's index says it of all versions at
once. The record is read of what is chosen, and of nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from orbitpkg.errors import OrbitError
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version

__all__ = ["Offer", "Source"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Offer:
    """What choosing a version takes to know of it.

    Attributes:
        dependencies: Version ranges by package.
        compatibility: PEP 440 specifiers by app.
        yanked: Why it was yanked (``""`` when nobody said), or None when it was not.
        repository: Where it is from, in the words of the source; None when there is but one place.
    """

    dependencies: Mapping[str, str] = field(default_factory=dict)
    compatibility: Mapping[str, str] = field(default_factory=dict)
    yanked: str | None = None
    repository: str | None = None

    @classmethod
    def of(cls, release: Release, *, yanked: str | None = None, repository: str | None = None) -> Offer:
        """Say of a release what its record does."""
        return cls(
            dependencies=release.dependencies,
            compatibility=release.compatibility,
            yanked=yanked,
            repository=repository,
        )


class Source(Protocol):
    """Where releases are found. The resolver asks once for each thing and remembers the answer."""

    def versions(self, name: str) -> Sequence[Version]:
        """List the versions of a package, yanked ones too; empty when there is no such package."""

    def offer(self, name: str, version: Version) -> Offer | None:
        """Say what is known of a version; None when there is no such version.

        Asked for versions that :meth:`versions` lists, one at a time and newest first, and for exact versions
        without listing any.
        """

    def release(self, name: str, version: Version) -> Release:
        """Read the record of a release: of each that is chosen, once. Where the offer differs, the record is right."""

    def nothing_found(self, name: str, wanted: str, versions: list[Version]) -> OrbitError:
        """Say that nothing fits a requirement, and what there is instead."""
