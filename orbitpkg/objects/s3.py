"""S3 and compatible stores: AWS, Ceph, MinIO, moto, rclone.

The promises of the protocol hold as far as the server keeps S3's. A server that reports success for a create-only or
conditional write and overwrites the object nevertheless (rclone's does) cannot be recognized by the write itself: a
caller that depends on such writes first tries them on a key without importance.
"""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from orbitpkg.errors import (
    AccessDenied,
    IntegrityError,
    ObjectChanged,
    ObjectNotFound,
    RepositoryError,
    UnsupportedByStore,
)
from orbitpkg.objects.answers import AnswerError
from orbitpkg.objects.failures import failure_of
from orbitpkg.objects.obstore_reads import open_stream, read_range, read_whole
from orbitpkg.objects.protocol import (
    Capabilities,
    ObjectInfo,
    PartLimits,
    UploadInfo,
    check_key,
    check_metadata,
    check_prefix,
    check_range,
    is_valid_key,
)
from orbitpkg.objects.s3_config import resolve_s3
from orbitpkg.objects.s3_connection import S3Connection, foreign_errors
from orbitpkg.objects.s3_foreign import ForeignObjects
from orbitpkg.objects.s3_upload import S3Upload, quoted
from orbitpkg.objects.timeouts import DEFAULT_TIMEOUTS, Timeouts

if TYPE_CHECKING:
    import builtins
    from collections.abc import Callable, Iterator, Mapping

    import obstore
    from obstore.store import S3Store as Client

    from orbitpkg.objects.failures import Operation
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.objects.s3_config import S3Settings

__all__ = ["S3Store", "read_body"]

T = TypeVar("T")
Data = TypeVar("Data", bytes, memoryview)

_PATIENT_BYTES: Final = 1 << 20
"""Writes of this size and above have the timeout of an upload: 1 MiB takes 8 s at 1 Mbit/s."""

_COPY_BYTES: Final = 1 << 30
"""The maximum copied by one request. S3 accepts five times as much, but answers only when it is done."""

_MAX_COPY_BYTES: Final = 5_000_000_000

_HEADERS: Final = frozenset(
    {"Content-Disposition", "Content-Encoding", "Content-Language", "Content-Type", "Cache-Control", "Storage-Class"}
)
"""The attributes that obstore reports besides the user's metadata."""


