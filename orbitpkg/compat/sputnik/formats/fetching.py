"""Downloads from a Sputnik repository: the metadata and the verified files of its packages.

An interrupted download resumes the next time. A damaged download is deleted.
"""

from __future__ import annotations

import contextlib
import hashlib
from typing import TYPE_CHECKING

from orbitpkg.compat.sputnik.formats.archives import scratch_folder
from orbitpkg.compat.sputnik.formats.meta import META_NAME, Meta, parse_meta
from orbitpkg.compat.sputnik.formats.unpacking import check_archive, unpack
from orbitpkg.config.caches import open_cache, write_cache_file
from orbitpkg.errors import IntegrityError, StorageError, UnsupportedByStore
from orbitpkg.files.errors import storage_errors
from orbitpkg.files.locks import file_lock
from orbitpkg.objects.transfer.files import download_object
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from pathlib import Path

    from orbitpkg.archive.tree import SourceTree
    from orbitpkg.compat.sputnik.formats.repositories import MetaText, SputnikRepository
    from orbitpkg.objects import ObjectInfo, ObjectStore
    from orbitpkg.reporting import Reporter

__all__ = ["Fetcher", "write_cached"]

_MD5_NAME = "md5"


class Fetcher:
    """The packages of one repository, read on demand. Thread-safe.

    Args:
        repository: The repository.
        folder: The directory for cached metadata and temporary files of this repository.
        reporter: Receives the progress of downloads.
    """

    def __init__(self, repository: SputnikRepository, folder: Path, *, reporter: Reporter = SILENT) -> None:
        self.repository = repository
        self.folder = folder
        self.reporter = reporter
        self._tags: Mapping[str, str] | None = None
        self._metas: dict[str, tuple[Meta, datetime | None]] = {}

    def idents(self) -> Mapping[str, str]:
        """List the packages once and cache the result; see ``SputnikRepository.idents``.

        Raises:
            RepositoryError: The repository cannot be listed.
        """
        if self._tags is None:
            self._tags = self.repository.idents()
        return self._tags

    def meta(self, ident: str) -> Meta:
        """Return the metadata of a package.

        Raises:
            ObjectNotFound: The package no longer exists.
            IntegrityError: Its ``meta.json`` is not in Sputnik's format.
        """
        return self._read(ident)[0]

    def modified(self, ident: str) -> datetime | None:
        """Return when a package was uploaded, if known."""
        return self._read(ident)[1]

    def _read(self, ident: str) -> tuple[Meta, datetime | None]:
        if ident not in self._metas:
            text = self._read_cached(ident) or self._cache(ident, self.repository.meta(ident))
            meta = parse_meta(text.data, where=f"{ident} in {self.repository.url}", ident=ident)
            self._metas[ident] = meta, text.modified
        return self._metas[ident]

    def _read_cached(self, ident: str) -> MetaText | None:
        from datetime import datetime

        from orbitpkg.compat.sputnik.formats.repositories import MetaText

        tag = self.idents().get(ident)
        try:
            head, _, data = self._path("meta", ident).read_bytes().partition(b"\n")
            digest, moment, cached_tag = head.decode().split(" ", 2)
        except (OSError, ValueError):
            return None
        # The tag tells whether the file changed in the repository, the digest whether the cached copy is damaged.
        if cached_tag != tag or hashlib.sha256(data).hexdigest() != digest:
            return None
        return MetaText(data=data, tag=tag, modified=datetime.fromisoformat(moment) if moment != "-" else None)

    def _cache(self, ident: str, text: MetaText) -> MetaText:
        moment = text.modified.isoformat() if text.modified else "-"
        head = f"{hashlib.sha256(text.data).hexdigest()} {moment} {text.tag}\n"
        write_cached(self._path("meta", ident), head.encode() + text.data)
        return text

    def _path(self, kind: str, ident: str) -> Path:
        # Idents are not trusted as file names.
        return self.folder / kind / hashlib.sha256(ident.encode("utf-8", "replace")).hexdigest()[:32]

    @contextlib.contextmanager
    def tree(self, ident: str) -> Iterator[SourceTree]:
        """Download a package and yield its verified files, in a directory that is deleted at the end of the block.

        Raises:
            ObjectNotFound: The package no longer exists.
            IntegrityError: The package is damaged or malicious.
            ManifestError: Its metadata is not valid for a package.
            RepositoryError: The download failed; the next one resumes it.
            StorageError: The disk is full, or a file cannot be written.
        """
        meta = self.meta(ident)
        meta.manifest()
        where = f"{meta.archive} of {ident} in {self.repository.url}"
        with self._lock(ident), scratch_folder(self.folder / "scratch") as folder:
            path = self._download(ident, meta)
            with storage_errors(where), path.open("rb") as file:
                try:
                    check_archive(file, 0, path.stat().st_size, meta, where=where)
                    tree = unpack(file, 0, meta, folder, where=where)
                except IntegrityError:
                    path.unlink()
                    raise
            yield tree
            # Only after success: if the caller fails, the next attempt needs no download.
            path.unlink(missing_ok=True)

    def check(self, ident: str) -> None:
        """Check the existence, the size and the recorded MD5 of a package's archive, without downloading it.

        Raises:
            ObjectNotFound: The archive does not exist.
            IntegrityError: Its size or its recorded MD5 differs from ``meta.json``.
        """
        meta = self.meta(ident)
        self._check_archive(*self.repository.archive(ident, meta.archive), meta)

    def _check_archive(self, store: ObjectStore, key: str, meta: Meta) -> ObjectInfo:
        where = f"{meta.archive} of {meta.ident} in {self.repository.url}"
        info = store.head(key)
        if info.size != meta.archive_size:
            raise IntegrityError(
                f"{where} has {info.size:,} bytes; its {META_NAME} says {meta.archive_size:,}.",
                hint="It was truncated or overwritten. Upload it again.",
            )
        _check_written_md5(store, key, meta, where)
        return info

    def _download(self, ident: str, meta: Meta) -> Path:
        # The MD5 in the name keeps a partial download from being resumed with a replaced archive.
        path = self._path("downloads", ident).with_suffix(f".{meta.archive_md5}")
        with storage_errors(str(path.parent)):
            open_cache(path.parent).close()
        if not path.exists():
            store, key = self.repository.archive(ident, meta.archive)
            info = self._check_archive(store, key, meta)
            with self.reporter.task(f"Downloading {ident}", info.size) as task:
                download_object(store, key, path, info=info, progress=task.advance, durable=False)
        return path

    @contextlib.contextmanager
    def _lock(self, ident: str) -> Iterator[None]:
        """Hold a lock on a package, since two processes would write their downloads to the same file."""

        def waiting() -> None:
            self.reporter.note(f"Waiting for another process that is downloading {ident}")

        path = self._path("locks", ident)
        with contextlib.ExitStack() as stack:
            with storage_errors(str(self.folder)):
                folder = stack.enter_context(open_cache(path.parent))
                stack.enter_context(file_lock(f"{folder.path}/{path.name}", on_wait=waiting))
            yield


def write_cached(path: Path, data: bytes) -> None:
    """Write a cache file, ignoring a cache that cannot be written or in which another user put a link."""
    with contextlib.suppress(OSError, StorageError):
        write_cache_file(path, data)


def _check_written_md5(store: ObjectStore, key: str, meta: Meta, where: str) -> None:
    """Compare the MD5 in an archive's metadata with that in its ``meta.json``, before the download."""
    try:
        written = store.metadata(key).get(_MD5_NAME, "").strip("\"'").lower()
    except UnsupportedByStore:
        return
    if written and written != meta.archive_md5:
        raise IntegrityError(
            f"{where} was uploaded with the MD5 {written}; its {META_NAME} says {meta.archive_md5}.",
            hint="An upload was interrupted, or replaced only one of the two files. Upload the package again.",
            expected=meta.archive_md5,
            found=written,
        )
