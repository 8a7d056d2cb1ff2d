"""Writing an archive to the disk, atomically."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.archive.encoder import TreeEncoder
from orbitpkg.files.atomic import atomic_file
from orbitpkg.files.errors import WRITE, storage_errors

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orbitpkg.archive.tree import SourceTree
    from orbitpkg.model.contents import Contents

__all__ = ["write_archive"]

_HINT = "To choose another directory, add -o DIR."
_ADVICE = WRITE._replace(full=_HINT, refused=_HINT, other=_HINT)


def write_archive(tree: SourceTree, target: Path, *, progress: Callable[[int], None] | None = None) -> Contents:
    """Encode a tree into a file. The file appears, or is replaced, when it is complete.

    Args:
        tree: The tree to encode.
        target: The path of the archive. Its folder is created if necessary.
        progress: Called with the number of bytes read since the last call.

    Raises:
        TreeChanged: The tree changed meanwhile.
        StorageError: A file cannot be read or written.
    """
    encoder = TreeEncoder(tree, progress=progress)
    with storage_errors(target, _ADVICE):
        target.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(target) as file:
            for piece in encoder.chunks():
                assert piece.frame is not None
                file.write(piece.frame)
            contents, frame, _ = encoder.finish()
            file.write(frame)
    return contents
