"""Load assemblies and stimulus sets by identifier from a catalogue, or by identifier and hash from a bucket."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar, overload

import pandas as pd
import xarray as xr

from orbitpkg.assemblies.arrays import (
    DataAssembly,
    MetadataAssembly,
    NeuroidAssembly,
    find_class,
    list_coordinates,
    without_indexes,
)
from orbitpkg.assemblies.catalogues import ASSEMBLY, STIMULUS_SET, Row, find_rows
from orbitpkg.assemblies.fetching import bucket_url, check_location, fetch_file, unzip
from orbitpkg.assemblies.netcdf import read_groups, read_netcdf
from orbitpkg.assemblies.stimuli import ID_COLUMNS, id_column, read_stimulus_set
from orbitpkg.errors import IntegrityError

if TYPE_CHECKING:
    from collections.abc import Callable
    from os import PathLike

    from orbitpkg.assemblies.stimuli import StimulusSet

__all__ = [
    "DEFAULT_BUCKET",
    "AssemblyLoader",
    "StimulusMergeAssemblyLoader",
    "get_assembly",
    "get_stimulus_set",
    "load_assembly_from_s3",
    "load_from_s3",
    "load_stimulus_set_from_s3",
    "object_name",
]

DEFAULT_BUCKET: Final = "brainscore-language"
"""The bucket of Brain-Score's ``load_from_s3``."""

_PRESENTATION: Final = "presentation"


AssemblyT = TypeVar("AssemblyT", bound=xr.DataArray)


class AssemblyLoader(Generic[AssemblyT]):
    """A reader of an assembly in a netCDF file.

    Args:
        cls: The class of the result: an assembly class of orbitpkg or BrainIO, or ``xarray.DataArray``.
        file_path: The netCDF file.
        group: The group in the file. None for the root.
    """

    def __init__(self, cls: type[AssemblyT], file_path: str | PathLike[str], group: str | None = None) -> None:
        self.assembly_class = cls
        self.file_path = Path(file_path)
        self.group = group

    def load(self) -> AssemblyT:
        """Read the whole assembly. The extras in the file's groups become attributes with the groups' names.

        Raises:
            IntegrityError: The file does not contain an assembly.
            StorageError: The file cannot be read.
        """
        array = read_netcdf(self.file_path, group=self.group)
        if self.group is None:
            for name in read_groups(self.file_path):
                array.attrs[name] = MetadataAssembly(data=read_netcdf(self.file_path, group=name))
        return self.assembly_class(data=array)


class StimulusMergeAssemblyLoader(AssemblyLoader[AssemblyT]):
    """A reader of an assembly that adds the columns of its stimulus set as coordinates.

    Args:
        cls: The class of the result.
        file_path: The netCDF file.
        stimulus_set_identifier: The identifier of the stimulus set.
        stimulus_set: The stimulus set.
        merge: Whether to add the columns. Otherwise, the stimulus set is only added as an attribute.
    """

    def __init__(
        self,
        cls: type[AssemblyT],
        file_path: str | PathLike[str],
        stimulus_set_identifier: str,
        stimulus_set: pd.DataFrame,
        *,
        merge: bool = True,
    ) -> None:
        super().__init__(cls, file_path)
        self.stimulus_set_identifier = stimulus_set_identifier
        self.stimulus_set = stimulus_set
        self.merge = merge

    def load(self) -> AssemblyT:
        """Read the assembly.

        Raises:
            IntegrityError: The file does not contain an assembly, or its coordinates do not name the stimuli.
        """
        assembly = super().load()
        if self.merge and _PRESENTATION in assembly.dims:
            assembly = self.assembly_class(data=_merge_stimuli(assembly, self.stimulus_set))
        assembly.attrs["stimulus_set_identifier"] = self.stimulus_set_identifier
        assembly.attrs["stimulus_set"] = self.stimulus_set
        return assembly


