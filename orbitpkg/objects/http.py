"""A static web server as an object store that can only be read.

It has no listing, no conditional writes, no writes at all; some have no ranged reads either (Python's ``http.server``),
and then say 200 where 206 was due.
"""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

from orbitpkg.errors import IntegrityError, ObjectChanged, ReadOnlyRepository, UnsupportedByStore
from orbitpkg.objects.failures import Asked, failure_of, told
from orbitpkg.objects.forks import claim_threads
from orbitpkg.objects.obstore_streams import opened_stream
from orbitpkg.objects.patience import DEFAULT_PATIENCE, NO_RETRIES, Patience, client_options, retry_config
from orbitpkg.objects.protocol import ObjectInfo, PartLimits, check_key, check_prefix, check_range

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import obstore

    from orbitpkg.objects.protocol import Upload, UploadInfo

__all__ = ["HttpStore"]

T = TypeVar("T")


class HttpStore:
    """An ``ObjectStore`` over what a web server shows below a URL.

    Args:
        url: The URL, without a user part, a query or a slash at its end.
        user: ``name:password`` for servers that ask for them (RFC 7617).
        env: Where ``AWS_CA_BUNDLE`` is looked up; nowhere when not given.
        patience: How long to wait.
    """

    part_limits: Final = PartLimits()

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        from obstore.store import HTTPStore as ObstoreHttp

        self.url: Final = url
        parts = urlsplit(url)
        self._host = f"{parts.scheme}://{parts.netloc}"
        options = client_options(patience, ca_bundle=(env or {}).get("AWS_CA_BUNDLE"))
        if user is not None:
            options["default_headers"] = {"authorization": f"Basic {b64encode(user.encode()).decode()}"}
        self._client = ObstoreHttp(url, client_options=options, retry_config=retry_config(patience))
        self._eager = ObstoreHttp(url, client_options=options, retry_config=NO_RETRIES)

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""
        self._only_current(version)
        return self._ask(key, lambda: self._get(key, {}, max_bytes))

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``."""

        def work() -> tuple[bytes, ObjectInfo] | None:
            from obstore.exceptions import NotModifiedError

            try:
                return self._get(key, {"if_none_match": etag}, max_bytes)
            except NotModifiedError:
                return None

        return self._ask(key, work)

    def _get(self, key: str, options: obstore.GetOptions, max_bytes: int | None) -> tuple[bytes, ObjectInfo]:
        import obstore

        result = obstore.get(self._client, check_key(key), options=options)
        info = _info(key, result.meta)
        if max_bytes is not None and info.size > max_bytes:
            raise IntegrityError(f"{self.url}/{key} has {info.size} bytes; at most {max_bytes} expected.")
        return bytes(result.bytes()), info

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read a range; see ``ObjectStore.get_range``."""
        import obstore

        check_range(start, length)
        self._only_current(version)

        def work() -> memoryview:
            # No If-Match: the answer names its ETag before its body comes, and a weak one would never match
            # (RFC 9110, section 13.1.1).
            result = obstore.get(self._client, check_key(key), options={"range": (start, start + length)})
            found = result.meta["e_tag"]
            if etag is not None and found is not None and found != etag:
                raise ObjectChanged(f"{self.url}/{key} changed while it was being read.", key=key)
            return memoryview(result.bytes())

        data = self._ask(key, work)
        if len(data) != length:
            raise IntegrityError(f"{self.url}/{key} ends before byte {start + length}.", key=key)
        return data

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read in pieces; see ``ObjectStore.stream``."""
        pieces = self._ask(key, lambda: opened_stream(self._eager, check_key(key), start, length))
        while (piece := self._ask(key, lambda: next(pieces, None))) is not None:
            yield piece

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Tell about an object; see ``ObjectStore.head``."""
        import obstore

        self._only_current(version)
        return self._ask(key, lambda: _info(key, obstore.head(self._client, check_key(key))))

    def metadata(self, key: str, *, version: str | None = None) -> dict[str, str]:
        """Give none, of an object that is there; see ``ObjectStore.metadata``."""
        self.head(key, version=version)
        return {}

    def list_folders(self, prefix: str) -> list[str]:
        """Refuse: a web server does not list; see ``ObjectStore.list_folders``."""
        self._no_listing(prefix)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Refuse: a web server does not list; see ``ObjectStore.list``."""
        self._no_listing(prefix)

    def put(
        self,
        key: str,
        data: bytes | memoryview,  # noqa: ARG002
        *,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> ObjectInfo:
        """Refuse; see ``ObjectStore.put``."""
        self._read_only(key)

    def copy(self, source: str, key: str) -> ObjectInfo:  # noqa: ARG002
        """Refuse; see ``ObjectStore.copy``."""
        self._read_only(key)

    def create(
        self,
        key: str,
        data: bytes | memoryview,  # noqa: ARG002
        *,
        metadata: Mapping[str, str] | None = None,  # noqa: ARG002
    ) -> ObjectInfo:
        """Refuse; see ``ObjectStore.create``."""
        self._read_only(key)

    def replace(self, key: str, data: bytes | memoryview, *, etag: str) -> ObjectInfo:  # noqa: ARG002
        """Refuse; see ``ObjectStore.replace``."""
        self._read_only(key)

    def delete(self, key: str) -> None:
        """Refuse; see ``ObjectStore.delete``."""
        self._read_only(key)

    def start_upload(self, key: str, *, metadata: Mapping[str, str] | None = None) -> Upload:  # noqa: ARG002
        """Refuse; see ``ObjectStore.start_upload``."""
        self._read_only(key)

    def resume_upload(self, key: str, upload: str) -> Upload | None:  # noqa: ARG002
        """Refuse; see ``ObjectStore.resume_upload``."""
        self._read_only(key)

    def list_uploads(self) -> Iterator[UploadInfo]:
        """Refuse: a web server does not list; see ``ObjectStore.list_uploads``."""
        self._no_listing("")

    def abort_upload(self, info: UploadInfo) -> None:
        """Refuse; see ``ObjectStore.abort_upload``."""
        self._read_only(info.key)

    def close(self) -> None:
        """Do nothing: idle connections go with the store."""

    def _only_current(self, version: str | None) -> None:
        if version is not None:
            raise UnsupportedByStore(f"{self.url} keeps no versions of what it serves.")

    def _read_only(self, key: str) -> NoReturn:
        raise ReadOnlyRepository(
            f"{self.url}/{check_key(key)} cannot be written: a web server only serves what is there.",
            hint="Publish to the bucket or the directory that it serves.",
        )

    def _no_listing(self, prefix: str) -> NoReturn:
        raise UnsupportedByStore(f"{self.url}/{check_prefix(prefix)} cannot be listed: a web server has no listing.")

    def _ask(self, key: str, work: Callable[[], T]) -> T:
        from obstore.exceptions import BaseError

        claim_threads()
        try:
            return work()
        except (BaseError, OSError) as error:
            asked = Asked(operation="read", name=f"{self.url}/{key}", key=key, host=self._host, url=self.url)
            raise told(failure_of(error), asked) from error


def _info(key: str, meta: obstore.ObjectMeta) -> ObjectInfo:
    modified = meta["last_modified"]
    # obstore gives the epoch for an answer without Last-Modified.
    known = modified.timestamp() > 0
    return ObjectInfo(key=key, size=meta["size"], etag=meta["e_tag"], modified=modified if known else None)
