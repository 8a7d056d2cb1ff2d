"""The Python interface of datasets: ``orbitpkg.dataset("recordings").where("robot = 'sawyer'").to_pandas()``.

A :class:`Dataset` registers files and selects data; a :class:`Selection` counts, lists, fetches and freezes them.
"""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.config.environment import environment
from orbitpkg.datasets.catalogue import Catalogue, kept_folder
from orbitpkg.datasets.columns import FIXED
from orbitpkg.datasets.datum import Datum, check_datum, parse_id
from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.objects.identity import identify_store
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import TypeAlias

    import pandas as pd
    import pyarrow as pa

    from orbitpkg.datasets.catalogue import Compacted
    from orbitpkg.datasets.fetching import Fetched
    from orbitpkg.datasets.indexing import Indexed
    from orbitpkg.datasets.registration import Failure, Registered
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
        identifier: The id of the dataset.
        repository: Its repository: an address, a directory, or the name of a configured repository.
        offline: Use the cached catalogue, without network access.

    Raises:
        DatasetNotFound: The dataset does not exist. The message suggests similar IDs.
        RepositoryError: The repository cannot be read.
    """
    from orbitpkg.config.repositories import is_offline, open_repository, repository_url
    from orbitpkg.datasets.sources import Source, read_source, source_key

    if is_offline(requested=offline) and not repository_url(repository).startswith(("file:", "memory:")):
        return _offline(Source(id=source_key(identifier), created=datetime.fromtimestamp(0, UTC)), repository)
    opened = open_repository(repository)
    return Dataset(read_source(opened, identifier), opened)


def find_dataset(identifier: str, repository: PathLike | None = None) -> Dataset | None:
    """Open a dataset, or return None if it or its repository does not exist.

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
    """Create a dataset, and its repository if needed.

    Args:
        identifier: The id: letters, digits, ``.``, ``_`` and ``-``. Ids are compared like package names.
        repository: As for :func:`dataset`.
        description: A short description.
        unsafe_single_writer: Create the dataset even if the store ignores create-only writes. The caller guarantees
            that no other process writes to it.

    Raises:
        DatasetExists: A dataset with this id exists.
        UnsafeRepository: The store ignores create-only writes.
        RepositoryError: The repository cannot be written.
    """
    from orbitpkg.config.repositories import open_repository
    from orbitpkg.datasets.sources import create_source

    opened = open_repository(repository)
    made = create_source(opened, identifier, description=description, unsafe_single_writer=unsafe_single_writer)
    return Dataset(made, opened)


def list_datasets(repository: PathLike | None = None, *, offline: bool = False) -> list[Dataset]:
    """List the datasets of a repository, by ID.

    Raises:
        RepositoryError: The repository cannot be read or listed.
    """
    from orbitpkg.config.repositories import open_repository
    from orbitpkg.datasets.sources import list_sources

    opened = open_repository(repository, offline=offline)
    return [Dataset(source, opened) for source in list_sources(opened)]


class Dataset:
    """A named, growing collection of files in a repository.

    Attributes:
        id: The id as its creator spelled it.
        created: The time of creation, UTC.
        description: A short description.
        repository: The address of the repository.
        identity: The identity of its store: the address, the endpoint and the account.
        objects: The object store of the repository.
        cache: The local cache directory.
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
        self.identity = str(identify_store(repository.url, environment()))
        kept = kept_folder(self.cache, repository.url, self._key)
        self._catalogue = Catalogue(repository.objects, self._key, kept=kept, offline=offline)

    def __repr__(self) -> str:
        return f"Dataset({self.id!r}, {self.repository!r})"

    def notes(self) -> list[Note]:
        """Return the notes about the dataset, oldest first."""
        from orbitpkg.datasets.sources import read_notes

        return read_notes(self._opened, self._key)

    def note(self, text: str) -> Note:
        """Add a note to the dataset."""
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
        """Register files, or all files in directories.

        Args:
            files: The paths of files and directories.
            tags: Tags for all files.
            metadata: Metadata for all files, as JSON values. It overrides the metadata in the files.
            lineage: The ids, or prefixes of IDs, of the data from which the files were derived.
            reporter: Receives the progress.

        Returns:
            The result. Its ``failures`` list the files that could not be registered, with the reasons.

        Raises:
            UsageError: A file or a datum of the lineage does not exist.
            RepositoryError: The repository could not be written.
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
        """Register the objects under an address in place, without copying or changing them.

        Args:
            url: ``s3://bucket/prefix``, or another address that can be listed.
            tags: Tags for all objects.
            metadata: Metadata for all objects. It overrides the metadata of the objects.
            read: Read each new object once, to compute its digests and extract its metadata.
            reporter: Receives the progress.

        Raises:
            RepositoryError: The address cannot be listed, or the catalogue cannot be written.
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
        """Select data. The selection is evaluated when it is used.

        Args:
            condition: A condition over the columns of the catalogue, in DuckDB's SQL. None selects all data.
            ids: Select only data with these ids, or prefixes of IDs.

        Raises:
            UsageError: An id is invalid.
        """
        filters = () if condition is None else (condition,)
        return Selection(self, filters, tuple(parse_id(each) for each in ids))

    def columns(self) -> dict[str, str]:
        """Return the SQL types of the catalogue's columns by name."""
        with self.table() as table:
            return dict(table.columns)

    def compact(self) -> Compacted:
        """Merge the parts of the catalogue into one, which is faster to read. Other processes can keep registering."""
        return self._catalogue.compact()

    def table(self, *, reporter: Reporter | None = None) -> Table:
        """Open the current catalogue as a table."""
        return self._catalogue.table(reporter=reporter)

    def _whole_ids(self, ids: Sequence[str]) -> list[str]:
        """Complete prefixes of IDs.

        Raises:
            UsageError: A prefix matches no datum, or several.
        """
        if not ids:
            return []
        found = []
        with self.table() as table:
            for word in ids:
                begin = parse_id(word)
                matching = [str(row[0]) for row in table.rows([f"id LIKE '{begin}%'"], columns=["id"], limit=2)]
                if len(matching) != 1:
                    problem = f"matches several data in {self.id}" if matching else f"matches no datum in {self.id}"
                    raise UsageError(f"The id {word} {problem}.")
                found += matching
        return found


