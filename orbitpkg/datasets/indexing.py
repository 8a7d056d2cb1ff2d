"""Index objects in place: make other buckets searchable without changing them.

An object is identified by its address and state: its ETag, and its version id if the bucket keeps versions. An object
that was overwritten becomes a new datum that supersedes the old one. User-defined headers become metadata: the
``metajson`` header (deon) is parsed as JSON, ``filename`` (simiotics) gives the name, and others are taken as they are.
"""

from __future__ import annotations

import contextlib
import tempfile
import unicodedata
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orbitpkg.concurrency.pool import Pool
from orbitpkg.config.trust import remember_trusted
from orbitpkg.datasets.datum import name_problem, new_datum
from orbitpkg.datasets.registration import Failure, Recorder
from orbitpkg.errors import AccessDenied, CredentialsError, OrbitError, RepositoryUnreachable, UnsupportedByStore
from orbitpkg.model.jsontext import parse_json
from orbitpkg.objects import open_store
from orbitpkg.objects.addresses import join_uri, scheme_of, split_uri
from orbitpkg.objects.protocol import check_key
from orbitpkg.reporting import SILENT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from orbitpkg.datasets.catalogue import Catalogue
    from orbitpkg.datasets.datum import Datum
    from orbitpkg.datasets.tables import Table
    from orbitpkg.objects.protocol import ObjectInfo, ObjectStore
    from orbitpkg.reporting import Reporter
    from orbitpkg.repository.repository import Repository

__all__ = ["Indexed", "index_objects"]

_WORKERS: Final = 16
_BATCH: Final = 1000
_MAX_DENIED: Final = 32
_MAX_HEADER_BYTES: Final = 2**20
_JSON_HEADER: Final = "metajson"
_NAME_HEADER: Final = "filename"
_OWN: Final = ("archives/", "blobs/", "datasets/", "index/", "probes/", "releases/", "status/", "orbitpkg.json")


@dataclass(slots=True, kw_only=True)
class Indexed:
    """The result of indexing.

    Attributes:
        found: The number of objects found.
        new: The number of objects that were not indexed before.
        failures: The objects that could not be indexed.
        warnings: Metadata that could not be read, as pairs of an object name and a sentence.
    """

    found: int = 0
    new: int = 0
    failures: list[Failure] = field(default_factory=list)
    warnings: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Options:
    """The tags and the metadata of all objects, and whether to read them."""

    tags: Mapping[str, str]
    metadata: Mapping[str, object]
    read: bool


def index_objects(
    repository: Repository,
    catalogue: Catalogue,
    dataset: str,
    url: str,
    *,
    tags: Mapping[str, str],
    metadata: Mapping[str, object],
    read: bool,
    reporter: Reporter = SILENT,
) -> Indexed:
    """Register the objects under an address in place.

    Args:
        repository: The repository of the dataset. Its own objects are not indexed.
        catalogue: The catalogue of the dataset.
        dataset: The canonical ID of the dataset.
        url: The address.
        tags: Tags for all objects.
        metadata: Metadata for all objects. It overrides the metadata of the objects.
        read: Read each new object once, to compute its digests and extract its metadata.
        reporter: Receives the progress.

    Raises:
        UsageError: The address is invalid.
        RepositoryError: The address cannot be listed, or the catalogue cannot be written.
    """
    place, prefix = _place(url)
    store, result = open_store(place), Indexed()
    if scheme_of(store.url) == "file":
        # The user named this directory, so this user may also fetch data from it.
        remember_trusted(store.url)
    indexer = _Indexer(store, prefix, _Options(tags=tags, metadata=metadata, read=read), result)
    with catalogue.table(reporter=reporter) as table:
        recorder = Recorder(catalogue, dataset, known=table.kinds())
    with contextlib.ExitStack() as stack:
        # Even after an error, the objects that were read are recorded.
        stack.callback(recorder.flush)
        pool = stack.enter_context(Pool(_WORKERS, "orbitpkg-index"))
        for batch in _batches(_others(store, prefix, repository.url)):
            result.found += len(batch)
            with catalogue.table() as table:
                known = _known(table, [join_uri(store.url, info.key) for info in batch])
            for datum in pool.map(partial(indexer.index, known=known), batch):
                if datum is not None:
                    recorder.add(datum)
    result.new = recorder.new
    return result


def _place(url: str) -> tuple[str, str]:
    """Return the address of the store and the key prefix, which is empty or ends in a slash."""
    if url.lower().startswith(("file:", "memory:")):
        return url.rstrip("/"), ""
    store, key = split_uri(url)
    return store, f"{key.rstrip('/')}/" if key.strip("/") else ""


def _others(store: ObjectStore, prefix: str, home: str) -> Iterator[ObjectInfo]:
    """List objects, without directory markers and the objects of the dataset's own repository."""
    own = tuple(f"{home.rstrip('/')}/{name}" for name in _OWN)
    for info in store.list_everything(prefix):
        # The S3 console creates an empty object for a folder.
        is_marker = info.key.endswith("/") and not info.size
        if not is_marker and not join_uri(store.url, info.key).startswith(own):
            yield info


