"""Catalogues as BrainIO has them: a ``lookup.csv`` with a row for each file of a stimulus set or an assembly.

The columns (BrainIO Format Specification, "BrainIO Catalog"): ``identifier``, ``lookup_type`` ("stimulus_set" or
"assembly"), ``class``, ``location_type``, ``location``, ``sha1``, ``stimulus_set_identifier``. orbitpkg adds
``version_id`` where the bucket keeps versions, which BrainIO passes over.

Catalogues are found in the entry-point group ``brainio_lookups``, where packages register a function that gives
BrainIO's ``Catalog``. Where BrainIO itself is not installed, the file ``lookup.csv`` in such a package is read.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
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
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "ASSEMBLY",
    "COLUMNS",
    "GROUP",
    "STIMULUS_SET",
    "Catalogue",
    "Row",
    "append_rows",
    "catalogue_named",
    "installed_catalogues",
    "list_assemblies",
    "list_stimulus_sets",
    "look_up",
    "refuse_duplicates",
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
    """A file, as a catalogue knows it.

    Attributes:
        identifier: Of the stimulus set or assembly it belongs to.
        lookup_type: ``ASSEMBLY`` or ``STIMULUS_SET``.
        cls: The class that holds it in memory; empty for a ZIP file.
        location_type: How it is fetched.
        location: Where it is.
        sha1: The hash that it must have.
        stimulus_set_identifier: Of an assembly: the stimulus set it is about; empty for none.
        version_id: The version of the object; empty for the newest.
    """

    identifier: str
    lookup_type: str
    cls: str
    location_type: str
    location: str
    sha1: str
    stimulus_set_identifier: str = ""
    version_id: str = ""

    @property
    def suffix(self) -> str:
        """How the file's name ends: ``.csv``, ``.zip`` or ``.nc``."""
        return Path(self.location).suffix.lower()


@dataclass(frozen=True, slots=True, kw_only=True)
class Catalogue:
    """A catalogue.

    Attributes:
        identifier: Its name; the path of one that is no installed one.
        path: The file it is in; None for one that a package makes up.
        rows: What it holds.
    """

    identifier: str
    path: Path | None
    rows: tuple[Row, ...]


def installed_catalogues() -> list[Catalogue]:
    """Read the catalogues of installed packages.

    Raises:
        IntegrityError: One cannot be read; the message names the package.
    """
    found = {entry.name: entry for entry in entry_points(group=GROUP)}
    return [_installed(entry) for _, entry in sorted(found.items())]


def _installed(entry: EntryPoint) -> Catalogue:
    try:
        made = entry.load()()
    except ImportError as error:
        path = _file_beside(entry)
        if path is None:
            raise IntegrityError(f"The catalogue {entry.name} ({entry.value}) could not be loaded: {error}.") from error
        return _read(path, entry.name)
    # Anybody's code runs here.
    except Exception as error:
        raise IntegrityError(f"The catalogue {entry.name} ({entry.value}) could not be loaded: {error}.") from error
    path = getattr(made, "source_path", None)
    if path is not None:
        return _read(Path(path), entry.name)
    rows = made.astype(object).where(made.notna(), "").to_dict("records")
    return Catalogue(identifier=entry.name, path=None, rows=_rows(rows, entry.name))


def _file_beside(entry: EntryPoint) -> Path | None:
    """Find ``lookup.csv`` in the package whose function cannot be called, without running any of its code."""
    spec = find_spec(entry.module.partition(".")[0])
    folders = [] if spec is None or spec.submodule_search_locations is None else spec.submodule_search_locations
    return next((path for folder in folders if (path := Path(folder) / _FILE).is_file()), None)


def catalogue_named(name: str | Path) -> Catalogue:
    """Read a catalogue by its name, or by the path of its file, which may not be there yet.

    Raises:
        UsageError: No catalogue has this name.
        IntegrityError: It cannot be read.
    """
    if isinstance(name, Path) or str(name).endswith(".csv"):
        path = Path(name)
        return _read(path, str(path)) if path.exists() else Catalogue(identifier=str(path), path=path, rows=())
    installed = {catalogue.identifier: catalogue for catalogue in installed_catalogues()}
    if name in installed:
        return installed[name]
    close = nearest(name, installed, n=1)
    raise UsageError(
        f"No catalogue {name!r} is installed.",
        hint=f"Did you mean {close[0]}?" if close else "To create one, give the path of a lookup.csv.",
    )


