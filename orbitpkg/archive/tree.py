"""Reading a package's directory: what is in it, what the manifest picks, and that it held still meanwhile.

Regular files only. A symbolic link is followed when it leads to a regular file inside the directory and refused
otherwise; links to directories are not entered. Whatever is not picked may be of any kind.
"""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.errors import ManifestError, Problem, StorageError, TreeChanged
from orbitpkg.model.contents import MAX_FILES
from orbitpkg.model.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, parse_manifest
from orbitpkg.model.paths import tree_problems

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = ["SourceFile", "SourceTree", "read_tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file that goes into an archive, as it was when the directory was read.

    Attributes:
        path: Its path in the package.
        source: Where it is.
        size: In bytes.
        executable: Whether its owner may execute it.
        identity: (device, inode, size, modification time in ns, mode) of what is read.
    """

    path: str
    source: Path
    size: int
    executable: bool
    identity: tuple[int, int, int, int, int]

    def check_unchanged(self, now: os.stat_result) -> None:
        """Hold the file against what it was.

        Raises:
            TreeChanged: It is another file, or was written to.
        """
        if _identity(now) != self.identity:
            raise _changed(self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """A package's directory, read.

    Attributes:
        root: The directory.
        manifest: What its ``package.json`` says.
        files: What the manifest picks: ``package.json`` first, then by path.
    """

    root: Path
    manifest: Manifest
    files: tuple[SourceFile, ...]

    @property
    def total_size(self) -> int:
        """The sum of the files' sizes in bytes."""
        return sum(file.size for file in self.files)

    def check_unchanged(self) -> None:
        """Read the directory again and compare.

        Raises:
            TreeChanged: A picked file is new, gone or altered.
        """
        now = {file.path: file for file in read_tree(self.root).files}
        before = {file.path: file for file in self.files}
        for path in sorted(before.keys() | now.keys()):
            if path not in now or path not in before or before[path].identity != now[path].identity:
                raise _changed(self.root / path)


def _identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def _changed(path: Path) -> TreeChanged:
    return TreeChanged(
        f"{path} changed while it was being read.",
        hint="Wait until whatever writes there has finished, then run the command again.",
        path=str(path),
    )


def read_tree(root: Path) -> SourceTree:
    """Read a package's directory: its manifest, and the files the manifest picks.

    Raises:
        ManifestError: There is no manifest, it is wrong, or it picks files that cannot be in a package.
        StorageError: The directory cannot be read.
    """
    manifest = _read_manifest(root)
    try:
        found = _walk(root, own_archives=f"{manifest.key}-")
    except OSError as error:
        raise StorageError(f"{error.filename or root} cannot be read: {error.strerror}.") from error
    selection = manifest.select(found)
    problems = list(selection.problems)
    picked = [MANIFEST_NAME, *(path for path in selection.files if path != MANIFEST_NAME)]
    problems += [Problem("/include", f"picks {path!r}, which {what}") for path, what in tree_problems(picked)]
    problems += [Problem("/include", f"picks {path!r}, which {what}") for path, what in _link_problems(root, picked)]
    if len(picked) > MAX_FILES:
        problems.append(Problem("/include", f"picks {len(picked):,} files; {MAX_FILES:,} is the limit"))
    if problems:
        raise ManifestError(str(root / MANIFEST_NAME), problems)
    return SourceTree(root=root, manifest=manifest, files=tuple(_source_file(root, path) for path in picked))


def _read_manifest(root: Path) -> Manifest:
    path = root / MANIFEST_NAME
    try:
        with path.open("rb") as file:
            data = file.read(MAX_MANIFEST_BYTES + 1)
    except (FileNotFoundError, NotADirectoryError) as error:
        if not root.is_dir():
            raise StorageError(
                f"{root} is not a directory.", hint="Name the folder that holds package.json."
            ) from error
        raise ManifestError(
            str(path), [Problem("", "there is no such file", f"write one with: orbitpkg init {root}")]
        ) from error
    except OSError as error:
        raise StorageError(f"{path} cannot be read: {error.strerror}.") from error
    if len(data) > MAX_MANIFEST_BYTES:
        raise ManifestError(str(path), [Problem("", f"is larger than {MAX_MANIFEST_BYTES:,} bytes")])
    return parse_manifest(data, where=str(path))


def _walk(root: Path, *, own_archives: str) -> list[str]:
    """List all files below a folder, as relative paths; archives that ``build`` left at its top are not among them."""
    paths: list[str] = []
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{folder}{entry.name}/")
                elif folder or not _is_own_archive(entry.name, own_archives):
                    paths.append(f"{folder}{entry.name}")
    return sorted(paths)


def _is_own_archive(name: str, prefix: str) -> bool:
    return name.startswith(prefix) and name.endswith((".tar.zst", ".tar.zst.part"))


def _link_problems(root: Path, paths: Iterable[str]) -> Iterator[tuple[str, str]]:
    inside = root.resolve()
    for path in paths:
        source = root / path
        mode = os.lstat(source).st_mode
        if stat.S_ISREG(mode):
            continue
        if not stat.S_ISLNK(mode):
            yield path, "is not a regular file"
            continue
        try:
            target = source.resolve(strict=True)
        except (OSError, RuntimeError):
            yield path, "is a link to nothing"
            continue
        if not target.is_relative_to(inside):
            yield path, "is a link out of the directory"
        elif not target.is_file():
            yield path, "is a link to something other than a regular file"


def _source_file(root: Path, path: str) -> SourceFile:
    source = root / path
    try:
        status = source.stat()
    except OSError as error:
        raise _changed(source) from error
    return SourceFile(
        path=path,
        source=source,
        size=status.st_size,
        executable=bool(status.st_mode & stat.S_IXUSR),
        identity=_identity(status),
    )
