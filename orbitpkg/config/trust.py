"""The addresses that this reader trusts, even if others wrote them into a catalogue or a release.

These are the addresses in ``ORBITPKG_TRUSTED_ADDRESSES``, and those that the user indexed with orbitpkg on this
machine, which a file in the home directory remembers. A file that another user owns is ignored: in a shared home, it
would make one member decide for the others.
"""

from __future__ import annotations

import contextlib
import os
import stat
from typing import TYPE_CHECKING, Final

from orbitpkg.config.environment import read_variable
from orbitpkg.config.repositories import home
from orbitpkg.files.atomic import atomic_write
from orbitpkg.model.jsontext import dump_json, load_json
from orbitpkg.objects.foreign import TRUST_VARIABLE, is_trusted

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["remember_trusted", "trusted_addresses"]

_MAX_BYTES: Final = 1 << 20


def trusted_addresses() -> tuple[str, ...]:
    """Return the addresses that are trusted, each with everything below it."""
    words = (read_variable(TRUST_VARIABLE) or "").replace(",", " ").split()
    return (*words, *_remembered())


def remember_trusted(address: str) -> None:
    """Trust an address from now on, because the user named it. If the file cannot be written, nothing is remembered."""
    known = _remembered()
    if is_trusted(address, known):
        return
    with contextlib.suppress(OSError):
        path = _path()
        path.parent.mkdir(parents=True, exist_ok=True)
        atomic_write(path, dump_json([*known, address.rstrip("/")]), mode=0o600)


def _path() -> Path:
    return home() / "cache" / "datasets" / f"trusted-{os.getuid()}.json"


def _remembered() -> tuple[str, ...]:
    try:
        descriptor = os.open(_path(), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ()
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        is_own = status.st_uid == os.getuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        if not (stat.S_ISREG(status.st_mode) and is_own):
            return ()
        found = load_json(file.read(_MAX_BYTES))
    return tuple(each for each in found if isinstance(each, str)) if isinstance(found, list) else ()
