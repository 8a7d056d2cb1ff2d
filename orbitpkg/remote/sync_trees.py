"""The contents of the two sides of a sync: the files of a directory, and the objects below a prefix.

Paths are relative and separated by ``/`` on both sides. Paths that cannot exist on the other side are listed apart,
with the reason: keys with an empty part or ``..``, links to directories, names that are not valid text. Empty objects
that other tools write as directory markers (``dir/``, Hadoop's ``dir_$folder$``) count as directories, not as files.

Sources: Amazon S3 User Guide, "Organizing objects in the Amazon S3 console by using directories"; hadoop-aws's native
    S3
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
from orbitpkg.files.names import disk_path, text_path
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
    """The selection of paths to sync.

    A pattern without a slash matches names at any depth. A pattern with a slash matches whole paths (``data/**``).
    Excluding the name of a directory excludes everything in it.

    Args:
        include: Patterns of which at least one must match. Without patterns, all paths match.
        exclude: Patterns of which none may match.

    Raises:
        UsageError: A pattern is invalid.
    """

    def __init__(self, include: Sequence[str] = (), exclude: Sequence[str] = ()) -> None:
        self._include = [_pattern(glob) for glob in include]
        self._exclude = [_pattern(glob) for glob in exclude]
        names = [glob for glob in exclude if "/" not in glob and glob != "**"]
        self._exclude += [_pattern(f"**/{name}/**") for name in names]
        whole = [glob.removesuffix("/**") for glob in exclude if glob.endswith("/**")]
        self._folders = [compile_glob(glob) for glob in (*whole, *(f"**/{name}" for name in names))]

    def takes(self, path: str) -> bool:
        """Return whether a path is selected."""
        if self._include and not any(pattern.fullmatch(path) for pattern in self._include):
            return False
        return not any(pattern.fullmatch(path) for pattern in self._exclude)

    def leaves_out(self, folder: str) -> bool:
        """Return whether a directory is excluded with everything in it, and so need not be read."""
        return any(pattern.fullmatch(folder) for pattern in self._folders)


def _pattern(glob: str) -> re.Pattern[str]:
    problem = glob_problem(glob)
    if problem is not None:
        raise UsageError(f"The pattern {glob!r} {problem[0]}.", hint="Use *.csv for names, or data/** for paths.")
    return compile_glob(glob if "/" in glob or glob == "**" else f"**/{glob}")


@dataclass(slots=True)
class LocalTree:
    """The contents of a local directory.

    Attributes:
        files: The selected files, by path.
        folders: The paths of directories.
        unusable: Selected paths that cannot be objects, with the reason.
        links: The paths of links to directories.
        seen: The number of entries, including those not selected.
    """

    files: dict[str, LocalFile] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    unusable: dict[str, str] = field(default_factory=dict)
    links: set[str] = field(default_factory=set)
    seen: int = 0

    def in_the_way(self, path: str) -> str | None:
        """Return why a path cannot be created, as a clause, or None if it can."""
        for parent in _parents(path):
            if parent in self.files:
                return f"{parent} is a file at the destination but a directory at the source"
            if parent in self.links:
                return f"{parent} is a link to a directory at the destination, and such links are not followed"
        return None

    def hides(self, path: str) -> bool:
        """Return whether a path may exist without being listed in ``files``."""
        return path in self.unusable or any(parent in self.links for parent in _parents(path))


@dataclass(slots=True)
class RemoteTree:
    """The objects below a prefix.

    Attributes:
        files: The selected objects that can be files, by path.
        folders: The paths of directory markers.
        unusable: Selected keys that cannot be local paths, with the reason.
        seen: The number of objects, including those not selected.
    """

    files: dict[str, ObjectInfo] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    unusable: dict[str, str] = field(default_factory=dict)
    seen: int = 0


def scan_folder(root: Path, wanted: Filter) -> LocalTree:
    """List a directory and everything below it. Links to files count as files; links to directories are not followed.

    Raises:
        StorageError: The directory cannot be read.
    """
    tree = LocalTree()
    with storage_errors(root, USER_FILE):
        _scan(str(root), "", tree, wanted)
    return tree


def _scan(folder: str, prefix: str, tree: LocalTree, wanted: Filter) -> None:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{prefix}{text_path(entry.name)}"
            if entry.name.startswith(HIDDEN):
                continue  # a download under way
            tree.seen += 1
            if entry.is_dir(follow_symlinks=False):
                tree.folders.add(path)
                if not wanted.leaves_out(path):
                    with suppress(FileNotFoundError):  # deleted since it was listed
                        _scan(entry.path, f"{path}/", tree, wanted)
            elif entry.is_dir():
                tree.folders.add(path)
                tree.links.add(path)
                if wanted.takes(path):
                    tree.unusable[path] = "it is a link to a directory, and links to directories are not followed"
            elif wanted.takes(path):
                _take(entry, path, tree)


def scan_file(folder: Path, name: str) -> LocalTree:
    """List one file, which need not exist.

    Raises:
        StorageError: The file cannot be examined.
    """
    tree = LocalTree()
    path = folder / disk_path(name)
    with storage_errors(path, USER_FILE):
        _take(path, name, tree)
    tree.seen = len(tree.files) + len(tree.unusable)
    return tree


def _take(entry: os.DirEntry[str] | Path, path: str, tree: LocalTree) -> None:
    try:
        status = entry.stat()
    except (FileNotFoundError, NotADirectoryError):
        if entry.is_symlink():
            tree.unusable[path] = "it is a broken link"
        return
    if not stat.S_ISREG(status.st_mode):
        tree.unusable[path] = "it is not a regular file"
    elif not is_valid_key(path):
        tree.unusable[path] = "its name has a backslash or an invisible character, and so cannot be a key"
    else:
        tree.files[path] = LocalFile(size=status.st_size, mtime_ns=status.st_mtime_ns)


def remote_tree(infos: Iterable[ObjectInfo], prefix: str, wanted: Filter) -> RemoteTree:
    """Sort a listing into files, directories and keys that cannot be local paths.

    Args:
        infos: The listing.
        prefix: The common prefix of all keys: empty, or ending in a slash.
        wanted: The selection of paths.
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
    for path in sorted(tree.files.keys() & _all_parents(tree.files)):
        del tree.files[path]
        tree.unusable[path] = "other objects are below it, so it would have to be both a file and a directory"
    tree.folders = {folder for folder in tree.folders if folder not in tree.files}
    return tree


def _marked_folder(path: str, size: int) -> str | None:
    """Return the directory that an object marks, "" for the root, or None if the object is not a marker."""
    if size:
        return None
    if path.endswith("/") or not path:
        return path.rstrip("/")
    return path.removesuffix(_HADOOP_MARKER) if path.endswith(_HADOOP_MARKER) else None


def _fault(path: str) -> str | None:
    """Return why a path cannot exist locally, as a clause, or None if it can."""
    parts = path.split("/")
    faults = {
        "it ends in a slash but is not empty": path.endswith("/"),
        "it has an empty part between two slashes": "" in parts,
        "it has a part '.' or '..'": not {".", ".."}.isdisjoint(parts),
        "it has a backslash or an invisible character": not is_valid_key(path),
        f"a part of it is longer than {_MAX_NAME_BYTES} bytes": max(map(_length, parts)) > _MAX_NAME_BYTES,
        f"a part of it begins with {HIDDEN}, which marks unfinished files": any(
            part.startswith(HIDDEN) for part in parts
        ),
    }
    return next((reason for reason, is_so in faults.items() if is_so), None)


def _length(part: str) -> int:
    return len(part.encode(errors="surrogatepass"))


def _all_parents(paths: Iterable[str]) -> set[str]:
    return {folder for path in paths for folder in _parents(path)}


def _parents(path: str) -> Iterator[str]:
    """Yield the parent directories of a path, from the nearest upward."""
    while path := path.rpartition("/")[0]:
        yield path
