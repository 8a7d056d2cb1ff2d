"""``NAME-VERSION.sputnik``: a plain tar file with exactly two members, ``archive.gz`` and ``meta.json``.

The tar headers only locate the two members; ``tarfile`` extracts nothing. An archive with a link, a sparse file, a
duplicate or a third member is refused: Sputnik never writes one, but would unpack it.
"""

from __future__ import annotations

import contextlib
import shutil
import tarfile
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, TYPE_CHECKING

from orbitpkg.archive.reader import LocalArchive
from orbitpkg.archive.registry import ArchiveFormat
from orbitpkg.archive.writer import write_archive
from orbitpkg.compat.sputnik.formats.meta import MAX_META_BYTES, META_NAME, Meta, parse_meta
from orbitpkg.compat.sputnik.formats.unpacking import check_archive, unpack
from orbitpkg.config.caches import open_cache
from orbitpkg.errors import ArchiveError
from orbitpkg.files.errors import READ, storage_errors

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from orbitpkg.archive.tree import SourceTree

__all__ = [
    "FORMAT",
    "SCRATCH",
    "SUFFIX",
    "SputnikArchive",
    "is_sputnik_archive",
    "open_converted",
    "scratch_folder",
    "sweep",
]

SUFFIX = ".sputnik"
SCRATCH = "sputnik-"
"""The prefix of the names of scratch directories."""

_BLOCK = 512
# POSIX.1-2017, pax, "ustar Interchange Format": the position of the magic in a header.
_MAGIC_AT = 257
_MAGIC = b"ustar"
# tarfile reads an extended header at once, whatever size it declares, and searches it with a regular expression that
# takes quadratic time: ten seconds for 64 KiB of digits. It also follows a chain of such headers recursively. Python
# writes a few hundred bytes.
_MAX_READ = 4 * 1024
_MAX_HEADERS = 32 * 1024
_MEMBERS = 2
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SputnikArchive:
    """A ``.sputnik`` file.

    Attributes:
        path: Its path.
        meta: Its ``meta.json``.
        start: The position of its ``archive.gz``.
        size: The size of its ``archive.gz``, in bytes.
    """

    path: Path
    meta: Meta
    start: int
    size: int

    @classmethod
    def read(cls, path: Path) -> SputnikArchive:
        """Read the ``meta.json`` of a file and locate its ``archive.gz``.

        Raises:
            IntegrityError: The file is not in Sputnik's format.
            StorageError: The file cannot be read.
        """
        with storage_errors(str(path)), path.open("rb") as file:
            members = _members(file, path)
            data = _read_meta(file, members, path)
            meta = parse_meta(data, where=str(path))
            other = set(members) - {META_NAME, meta.archive}
            if other or meta.archive not in members:
                found = min(other) if other else META_NAME
                raise ArchiveError(f"{path} contains {found!r:.200} instead of {meta.archive}.")
        body = members[meta.archive]
        return cls(path=path, meta=meta, start=body.offset_data, size=body.size)

    def unpack(self, folder: Path) -> SourceTree:
        """Verify the archive and write its files to a new directory.

        Raises:
            IntegrityError: The archive is damaged.
            ManifestError: Its metadata is not valid for a package.
            StorageError: The archive cannot be read, or the directory cannot be written.
        """
        where = f"{self.meta.archive} of {self.path}"
        with storage_errors(str(self.path)), self.path.open("rb") as file:
            check_archive(file, self.start, self.size, self.meta, where=where)
            return unpack(file, self.start, self.meta, folder, where=str(self.path))


def is_sputnik_archive(path: Path) -> bool:
    """Return whether a file begins like a tar file, as no archive of orbitpkg does.

    Raises:
        StorageError: The file cannot be read.
    """
    with storage_errors(path, READ):
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(_BLOCK)[_MAGIC_AT:].startswith(_MAGIC)


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Create a directory that is deleted at the end of the block, and delete old ones that killed processes left.

    Raises:
        StorageError: The directory cannot be created.
    """
    with storage_errors(str(parent)):
        open_cache(parent).close()
        sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Delete scratch directories that are more than a day old, whose processes were killed."""
    for folder in parent.glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError):  # another process deletes the same directory
            if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def open_converted(path: Path, scratch: Path) -> LocalArchive:
    """Convert a ``.sputnik`` file to an orbitpkg archive of the same files, and open it.

    The converted archive has no name on the disk and disappears when it is closed.

    Args:
        path: The file.
        scratch: A directory for temporary files, as large as the package's files and their archive.

    Raises:
        IntegrityError: The file is damaged, malicious or not in Sputnik's format.
        ManifestError: Its metadata is not valid for a package.
        StorageError: The file cannot be read, or the disk is full.
    """
    with scratch_folder(scratch) as folder:
        tree_folder, target = folder / "tree", folder / "package.tar.zst"
        tree_folder.mkdir()
        write_archive(SputnikArchive.read(path).unpack(tree_folder), target)
        return replace(LocalArchive.open(target), path=path)


FORMAT = ArchiveFormat(recognizes=is_sputnik_archive, open=open_converted)
"""The plug-in that orbitpkg's own entry point ``sputnik`` refers to."""


class _Bounded:
    """A file with limits on each read and on all of them, since a malicious archive may have headers of any size."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path
        self._left = _MAX_HEADERS

    def read(self, size: int) -> bytes:
        if size > _MAX_READ:
            raise ArchiveError(f"{self._path} has a tar header of {size:,} bytes; the maximum is {_MAX_READ:,}.")
        self._left -= max(0, size)
        if self._left < 0:
            raise ArchiveError(f"{self._path} has more than {_MAX_HEADERS:,} bytes of tar headers.")
        return self._file.read(size)

    def seek(self, offset: int) -> int:
        return self._file.seek(offset)

    def tell(self) -> int:
        return self._file.tell()


def _members(file: IO[bytes], path: Path) -> dict[str, tarfile.TarInfo]:
    members: dict[str, tarfile.TarInfo] = {}
    source: Any = _Bounded(file, path)
    try:
        with tarfile.open(fileobj=source, mode="r:") as tar:
            for member in tar:
                problem = _member_problem(member, members)
                if problem:
                    raise ArchiveError(f"{path} has an invalid member {member.name!r:.200}: {problem}.")
                members[member.name] = member
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise ArchiveError(f"{path} is damaged or not a Sputnik archive: {error}.") from error
    return members


def _member_problem(member: tarfile.TarInfo, members: dict[str, tarfile.TarInfo]) -> str | None:
    if not member.isreg() or member.issparse():
        return "it is not a regular file"
    if member.name in members:
        return "it is a duplicate"
    if len(members) == _MEMBERS:
        return "Sputnik archives have only two members"
    if "/" in member.name or "\\" in member.name or member.name in {"", ".", ".."}:
        return "its name is a path"
    return None


def _read_meta(file: IO[bytes], members: dict[str, tarfile.TarInfo], path: Path) -> bytes:
    member = members.get(META_NAME)
    if member is None:
        raise ArchiveError(f"{path} is not a Sputnik archive: it contains no {META_NAME}.")
    if member.size > MAX_META_BYTES:
        raise ArchiveError(f"{path} has a {META_NAME} of {member.size:,} bytes; the maximum is {MAX_META_BYTES:,}.")
    file.seek(member.offset_data)
    data = file.read(member.size)
    if len(data) != member.size:
        raise ArchiveError(f"{path} is damaged: it ends within its {META_NAME}.")
    return data
