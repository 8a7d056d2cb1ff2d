"""Putting assemblies and stimulus sets into a bucket, and into a catalogue.

What is catalogued does not change: an identifier that the catalogue has, or an object of its name with other bytes, is
refused before anything is uploaded.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.assemblies.arrays import class_named
from orbitpkg.assemblies.catalogues import (
    ASSEMBLY,
    STIMULUS_SET,
    Row,
    append_rows,
    catalogue_named,
    installed_catalogues,
    refuse_duplicates,
)
from orbitpkg.assemblies.fetching import bucket_url
from orbitpkg.assemblies.loading import object_name
from orbitpkg.assemblies.netcdf import write_netcdf
from orbitpkg.assemblies.pins import digests_of
from orbitpkg.assemblies.stimuli import write_stimulus_set
from orbitpkg.errors import ObjectExists, ObjectNotFound, UsageError
from orbitpkg.model.names import nearest
from orbitpkg.objects import open_store
from orbitpkg.objects.transfer.files import download_object, upload_object

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import xarray as xr

    from orbitpkg.objects.protocol import ObjectStore

__all__ = ["Stored", "package_data_assembly", "package_stimulus_set", "upload_data_assembly"]

_STIMULI: Final = "stimulus_"
_ASSEMBLY: Final = "assy_"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A file that was put into a bucket, with all that it can be pinned by.

    Attributes:
        uri: Its address.
        version_id: The version of the object; None where the bucket keeps none.
        sha1: Of its bytes, as all hashes in hexadecimal digits.
        sha256: The same.
        blake3: The same.
        size: In bytes.
    """

    uri: str
    version_id: str | None
    sha1: str
    sha256: str
    blake3: str
    size: int

    def __getitem__(self, name: str) -> object:
        """Give a field by its name, as Brain-Score's callers ask for them ("sha1", "VersionId")."""
        return self.version_id if name == "VersionId" else getattr(self, name)


def upload_data_assembly(
    assembly: xr.DataArray, assembly_identifier: str, bucket_name: str, assembly_prefix: str = _ASSEMBLY
) -> Stored:
    """Put an assembly into a bucket. One that is there is written over; its versions stay where the bucket keeps them.

    Args:
        assembly: The assembly.
        assembly_identifier: Its identifier; the object is named after it.
        bucket_name: The bucket, or ``bucket/prefix``, or an address of orbitpkg's.
        assembly_prefix: What the object's name begins with.

    Returns:
        What pins it; ``sha1`` and ``version_id`` are what ``load_from_s3`` takes.

    Raises:
        UsageError: netCDF cannot hold it.
        RepositoryError: The bucket does not take it.
    """
    with tempfile.TemporaryDirectory(prefix="orbitpkg-") as folder:
        path = Path(folder) / object_name(assembly_prefix, assembly_identifier, ".nc")
        _write_assembly(assembly, path, assembly_identifier, None)
        store = open_store(bucket_url(bucket_name))
        try:
            return _upload(store, path, create_only=False)
        finally:
            store.close()


def package_data_assembly(  # noqa: PLR0917 - BrainIO's signature
    catalog_identifier: str | Path,
    proto_data_assembly: xr.DataArray,
    assembly_identifier: str,
    stimulus_set_identifier: str | None,
    assembly_class_name: str = "NeuronRecordingAssembly",
    bucket_name: str = "",
    extras: Mapping[str, xr.DataArray] | None = None,
) -> Stored:
    """Put an assembly into a bucket and into a catalogue.

    Args:
        catalog_identifier: An installed catalogue, or the path of a ``lookup.csv``, which is made if need be.
        proto_data_assembly: The measurements, with all that is known about them as coordinates and attributes.
        assembly_identifier: The identifier of the assembly.
        stimulus_set_identifier: The stimulus set it is about, which some catalogue has; None for none.
        assembly_class_name: The class to use when it is read.
        bucket_name: The bucket, or ``bucket/prefix``, or an address of orbitpkg's.
        extras: Arrays of other dimensions that belong to it, by name.

    Raises:
        UsageError: The identifier is taken, the stimulus set unknown, or the assembly none of its class.
        RepositoryError: The bucket does not take it.
    """
    catalogue = catalogue_named(catalog_identifier)
    row = Row(
        identifier=_identifier(assembly_identifier),
        lookup_type=ASSEMBLY,
        cls=assembly_class_name,
        location_type="",
        location="",
        sha1="",
        stimulus_set_identifier=stimulus_set_identifier or "",
    )
    refuse_duplicates(catalogue, [row])
    if stimulus_set_identifier is not None:
        _require_stimulus_set(stimulus_set_identifier, [*catalogue.rows, *_installed_rows()])
    assembly = class_named(assembly_class_name)(proto_data_assembly)
    assembly.validate()
    url = bucket_url(bucket_name)
    with tempfile.TemporaryDirectory(prefix="orbitpkg-") as folder:
        path = Path(folder) / object_name(_ASSEMBLY, assembly_identifier, ".nc")
        _write_assembly(assembly, path, assembly_identifier, stimulus_set_identifier, extras)
        (stored,) = _upload_new(url, [path])
    append_rows(catalogue, [_placed(row, stored)])
    return stored


