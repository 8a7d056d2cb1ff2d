"""A multipart upload to S3: parts from several threads, copies inside the store, all or nothing.

Source: Amazon S3 User Guide, "Uploading and copying objects using multipart upload".
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from orbitpkg.errors import AccessDenied, IntegrityError, OrbitError, UnsupportedByStore
from orbitpkg.objects.failures import failure_of
from orbitpkg.objects.protocol import ObjectInfo, check_key, check_range, joined_length
from orbitpkg.objects.s3_connection import foreign_errors

if TYPE_CHECKING:
    from collections.abc import Mapping

    from types_boto3_s3 import S3Client

    from orbitpkg.objects.failures import Operation
    from orbitpkg.objects.s3_connection import S3Connection

__all__ = ["S3Upload", "quoted"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    offset: int
    length: int
    etag: str


class S3Upload:
    """An ``Upload`` to a bucket.

    Args:
        connection: The connection to the bucket.
        key: The object's key, without the store's prefix.
        prefix: The store's prefix, with its trailing slash, or empty.
        upload: The identifier of an upload to resume; a new upload is started when None.
        metadata: The metadata of a new upload.
    """

    def __init__(
        self,
        connection: S3Connection,
        key: str,
        prefix: str,
        *,
        upload: str | None = None,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        self._connection = connection
        self._bucket = connection.bucket
        self._key = key
        self._prefix = prefix
        self._path = check_key(prefix + check_key(key))
        self._parts: dict[int, _Part] = {}
        self._found: dict[int, tuple[int, str]] = {}
        self._is_complete = False
        self.id = upload or connection.ask("upload", key, lambda: self._start(metadata or {}))

    @classmethod
    def resumed(cls, connection: S3Connection, key: str, prefix: str, upload: str) -> S3Upload | None:
        """Resume an upload and find out which parts arrived; return None if the upload has ended."""
        resumed = cls(connection, key, prefix, upload=upload)
        found = connection.ask("upload", key, resumed._list_parts)
        if found is None:
            return None
        resumed._found = found
        return resumed

    def reuse_part(self, number: int, offset: int, length: int) -> bool:
        """Count a part as sent; see ``Upload.reuse_part``."""
        size, etag = self._found.get(number, (-1, ""))
        # The part was cut differently by the interrupted upload.
        if size != length:
            return False
        self._parts[number] = _Part(offset=offset, length=length, etag=etag)
        return True

    def put_part(self, number: int, offset: int, data: bytes | memoryview) -> None:
        """Send a part; see ``Upload.put_part``."""
        body = _as_bytes(data)

        def work() -> str:
            answer = self._client().upload_part(
                Bucket=self._bucket, Key=self._path, UploadId=self.id, PartNumber=number, Body=body
            )
            return answer["ETag"]

        etag = self._connection.ask("upload", self._key, work)
        self._parts[number] = _Part(offset=offset, length=len(data), etag=etag)

    def copy_part(self, number: int, offset: int, source: str, start: int, length: int) -> None:
        """Have the store copy a part; see ``Upload.copy_part``."""
        check_range(start, length)
        source_path = check_key(self._prefix + check_key(source))

        def work() -> str | None:
            answer = self._client().upload_part_copy(
                Bucket=self._bucket,
                Key=self._path,
                UploadId=self.id,
                PartNumber=number,
                CopySource={"Bucket": self._bucket, "Key": source_path},
                CopySourceRange=f"bytes={start}-{start + length - 1}",
            )
            return answer.get("CopyPartResult", {}).get("ETag")

        etag = self._connection.ask("copy", source, work)
        if not etag:
            # rclone's server treats the request as the upload of an empty part.
            raise UnsupportedByStore(f"s3://{self._bucket} cannot copy parts of objects.")
        self._parts[number] = _Part(offset=offset, length=length, etag=etag)

    def complete(self, *, create_only: bool = False) -> ObjectInfo:
        """Make the object visible; see ``Upload.complete``."""
        size = joined_length({number: (part.offset, part.length) for number, part in self._parts.items()})
        operation: Operation = "create" if create_only else "upload"
        etag = self._connection.ask(operation, self._key, lambda: self._complete(create_only=create_only))
        self._is_complete = True
        try:
            return self._connection.ask("read", self._key, lambda: self._seen(size))
        except AccessDenied:
            # Credentials can permit writing without permitting reading.
            return ObjectInfo(key=self._key, size=size, etag=quoted(etag), modified=None)

    def _seen(self, size: int) -> ObjectInfo:
        """Return the facts about the visible object: rclone's server reports another ETag than for the completion."""
        answer = self._client().head_object(Bucket=self._bucket, Key=self._path)
        if answer["ContentLength"] != size:
            raise IntegrityError(f"s3://{self._bucket}/{self._path} has {answer['ContentLength']} bytes, not {size}.")
        etag, version = quoted(answer["ETag"]), answer.get("VersionId")
        return ObjectInfo(key=self._key, size=size, etag=etag, modified=answer["LastModified"], version=version)

    def abort(self) -> None:
        """Discard the parts; see ``Upload.abort``.

        A failure is only logged: the caller reports why it aborts, and ``orbitpkg repo gc`` discards what remains.
        """
        if self._is_complete:
            return
        try:
            self.discard()
        except OrbitError as error:
            _log.info("The upload of %s could not be aborted: %s", self._path, error.message)

    def discard(self) -> None:
        """Discard the parts; an upload that is already gone is left alone.

        Raises:
            RepositoryError: The store did not discard them.
        """
        self._connection.ask("upload", self._key, self._abort)

    def _client(self) -> S3Client:
        return self._connection.botocore(patient=True)

    def _start(self, metadata: Mapping[str, str]) -> str:
        client = self._client()
        return client.create_multipart_upload(Bucket=self._bucket, Key=self._path, Metadata=metadata)["UploadId"]

    def _list_parts(self) -> dict[int, tuple[int, str]] | None:
        pages = self._client().get_paginator("list_parts")
        try:
            return {
                row["PartNumber"]: (row["Size"], row["ETag"])
                for page in pages.paginate(Bucket=self._bucket, Key=self._path, UploadId=self.id)
                for row in page.get("Parts", [])
            }
        except foreign_errors() as error:
            if failure_of(error).code == "NoSuchUpload":
                return None
            raise

    def _complete(self, *, create_only: bool) -> str:
        client = self._client()
        condition: Any = {"IfNoneMatch": "*"} if create_only else {}
        try:
            answer = client.complete_multipart_upload(
                Bucket=self._bucket,
                Key=self._path,
                UploadId=self.id,
                MultipartUpload={
                    "Parts": [{"PartNumber": number, "ETag": part.etag} for number, part in sorted(self._parts.items())]
                },
                **condition,
            )
        except foreign_errors() as error:
            # S3 forgets an upload when it completes. If the reply was lost, a retry gets this error.
            if failure_of(error).code == "NoSuchUpload" and (etag := self._etag_if_complete(client)):
                return etag
            raise
        return answer["ETag"]

    def _etag_if_complete(self, client: S3Client) -> str | None:
        """Return the object's ETag if it consists of exactly these parts: a completion whose reply was lost succeeded.

        The ETag of a multipart object is the MD5 of its parts' MD5s and their count, except under encryption with
        KMS, where the question cannot be decided.
        """
        try:
            digests = [bytes.fromhex(self._parts[number].etag.strip('"')) for number in sorted(self._parts)]
        except ValueError:
            return None
        digest = hashlib.md5(b"".join(digests), usedforsecurity=False).hexdigest()
        try:
            etag = client.head_object(Bucket=self._bucket, Key=self._path)["ETag"]
        except foreign_errors():
            # The first failure is the one to report.
            return None
        return etag if etag.strip('"') == f"{digest}-{len(digests)}" else None

    def _abort(self) -> None:
        try:
            self._client().abort_multipart_upload(Bucket=self._bucket, Key=self._path, UploadId=self.id)
        except foreign_errors() as error:
            # OpenStack Swift answers NoSuchKey.
            if failure_of(error).status != HTTPStatus.NOT_FOUND:
                raise


def quoted(etag: str | None) -> str | None:
    """Return an ETag with quotes, as HTTP requires. rclone's listings omit them; its other answers do not."""
    if not etag or etag.endswith('"'):
        return etag or None
    return f'"{etag}"'


def _as_bytes(data: bytes | memoryview) -> Any:
    """Return ``data`` as an object that botocore sends in one piece, copying it only if it is part of a larger one."""
    if isinstance(data, bytes):
        return data
    whole = data.obj
    return whole if isinstance(whole, bytes | bytearray) and len(whole) == data.nbytes else bytes(data)
