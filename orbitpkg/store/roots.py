"""What garbage collection must leave: releases that lockfiles name, and those that an install is about to need.

::

    store/v1/roots/<24 hex>.json           a lockfile, and what it named when it was last installed from
    store/v1/roots/running-<16 hex>.json   what an install that is under way needs; gone when it ends

A root of a lockfile says where that is, and the lockfile says what is needed. When it cannot be read (its disk is not
mounted, its owner's folder is closed), what it named last counts; when it has been gone for a month, it is stale. A
root of an install counts for a day, which is longer than any install writes nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, LockfileError, OrbitError, StorageError
from orbitpkg.files.atomic import HIDDEN, atomic_write
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.model.lockfile import MAX_LOCK_BYTES, parse_lock
from orbitpkg.model.names import canonical_name
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.store.folders import make_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from orbitpkg.model.lockfile import Lock
    from orbitpkg.store.layout import Layout

__all__ = ["Roots", "protect_releases", "read_roots", "register_lockfile"]

_FORMAT = 1
_MAX_BYTES = 64 * 1024 * 1024
_DAY = 86_400.0
_LOCKFILE_GONE = 30 * _DAY
_RUNNING = "running-"


@dataclass(slots=True, kw_only=True)
class Roots:
    """What must stay.

    Attributes:
        needed: Why, by canonical name and version.
        stale: The paths of roots that count no more.
    """

    needed: dict[tuple[str, Version], str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)


def register_lockfile(layout: Layout, path: Path, lock: Lock) -> None:
    """Have garbage collection leave what a lockfile names, as long as it names it.

    Who may only read the store registers nothing: garbage collection by its owner does not know of that lockfile.

    Args:
        layout: Of the store.
        path: The lockfile.
        lock: What it says.
    """
    place = os.path.abspath(path)  # noqa: PTH100
    root = f"{layout.roots}/{hashlib.sha256(os.fsencode(place)).hexdigest()[:24]}.json"
    packages = [str(package) for package in lock.packages.values()]
    with contextlib.suppress(StorageError):
        _write(layout, root, {"format": _FORMAT, "lockfile": place, "packages": packages})


@contextlib.contextmanager
def protect_releases(layout: Layout, releases: Iterable[object]) -> Iterator[None]:
    """Have garbage collection leave releases while an install needs them.

    Args:
        layout: Of the store.
        releases: Which, as ``NAME==VERSION`` in text.

    Raises:
        StorageError: The store cannot be written.
    """
    root = f"{layout.roots}/{_RUNNING}{secrets.token_hex(8)}.json"
    # Not synced: after a crash of the system there is no install to need it.
    _write(layout, root, {"format": _FORMAT, "packages": [str(release) for release in releases]}, durable=False)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            os.unlink(root)  # noqa: PTH108


def _write(layout: Layout, root: str, document: dict[str, object], *, durable: bool = True) -> None:
    with storage_errors(root):
        make_folder(layout, layout.roots)
        atomic_write(root, canonical_json(document), durable=durable)


def read_roots(layout: Layout, *, now: float | None = None) -> Roots:
    """Find out what must stay.

    Args:
        layout: Of the store.
        now: The time, in seconds since 1970; the present one when None.

    Raises:
        IntegrityError: A root is damaged, or of a newer format, so that nobody knows what it needs.
        StorageError: The roots cannot be read.
    """
    now = time.time() if now is None else now
    roots = Roots()
    with storage_errors(layout.roots):
        names = sorted(os.listdir(layout.roots)) if os.path.isdir(layout.roots) else []  # noqa: PTH112
    for name in names:
        path = f"{layout.roots}/{name}"
        with storage_errors(path, READ):
            try:
                with open(path, "rb") as file:  # noqa: PTH123
                    data, status = file.read(_MAX_BYTES), os.fstat(file.fileno())
            except FileNotFoundError:
                continue
            except PermissionError:
                if name.startswith(HIDDEN):  # another user is writing it
                    continue
                raise
        try:
            document = _parsed(data, path)
        except IntegrityError:
            if not name.startswith((_RUNNING, HIDDEN)):
                raise
            document = {}  # cut short by a crash of the system, and its install with it
        _add(roots, path, document, now - max(status.st_mtime, status.st_ctime))
    return roots


def _parsed(data: bytes, path: str) -> dict[str, object]:
    hint = f"What it keeps is not known, so that nothing is removed. If nobody needs it any more, delete {path}."
    document = parse_json(data, what=path, max_bytes=_MAX_BYTES)
    if not isinstance(document, dict) or type(document.get("format")) is not int:
        raise IntegrityError(f"{path} is no root of garbage collection.", hint=hint)
    if document["format"] != _FORMAT:
        raise IntegrityError(
            f"{path} has format {document['format']}; this orbitpkg reads format {_FORMAT}.",
            hint="A newer orbitpkg wrote it: upgrade with pip install -U orbitpkg.",
        )
    return document


def _add(roots: Roots, path: str, document: dict[str, object], age: float) -> None:
    lockfile, packages = document.get("lockfile"), document.get("packages")
    words = [word for word in packages if isinstance(word, str)] if isinstance(packages, list) else []
    reason = "an install that is under way"
    if isinstance(lockfile, str):
        reason = lockfile
        try:
            words = _locked(lockfile)
        except FileNotFoundError:
            if age > _LOCKFILE_GONE:
                roots.stale.append(path)
                return
        except (OSError, LockfileError):
            pass
    elif age > _DAY:
        roots.stale.append(path)
        return
    for word in words:
        name, _, version = word.partition("==")
        with contextlib.suppress(OrbitError):
            roots.needed.setdefault((canonical_name(name), parse_version(version)), reason)


def _locked(path: str) -> list[str]:
    with open(path, "rb") as file:  # noqa: PTH123
        data = file.read(MAX_LOCK_BYTES + 1)
    return [str(package) for package in parse_lock(data, where=path).packages.values()]
