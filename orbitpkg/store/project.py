"""A project as its app uses it: the locked packages and no others.

Like :mod:`orbitpkg.store.package`, this works offline, without writing or locking. It hashes only the record of a
package, a few hundred bytes, to check that the package is the locked one.
"""

from __future__ import annotations

import os
from pathlib import Path

from orbitpkg.errors import IntegrityError, LockfileError, NotInstalled, StorageError
from orbitpkg.escaping import shell_word
from orbitpkg.files.reading import read_owned
from orbitpkg.files.working import absolute_path, working_folder
from orbitpkg.model.lockfile import LOCK_NAME, MAX_LOCK_BYTES, parse_lock
from orbitpkg.model.requirements import parse_requirement
from orbitpkg.store.package import open_package

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from orbitpkg.model.lockfile import Lock, LockedPackage
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.package import Package

__all__ = ["Project", "find_lock", "locked_package", "open_project", "read_lock"]

_HINT = "Install the locked packages: orbitpkg sync"


class Project:
    """The locked packages of a project.

    Attributes:
        path: The folder of the project.
        lock: The content of its lockfile.
    """

    __slots__ = ("_check", "_layout", "lock", "path")

    def __init__(
        self, layout: Layout, path: Path, lock: Lock, check: Callable[[Package, Path], object] | None = None
    ) -> None:
        self._layout = layout
        self._check = check
        self.path = path
        self.lock = lock

    def __repr__(self) -> str:
        return f"<orbitpkg.Project {str(self.path)!r}>"

    def package(self, requirement: str) -> Package:
        """Return the locked version of a package.

        Args:
            requirement: The name of the package. If a range is added, the locked version must be in it.

        Raises:
            LockfileError: The package is not locked, or its locked version is not in the range.
            NotInstalled: The locked version is not installed.
            IntegrityError: The installed release is not the locked one.
        """
        wanted = parse_requirement(requirement)
        locked = self.lock.packages.get(wanted.key)
        if locked is None:
            raise self._not_locked(wanted.name, wanted.key)
        if not wanted.range.allows(locked.version):
            raise LockfileError(
                f"{self.path / LOCK_NAME} locks {locked}, which does not match {wanted}.",
                hint=f"Remove the range. To lock another version: orbitpkg add {shell_word(str(wanted))}",
                name=wanted.name,
            )
        return self._checked(locked_package(self._layout, locked))

    def packages(self) -> list[Package]:
        """List the locked packages, by name.

        Raises:
            NotInstalled, IntegrityError: As for :meth:`package`.
        """
        return [self._checked(locked_package(self._layout, locked)) for locked in self.lock.packages.values()]

    def _checked(self, package: Package) -> Package:
        if self._check is not None:
            self._check(package, self.path)
        return package

    def _not_locked(self, name: str, key: str) -> LockfileError:
        from orbitpkg.model.names import nearest

        close = nearest(key, self.lock.packages)
        add = f"orbitpkg add {name}"
        hint = f"Did you mean {' or '.join(close)}? If not: {add}" if close else add
        return LockfileError(f"{self.path / LOCK_NAME} does not list {name}.", hint=hint, name=name)


def locked_package(layout: Layout, locked: LockedPackage) -> Package:
    """Return the installed package of a locked release.

    Raises:
        NotInstalled: The release is not installed.
        IntegrityError: The installed release is not the locked one.
    """
    package = open_package(layout, locked.key, locked.version)
    if package is None:
        raise NotInstalled(f"{locked} is locked, but not installed in {layout.home}.", hint=_HINT, name=locked.name)
    if package.digest != locked.digest:
        raise IntegrityError(
            f"{locked}, installed from {package.origin}, is not the locked release.",
            hint=f"To replace it by the locked one: orbitpkg remove {locked}, then orbitpkg sync",
            name=locked.name,
            expected=locked.digest,
            found=package.digest,
        )
    return package


def open_project(
    layout: Layout,
    start: str | os.PathLike[str] | None = None,
    *,
    check: Callable[[Package, Path], object] | None = None,
    check_owner: Callable[[Path, int], object] | None = None,
) -> Project:
    """Read the lockfile in a folder or the nearest one above it.

    Args:
        layout: The layout of the store.
        start: The folder; the working directory by default.
        check: Called with each package before it is returned, and with the project's folder. Raises to refuse it.
        check_owner: As for :func:`read_lock`.

    Raises:
        LockfileError: No lockfile was found, or it is invalid.
    """
    folder = find_lock(start)
    if folder is None:
        raise LockfileError(
            f"No {LOCK_NAME} was found in {start or working_folder() or 'the working directory'} or above it.",
            hint="To create it, run in the project's directory: orbitpkg lock",
        )
    lock = read_lock(folder, check_owner=check_owner)
    assert lock is not None
    return Project(layout, folder, lock, check)


def find_lock(start: str | os.PathLike[str] | None = None) -> Path | None:
    """Return the nearest folder with a lockfile, from ``start`` upwards, or None."""
    folder = working_folder() if start is None else absolute_path(start)
    if folder is None:
        return None
    while not os.path.exists(f"{folder}/{LOCK_NAME}"):  # noqa: PTH110
        parent = os.path.dirname(folder)  # noqa: PTH120
        if parent == folder:
            return None
        folder = parent
    return Path(folder)


def read_lock(folder: Path, *, check_owner: Callable[[Path, int], object] | None = None) -> Lock | None:
    """Read the lockfile of a project; return None if it does not exist.

    Args:
        folder: The folder of the project.
        check_owner: Called with the lockfile and the id of its owner if that is neither this user nor root. Raises to
            refuse it. When None, every such lockfile is refused.

    Raises:
        LockfileError: The lockfile is invalid, or belongs to another user.
        StorageError: The lockfile cannot be read.
    """
    path = folder / LOCK_NAME
    try:
        data, owner = read_owned(path, max_bytes=MAX_LOCK_BYTES)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    if owner is not None:
        if check_owner is None:
            raise LockfileError(f"{path} belongs to another user, whose id is {owner}, so it is not used.")
        check_owner(path, owner)
    return parse_lock(data, where=str(path))
