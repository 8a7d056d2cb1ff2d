"""Servers of the tests' own that stand where a real one is expected: before it, or in its place.

`interposed` forwards to a real server and lets the test answer first, or lose the answer. `answering` says one thing
to everybody. `silent` takes connections and never says anything.
"""

from __future__ import annotations

import http.client
import re
import socket
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.servers.processes import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["Answer", "Request", "answering", "interposed", "silent"]

HOP_BY_HOP = {"connection", "transfer-encoding", "keep-alive", "content-length", "date", "server"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What a client asked.

    Attributes:
        headers: By name, in lower case.
        number: How many of this method and path there have been, this one included.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the test has it answered with, instead of the server.

    Attributes:
        lost: The server is asked and does the work, and its answer never arrives.
        reset: The connection is reset, and the server receives no request.
        stall: No answer is sent until the test ends, and the server receives no request.
        rangeless: The server receives a request for the whole object, whatever range the client requested.
        alter: The server is asked, and this makes another answer of its answer.
    """

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    lost: bool = False
    reset: bool = False
    stall: bool = False
    rangeless: bool = False
    alter: Callable[[Answer], Answer] | None = None


@contextmanager
def interposed(endpoint: str, meddle: Callable[[Request], Answer | None]) -> Iterator[str]:
    """Stand before the server at `endpoint`; `meddle` answers in its stead, or gives None to let it do so itself."""
    asked: dict[tuple[str, str], int] = {}
    lock = threading.Lock()
    over = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def handle_one_request(self) -> None:
            with suppress(ConnectionError):
                super().handle_one_request()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            with lock:
                number = asked[self.command, self.path] = asked.get((self.command, self.path), 0) + 1
            headers = {name.lower(): value for name, value in self.headers.items()}
            request = Request(method=self.command, path=self.path, headers=headers, number=number)
            answer = _answer(endpoint, request, body, meddle(request), over)
            if answer is None:
                self.close_connection = True
            else:
                self._say(answer)

        def _say(self, answer: Answer) -> None:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            if not any(name.lower() == "content-length" for name in answer.headers):
                self.send_header("Content-Length", str(len(answer.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            declared = next((value for name, value in answer.headers.items() if name.lower() == "content-length"), None)
            if declared is not None and self.command != "HEAD" and int(declared) != len(answer.body):
                self.close_connection = True

        do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _serve  # noqa: N815

    server = ThreadingHTTPServer((HOST, 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://{HOST}:{server.server_port}"
    finally:
        over.set()
        server.shutdown()
        server.server_close()
        thread.join()


def _answer(
    endpoint: str, request: Request, body: bytes, wanted: Answer | None, over: threading.Event
) -> Answer | None:
    """Give what is answered, or None when the connection ends without an answer."""
    if wanted is None:
        return _forward(endpoint, request, body)
    if wanted.stall:
        over.wait()
    if wanted.stall or wanted.reset:
        return None
    if wanted.lost or wanted.rangeless or wanted.alter:
        forwarded = _forward(endpoint, request, body, rangeless=wanted.rangeless)
        if wanted.lost:
            return None
        return wanted.alter(forwarded) if wanted.alter else forwarded
    return wanted


def _forward(endpoint: str, request: Request, body: bytes, *, rangeless: bool = False) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=30)
    # A client that takes this for its proxy sends the whole URL.
    path = re.sub(r"^http://[^/]*", "", request.path)
    try:
        connection.putrequest(request.method, path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            if not (rangeless and name == "range"):
                connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        headers = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
        data = response.read()
        if request.method == "HEAD":
            headers["Content-Length"] = response.headers["Content-Length"] or "0"
        return Answer(status=response.status, headers=headers, body=data)
    finally:
        connection.close()


@contextmanager
def answering(pieces: Iterable[bytes]) -> Iterator[str]:
    """Send `pieces` to everybody who sends anything, then close the connection."""
    with socket.create_server((HOST, 0)) as listener:
        threads = [threading.Thread(target=_answer_all, args=(listener, pieces))]
        threads[0].start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            threads[0].join()


def _answer_all(listener: socket.socket, pieces: Iterable[bytes]) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        with connection, suppress(ConnectionError):
            if connection.recv(1 << 20):
                for piece in pieces:
                    connection.sendall(piece)


@contextmanager
def silent() -> Iterator[str]:
    """Take connections (the kernel does), and never answer."""
    with socket.create_server((HOST, 0), backlog=64) as listener:
        yield f"http://{HOST}:{listener.getsockname()[1]}"
