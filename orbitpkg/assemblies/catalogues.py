"""BrainIO catalogues: ``lookup.csv`` files with one row per file of a stimulus set or an assembly.

The columns (BrainIO Format Specification, "BrainIO Catalog"): ``identifier``, ``lookup_type`` ("stimulus_set" or
"assembly"), ``class``, ``location_type``, ``location``, ``sha1``, ``stimulus_set_identifier``. For buckets with
versioning, orbitpkg adds the column ``version_id``, which BrainIO ignores.

Packages register a function that returns BrainIO's ``Catalog`` in the entry-point group ``brainio_lookups``. If BrainIO
is not installed, the function cannot run, and the package's ``lookup.csv`` is read instead.
"""

from __future__ import annotations

import contextlib
import csv
import io
import os
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from blake3 import blake3

from orbitpkg.config.editing import write_text
from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.files.errors import WRITE, storage_errors
from orbitpkg.files.locks import file_lock
from orbitpkg.model.names import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "ASSEMBLY",
    "COLUMNS",
    "GROUP",
    "STIMULUS_SET",
    "Catalogue",
    "Row",
    "append_rows",
    "check_duplicates",
    "find_rows",
    "list_assemblies",
    "list_stimulus_sets",
    "open_catalogue",
    "read_installed_catalogues",
]

GROUP: Final = "brainio_lookups"
"""The entry-point group that catalogues are registered in."""

ASSEMBLY: Final = "assembly"
STIMULUS_SET: Final = "stimulus_set"
COLUMNS: Final = (
    "identifier",
    "lookup_type",
    "class",
    "location_type",
    "location",
    "sha1",
    "stimulus_set_identifier",
    "lookup_source",
)
"""The columns of a new catalogue, in BrainIO's order."""

_VERSION: Final = "version_id"
_FILE: Final = "lookup.csv"


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A catalogue entry for one file.

    Attributes:
        identifier: The identifier of the stimulus set or assembly that the file belongs to.
        lookup_type: ``ASSEMBLY`` or ``STIMULUS_SET``.
        cls: The class to load the file into. Empty for a ZIP file.
        location_type: How to fetch the file: one of ``LOCATION_TYPES``.
        location: The address of the file.
        sha1: The expected hash.
        stimulus_set_identifier: The stimulus set of an assembly. Empty if it has none.
        version_id: The version of the object. Empty for the newest.
        is_installed: Whether an installed package supplies the row, rather than a file that the caller names.
    """

    identifier: str
    lookup_type: str
    cls: str
    location_type: str
    location: str
    sha1: str
    stimulus_set_identifier: str = ""
    version_id: str = ""
    is_installed: bool = field(default=False, compare=False)

    @property
    def suffix(self) -> str:
        """The suffix of the file's name, in lower case: ``.csv``, ``.zip`` or ``.nc``."""
        return Path(self.location).suffix.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A catalogue.

    Attributes:
        identifier: The name of an installed catalogue, or the path of another.
        path: The file, or None if a package generates the catalogue in memory.
        rows: The entries.
    """

    identifier: str
    path: Path | None
    rows: tuple[Row, ...]


def read_installed_catalogues() -> list[Catalogue]:
    """Read the catalogues of installed packages.

    Raises:
        IntegrityError: A catalogue cannot be read. The message names it.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    return [_mark_installed(_installed(entry)) for _, entry in sorted(found.items())]


def _mark_installed(catalogue: Catalogue) -> Catalogue:
    return replace(catalogue, rows=tuple(replace(row, is_installed=True) for row in catalogue.rows))


def _installed(entry: EntryPoint) -> Catalogue:
    try:
        catalogue = entry.load()()
    except ImportError as error:
        path = _file_beside(entry)
        if path is None:
            raise IntegrityError(f"The catalogue {entry.name} ({entry.value}) could not be loaded: {error}.") from error
        return _read_file(path, entry.name)
    # This runs a third party's code, which may raise anything.
    except Exception as error:
        raise IntegrityError(f"The catalogue {entry.name} ({entry.value}) could not be loaded: {error}.") from error
    path = getattr(catalogue, "source_path", None)
    if path is not None:
        return _read_file(Path(path), entry.name)
    rows = catalogue.astype(object).where(catalogue.notna(), "").to_dict("records")
    return Catalogue(identifier=entry.name, path=None, rows=_parse_rows(rows, entry.name))


def _file_beside(entry: EntryPoint) -> Path | None:
    """Find the ``lookup.csv`` of the package that registered an entry point, without running the package's code."""
    spec = find_spec(entry.module.partition(".")[0])
    folders = [] if spec is None or spec.submodule_search_locations is None else spec.submodule_search_locations
    return next((path for folder in folders if (path := Path(folder) / _FILE).is_file()), None)


def open_catalogue(name: str | Path) -> Catalogue:
    """Read an installed catalogue by its name, or any catalogue by its path. A missing file is an empty catalogue.

    Raises:
        UsageError: No catalogue with this name is installed.
        IntegrityError: The catalogue cannot be read.
    """
    if isinstance(name, Path) or str(name).endswith(".csv"):
        path = Path(name)
        return _read_file(path, str(path)) if path.exists() else Catalogue(identifier=str(path), path=path, rows=())
    installed = {catalogue.identifier: catalogue for catalogue in read_installed_catalogues()}
    if name in installed:
        return installed[name]
    close = nearest(name, installed, n=1)
    raise UsageError(
        f"No catalogue {name!r} is installed.",
        hint=f"Did you mean {close[0]}?" if close else "To create one, give the path of a lookup.csv.",
    )


