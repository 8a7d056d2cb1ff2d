"""The files and directories of one release, installed or published."""

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
    """A source of a release's bytes: the local store or a repository."""

    release: Release
    contents: Contents
    origin: str

    def read(self, file: FileEntry, start: int, end: int) -> bytes:
        """Return the bytes of a file from ``start`` to ``end``, exclusive; fewer if the file is shorter."""


class Tree:
    """The files and directories of a release.

    Attributes:
        source: The source of their bytes.
        package: The installed package, if the release is installed.
    """

    def __init__(self, source: Source, package: Package | None = None) -> None:
        self.source = source
        self.package = package
        self._folders: dict[str, dict[str, FileEntry | None]] | None = None

    @property
    def release(self) -> Release:
        """The release."""
        return self.source.release

    def file(self, path: str) -> FileEntry | None:
        """Return a file by its path, or None."""
        return self.source.contents.by_path.get(path)

    def folder(self, path: str) -> Mapping[str, FileEntry | None] | None:
        """Return a directory's names and files, with None for subdirectories, or return None if it does not exist."""
        if self._folders is None:
            self._folders = _folders_of(self.source.contents)
        return self._folders.get(path)

    def missing(self, path: str) -> FileNotInPackage:
        """Return an error for a file that does not exist, suggesting similar names."""
        close = nearest(path, list(self.source.contents.by_path))
        hint = f"Did you mean {' or '.join(map(repr, close))}?" if close else None
        return FileNotInPackage(f"{self.release.label} has no file {path!r}.", hint=hint, path=path)


def _folders_of(contents: Contents) -> dict[str, dict[str, FileEntry | None]]:
    folders: dict[str, dict[str, FileEntry | None]] = {"": {}}
    for file in contents.files:
        folder, _, name = file.path.rpartition("/")
        new = folder not in folders
        folders.setdefault(folder, {})[name] = file
        while new:
            parent, _, own = folder.rpartition("/")
            new = parent not in folders
            folders.setdefault(parent, {})[own] = None
            folder = parent
    return folders


class InstalledFiles:
    """The files of an installed release. Files skipped by the installation are missing."""

    def __init__(self, package: Package, release: Release) -> None:
        self.release = release
        self.contents = package.contents
        self.origin = package.origin
        self._package = package

    def read(self, file: FileEntry, start: int, end: int) -> bytes:
        """Return the bytes of a file from ``start`` to ``end``, exclusive."""
        with self.path(file).open("rb") as opened:
            opened.seek(start)
            return opened.read(max(end - start, 0))

    def path(self, file: FileEntry) -> Path:
        """Return the path of a file on this machine.

        Raises:
            FileNotInPackage: The file was skipped by the installation, or was deleted.
        """
        return self._package.file_path(file.path)

    def has(self, file: FileEntry) -> bool:
        """Return whether a file was selected when the release was installed."""
        return self._package.is_complete or self._package.has_file(file.path)
