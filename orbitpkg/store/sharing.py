"""Sharing a store with a group.

The mode is given as that of a file, as for git's ``core.sharedRepository``: 0660 for the group alone, 0664 if other
users can read. Folders also get the bits to enter them, and the setgid bit, so new files in them belong to the group
and inherit their mode. Files of packages stay read-only.
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
    """The result of sharing a store.

    Attributes:
        home: The home folder.
        group: The name of the group, or its number if it has no name.
        mode: The mode of writable files.
        left: The paths that were not changed, because they belong to other users.
        closed: The nearest folder above the home folder that the group cannot enter, or None.
    """

    home: str
    group: str
    mode: int
    left: tuple[str, ...]
    closed: str | None


def parse_mode(text: str) -> int:
    """Parse the mode of a shared store's files: ``0660``, ``664``, ``0640``.

    Raises:
        UsageError: The text is not a mode, or the mode is not allowed for a shared store.
    """
    try:
        mode = int(text, 8)
    except ValueError:
        mode = -1
    if mode not in _MODES:
        raise UsageError(
            f"{text!r} is not a valid mode for the files of a shared store.",
            hint="Use 0660 (the group installs), 0664 (and others read) or 0640 (the group reads).",
        )
    return mode


def share(home: str, *, mode: int, group: str | None = None) -> Shared:
    """Share a home folder and everything in it with a group. Creates the folder if necessary.

    Args:
        home: The home folder.
        mode: The mode of writable files, as returned by :func:`parse_mode`.
        group: The name or number of the group; the current group of the folder by default.

    Raises:
        UsageError: The group does not exist, the system has no groups, or the folder contains something else.
        ReadOnlyStore: The folder belongs to another user, or the user is not in the group.
        StorageError: The folder cannot be created or changed.
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
                # Without the home folder, nothing is shared. Any other path is reported, and its owner can run the
                # command.
                if path == home:
                    raise _not_yours(home, group) from error
                left.append(path)
        number = os.stat(home).st_gid  # noqa: PTH116
    return Shared(
        home=home, group=_group_name(number), mode=mode, left=tuple(left), closed=_closed_above(home, number, folder)
    )


def _not_yours(home: str, group: str | None) -> ReadOnlyStore:
    to = f" with the group {group}" if group is not None else ""
    return ReadOnlyStore(
        f"You cannot share {home}{to}.",
        hint="Only root and its owner can, and the owner must be in that group.",
        path=home,
    )


def _refuse_strange(home: str) -> None:
    """Reject a mistyped folder, of which all files would be given to the group."""
    with storage_errors(home):
        names = set(os.listdir(home)) if os.path.lexists(home) else set()
    if names and not names & _OWN_NAMES:
        raise UsageError(
            f"{home} is not a home directory of orbitpkg: it contains {min(names)}.",
            hint="Use an empty directory or a new one.",
        )


def _give(path: str, status: os.stat_result, group: int | None, folder: int) -> None:
    if group is not None and status.st_gid != group:
        os.chown(path, -1, group)
    mode = folder if stat.S_ISDIR(status.st_mode) else inherited_file_mode(folder, status)
    # Changing the group clears the setgid bit.
    if stat.S_IMODE(os.lstat(path).st_mode) != mode:
        os.chmod(path, mode)  # noqa: PTH101


def _group_number(word: str) -> int:
    if os.name == "nt":
        raise UsageError(
            "Sharing a store with a group is not supported on Windows.", hint="Set the directory's permissions instead."
        )
    import grp

    try:
        return int(word) if word.isdecimal() else grp.getgrnam(word).gr_gid
    except KeyError:
        close = nearest(word, [entry.gr_name for entry in grp.getgrall()], n=1)
        hint = f"Did you mean {close[0]}?" if close else "List the groups: getent group"
        raise UsageError(f"The group {word!r} does not exist on this machine.", hint=hint) from None


def _group_name(number: int) -> str:
    import grp

    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _closed_above(home: str, group: int, folder: int) -> str | None:
    """Return the nearest folder above that the users of the store cannot enter."""
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
