"""The translation of orbitpkg's errors to Sputnik's exceptions."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from orbitpkg.compat.sputnik.api.errors import (
    CompatiblePackageNotFoundException,
    InvalidChecksumException,
    NotEnoughSpaceException,
    PackageNotFoundException,
    SputnikException,
)
from orbitpkg.errors import IntegrityError, NoSpace, NotInstalled, OrbitError, PackageNotFound, ResolutionError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["translate_errors"]

# The first match applies, so subclasses come before ResolutionError.
_TRANSLATIONS: tuple[tuple[type[OrbitError], type[SputnikException]], ...] = (
    (PackageNotFound, PackageNotFoundException),
    (NotInstalled, PackageNotFoundException),
    (ResolutionError, CompatiblePackageNotFoundException),
    (NoSpace, NotEnoughSpaceException),
    (IntegrityError, InvalidChecksumException),
)


@contextlib.contextmanager
def translate_errors() -> Iterator[None]:
    """Translate orbitpkg's errors in a ``with`` block to Sputnik's exceptions."""
    try:
        yield
    except SputnikException:
        raise
    except OrbitError as error:
        for kind, name in _TRANSLATIONS:
            if isinstance(error, kind):
                raise name(error.message, hint=error.hint, **error.data) from None
        raise
