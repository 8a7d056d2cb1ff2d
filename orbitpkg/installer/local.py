"""Chunks that this disk has already, in other versions of a package or in the staging folder of an interrupted install.

Nothing is trusted: a chunk is used only if its bytes, read now, match its digest or that of their file.
"""

from __future__ import annotations

import os
from collections import defaultdict
from typing import TYPE_CHECKING

from orbitpkg.archive.tree_stream import TreeStream
from orbitpkg.errors import OrbitError
from orbitpkg.store.package import installed_versions, open_package

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from orbitpkg.concurrency.pool import Pool
    from orbitpkg.model.contents import Blake3, Chunk, Contents, FileEntry
    from orbitpkg.model.release import Release
    from orbitpkg.model.versions import Version
    from orbitpkg.store.layout import Layout
    from orbitpkg.store.store import Staging

__all__ = ["InstalledChunks", "present_chunks"]

# Older versions share ever less, and reading the contents of a package of 100,000 files takes a quarter of a second.
_MAX_VERSIONS = 8


class InstalledChunks:
    """The chunks of a release that other installed versions of the package contain.

    Args:
        layout: The layout of the store.
        release: The release to install.
        contents: Its contents.
    """

    def __init__(self, layout: Layout, release: Release, contents: Contents) -> None:
        self._wanted = {chunk.blake3 for chunk in contents.chunks}
        self._locations: dict[Blake3, tuple[TreeStream, Chunk]] = {}
        versions = [version for version in installed_versions(layout, release.key) if version != release.version]
        for version in sorted(versions, reverse=True)[:_MAX_VERSIONS]:
            self._add(layout, release.key, version)

    @property
    def digests(self) -> Collection[Blake3]:
        """The digests of the chunks that should be available."""
        return self._locations.keys()

    def read_into(self, chunk: Chunk, buffer: memoryview, *, verify: bool) -> bool:
        """Read a chunk into a buffer of its length, and return whether it was available."""
        location = self._locations.get(chunk.blake3)
        return location is not None and location[0].read_into(location[1], buffer, verify=verify)

    def _add(self, layout: Layout, key: str, version: Version) -> None:
        try:
            package = open_package(layout, key, version)
            contents = package.contents if package else None
        except OrbitError:
            return  # A damaged release does not keep another one from being installed.
        if package is None or contents is None:
            return
        stream = TreeStream(contents, str(package.path))
        for chunk in contents.chunks:
            if chunk.blake3 in self._wanted:
                self._locations.setdefault(chunk.blake3, (stream, chunk))


def present_chunks(contents: Contents, files: Sequence[FileEntry], staging: Staging, pool: Pool) -> set[Blake3]:
    """Return the digests of the chunks that a staging folder contains completely.

    Files that can be neither used nor continued are deleted.

    Args:
        contents: The contents of the release.
        files: The files to stage.
        staging: The staging folder.
        pool: The workers that read.
    """
    staged = [file for file in files if file.size and _is_usable(staging.path(file), file.size)]
    if not staged:
        return set()
    chunks: defaultdict[Blake3, dict[int, Chunk]] = defaultdict(dict)
    for file in files:
        for chunk in contents.chunks_of(file):
            chunks[chunk.blake3][chunk.index] = chunk
    stream = TreeStream(contents, staging.files)
    found: set[Blake3] = set()

    def look(digest: Blake3) -> Callable[[], None]:
        def work() -> None:
            if all(stream.read(chunk) is not None for chunk in chunks[digest].values()):
                found.add(digest)

        return work

    candidates = {chunk.blake3 for file in staged for chunk in contents.chunks_of(file)}
    pool.run(look(digest) for digest in candidates)
    for file in staged:
        digests = {chunk.blake3 for chunk in contents.chunks_of(file)}
        if not digests <= found and not os.stat(staging.path(file)).st_mode & 0o200:  # noqa: PTH116
            # A read-only file was complete once, so it is damaged.
            os.unlink(staging.path(file))  # noqa: PTH108
            found -= digests
    return found


def _is_usable(path: str, size: int) -> bool:
    try:
        status = os.stat(path)  # noqa: PTH116
    except FileNotFoundError:
        return False
    # A second link means that the file is also a blob, which must never be written to.
    if status.st_nlink > 1 or status.st_size > size:
        os.unlink(path)  # noqa: PTH108
        return False
    return True
