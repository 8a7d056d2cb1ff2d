"""From an ``archive.gz`` to a package's directory, verified on the way.

A file is written under a path that was judged before, and kept only if its gzip member lies where the manifest says,
decompresses to as many bytes as it says and to the digest it says. The caller's folder is then the source of an
ordinary archive.
"""

from __future__ import annotations

import hashlib
import shutil
import zlib
from typing import IO, TYPE_CHECKING

from orbitpkg.archive.tree import read_tree
from orbitpkg.errors import ArchiveError, IntegrityError, NoSpace
from orbitpkg.files.errors import storage_errors
from orbitpkg.model.manifest import MANIFEST_NAME

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.archive.tree import SourceTree
    from orbitpkg.compat.sputnik.formats.meta import Member, Meta

__all__ = ["check_archive", "unpack"]

_PIECE = 1024 * 1024
# RFC 1952: a gzip header and trailer around the deflated bytes.
_GZIP_WINDOW = 16 + zlib.MAX_WBITS


def check_archive(file: IO[bytes], start: int, length: int, meta: Meta, *, where: str) -> None:
    """Hold an ``archive.gz`` against its ``meta.json``, before a byte of it is decompressed.

    Args:
        file: What it lies in.
        start: Its first byte there.
        length: In bytes.
        meta: What is said of it.
        where: What it is, for messages.

    Raises:
        IntegrityError: It is another one, or not whole.
        StorageError: It cannot be read.
    """
    if length != meta.archive_size:
        raise IntegrityError(f"{where} has {length:,} bytes; its manifest says {meta.archive_size:,}.")
    digest = hashlib.md5(usedforsecurity=False)
    with storage_errors(where):
        file.seek(start)
        left = length
        while left and (piece := file.read(min(_PIECE, left))):
            digest.update(piece)
            left -= len(piece)
    if digest.hexdigest() != meta.archive_md5:
        raise IntegrityError(
            f"{where} has the MD5 {digest.hexdigest()}; its manifest says {meta.archive_md5}.",
            hint="It is damaged: get it again, or install another version.",
            expected=meta.archive_md5,
            found=digest.hexdigest(),
        )


def unpack(file: IO[bytes], start: int, meta: Meta, folder: Path, *, where: str) -> SourceTree:
    """Write the files of an archive, and the manifest that its ``meta.json`` makes, into a new folder.

    A ``package.json`` among the files gives way to that manifest.

    Args:
        file: What the archive lies in.
        start: Its first byte there.
        meta: What is said of it.
        folder: An empty one.
        where: What it is, for messages.

    Returns:
        The folder, as the source of an archive.

    Raises:
        IntegrityError: A file is not the one that the manifest tells of.
        ManifestError: What it says cannot be said of a package.
        NoSpace: There is less than the files take.
        StorageError: The disk did not take it.
    """
    manifest = meta.manifest_text()
    meta.manifest()
    _check_space(folder, meta.total_size, where)
    with storage_errors(str(folder)):
        for member in meta.members:
            _write_member(file, start, member, folder, where=f"{member.path!r} in {where}")
        (folder / MANIFEST_NAME).write_bytes(manifest)
    tree = read_tree(folder)
    expected = {member.path for member in meta.members} | {MANIFEST_NAME}
    left_out = expected.difference(file.path for file in tree.files)
    if left_out:
        raise ArchiveError(f"{where} holds {min(left_out)!r}, which looks like an archive of the package itself.")
    return tree


def _check_space(folder: Path, needed: int, where: str) -> None:
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoSpace(
            f"The files of {where} take {needed:,} bytes; {folder} has {free:,} left.",
            hint="Free some (orbitpkg remove, orbitpkg gc), or set ORBITPKG_HOME to a larger disk.",
            needed=needed,
            free=free,
        )


def _write_member(file: IO[bytes], start: int, member: Member, folder: Path, *, where: str) -> None:
    target = folder / member.path
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, engine = hashlib.new(member.algorithm, usedforsecurity=False), zlib.decompressobj(_GZIP_WINDOW)
    file.seek(start + member.start)
    written, left, pending = 0, member.end - member.start, b""
    with target.open("xb") as out:
        while not engine.eof:
            if not pending:
                pending = file.read(min(_PIECE, left))
                left -= len(pending)
            piece = _decompressed(engine, pending, where)
            progressed = bool(piece) or len(engine.unconsumed_tail) < len(pending)
            pending = engine.unconsumed_tail
            written += len(piece)
            if written > member.size or not (progressed or engine.eof):
                break
            digest.update(piece)
            out.write(piece)
    if not engine.eof or left or pending or engine.unused_data:
        raise ArchiveError(f"{where} is damaged: its gzip member does not end where its manifest says.")
    if (written, digest.hexdigest()) != (member.size, member.digest):
        raise IntegrityError(
            f"{where} is altered: its {member.algorithm} is {digest.hexdigest()}, its manifest says {member.digest}.",
            path=member.path,
        )


def _decompressed(engine: zlib._Decompress, data: bytes, where: str) -> bytes:
    try:
        return engine.decompress(data, _PIECE)
    except zlib.error as error:
        raise ArchiveError(f"{where} is damaged: {error}.") from error
