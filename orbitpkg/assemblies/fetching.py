"""Files pinned by a hash, downloaded from their addresses and cached by hash.

The hash is verified on every use, and a file that does not match is removed, never returned. Versions of an object have
different hashes, which keeps them apart in the cache.
"""

from __future__ import annotations

import shutil
import tempfile
import zipfile
import zlib
from contextlib import closing, suppress
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from orbitpkg.assemblies.pins import hash_file, parse_pin
from orbitpkg.errors import AccessDenied, CredentialsError, IntegrityError, ObjectNotFound, UsageError
from orbitpkg.files.atomic import replace_folder
from orbitpkg.files.errors import USER_FILE, storage_errors
from orbitpkg.files.names import disk_path
from orbitpkg.model.paths import RelativePath, relative_problem
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import join_uri, split_object_uri
from orbitpkg.objects.foreign import ForeignAddress
from orbitpkg.objects.transfer.files import download_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.objects.protocol import ObjectStore

__all__ = ["LOCATION_TYPES", "bucket_url", "check_location", "fetch_file", "home", "unzip", "uri_of"]

LOCATION_TYPES: Final = ("S3", "FILE", "HTTP", "HTTPS", "MEMORY")
"""The location types in catalogues. BrainIO supports S3 only."""

_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn")


def home() -> Path:
    """Return the cache directory: ``assemblies`` in ``ORBITPKG_HOME``."""
    from orbitpkg.config.repositories import home

    return home() / "assemblies"


def fetch_file(location_type: str, location: str, sha1: str, version_id: str | None = None) -> Path:
    """Return the local path of a file, downloading the file if it is not cached.

    Args:
        location_type: "S3", in any letter case, or "FILE", "HTTP" or "HTTPS" for other addresses.
        location: The address: ``s3://bucket/key`` or ``https://bucket.s3.amazonaws.com/key``. If
            ``AWS_ENDPOINT_URL`` is set, both are requested from that endpoint.
        sha1: The expected hash: SHA-1, SHA-256 or BLAKE3.
        version_id: The version of the S3 object. None for the newest.

    Raises:
        UsageError: The location, its type or the hash is invalid.
        ObjectNotFound: The object does not exist.
        AccessDenied: The object is private, and no credentials give access to it.
        IntegrityError: The object has a different hash. The download is deleted.
        StorageError: The file cannot be written.
    """
    pin = parse_pin(sha1)
    uri = uri_of(location_type, location)
    path = home() / pin.folder / disk_path(PurePosixPath(split_object_uri(uri)[1]).name)
    with storage_errors(path, USER_FILE):
        if path.is_file():
            if pin.matches(path):
                return path
            _evict(path.parent)
        _download(uri, path, version_id or None)
        found = hash_file(path, pin.kinds)
        if pin.digits not in found.values():
            _evict(path.parent)
    if pin.digits not in found.values():
        which = f" (version {version_id})" if version_id else ""
        raise IntegrityError(
            f"{uri}{which} does not match {pin}: the object has {_format_hashes(found)}. The download was deleted.",
            hint="The object was replaced, or the hash belongs to another object." if not version_id else None,
            uri=uri,
            expected=pin.digits,
        )
    return path


def _format_hashes(hashes: dict[str, str]) -> str:
    return " and ".join(f"{kind} {digits}" for kind, digits in hashes.items())


