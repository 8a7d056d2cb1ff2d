"""Creating and maintaining repositories, and marking releases as yanked or deprecated."""

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
    """Create a repository at an address, unless one exists.

    Args:
        repository: The address, as for :func:`settings`.
        create_bucket: Create the bucket if it does not exist.
        offline: Refuse a repository that needs the network.

    Returns:
        The repository, and the capabilities of its store; None instead of these if the repository existed already.

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
    """Test the capabilities of a repository's store.

    Raises:
        RepositoryError: The store cannot be reached, or refuses the credentials.
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
    """Delete objects of a repository that no release needs.

    Args:
        repository: The repository, as for :func:`settings`.
        grace: The minimum age of an object; a week when None. It must exceed the duration of any upload.
        dry_run: Change nothing.
        offline: Refuse a repository that needs the network.

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
    """Set the state of the published releases that a requirement matches.

    Args:
        requirement: The requirement.
        state: ``"yanked"``: selected only if required exactly or locked. ``"deprecated"``: installed with a warning.
            ``"available"``: neither.
        reason: The reason, shown to users.
        repository: The repository, as for :func:`settings`.
        offline: Refuse a repository that needs the network.

    Returns:
        The package's canonical name, the versions, and the repository's address.

    Raises:
        UsageError: The requirement is invalid, or would yank every version.
        VersionNotFound: The requirement matches no release.
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
            f"A version or range is required to yank {wanted.name}.",
            hint=f"Give a version or a range: {wanted.name}==1.0.0 or '{wanted.name}>=1,<2'.",
        )
    source = open_repository(repository, offline=offline, package=wanted.key)
    there = source.versions(wanted.key)
    chosen = [version for version in there if wanted.range.allows(version)]
    if not chosen:
        if not there:
            source.config()
        raise source.not_found_error(wanted.key, str(wanted), there)
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    set_status(source, wanted.key, chosen, Status(state=State(state), reason=reason, changed=now))
    return wanted.key, [str(version) for version in chosen], source.url


def reindex(
    names: Iterable[str] = (), *, repository: PathLike | None = None, offline: bool = False
) -> tuple[str, list[Change]]:
    """Rebuild the indexes of packages from their records.

    Args:
        names: The names of the packages; all packages when empty.
        repository: The repository, as for :func:`settings`.
        offline: Refuse a repository that needs the network.

    Returns:
        The repository's address, and the errors that each index had.

    Raises:
        RepositoryError: The repository cannot be read or written.
        IntegrityError: A record is damaged.
    """
    from orbitpkg.model.requirements import parse_requirement
    from orbitpkg.repository.indexing import reindex as rebuild

    source = open_repository(repository, offline=offline)
    keys = [parse_requirement(name).key for name in names]
    for key in keys:
        if not source.versions(key):
            source.config()
            raise source.not_found_error(key, key, [])
    return source.url, [rebuild(source, key) for key in keys or source.names()]