class Selection:
    """The data of a dataset that satisfy all conditions, evaluated each time it is used.

    Attributes:
        dataset: The dataset.
        filters: The conditions.
    """

    def __init__(self, dataset: Dataset, filters: tuple[str, ...], ids: tuple[str, ...]) -> None:
        self.dataset = dataset
        self.filters = filters
        self._ids = ids

    def __repr__(self) -> str:
        return f"<selection of {self.dataset!r} where {' AND '.join(self._conditions()) or 'true'}>"

    def where(self, condition: str) -> Selection:
        """Return a narrower selection with an additional condition."""
        return Selection(self.dataset, (*self.filters, condition), self._ids)

    def count(self) -> int:
        """Return the number of selected data."""
        with self.dataset.table() as table:
            return table.count(self._conditions())[0]

    def total_size(self) -> int:
        """Return the sum of the sizes of the selected data in bytes."""
        with self.dataset.table() as table:
            return table.count(self._conditions())[1]

    def filter_columns(self) -> list[str]:
        """Return the columns that the conditions use, in order of appearance."""
        with self.dataset.table() as table:
            return table.columns_in(self.filters)

    def rows(self, *, columns: Sequence[str] | None = None, limit: int | None = None) -> Iterator[dict[str, object]]:
        """Yield the rows of the catalogue, roughly in the order of registration. ``None`` selects all columns."""
        with self.dataset.table() as table:
            names = list(table.columns) if columns is None else [*columns]
            for row in table.rows(self._conditions(), columns=names, limit=limit):
                yield dict(zip(names, row, strict=True))

    def data(self, *, failures: list[Failure] | None = None) -> Iterator[Datum]:
        """Yield the data as values, roughly in the order of registration.

        Args:
            failures: Receives the rows that are not valid data. Without it, the first of them raises its error.

        Raises:
            IntegrityError: A row is not a valid datum.
        """
        from orbitpkg.datasets.registration import Failure

        for row in self.rows(columns=FIXED):
            try:
                datum = _datum(row)
            except IntegrityError as error:
                if failures is None:
                    raise
                failures.append(Failure(name=str(row["name"]), error=error))
                continue
            yield datum

    def to_pandas(self) -> pd.DataFrame:
        """Return the rows as a pandas ``DataFrame``.

        Raises:
            MissingExtra: pandas is not installed.
        """
        from orbitpkg.extras import require

        require("pandas", extra="query", what="A data frame")
        with self.dataset.table() as table:
            frame: pd.DataFrame = table.to_pandas(self._conditions())
            return frame

    def to_arrow(self) -> pa.Table:
        """Return the rows as a ``pyarrow.Table``.

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
        """Fetch the data into a directory under their original names, and verify them. Skips files that are current.

        Args:
            folder: The directory, which is created if needed.
            force: Replace existing files that were not fetched by an earlier run.
            delete: Delete files that an earlier run fetched and that are no longer selected.
            reporter: Receives the progress.

        Returns:
            The result. Its ``failures`` list the data that could not be fetched, with the reasons.

        Raises:
            UsageError: The filter is invalid.
            RepositoryError: The catalogue cannot be read.
        """
        from orbitpkg.datasets.fetching import Stores, fetch
        from orbitpkg.datasets.folders import Journal

        place = Path(folder)
        failures: list[Failure] = []
        done = fetch(
            self.data(failures=failures),
            place,
            stores=Stores(self.dataset.objects),
            journal=Journal.of(self.dataset.cache, place, what=f"{self.dataset.identity}#{self.dataset.id}"),
            force=force,
            delete=delete,
            reporter=reporter or SILENT,
        )
        done.failures += failures
        return done

    def freeze(self, requirement: str, *, pack: bool = False, reporter: Reporter | None = None) -> Published:
        """Publish the data as a release, in the repository of the dataset.

        Args:
            requirement: The release, ``name==1.2.0``.
            pack: Include the files in the release instead of referring to their locations.
            reporter: Receives the progress.

        Raises:
            UsageError: ``requirement`` is not a name with an exact version, or the selection is empty.
            PartlyDone: A file could not be fetched. Nothing was published.
            ReleaseExists: The version exists with different content.
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


# The attributes that a row of the catalogue stores in another form.
_CONVERTED: Final = frozenset(["registered", "modified", "tags", "lineage", "metadata"])


def _datum(row: Mapping[str, Any]) -> Datum:
    from orbitpkg.model.jsontext import parse_json

    text = row["metadata"]
    try:
        metadata = parse_json(text.encode(), what=f"the metadata of {row['name']}", max_bytes=2**30) if text else {}
        datum = Datum(
            **{name: row[name] for name in FIXED if name not in _CONVERTED},
            registered=row["registered"].replace(tzinfo=UTC),
            modified=row["modified"].replace(tzinfo=UTC) if row["modified"] else None,
            tags=dict(row["tags"] or {}),
            metadata=metadata if isinstance(metadata, dict) else {},
            lineage=tuple(row["lineage"] or ()),
        )
    except (AttributeError, TypeError, ValueError):
        raise IntegrityError(f"The datum {str(row['id'])[:80]!r} is not valid: a field has the wrong type.") from None
    return check_datum(datum)
