"""Every error orbitpkg raises on purpose: one tree, a stable code each.

An error says what happened, to what, and (as ``hint``) what to do next. The class says whose fault it is; the
``code`` is what scripts and ``--json`` readers match on, and does not change between releases. Errors of other
libraries are turned into these where they enter, and nowhere else.
"""

from __future__ import annotations

# An app that starts imports this module, and `typing` would take longer than all the rest of it.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import ClassVar

__all__ = [
    "AccessDenied",
    "ArchiveError",
    "BucketNotFound",
    "CredentialsError",
    "DatasetExists",
    "DatasetNotFound",
    "FileMissing",
    "FileNotInPackage",
    "ForbiddenFormat",
    "IntegrityError",
    "LockTimeout",
    "LockfileError",
    "ManifestError",
    "MissingExtra",
    "NoSpace",
    "NotInstalled",
    "ObjectChanged",
    "ObjectExists",
    "ObjectNotFound",
    "OfflineError",
    "OrbitError",
    "PackageNotFound",
    "PartlyDone",
    "PluginError",
    "Problem",
    "ProjectError",
    "ReadOnlyRepository",
    "ReadOnlyStore",
    "ReleaseExists",
    "RepositoryError",
    "RepositoryNotFound",
    "RepositoryUnreachable",
    "ResolutionError",
    "StorageError",
    "TreeChanged",
    "UnsafeRepository",
    "UnsupportedByStore",
    "UsageError",
    "VersionNotFound",
]


class OrbitError(Exception):
    """What orbitpkg raises; the root of the tree.

    Attributes:
        message: What happened, and to what. One or more full sentences without a trailing newline.
        hint: What to do next, or None.
        data: The facts of the failure by name, JSON-able; shown under ``--json``.
        code: A stable identifier of the kind of failure.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None, **data: object) -> None:
        # Here, so that no one who prints or logs an error can forget it.
        from orbitpkg.redaction import redacted, redacted_data

        self.message = redacted(message)
        super().__init__(self.message)
        self.hint = redacted(hint) if hint else hint
        self.data = {name: redacted_data(value) for name, value in data.items()}

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message


class UsageError(OrbitError):
    """A word given by the caller cannot be read: a name, a version, a range, a URL."""

    code = "usage"


class Problem:
    """A problem with a value in a document.

    Attributes:
        pointer: The location of the value, as a JSON pointer (RFC 6901). "" is the whole document.
        message: The problem.
        hint: How to fix it, or None.
        line: The line of the file, from 1, or None if unknown.
    """

    __slots__ = ("hint", "line", "message", "pointer")

    def __init__(self, pointer: str, message: str, hint: str | None = None, line: int | None = None) -> None:
        self.pointer = pointer
        self.message = message
        self.hint = hint
        self.line = line

    def to_dict(self) -> dict[str, str | int | None]:
        """Return the problem as JSON-able facts."""
        return {"pointer": self.pointer, "message": self.message, "hint": self.hint, "line": self.line}

    def __eq__(self, other: object) -> bool:
        return self.to_dict() == other.to_dict() if isinstance(other, Problem) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.pointer, self.message, self.hint, self.line))

    def __repr__(self) -> str:
        return f"Problem({self.pointer!r}, {self.message!r}, {self.hint!r}, {self.line!r})"

    def __str__(self) -> str:
        line = f"line {self.line}" if self.line is not None else ""
        where = ", ".join(filter(None, [line, self.pointer]))
        return (f"{where}: " if where else "") + self.message + (f" ({self.hint})" if self.hint else "")


class ManifestError(OrbitError):
    """A manifest is refused. ``problems`` holds everything that is wrong with it, in the order of the file."""

    code = "manifest"

    def __init__(self, where: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{where}: {count}{lines}", problems=[problem.to_dict() for problem in problems])


class ProjectError(OrbitError):
    """A project's file, or the user's configuration, cannot be used."""

    code = "project"


class LockfileError(ProjectError):
    """A lockfile cannot be used: damaged, of a newer format, in conflict, missing, or not what the project asks for."""

    code = "lockfile"


class MissingExtra(OrbitError):
    """What was asked for needs a library that comes with one of orbitpkg's extras, and it is not installed."""

    code = "missing-extra"