def _merge_stimuli(assembly: xr.DataArray, stimuli: pd.DataFrame) -> xr.DataArray:
    """Add the columns of the stimulus set as coordinates, except those that the assembly already has."""
    array = without_indexes(assembly)
    existing = list_coordinates(array, _PRESENTATION)
    column = next((name for name in ID_COLUMNS if name in existing and name in stimuli.columns), None)
    if column is None:
        raise IntegrityError(
            f"The assembly has no coordinate {id_column(stimuli)}, which identifies the stimulus of each presentation."
        )
    presented = pd.DataFrame({column: array.coords[column].to_numpy()})
    new = [name for name in stimuli.columns if name == column or name not in existing]
    joined = presented.merge(pd.DataFrame(stimuli)[new], on=column, how="left")
    if len(joined) != len(presented):
        raise IntegrityError(f"The stimulus set has several rows with the same {column}.")
    columns = {name: (_PRESENTATION, joined[name].to_numpy()) for name in new if name != column}
    return array.assign_coords(columns)


def get_assembly(identifier: str, *, catalogue: str | Path | None = None) -> DataAssembly:
    """Load an assembly from a catalogue, verify its hash, and merge the columns of its stimulus set.

    Args:
        identifier: The identifier of the assembly.
        catalogue: An installed catalogue, or the path of a ``lookup.csv``. None searches all installed catalogues.

    Raises:
        UsageError: No catalogue has the identifier.
        AccessDenied: The file is private.
        IntegrityError: The file does not match the hash in the catalogue.
    """
    row = _require_file(find_rows(identifier, ASSEMBLY, catalogue=catalogue), ".nc", identifier)
    path = _fetch_row(row)
    cls = find_class(row.cls)
    if row.stimulus_set_identifier:
        stimuli = get_stimulus_set(row.stimulus_set_identifier, catalogue=catalogue)
        loader: AssemblyLoader[DataAssembly] = StimulusMergeAssemblyLoader(
            cls, path, row.stimulus_set_identifier, stimuli
        )
    else:
        loader = AssemblyLoader(cls, path)
    return _set_identifier(loader.load(), identifier)


def _require_file(rows: dict[str, Row], suffix: str, identifier: str) -> Row:
    if suffix not in rows:
        raise IntegrityError(f"The catalogue has no {suffix} file for {identifier}.")
    return rows[suffix]


def _fetch_row(row: Row) -> Path:
    if row.is_installed:
        check_location(row.location_type, row.location)
    return fetch_file(row.location_type, row.location, row.sha1, row.version_id or None)


def _set_identifier(assembly: AssemblyT, identifier: str) -> AssemblyT:
    assembly.attrs["identifier"] = identifier
    return assembly


def get_stimulus_set(identifier: str, *, catalogue: str | Path | None = None) -> StimulusSet:
    """Load a stimulus set from a catalogue, verify its hashes, and extract the stimuli to local files.

    Args:
        identifier: The identifier of the stimulus set.
        catalogue: An installed catalogue, or the path of a ``lookup.csv``. None searches all installed catalogues.

    Raises:
        UsageError: No catalogue has the identifier.
        AccessDenied: One of the files is private.
        IntegrityError: One of the files does not match its hash in the catalogue.
    """
    rows = find_rows(identifier, STIMULUS_SET, catalogue=catalogue)
    table, stimuli = (
        _fetch_row(_require_file(rows, ".csv", identifier)),
        _fetch_row(_require_file(rows, ".zip", identifier)),
    )
    return read_stimulus_set(table, unzip(stimuli), identifier=identifier)


def object_name(prefix: str, identifier: str, suffix: str) -> str:
    """Return BrainIO's object name for an assembly or a stimulus set."""
    return f"{prefix}{identifier.replace('.', '_')}{suffix}"


@overload
def load_from_s3(
    identifier: str, version_id: str | None, sha1: str, assembly_prefix: str = "assy_", *, bucket: str = DEFAULT_BUCKET
) -> NeuroidAssembly: ...


@overload
def load_from_s3(
    identifier: str,
    version_id: str | None,
    sha1: str,
    assembly_prefix: str = "assy_",
    *,
    cls: type[AssemblyT],
    bucket: str = DEFAULT_BUCKET,
) -> AssemblyT: ...


@overload
def load_from_s3(
    identifier: str,
    version_id: str | None,
    sha1: str,
    assembly_prefix: str,
    cls: type[AssemblyT],
    *,
    bucket: str = DEFAULT_BUCKET,
) -> AssemblyT: ...


