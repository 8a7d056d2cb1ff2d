"""Files by address and hash, kept on this machine under their hash.

A file is handed out only if its bytes have the hash, whether it was fetched now or kept before. One that has another is
removed. Versions of one object have different hashes, and so lie side by side.
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
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import join_uri, split_object_uri
from orbitpkg.objects.transfer.files import download_object

if TYPE_CHECKING:
    from collections.abc import Iterable

    from orbitpkg.objects.protocol import ObjectStore

__all__ = ["LOCATION_TYPES", "bucket_url", "fetch_file", "home", "unzip", "uri_of"]

LOCATION_TYPES: Final = ("S3", "FILE", "HTTP", "HTTPS", "MEMORY")
"""What a location may be called. BrainIO knows the first; the others are orbitpkg's addresses."""

_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn")


def home() -> Path:
    """Give the folder in which files are kept: ``assemblies`` in ``ORBITPKG_HOME``."""
    from orbitpkg.config.repositories import home

    return home() / "assemblies"


def fetch_file(location_type: str, location: str, sha1: str, version_id: str | None = None) -> Path:
    """Give the local path of a file, which is fetched if it is not here.

    Args:
        location_type: "S3", in any letter case; "FILE", "HTTP" or "HTTPS" for other addresses.
        location: Its address: ``s3://bucket/key``, or one of S3's own, ``https://bucket.s3.amazonaws.com/key``; both
            are asked at ``AWS_ENDPOINT_URL`` if that is set.
        sha1: The hash its bytes must have; a SHA-256 or a BLAKE3 does as well.
        version_id: The version of the S3 object; the newest one when not given.

    Raises:
        UsageError: The location, its type or the hash cannot be read.
        ObjectNotFound: There is nothing there.
        AccessDenied: It is private, and no credentials that open it are at hand.
        IntegrityError: Its bytes have another hash; they are not kept.
        StorageError: The disk does not take it.
    """
    pin = parse_pin(sha1)
    uri = uri_of(location_type, location)
    path = home() / pin.folder / PurePosixPath(split_object_uri(uri)[1]).name
    with storage_errors(path, USER_FILE):
        if path.is_file():
            if pin.fits(path):
                return path
            _evict(path.parent)
        _download(uri, path, version_id or None)
        found = hash_file(path, pin.kinds)
        if pin.digits not in found.values():
            _evict(path.parent)
    if pin.digits not in found.values():
        which = f" (version {version_id})" if version_id else ""
        raise IntegrityError(
            f"{uri}{which} does not match {pin}: the object has {_told(found)}. The download was deleted.",
            hint="The object was replaced, or the hash belongs to another object." if not version_id else None,
            uri=uri,
            expected=pin.digits,
        )
    return path


def _told(hashes: dict[str, str]) -> str:
    return " and ".join(f"{kind} {digits}" for kind, digits in hashes.items())


def _evict(folder: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)


def uri_of(location_type: str, location: str) -> str:
    """Give the address of a location as ``orbitpkg`` writes them.

    Raises:
        UsageError: It cannot be read.
    """
    if location_type.upper() not in LOCATION_TYPES:
        raise UsageError(
            f"Unknown location type {location_type!r}.", hint=f"The types are {', '.join(LOCATION_TYPES)}."
        )
    if location_type.upper() != "S3":
        return join_uri(*split_object_uri(location))
    return join_uri(*split_object_uri(_s3_uri(location)))


def _s3_uri(location: str) -> str:
    """Read S3's own URLs (Amazon S3 User Guide, "Methods for accessing a bucket"): by host name, or by path."""
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


def bucket_url(bucket: str) -> str:
    """Give the address of a bucket: ``bucket``, ``bucket/prefix``, or an address, which stays as it is.

    Raises:
        UsageError: None is named.
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
        refused = error
    public = _unsigned(url)
    if public is None:
        raise refused
    try:
        with closing(public) as store:
            download_object(store, key, path, version=version)
    except (AccessDenied, CredentialsError, ObjectNotFound):
        which = f" in version {version}" if version else ""
        raise AccessDenied(
            f"{uri}{which} is private or does not exist.",
            hint=f"It cannot be read without credentials. With credentials: {refused.message}",
            uri=uri,
        ) from refused


def _unsigned(url: str) -> ObjectStore | None:
    """Open a bucket as the public sees it; None for what is no bucket."""
    from orbitpkg.objects.addresses import parse_address
    from orbitpkg.objects.s3 import S3Store
    from orbitpkg.objects.s3_config import resolve_s3

    address = parse_address(url)
    if address.scheme != "s3":
        return None
    settings = replace(resolve_s3(address.location), keys=None, source=None)
    return S3Store(address.location, address.prefix, settings=settings)


def unzip(path: Path) -> Path:
    """Unpack an archive beside itself, unless that was done and its files still have their sizes; returns the folder.

    Raises:
        IntegrityError: The file is not a ZIP file, or names files outside of the folder.
    """
    target = path.parent / "files"
    try:
        with zipfile.ZipFile(path) as archive:
            members = [info for info in archive.infolist() if not info.is_dir()]
            for info in members:
                parts = PurePosixPath(info.filename.replace("\\", "/"))
                if parts.is_absolute() or ".." in parts.parts:
                    raise IntegrityError(f"{path.name} contains a file outside its folder: {info.filename!r}.")
            if not _is_unpacked(target, members):
                _unpack(archive, target)
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise IntegrityError(f"{path} is damaged or not a ZIP file: {error}.") from error
    return target


def _is_unpacked(folder: Path, members: Iterable[zipfile.ZipInfo]) -> bool:
    try:
        return all((folder / info.filename).stat().st_size == info.file_size for info in members)
    except OSError:
        return False


def _unpack(archive: zipfile.ZipFile, target: Path) -> None:
    with storage_errors(target, USER_FILE), tempfile.TemporaryDirectory(prefix=".files.", dir=target.parent) as folder:
        fresh = Path(folder) / "files"
        fresh.mkdir()
        archive.extractall(fresh)
        # Another process may unpack the same archive: its folder has the same files.
        replace_folder(fresh, target, aside=Path(folder) / "old", durable=False)