def _read_file(path: Path, identifier: str) -> Catalogue:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(f"The catalogue {path} cannot be read: {error}.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    try:
        missing = [column for column in COLUMNS[:-1] if column not in (reader.fieldnames or ())]
        records = [] if missing else list(reader)
    except csv.Error as error:  # a field longer than 128 KiB, or a NUL
        raise IntegrityError(f"The catalogue {path} cannot be read: {error}.") from error
    if missing:
        raise IntegrityError(f"The catalogue {path} has no columns {', '.join(missing)}.")
    return Catalogue(identifier=identifier, path=path, rows=_parse_rows(records, str(path)))


def _parse_rows(records: Iterable[Mapping[str, Any]], where: str) -> tuple[Row, ...]:
    rows = []
    for number, record in enumerate(records, start=2):
        values: dict[str, Any] = {column: str(record.get(column) or "").strip() for column in (*COLUMNS, _VERSION)}
        if values["lookup_type"] not in (ASSEMBLY, STIMULUS_SET) or not values["identifier"]:
            raise IntegrityError(f"{where}, line {number}: {values['lookup_type']!r} is not a lookup type.")
        del values["lookup_source"]
        rows.append(Row(cls=values.pop("class"), **values))
    return tuple(rows)


def list_assemblies() -> list[str]:
    """List the identifiers of assemblies in installed catalogues."""
    return _identifiers(ASSEMBLY)


def list_stimulus_sets() -> list[str]:
    """List the identifiers of stimulus sets in installed catalogues."""
    return _identifiers(STIMULUS_SET)


def _identifiers(kind: str) -> list[str]:
    return sorted({row.identifier for row in _all_rows(read_installed_catalogues()) if row.lookup_type == kind})


def _all_rows(catalogues: Sequence[Catalogue]) -> list[Row]:
    return [row for catalogue in catalogues for row in catalogue.rows]


def find_rows(identifier: str, kind: str, *, catalogue: str | Path | None = None) -> dict[str, Row]:
    """Find the catalogue entries of an assembly or a stimulus set.

    Args:
        identifier: The identifier of the assembly or stimulus set.
        kind: ``ASSEMBLY`` or ``STIMULUS_SET``.
        catalogue: The catalogue to search. None searches all installed catalogues.

    Returns:
        The rows by the suffixes of their files.

    Raises:
        UsageError: No catalogue has the identifier. The hint suggests a similar one.
        IntegrityError: Catalogues have conflicting entries for the identifier.
    """
    catalogues = read_installed_catalogues() if catalogue is None else [open_catalogue(catalogue)]
    rows = [row for row in _all_rows(catalogues) if row.lookup_type == kind]
    # Two catalogues may contain the same row.
    matching = dict.fromkeys(row for row in rows if row.identifier == identifier)
    what = "assembly" if kind == ASSEMBLY else "stimulus set"
    if not matching:
        close = nearest(identifier, {row.identifier for row in rows}, n=1)
        where = (
            f"the {len(catalogues)} catalogues" if len(catalogues) != 1 else f"the catalogue {catalogues[0].identifier}"
        )
        raise UsageError(
            f"No {what} {identifier!r} found in {where}.", hint=f"Did you mean {close[0]}?" if close else None
        )
    found: dict[str, Row] = {}
    for row in matching:
        if found.setdefault(row.suffix, row) != row:
            raise IntegrityError(f"Catalogues have conflicting entries for the {what} {identifier!r}: {row.location}.")
    return found


def append_rows(catalogue: Catalogue, rows: Sequence[Row]) -> None:
    """Add rows to a catalogue's file, all or none, creating the file if necessary. Existing rows are kept.

    Raises:
        UsageError: The catalogue is not stored in a file, or one of the identifiers has been added meanwhile.
        StorageError: The file cannot be written.
    """
    if catalogue.path is None:
        raise UsageError(f"Cannot add to the catalogue {catalogue.identifier}: it is not stored in a file.")
    with storage_errors(catalogue.path, WRITE):
        catalogue.path.parent.mkdir(parents=True, exist_ok=True)
        with _locked(catalogue.path):
            check_duplicates(open_catalogue(catalogue.path), rows)
            write_text(catalogue.path, _with_rows(catalogue.path, rows))


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold the lock of a catalogue. Its file is not beside the catalogue, which is often in a source repository."""
    from orbitpkg.config.caches import open_cache
    from orbitpkg.config.repositories import home

    name = f"{blake3(os.fsencode(path.resolve())).hexdigest()[:32]}.lock"
    with open_cache(home() / "assemblies" / "locks") as folder, file_lock(f"{folder.path}/{name}"):
        yield


def check_duplicates(catalogue: Catalogue, rows: Iterable[Row]) -> None:
    """Raise an error if a catalogue already has one of the identifiers.

    Raises:
        UsageError: An identifier is taken.
    """
    taken = {(row.lookup_type, row.identifier) for row in catalogue.rows}
    for row in rows:
        if (row.lookup_type, row.identifier) in taken:
            what = "an assembly" if row.lookup_type == ASSEMBLY else "a stimulus set"
            raise UsageError(
                f"The catalogue {catalogue.identifier} already has {what} {row.identifier!r}.",
                hint="Choose another identifier. Catalogue entries cannot be changed.",
            )


def _with_rows(path: Path, rows: Sequence[Row]) -> str:
    """Return the catalogue's text with rows appended, and with a version column if one of them needs it."""
    text = path.read_text(encoding="utf-8-sig") if path.exists() else ""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    columns = list(reader.fieldnames or COLUMNS)
    if _VERSION not in columns and any(row.version_id for row in rows):
        columns.append(_VERSION)
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, columns, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    writer.writerows(reader)
    for row in rows:
        writer.writerow({column: getattr(row, "cls" if column == "class" else column, "") for column in columns})
    return out.getvalue()
