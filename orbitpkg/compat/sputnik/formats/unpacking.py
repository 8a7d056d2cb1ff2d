"""Verified unpacking of an ``archive.gz`` to a package's directory.

The paths of files are validated before. A file is accepted only if its gzip member ends where the manifest says, and if
it decompresses to the size and the digest in the manifest. The directory can then be packed as an ordinary archive.
"""

from __future__ import annotations

import hashlib
import zlib
from typing import IO, TYPE_CHECKING

from orbitpkg.archive.tree import read_tree
from orbitpkg.errors import ArchiveError, IntegrityError, NoSpace
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.files.space import free_bytes
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
    """Compare the size and the MD5 of an ``archive.gz`` with its ``meta.json``, before decompressing anything.

    Args:
        file: The file that contains it.
        start: The position of its first byte.
        length: Its size in bytes.
        meta: Its ``meta.json``.
        where: The archive, for messages.

    Raises:
        IntegrityError: The archive is damaged or another one.
        StorageError: The file cannot be read.
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
            hint="The archive is damaged. Download it again, or install another version.",
            expected=meta.archive_md5,
            found=digest.hexdigest(),
        )


def unpack(file: IO[bytes], start: int, meta: Meta, folder: Path, *, where: str) -> SourceTree:
    """Write the files of an archive, and the manifest converted from its ``meta.json``, to a new directory.

    The manifest replaces any ``package.json`` among the files.

    Args:
        file: The file that contains the archive.
        start: The position of its first byte.
        meta: Its ``meta.json``.
        folder: An empty directory.
        where: The archive, for messages.

    Returns:
        The directory, ready to be packed.

    Raises:
        IntegrityError: A file does not match the manifest.
        ManifestError: The metadata is not valid for a package.
        NoSpace: The disk has less free space than the files take.
        StorageError: A file cannot be written.
    """
    manifest = meta.manifest_text()
    meta.manifest()
    _check_space(folder, meta.total_size, where)
    with storage_errors(str(folder)):
        for member in meta.members:
            _write_member(file, start, member, folder, where=f"{member.path!r} in {where}")
        (folder / MANIFEST_NAME).write_bytes(manifest)
    # An archive of the same package in the directory is not part of the tree, and would be lost without notice.
    tree = read_tree(folder)
    expected = {member.path for member in meta.members} | {MANIFEST_NAME}
    left_out = expected.difference(file.path for file in tree.files)
    if left_out:
        raise ArchiveError(f"{where} contains {min(left_out)!r}, which looks like an archive of the package itself.")
    return tree


def _check_space(folder: Path, needed: int, where: str) -> None:
    free = free_bytes(folder)
    if free is not None and needed > free:
        raise NoSpace(
            f"The files of {where} take {needed:,} bytes, but {folder} has only {free:,} bytes free.",
            hint="Free some space (orbitpkg remove, orbitpkg gc), or set ORBITPKG_HOME to a larger disk.",
            needed=needed,
            free=free,
        )


def _write_member(file: IO[bytes], start: int, member: Member, folder: Path, *, where: str) -> None:
    target = folder / disk_path(member.path)
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, engine = hashlib.new(member.algorithm, usedforsecurity=False), zlib.decompressobj(_GZIP_WINDOW)
    file.seek(start + member.start)
    written, left, pending = 0, member.end - member.start, b""
    with target.open("xb") as out:
        while not engine.eof:
            if not pending:
                pending = file.read(min(_PIECE, left))
                left -= len(pending)
            # zlib returns at most one piece of output per call, and keeps the rest of the input for the next.
            piece = _decompressed(engine, pending, where)
            progressed = bool(piece) or len(engine.unconsumed_tail) < len(pending)
            pending = engine.unconsumed_tail
            written += len(piece)
            # Stop at the declared size, before a decompression bomb fills the disk.
            if written > member.size or not (progressed or engine.eof):
                break
            digest.update(piece)
            out.write(piece)
    if not engine.eof or left or pending or engine.unused_data:
        raise ArchiveError(f"{where} is damaged: its gzip member does not end where its manifest says.")
    if (written, digest.hexdigest()) != (member.size, member.digest):
        raise IntegrityError(
            f"{where} is damaged: its {member.algorithm} is {digest.hexdigest()}; expected {member.digest}.",
            path=member.path,
        )


def _decompressed(engine: zlib._Decompress, data: bytes, where: str) -> bytes:
    try:
        return engine.decompress(data, _PIECE)
    except zlib.error as error:
        raise ArchiveError(f"{where} is damaged: {error}.") from error
