"""Maintenance: verifying and repairing installed releases, verifying repositories, collecting garbage."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, OrbitError
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.reporting import SILENT
from orbitpkg.store.condition import Finding, FindingKind, check_release
from orbitpkg.store.layout import ORIGIN_NAME, Layout
from orbitpkg.store.package import installed_names, installed_versions, not_installed
from orbitpkg.store.records import load_release

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence
    from contextlib import ExitStack

    from orbitpkg.installer.repair import Supplier
    from orbitpkg.model.versions import Version
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.verification import Verdict
    from orbitpkg.store.condition import Condition
    from orbitpkg.store.garbage import Garbage, Policy
    from orbitpkg.store.store import Store

__all__ = ["Checked", "check", "check_repository", "finding_bits", "tidy"]

_BITS = {FindingKind.MISSING: 16, FindingKind.ALTERED: 32, FindingKind.EXTRA: 64}


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A verified installed release.

    Attributes:
        name: The package's name.
        version: The release's version.
        findings: The problems that were found.
        left: The problems that remain; equal to ``findings`` unless the release was repaired.
        fetched: The number of bytes that the repair read from the archive.
        aside: The directory that foreign files were moved to; None if there were none.
        failure: Why the repair failed; None if it succeeded or was not requested.
    """

    name: str
    version: str
    findings: tuple[Finding, ...]
    left: tuple[Finding, ...]
    fetched: int = 0
    aside: str | None = None
    failure: OrbitError | None = None


def finding_bits(kinds: Iterable[str]) -> int:
    """Return kinds of findings as bits: 16 for missing, 32 for altered, 64 for extra files."""
    bits = 0
    for kind in kinds:
        bits |= _BITS[FindingKind(kind)]
    return bits


def check(
    requirements: Sequence[str] = (),
    *,
    quick: bool = False,
    repair: bool = False,
    repository: str | os.PathLike[str] | None = None,
    offline: bool = False,
    reporter: Reporter = SILENT,
) -> list[Checked]:
    """Verify installed releases against their records, and repair them on request.

    Args:
        requirements: Verify the installed versions that a requirement matches; all releases when empty.
        quick: Compare sizes and times instead of hashing all files.
        repair: Restore damaged releases to their published state.
        repository: The repository to repair from; the origin of each release when None.
        offline: Refuse a repository that needs the network.
        reporter: Receives progress.

    Raises:
        NotInstalled: A requirement matches no installed version.
        StorageError: The store cannot be read.
    """
    from orbitpkg.config.repositories import home
    from orbitpkg.store.store import Store

    store = Store(home())
    chosen = _chosen(store.layout, requirements)
    total = sum(_size(store.layout, key, version) for key, version in chosen)
    with reporter.task("Verifying", total) as task:
        found = [check_release(store.layout, *release, quick=quick, progress=task.advance) for release in chosen]
    conditions = [condition for condition in found if condition is not None]
    if not repair:
        return [_checked(condition) for condition in conditions]
    return [
        _repaired(store, condition, repository, offline=offline, reporter=reporter)
        if condition.findings
        else _checked(condition)
        for condition in conditions
    ]


