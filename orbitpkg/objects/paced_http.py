"""HTTP answers read at a minimum speed, and small requests through the standard library alone.

obstore reads whole pages of a listing before it returns, without a limit, and follows pages for ever. botocore takes
longer to import than a small install takes. So listings, which every install needs, are requested here.
"""

from __future__ import annotations

import http.client
import io
import os
import socket
import ssl
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from orbitpkg.objects.answers import MAX_PAGE_BYTES, AnswerError, Pace, RefusalError
from orbitpkg.objects.certificates import tls_context
from orbitpkg.objects.obstore_clients import check_system_certificates, proxy_of
from orbitpkg.objects.retry import RetryPolicy, retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from orbitpkg.objects.certificates import Bundle
    from orbitpkg.objects.timeouts import Timeouts

__all__ = ["PacedResponse", "PageClient"]

_READ_BYTES: Final = 64 * 1024
_MAX_IDLE: Final = 4
_MAX_HEAD_BYTES: Final = 1 << 20
# A correct server adds a few bytes to each piece of a chunked body. A hostile one can add a comment to each, or send
# trailers without end, which no reader of the body ever sees.
_MAX_FRAMED_BYTES: Final = MAX_PAGE_BYTES + (4 << 20)


class _PacedReader(io.RawIOBase):
    """The bytes of one answer, as they arrive.

    Attributes:
        remaining: The number of bytes that may still arrive; None for any number.
    """

    def __init__(self, raw: io.RawIOBase, timeouts: Timeouts) -> None:
        super().__init__()
        self._raw = raw
        self._pace = Pace(timeouts)
        self.remaining: int | None = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        before = time.monotonic()
        count: int | None = self._raw.readinto(buffer)  # type: ignore[attr-defined, unused-ignore]
        # The end of the connection does not count as a slow answer.
        if count:
            self._pace.note(time.monotonic() - before, count)
            if self.remaining is not None:
                self.remaining -= count
                if self.remaining < 0:
                    raise AnswerError("the answer does not end")
        return count

    def close(self) -> None:
        self._raw.close()
        super().close()


class PacedResponse(http.client.HTTPResponse):
    """An answer whose headers and body arrive at the minimum speed of ``timeouts``; a subclass sets it.

    Attributes:
        timeouts: Contains the minimum speed.
        max_body: The maximum number of bytes of the body as sent, with its framing; None for any number.
    """

    timeouts: Timeouts
    max_body: int | None = None

    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        raw: Any = sock.makefile("rb", buffering=0)
        self._paced = _PacedReader(raw, self.timeouts)
        paced: Any = io.BufferedReader(self._paced)
        self.fp = paced

    def begin(self) -> None:
        """Read the status and the headers."""
        # The standard library limits a line and the number of lines, but skips interim answers (100) without end.
        self._paced.remaining = _MAX_HEAD_BYTES
        super().begin()
        self._paced.remaining = self.max_body


