"""Sputnik's exceptions, by their old names, under one base; each is also the error of orbitpkg's that it stands for.

Errors that Sputnik had no name for (no network, wrong credentials) come as orbitpkg's own: ``OrbitError`` is the base
of all of them.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from orbitpkg.errors import (
    FileNotInPackage,
    IntegrityError,
    NoSpace,
    NotInstalled,
    OrbitError,
    PackageNotFound,
    ResolutionError,
    UsageError,
    VersionNotFound,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = [
    "CompatiblePackageNotFoundException",
    "EmptyArchiveException",
    "InvalidAppNameException",
    "InvalidAppVersionException",
    "InvalidChecksumException",
    "InvalidConstraintException",
    "InvalidDataPathException",
    "InvalidOffsetException",
    "InvalidPathException",
    "InvalidPathPartsException",
    "MissingChecksumHeader",
    "NameMismatchException",
    "NotEnoughSpaceException",
    "NotIncludedException",
    "PackageAlreadyInstalledException",
    "PackageNotFoundException",
    "SputnikException",
    "UnknownAppNameException",
    "UnknownContentLengthException",
    "UnsupportedHTTPCodeException",
    "ValidationException",
    "renamed_errors",
]


class SputnikException(OrbitError):
    """The base of the exceptions that Sputnik had."""


class PackageNotFoundException(SputnikException, PackageNotFound):
    """There is no package of this name, neither installed nor, where it was looked for, in the repository."""


class CompatiblePackageNotFoundException(SputnikException, VersionNotFound):
    """There is a package of this name, and no version of it that fits the constraint and the app."""


class NotIncludedException(SputnikException, FileNotInPackage):
    """The package holds no such file, or directory."""


class InvalidPathPartsException(SputnikException, UsageError):
    """A path was not given part by part, or leaves the package."""


class InvalidConstraintException(SputnikException, UsageError):
    """A package string cannot be read."""


class InvalidAppNameException(SputnikException, UsageError):
    """The app's name is none."""


class InvalidAppVersionException(SputnikException, UsageError):
    """The app's version is none that can be compared."""


class InvalidDataPathException(SputnikException, UsageError):
    """The data path is empty, or must be given and is not."""


class InvalidPathException(SputnikException, UsageError):
    """A path leads out of the package."""


class ValidationException(SputnikException):
    """The ``package.json`` cannot be used."""


class EmptyArchiveException(SputnikException):
    """The ``package.json`` includes no file."""


class NameMismatchException(SputnikException, TypeError):
    """Packages of different names were compared."""


class NotEnoughSpaceException(SputnikException, NoSpace):
    """The disk is full."""


class InvalidChecksumException(SputnikException, IntegrityError):
    """What was read is not what was promised."""


# Never raised here; for apps that catch them.


class PackageAlreadyInstalledException(SputnikException):
    """What is installed already is given instead."""


class UnknownAppNameException(SputnikException):
    """An app need not be installed."""


class MissingChecksumHeader(SputnikException):
    """An archive is held against its manifest, with a header or without."""


class InvalidOffsetException(SputnikException):
    """A download that cannot go on begins anew."""


class UnknownContentLengthException(SputnikException):
    """What a server answers wrongly is told as :class:`orbitpkg.RepositoryError`."""


class UnsupportedHTTPCodeException(SputnikException):
    """As above."""


_RENAMED: tuple[tuple[type[OrbitError], type[SputnikException]], ...] = (
    (PackageNotFound, PackageNotFoundException),
    (NotInstalled, PackageNotFoundException),
    (ResolutionError, CompatiblePackageNotFoundException),
    (NoSpace, NotEnoughSpaceException),
    (IntegrityError, InvalidChecksumException),
)


@contextlib.contextmanager
def renamed_errors() -> Iterator[None]:
    """Give errors of orbitpkg's the names that Sputnik had for them."""
    try:
        yield
    except SputnikException:
        raise
    except OrbitError as error:
        for kind, name in _RENAMED:
            if isinstance(error, kind):
                raise name(error.message, hint=error.hint, **error.data) from error
        raise