def check_repository(
    repository: str | os.PathLike[str] | None = None,
    *,
    share: float = 0.0,
    offline: bool = False,
    reporter: Reporter = SILENT,
) -> Verdict:
    """Verify the records, archives and indexes of a repository against one another.

    Args:
        repository: The repository, as for :func:`.api.settings`.
        share: The share of the archives' data to read, from 0 (only sizes) to 1 (everything).
        offline: Refuse a repository that needs the network.
        reporter: Receives progress.

    Raises:
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.config.repositories import open_repository
    from orbitpkg.repository.verification import verify_repository

    source = open_repository(repository, offline=offline)
    with reporter.task("Verifying", None) as task:
        return verify_repository(source, share=share, progress=task.advance)


def tidy(policy: Policy, *, dry_run: bool = False) -> Garbage:
    """Delete what is not needed from the store.

    Args:
        policy: The old versions to delete as well.
        dry_run: Change nothing.

    Returns:
        What was, or would be, deleted.

    Raises:
        IntegrityError: The needs of a lockfile are unknown.
        StorageError: The store cannot be read or written.
    """
    from dataclasses import replace

    from orbitpkg.config.repositories import home
    from orbitpkg.store.garbage import collect, find_garbage
    from orbitpkg.store.store import Store

    store = Store(home())
    found = find_garbage(store.layout, policy)
    if dry_run:
        return found
    done = tuple(collect(store, found))
    return replace(found, items=done, size=found.size + found.freed - sum(item.size for item in done))


def _chosen(layout: Layout, requirements: Sequence[str]) -> list[tuple[str, Version]]:
    there = [(key, version) for key in installed_names(layout) for version in installed_versions(layout, key)]
    if not requirements:
        return there
    chosen: dict[tuple[str, Version], None] = {}
    for requirement in map(parse_requirement, requirements):
        fitting = [each for each in there if each[0] == requirement.key and requirement.range.allows(each[1])]
        if not fitting:
            raise not_installed(layout, requirement, [version for key, version in there if key == requirement.key])
        chosen.update(dict.fromkeys(fitting))
    return [each for each in there if each in chosen]


def _size(layout: Layout, key: str, version: Version) -> int:
    try:
        return load_release(layout.release(key, version)).archive.bytes
    except OrbitError:
        return 0


def _checked(condition: Condition, failure: OrbitError | None = None) -> Checked:
    return Checked(
        name=condition.name,
        version=str(condition.version),
        findings=condition.findings,
        left=condition.findings,
        failure=failure,
    )


def _repaired(
    store: Store,
    condition: Condition,
    repository: str | os.PathLike[str] | None,
    *,
    offline: bool,
    reporter: Reporter,
) -> Checked:
    from contextlib import ExitStack

    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.installer.repair import repair

    try:
        with ExitStack() as stack:
            supplier = _supplier(store, condition, repository, stack, offline=offline)
            pool = stack.enter_context(Pool())
            done = repair(store, condition, supplier, pool=pool, reporter=reporter)
    except OrbitError as error:
        # The other releases must be repaired nevertheless.
        return _checked(condition, error)
    return Checked(
        name=done.condition.name,
        version=str(condition.version),
        findings=condition.findings,
        left=done.condition.findings,
        fetched=done.fetched,
        aside=done.aside,
    )


def _supplier(
    store: Store,
    condition: Condition,
    repository: str | os.PathLike[str] | None,
    stack: ExitStack,
    *,
    offline: bool,
) -> Supplier:
    from orbitpkg.archive.reader import LocalArchive
    from orbitpkg.config.repositories import open_repository
    from orbitpkg.installer.install import available_archive
    from orbitpkg.installer.repair import ArchiveSupplier, RepositorySupplier

    if repository is not None:
        return RepositorySupplier(open_repository(repository, offline=offline), store)
    try:
        origin = Path(store.layout.release(condition.key, condition.version), ORIGIN_NAME).read_text(encoding="utf-8")
    except OSError:
        raise IntegrityError(
            f"The origin of {condition} is unknown.", hint="To set a repository that has it, add --repository URL."
        ) from None
    archive = _archive_path(origin)
    if archive is not None:
        return ArchiveSupplier(available_archive(stack.enter_context(LocalArchive.open(archive))))
    return RepositorySupplier(open_repository(origin, offline=offline), store)


def _archive_path(origin: str) -> Path | None:
    from orbitpkg.objects.addresses import local_path_of, scheme_of

    if scheme_of(origin) != "file":
        return None
    path = local_path_of(origin)
    return path if path and (path.suffixes[-2:] == [".tar", ".zst"] or path.is_file()) else None