class PageClient:
    """A client for answers of at most ``MAX_PAGE_BYTES``. It follows no redirects. Safe to use from several threads.

    Args:
        address: The URL of the server, as scheme and host.
        timeouts: How long to wait, and the minimum speed.
        bundle: Certificates to trust in addition to the system's.

    Raises:
        RepositoryError: A file of certificates cannot be used.
    """

    def __init__(self, address: str, timeouts: Timeouts, *, bundle: Bundle | None = None) -> None:
        parts = urlsplit(address)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._is_plain = parts.scheme == "http"
        self._timeouts = timeouts
        self._proxy = proxy_of(parts.scheme, self._host)
        self._context = None
        if not self._is_plain:
            check_system_certificates()
            self._context = tls_context(bundle)
        self._response = type("Response", (PacedResponse,), {"timeouts": timeouts, "max_body": _MAX_FRAMED_BYTES})
        self._lock = threading.Lock()
        self._idle: list[http.client.HTTPConnection] = []
        self._process = os.getpid()
        # A store that is not closed must not leave sockets to the garbage collector, which warns of them.
        weakref.finalize(self, _close_all, self._idle)

    def get(self, target: str, headers: Callable[[], Mapping[str, str]]) -> bytes:
        """Return the body of an answer with status 200.

        Args:
            target: The path and the query.
            headers: Returns the headers of a request; called for each try.

        Raises:
            RefusalError: The server answered with another status.
            AnswerError: The server did not answer, or not as a correct server does.
        """
        policy = RetryPolicy(
            tries=self._timeouts.retries + 1, first_pause=0.4, longest_pause=5.0, seconds=self._timeouts.retry
        )

        def may_retry(error: Exception) -> bool:
            if isinstance(error, RefusalError):
                return error.is_overload
            return isinstance(error, AnswerError) and error.transient

        return retry(lambda: self._get(target, headers()), policy=policy, when=may_retry)

    def close(self) -> None:
        """Close idle connections."""
        with self._lock:
            _close_all(self._idle)

    def _get(self, target: str, headers: Mapping[str, str]) -> bytes:
        connection, is_new = self._connect()
        try:
            return self._answer(connection, target, headers)
        except RefusalError:
            raise
        except (OSError, http.client.HTTPException, ValueError) as error:
            connection.close()
            # A server may close an idle connection at any time.
            if not is_new and isinstance(error, http.client.RemoteDisconnected | ConnectionError):
                return self._get(target, headers)
            raise _translated(error) from error
        except BaseException:
            connection.close()
            raise

    def _connect(self) -> tuple[http.client.HTTPConnection, bool]:
        with self._lock:
            if self._process != os.getpid():
                # The connections belong to the process that was forked.
                _close_all(self._idle)
                self._process = os.getpid()
            if self._idle:
                return self._idle.pop(), False
        return self._new_connection(), True

    def _new_connection(self) -> http.client.HTTPConnection:
        proxy = urlsplit(self._proxy) if self._proxy else None
        host, port = (proxy.hostname or "", proxy.port) if proxy else (self._host, self._port)
        wait = self._timeouts.connect
        if self._context is not None:
            connection: http.client.HTTPConnection = http.client.HTTPSConnection(
                host, port or (80 if proxy else None), timeout=wait, context=self._context
            )
            if proxy:
                connection.set_tunnel(self._host, self._port, headers=_proxy_headers(proxy.username, proxy.password))
        else:
            connection = http.client.HTTPConnection(host, port, timeout=wait)
        connection.response_class = self._response
        return connection

    def _answer(self, connection: http.client.HTTPConnection, target: str, headers: Mapping[str, str]) -> bytes:
        if connection.sock is None:
            connection.connect()
            opened: Any = connection.sock
            opened.settimeout(self._timeouts.silence)
        if self._proxy and self._is_plain:
            proxy = urlsplit(self._proxy)
            target = f"http://{headers['host']}{target}"
            headers = {**headers, **_proxy_headers(proxy.username, proxy.password)}
        connection.putrequest("GET", target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        try:
            body = _read_page(answer)
        except BaseException:
            # An answer without length holds the socket after the connection has given it up.
            answer.close()
            raise
        if answer.will_close or len(self._idle) >= _MAX_IDLE:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        if answer.status != http.client.OK:
            raise RefusalError(answer.status, body.decode("utf-8", "replace"), dict(answer.headers.items()))
        return body


def _close_all(connections: list[http.client.HTTPConnection]) -> None:
    while connections:
        connections.pop().close()


def _read_page(answer: http.client.HTTPResponse) -> bytes:
    page = bytearray()
    while piece := answer.read(_READ_BYTES):
        page += piece
        if len(page) > MAX_PAGE_BYTES:
            raise AnswerError(f"the answer is longer than {MAX_PAGE_BYTES >> 20} MiB")
    if answer.length:
        raise AnswerError("the answer was cut short", transient=True)
    return bytes(page)


def _proxy_headers(user: str | None, password: str | None) -> dict[str, str]:
    if not user:
        return {}
    from base64 import b64encode

    words = f"{unquote(user)}:{unquote(password or '')}".encode()
    return {"Proxy-Authorization": f"Basic {b64encode(words).decode()}"}


# The first kind that matches counts. The words are those that other libraries' failures are reported in.
_CAUSES: Final[tuple[tuple[type[Exception], str, bool], ...]] = (
    (TimeoutError, "no answer in time", True),
    (socket.gaierror, "its name cannot be resolved", True),
    (ConnectionRefusedError, "connection refused", True),
    (http.client.RemoteDisconnected, "the connection was closed without an answer", True),
    (ConnectionError, "the connection was reset", True),
    (http.client.IncompleteRead, "the answer was cut short", True),
    (ssl.SSLError, "the server does not use TLS: try an http:// address", False),
    (http.client.HTTPException, "it does not use HTTP", False),
    (ValueError, "it does not use HTTP", False),
)


def _translated(error: Exception) -> AnswerError:
    if isinstance(error, AnswerError):
        return error
    if isinstance(error, ssl.SSLCertVerificationError):
        return AnswerError(_certificate_flaw(error))
    for kind, cause, transient in _CAUSES:
        if isinstance(error, kind):
            return AnswerError(cause, transient=transient)
    return AnswerError((getattr(error, "strerror", None) or type(error).__name__).lower())


def _certificate_flaw(error: ssl.SSLCertVerificationError) -> str:
    # OpenSSL's X509_V_ERR_…: 18 to 21 are about an unknown issuer.
    if error.verify_code in {18, 19, 20, 21}:
        return "the issuer of its certificate is unknown: set AWS_CA_BUNDLE to the issuer's certificate"
    return "its certificate is not valid"
