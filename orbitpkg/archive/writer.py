"""A directory tree -> an archive on the disk, whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
from typing import TYPE_CHECKING

from orbitpkg.archive.encoder import TreeEncoder
from orbitpkg.errors import NoSpace, StorageError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orbitpkg.archive.tree import SourceTree
    from orbitpkg.model.contents import Contents

__all__ = ["write_archive"]

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_archive(tree: SourceTree, target: Path, *, progress: Callable[[int], None] | None = None) -> Contents:
    """Encode a tree into a file, which appears, or is replaced, when it is whole.

    Args:
        tree: What to encode.
        target: The archive; its folder is made if need be.
        progress: Called with the number of bytes read since the last call.

    Raises:
        TreeChanged: The tree changed meanwhile.
        StorageError: Something cannot be read or written.
    """
    encoder = TreeEncoder(tree, progress=progress)
    # A name of its own: two builds of one package at once must not write into one file.
    part = target.with_name(f"{target.name}.{secrets.token_hex(4)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with part.open("wb") as file:
            for piece in encoder.chunks():
                assert piece.frame is not None
                file.write(piece.frame)
            contents, frame, _ = encoder.finish()
            file.write(frame)
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except BaseException as error:
        with contextlib.suppress(OSError):
            part.unlink(missing_ok=True)
        if not isinstance(error, OSError):
            raise
        kind = NoSpace if error.errno in _FULL else StorageError
        raise kind(f"{target} cannot be written: {error.strerror}.", hint="Name another folder: -o DIR") from error
    return contents
