"""S3 through botocore alone, for a process forked from one that used obstore; see ``orbitpkg.objects.forks``."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any

from orbitpkg.objects.answers import AnswerError
from orbitpkg.objects.failures import failure_of
from orbitpkg.objects.protocol import STREAM_BYTES, ObjectInfo, check_metadata
from orbitpkg.objects.read_only import check_size
from orbitpkg.objects.s3 import S3Store, read_body
from orbitpkg.objects.s3_connection import foreign_errors
from orbitpkg.objects.s3_upload import quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from orbitpkg.objects.failures import Operation

__all__ = ["ForkedS3Store", "read_through_botocore"]


class ForkedS3Store(S3Store):
    """An ``ObjectStore`` over a bucket, slower than ``S3Store`` and with the same promises."""

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""
        found = self._get_object(key, _which(version), max_bytes)
        assert found is not None
        return found

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``."""
        return self._get_object(key, {"IfNoneMatch": etag}, max_bytes)

    def _get_object(
        self, key: str, options: Mapping[str, str], max_bytes: int | None
    ) -> tuple[bytes, ObjectInfo] | None:
        def work() -> tuple[bytes, ObjectInfo] | None:
            client: Any = self._connection.botocore(patient=True)
            try:
                answer = client.get_object(Bucket=self._connection.bucket, Key=self._path(key), **options)
            except foreign_errors() as error:
                if failure_of(error).status == 304:  # noqa: PLR2004 - not modified
                    return None
                raise
            with answer["Body"] as body:
                info = _info(key, _described(answer))
                check_size(self.url, info, max_bytes)
                data = read_body(body, info.size)
            if len(data) < info.size:
                raise AnswerError("the answer was cut short")
            return data, info

        return self._connection.ask("read", key, work)

    def _get_range(self, key: str, start: int, length: int, etag: str | None, version: str | None) -> memoryview:
        return memoryview(self._get_odd_range(key, start, length, etag, version))

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read in pieces; see ``ObjectStore.stream``."""
        end = start + length if length is not None else self.head(key).size
        for position in range(start, end, STREAM_BYTES):
            yield memoryview(self._get_odd_range(key, position, min(STREAM_BYTES, end - position)))

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the facts about an object; see ``ObjectStore.head``."""
        return _info(key, self._head(key, version))

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Return an object's metadata; see ``ObjectStore.metadata``."""
        return {name.lower(): value for name, value in self._head(key, version)["Metadata"].items()}

    def _head(self, key: str, version: str | None) -> Any:
        def work() -> Any:
            client: Any = self._connection.botocore()
            request = {"Bucket": self._connection.bucket, "Key": self._path(key), **_which(version)}
            try:
                return _described(client.head_object(**request))
            except foreign_errors() as error:
                status = failure_of(error).status
                if status is None or status >= 500:  # noqa: PLR2004
                    raise
            # The answer to a HEAD has no body that says what is wrong, or whether the key or the bucket is missing.
            answer = client.get_object(**request)
            answer["Body"].close()
            return _described(answer)

        return self._connection.ask("read", key, work)

    def _write(
        self,
        operation: Operation,
        key: str,
        data: bytes | memoryview,
        mode: Any,
        metadata: dict[str, str] | None = None,
    ) -> ObjectInfo:
        conditions = {"overwrite": {}, "create": {"IfNoneMatch": "*"}}
        condition: Any = conditions[mode] if isinstance(mode, str) else {"IfMatch": mode["e_tag"]}

        def work() -> ObjectInfo:
            answer = self._connection.botocore(patient=True).put_object(
                Bucket=self._connection.bucket,
                Key=self._path(key),
                Body=bytes(data),
                Metadata=check_metadata(metadata),
                **condition,
            )
            etag, version = quoted(answer["ETag"]), answer.get("VersionId")
            return ObjectInfo(key=key, size=len(data), etag=etag, modified=None, version=version)

        return self._connection.ask(operation, key, work)

    def delete(self, key: str) -> None:
        """Delete an object; see ``ObjectStore.delete``."""
        client, path = self._connection.botocore(), self._path(key)
        self._connection.ask("delete", key, lambda: client.delete_object(Bucket=self._connection.bucket, Key=path))


def read_through_botocore(store: S3Store) -> ForkedS3Store:
    """Return a store over the connection of another one."""
    other = copy.copy(store)
    other.__class__ = ForkedS3Store
    assert isinstance(other, ForkedS3Store)
    return other


def _which(version: str | None) -> dict[str, str]:
    return {} if version is None else {"VersionId": version}


def _described(answer: Any) -> Any:
    if "ContentLength" not in answer or "LastModified" not in answer:
        raise AnswerError("its answer does not describe the object")
    return answer


def _info(key: str, answer: Any) -> ObjectInfo:
    return ObjectInfo(
        key=key,
        size=answer["ContentLength"],
        etag=quoted(answer.get("ETag")),
        modified=answer["LastModified"],
        version=answer.get("VersionId"),
    )
