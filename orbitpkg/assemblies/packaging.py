"""Upload assemblies and stimulus sets to a bucket, and add them to a catalogue.

Catalogue entries never change: packaging fails before the upload if the catalogue has the identifier, or if the bucket
has an object with the same name and different content.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from orbitpkg.assemblies.arrays import find_class
from orbitpkg.assemblies.catalogues import (
    ASSEMBLY,
    STIMULUS_SET,
    Row,
    append_rows,
    check_duplicates,
    open_catalogue,
    read_installed_catalogues,
)
from orbitpkg.assemblies.fetching import bucket_url
from orbitpkg.assemblies.loading import object_name
from orbitpkg.assemblies.netcdf import write_netcdf
from orbitpkg.assemblies.pins import digests_of
from orbitpkg.assemblies.stimuli import write_stimulus_set
from orbitpkg.errors import ObjectExists, ObjectNotFound, UsageError
from orbitpkg.files.atomic import temporary_name
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
    """An uploaded file, with the hashes and the version that can pin it.

    Attributes:
        uri: The address of the object.
        version_id: The version of the object. None if the bucket has no versioning.
        sha1: The SHA-1 digest, in lower-case hexadecimal digits.
        sha256: The SHA-256 digest, in the same form.
        blake3: The BLAKE3 digest, in the same form.
        size: The size in bytes.
    """

    uri: str
    version_id: str | None
    sha1: str
    sha256: str
    blake3: str
    size: int

    def __getitem__(self, name: str) -> object:
        """Return a field by its name. Brain-Score reads ``["sha1"]`` and ``["VersionId"]``."""
        return self.version_id if name == "VersionId" else getattr(self, name)


def upload_data_assembly(
    assembly: xr.DataArray, assembly_identifier: str, bucket_name: str, assembly_prefix: str = _ASSEMBLY
) -> Stored:
    """Upload an assembly to a bucket, overwriting an existing object. Earlier versions remain if the bucket keeps them.

    Args:
        assembly: The assembly.
        assembly_identifier: The identifier of the assembly, which determines the name of the object.
        bucket_name: The bucket, as ``bucket``, ``bucket/prefix`` or an address.
        assembly_prefix: The prefix of the object's name.

    Returns:
        The uploaded object. Pass its ``sha1`` and ``version_id`` to ``load_from_s3``.

    Raises:
        UsageError: netCDF cannot represent the assembly.
        RepositoryError: The upload failed.
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
    """Upload an assembly to a bucket, and add it to a catalogue.

    Args:
        catalog_identifier: An installed catalogue, or the path of a ``lookup.csv``, which is created if missing.
        proto_data_assembly: The measurements, with coordinates and attributes that describe them.
        assembly_identifier: The identifier of the assembly.
        stimulus_set_identifier: The stimulus set of the assembly, which must be in a catalogue. None if it has none.
        assembly_class_name: The class to load the assembly into.
        bucket_name: The bucket, as ``bucket``, ``bucket/prefix`` or an address.
        extras: Arrays with other dimensions that belong to the assembly, by name.

    Raises:
        UsageError: The identifier is taken, the stimulus set is unknown, or the assembly does not fit its class.
        RepositoryError: The upload failed.
    """
    catalogue = open_catalogue(catalog_identifier)
    row = Row(
        identifier=_check_identifier(assembly_identifier),
        lookup_type=ASSEMBLY,
        cls=assembly_class_name,
        location_type="",
        location="",
        sha1="",
        stimulus_set_identifier=stimulus_set_identifier or "",
    )
    check_duplicates(catalogue, [row])
    if stimulus_set_identifier is not None:
        _require_stimulus_set(stimulus_set_identifier, [*catalogue.rows, *_installed_rows()])
    assembly = find_class(assembly_class_name)(proto_data_assembly)
    assembly.validate()
    url = bucket_url(bucket_name)
    with tempfile.TemporaryDirectory(prefix="orbitpkg-") as folder:
        path = Path(folder) / object_name(_ASSEMBLY, assembly_identifier, ".nc")
        _write_assembly(assembly, path, assembly_identifier, stimulus_set_identifier, extras)
        (stored,) = _upload_new(url, [path])
    append_rows(catalogue, [_with_location(row, stored)])
    return stored


def package_stimulus_set(
    catalog_name: str | Path, proto_stimulus_set: Any, stimulus_set_identifier: str, bucket_name: str
) -> tuple[Stored, Stored]:
    """Upload a stimulus set to a bucket, and add it to a catalogue.

    Args:
        catalog_name: An installed catalogue, or the path of a ``lookup.csv``, which is created if missing.
        proto_stimulus_set: A table with one row per stimulus, a column ``stimulus_id``, and ``stimulus_paths``.
        stimulus_set_identifier: The identifier of the stimulus set.
        bucket_name: The bucket, as ``bucket``, ``bucket/prefix`` or an address.

    Returns:
        The uploaded table and the uploaded archive of the stimuli.

    Raises:
        UsageError: The identifier is taken, or the table or one of the stimuli is invalid.
        RepositoryError: The upload failed.
    """
    catalogue = open_catalogue(catalog_name)
    table = Row(
        identifier=_check_identifier(stimulus_set_identifier),
        lookup_type=STIMULUS_SET,
        cls="StimulusSet",
        location_type="",
        location="",
        sha1="",
    )
    check_duplicates(catalogue, [table])
    url = bucket_url(bucket_name)
    with tempfile.TemporaryDirectory(prefix="orbitpkg-") as folder:
        paths = [Path(folder) / object_name(_STIMULI, stimulus_set_identifier, suffix) for suffix in (".csv", ".zip")]
        write_stimulus_set(proto_stimulus_set, *paths)
        first, second = _upload_new(url, paths)
    # BrainIO distinguishes the two files by their class: only the table has one.
    append_rows(catalogue, [_with_location(table, first), _with_location(table, second, cls="")])
    return first, second


def _check_identifier(text: str) -> str:
    if not text or "/" in text or not text.isprintable() or text != text.strip():
        raise UsageError(f"{text!r} is not a valid identifier.", hint="Use letters, digits, dots, - and _.")
    return text


def _installed_rows() -> Iterator[Row]:
    for catalogue in read_installed_catalogues():
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
    """Upload files, except those that an interrupted run has already uploaded.

    Raises:
        ObjectExists: An object has different content.
    """
    store = open_store(url)
    try:
        existing = [_find_uploaded(store, path) for path in paths]
        return [found or _upload(store, path, create_only=True) for found, path in zip(existing, paths, strict=True)]
    finally:
        store.close()


def _find_uploaded(store: ObjectStore, path: Path) -> Stored | None:
    try:
        info = store.head(path.name)
    except ObjectNotFound:
        return None
    digests = digests_of(path)
    copy = Path(temporary_name(path.parent))
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


def _with_location(row: Row, stored: Stored, *, cls: str | None = None) -> Row:
    scheme, _, rest = stored.uri.partition("://")
    location = stored.uri
    if scheme == "s3":
        # BrainIO's tools read addresses of this form only.
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
