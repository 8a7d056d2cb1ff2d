"""The HTTP session of botocore's clients, with limits that botocore does not have.

botocore reads the whole body of every answer that is not an object, and its timeout restarts with every byte. This
session limits the size of such answers and the speed of all of them, headers included, and trusts the certificates that
obstore's clients trust. urllib3 does not follow redirects here.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)
from botocore.exceptions import HTTPClientError
from botocore.httpsession import URLLib3Session
from botocore.utils import get_environ_proxies

from orbitpkg.objects.answers import MAX_PAGE_BYTES, AnswerError, RefusalError
from orbitpkg.objects.certificates import tls_context
from orbitpkg.objects.paced_http import PacedResponse

if TYPE_CHECKING:
    import ssl

    from orbitpkg.objects.certificates import Bundle
    from orbitpkg.objects.timeouts import Timeouts

__all__ = ["PacedSession"]

_READ_BYTES: Final = 64 * 1024


def _pool_classes(timeouts: Timeouts) -> dict[str, type]:
    response = type("PacedResponse", (PacedResponse,), {"timeouts": timeouts})
    plain = type("PacedConnection", (AWSHTTPConnection,), {"response_class": response})
    secure = type("PacedTLSConnection", (AWSHTTPSConnection,), {"response_class": response})
    return {
        "http": type("PacedPool", (AWSHTTPConnectionPool,), {"ConnectionCls": plain}),
        "https": type("PacedTLSPool", (AWSHTTPSConnectionPool,), {"ConnectionCls": secure}),
    }


class PacedSession(URLLib3Session):
    """The session of one client.

    Args:
        address: The URL of the server.
        timeouts: How long to wait, and the minimum speed.
        silence: The maximum time between two reads, in seconds.
        connections: The maximum number of connections that are kept.
        bundle: Certificates to trust in addition to the system's.

    Raises:
        RepositoryError: The bundle cannot be used.
    """

    def __init__(
        self, address: str, timeouts: Timeouts, *, silence: float, connections: int, bundle: Bundle | None
    ) -> None:
        self._context = tls_context(bundle) if address.startswith("https:") else None
        super().__init__(
            proxies=get_environ_proxies(address),
            timeout=(timeouts.connect, silence),  # type: ignore[arg-type]
            max_pool_connections=connections,
        )
        # Both names are private in botocore, and have been the same since 2018.
        manager: Any = self._manager  # type: ignore[attr-defined]
        manager.pool_classes_by_scheme = self._pool_classes_by_scheme = _pool_classes(timeouts)

    def _get_ssl_context(self) -> ssl.SSLContext:
        context: ssl.SSLContext = self._context or super()._get_ssl_context()  # type: ignore[misc]
        return context

    def _setup_ssl_cert(self, conn: Any, url: str, verify: object) -> None:
        super()._setup_ssl_cert(conn, url, verify)  # type: ignore[misc]
        # botocore's own bundle would be trusted besides the system's certificates.
        conn.ca_certs = None

    def send(self, request: Any) -> Any:
        """Send a request, and read the whole answer if it is not an object.

        Raises:
            HTTPClientError: The request failed.
            AnswerError: The answer is too long, or arrives too slowly.
        """
        is_object, request.stream_output = request.stream_output, True
        try:
            response: Any = super().send(request)
        finally:
            request.stream_output = is_object
        _check_headers(response)
        # botocore itself reads the body of an error, also where it expects an object.
        if not is_object or response.status_code >= HTTPStatus.MULTIPLE_CHOICES:
            response._content = _read_page(response.raw)  # noqa: SLF001 - where AWSResponse.content keeps it
        return response


def _check_headers(response: Any) -> None:
    """Raise an error for headers that botocore does not expect: it parses them without a check, or loops."""
    length = response.headers.get("Content-Length")
    if length is not None and not (str(length).isascii() and str(length).isdigit()):
        response.raw.close()
        raise AnswerError("its answer has no valid length")
    status = response.status_code
    is_redirect = HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST and status != HTTPStatus.NOT_MODIFIED
    if is_redirect and response.headers.get("Location"):
        body = _read_page(response.raw).decode("utf-8", "replace")
        raise RefusalError(status, body, dict(response.headers.items()))


def _read_page(raw: Any) -> bytes:
    page = bytearray()
    try:
        for piece in raw.stream(_READ_BYTES):
            page += piece
            if len(page) > MAX_PAGE_BYTES:
                break
    except AnswerError:
        raw.close()
        raise
    except Exception as error:
        raw.close()
        raise HTTPClientError(error=error) from error
    if len(page) > MAX_PAGE_BYTES:
        raw.close()
        raise AnswerError(f"the answer is longer than {MAX_PAGE_BYTES >> 20} MiB")
    return bytes(page)