class PluginError(OrbitError):
    """A plug-in of another distribution cannot be loaded."""

    code = "plugin"


class TreeChanged(OrbitError):
    """A file changed, grew, shrank or vanished while it was being read."""

    code = "tree-changed"


class RepositoryError(OrbitError):
    """A repository, or the object store under it, did not do what was asked."""

    code = "repository"


class RepositoryNotFound(RepositoryError):
    """There is no repository at this address."""

    code = "repository-not-found"


class BucketNotFound(RepositoryNotFound):
    """The bucket does not exist."""

    code = "bucket-not-found"


class RepositoryUnreachable(RepositoryError):
    """No answer, or no sensible one: name not resolved, connection refused, timed out, TLS or server failure."""

    code = "unreachable"


class CredentialsError(RepositoryError):
    """The credentials are missing, wrong or expired."""

    code = "credentials"


class AccessDenied(RepositoryError):
    """The store knows who asks, and says no."""

    code = "access-denied"


class ReadOnlyRepository(RepositoryError):
    """This kind of repository can only be read."""

    code = "read-only-repository"


class UnsafeRepository(RepositoryError):
    """The store ignores create-only writes, so that two publishers could overwrite one another."""

    code = "unsafe-repository"


class UnsupportedByStore(RepositoryError):
    """The object store lacks an operation (ranged reads, part copies, listing, conditional writes)."""

    code = "unsupported-by-store"


class ObjectNotFound(RepositoryError):
    """An object is absent, and the store said so for certain."""

    code = "object-not-found"


class FileMissing(ObjectNotFound, FileNotFoundError):
    """There is no such object, or local file, for whoever reads either by the same call."""

    code = "file-missing"

    def __str__(self) -> str:
        return OrbitError.__str__(self)


class ObjectExists(RepositoryError):
    """A create-only write found an object there (perhaps one's own, when a reply was lost)."""

    code = "object-exists"


class ObjectChanged(RepositoryError):
    """An object is not the one it was: its ETag differs from the one expected."""

    code = "object-changed"


class ReleaseExists(RepositoryError):
    """This version is already published, with different content."""

    code = "release-exists"


class DatasetExists(RepositoryError):
    """There is a dataset of this id already."""

    code = "dataset-exists"


class DatasetNotFound(RepositoryError):
    """Nobody made a dataset of this id there."""

    code = "dataset-not-found"


class OfflineError(RepositoryError):
    """The network is needed and offline mode forbids it."""

    code = "offline"


class StorageError(OrbitError):
    """The local disk did not do what was asked."""

    code = "storage"


class NoSpace(StorageError):
    """The disk, or a quota, is full."""

    code = "no-space"


class ReadOnlyStore(StorageError):
    """The local store may not be written by this user."""

    code = "read-only-store"


class LockTimeout(StorageError):
    """Another process held a lock for longer than the limit."""

    code = "lock-timeout"


class IntegrityError(OrbitError):
    """Bytes are not the ones that were promised; they are not used."""

    code = "integrity"


class ArchiveError(IntegrityError):
    """An archive, or its contents, is damaged, truncated, hostile or of an unknown format."""

    code = "archive"


class ForbiddenFormat(OrbitError):
    """A package holds files that can run code, of a format that the project, the user or the environment forbids."""

    code = "forbidden-format"


class ResolutionError(OrbitError):
    """No release fits what was asked for."""

    code = "resolution"


class PackageNotFound(ResolutionError):
    """Nobody publishes a package of this name there."""

    code = "package-not-found"


class VersionNotFound(ResolutionError):
    """The package is there; no version of it is in the range."""

    code = "version-not-found"


class NotInstalled(ResolutionError):
    """Nothing installed fits the requirement."""

    code = "not-installed"


class PartlyDone(OrbitError):
    """Of many files some were done and others could not be; ``failures`` of its data says which, and why."""

    code = "partly-done"


class FileNotInPackage(OrbitError, FileNotFoundError):
    """The package holds no such file."""

    code = "file-not-in-package"

    def __str__(self) -> str:
        return OrbitError.__str__(self)
