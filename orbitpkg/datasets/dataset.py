"""Datasets as Python sees them: ``orbitpkg.dataset("recordings").where("robot = 'sawyer'").to_pandas()``."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.datasets.catalogue import Catalogue, kept_folder
from orbitpkg.datasets.columns import FIXED
from orbitpkg.datasets.datum import Datum, parse_id
from orbitpkg.errors import UsageError
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    import pandas as pd
    import pyarrow as pa

    from orbitpkg.datasets.catalogue import Compacted
    from orbitpkg.datasets.fetching import Fetched
    from orbitpkg.datasets.indexing import Indexed
    from orbitpkg.datasets.registration import Registered
    from orbitpkg.datasets.sources import Note, Source
    from orbitpkg.datasets.tables import Table
    from orbitpkg.publisher.publish import Published
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["Dataset", "Selection", "create_dataset", "dataset", "find_dataset", "list_datasets"]


def dataset(identifier: str, repository: PathLike | None = None, *, offline: bool = False) -> Dataset:
    """Open a dataset.

    Args:
        identifier: Its id.
        repository: Where it is: an address, a directory, or the name of a configured repository.
        offline: Use no network: the catalogue is what this machine keeps of it.

    Raises:
        DatasetNotFound: There is none; the message names the nearest.
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.config.repositories import is_offline, open_repository, repository_url
    from orbitpkg.datasets.sources import Source, read_source, source_key

    if is_offline(requested=offline) and not repository_url(repository).startswith(("file:", "memory:")):
        return _offline(Source(id=source_key(identifier), created=datetime.fromtimestamp(0, UTC)), repository)
    opened = open_repository(repository)
    return Dataset(read_source(opened, identifier), opened)