def _evict(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def uri_of(location_type: str, location: str) -> str:
    """Convert a catalogue's location to an address of orbitpkg.

    Raises:
        UsageError: The location or its type is invalid.
    """
    if location_type.upper() not in LOCATION_TYPES:
        raise UsageError(
            f"Unknown location type {location_type!r}.", hint=f"The types are {', '.join(LOCATION_TYPES)}."
        )
    if location_type.upper() != "S3":
        return join_uri(*split_object_uri(location))
    return join_uri(*split_object_uri(_s3_uri(location)))


def _s3_uri(location: str) -> str:
    """Parse virtual-hosted and path-style URLs (Amazon S3 User Guide, "Methods for accessing a bucket")."""
    parts = urlsplit(location)
    if parts.scheme == "s3":
        return location
    host, path = parts.hostname or "", unquote(parts.path.lstrip("/"))
    if parts.scheme not in ("http", "https") or not host.endswith(_AWS) or parts.query:
        raise UsageError(
            f"{location!r} is not an S3 address.", hint="Write s3://bucket/key or https://bucket.s3.amazonaws.com/key."
        )
    for mark in (".s3.", ".s3-"):
        bucket, found, _ = host.rpartition(mark)
        if found:
            return f"s3://{bucket}/{path}"
    return f"s3://{path}"


def check_location(location_type: str, location: str) -> None:
    """Refuse a location from a catalogue of others that leads to this machine, unless the user trusts it.

    Raises:
        UsageError: The location or its type is invalid.
        IntegrityError: The location leads to this machine or to its link.
    """
    from orbitpkg.config.trust import trusted_addresses

    ForeignAddress(uri_of(location_type, location), trusted=trusted_addresses()).check_host()


def bucket_url(bucket: str) -> str:
    """Return the address of a bucket given as ``bucket``, ``bucket/prefix`` or an address.

    Raises:
        UsageError: The name is empty.
    """
    if not bucket:
        raise UsageError("No bucket given.", hint='Set it: bucket_name="my-bucket"')
    return (bucket if "://" in bucket else f"s3://{bucket}").rstrip("/")


def _download(uri: str, path: Path, version: str | None) -> None:
    url, key = split_object_uri(uri)
    try:
        with closing(open_store(url)) as store:
            download_object(store, key, path, version=version)
            return
    except (AccessDenied, CredentialsError) as error:
        denied = error
    public = _open_unsigned(url)
    if public is None:
        raise denied
    try:
        with closing(public) as store:
            download_object(store, key, path, version=version)
    except (AccessDenied, CredentialsError, ObjectNotFound):
        which = f" in version {version}" if version else ""
        raise AccessDenied(
            f"{uri}{which} is private or does not exist.",
            hint=f"It cannot be read without credentials. With credentials: {denied.message}",
            uri=uri,
        ) from denied


def _open_unsigned(url: str) -> ObjectStore | None:
    """Open a bucket without credentials. Return None if the address is not in S3."""
    from orbitpkg.objects.addresses import parse_address
    from orbitpkg.objects.s3 import S3Store
    from orbitpkg.objects.s3_config import resolve_s3

    address = parse_address(url)
    if address.scheme != "s3":
        return None
    settings = replace(resolve_s3(address.location), keys=None, source=None)
    return S3Store(address.location, address.prefix, settings=settings)


def unzip(path: Path) -> Path:
    """Extract a ZIP file into the directory ``files`` beside it, unless all files are there with the right sizes.

    Returns:
        The directory.

    Raises:
        IntegrityError: The file is damaged or not a ZIP file, or contains a path outside the directory.
    """
    target = path.parent / "files"
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            for info in members:
                # Windows writes backslashes, which Linux would take for a part of the name.
                name = info.filename.replace("\\", "/")
                if relative_problem(name):
                    raise IntegrityError(f"{path.name} contains a path outside its directory: {info.filename!r}.")
                info.filename = disk_path(RelativePath(name))
            if not _is_extracted(target, members):
                _extract(archive, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise IntegrityError(f"{path} is damaged or not a ZIP file: {error}.") from error
    return target


def _is_extracted(folder: Path, members: Iterable[zipfile.ZipInfo]) -> bool:
    try:
        return all((folder / info.filename).stat().st_size == info.file_size for info in members)
    except OSError:
        return False


def _extract(archive: zipfile.ZipFile, target: Path) -> None:
    with storage_errors(target, USER_FILE), tempfile.TemporaryDirectory(prefix=".files.", dir=target.parent) as folder:
        fresh = Path(folder) / "files"
        fresh.mkdir()
        archive.extractall(fresh)
        # Another process may have extracted the same archive. Its files are the same.
        replace_folder(fresh, target, aside=Path(folder) / "old", durable=False)
