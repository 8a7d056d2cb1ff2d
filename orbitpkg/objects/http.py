"""A static web server as a read-only object store.

It offers no listing and no writes. Some servers do not support ranged reads either (Python's ``http.server``): they
send status 200 and the whole file instead of status 206.
"""

from __future__ import annotations

from base64 import b64encode
from functools import partial
from typing import TYPE_CHECKING, Final, NoReturn, TypeVar
from urllib.parse import urlsplit

from orbitpkg.errors import IntegrityError, ObjectChanged, ReadOnlyRepository, UnsupportedByStore
from orbitpkg.objects.certificates import bundle_from
from orbitpkg.objects.failures import Asked, failure_of, translate_error
from orbitpkg.objects.forks import claim_threads
from orbitpkg.objects.obstore_clients import client_options, make_client
from orbitpkg.objects.obstore_reads import open_stream, read_range, read_whole
from orbitpkg.objects.protocol import Capabilities, ObjectInfo, check_key, check_prefix, check_range
from orbitpkg.objects.read_only import ReadOnlyStore
from orbitpkg.objects.retry import outlasting, retry
from orbitpkg.objects.timeouts import DEFAULT_TIMEOUTS, NO_RETRIES, Timeouts, retry_config

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    import obstore

    from orbitpkg.objects.protocol import UploadInfo

__all__ = ["HttpStore"]

T = TypeVar("T")


class HttpStore(ReadOnlyStore):
    """An ``ObjectStore`` over the files that a web server serves below a URL.

    Args:
        url: The URL, without a user part, a query or a trailing slash.
        user: ``name:password`` for a server that requires them (RFC 7617).
        env: Environment variables, for ``AWS_CA_BUNDLE``.
        timeouts: How long to wait.
    """

    capabilities = Capabilities(listing=False, writing=False, replacing=False, part_copies=False)

    def __init__(
        self,
        url: str,
        *,
        user: str | None = None,
        env: Mapping[str, str] | None = None,
        timeouts: Timeouts = DEFAULT_TIMEOUTS,
    ) -> None:
        from obstore.store import HTTPStore as ObstoreHttp

        self.url = url
        self._timeouts = timeouts
        parts = urlsplit(url)
        self._host: Final = f"{parts.scheme}://{parts.netloc}"
        options = client_options(url, timeouts, bundle=bundle_from(env or {}), has_credentials=user is not None)
        if user is not None:
            options["default_headers"] = {"authorization": f"Basic {b64encode(user.encode()).decode()}"}
        self._client, self._eager = make_client(
            lambda: (
                ObstoreHttp(url, client_options=options, retry_config=retry_config(timeouts)),
                ObstoreHttp(url, client_options=options, retry_config=NO_RETRIES),
            ),
            url,
        )

    def get(self, key: str, *, max_bytes: int | None = None, version: str | None = None) -> tuple[bytes, ObjectInfo]:
        """Read a whole object; see ``ObjectStore.get``."""
        self._check_current(version)
        found = self._get(key, {}, max_bytes)
        assert found is not None
        return found

    def get_if_changed(self, key: str, *, etag: str, max_bytes: int | None = None) -> tuple[bytes, ObjectInfo] | None:
        """Read an object unless it is unchanged; see ``ObjectStore.get_if_changed``."""
        return self._get(key, {"if_none_match": etag}, max_bytes)

    def _get(self, key: str, options: obstore.GetOptions, max_bytes: int | None) -> tuple[bytes, ObjectInfo] | None:
        path, describe = check_key(key), partial(_info, key)
        return self._ask(
            key,
            lambda: read_whole(
                self._client,
                path,
                options,
                describe=describe,
                url=self.url,
                max_bytes=max_bytes,
                timeouts=self._timeouts,
            ),
        )

    def get_range(
        self, key: str, start: int, length: int, *, etag: str | None = None, version: str | None = None
    ) -> bytes | memoryview:
        """Read a range; see ``ObjectStore.get_range``."""
        check_range(start, length)
        self._check_current(version)
        path = check_key(key)

        # No If-Match: the answer contains its ETag before its body, and a weak ETag would never match
        # (RFC 9110, section 13.1.1).
        def check(meta: obstore.ObjectMeta) -> None:
            found = meta["e_tag"]
            if etag is not None and found is not None and found != etag:
                raise ObjectChanged(f"{self.url}/{key} changed while it was being read.", key=key)

        options: obstore.GetOptions = {"range": (start, start + length)}
        data = self._ask(
            key,
            lambda: read_range(self._client, path, options, length, check=check, timeouts=self._timeouts),
        )
        if len(data) != length:
            raise IntegrityError(f"{self.url}/{key} ends before byte {start + length}.", key=key)
        return data

    def stream(self, key: str, start: int = 0, length: int | None = None) -> Iterator[memoryview]:
        """Read in pieces; see ``ObjectStore.stream``."""
        path = check_key(key)
        pieces = self._ask(key, lambda: open_stream(self._eager, path, start, length, timeouts=self._timeouts))
        while (piece := self._ask(key, lambda: next(pieces, None))) is not None:
            yield piece

    def head(self, key: str, *, version: str | None = None) -> ObjectInfo:
        """Return the facts about an object; see ``ObjectStore.head``."""
        import obstore

        self._check_current(version)
        return self._ask(key, lambda: _info(key, obstore.head(self._client, check_key(key))))

    def list_folders(self, prefix: str) -> list[str]:
        """Refuse: a web server does not list; see ``ObjectStore.list_folders``."""
        self._refuse_listing(prefix)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        """Refuse: a web server does not list; see ``ObjectStore.list``."""
        self._refuse_listing(prefix)

    def list_uploads(self) -> Iterator[UploadInfo]:
        """Refuse: a web server does not list; see ``ObjectStore.list_uploads``."""
        self._refuse_listing("")

    def _refuse(self, key: str) -> NoReturn:
        raise ReadOnlyRepository(
            f"{self.url}/{check_key(key)} cannot be written: a web server is read-only.",
            hint="Publish to the bucket or the directory that it serves.",
        )

    def _refuse_listing(self, prefix: str) -> NoReturn:
        raise UnsupportedByStore(f"{self.url}/{check_prefix(prefix)} cannot be listed: a web server has no listing.")

    def _ask(self, key: str, work: Callable[[], T]) -> T:
        from obstore.exceptions import BaseError

        claim_threads()

        def is_overloaded(error: Exception) -> bool:
            return isinstance(error, BaseError) and failure_of(error).overloaded

        try:
            return retry(work, policy=outlasting(self._timeouts.retry), when=is_overloaded)
        except (BaseError, OSError) as error:
            asked = Asked(operation="read", name=f"{self.url}/{key}", key=key, host=self._host, url=self.url)
            # The text of obstore's errors is unreadable, and all of it that helps is in the translation.
            raise translate_error(failure_of(error), asked) from None


def _info(key: str, meta: obstore.ObjectMeta) -> ObjectInfo:
    modified = meta["last_modified"]
    # obstore reports the epoch for an answer without Last-Modified.
    known = modified.timestamp() > 0
    return ObjectInfo(key=key, size=meta["size"], etag=meta["e_tag"], modified=modified if known else None)
