"""Assemblies and stimulus sets, from a catalogue or straight from a bucket, by identifier and hash."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final, Generic, TypeVar, overload

import pandas as pd
import xarray as xr

from orbitpkg.assemblies.arrays import (
    DataAssembly,
    MetadataAssembly,
    NeuroidAssembly,
    class_named,
    coordinates_along,
    without_indexes,
)
from orbitpkg.assemblies.catalogues import ASSEMBLY, STIMULUS_SET, Row, look_up
from orbitpkg.assemblies.fetching import bucket_url, fetch_file, unzip
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
"""The bucket that Brain-Score's ``load_from_s3`` reads, and so this one."""

_PRESENTATION: Final = "presentation"


AssemblyT = TypeVar("AssemblyT", bound=xr.DataArray)


class AssemblyLoader(Generic[AssemblyT]):
    """Reads an assembly from a netCDF file.

    Args:
        cls: The class that it is to be: one of this room's, of BrainIO's, or ``xarray.DataArray``.
        file_path: The file.
        group: The group in the file; the root when None.
    """

    def __init__(self, cls: type[AssemblyT], file_path: str | PathLike[str], group: str | None = None) -> None:
        self.assembly_class = cls
        self.file_path = Path(file_path)
        self.group = group

    def load(self) -> AssemblyT:
        """Read it, whole, with the extras in the file's groups among its attributes, by their names.

        Raises:
            IntegrityError: The file does not contain an assembly.
            StorageError: It cannot be read.
        """
        array = read_netcdf(self.file_path, group=self.group)
        if self.group is None:
            for name in read_groups(self.file_path):
                array.attrs[name] = MetadataAssembly(data=read_netcdf(self.file_path, group=name))
        return self.assembly_class(data=array)