def find_dataset(identifier: str, repository: PathLike | None = None) -> Dataset | None:
    """Open a dataset; None when there is none of this id, or no repository yet.

    Raises:
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.config.repositories import open_repository
    from orbitpkg.datasets.sources import find_source

    opened = open_repository(repository)
    source = find_source(opened, identifier)
    return Dataset(source, opened) if source is not None else None


def _offline(source: Source, repository: PathLike | None) -> Dataset:
    from orbitpkg.config.repositories import repository_url
    from orbitpkg.objects.offline import OfflineStore
    from orbitpkg.repository.repository import Repository

    return Dataset(source, Repository(OfflineStore(repository_url(repository))), offline=True)


def create_dataset(
    identifier: str, repository: PathLike | None = None, *, description: str = "", unsafe_single_writer: bool = False
) -> Dataset:
    """Make a dataset, and the repository if there is none.

    Args:
        identifier: Letters, digits, ``.``, ``_`` and ``-``; compared as names of packages are.
        repository: As for :func:`dataset`.
        description: What it is about.
        unsafe_single_writer: Make it even where the store ignores create-only writes; the caller vouches that nobody
            else writes there.

    Raises:
        DatasetExists: There is one of this id.
        UnsafeRepository: The store ignores create-only writes.
        RepositoryError: The repository cannot be written.
    """
    from orbitpkg.config.repositories import open_repository
    from orbitpkg.datasets.sources import create_source

    opened = open_repository(repository)
    made = create_source(opened, identifier, description=description, unsafe_single_writer=unsafe_single_writer)
    return Dataset(made, opened)


def list_datasets(repository: PathLike | None = None, *, offline: bool = False) -> list[Dataset]:
    """List the datasets of a repository, by id.

    Raises:
        RepositoryError: It cannot be read, or not be listed.
    """
    from orbitpkg.config.repositories import open_repository
    from orbitpkg.datasets.sources import list_sources

    opened = open_repository(repository, offline=offline)
    return [Dataset(source, opened) for source in list_sources(opened)]


class Dataset:
    """A named, growing collection of files in a repository.

    Attributes:
        id: As whoever made it writes it.
        created: When, UTC.
        description: What it is about.
        repository: The address of the repository.
        objects: Its store.
        cache: The folder of what this machine keeps of repositories.
    """

    def __init__(self, source: Source, repository: Repository, *, offline: bool = False) -> None:
        from orbitpkg.config.repositories import home

        self.id = source.id
        self.created = source.created
        self.description = source.description
        self.repository = repository.url
        self._key = source.key
        self._opened = repository
        self.objects = repository.objects
        self.cache = home() / "cache"
        kept = kept_folder(self.cache, repository.url, self._key)
        self._catalogue = Catalogue(repository.objects, self._key, kept=kept, offline=offline)

    def __repr__(self) -> str:
        return f"Dataset({self.id!r}, {self.repository!r})"

    def notes(self) -> list[Note]:
        """Give the notes about it, the oldest first."""
        from orbitpkg.datasets.sources import read_notes

        return read_notes(self._opened, self._key)

    def note(self, text: str) -> Note:
        """Note something about it."""
        from orbitpkg.datasets.sources import add_note

        return add_note(self._opened, self._key, text)

    def register(
        self,
        files: PathLike | Iterable[PathLike],
        *,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, object] | None = None,
        lineage: Sequence[str] = (),
        reporter: Reporter | None = None,
    ) -> Registered:
        """Register files, or all files below folders.

        Args:
            files: Their paths.
            tags: Said of all of them.
            metadata: The same, as JSON values; goes before what the files say of themselves.
            lineage: The ids (or the first digits of them) of the data they were made from.
            reporter: Told how far it is.

        Returns:
            What came of it; ``failures`` holds the files that could not be registered, and why.

        Raises:
            UsageError: There is no such file, or no datum of the lineage.
            RepositoryError: The repository did not take it.
        """
        from orbitpkg.datasets.registration import find_files, register_files

        found = find_files([files] if isinstance(files, str | os.PathLike) else files)
        return register_files(
            self.objects,
            self._catalogue,
            self._key,
            found,
            tags=tags or {},
            metadata=metadata or {},
            lineage=self._whole_ids(lineage),
            reporter=reporter or SILENT,
        )

    def index(
        self,
        url: str,
        *,
        tags: Mapping[str, str] | None = None,
        metadata: Mapping[str, object] | None = None,
        read: bool = False,
        reporter: Reporter | None = None,
    ) -> Indexed:
        """Register the objects below an address where they are; nothing is moved or written there.

        Args:
            url: ``s3://bucket/prefix``, or another address that can be listed.
            tags: Said of all of them.
            metadata: The same; goes before what the objects say of themselves.
            read: Read each new object once, for its digests and for the metadata within it.
            reporter: Told how far it is.

        Raises:
            RepositoryError: It cannot be listed, or the catalogue cannot be written.
        """
        from orbitpkg.datasets.indexing import index_objects

        return index_objects(
            self._opened,
            self._catalogue,
            self._key,
            url,
            tags=tags or {},
            metadata=metadata or {},
            read=read,
            reporter=reporter or SILENT,
        )

    def where(self, condition: str | None = None, *, ids: Sequence[str] = ()) -> Selection:
        """Select data; nothing is asked until the selection is used.

        Args:
            condition: Over the catalogue's columns, in DuckDB's SQL; None is all data.
            ids: Only those of these ids, or that begin so.

        Raises:
            UsageError: An id is none.
        """
        filters = () if condition is None else (condition,)
        return Selection(self, filters, tuple(parse_id(each) for each in ids))

    def columns(self) -> dict[str, str]:
        """Give the names and the SQL types of the catalogue's columns."""
        with self.table() as table:
            return dict(table.columns)

    def compact(self) -> Compacted:
        """Write the parts of the catalogue as one, which other programs read faster. Others may register meanwhile."""
        return self._catalogue.compact()

    def table(self, *, reporter: Reporter | None = None) -> Table:
        """Give the catalogue as a table, as it is now."""
        return self._catalogue.table(reporter=reporter)

    def _whole_ids(self, ids: Sequence[str]) -> list[str]:
        """Find the data that ids name.

        Raises:
            UsageError: An id names none, or several.
        """
        if not ids:
            return []
        found = []
        with self.table() as table:
            for word in ids:
                begin = parse_id(word)
                matching = [str(row[0]) for row in table.rows([f"id LIKE '{begin}%'"], columns=["id"], limit=2)]
                if len(matching) != 1:
                    raise UsageError(f"{word} names {'several data' if matching else 'no datum'} of {self.id}.")
                found += matching
        return found


