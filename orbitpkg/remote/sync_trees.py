"""The two sides of a sync as they are: the files of a folder, and the objects below a prefix.

Paths are relative and ``/``-separated on both sides. What cannot be on the other side under its name is set apart, with
the reason: keys with an empty part or ``..``, links to folders, names that are no text. Markers that other tools write
for folders (``dir/``, Hadoop's ``dir_$folder$``, of no bytes) are folders, not files.

Sources: Amazon S3 User Guide, "Organizing objects in the Amazon S3 console by using folders"; hadoop-aws's native S3
file system, which writes ``_$folder$``.
"""

from __future__ import annotations

import os
import stat
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from orbitpkg.errors import UsageError
from orbitpkg.files.atomic import HIDDEN
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.model.patterns import compile_glob, glob_problem
from orbitpkg.objects.protocol import is_valid_key
from orbitpkg.remote.sync_plan import LocalFile

if TYPE_CHECKING:
    import re
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectInfo

__all__ = ["Filter", "LocalTree", "RemoteTree", "remote_tree", "scan_file", "scan_folder"]

_HADOOP_MARKER = "_$folder$"
_MAX_NAME_BYTES = 255


class Filter:
    """Which paths a sync is about.

    A pattern without a slash is about names, at any depth; one with a slash is about whole paths (``data/**``). What is
    left out by the name of a folder is all that is in it.

    Args:
        include: Patterns of which one must match; none when there are none.
        exclude: Patterns of which none may match.

    Raises:
        UsageError: A pattern can match nothing.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include = [_pattern(glob) for glob in include]
        self._exclude = [_pattern(glob) for glob in exclude]
        names = [glob for glob in exclude if "/" not in glob and glob != "**"]
        self._exclude += [_pattern(f"**/{name}/**") for name in names]
        whole = [glob.removesuffix("/**") for glob in exclude if glob.endswith("/**")]
        self._folders = [compile_glob(glob) for glob in (*whole, *(f"**/{name}" for name in names))]

    def takes(self, path: str) -> bool:
        """Say whether a path is one of them."""
        if self._include and not any(pattern.fullmatch(path) for pattern in self._include):
            return False
        return not any(pattern.fullmatch(path) for pattern in self._exclude)

    def leaves_out(self, folder: str) -> bool:
        """Say whether a folder is left out with all that is in it, so that nobody needs to look."""
        return any(pattern.fullmatch(folder) for pattern in self._folders)


def _pattern(glob: str) -> re.Pattern[str]:
    problem = glob_problem(glob)
    if problem is not None:
        raise UsageError(f"The pattern {glob!r} {problem[0]}.", hint="Write *.csv for names, or data/** for paths.")
    return compile_glob(glob if "/" in glob or glob == "**" else f"**/{glob}")


@dataclass(slots=True)
class LocalTree:
    """A local folder.

    Attributes:
        files: Its files, by path.
        folders: The paths of its folders.
        unusable: What cannot be an object, with the reason.
        links: The paths of links to folders.
        seen: How many entries it has, also those that nobody asked for.
    """

    files: dict[str, LocalFile] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    unusable: dict[str, str] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    seen: int = 0

    def in_the_way(self, path: str) -> str | None:
        """Say what keeps a file, or a folder, from being made at a path; None when nothing does."""
        for above in _above(path):
            if above in self.files:
                return f"{above} is a file here, and would have to be a folder"
            if above in self.links:
                return f"{above} is a link to a folder here, which is not followed"
        return None

    def hides(self, path: str) -> bool:
        """Say whether there may be something at a path that cannot be synced, or looked at."""
        return path in self.unusable or any(above in self.links for above in _above(path))


@dataclass(slots=True)
class RemoteTree:
    """Objects below a prefix.

    Attributes:
        files: Those that can be files, by path.
        folders: The paths of folders that markers stand for.
        unusable: Keys that cannot be local paths, with the reason.
        seen: How many objects there are, also those that nobody asked for.
    """

    files: dict[str, ObjectInfo] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    unusable: dict[str, str] = field(default_factory=dict)
    seen: int = 0


def scan_folder(root: Path, wanted: Filter) -> LocalTree:
    """Look at a folder and all below it; links to files count as files, those to folders are not followed.

    Raises:
        StorageError: It cannot be read.
    """
    tree = LocalTree()
    with storage_errors(root, USER_FILE):
        _scan(str(root), "", tree, wanted)
    return tree


def _scan(folder: str, prefix: str, tree: LocalTree, wanted: Filter) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{prefix}{entry.name}"
            if entry.name.startswith(HIDDEN):
                continue  # on its way to its name
            tree.seen += 1
            if entry.is_dir(follow_symlinks=False):
                tree.folders.add(path)
                if not wanted.leaves_out(path):
                    with suppress(FileNotFoundError):  # it is gone by now
                        _scan(entry.path, f"{path}/", tree, wanted)
            elif entry.is_dir():
                tree.folders.add(path)
                tree.links.add(path)
                if wanted.takes(path):
                    tree.unusable[path] = "it is a link to a folder, which is not followed"
            elif wanted.takes(path):
                _take(entry, path, tree)


def scan_file(folder: Path, name: str) -> LocalTree:
    """Look at one file; nothing is found where there is none.

    Raises:
        StorageError: It cannot be looked at.
    """
    tree = LocalTree()
    with storage_errors(folder / name, USER_FILE):
        _take(folder / name, name, tree)
    tree.seen = len(tree.files) + len(tree.unusable)
    return tree


def _take(entry: os.DirEntry[str] | Path, path: str, tree: LocalTree) -> None:
    try:
        status = entry.stat()
    except (FileNotFoundError, NotADirectoryError):
        if entry.is_symlink():
            tree.unusable[path] = "it is a link to nothing"
        return  # or it is gone by now
    if not stat.S_ISREG(status.st_mode):
        tree.unusable[path] = "it is no regular file"
    elif not is_valid_key(path):
        tree.unusable[path] = "its name cannot be a key: it has a backslash or a character that cannot be seen"
    else:
        tree.files[path] = LocalFile(size=status.st_size, mtime_ns=status.st_mtime_ns)


def remote_tree(infos: Iterable[ObjectInfo], prefix: str, wanted: Filter) -> RemoteTree:
    """Sort what a listing of a prefix tells.

    Args:
        infos: The listing.
        prefix: What all keys begin with: empty, or ending in a slash.
        wanted: Which paths count.
    """
    tree = RemoteTree()
    for info in infos:
        tree.seen += 1
        path = info.key[len(prefix) :]
        marker = _marked_folder(path, info.size)
        if marker is not None:
            if marker and _fault(marker) is None:
                tree.folders.add(marker)
        elif wanted.takes(path):
            fault = _fault(path)
            if fault is None:
                tree.files[path] = info
            else:
                tree.unusable[path] = fault
    for path in sorted(tree.files.keys() & _folders_above(tree.files)):
        del tree.files[path]
        tree.unusable[path] = "there are objects below it, so that it would have to be a folder as well"
    tree.folders = {folder for folder in tree.folders if folder not in tree.files}
    return tree


def _marked_folder(path: str, size: int) -> str | None:
    """Give the folder that an object stands for; None when it stands for itself. Empty: the prefix's own."""
    if size:
        return None
    if path.endswith("/") or not path:
        return path.rstrip("/")
    return path.removesuffix(_HADOOP_MARKER) if path.endswith(_HADOOP_MARKER) else None


def _fault(path: str) -> str | None:
    """Say why a path cannot be a local one; None when it can."""
    parts = path.split("/")
    faults = {
        "it ends in a slash and holds bytes": path.endswith("/"),
        "it has an empty part, between two slashes": "" in parts,
        "it has a part '.' or '..'": not {".", ".."}.isdisjoint(parts),
        "it has a backslash, a control character or one that cannot be seen": not is_valid_key(path),
        f"a part of it is longer than {_MAX_NAME_BYTES} bytes": max(map(_length, parts)) > _MAX_NAME_BYTES,
        f"a part of it begins with {HIDDEN}, as files do that are on their way": any(
            part.startswith(HIDDEN) for part in parts
        ),
    }
    return next((reason for reason, is_so in faults.items() if is_so), None)


def _length(part: str) -> int:
    return len(part.encode(errors="surrogatepass"))


def _folders_above(paths: Iterable[str]) -> set[str]:
    return {folder for path in paths for folder in _above(path)}


def _above(path: str) -> Iterator[str]:
    """Give the folders above a path, from the nearest up."""
    while path := path.rpartition("/")[0]:
        yield path
