"""The protocol between the resolver and a source of releases.

An offer is the metadata of a version that is known without reading its record: a package's index holds the offers of
all versions. Records are read only for the releases that are selected.
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
    """The metadata of a version that the resolver needs.

    Attributes:
        dependencies: Version ranges by package.
        compatibility: PEP 440 specifiers by app.
        yanked: The reason for yanking (``""`` if none was given), or None if the version is not yanked.
        repository: The source's name of the repository it comes from; None if the source has only one.
    """

    dependencies: Mapping[str, str] = field(default_factory=dict)
    compatibility: Mapping[str, str] = field(default_factory=dict)
    yanked: str | None = None
    repository: str | None = None

    @classmethod
    def of(cls, release: Release, *, yanked: str | None = None, repository: str | None = None) -> Offer:
        """Return the offer that a release's record amounts to."""
        return cls(
            dependencies=release.dependencies,
            compatibility=release.compatibility,
            yanked=yanked,
            repository=repository,
        )


class Source(Protocol):
    """A source of releases. The resolver asks each question once and remembers the answer."""

    def versions(self, name: str) -> Sequence[Version]:
        """List the versions of a package, including yanked ones; empty if the package does not exist."""

    def offer(self, name: str, version: Version) -> Offer | None:
        """Return the metadata of a version; None if the version does not exist.

        Called for versions that :meth:`versions` lists, one at a time and newest first, and for exact versions
        without listing any.
        """

    def release(self, name: str, version: Version) -> Release:
        """Read the record of a selected release. Called once for each; the record takes precedence over the offer."""

    def not_found_error(self, name: str, wanted: str, versions: list[Version]) -> OrbitError:
        """Return the error for a requirement that no version meets; it names what exists instead."""
