"""Giving a store to a group: the modes from which all that is made in it later gets its own.

The mode is said as that of a file, as for git's ``core.sharedRepository``: 0660 for the group alone, 0664 when others
may read. Folders get the bits to enter them besides, and the setgid bit, by which what is made in them belongs to the
group and gets their modes. Files of packages stay read-only.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass

from orbitpkg.errors import ReadOnlyStore, UsageError
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.folders import inherited_file_mode, list_tree, make_private_folder
from orbitpkg.model.names import nearest

__all__ = ["Shared", "parse_mode", "share"]

_MODES = {0o640, 0o644, 0o660, 0o664}
_OWN_NAMES = {"store", "cache", "uploads", "repository"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Shared:
    """What giving a store to a group came to.

    Attributes:
        home: The home folder.
        group: The group's name, or its number when it has none.
        mode: That of files that can be written.
        left: What belongs to others, so that this user could not change it.
        closed: A folder above the home folder that the group may not enter; None when there is none.
    """

    home: str
    group: str
    mode: int
    left: tuple[str, ...]
    closed: str | None


def parse_mode(text: str) -> int:
    """Read the mode of a shared store's files: ``0660``, ``664``, ``0640``.

    Raises:
        UsageError: It is none, or none for a store that is shared.
    """
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if mode not in _MODES:
        raise UsageError(
            f"{text!r} is no mode for the files of a shared store.",
            hint="0660: the group installs. 0664: and others read. 0640: the group reads.",
        )
    return mode


def share(home: str, *, mode: int, group: str | None = None) -> Shared:
    """Give a home folder, and all that is in it, to a group. It is made if need be.

    Args:
        home: The home folder.
        mode: Of files that can be written, as :func:`parse_mode` reads it.
        group: Its name or number; the one that the folder has already when None.

    Raises:
        UsageError: There is no such group, or this system has none; or the folder holds something else.
        ReadOnlyStore: The folder is another user's, or its owner is not in the group.
        StorageError: The folder cannot be made or changed.
    """
    number = _group_number(group) if group is not None else None
    _refuse_strange(home)
    folder = mode | (mode & 0o444) >> 2 | stat.S_ISGID
    left = []
    with storage_errors(home):
        make_private_folder(home)
        for path, status in list_tree(home):
            try:
                _give(path, status, number, folder)
            except PermissionError as error:
                if path == home:
                    raise _not_yours(home, group) from error
                left.append(path)
        number = os.stat(home).st_gid  # noqa: PTH116
    return Shared(
        home=home, group=_group_name(number), mode=mode, left=tuple(left), closed=_closed_above(home, number, folder)
    )


def _not_yours(home: str, group: str | None) -> ReadOnlyStore:
    to = f" to the group {group}" if group is not None else ""
    return ReadOnlyStore(
        f"{home} is not yours to give{to}.", hint="Its owner can do it, who must be in that group, and root.", path=home
    )


def _refuse_strange(home: str) -> None:
    """Refuse a folder that was mistyped: all that is in it would become the group's."""
    with storage_errors(home):
        names = set(os.listdir(home)) if os.path.lexists(home) else set()
    if names and not names & _OWN_NAMES:
        raise UsageError(
            f"{home} is no home folder of orbitpkg: it holds {min(names)}.", hint="Name a folder that is empty, or new."
        )


def _give(path: str, status: os.stat_result, group: int | None, folder: int) -> None:
    if group is not None and status.st_gid != group:
        os.chown(path, -1, group)
    mode = folder if stat.S_ISDIR(status.st_mode) else inherited_file_mode(folder, status)
    # Changing the group takes the setgid bit away.
    if stat.S_IMODE(os.lstat(path).st_mode) != mode:
        os.chmod(path, mode)  # noqa: PTH101


def _group_number(word: str) -> int:
    if os.name == "nt":
        raise UsageError("Groups that share a folder are set up otherwise on Windows.", hint="Use the folder's rights.")
    import grp

    try:
        return int(word) if word.isdecimal() else grp.getgrnam(word).gr_gid
    except KeyError:
        close = nearest(word, [entry.gr_name for entry in grp.getgrall()], n=1)
        hint = f"Did you mean {close[0]}?" if close else "getent group lists them."
        raise UsageError(f"There is no group {word!r} on this machine.", hint=hint) from None


def _group_name(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _closed_above(home: str, group: int, folder: int) -> str | None:
    """Give the nearest folder above that keeps those out who are to come in."""
    for path in _above(home):
        status = os.stat(path)  # noqa: PTH116
        enters_as_group = status.st_gid == group and status.st_mode & stat.S_IXGRP
        enters_as_other = status.st_mode & stat.S_IXOTH
        if not enters_as_other and (folder & stat.S_IXOTH or not enters_as_group):
            return path
    return None


def _above(path: str) -> list[str]:
    found = []
    while (parent := os.path.dirname(path)) != path:  # noqa: PTH120
        found.append(parent)
        path = parent
    return found
