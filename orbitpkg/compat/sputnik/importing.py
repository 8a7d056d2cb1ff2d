"""Import of all packages and versions of a Sputnik repository into an orbitpkg repository, as verified new releases.

The source is only read. Packages that were already imported are not downloaded again, so an interrupted import resumes.
A package that cannot be imported is reported with the reason and does not stop the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import OrbitError, ReleaseExists, UsageError

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
    """The outcome of an import for one package."""

    IMPORTED = "imported"
    EXISTS = "already imported"
    WOULD_IMPORT = "would be imported"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True, kw_only=True)
class Imported:
    """A package of the source and the outcome of its import.

    Attributes:
        ident: Its name and version in the source.
        outcome: The outcome.
        name: Its name in the target; None if it was skipped before the name was known.
        version: Its version in the target; None if it was skipped before the version was known.
        files: The number of its files, without the manifest.
        bytes: The sum of their sizes.
        error: The reason if it was skipped, else None.
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
        """The message of the error, if the package was skipped."""
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
    """Import all packages, and yield the outcome of each as soon as it is known; unreadable packages come last.

    Args:
        source: The Sputnik repository: ``sputnik+s3://bucket/prefix``, ``sputnik+https://host`` or
            ``sputnik+file:///directory``.
        repository: The target, as for :func:`orbitpkg.config.repositories.settings`.
        dry_run: Find out which packages can be imported, without downloading or changing anything.
        offline: Refuse repositories that need a network.
        unsafe_single_writer: As for :func:`orbitpkg.api.publish.publish`.
        reporter: Receives the progress.

    Raises:
        UsageError: An address is invalid or of the wrong kind.
        RepositoryError: The source cannot be read, or the target cannot be written.
        StorageError: This machine's disk is full.
    """
    from orbitpkg.compat.sputnik.formats.listing import read_listing
    from orbitpkg.compat.sputnik.formats.repositories import is_sputnik_address
    from orbitpkg.compat.sputnik.formats.store import open_sputnik_store
    from orbitpkg.config.repositories import open_repository, store_cache_folder
    from orbitpkg.reporting import SILENT

    _check_source(source, offline=offline)
    target = open_repository(repository, offline=offline)
    if is_sputnik_address(target.url):
        raise UsageError(
            f"Cannot import into {target.url}: Sputnik repositories are read-only.",
            hint="To set the target repository, add --repository URL.",
        )
    report = reporter or SILENT
    fetcher = open_sputnik_store(source, store_cache_folder() / "sputnik", reporter=report).fetcher
    listing = read_listing(fetcher, fetcher.idents())
    for package in listing.all():
        published = target.find_release(package.manifest.key, package.manifest.version)
        if published is not None:
            yield _compare(package, published, target)
        elif dry_run:
            yield _check(package, fetcher)
        else:
            yield _import(package, fetcher, target, unsafe_single_writer=unsafe_single_writer, reporter=report)
    for ident, error in listing.problems.items():
        yield Imported(ident=ident, outcome=ImportOutcome.SKIPPED, error=error)


def _check_source(source: str, *, offline: bool) -> None:
    from orbitpkg.compat.sputnik.formats.repositories import is_sputnik_address
    from orbitpkg.config.repositories import refuse_offline
    from orbitpkg.redaction import redacted

    if not is_sputnik_address(source):
        raise UsageError(
            f"{redacted(source)} is not a valid Sputnik repository address.",
            hint=f"For a repository of Sputnik or PyOrbital, write sputnik+{redacted(source)}."
            if "://" in source
            else "Use sputnik+s3://BUCKET, sputnik+https://HOST or sputnik+file:///DIR.",
        )
    refuse_offline(source, requested=offline)


def _imported(package: ListedPackage, outcome: ImportOutcome, error: OrbitError | None = None) -> Imported:
    return Imported(
        ident=package.ident,
        outcome=outcome,
        name=package.manifest.name,
        version=str(package.manifest.version),
        files=len(package.meta.members),
        bytes=package.meta.total_size,
        error=error,
    )


def _compare(package: ListedPackage, published: Release, target: Repository) -> Imported:
    """Compare a package with a published release, whose metadata records the archive that it was imported from."""
    if dict(published.metadata) == dict(package.manifest.metadata):
        return _imported(package, ImportOutcome.EXISTS)
    error = ReleaseExists(
        f"{published.name} {published.version} already exists in {target.url} with another origin.",
        hint="Import into another repository, or publish this package with another version.",
    )
    return _imported(package, ImportOutcome.SKIPPED, error)


def _import(
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
        return _imported(package, ImportOutcome.SKIPPED, error)
    # A concurrent import may have published it first.
    is_new = published.outcome is Outcome.PUBLISHED
    return _imported(package, ImportOutcome.IMPORTED if is_new else ImportOutcome.EXISTS)


def _check(package: ListedPackage, fetcher: Fetcher) -> Imported:
    from orbitpkg.compat.sputnik.formats.listing import PACKAGE_ERRORS

    try:
        fetcher.check(package.ident)
    except PACKAGE_ERRORS as error:
        return _imported(package, ImportOutcome.SKIPPED, error)
    return _imported(package, ImportOutcome.WOULD_IMPORT)