def package_stimulus_set(
    catalog_name: str | Path, proto_stimulus_set: Any, stimulus_set_identifier: str, bucket_name: str
) -> tuple[Stored, Stored]:
    """Put a stimulus set into a bucket and into a catalogue.

    Args:
        catalog_name: An installed catalogue, or the path of a ``lookup.csv``, which is made if need be.
        proto_stimulus_set: A table with a row for each stimulus, a column ``stimulus_id``, and ``stimulus_paths``.
        stimulus_set_identifier: The identifier of the stimulus set.
        bucket_name: The bucket, or ``bucket/prefix``, or an address of orbitpkg's.

    Returns:
        What pins the table, and what pins the stimuli.

    Raises:
        UsageError: The identifier is taken, or the table or a stimulus cannot be used.
        RepositoryError: The bucket does not take it.
    """
    catalogue = catalogue_named(catalog_name)
    table = Row(
        identifier=_identifier(stimulus_set_identifier),
        lookup_type=STIMULUS_SET,
        cls="StimulusSet",
        location_type="",
        location="",
        sha1="",
    )
    refuse_duplicates(catalogue, [table])
    url = bucket_url(bucket_name)
    with tempfile.TemporaryDirectory(prefix="orbitpkg-") as folder:
        paths = [Path(folder) / object_name(_STIMULI, stimulus_set_identifier, suffix) for suffix in (".csv", ".zip")]
        write_stimulus_set(proto_stimulus_set, *paths)
        first, second = _upload_new(url, paths)
    # Of the two, only the table has a class (BrainIO tells them apart by that).
    append_rows(catalogue, [_placed(table, first), _placed(table, second, cls="")])
    return first, second


def _identifier(text: str) -> str:
    if not text or "/" in text or not text.isprintable() or text != text.strip():
        raise UsageError(f"{text!r} is not a valid identifier.", hint="Use letters, digits, dots, - and _.")
    return text


def _installed_rows() -> Iterator[Row]:
    for catalogue in installed_catalogues():
        yield from catalogue.rows


def _require_stimulus_set(identifier: str, rows: list[Row]) -> None:
    known = {row.identifier for row in rows if row.lookup_type == STIMULUS_SET}
    if identifier not in known:
        close = nearest(identifier, known, n=1)
        raise UsageError(
            f"No stimulus set {identifier!r} found in any catalogue.",
            hint=f"Did you mean {close[0]}?" if close else "Package it first: package_stimulus_set(…).",
        )


def _write_assembly(
    assembly: xr.DataArray,
    path: Path,
    identifier: str,
    stimulus_set: str | None,
    extras: Mapping[str, xr.DataArray] | None = None,
) -> None:
    named = {"identifier": identifier}
    if stimulus_set is not None:
        named["stimulus_set_identifier"] = stimulus_set
    write_netcdf(assembly, path, attributes=named, extras=extras)


def _upload(store: ObjectStore, path: Path, *, create_only: bool) -> Stored:
    digests = digests_of(path)
    found = upload_object(store, path.name, path, metadata={"sha1": digests.sha1}, create_only=create_only)
    return Stored(
        uri=f"{store.url}/{path.name}",
        version_id=found.info.version,
        sha1=digests.sha1,
        sha256=digests.sha256,
        blake3=digests.blake3,
        size=digests.size,
    )


def _upload_new(url: str, paths: list[Path]) -> list[Stored]:
    """Put files into a bucket that has none of their names, or has them from a run that broke off."""
    store = open_store(url)
    try:
        there = [_stored_already(store, path) for path in paths]
        return [found or _upload(store, path, create_only=True) for found, path in zip(there, paths, strict=True)]
    finally:
        store.close()


def _stored_already(store: ObjectStore, path: Path) -> Stored | None:
    try:
        info = store.head(path.name)
    except ObjectNotFound:
        return None
    digests = digests_of(path)
    copy = path.with_name(f"{path.name}.there")
    if info.size == digests.size:
        download_object(store, path.name, copy, info=info)
        if digests_of(copy) == digests:
            return Stored(
                uri=f"{store.url}/{path.name}",
                version_id=info.version,
                sha1=digests.sha1,
                sha256=digests.sha256,
                blake3=digests.blake3,
                size=digests.size,
            )
    raise ObjectExists(
        f"{store.url}/{path.name} already exists with different content; nothing was uploaded.",
        hint="Choose another identifier or another bucket.",
        key=path.name,
    )


def _placed(row: Row, stored: Stored, *, cls: str | None = None) -> Row:
    scheme, _, rest = stored.uri.partition("://")
    location = stored.uri
    if scheme == "s3":
        # The form that BrainIO's own tools read.
        bucket, _, key = rest.partition("/")
        location = f"https://{bucket}.s3.amazonaws.com/{key}"
    return Row(
        identifier=row.identifier,
        lookup_type=row.lookup_type,
        cls=row.cls if cls is None else cls,
        location_type=scheme.upper(),
        location=location,
        sha1=stored.sha1,
        stimulus_set_identifier=row.stimulus_set_identifier,
        version_id=stored.version_id or "",
    )
