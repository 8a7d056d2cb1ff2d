"""Making a repository, keeping it in order, and saying what is thought of its releases."""

from __future__ import annotations

from orbitpkg.config.repositories import open_repository, repository_url

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from datetime import timedelta
    from typing import TypeAlias

    from orbitpkg.repository.garbage import Garbage
    from orbitpkg.repository.indexing import Change
    from orbitpkg.repository.probe import ProbeReport
    from orbitpkg.repository.repository import Repository

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["collect_repository", "doctor", "init_repository", "mark", "reindex"]


def init_repository(
    repository: PathLike | None = None, *, create_bucket: bool = False, offline: bool = False
) -> tuple[Repository, ProbeReport | None]:
    """Make a repository at an address, unless there is one.

    Args:
        repository: The address, as for :func:`settings`.
        create_bucket: Make the bucket, too, if it does not exist.
        offline: Refuse one that takes a network.

    Returns:
        The repository, and what its store can do; None instead of that when it was a repository already.

    Raises:
        BucketNotFound: The bucket does not exist.
        RepositoryError: The store cannot be reached or written.
    """
    from orbitpkg.objects import create_bucket as make_bucket

    source = open_repository(repository, offline=offline)
    if create_bucket:
        make_bucket(repository_url(repository))
    _, report = source.init()
    return source, report


def doctor(repository: PathLike | None = None, *, offline: bool = False) -> ProbeReport:
    """Try what the store of a repository can do.

    Raises:
        RepositoryError: It cannot be reached, or does not know who asks.
    """
    from orbitpkg.repository.probe import probe

    return probe(open_repository(repository, offline=offline).objects)


def collect_repository(
    repository: PathLike | None = None,
    *,
    grace: timedelta | None = None,
    dry_run: bool = False,
    offline: bool = False,
) -> Garbage:
    """Delete what a repository holds and no release needs.

    Args:
        repository: Which one, as for :func:`settings`.
        grace: How old something must be; a week when None. Must be longer than any publishing takes.
        dry_run: Change nothing.
        offline: Refuse a repository that takes a network.

    Returns:
        What was, or would be, deleted.

    Raises:
        RepositoryError: The repository cannot be read or written.
    """
    from datetime import timedelta

    from orbitpkg.repository.garbage import collect_garbage, find_garbage

    source = open_repository(repository, offline=offline)
    source.config()
    garbage = find_garbage(source, grace=timedelta(days=7) if grace is None else grace)
    if not dry_run:
        collect_garbage(source, garbage)
    return garbage


def mark(
    requirement: str,
    state: str,
    *,
    reason: str = "",
    repository: PathLike | None = None,
    offline: bool = False,
) -> tuple[str, list[str], str]:
    """Say what is thought of the published releases that a requirement allows.

    Args:
        requirement: Which ones.
        state: ``"yanked"``: nobody gets it who does not name it exactly, or has it locked. ``"deprecated"``: who gets
            it is warned. ``"available"``: neither.
        reason: Why.
        repository: Where, as for :func:`settings`.
        offline: Refuse a repository that takes a network.

    Returns:
        The package's canonical name, the versions, and the repository's address.

    Raises:
        UsageError: The requirement cannot be read, or would yank every version.
        VersionNotFound: No release fits.
        RepositoryError: The repository cannot be written.
    """
    from datetime import UTC, datetime

    from orbitpkg.errors import UsageError
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.repository.indexing import set_status
    from orbitpkg.repository.status import State, Status

    wanted = parse_requirement(requirement)
    if state == State.YANKED and not wanted.range.text:
        raise UsageError(
            f"{wanted} is every version of {wanted.name}.",
            hint=f"Say which: {wanted.name}==1.0.0, or '{wanted.name}>=1,<2'.",
        )
    source = open_repository(repository, offline=offline, package=wanted.key)
    there = source.versions(wanted.key)
    chosen = [version for version in there if wanted.range.allows(version)]
    if not chosen:
        raise source.nothing_found(wanted.key, str(wanted), there)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    set_status(source, wanted.key, chosen, Status(state=State(state), reason=reason, changed=now))
    return wanted.key, [str(version) for version in chosen], source.url


def reindex(
    names: Iterable[str] = (), *, repository: PathLike | None = None, offline: bool = False
) -> tuple[str, list[Change]]:
    """Write the indexes of packages anew from their records.

    Args:
        names: Which packages; all of the repository's without any.
        repository: Which one, as for :func:`settings`.
        offline: Refuse a repository that takes a network.

    Returns:
        The repository's address, and what each index said that is not so.

    Raises:
        RepositoryError: The repository cannot be read or written.
        IntegrityError: A record is damaged.
    """
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.repository.indexing import reindex as write_anew

    source = open_repository(repository, offline=offline)
    keys = [parse_requirement(name).key for name in names]
    for key in keys:
        if not source.versions(key):
            raise source.nothing_found(key, key, [])
    return source.url, [write_anew(source, key) for key in keys or source.names()]
