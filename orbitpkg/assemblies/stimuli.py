"""Stimulus sets: a table with a row for each stimulus, in CSV, and the stimuli themselves, in a ZIP file.

The same stimuli give the same bytes: files are stored in the order of the rows, as they are, with no times or owners.
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

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping
    from os import PathLike

__all__ = ["ID_COLUMNS", "StimulusSet", "id_column", "read_stimulus_set", "write_stimulus_set"]

ID_COLUMNS: Final = ("stimulus_id", "image_id")
"""The columns that name a stimulus; older sets have the second."""

_FILE_NAME: Final = "filename"
_PATH_IN_STORE: Final = "stimulus_path_within_store"
_LOCAL: Final = (_PATH_IN_STORE, "stimulus_current_local_file_path")
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)
_REGULAR_FILE: Final = 0o100644 << 16


class StimulusSet(pd.DataFrame):
    """A table of stimuli that knows where their files are.

    Attributes:
        identifier: Its name.
        stimulus_paths: The file of each stimulus, by its id.
    """

    # So pandas hands these on to the tables it makes of this one.
    _metadata: ClassVar[list[str]] = ["identifier", "stimulus_paths"]
    identifier: str = ""
    stimulus_paths: Mapping[Hashable, Path] = MappingProxyType({})

    @property
    def _constructor(self) -> type[StimulusSet]:
        return StimulusSet

    @classmethod
    def from_files(cls, csv_path: str | PathLike[str], dir_path: str | PathLike[str]) -> StimulusSet:
        """Read a stimulus set from a table and a folder of stimuli.

        Raises:
            IntegrityError: The table cannot be read, or the file of a stimulus is not in the folder.
        """
        return read_stimulus_set(Path(csv_path), Path(dir_path), identifier=Path(csv_path).stem)

    @property
    def image_paths(self) -> Mapping[Hashable, Path]:
        """The name that ``stimulus_paths`` had."""
        return self.stimulus_paths

    @image_paths.setter
    def image_paths(self, paths: Mapping[Hashable, Path]) -> None:
        self.stimulus_paths = paths

    def get_stimulus(self, stimulus_id: object) -> Path:
        """Give the file of one stimulus.

        Raises:
            KeyError: The stimulus does not exist.
        """
        return self.stimulus_paths[stimulus_id]

    def get_image(self, image_id: object) -> Path:
        """Give the file of one stimulus; the name that ``get_stimulus`` had."""
        return self.get_stimulus(image_id)


def id_column(table: pd.DataFrame) -> str:
    """Name the column that names stimuli.

    Raises:
        UsageError: There is none.
    """
    for name in ID_COLUMNS:
        if name in table.columns:
            return name
    raise UsageError(
        f"The stimulus set has no column {ID_COLUMNS[0]}.", hint="Add the column, with an id for each stimulus."
    )


def read_stimulus_set(csv_path: Path, folder: Path, *, identifier: str) -> StimulusSet:
    """Read a stimulus set.

    Raises:
        IntegrityError: The table cannot be read, or the file of a stimulus is not in the folder.
    """
    try:
        stimuli = StimulusSet(pd.read_csv(csv_path))
        column = id_column(stimuli)
        names = stimuli[_FILE_NAME].astype(str)
    except (ValueError, KeyError, UsageError) as error:
        raise IntegrityError(f"The table of the stimulus set {identifier} cannot be read: {error}.") from error
    paths = {key: folder / name for key, name in zip(stimuli[column], names, strict=True)}
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
        stimuli: A table with an id for each stimulus, and ``stimulus_paths`` or ``get_stimulus(id)``, which tell their
            files. ``stimulus_path_within_store`` names a file in the archive, without its suffix; it is the id else.
        csv_path: The table.
        zip_path: The archive.

    Raises:
        UsageError: It has no ids, two of one name, a file that is missing, or a column ``filename`` already.
        StorageError: A file cannot be read, or the disk is full.
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
    names = [_name(f"{stem}{files[key].suffix}") for stem, key in zip(stems, ids, strict=True)]
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


def _name(name: str) -> str:
    parts = PurePosixPath(name)
    if parts.is_absolute() or ".." in parts.parts or "\\" in name or not name.isprintable():
        raise UsageError(f"{name!r} is not a valid name for a stimulus in the archive.")
    return str(parts)


def _write_zip(target: Path, files: Mapping[str, Path]) -> None:
    with storage_errors(target, USER_FILE), zipfile.ZipFile(target, "w") as archive:
        for name, path in files.items():
            # Not packed: pictures, sounds and films are already, and every zlib packs in its own way.
            info = zipfile.ZipInfo(name, _EPOCH)
            info.external_attr = _REGULAR_FILE
            info.create_system = 3  # Unix, wherever this runs
            info.file_size = path.stat().st_size
            with path.open("rb") as source, archive.open(info, "w") as out:
                shutil.copyfileobj(source, out)
