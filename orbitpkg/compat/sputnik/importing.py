"""Bringing what others' package managers left into a repository: every package and version, verified, as new releases.

The old place is only read. What is there already is not downloaded again, so that an import that was stopped goes on
where it was. What cannot come along is told of, with the reason, and keeps nothing else from coming.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import OfflineError, OrbitError, ReleaseExists, UsageError

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator

    from orbitpkg.compat.sputnik.formats.fetching import Fetcher
    from orbitpkg.compat.sputnik.formats.listing import ListedPackage
    from orbitpkg.model.release import Release
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository

__all__ = ["ImportOutcome", "Imported", "import_packages"]


class ImportOutcome(StrEnum):
    """What came of one package."""

    IMPORTED = "imported"
    ALREADY = "already there"
    WOULD = "would be imported"
    LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """One package of the old place, and what came of it.

    Attributes:
        ident: What it is called there.
        outcome: What came of it.
        name: What it is called here; None when it is left out before that is known.
        version: Its version here; None as above.
        files: How many files it has, its manifest not counted.
        bytes: The sum of their sizes.
        error: Why it was left out; None when it was not.
    """

    ident: str
    outcome: ImportOutcome
    name: str | None = None
    version: str | None = None
    files: int = 0
    bytes: int = 0
    error: OrbitError | None = None

    @property
    def reason(self) -> str | None:
        """Why it was left out, in words."""
        from orbitpkg.compat.sputnik.formats.listing import reason_of

        return None if self.error is None else reason_of(self.ident, self.error)


def import_packages(
    source: str,
    repository: str | os.PathLike[str] | None = None,
    *,
    dry_run: bool = False,
    offline: bool = False,
    unsafe_single_writer: bool = False,
    reporter: Reporter | None = None,
) -> Iterator[Imported]:
    """Import every package of a place; each is told of when it is done, those that are left out at last.

    Args:
        source: The old place: ``sputnik+s3://bucket/prefix``, ``sputnik+https://host`` or
            ``sputnik+file:///directory``.
        repository: Where to, as for :func:`orbitpkg.api.settings`.
        dry_run: Find out what would come along and what could not, without downloading or changing anything.
        offline: Refuse places that take a network.
        unsafe_single_writer: As for :func:`orbitpkg.api.publish`.
        reporter: Told how far it is.

    Raises:
        UsageError: An address cannot be read, or is of the wrong kind.
        RepositoryError: A place cannot be read, or the repository does not take anything.
        StorageError: There is no space on this machine.
    """
    from orbitpkg.compat.sputnik.formats.listing import read_listing
    from orbitpkg.compat.sputnik.formats.repositories import is_sputnik_address
    from orbitpkg.compat.sputnik.formats.store import open_sputnik_store
    from orbitpkg.config.repositories import open_repository, store_cache_folder
    from orbitpkg.reporting import SILENT

    _check_source(source, offline=offline)
    target = open_repository(repository, offline=offline)
    if is_sputnik_address(target.url):
        raise UsageError(f"{target.url} can only be read.", hint="Name the repository to import into: --repository URL")
    report = reporter or SILENT
    fetcher = open_sputnik_store(source, store_cache_folder() / "sputnik", reporter=report).fetcher
    listing = read_listing(fetcher, fetcher.idents())
    for package in listing.all():
        there = target.find_release(package.manifest.key, package.manifest.version)
        if there is not None:
            yield _compared(package, there, target)
        elif dry_run:
            yield _rehearse(package, fetcher)
        else:
            yield _bring(package, fetcher, target, unsafe_single_writer=unsafe_single_writer, reporter=report)
    for ident, error in listing.problems.items():
        yield Imported(ident=ident, outcome=ImportOutcome.LEFT_OUT, error=error)


def _check_source(source: str, *, offline: bool) -> None:
    from orbitpkg.compat.sputnik.formats.repositories import is_sputnik_address
    from orbitpkg.config.repositories import is_offline, needs_network
    from orbitpkg.redaction import redacted

    if not is_sputnik_address(source):
        raise UsageError(
            f"{redacted(source)} is no address of packages to import.",
            hint=f"Of Sputnik's or PyOrbital's: sputnik+{redacted(source)}" if "://" in source else None,
        )
    if is_offline(requested=offline) and needs_network(source):
        raise OfflineError(
            f"{redacted(source)} cannot be reached: offline mode is on.",
            hint="Leave out --offline, or unset ORBITPKG_OFFLINE.",
        )


def _told(package: ListedPackage, outcome: ImportOutcome, error: OrbitError | None = None) -> Imported:
    return Imported(
        ident=package.ident,
        outcome=outcome,
        name=package.manifest.name,
        version=str(package.manifest.version),
        files=len(package.meta.members),
        bytes=package.meta.total_size,
        error=error,
    )


def _compared(package: ListedPackage, there: Release, target: Repository) -> Imported:
    """Say whether what is published is what would be: its record tells what archive of Sputnik's it was made of."""
    if dict(there.metadata) == dict(package.manifest.metadata):
        return _told(package, ImportOutcome.ALREADY)
    error = ReleaseExists(
        f"{there.name} {there.version} is published already in {target.url}, and was not made of this one.",
        hint="Import into another repository, or publish this one under a version of its own.",
    )
    return _told(package, ImportOutcome.LEFT_OUT, error)


def _bring(
    package: ListedPackage, fetcher: Fetcher, target: Repository, *, unsafe_single_writer: bool, reporter: Reporter
) -> Imported:
    from orbitpkg.compat.sputnik.formats.listing import PACKAGE_ERRORS
    from orbitpkg.config.home import home_folder
    from orbitpkg.publisher.publish import Outcome, publish_tree

    try:
        with fetcher.tree(package.ident) as tree:
            published = publish_tree(
                target,
                tree,
                published=datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
                journals=Path(home_folder(), "uploads"),
                unsafe_single_writer=unsafe_single_writer,
                reporter=reporter,
            )
    except (*PACKAGE_ERRORS, ReleaseExists) as error:
        return _told(package, ImportOutcome.LEFT_OUT, error)
    # Another import may have been faster.
    is_new = published.outcome is Outcome.PUBLISHED
    return _told(package, ImportOutcome.IMPORTED if is_new else ImportOutcome.ALREADY)


def _rehearse(package: ListedPackage, fetcher: Fetcher) -> Imported:
    from orbitpkg.compat.sputnik.formats.listing import PACKAGE_ERRORS

    try:
        fetcher.check(package.ident)
    except PACKAGE_ERRORS as error:
        return _told(package, ImportOutcome.LEFT_OUT, error)
    return _told(package, ImportOutcome.WOULD)
