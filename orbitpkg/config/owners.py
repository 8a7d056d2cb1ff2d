"""Whose settings count: files of other users are refused unless this user trusts their directory.

Settings are searched in the working directory and in the directories above it, and others may write to some of these:
``/tmp``, a shared scratch disk. A file there could name another repository, so that a private model is published to a
stranger. ``git`` refuses such directories for the same reason (``safe.directory``).

Files of this user and of root count. Others count in the directories that ``trusted`` in the user's own configuration
or ``ORBITPKG_TRUSTED_FOLDERS`` names, and below them.
"""

from __future__ import annotations

import os
import shlex
from typing import TYPE_CHECKING

from orbitpkg.config.environment import read_variable
from orbitpkg.config.home import user_config_file
from orbitpkg.errors import LockfileError, ProjectError
from orbitpkg.model.lockfile import LOCK_NAME

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["check_owner"]

_VARIABLE = "ORBITPKG_TRUSTED_FOLDERS"
_ANY = "*"


def check_owner(path: str | os.PathLike[str], owner: int | None, read_trusted: Callable[[], Iterable[str]]) -> None:
    """Refuse a settings file or a lockfile of another user, unless its directory is trusted.

    Args:
        path: The file.
        owner: The id of its owner if that is neither this user nor root, else None.
        read_trusted: Returns the directories that the user's configuration trusts. Called only for files of others.

    Raises:
        ProjectError: The file is refused; LockfileError if it is a lockfile.
    """
    if owner is None:
        return
    folder, name = os.path.split(os.path.abspath(path))  # noqa: PTH100
    trusted = [*filter(None, (read_variable(_VARIABLE) or "").split(os.pathsep)), *read_trusted()]
    if any(each == _ANY or _contains(each, folder) for each in trusted):
        return
    error = LockfileError if name == LOCK_NAME else ProjectError
    config = user_config_file()
    setting = f', or add the directory to the list "trusted" in {config}' if config is not None else ""
    raise error(
        f"{folder}/{name} belongs to another user, {_user_name(owner)}, so it is not used.",
        hint=f"If you trust its contents, set {_VARIABLE}={shlex.quote(folder)}{setting}.",
        path=f"{folder}/{name}",
        owner=owner,
    )


def _contains(trusted: str, folder: str) -> bool:
    # Links are resolved on both sides, so that a directory is the same by whatever path it is reached.
    outer, inner = (
        os.path.realpath(os.path.expanduser(each)).rstrip("/").split("/")  # noqa: PTH111
        for each in (trusted, folder)
    )
    return inner[: len(outer)] == outer


def _user_name(owner: int) -> str:
    try:
        import pwd

        return pwd.getpwuid(owner).pw_name
    except (ImportError, KeyError):
        return f"id {owner}"
