"""Some of the data of a dataset: counted, listed, made a data frame, fetched."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.datasets.columns import FIXED
from orbitpkg.datasets.datum import Datum
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    import os
    from collections.abc import Iterator, Mapping, Sequence
    from typing import TypeAlias

    from orbitpkg.datasets.dataset import Dataset
    from orbitpkg.datasets.fetching import Fetched
    from orbitpkg.publisher.publish import Published
    from orbitpkg.reporting import Reporter

    PathLike: TypeAlias = str | os.PathLike[str]

__all__ = ["Selection"]


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

    def rows(self, *, columns: Sequence[str] | None = None, limit: int | None = None) -> Iterator[dict[str, Any]]:
        """Yield the rows of the catalogue, about in the order of registration; all columns when None are named."""
        with self.dataset.table() as table:
            names = list(table.columns) if columns is None else [*columns]
            for row in table.rows(self._conditions(), columns=names, limit=limit):
                yield dict(zip(names, row, strict=True))

    def data(self) -> Iterator[Datum]:
        """Yield them as values, about in the order of registration."""
        for row in self.rows(columns=FIXED):
            yield _datum(row)

    def to_pandas(self) -> Any:
        """Give the rows as a pandas ``DataFrame``.

        Raises:
            MissingExtra: pandas is not installed.
        """
        from orbitpkg.extras import require

        require("pandas", extra="query", what="A data frame")
        with self.dataset.table() as table:
            return table.to_pandas(self._conditions())

    def to_arrow(self) -> Any:
        """Give the rows as a ``pyarrow.Table``.

        Raises:
            MissingExtra: pyarrow is not installed.
        """
        from orbitpkg.extras import require

        require("pyarrow", extra="query", what="An Arrow table")
        with self.dataset.table() as table:
            return table.to_arrow(self._conditions())

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
        from orbitpkg.datasets.freezing import freeze

        return freeze(self, requirement, pack=pack, reporter=reporter or SILENT)

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
