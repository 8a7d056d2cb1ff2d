"""What differs between two releases, from their contents alone. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orbitpkg.model.contents import Contents, FileEntry

__all__ = ["ChangedFile", "Difference", "difference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedFile:
    """A file that both hold and that is not the same in both.

    Attributes:
        old: As it was.
        new: As it is.
    """

    old: FileEntry
    new: FileEntry


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """What came of comparing two releases; files by path.

    Attributes:
        added: Files that only the second holds.
        removed: Files that only the first holds.
        changed: Files with other bytes, or that became, or are no longer, executable.
        same: How many files are in both as they are.
        new_bytes: How many bytes of the second's stream are in chunks that the first has not.
        bytes_to_fetch: How many compressed bytes these are: what the second takes to fetch where the first is.
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
    # A chunk that is there twice is fetched once.
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
