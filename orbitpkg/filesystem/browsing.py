"""The files and folders of one release, wherever its bytes are: on this disk, or in a repository."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from orbitpkg.errors import FileNotInPackage
from orbitpkg.model.names import nearest

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from orbitpkg.model.contents import Contents, FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.store.package import Package

__all__ = ["InstalledFiles", "Source", "Tree"]


class Source(Protocol):
    """Where the bytes of a release come from."""

    release: Release
    contents: Contents

    def read(self, file: FileEntry, start: int, end: int) -> bytes:
        """Give the bytes of a file from ``start`` up to and without ``end``; fewer where the file ends before."""


class Tree:
    """The files and folders of a release.

    Attributes:
        source: Where its bytes come from.
        package: It, where it is installed.
    """

    def __init__(self, source: Source, package: Package | None = None) -> None:
        self.source = source
        self.package = package
        self._folders: dict[str, dict[str, FileEntry | None]] | None = None

    @property
    def release(self) -> Release:
        """Which release."""
        return self.source.release

    def file(self, path: str) -> FileEntry | None:
        """Give a file by its path; None when there is none."""
        return self.source.contents.by_path.get(path)

    def folder(self, path: str) -> Mapping[str, FileEntry | None] | None:
        """Give the names in a folder, each with its file, or None for a folder; None when there is no such folder."""
        if self._folders is None:
            self._folders = _folders_of(self.source.contents)
        return self._folders.get(path)

    def missing(self, path: str) -> FileNotInPackage:
        """Say that there is no such file, and which could be meant."""
        close = nearest(path, list(self.source.contents.by_path))
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else None
        return FileNotInPackage(f"{self.release} has no file {path!r}.", hint=hint, path=path)


def _folders_of(contents: Contents) -> dict[str, dict[str, FileEntry | None]]:
    folders: dict[str, dict[str, FileEntry | None]] = {"": {}}
    for file in contents.files:
        folder, _, name = file.path.rpartition("/")
        new = folder not in folders
        folders.setdefault(folder, {})[name] = file
        while new:
            above, _, own = folder.rpartition("/")
            new = above not in folders
            folders.setdefault(above, {})[own] = None
            folder = above
    return folders


class InstalledFiles:
    """The files of a release on this disk; those that were left out when it was installed, in its repository."""

    def __init__(self, package: Package, release: Release) -> None:
        self.release = release
        self.contents = package.contents
        self._package = package

    def read(self, file: FileEntry, start: int, end: int) -> bytes:
        """Give the bytes of a file from ``start`` up to and without ``end``."""
        with self.path(file).open("rb") as opened:
            opened.seek(start)
            return opened.read(max(end - start, 0))

    def path(self, file: FileEntry) -> Path:
        """Give the path of a file on this disk.

        Raises:
            FileNotInPackage: It was left out, or somebody deleted it.
        """
        return self._package.file_path(file.path)

    def has(self, file: FileEntry) -> bool:
        """Say whether a file is here, or should be."""
        return self._package.is_complete or self._package.has_file(file.path)