class S3Store:
    """An ``ObjectStore`` over a bucket, or over the objects below a prefix.

    Args:
        bucket: The name of the bucket.
        prefix: The prefix of every key, without leading and trailing slashes.
        env: The environment variables to read settings from; the process's own when None.
        settings: The settings, instead of those from the environment.
        timeouts: How long to wait.
        botocore_reader: Returns a store over the same connection that reads through botocore, for answers that obstore
            cannot parse. Without it, reading them is an error.

    Raises:
        CredentialsError: The environment refers to credentials that are not available.
    """

    capabilities: Final = Capabilities(metadata=True, versions=True, remote_copies=True, foreign_keys=True)
    # Amazon S3 User Guide, "Amazon S3 multipart upload limits".
    part_limits: Final = PartLimits(min_bytes=5 << 20, max_bytes=5 << 30, max_parts=10_000)

    def __init__(
        self,
        bucket: str,
        prefix: str = "",
        *,
        env: Mapping[str, str] | None = None,
        settings: S3Settings | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
        botocore_reader: Callable[[S3Store], S3Store] | None = None,
    ) -> None:
        self.url: Final = f"s3://{bucket}/{prefix}" if prefix else f"s3://{bucket}"
        self._prefix = f"{prefix}/" if prefix else ""
        self._timeouts = timeouts
        renew = partial(resolve_s3, bucket, env=env) if settings is None else None
        settings = resolve_s3(bucket, env=env) if settings is None else settings
        self._connection = S3Connection(settings, url=self.url, timeouts=timeouts, renew=renew)
        self._odd_ranges = threading.Event()
        self._botocore_reader = botocore_reader
        self.foreign: Final = ForeignObjects(self._connection, self._prefix, self.url)

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""

        def work() -> tuple[bytes, ObjectInfo]:
            found = self._get(key, _of(version), max_bytes, version)
            assert found is not None
            return found

        return self._or_botocore(work, lambda store: store.get(key, max_bytes=max_bytes, version=version))

    def _or_botocore(self, work: Callable[[], T], other: Callable[[S3Store], T]) -> T:
        """Do ``work``, or ``other`` through botocore for an object with headers that are not in ASCII.

        HTTP does not allow such headers (RFC 9110, section 5.5), but browsers and other tools send them, and servers
        store them. obstore refuses the whole answer.
        """
        try:
            return work()
        except RepositoryError as error:
            if not error.data.get("headers"):
                raise
            store = self._through_botocore(error)
        return other(store)

    def _through_botocore(self, error: RepositoryError) -> S3Store:
        if self._botocore_reader is None:
            raise error
        return self._botocore_reader(self)

    def _read(self, key: str, work: Callable[[], T], version: str | None = None) -> T:
        """Do ``work``, which reads an object, and distinguish a missing object from a forbidden one if possible.

        Raises:
            ObjectNotFound: The object does not exist.
            AccessDenied: The object may exist.
        """
        try:
            return self._connection.ask("read", key, work)
        except AccessDenied:
            # The listing does not include older versions.
            if version is None and self._is_unlisted(key):
                raise ObjectNotFound(f"{self.url}/{key} does not exist.", key=key) from None
            raise

    def _is_unlisted(self, key: str) -> bool:
        """Return whether a listing shows that an object does not exist; False if listing is not allowed either.

        S3 answers 403 for a missing key if the credentials do not permit listing the whole bucket, even if they
        permit listing the prefix of the key.
        """
        path = self._path(key)

        def work() -> bool:
            # Of the keys that begin with this one, the key itself is listed first.
            objects, _ = next(self._connection.pages(path))
            return not any(found.key == path for found in objects)

        try:
            return self._connection.ask("list", key, work)
        except RepositoryError:
            return False  # the first failure is the one to report

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``."""
        return self._or_botocore(
            lambda: self._get(key, {"if_none_match": etag}, max_bytes),
            lambda store: store.get_if_changed(key, etag=etag, max_bytes=max_bytes),
        )

    def _get(
        self, key: str, options: obstore.GetOptions, max_bytes: int | None, version: str | None = None
    ) -> tuple[bytes, ObjectInfo] | None:
        path, describe = self._path(key), partial(_info, key)

        def work() -> tuple[bytes, ObjectInfo] | None:
            client = self._connection.client()
            return read_whole(
                client,
                path,
                options,
                describe=describe,
                url=self.url,
                max_bytes=max_bytes,
                timeouts=self._timeouts,
            )

        return self._read(key, work, version)

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read a range; see ``ObjectStore.get_range``."""
        check_range(start, length)
        if not self._odd_ranges.is_set():
            try:
                return self._or_botocore(
                    lambda: self._get_range(key, start, length, etag, version),
                    lambda store: store._get_range(key, start, length, etag, version),  # noqa: SLF001
                )
            except UnsupportedByStore:
                # rclone answers 200 with a Content-Range and the requested bytes, which obstore refuses.
                self._odd_ranges.set()
        return self._get_odd_range(key, start, length, etag, version)

    def _get_range(self, key: str, start: int, length: int, etag: str | None, version: str | None) -> memoryview:
        path = self._path(key)
        # No If-Match: the answer contains its ETag before its body, and not every server supports the header.
        options: obstore.GetOptions = {"range": (start, start + length), **_of(version)}

        def check(meta: obstore.ObjectMeta) -> None:
            self._check_etag(key, meta["e_tag"], etag)

        def work() -> memoryview:
            client = self._connection.client()
            return read_range(client, path, options, length, check=check, timeouts=self._timeouts)

        return _whole(self._read(key, work, version), f"{self.url}/{key}", start, length)

    def _get_odd_range(
        self, key: str, start: int, length: int, etag: str | None = None, version: str | None = None
    ) -> bytes:
        path = self._path(key)
        end = start + length - 1

        def work() -> bytes:
            client = self._connection.botocore(patient=True)
            which: Any = {} if version is None else {"VersionId": version}
            answer = client.get_object(Bucket=self._connection.bucket, Key=path, Range=f"bytes={start}-{end}", **which)
            with answer["Body"] as body:
                self._check_etag(key, answer.get("ETag"), etag)
                if not answer.get("ContentRange", "").startswith(f"bytes {start}-"):
                    raise UnsupportedByStore(f"{self.url} does not support ranged reads.")
                return read_body(body, length)

        return _whole(self._read(key, work, version), f"{self.url}/{key}", start, length)

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read in pieces; see ``ObjectStore.stream``."""
        if length is not None and self._odd_ranges.is_set():
            yield memoryview(self._get_odd_range(key, start, length))
            return
        path, connection = self._path(key), self._connection
        try:
            pieces = connection.ask(
                "read",
                path,
                lambda: open_stream(connection.client("eager"), path, start, length, timeouts=self._timeouts),
            )
        except UnsupportedByStore:
            if length is None:
                raise
            self._odd_ranges.set()
            yield memoryview(self._get_odd_range(key, start, length))
            return
        except RepositoryError as error:
            if not error.data.get("headers"):
                raise
            yield from self._through_botocore(error).stream(key, start, length)
            return
        while (piece := connection.ask("read", path, lambda: next(pieces, None))) is not None:
            yield piece

    def _check_etag(self, key: str, found: str | None, expected: str | None) -> None:
        if expected is not None and found is not None and quoted(found) != expected:
            raise ObjectChanged(f"{self.url}/{key} changed while it was being read.", key=key)

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the facts about an object; see ``ObjectStore.head``."""
        return self._or_botocore(
            lambda: self._read(key, lambda: _info(key, self._described(key, version).meta), version),
            lambda store: store.head(key, version=version),
        )

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Return an object's metadata; see ``ObjectStore.metadata``."""

        def work() -> dict[str, str]:
            attributes = self._read(key, lambda: self._described(key, version).attributes, version)
            return {name.lower(): value for name, value in attributes.items() if name not in _HEADERS}

        return self._or_botocore(work, lambda store: store.metadata(key, version=version))

    def _described(self, key: str, version: str | None) -> obstore.GetResult:
        import obstore

        client, path = self._connection.client(), self._path(key)
        try:
            return obstore.get(client, path, options={"head": True, **_of(version)})
        except foreign_errors() as error:
            status = failure_of(error).status
            if status is None or status >= 500:  # noqa: PLR2004
                raise
        # The answer to a HEAD has no body that says what is wrong, or whether the key or the bucket is missing.
        return obstore.get(client, path, options=_of(version))

    def list_folders(self, prefix: str) -> list[str]:
        """List the folders directly below a prefix; see ``ObjectStore.list_folders``."""
        path = self._prefix + check_prefix(prefix)

        def work() -> set[str]:
            pages = self._connection.pages(path, delimiter="/")
            return {folder.removeprefix(path).rstrip("/") for _, folders in pages for folder in folders}

        folders = self._connection.ask("list", prefix, work)
        if all(is_valid_key(f"{prefix}{folder}") for folder in folders):
            return sorted(folders)
        # Another tool wrote keys such as "./name": only the keys themselves show which folders have valid ones.
        rests = (info.key.removeprefix(prefix) for info in self.list(prefix))
        return sorted({rest.partition("/")[0] for rest in rests if "/" in rest})

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects; see ``ObjectStore.list``."""
        return (info for info in self.list_everything(check_prefix(prefix)) if is_valid_key(info.key))

    def list_everything(self, prefix: str) -> Iterator[ObjectInfo]:
        """List objects with any key; see ``ObjectStore.list_everything``.

        Other tools write ``folder/`` for a folder, or keys with an empty part.
        """
        path = self._prefix + prefix

        def work() -> builtins.list[ObjectInfo]:
            return [
                ObjectInfo(
                    key=found.key.removeprefix(self._prefix),
                    size=found.size,
                    etag=quoted(found.etag),
                    modified=found.modified,
                )
                for objects, _ in self._connection.pages(path)
                for found in objects
            ]

        # Not every store lists in key order.
        return iter(sorted(self._connection.ask("list", prefix, work), key=lambda info: info.key))

    def part_size(self, key: str) -> int | None:
        """Return the size of an object's first part; see ``ObjectStore.part_size``.

        Source: Amazon S3 API Reference, HeadObject, ``partNumber``.
        """

        def work() -> tuple[int, int]:
            answer = self._connection.botocore().head_object(
                Bucket=self._connection.bucket, Key=self._path(key), PartNumber=1
            )
            return answer.get("PartsCount", 0), answer["ContentLength"]

        try:
            count, length = self._connection.ask("read", key, work)
        except RepositoryError:
            return None
        return length if count else None

    def put(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object; see ``ObjectStore.put``."""
        return self._write("write", key, data, "overwrite", check_metadata(metadata))

    def copy(self, source: str, key: str) -> ObjectInfo:
        """Copy an object inside the bucket; see ``ObjectStore.copy``."""
        found = self.head(source)
        if source == key:
            return found
        if found.size > _COPY_BYTES:
            return self._copy_by_parts(found, key)
        bucket, path, copy_source = self._connection.bucket, self._path(key), self._copy_source(source)

        def work() -> None:
            client = self._connection.botocore(patient=True)
            client.copy_object(Bucket=bucket, Key=path, CopySource=copy_source)

        self._connection.ask("copy", source, work)
        return self.head(key)

    def copy_from(self, other: ObjectStore, source: str, key: str) -> ObjectInfo:
        """Copy from another bucket of the same service, with the same credentials; see ``ObjectStore.copy_from``."""
        if not isinstance(other, S3Store) or not other._can_be_copied_to(self, source):  # noqa: SLF001
            raise UnsupportedByStore(f"{self.url} cannot copy {other.url}/{source} by itself.")
        bucket, path, where = self._connection.bucket, self._path(key), other._copy_source(source)  # noqa: SLF001

        def work() -> None:
            self._connection.botocore(patient=True).copy_object(Bucket=bucket, Key=path, CopySource=where)

        self._connection.ask("copy", source, work)
        return self.head(key)

    def _can_be_copied_to(self, other: S3Store, key: str) -> bool:
        # Amazon S3 API Reference, CopyObject: one request copies 5 GB at most.
        return other._connection.serves_with(self._connection) and self.head(key).size <= _MAX_COPY_BYTES

    def _copy_source(self, key: str) -> Any:
        return {"Bucket": self._connection.bucket, "Key": self._path(key)}

    def _copy_by_parts(self, source: ObjectInfo, key: str) -> ObjectInfo:
        """Copy an object that is too large for one request (Amazon S3 API Reference, CopyObject: 5 GB)."""
        upload = self.start_upload(key, metadata=self.metadata(source.key))
        try:
            for number, start in enumerate(range(0, source.size, _COPY_BYTES), start=1):
                upload.copy_part(number, start, source.key, start, min(_COPY_BYTES, source.size - start))
            return upload.complete()
        except BaseException:
            upload.abort()
            raise

    def create(self, key: str, data: bytes | memoryview, *, metadata: Mapping[str, str] | None = None) -> ObjectInfo:
        """Write an object only if it does not exist; see ``ObjectStore.create``."""
        return self._write("create", key, data, "create", check_metadata(metadata))

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:
        """Overwrite an unchanged object; see ``ObjectStore.replace``."""
        try:
            # Without a `version`: even None makes obstore request that version of the object.
            return self._write("replace", key, data, {"e_tag": etag})
        except ObjectNotFound as error:
            raise ObjectChanged(f"{self.url}/{key} was deleted.", key=key) from error
        except ObjectChanged as error:
            if self._is_unchanged(key, etag):
                # Ceph 16 compares the quoted ETag with its own unquoted one, and answers 412 in any case.
                raise UnsupportedByStore(f"{self.url} does not support conditional writes.") from error
            raise

    def _is_unchanged(self, key: str, etag: str) -> bool:
        try:
            return self.head(key).etag == etag
        except (ObjectNotFound, AccessDenied):
            return False

    def _write(
        self,
        operation: Operation,
        key: str,
        data: bytes | memoryview,
        mode: obstore.PutMode,
        metadata: dict[str, str] | None = None,
    ) -> ObjectInfo:
        import obstore

        path = self._path(key)
        patient = len(data) >= _PATIENT_BYTES

        def work() -> ObjectInfo:
            client: Client = self._connection.client("patient" if patient else "plain")
            result = obstore.put(client, path, data, mode=mode, use_multipart=False, attributes=metadata or None)
            etag, version = quoted(result["e_tag"]), result["version"]
            return ObjectInfo(key=key, size=len(data), etag=etag, modified=None, version=version)

        return self._connection.ask(operation, key, work)

    def delete(self, key: str) -> None:
        """Delete an object; see ``ObjectStore.delete``."""
        import obstore

        path = self._path(key)
        try:
            self._connection.ask("delete", key, lambda: obstore.delete(self._connection.client(), path))
        except ObjectNotFound:
            return

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> S3Upload:
        """Begin to write in parts; see ``ObjectStore.start_upload``."""
        return S3Upload(self._connection, key, self._prefix, metadata=check_metadata(metadata))

    def resume_upload(self, key: str, upload: str) -> S3Upload | None:
        """Resume an upload; see ``ObjectStore.resume_upload``."""
        return S3Upload.resumed(self._connection, key, self._prefix, upload)

    def list_uploads(self) -> Iterator[UploadInfo]:
        """List unfinished uploads; see ``ObjectStore.list_uploads``."""
        connection = self._connection

        def work() -> list[UploadInfo]:
            pages = connection.botocore().get_paginator("list_multipart_uploads")
            return [
                UploadInfo(key=row["Key"].removeprefix(self._prefix), id=row["UploadId"], started=row["Initiated"])
                for page in pages.paginate(Bucket=connection.bucket, Prefix=self._prefix)
                for row in page.get("Uploads", [])
            ]

        return (info for info in connection.ask("list", None, work) if is_valid_key(info.key))

    def abort_upload(self, info: UploadInfo) -> None:
        """Discard an upload; see ``ObjectStore.abort_upload``."""
        upload = S3Upload.resumed(self._connection, info.key, self._prefix, info.id)
        if upload is not None:
            upload.discard()

    def close(self) -> None:
        """Close connections; see ``ObjectStore.close``."""
        self._connection.close()

    def _path(self, key: str) -> str:
        return check_key(self._prefix + check_key(key))


def _info(key: str, meta: obstore.ObjectMeta) -> ObjectInfo:
    etag, version = quoted(meta["e_tag"]), meta["version"]
    return ObjectInfo(key=key, size=meta["size"], etag=etag, modified=meta["last_modified"], version=version)


def _of(version: str | None) -> obstore.GetOptions:
    return {} if version is None else {"version": version}


def read_body(body: Any, length: int) -> bytes:
    """Return the body of botocore's answer, which has at most ``length`` bytes.

    Raises:
        AnswerError: The body is longer.
    """
    data: bytes = body.read(length + 1)
    if len(data) > length:
        raise AnswerError("the answer is longer than announced")
    return data


def _whole(data: Data, name: str, start: int, length: int) -> Data:
    if len(data) != length:
        raise IntegrityError(f"{name}: requested {length} bytes from byte {start}, received {len(data)}.")
    return data
