"""The catalogue of a dataset: its parts in the repository, and the copies of them in the local cache.

A part is created once and never changes. Its name ends with the digest of its bytes, so a cached copy never needs
revalidation. Compaction writes the rows of many parts to a single new part and then deletes the old ones. The name of
the new part sorts after theirs, so a paginated listing that misses the old parts includes the new one. A reader that
sees both counts each row once, because the footer of the new part names the parts it replaces.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orbitpkg.concurrency.pool import Pool
from orbitpkg.config.caches import open_cache
from orbitpkg.config.environment import environment
from orbitpkg.datasets.compaction import write_together
from orbitpkg.datasets.layout import catalogue_prefix, part_key, part_time
from orbitpkg.datasets.parts import Description, describe_part, footer_text
from orbitpkg.datasets.sending import digests_of, send_file
from orbitpkg.datasets.tables import Table, footer_of
from orbitpkg.errors import IntegrityError, ObjectExists, ObjectNotFound, OfflineError, RepositoryError
from orbitpkg.files.atomic import atomic_write, move_file, temporary_name
from orbitpkg.files.errors import storage_errors
from orbitpkg.model.jsontext import dump_json, load_json
from orbitpkg.objects.identity import identify_store
from orbitpkg.objects.retry import RetryPolicy, retry

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore
    from orbitpkg.reporting import Reporter

__all__ = ["Catalogue", "Compacted", "kept_folder"]

_FETCHERS: Final = 8
_COMPACTION: Final = RetryPolicy(tries=5)
# Compaction leaves parts of this size alone, because rewriting them each time costs more than it saves.
_LARGE: Final = 256 * 2**20
_IN_MEMORY: Final = 8 * 2**20
_DIGITS: Final = 32
# Another process may still be reading a part that has been compacted. Each use updates the modification time.
_UNUSED_SECONDS: Final = 3600.0


class Compacted:
    """The result of a compaction.

    Attributes:
        before: The number of parts before.
        after: The number of parts after.
        rows: The number of rows written.
    """

    __slots__ = ("after", "before", "rows")

    def __init__(self, before: int, after: int, rows: int) -> None:
        self.before = before
        self.after = after
        self.rows = rows


class Catalogue:
    """The catalogue of a dataset. Several processes can use it at the same time.

    Args:
        objects: The object store of the repository.
        dataset: The canonical ID of the dataset.
        kept: The local cache directory for the parts of this catalogue.
        offline: Use only the cached parts, without accessing the repository.
    """

    def __init__(self, objects: ObjectStore, dataset: str, *, kept: Path, offline: bool = False) -> None:
        self._objects = objects
        self._dataset = dataset
        self._kept = kept
        self._offline = offline

    def table(self, *, reporter: Reporter | None = None) -> Table:
        """Update the local cache and open the catalogue as a table.

        Raises:
            IntegrityError: A part is damaged or has a newer format.
            OfflineError: Offline mode is on and no part is cached.
        """
        try:
            return Table(self.fetch(reporter=reporter), spill=self._kept)
        except IntegrityError:
            if self._offline:
                raise
        # The cached copy may have been damaged after it was verified, so fetch it again.
        self._forget(set(), unused_seconds=0)
        return Table(self.fetch(reporter=reporter), spill=self._kept)

    def fetch(self, *, reporter: Reporter | None = None) -> list[Path]:
        """Fetch missing parts, delete obsolete ones from the cache, and return the paths of the current parts."""
        return self._offline_parts() if self._offline else self._current(reporter)[1]

    def _current(self, reporter: Reporter | None = None) -> tuple[list[ObjectInfo], list[Path]]:
        """Return the parts in the repository and the paths of the current ones, from one consistent listing."""

        def attempt() -> tuple[list[ObjectInfo], list[Path]]:
            infos = self.parts()
            self._fetch(infos, reporter)
            self._forget({_name(info.key) for info in infos})
            return infos, self._in_effect([self._kept / _name(info.key) for info in infos])

        try:
            # A listed part may have been compacted since; the part that replaces it is listed now.
            return retry(attempt, policy=_COMPACTION, when=lambda error: isinstance(error, ObjectNotFound))
        except ObjectNotFound:
            raise RepositoryError(
                f"The catalogue of {self._dataset} in {self._objects.url} changes faster than it can be read.",
                hint="Try again after the compaction has finished.",
            ) from None

    def parts(self) -> list[ObjectInfo]:
        """List the parts in the repository, oldest first."""
        return [info for info in self._objects.list(catalogue_prefix(self._dataset)) if part_time(info.key)]

    def append(self, data: bytes) -> str:
        """Add a part and return its key.

        Raises:
            RepositoryError: The part could not be written.
        """
        key = part_key(self._dataset, datetime.now(UTC), _digest(data))
        # The key is unique. If it exists, an earlier attempt succeeded but its reply was lost.
        with contextlib.suppress(ObjectExists):
            self._objects.create(key, data)
        return key

    def compact(self) -> Compacted:
        """Merge all parts that are not large into a single part, without duplicate rows, and delete the old parts.

        Raises:
            RepositoryError: The new part could not be written. The catalogue is unchanged.
        """
        # Work from a single listing, because parts that are added later must not be deleted.
        infos, effective = self._current()
        large = {_name(info.key) for info in infos if info.size >= _LARGE}
        small = [path for path in effective if path.name not in large]
        # Parts that an interrupted compaction replaced but did not delete.
        leftovers = [name for info in infos if (name := _name(info.key)) not in {path.name for path in effective}]
        if len(small) < 2:  # noqa: PLR2004 - one part is compact
            self._delete(leftovers)
            return Compacted(len(infos), len(effective), 0)
        replaced = [*(path.name for path in small), *leftovers]
        rows = self._write_compacted(small, replaced)
        self._delete(replaced)
        return Compacted(len(infos), len(effective) - len(small) + 1, rows)

    def _write_compacted(self, small: Sequence[Path], replaced: Sequence[str]) -> int:
        footer = footer_text(Description(dataset=self._dataset, replaces=tuple(replaced)))
        target = self._kept / f".{secrets.token_hex(8)}.parquet"
        try:
            rows = write_together(small, target, footer=footer, spill=self._kept)
            newest = max(found[0] for name in replaced if (found := part_time(name)))
            # The new name must sort after the replaced ones, even if a clock was wrong.
            now = max(datetime.now(UTC), newest + timedelta(microseconds=1))
            digest = digests_of(target).blake3[:_DIGITS]
            # The old parts are deleted only after this one exists. Until then, nothing is lost if the process is
            # killed.
            send_file(self._objects, part_key(self._dataset, now, digest), target)
        finally:
            target.unlink(missing_ok=True)
        return rows

    def _delete(self, names: Sequence[str]) -> None:
        prefix = catalogue_prefix(self._dataset)
        with Pool(_FETCHERS, "orbitpkg-compact") as pool:
            list(pool.map(lambda name: self._objects.delete(f"{prefix}{name}"), names))

    def _fetch(self, infos: Sequence[ObjectInfo], reporter: Reporter | None) -> None:
        from orbitpkg.reporting import SILENT

        missing = [info for info in infos if not self._is_kept(info)]
        if not missing:
            return
        with storage_errors(str(self._kept)):
            anchor = open_cache(self._kept)
        total = sum(info.size for info in missing)
        with anchor, (reporter or SILENT).task(f"Downloading the catalogue of {self._dataset}", total) as task:

            def fetch(info: ObjectInfo) -> None:
                self._fetch_one(info, Path(anchor.path))
                task.advance(info.size)

            with Pool(_FETCHERS, "orbitpkg-catalogue") as pool:
                list(pool.map(fetch, missing))

    def _is_kept(self, info: ObjectInfo) -> bool:
        path = self._kept / _name(info.key)
        try:
            # The description is written last, so a part without it may be incomplete.
            return path.stat().st_size == info.size and _description_path(path).is_file()
        except OSError:
            return False

    def _fetch_one(self, info: ObjectInfo, folder: Path) -> None:
        name = _name(info.key)
        found = part_time(name)
        assert found is not None
        where = f"The part {info.key} of the catalogue in {self._objects.url}"
        path = folder / name
        part = Path(temporary_name(folder))
        with storage_errors(str(path)):
            try:
                if self._get(info, part) != found[1]:
                    raise IntegrityError(
                        f"{where} is damaged: its digest does not match its name.",
                        hint="Restore it from a backup or from an older version of the object. "
                        "Without it, some data cannot be found.",
                        key=info.key,
                    )
                description = describe_part(footer_of(part, where=where), where=where)
                # A part that was copied from another dataset would add its rows to this one.
                if description.dataset != self._dataset:
                    raise IntegrityError(f"{where} belongs to the dataset {description.dataset}.", key=info.key)
                # The cache can be fetched again, so it is not synced to the disk.
                move_file(part, path, durable=False)
                atomic_write(_description_path(path), dump_json(description.replaces), durable=False, follow=False)
            finally:
                part.unlink(missing_ok=True)

    def _get(self, info: ObjectInfo, path: Path) -> str:
        """Fetch a part to a path and return the digest that its name must contain."""
        if info.size > _IN_MEMORY:
            from orbitpkg.objects.transfer.files import download_object

            return download_object(self._objects, info.key, path, info=info, durable=False).blake3[:_DIGITS]
        data, _ = self._objects.get(info.key)
        path.write_bytes(data)
        return _digest(data)

    def _in_effect(self, paths: Sequence[Path]) -> list[Path]:
        """Return the paths that no other part replaces, and mark them as used."""
        there = {path.name for path in paths}
        # During and after an interrupted compaction, both the merged part and the parts that it replaces exist.
        replaced = {name for path in paths for name in _replaces(path)}
        chosen = [path for path in paths if path.name in there - replaced]
        for path in chosen:
            with contextlib.suppress(OSError):  # a file of another user, which only that user deletes
                os.utime(path)
        return chosen

    def _forget(self, names: set[str], *, unused_seconds: float = _UNUSED_SECONDS) -> None:
        """Delete all other cached parts, unless another process may still be reading them."""
        before = time.time() - unused_seconds
        with contextlib.suppress(OSError):
            for path in self._kept.iterdir():
                name = path.name.removesuffix(".json")
                if part_time(name) and name not in names and path.stat().st_mtime <= before:
                    path.unlink(missing_ok=True)

    def _offline_parts(self) -> list[Path]:
        try:
            kept = [path for path in self._kept.iterdir() if part_time(path.name)]
        except OSError:
            kept = []
        if not kept:
            raise OfflineError(
                f"The catalogue of {self._dataset} is not cached on this machine, and cannot be read in offline mode.",
                hint="Omit --offline, or unset ORBITPKG_OFFLINE.",
            )
        return self._in_effect(sorted(kept))


def kept_folder(cache: Path, url: str, dataset: str) -> Path:
    """Return the cache directory for the parts of a catalogue. Each endpoint and each account has its own."""
    identity = str(identify_store(url, environment()))
    return cache / "datasets" / hashlib.sha256(identity.encode()).hexdigest()[:16] / dataset


def _name(key: str) -> str:
    return key.rpartition("/")[2]


def _digest(data: bytes) -> str:
    from blake3 import blake3

    return blake3(data).hexdigest()[:_DIGITS]


def _description_path(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _replaces(path: Path) -> list[str]:
    try:
        return [str(name) for name in load_json(_description_path(path).read_bytes()) or ()]
    except OSError:
        return []
