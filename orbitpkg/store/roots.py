"""The releases that garbage collection must keep: those that lockfiles list, and those of running installs.

::

    store/v1/roots/<24 hex>.json           a lockfile, its folder, and the releases it listed when it was last installed
    store/v1/roots/running-<16 hex>.json   the releases of a running install; deleted when it ends

The root of a lockfile contains its path, and the lockfile is read to find the releases. If it cannot be read (its disk
is not mounted, its folder is private), the releases that it listed last are kept. If it has been missing for a month,
the root is stale. The root of an install is valid for a day, as a running install writes more often than that.

One path can lead to different lockfiles: every container may have its own ``/app/orbit.lock``, and two machines that
share a store their own home folders. So a root also contains the machine and the device and inode numbers of the
lockfile's folder, and there is one root for each of these. A root whose folder is not the one at its path now keeps the
releases that it listed last for a month, besides those that the lockfile at its path lists.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import platform
import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError, LockfileError, OrbitError, StorageError
from orbitpkg.files.anchors import read_regular
from orbitpkg.files.atomic import HIDDEN, atomic_write
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.files.names import parse_written_path, written_path
from orbitpkg.files.reading import read_bounded
from orbitpkg.model.jsontext import canonical_json, parse_json
from orbitpkg.model.lockfile import MAX_LOCK_BYTES, parse_lock
from orbitpkg.model.names import canonical_name
from orbitpkg.model.versions import Version, parse_version
from orbitpkg.store.folders import open_folder

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
    """The releases to keep.

    Attributes:
        needed: The reason for each release, by canonical name and version.
        stale: The paths of roots that no longer count.
    """

    needed: dict[tuple[str, Version], str] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)


def register_lockfile(layout: Layout, path: Path, lock: Lock) -> None:
    """Protect the releases of a lockfile from garbage collection, as long as it lists them.

    Does nothing if this user cannot write to the store. The owner's garbage collection ignores the lockfile then.

    Args:
        layout: The layout of the store.
        path: The lockfile.
        lock: The content of the lockfile.
    """
    place = os.path.abspath(path)  # noqa: PTH100
    folder = _identify_folder(place)
    identity = canonical_json({"lockfile": os.fsencode(place).hex(), "folder": folder})
    name = f"{hashlib.sha256(identity).hexdigest()[:24]}.json"
    # Stored beside the path, for the time in which the lockfile cannot be read.
    packages = [str(package) for package in lock.packages.values()]
    with contextlib.suppress(StorageError):
        _write(
            layout,
            name,
            {"format": _FORMAT, "lockfile": written_path(place), "folder": folder, "packages": packages},
        )


def _identify_folder(lockfile: str) -> str | None:
    """Return a text that only this folder of a lockfile has, on this machine until it restarts; None if unknown.

    The folder and not the file, because writing a lockfile replaces it.
    """
    try:
        status = os.stat(os.path.dirname(lockfile))  # noqa: PTH116, PTH120
    except OSError:
        return None
    machine = hashlib.sha256(platform.node().encode()).hexdigest()[:16]
    return f"{machine} {status.st_dev} {status.st_ino}"


@contextlib.contextmanager
def protect_releases(layout: Layout, releases: Iterable[object]) -> Iterator[None]:
    """Protect releases from garbage collection while an install needs them.

    Args:
        layout: The layout of the store.
        releases: The releases; as text, ``NAME==VERSION``.

    Raises:
        StorageError: The store cannot be written.
    """
    name = f"{_RUNNING}{secrets.token_hex(8)}.json"
    # Not synced: the install does not survive a crash of the system either.
    _write(layout, name, {"format": _FORMAT, "packages": [str(release) for release in releases]}, durable=False)
    try:
        yield
    finally:
        with contextlib.suppress(OSError, StorageError), open_folder(layout, layout.roots) as folder:
            os.unlink(name, dir_fd=folder.descriptor)


def _write(layout: Layout, name: str, document: dict[str, object], *, durable: bool = True) -> None:
    with storage_errors(f"{layout.roots}/{name}"), open_folder(layout, layout.roots, make=True) as folder:
        atomic_write(f"{folder.path}/{name}", canonical_json(document), durable=durable, follow=False)


def read_roots(layout: Layout, *, now: float | None = None) -> Roots:
    """Return the releases that must be kept.

    Args:
        layout: The layout of the store.
        now: The time in seconds since 1970; the current time by default.

    Raises:
        IntegrityError: A root is damaged or of a newer format, so the releases that it protects are unknown.
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
                data, status = read_regular(path, _MAX_BYTES)
            except FileNotFoundError:
                continue
            except PermissionError:
                if name.startswith(HIDDEN):  # another user is writing it
                    continue
                raise
        try:
            document = _parse(data, path)
        except IntegrityError:
            if not name.startswith((_RUNNING, HIDDEN)):
                raise
            document = {}  # truncated by a crash of the system, which also ended the install
        _add(roots, path, document, now - max(status.st_mtime, status.st_ctime))
    return roots


def _parse(data: bytes, path: str) -> dict[str, object]:
    hint = f"Nothing was removed, because the releases that it protects are unknown. If it is obsolete, delete {path}."
    document = parse_json(data, what=path, max_bytes=_MAX_BYTES)
    if not isinstance(document, dict) or type(document.get("format")) is not int:
        raise IntegrityError(f"{path} is not a valid garbage collection root.", hint=hint)
    if document["format"] != _FORMAT:
        raise IntegrityError(
            f"{path} has format {document['format']}; this version of orbitpkg supports format {_FORMAT}.",
            hint="To upgrade orbitpkg: pip install -U orbitpkg",
        )
    return document


def _add(roots: Roots, path: str, document: dict[str, object], age: float) -> None:
    lockfile, packages = document.get("lockfile"), document.get("packages")
    texts = [text for text in packages if isinstance(text, str)] if isinstance(packages, list) else []
    reason = "a running install"
    if isinstance(lockfile, str):
        reason = lockfile
        try:
            listed = _read_locked(parse_written_path(lockfile))
        except FileNotFoundError:
            if age > _LOCKFILE_GONE:
                roots.stale.append(path)
                return
        # A lockfile that cannot be read now, for instance on a disk that is not mounted, may still need its releases.
        except (OSError, LockfileError):
            pass
        else:
            # Another folder may be at the path: that of another container, or the same one after a restart, which
            # changes the device numbers of some file systems. So the lockfile there counts in any case.
            folder = document.get("folder")
            is_same = folder is None or folder == _identify_folder(parse_written_path(lockfile))
            texts = listed if is_same or age > _LOCKFILE_GONE else [*texts, *listed]
    elif age > _DAY:
        roots.stale.append(path)
        return
    for text in texts:
        name, _, version = text.partition("==")
        with contextlib.suppress(OrbitError):
            roots.needed.setdefault((canonical_name(name), parse_version(version)), reason)


def _read_locked(path: str) -> list[str]:
    data = read_bounded(path, max_bytes=MAX_LOCK_BYTES)
    return [str(package) for package in parse_lock(data, where=path).packages.values()]
