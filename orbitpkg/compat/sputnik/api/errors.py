"""Sputnik's exceptions under their original names, each a subclass of the equivalent orbitpkg error.

Errors that Sputnik has no exception for (no network, wrong credentials) are orbitpkg's own. All errors derive from
``OrbitError``.
"""

from __future__ import annotations

from orbitpkg.errors import (
    FileNotInPackage,
    IntegrityError,
    NoSpace,
    OrbitError,
    PackageNotFound,
    UsageError,
    VersionNotFound,
)

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
]


class SputnikException(OrbitError):
    """The base of Sputnik's exceptions."""


class PackageNotFoundException(SputnikException, PackageNotFound):
    """No package of this name is installed or, if the repository was searched, published."""


class CompatiblePackageNotFoundException(SputnikException, VersionNotFound):
    """No version of the package satisfies the constraint and is compatible with the app."""


class NotIncludedException(SputnikException, FileNotInPackage):
    """The package contains no such file or directory."""


class InvalidPathPartsException(SputnikException, UsageError):
    """A path is not given as separate components, or leads out of the package."""


class InvalidConstraintException(SputnikException, UsageError):
    """A package string is invalid."""


class InvalidAppNameException(SputnikException, UsageError):
    """The app's name is invalid."""


class InvalidAppVersionException(SputnikException, UsageError):
    """The app's version is invalid."""


class InvalidDataPathException(SputnikException, UsageError):
    """The data path is empty, or missing where it is required."""


class InvalidPathException(SputnikException, UsageError):
    """A path leads out of the package."""


class ValidationException(SputnikException):
    """The ``package.json`` is invalid."""


class EmptyArchiveException(SputnikException):
    """The ``package.json`` includes no files."""


class NameMismatchException(SputnikException, TypeError):
    """Packages of different names were compared."""


class NotEnoughSpaceException(SputnikException, NoSpace):
    """The disk is full."""


class InvalidChecksumException(SputnikException, IntegrityError):
    """Data is damaged."""


# orbitpkg never raises the following exceptions. They exist for apps that catch them.


class PackageAlreadyInstalledException(SputnikException):
    """Never raised: installing an installed package returns it."""


class UnknownAppNameException(SputnikException):
    """Never raised: an app need not be installed."""


class MissingChecksumHeader(SputnikException):
    """Never raised: archives are verified by their manifests, not by headers."""


class InvalidOffsetException(SputnikException):
    """Never raised: a download that cannot resume restarts."""


class UnknownContentLengthException(SputnikException):
    """Never raised: invalid answers of servers are a :class:`orbitpkg.RepositoryError`."""


class UnsupportedHTTPCodeException(SputnikException):
    """Never raised: invalid answers of servers are a :class:`orbitpkg.RepositoryError`."""