def load_from_s3(
    identifier: str,
    version_id: str | None,
    sha1: str,
    assembly_prefix: str = "assy_",
    cls: type[xr.DataArray] = NeuroidAssembly,
    *,
    bucket: str = DEFAULT_BUCKET,
) -> xr.DataArray:
    """Load one version of an assembly. Compatible with Brain-Score's language benchmarks.

    Args:
        identifier: The identifier of the assembly.
        version_id: The version of the object. None for the newest.
        sha1: The expected hash: SHA-1, SHA-256 or BLAKE3.
        assembly_prefix: The prefix of the object's name.
        cls: The class of the result.
        bucket: The bucket, as ``bucket``, ``bucket/prefix`` or an address.

    Raises:
        ObjectNotFound: The object or the version does not exist.
        AccessDenied: The object is private.
        IntegrityError: The object has a different hash.
    """
    path = _fetch_object(bucket, object_name(assembly_prefix, identifier, ".nc"), sha1, version_id)
    return _set_identifier(AssemblyLoader(cls, path).load(), identifier)


def load_assembly_from_s3(  # noqa: PLR0917 - Brain-Score's signature
    identifier: str,
    version_id: str | None,
    sha1: str,
    bucket: str,
    cls: type[AssemblyT],
    stimulus_set_loader: Callable[[], StimulusSet] | None = None,
    merge_stimulus_set_meta: bool = True,
) -> AssemblyT:
    """Load one version of an assembly. Compatible with Brain-Score's vision benchmarks.

    Args:
        identifier: The identifier of the assembly.
        version_id: The version of the object. None for the newest.
        sha1: The expected hash: SHA-1, SHA-256 or BLAKE3.
        bucket: The bucket, as ``bucket``, ``bucket/prefix`` or an address.
        cls: The class of the result.
        stimulus_set_loader: A function that returns the stimulus set, which is added as an attribute.
        merge_stimulus_set_meta: Whether to add the columns of the stimulus set as coordinates.

    Raises:
        ObjectNotFound: The object or the version does not exist.
        AccessDenied: The object is private.
        IntegrityError: The object has a different hash.
    """
    path = _fetch_object(bucket, object_name("assy_", identifier, ".nc"), sha1, version_id)
    if stimulus_set_loader is None:
        return _set_identifier(AssemblyLoader(cls, path).load(), identifier)
    stimuli = stimulus_set_loader()
    loader = StimulusMergeAssemblyLoader(cls, path, stimuli.identifier, stimuli, merge=merge_stimulus_set_meta)
    return _set_identifier(loader.load(), identifier)


def load_stimulus_set_from_s3(  # noqa: PLR0917 - Brain-Score's signature
    identifier: str,
    bucket: str,
    csv_sha1: str,
    zip_sha1: str,
    csv_version_id: str | None,
    zip_version_id: str | None,
    filename_prefix: str = "image_",
) -> StimulusSet:
    """Load one version of a stimulus set. Compatible with Brain-Score's vision benchmarks.

    Args:
        identifier: The identifier of the stimulus set.
        bucket: The bucket, as ``bucket``, ``bucket/prefix`` or an address.
        csv_sha1: The hash of the table.
        zip_sha1: The hash of the stimuli.
        csv_version_id: The version of the table. None for the newest.
        zip_version_id: The version of the stimuli. None for the newest.
        filename_prefix: The prefix of the objects' names. ``package_stimulus_set`` uses "stimulus_".

    Raises:
        ObjectNotFound: The object or the version does not exist.
        AccessDenied: The object is private.
        IntegrityError: The object has a different hash.
    """
    table = _fetch_object(bucket, object_name(filename_prefix, identifier, ".csv"), csv_sha1, csv_version_id)
    stimuli = _fetch_object(bucket, object_name(filename_prefix, identifier, ".zip"), zip_sha1, zip_version_id)
    return read_stimulus_set(table, unzip(stimuli), identifier=identifier)


def _fetch_object(bucket: str, name: str, pin: str, version: str | None) -> Path:
    url = bucket_url(bucket)
    return fetch_file(url.partition("://")[0], f"{url}/{name}", pin, version)
