"""Reading a package's directory, selecting the files of the package, and detecting changes meanwhile.

Only regular files can be in a package. A symbolic link is followed if it leads to a regular file inside the directory,
and refused otherwise. Links to directories are not followed. Files that are not selected may be of any kind.
"""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from orbitpkg.errors import ManifestError, Problem, StorageError, TreeChanged
from orbitpkg.escaping import shell_word
from orbitpkg.files.atomic import HIDDEN
from orbitpkg.files.errors import READ, storage_errors
from orbitpkg.files.names import disk_path, text_path
from orbitpkg.files.reading import read_bounded
from orbitpkg.model.contents import MAX_FILES
from orbitpkg.model.manifest import MANIFEST_NAME, MAX_MANIFEST_BYTES, Manifest, find_unmatched, parse_manifest
from orbitpkg.model.paths import tree_problems
from orbitpkg.model.patterns import literal_prefix

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.model.manifest import IncludeEntry

__all__ = ["SourceFile", "SourceTree", "read_tree"]

_LINKED_FOLDER = "is a symbolic link to a directory, which is not followed"
_HINT = "Wait until whatever writes there has finished, then run the command again."


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFile:
    """A file to archive, as it was when the directory was read.

    Attributes:
        root: The package's directory, as a prefix of paths.
        path: The file's path in the package.
        size: The size in bytes.
        executable: Whether the owner may execute it.
        identity: Device, inode, size, modification time in ns and mode of the file that is read.
    """

    root: str
    path: str
    size: int
    executable: bool
    identity: tuple[int, int, int, int, int]

    @property
    def source(self) -> str:
        """The path of the file on the disk."""
        return self.root + disk_path(self.path)

    def check_unchanged(self, now: os.stat_result) -> None:
        """Compare the file with its earlier status.

        Raises:
            TreeChanged: The file was replaced or written to.
        """
        if _identity(now) != self.identity:
            raise _changed(self.source)


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceTree:
    """The content of a package's directory.

    Attributes:
        root: The directory.
        manifest: The parsed ``package.json``.
        files: The files that the manifest selects: ``package.json`` first, then by path.
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
            TreeChanged: A selected file was added, removed or changed.
        """
        try:
            now = read_tree(self.root).files
        except (ManifestError, StorageError) as error:
            raise TreeChanged(f"{self.root} changed while it was being read: {error.message}", hint=_HINT) from error
        # Nearly always nothing changed, and then no sets of a million files are needed.
        if now != self.files:
            raise _changed(min(set(now) ^ set(self.files), key=lambda file: file.path).source)


