"""Stimulus sets: a CSV table with one row per stimulus, and a ZIP file with the stimulus files.

The same stimuli produce identical bytes: files are stored uncompressed, in the order of the rows, without times or
owners.
"""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path, PurePosixPath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final

import pandas as pd

from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.model.paths import RelativePath

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from os import PathLike

__all__ = ["ID_COLUMNS", "StimulusSet", "id_column", "read_stimulus_set", "write_stimulus_set"]

ID_COLUMNS: Final = ("stimulus_id", "image_id")
"""The columns that can identify a stimulus. Older sets use the second."""

_FILE_NAME: Final = "filename"
_PATH_IN_STORE: Final = "stimulus_path_within_store"
_LOCAL: Final = (_PATH_IN_STORE, "stimulus_current_local_file_path")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE: Final = 0o100644 << 16


class StimulusSet(pd.DataFrame):
    """A table of stimuli with the paths of their files.

    Attributes:
        identifier: The identifier of the stimulus set.
        stimulus_paths: The paths of the files by stimulus id.
    """

    # pandas copies the attributes listed here to the tables that it derives from this one.
    _metadata: ClassVar[list[str]] = ["identifier", "stimulus_paths"]
    identifier: str = ""
    stimulus_paths: Mapping[Hashable, Path] = MappingProxyType({})

    @property
    def _constructor(self) -> type[StimulusSet]:
        return StimulusSet

    @classmethod
    def from_files(cls, csv_path: str | PathLike[str], dir_path: str | PathLike[str]) -> StimulusSet:
        """Read a stimulus set from a table and a directory of stimulus files.

        Raises:
            IntegrityError: The table cannot be read, or the file of a stimulus is missing.
        """
        return read_stimulus_set(Path(csv_path), Path(dir_path), identifier=Path(csv_path).stem)

    @property
    def image_paths(self) -> Mapping[Hashable, Path]:
        """The earlier name of ``stimulus_paths``."""
        return self.stimulus_paths

    @image_paths.setter
    def image_paths(self, paths: Mapping[Hashable, Path]) -> None:
        self.stimulus_paths = paths

    def get_stimulus(self, stimulus_id: object) -> Path:
        """Return the path of a stimulus file.

        Raises:
            KeyError: No stimulus has this id.
        """
        return self.stimulus_paths[stimulus_id]

    def get_image(self, image_id: object) -> Path:
        """Return the path of a stimulus file. The earlier name of ``get_stimulus``."""
        return self.get_stimulus(image_id)


def id_column(table: pd.DataFrame) -> str:
    """Return the name of the column that identifies stimuli.

    Raises:
        UsageError: The table has no such column.
    """
    for name in ID_COLUMNS:
        if name in table.columns:
            return name
    raise UsageError(
        f"The stimulus set has no column {ID_COLUMNS[0]}.", hint="Add the column, with an id for each stimulus."
    )


def read_stimulus_set(csv_path: Path, folder: Path, *, identifier: str) -> StimulusSet:
    """Read a stimulus set from a table and a directory of stimulus files.

    Raises:
        IntegrityError: The table cannot be read, or the file of a stimulus is missing.
    """
    try:
        stimuli = StimulusSet(pd.read_csv(csv_path))
        column = id_column(stimuli)
        names = stimuli[_FILE_NAME].fillna("").astype(str)
    except (ValueError, KeyError, UsageError) as error:
        raise IntegrityError(f"The table of the stimulus set {identifier} cannot be read: {error}.") from error
    paths = {key: folder / disk_path(RelativePath(name)) for key, name in zip(stimuli[column], names, strict=True)}
    missing = [path.name for path in paths.values() if not path.is_file()]
    if missing:
        raise IntegrityError(
            f"The stimulus set {identifier} lacks {len(missing):,} of {len(paths):,} stimuli, such as {missing[0]}."
        )
    stimuli.identifier = identifier
    stimuli.stimulus_paths = paths
    return stimuli


def write_stimulus_set(stimuli: Any, csv_path: Path, zip_path: Path) -> None:
    """Write a stimulus set to a new CSV and a new ZIP file.

    Args:
        stimuli: A table with a stimulus id in each row. Its ``stimulus_paths`` or ``get_stimulus(id)`` returns the
            files. The column ``stimulus_path_within_store``, or else the id, is the file's name in the archive, without
            its suffix.
        csv_path: The new CSV file.
        zip_path: The new ZIP file.

    Raises:
        UsageError: Ids are missing or duplicate, two files have the same name, a file is missing, or the table already
            has a column ``filename``.
        StorageError: A file cannot be read or written.
    """
    column = id_column(stimuli)
    if _FILE_NAME in stimuli.columns:
        raise UsageError(f"The stimulus set must not have a column {_FILE_NAME}: orbitpkg writes this column.")
    table = pd.DataFrame(stimuli)
    ids = list(table[column])
    if len(set(ids)) != len(ids) or not ids:
        raise UsageError("The stimulus set is empty." if not ids else f"Two stimuli have the same {column}.")
    files = {key: _file_of(stimuli, key) for key in ids}
    stems = table[_PATH_IN_STORE] if _PATH_IN_STORE in table.columns else table[column]
    names = [_check_name(f"{stem}{files[key].suffix}") for stem, key in zip(stems, ids, strict=True)]
    if len({name.casefold() for name in names}) != len(names):
        raise UsageError("Two stimuli have the same name in the archive.", hint=f"Check the column {_PATH_IN_STORE}.")
    _write_zip(zip_path, dict(zip(names, files.values(), strict=True)))
    kept = table.drop(columns=[each for each in _LOCAL if each in table.columns])
    kept.assign(**{_FILE_NAME: names}).to_csv(csv_path, index=False, lineterminator="\n")


def _file_of(stimuli: Any, key: object) -> Path:
    try:
        paths = getattr(stimuli, "stimulus_paths", None)
        found = Path(paths[key] if paths is not None else stimuli.get_stimulus(key))
    except (KeyError, AttributeError, TypeError):
        raise UsageError(
            f"The path of the stimulus {key!r} is unknown.",
            hint="Set stimuli.stimulus_paths to a dict of paths by stimulus id.",
        ) from None
    if not found.is_file():
        raise UsageError(f"The file {found} of the stimulus {key!r} does not exist.")
    return found


def _check_name(name: str) -> str:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or not name.isprintable():
        raise UsageError(f"{name!r} is not a valid name for a stimulus in the archive.")
    return str(parts)


def _write_zip(target: Path, files: Mapping[str, Path]) -> None:
    with storage_errors(target, USER_FILE), zipfile.ZipFile(target, "w") as archive:
        for name, path in files.items():
            # Stored, because media files are already compressed and the output of zlib depends on its version.
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _REGULAR_FILE
            info.create_system = 3  # Unix, on every platform
            info.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as out:
                shutil.copyfileobj(source, out)
