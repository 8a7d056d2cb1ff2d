"""``NAME-VERSION.sputnik``: a plain tar file of ``archive.gz`` and ``meta.json``, and nothing else.

The tar file is asked where its two members lie; nothing is ever extracted from it. A member that is a link, sparse,
there twice, or any third one makes the archive refused: Sputnik wrote none, and unpacked whatever was there.
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
"""What scratch folders begin with."""

_BLOCK = 512
# POSIX.1-2017, pax, "ustar Interchange Format": where the magic lies in a header.
_MAGIC_AT = 257
_MAGIC = b"ustar"
# What tarfile reads at once beyond a header is an extended one; Python's own are a few hundred bytes.
_MAX_READ = 1024 * 1024
_MEMBERS = 2
_ABANDONED_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class SputnikArchive:
    """A ``.sputnik`` file, looked into.

    Attributes:
        path: Where it is.
        meta: Its ``meta.json``.
        start: Where in it its ``archive.gz`` begins.
        size: Of that, in bytes.
    """

    path: Path
    meta: Meta
    start: int
    size: int

    @classmethod
    def read(cls, path: Path) -> SputnikArchive:
        """Look into a file; of its data, only ``meta.json`` is read.

        Raises:
            IntegrityError: It is not what Sputnik writes.
            StorageError: It cannot be read.
        """
        with storage_errors(str(path)), path.open("rb") as file:
            members = _members(file, path)
            data = _read_meta(file, members, path)
            meta = parse_meta(data, where=str(path))
            other = set(members) - {META_NAME, meta.archive}
            if other or meta.archive not in members:
                found = min(other) if other else META_NAME
                raise ArchiveError(f"{path} holds {found!r:.200} where {meta.archive} belongs.")
        body = members[meta.archive]
        return cls(path=path, meta=meta, start=body.offset_data, size=body.size)

    def unpack(self, folder: Path) -> SourceTree:
        """Verify the archive and write its files into a new folder.

        Raises:
            IntegrityError: It is damaged.
            ManifestError: What it says cannot be said of a package.
            StorageError: It cannot be read, or the folder not written.
        """
        where = f"{self.meta.archive} of {self.path}"
        with storage_errors(str(self.path)), self.path.open("rb") as file:
            check_archive(file, self.start, self.size, self.meta, where=where)
            return unpack(file, self.start, self.meta, folder, where=str(self.path))


def is_sputnik_archive(path: Path) -> bool:
    """Say whether a file begins as a tar file does, which one of orbitpkg's own archives never does.

    Raises:
        StorageError: It cannot be read.
    """
    with storage_errors(path, READ):
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(_BLOCK)[_MAGIC_AT:].startswith(_MAGIC)


@contextlib.contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """Give a new folder that is gone when this is left; what killed processes left beside it a day ago goes, too.

    Raises:
        StorageError: It cannot be made.
    """
    with storage_errors(str(parent)):
        parent.mkdir(parents=True, exist_ok=True)
        sweep(parent)
        folder = Path(tempfile.mkdtemp(prefix=SCRATCH, dir=parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def sweep(parent: Path) -> None:
    """Delete the scratch folders of processes that were killed."""
    for folder in parent.glob(f"{SCRATCH}*"):
        with contextlib.suppress(OSError):  # somebody else sweeps, too
            if time.time() - folder.stat().st_mtime > _ABANDONED_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def open_converted(path: Path, scratch: Path) -> LocalArchive:
    """Open a ``.sputnik`` file as the archive that orbitpkg would have made of the same files.

    That archive has no name on the disk, and is gone when it is closed.

    Args:
        path: The file.
        scratch: A folder for what is needed meanwhile: as much as the files of the package and their archive take.

    Raises:
        IntegrityError: It is damaged, hostile, or not what Sputnik writes.
        ManifestError: What it says cannot be said of a package.
        StorageError: It cannot be read, or there is no space.
    """
    with scratch_folder(scratch) as folder:
        tree_folder, target = folder / "tree", folder / "package.tar.zst"
        tree_folder.mkdir()
        write_archive(SputnikArchive.read(path).unpack(tree_folder), target)
        return replace(LocalArchive.open(target), path=path)


FORMAT = ArchiveFormat(recognizes=is_sputnik_archive, open=open_converted)
"""The plug-in that orbitpkg's own entry point ``sputnik`` refers to."""


class _Bounded:
    """A file of which nobody reads much at once: a tar header may claim to be as large as it likes."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self._file = file
        self._path = path

    def read(self, size: int) -> bytes:
        if size > _MAX_READ:
            raise ArchiveError(f"{self._path} has a tar header of {size:,} bytes.")
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
                    raise ArchiveError(f"{path} holds the member {member.name!r:.200}, {problem}.")
                members[member.name] = member
    except (tarfile.TarError, ValueError, EOFError) as error:
        raise ArchiveError(f"{path} is no archive of Sputnik's, or damaged: {error}.") from error
    return members


def _member_problem(member: tarfile.TarInfo, members: dict[str, tarfile.TarInfo]) -> str | None:
    if not member.isreg() or member.issparse():
        return "which is no regular file"
    if member.name in members:
        return "twice"
    if len(members) == _MEMBERS:
        return "and Sputnik's archives have two members"
    if "/" in member.name or "\\" in member.name or member.name in {"", ".", ".."}:
        return "which is a path"
    return None


def _read_meta(file: IO[bytes], members: dict[str, tarfile.TarInfo], path: Path) -> bytes:
    member = members.get(META_NAME)
    if member is None:
        raise ArchiveError(f"{path} is no archive of Sputnik's: it holds no {META_NAME}.")
    if member.size > MAX_META_BYTES:
        raise ArchiveError(f"{path} has a {META_NAME} of {member.size:,} bytes; {MAX_META_BYTES:,} is the most.")
    file.seek(member.offset_data)
    data = file.read(member.size)
    if len(data) != member.size:
        raise ArchiveError(f"{path} is damaged: it ends within its {META_NAME}.")
    return data