def _identity(status: os.stat_result) -> tuple[int, int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_mode


def _changed(source: str) -> TreeChanged:
    return TreeChanged(f"{source} changed while it was being read.", hint=_HINT, path=source)


def read_tree(root: Path) -> SourceTree:
    """Read a package's directory: its manifest, and the files that the manifest selects.

    Raises:
        ManifestError: The manifest is missing or invalid, or selects files that cannot be in a package.
        StorageError: The directory cannot be read.
        TreeChanged: A file disappeared meanwhile.
    """
    manifest = _read_manifest(root)
    with storage_errors(root, READ):
        found = _list_files(root, own_archives=f"{manifest.key}-")
    selection = manifest.select(found)
    problems = [
        _linked_folder_problem(root, entry) or problem
        for entry, problem in zip(selection.unmatched, selection.problems, strict=True)
    ]
    picked = [MANIFEST_NAME, *(path for path in selection.files if path != MANIFEST_NAME)]
    if len(picked) > MAX_FILES:
        problems.append(Problem("/include", f"matches {len(picked):,} files; {MAX_FILES:,} is the limit"))
        raise ManifestError(str(root / MANIFEST_NAME), problems)
    problems += [_picks(path, what) for path, what in tree_problems(picked)]
    files, unsuitable = _source_files(root, picked)
    problems += unsuitable
    if problems:
        raise ManifestError(str(root / MANIFEST_NAME), problems)
    return SourceTree(root=root, manifest=manifest, files=tuple(files))


def _linked_folder_problem(root: Path, entry: IncludeEntry) -> Problem | None:
    """Return the problem of an entry that matches no file because its folder is a link."""
    folder = root
    for part in literal_prefix(entry.glob).split("/"):
        folder /= disk_path(part)
        if folder.is_symlink() and folder.is_dir():
            place = text_path(folder.relative_to(root).as_posix())
            hint = f'"{place}" {_LINKED_FOLDER}; replace the link with the directory itself'
            return Problem(entry.pointer, f"{entry} matches no file", hint, entry.line)
    return None


def _picks(path: str, what: str) -> Problem:
    return Problem("/include", f"matches {path!r}, which {what}")


def _read_manifest(root: Path) -> Manifest:
    path = root / MANIFEST_NAME
    with storage_errors(path, READ):
        # The check comes first, because opening a FIFO would wait for a writer.
        if not path.is_file():
            raise _no_manifest(root)
        try:
            data = read_bounded(path, max_bytes=MAX_MANIFEST_BYTES)
        except OSError as error:
            if error.errno != errno.EFBIG:
                raise
            raise ManifestError(str(path), [Problem("", f"is larger than {MAX_MANIFEST_BYTES:,} bytes")]) from None
    try:
        return parse_manifest(data, where=str(path))
    except ManifestError as error:
        # Without a valid name, archives that "build" wrote cannot be recognized, so all files are listed.
        with storage_errors(root, READ):
            unmatched = find_unmatched(data, _list_files(root, own_archives="\0"))
        problems = sorted([*error.problems, *unmatched], key=lambda problem: problem.line or 0)
        raise ManifestError(str(path), problems) from None


def _no_manifest(root: Path) -> ManifestError | StorageError:
    if not root.is_dir():
        return StorageError(f"{root} is not a directory.", hint="Give the directory that contains package.json.")
    path = root / MANIFEST_NAME
    if path.exists():
        return ManifestError(str(path), [Problem("", "is not a regular file")])
    hint = f"to create one: orbitpkg init {shell_word(root)}"
    return ManifestError(str(path), [Problem("", "there is no such file", hint)])


def _list_files(root: Path, *, own_archives: str) -> list[str]:
    """List all files below a folder as relative paths, except for archives that ``build`` wrote into the folder."""
    paths: list[str] = []
    pending = [""]
    while pending:
        folder = pending.pop()
        with os.scandir(root / folder) as entries:
            for entry in entries:
                # A link to a directory may lead out of the package, or in a circle.
                if entry.is_dir(follow_symlinks=False):
                    pending.append(f"{folder}{entry.name}/")
                elif folder or not _is_own_archive(entry.name, own_archives):
                    paths.append(text_path(f"{folder}{entry.name}"))
    return sorted(paths)


def _is_own_archive(name: str, prefix: str) -> bool:
    return (name.startswith(prefix) and name.endswith(".tar.zst")) or name.startswith(HIDDEN)


def _source_files(root: Path, paths: Iterable[str]) -> tuple[list[SourceFile], list[Problem]]:
    """Return the files, and the problems of those that cannot be in a package."""
    files, problems = [], []
    prefix, inside = str(root / "x")[:-1], root.resolve()
    # Problems are collected, so that the author sees all of them at once.
    for path in paths:
        status = _status(prefix + disk_path(path), inside)
        if isinstance(status, str):
            problems.append(_picks(path, status))
            continue
        # The bits of group and others depend on the umask, and the archive must not.
        executable = bool(status.st_mode & stat.S_IXUSR)
        files.append(
            SourceFile(root=prefix, path=path, size=status.st_size, executable=executable, identity=_identity(status))
        )
    return files, problems


def _status(source: str, inside: Path) -> os.stat_result | str:
    """Return the status of a file, or why it cannot be in a package."""
    with storage_errors(source, READ):
        try:
            status = os.lstat(source)
            if stat.S_ISLNK(status.st_mode):
                return _link_problem(Path(source), inside) or os.stat(source)  # noqa: PTH116 - of a str, not a Path
        except FileNotFoundError as error:
            raise _changed(source) from error
    return status if stat.S_ISREG(status.st_mode) else "is not a regular file"


def _link_problem(source: Path, inside: Path) -> str | None:
    try:
        target = source.resolve(strict=True)
    except (OSError, RuntimeError):
        return "is a broken symbolic link"
    if not target.is_relative_to(inside):
        return "is a symbolic link that points outside the package directory"
    if target.is_dir():
        return _LINKED_FOLDER
    return None if target.is_file() else "is a symbolic link to something other than a regular file"