def _read(path: Path, identifier: str) -> Catalogue:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise IntegrityError(f"The catalogue {path} cannot be read: {error}.") from error
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [column for column in COLUMNS[:-1] if column not in (reader.fieldnames or ())]
    if missing:
        raise IntegrityError(f"The catalogue {path} has no columns {', '.join(missing)}.")
    return Catalogue(identifier=identifier, path=path, rows=_rows(list(reader), str(path)))


def _rows(records: Iterable[Mapping[str, Any]], where: str) -> tuple[Row, ...]:
    rows = []
    for number, record in enumerate(records, start=2):
        values = {column: str(record.get(column) or "").strip() for column in (*COLUMNS, _VERSION)}
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
    return sorted({row.identifier for row in _all_rows(installed_catalogues()) if row.lookup_type == kind})


def _all_rows(catalogues: Sequence[Catalogue]) -> list[Row]:
    return [row for catalogue in catalogues for row in catalogue.rows]


def look_up(identifier: str, kind: str, *, catalogue: str | Path | None = None) -> dict[str, Row]:
    """Find the files of an assembly or a stimulus set.

    Args:
        identifier: Its identifier.
        kind: ``ASSEMBLY`` or ``STIMULUS_SET``.
        catalogue: Where to look; in all installed catalogues when None.

    Returns:
        The rows, by how their files' names end.

    Raises:
        UsageError: It does not exist. The message suggests similar names.
        IntegrityError: Two rows contradict one another.
    """
    catalogues = installed_catalogues() if catalogue is None else [catalogue_named(catalogue)]
    rows = [row for row in _all_rows(catalogues) if row.lookup_type == kind]
    # The same row in two catalogues is one.
    mine = dict.fromkeys(row for row in rows if row.identifier == identifier)
    what = "assembly" if kind == ASSEMBLY else "stimulus set"
    if not mine:
        close = nearest(identifier, {row.identifier for row in rows}, n=1)
        where = (
            f"the {len(catalogues)} catalogues" if len(catalogues) != 1 else f"the catalogue {catalogues[0].identifier}"
        )
        raise UsageError(
            f"No {what} {identifier!r} found in {where}.", hint=f"Did you mean {close[0]}?" if close else None
        )
    found: dict[str, Row] = {}
    for row in mine:
        if found.setdefault(row.suffix, row) != row:
            raise IntegrityError(f"Catalogues have conflicting entries for the {what} {identifier!r}: {row.location}.")
    return found


def append_rows(catalogue: Catalogue, rows: Sequence[Row]) -> None:
    """Add rows to a catalogue's file, which is made if need be; all of them or none. Lines that are there stay.

    Raises:
        UsageError: The catalogue is in no file, or has rows for one of the identifiers by now.
        StorageError: The file cannot be written.
    """
    if catalogue.path is None:
        raise UsageError(f"Cannot add to the catalogue {catalogue.identifier}: it is not stored in a file.")
    with storage_errors(catalogue.path, WRITE):
        catalogue.path.parent.mkdir(parents=True, exist_ok=True)
        with file_lock(_lock_of(catalogue.path)):
            refuse_duplicates(catalogue_named(catalogue.path), rows)
            write_text(catalogue.path, _with_rows(catalogue.path, rows))


def _lock_of(path: Path) -> Path:
    """Give the file by which writers of a catalogue wait for one another: not beside it, where people keep sources."""
    from orbitpkg.config.repositories import home

    folder = home() / "assemblies" / "locks"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"{blake3(str(path.resolve()).encode()).hexdigest()[:32]}.lock"


def refuse_duplicates(catalogue: Catalogue, rows: Iterable[Row]) -> None:
    """Refuse identifiers that a catalogue has already.

    Raises:
        UsageError: It has one.
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
    """Give the catalogue's text with more rows, and with a column for versions if one has any."""
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
        said = {column: getattr(row, "cls" if column == "class" else column, "") for column in columns}
        writer.writerow(said)
    return out.getvalue()