class StimulusMergeAssemblyLoader(AssemblyLoader[AssemblyT]):
    """Reads an assembly, and adds what its stimulus set says of each presented stimulus.

    Args:
        cls: The class of the result.
        file_path: The file.
        stimulus_set_identifier: The stimulus set's name.
        stimulus_set: The stimulus set.
        merge: Whether to add its columns, or only to put it among the attributes.
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
        """Read it.

        Raises:
            IntegrityError: The file does not contain an assembly, or does not name its stimuli.
        """
        assembly = super().load()
        if self.merge and _PRESENTATION in assembly.dims:
            assembly = self.assembly_class(data=_merged(assembly, self.stimulus_set))
        assembly.attrs["stimulus_set_identifier"] = self.stimulus_set_identifier
        assembly.attrs["stimulus_set"] = self.stimulus_set
        return assembly


def _merged(assembly: xr.DataArray, stimuli: pd.DataFrame) -> xr.DataArray:
    """Add a coordinate for each column of the stimulus set that the assembly has none for."""
    array = without_indexes(assembly)
    there = coordinates_along(array, _PRESENTATION)
    column = next((name for name in ID_COLUMNS if name in there and name in stimuli.columns), None)
    if column is None:
        raise IntegrityError(
            f"The assembly has no coordinate {id_column(stimuli)} that assigns stimuli to its presentations."
        )
    presented = pd.DataFrame({column: array.coords[column].to_numpy()})
    new = [name for name in stimuli.columns if name == column or name not in there]
    joined = presented.merge(pd.DataFrame(stimuli)[new], on=column, how="left")
    if len(joined) != len(presented):
        raise IntegrityError(f"The stimulus set has several rows with the same {column}.")
    columns = {name: (_PRESENTATION, joined[name].to_numpy()) for name in new if name != column}
    return array.assign_coords(columns)


def get_assembly(identifier: str, *, catalogue: str | Path | None = None) -> DataAssembly:
    """Give an assembly, exactly as it was catalogued, with the columns of its stimulus set.

    Args:
        identifier: Its identifier.
        catalogue: An installed catalogue, or the path of a ``lookup.csv``; all installed ones when None.

    Raises:
        UsageError: No catalogue contains this name.
        AccessDenied: Its file is private.
        IntegrityError: The file differs from the catalogue.
    """
    row = _only(look_up(identifier, ASSEMBLY, catalogue=catalogue), ".nc", identifier)
    path = _fetched(row)
    cls = class_named(row.cls)
    if row.stimulus_set_identifier:
        stimuli = get_stimulus_set(row.stimulus_set_identifier, catalogue=catalogue)
        loader: AssemblyLoader[DataAssembly] = StimulusMergeAssemblyLoader(
            cls, path, row.stimulus_set_identifier, stimuli
        )
    else:
        loader = AssemblyLoader(cls, path)
    return _identified(loader.load(), identifier)


def _only(rows: dict[str, Row], suffix: str, identifier: str) -> Row:
    if suffix not in rows:
        raise IntegrityError(f"The catalogue has no {suffix} file for {identifier}.")
    return rows[suffix]


def _fetched(row: Row) -> Path:
    return fetch_file(row.location_type, row.location, row.sha1, row.version_id or None)


def _identified(assembly: AssemblyT, identifier: str) -> AssemblyT:
    assembly.attrs["identifier"] = identifier
    return assembly


def get_stimulus_set(identifier: str, *, catalogue: str | Path | None = None) -> StimulusSet:
    """Give a stimulus set, exactly as it was catalogued, with its stimuli as local files.

    Args:
        identifier: Its identifier.
        catalogue: An installed catalogue, or the path of a ``lookup.csv``; all installed ones when None.

    Raises:
        UsageError: No catalogue contains this name.
        AccessDenied: A file of it is private.
        IntegrityError: A file differs from the catalogue.
    """
    rows = look_up(identifier, STIMULUS_SET, catalogue=catalogue)
    table, stimuli = _fetched(_only(rows, ".csv", identifier)), _fetched(_only(rows, ".zip", identifier))
    return read_stimulus_set(table, unzip(stimuli), identifier=identifier)


def object_name(prefix: str, identifier: str, suffix: str) -> str:
    """Name the object of an assembly or a stimulus set in its bucket, as BrainIO does."""
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
    """Give one version of an assembly, as Brain-Score's benchmarks of language do.

    Args:
        identifier: Its identifier.
        version_id: The version of the object; None for the newest.
        sha1: The hash its bytes must have; a SHA-256 or a BLAKE3 does as well.
        assembly_prefix: What the object's name begins with.
        cls: The class of the result.
        bucket: The bucket, or ``bucket/prefix``, or an address of orbitpkg's.

    Raises:
        ObjectNotFound: The object or the version does not exist.
        AccessDenied: It is private.
        IntegrityError: Its bytes have another hash.
    """
    path = _object(bucket, object_name(assembly_prefix, identifier, ".nc"), sha1, version_id)
    return _identified(AssemblyLoader(cls, path).load(), identifier)


def load_assembly_from_s3(  # noqa: PLR0917 - Brain-Score's signature
    identifier: str,
    version_id: str | None,
    sha1: str,
    bucket: str,
    cls: type[AssemblyT],
    stimulus_set_loader: Callable[[], StimulusSet] | None = None,
    merge_stimulus_set_meta: bool = True,
) -> AssemblyT:
    """Give one version of an assembly, as Brain-Score's benchmarks of vision do.

    Args:
        identifier: Its identifier.
        version_id: The version of the object; None for the newest.
        sha1: The hash its bytes must have; a SHA-256 or a BLAKE3 does as well.
        bucket: The bucket, or ``bucket/prefix``, or an address of orbitpkg's.
        cls: The class of the result.
        stimulus_set_loader: Gives its stimulus set, which is put among the attributes.
        merge_stimulus_set_meta: Whether the stimulus set's columns are added too.

    Raises:
        ObjectNotFound: The object or the version does not exist.
        AccessDenied: It is private.
        IntegrityError: Its bytes have another hash.
    """
    path = _object(bucket, object_name("assy_", identifier, ".nc"), sha1, version_id)
    if stimulus_set_loader is None:
        return _identified(AssemblyLoader(cls, path).load(), identifier)
    stimuli = stimulus_set_loader()
    loader = StimulusMergeAssemblyLoader(cls, path, stimuli.identifier, stimuli, merge=merge_stimulus_set_meta)
    return _identified(loader.load(), identifier)


def load_stimulus_set_from_s3(  # noqa: PLR0917 - Brain-Score's signature
    identifier: str,
    bucket: str,
    csv_sha1: str,
    zip_sha1: str,
    csv_version_id: str | None,
    zip_version_id: str | None,
    filename_prefix: str = "image_",
) -> StimulusSet:
    """Give one version of a stimulus set, as Brain-Score's benchmarks of vision do.

    Args:
        identifier: Its identifier.
        bucket: The bucket, or ``bucket/prefix``, or an address of orbitpkg's.
        csv_sha1: The hash of the table.
        zip_sha1: The hash of the stimuli.
        csv_version_id: The version of the table; None for the newest.
        zip_version_id: The version of the stimuli; None for the newest.
        filename_prefix: What the objects' names begin with; "stimulus_" for what ``package_stimulus_set`` writes.

    Raises:
        ObjectNotFound: The object or the version does not exist.
        AccessDenied: It is private.
        IntegrityError: Its bytes have another hash.
    """
    table = _object(bucket, object_name(filename_prefix, identifier, ".csv"), csv_sha1, csv_version_id)
    stimuli = _object(bucket, object_name(filename_prefix, identifier, ".zip"), zip_sha1, zip_version_id)
    return read_stimulus_set(table, unzip(stimuli), identifier=identifier)


def _object(bucket: str, name: str, pin: str, version: str | None) -> Path:
    url = bucket_url(bucket)
    return fetch_file(url.partition("://")[0], f"{url}/{name}", pin, version)