def _batches(infos: Iterator[ObjectInfo]) -> Iterator[list[ObjectInfo]]:
    batch: list[ObjectInfo] = []
    for info in infos:
        batch.append(info)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _known(table: Table, uris: Sequence[str]) -> dict[str, tuple[str, str | None, bool]]:
    """Return the id and ETag of the newest datum of each address, and whether its content was read."""
    return {row[0]: (row[1], row[2], row[3] is not None) for row in table.newest(uris)}


class _Indexer:
    def __init__(self, store: ObjectStore, prefix: str, options: _Options, result: Indexed) -> None:
        self._store = store
        self._prefix = prefix
        self._options = options
        self._result = result
        self._denied = 0

    def index(self, info: ObjectInfo, known: Mapping[str, tuple[str, str | None, bool]]) -> Datum | None:
        """Return the datum of an object, or None if it is already indexed or cannot be read."""
        uri = join_uri(self._store.url, info.key)
        before = known.get(uri)
        # An object with the same ETag has the same content, and needs no request.
        if before is not None and before[1] == info.etag and (before[2] or not self._options.read):
            return None
        try:
            check_key(info.key)
            datum = self._datum(info, uri, supersedes=before[0] if before else None)
        # These concern the store, so every other object would fail in the same way.
        except (CredentialsError, RepositoryUnreachable):
            raise
        except OrbitError as error:
            # One object may be forbidden. Many in a row mean that the credentials do not permit reading at all.
            self._denied = self._denied + 1 if isinstance(error, AccessDenied) else 0
            if self._denied == _MAX_DENIED:
                raise
            self._result.failures.append(Failure(name=info.key, error=error))
            return None
        self._denied = 0
        return datum

    def _datum(self, listed: ObjectInfo, uri: str, *, supersedes: str | None) -> Datum:
        info = self._store.head(listed.key)
        headers = self._headers(info)
        name = _name(headers.pop(_NAME_HEADER, ""), info.key.removeprefix(self._prefix))
        found, digests = self._read(info) if self._options.read else ({}, (None, None))
        return new_datum(
            name=name,
            size=info.size,
            uri=uri,
            registered=datetime.now(UTC),
            blake3=digests[0],
            sha256=digests[1],
            etag=info.etag or "",
            version=info.version,
            modified=info.modified.astimezone(UTC) if info.modified else None,
            tags=self._options.tags,
            metadata={**found, **self._unpacked(info.key, headers), **self._options.metadata},
            supersedes=supersedes,
        )

    def _headers(self, info: ObjectInfo) -> dict[str, str]:
        try:
            found = self._store.metadata(info.key)
        except UnsupportedByStore:
            return {}
        return {name: _decoded(value) for name, value in found.items()}

    def _unpacked(self, key: str, headers: Mapping[str, str]) -> dict[str, object]:
        metadata: dict[str, object] = {name: value for name, value in headers.items() if name != _JSON_HEADER}
        if not headers.get(_JSON_HEADER):
            return metadata
        try:
            found = parse_json(
                headers[_JSON_HEADER].encode(), what=f"the header {_JSON_HEADER}", max_bytes=_MAX_HEADER_BYTES
            )
        except OrbitError as error:
            self._result.warnings.append((key, error.message))
            return metadata
        if not isinstance(found, dict):
            self._result.warnings.append((key, f"The header {_JSON_HEADER} is not a JSON object."))
            return metadata
        return {**metadata, **found}

    def _read(self, info: ObjectInfo) -> tuple[dict[str, object], tuple[str | None, str | None]]:
        from orbitpkg.datasets.extraction import extract
        from orbitpkg.datasets.sending import digests_of
        from orbitpkg.objects.transfer.files import download_object

        with tempfile.TemporaryDirectory(prefix="orbitpkg-") as folder:
            path = Path(folder, info.key.rpartition("/")[2])
            download_object(self._store, info.key, path, info=info)
            digests, found = digests_of(path), extract(path)
        self._result.warnings += [(info.key, warning) for warning in found.warnings]
        return dict(found.metadata), (digests.blake3, digests.sha256)


def _name(header: str, key: str) -> str:
    """Return the name of a datum: the name in its header, the last component of that name, or else the key."""
    names = (unicodedata.normalize("NFC", name) for name in (header, header.rpartition("/")[2], key))
    return next((name for name in names if not name_problem(name)), key)


def _decoded(value: str) -> str:
    """Decode a header that S3 clients encoded because it is not ASCII (RFC 2047)."""
    if not (value.startswith("=?") and value.endswith("?=")):
        return value
    from email.errors import HeaderParseError
    from email.header import decode_header, make_header

    try:
        return str(make_header(decode_header(value)))
    except (HeaderParseError, LookupError, UnicodeDecodeError):
        return value
