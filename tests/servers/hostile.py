"""A server that answers as no server should: too much, too little, too slowly, or something else.

Each behaviour is a function that answers one request over a socket. None of them ends by itself where that is its
point: an endless answer ends when the client closes the connection, or the test is over.
"""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from tests.servers.processes import HOST

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Behaviour = Callable[["Exchange"], None]

__all__ = ["BEHAVIOURS", "Exchange", "endless_trailers", "hostile"]

FACTS = b'ETag: "a"\r\nLast-Modified: Fri, 20 Nov 2026 00:00:00 GMT\r\n'
BLOCK = b"x" * (1 << 16)
# An endless answer stops here, so that a client without a bound fails instead of taking the machine down.
MOST_BLOCKS = 16 * 1024


class Exchange:
    """One request and the connection on which it is answered.

    Attributes:
        head: The request line and the headers.
        number: The number of the request, from 1.
    """

    def __init__(self, connection: socket.socket, head: bytes, number: int, over: threading.Event) -> None:
        self.head = head
        self.number = number
        self._connection = connection
        self._over = over

    @property
    def range(self) -> bytes | None:
        """The value of the header Range."""
        found = [line for line in self.head.split(b"\r\n") if line.lower().startswith(b"range:")]
        return found[0].partition(b":")[2].strip() if found else None

    def send(self, data: bytes) -> None:
        """Send some bytes of the answer."""
        self._connection.sendall(data)

    def wait(self, seconds: float | None = None) -> bool:
        """Wait so long, or until the test is over; return whether it is."""
        return self._over.wait(seconds)

    def reset(self) -> None:
        """End the connection with a reset instead of a close."""
        self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._connection.close()


def _begin(exchange: Exchange, length: bytes = b"Content-Length: 10\r\n") -> None:
    """Send the status and the headers of an answer that fits the request."""
    if exchange.range is None:
        exchange.send(b"HTTP/1.1 200 OK\r\n" + FACTS + length + b"\r\n")
        return
    asked = exchange.range.removeprefix(b"bytes=")
    exchange.send(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes %b/10\r\n" % asked + FACTS + length + b"\r\n")


def too_short(exchange: Exchange) -> None:
    _begin(exchange)
    exchange.send(b"1234")


def too_long(exchange: Exchange) -> None:
    """Announce 10 bytes, and send 65,536 in one chunk: the chunked encoding takes precedence over the length."""
    _begin(exchange, b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n")
    exchange.send(b"10000\r\n" + BLOCK + b"\r\n0\r\n\r\n")


def endless(exchange: Exchange) -> None:
    _begin(exchange, b"Content-Length: 10\r\nTransfer-Encoding: chunked\r\n")
    for _ in range(MOST_BLOCKS):
        exchange.send(b"10000\r\n" + BLOCK + b"\r\n")


def endless_without_length(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n" + FACTS + b"\r\n")
    for _ in range(MOST_BLOCKS):
        exchange.send(BLOCK)


def drip(exchange: Exchange) -> None:
    """Send a byte now and then."""
    _begin(exchange, b"Content-Length: 1000\r\n")
    while not exchange.wait(0.05):
        exchange.send(b"x")


def drip_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\nX-Header: ")
    while not exchange.wait(0.05):
        exchange.send(b"x")


def stall(exchange: Exchange) -> None:
    exchange.wait()


def stall_in_the_body(exchange: Exchange) -> None:
    _begin(exchange)
    exchange.send(b"1234")
    exchange.wait()


def reset(exchange: Exchange) -> None:
    exchange.reset()


def reset_in_the_body(exchange: Exchange) -> None:
    _begin(exchange)
    exchange.send(b"1234")
    exchange.reset()


def another_range(exchange: Exchange) -> None:
    exchange.send(
        b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 3-5/10\r\nContent-Length: 3\r\n" + FACTS + b"\r\nabc"
    )


def redirect_to_another_host(exchange: Exchange) -> None:
    # Without the announcement a client may send its next request on this connection, and gets a reset.
    exchange.send(
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.2:9/elsewhere\r\n"
        b"Content-Length: 0\r\nConnection: close\r\n\r\n"
    )


def redirect_to_itself(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 302 Found\r\nLocation: /again\r\nContent-Length: 0\r\n\r\n")


def garbage(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n\x00\xff: \x01\r\n: \r\nContent-Length: -5\r\n\r\n")


def endless_headers(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(1 << 22):
        exchange.send(b"X-Header-%d: %b\r\n" % (number, BLOCK[:1000]))


def teapot(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 418 I'm a teapot\r\nContent-Length: 3\r\n\r\ntea")


def endless_error(exchange: Exchange) -> None:
    exchange.send(b"HTTP/1.1 403 Forbidden\r\nContent-Type: application/xml\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(MOST_BLOCKS):
        exchange.send(b"10000\r\n" + BLOCK + b"\r\n")


def endless_interim_answers(exchange: Exchange) -> None:
    for _ in range(MOST_BLOCKS):
        exchange.send(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000)


def endless_trailers(exchange: Exchange) -> None:
    _begin(exchange, b"Transfer-Encoding: chunked\r\n")
    exchange.send(b"a\r\n0123456789\r\n0\r\n")
    for _ in range(MOST_BLOCKS):
        exchange.send(b"X-Trailer: x\r\n" * 4000)


def endless_chunk_extensions(exchange: Exchange) -> None:
    _begin(exchange, b"Transfer-Encoding: chunked\r\n")
    for _ in range(MOST_BLOCKS):
        exchange.send(b"1;%b\r\nx\r\n" % BLOCK[:60_000])


BEHAVIOURS: dict[str, Behaviour] = {
    behaviour.__name__: behaviour
    for behaviour in (
        too_short,
        too_long,
        endless,
        endless_without_length,
        drip,
        drip_headers,
        stall,
        stall_in_the_body,
        reset,
        reset_in_the_body,
        another_range,
        redirect_to_another_host,
        redirect_to_itself,
        garbage,
        endless_headers,
        teapot,
        endless_error,
        endless_interim_answers,
        endless_chunk_extensions,
    )
}
"""All behaviours by name."""


@contextmanager
def hostile(behaviour: Behaviour) -> Iterator[str]:
    """Answer every request with ``behaviour``; the value is the URL of the server."""
    over = threading.Event()
    threads: list[threading.Thread] = []
    with socket.create_server((HOST, 0), backlog=64) as listener:
        threads.append(threading.Thread(target=_accept, args=(listener, behaviour, over, threads)))
        threads[0].start()
        try:
            yield f"http://{HOST}:{listener.getsockname()[1]}"
        finally:
            over.set()
            listener.shutdown(socket.SHUT_RDWR)
            for thread in threads:
                thread.join()


def _accept(
    listener: socket.socket, behaviour: Behaviour, over: threading.Event, threads: list[threading.Thread]
) -> None:
    number = 0
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        number += 1
        thread = threading.Thread(target=_serve, args=(connection, behaviour, number, over))
        threads.append(thread)
        thread.start()


def _serve(connection: socket.socket, behaviour: Behaviour, number: int, over: threading.Event) -> None:
    connection.settimeout(20)
    with connection, suppress(OSError):
        head = b""
        while b"\r\n\r\n" not in head:
            piece = connection.recv(1 << 16)
            if not piece:
                return
            head += piece
        behaviour(Exchange(connection, head, number, over))
