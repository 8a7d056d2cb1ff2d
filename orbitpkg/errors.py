"""The exceptions of orbitpkg: one class hierarchy, with a stable code for each class.

The message of an error says what happened, and to what; its ``hint`` says what to do next. The class tells the cause.
Scripts and readers of ``--json`` match on the ``code``, which does not change between releases. Exceptions of other
libraries are translated where the library is called.
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
    """The base class of all exceptions that orbitpkg raises.

    Attributes:
        message: What happened, and to what: one or more sentences without a trailing newline.
        hint: What to do next, or None.
        data: Facts about the failure by name, which JSON can represent; shown with ``--json``.
        code: A stable identifier of the class.
    """

    code: ClassVar[str] = "error"

    def __init__(self, message: str, *, hint: str | None = None, **data: object) -> None:
        # Done here rather than by the code that prints or logs an error, which could forget it.
        from orbitpkg.redaction import redacted, redacted_data

        self.message = redacted(message)
        super().__init__(self.message)
        self.hint = redacted(hint) if hint else hint
        self.data = {name: redacted_data(value) for name, value in data.items()}

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def __reduce__(self) -> tuple[object, ...]:
        # The default would call the class with the message alone, which not every subclass accepts. A worker's error
        # that cannot be unpickled leaves multiprocessing's parent process waiting forever.
        return _restore, (type(self), self.args), self.__dict__


def _restore(kind: type[OrbitError], args: tuple[object, ...]) -> OrbitError:
    error = kind.__new__(kind, *args)
    error.args = args
    return error


class UsageError(OrbitError):
    """A value given by the caller is invalid: a name, a version, a range, a URL."""

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
    """A manifest is invalid. ``problems`` lists everything that is wrong with it, in the order of the file."""

    code = "manifest"

    def __init__(self, where: str, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        lines = "".join(f"\n  {problem}" for problem in problems)
        super().__init__(f"{where}: {count}{lines}", problems=[problem.to_dict() for problem in problems])


class ProjectError(OrbitError):
    """A project file, or the user's configuration, is invalid."""

    code = "project"


class LockfileError(ProjectError):
    """A lockfile is missing, damaged, of a newer format, in conflict, or does not match its project."""

    code = "lockfile"


class MissingExtra(OrbitError):
    """The operation needs a library of one of orbitpkg's extras, which is not installed."""

    code = "missing-extra"


class PluginError(OrbitError):
    """A plug-in cannot be loaded."""

    code = "plugin"


class TreeChanged(OrbitError):
    """A file changed, grew, shrank or vanished while it was being read."""

    code = "tree-changed"


class RepositoryError(OrbitError):
    """An operation on a repository, or on its object store, failed."""

    code = "repository"


class RepositoryNotFound(RepositoryError):
    """No repository exists at this address."""

    code = "repository-not-found"


class BucketNotFound(RepositoryNotFound):
    """The bucket does not exist."""

    code = "bucket-not-found"


class RepositoryUnreachable(RepositoryError):
    """The store did not respond: name not resolved, connection refused, timeout, TLS error or server error."""

    code = "unreachable"


class CredentialsError(RepositoryError):
    """The credentials are missing, wrong or expired."""

    code = "credentials"


class AccessDenied(RepositoryError):
    """The store denied access to the user."""

    code = "access-denied"


class ReadOnlyRepository(RepositoryError):
    """The repository is of a kind that can only be read."""

    code = "read-only-repository"


class UnsafeRepository(RepositoryError):
    """The store ignores create-only writes, so two publishers could overwrite each other's files."""

    code = "unsafe-repository"


class UnsupportedByStore(RepositoryError):
    """The object store lacks an operation (ranged reads, part copies, listing, conditional writes)."""

    code = "unsupported-by-store"


class ObjectNotFound(RepositoryError):
    """An object does not exist, as the store reported. Other failures never count as this."""

    code = "object-not-found"


class FileMissing(ObjectNotFound, FileNotFoundError):
    """A file does not exist. Raised by calls that read both objects and local files."""

    code = "file-missing"

    def __str__(self) -> str:
        return OrbitError.__str__(self)


class ObjectExists(RepositoryError):
    """The object of a create-only write already exists. It may come from the same write, if its reply was lost."""

    code = "object-exists"


class ObjectChanged(RepositoryError):
    """An object has changed: its ETag is not the expected one."""

    code = "object-changed"


class ReleaseExists(RepositoryError):
    """This version is already published, with different content."""

    code = "release-exists"


class DatasetExists(RepositoryError):
    """A dataset of this id already exists."""

    code = "dataset-exists"


class DatasetNotFound(RepositoryError):
    """No dataset of this id exists in the repository."""

    code = "dataset-not-found"


class OfflineError(RepositoryError):
    """The operation needs the network, but offline mode is on."""

    code = "offline"


class StorageError(OrbitError):
    """An operation on the local disk failed."""

    code = "storage"


class NoSpace(StorageError):
    """The disk or a quota is full."""

    code = "no-space"


class ReadOnlyStore(StorageError):
    """The user lacks permission to write to the local store, or to a local file."""

    code = "read-only-store"


class LockTimeout(StorageError):
    """Another process held a lock for longer than the limit."""

    code = "lock-timeout"


class IntegrityError(OrbitError):
    """Data differs from its digest, or is damaged. It was not used."""

    code = "integrity"


class ArchiveError(IntegrityError):
    """An archive, or its contents, is damaged, truncated, hostile or of an unknown format."""

    code = "archive"


class ForbiddenFormat(OrbitError):
    """A package has files of a format that can run code and is not allowed."""

    code = "forbidden-format"


class ResolutionError(OrbitError):
    """No release matches the requirements."""

    code = "resolution"


class PackageNotFound(ResolutionError):
    """No package of this name exists in the repositories."""

    code = "package-not-found"


class VersionNotFound(ResolutionError):
    """The package exists, but no version of it is in the range."""

    code = "version-not-found"


class NotInstalled(ResolutionError):
    """No installed version matches the requirement."""

    code = "not-installed"


class PartlyDone(OrbitError):
    """Some of several files failed. ``failures`` in its data lists them with the reasons."""

    code = "partly-done"


class FileNotInPackage(OrbitError, FileNotFoundError):
    """The package has no such file."""

    code = "file-not-in-package"

    def __str__(self) -> str:
        return OrbitError.__str__(self)