class Selection:
    """Some of the data of a dataset: those that its conditions let pass when it is used.

    Attributes:
        dataset: Of which they are.
        filters: The conditions.
    """

    def __init__(self, dataset: Dataset, filters: tuple[str, ...], ids: tuple[str, ...]) -> None:
        self.dataset = dataset
        self.filters = filters
        self._ids = ids

    def __repr__(self) -> str:
        return f"<selection of {self.dataset!r} where {' AND '.join(self._conditions()) or 'true'}>"

    def where(self, condition: str) -> Selection:
        """Select of these."""
        return Selection(self.dataset, (*self.filters, condition), self._ids)

    def count(self) -> tuple[int, int]:
        """Give how many there are, and the sum of their sizes in bytes."""
        with self.dataset.table() as table:
            return table.count(self._conditions())

    def filter_columns(self) -> list[str]:
        """Give the columns that the conditions look at, in their order."""
        with self.dataset.table() as table:
            return table.columns_in(self.filters)

    def rows(self, *, columns: Sequence[str] | None = None, limit: int | None = None) -> Iterator[dict[str, object]]:
        """Yield the rows of the catalogue, about in the order of registration; all columns when None are named."""
        with self.dataset.table() as table:
            names = list(table.columns) if columns is None else [*columns]
            for row in table.rows(self._conditions(), columns=names, limit=limit):
                yield dict(zip(names, row, strict=True))

    def data(self) -> Iterator[Datum]:
        """Yield them as values, about in the order of registration."""
        for row in self.rows(columns=FIXED):
            yield _datum(row)

    def to_pandas(self) -> pd.DataFrame:
        """Give the rows as a pandas ``DataFrame``.

        Raises:
            MissingExtra: pandas is not installed.
        """
        from orbitpkg.extras import require

        require("pandas", extra="query", what="A data frame")
        with self.dataset.table() as table:
            frame: pd.DataFrame = table.to_pandas(self._conditions())
            return frame

    def to_arrow(self) -> pa.Table:
        """Give the rows as a ``pyarrow.Table``.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        from orbitpkg.extras import require

        require("pyarrow", extra="query", what="An Arrow table")
        with self.dataset.table() as table:
            arrow: pa.Table = table.to_arrow(self._conditions())
            return arrow

    def fetch(
        self, folder: PathLike, *, force: bool = False, delete: bool = False, reporter: Reporter | None = None
    ) -> Fetched:
        """Have them in a folder, verified, under their original names; what is there is not fetched again.

        Args:
            folder: Made if need be.
            force: Replace files that are there and that no earlier run put there.
            delete: Delete what earlier runs put there and is none of these.
            reporter: Told how far it is.

        Returns:
            What came of it; ``failures`` holds what could not be fetched, and why.

        Raises:
            UsageError: The filter cannot be used.
            RepositoryError: The catalogue cannot be read.
        """
        from orbitpkg.datasets.fetching import Stores, fetch
        from orbitpkg.datasets.folders import Journal

        place = Path(folder)
        return fetch(
            self.data(),
            place,
            stores=Stores(self.dataset.objects),
            journal=Journal.of(self.dataset.cache, place, what=f"{self.dataset.repository}#{self.dataset.id}"),
            force=force,
            delete=delete,
            reporter=reporter or SILENT,
        )

    def freeze(self, requirement: str, *, pack: bool = False, reporter: Reporter | None = None) -> Published:
        """Publish them as a release, in the repository of the dataset.

        Args:
            requirement: The release, ``name==1.2.0``.
            pack: Put the files into the release; without that it refers to them where they lie.
            reporter: Told how far it is.

        Raises:
            UsageError: ``requirement`` is no name and version, or nothing is selected.
            PartlyDone: A file cannot be had; nothing was published.
            ReleaseExists: The version is published with other content.
        """
        from orbitpkg.datasets.freezing import Origin, freeze

        dataset = self.dataset
        return freeze(
            self.data(),
            requirement,
            origin=Origin(dataset=dataset.id, repository=dataset.repository, filters=self.filters),
            objects=dataset.objects,
            cache=dataset.cache,
            pack=pack,
            reporter=reporter or SILENT,
        )

    def _conditions(self) -> list[str]:
        chosen = [" OR ".join(f"id LIKE '{each}%'" for each in self._ids)] if self._ids else []
        return [*chosen, *self.filters]


# What a datum holds in another form than its row.
_UNLIKE: Final = frozenset(["registered", "modified", "tags", "lineage", "metadata"])


def _datum(row: Mapping[str, Any]) -> Datum:
    from orbitpkg.model.jsontext import parse_json

    said = row["metadata"]
    metadata = parse_json(said.encode(), what=f"the metadata of {row['name']}", max_bytes=2**30) if said else {}
    assert isinstance(metadata, dict)
    return Datum(
        **{name: row[name] for name in FIXED if name not in _UNLIKE},
        registered=row["registered"].replace(tzinfo=UTC),
        modified=row["modified"].replace(tzinfo=UTC) if row["modified"] else None,
        tags=dict(row["tags"] or {}),
        metadata=metadata,
        lineage=tuple(row["lineage"] or ()),
    )
