"""The difference between two releases, computed from their tables of contents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orbitpkg.model.contents import Contents, FileEntry

__all__ = ["ChangedFile", "Difference", "difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """A file that is in both releases but differs.

    Attributes:
        old: The file in the first release.
        new: The file in the second release.
    """

    old: FileEntry
    new: FileEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """The result of comparing two releases. Files are sorted by path.

    Attributes:
        added: Files that are only in the second release.
        removed: Files that are only in the first release.
        changed: Files whose content or executable bit differs.
        same: The number of identical files.
        new_bytes: The uncompressed size of the second release's chunks that the first does not have.
        bytes_to_fetch: The compressed size of those chunks: the download size if the first release is installed.
    """

    added: tuple[FileEntry, ...]
    removed: tuple[FileEntry, ...]
    changed: tuple[ChangedFile, ...]
    same: int
    new_bytes: int
    bytes_to_fetch: int


def difference(old: Contents, new: Contents) -> Difference:
    """Compare two releases."""
    before, after = old.by_path, new.by_path
    both = sorted(before.keys() & after.keys())
    changed = tuple(
        ChangedFile(old=before[path], new=after[path]) for path in both if not _is_same(before[path], after[path])
    )
    known = {chunk.blake3 for chunk in old.chunks}
    # A chunk that occurs twice is fetched once.
    fresh = {chunk.blake3: chunk for chunk in new.chunks if chunk.blake3 not in known}.values()
    return Difference(
        added=tuple(after[path] for path in sorted(after.keys() - before.keys())),
        removed=tuple(before[path] for path in sorted(before.keys() - after.keys())),
        changed=changed,
        same=len(both) - len(changed),
        new_bytes=sum(chunk.length for chunk in fresh),
        bytes_to_fetch=sum(chunk.stored for chunk in fresh),
    )


def _is_same(one: FileEntry, other: FileEntry) -> bool:
    return (one.blake3, one.size, one.executable) == (other.blake3, other.size, other.executable)
