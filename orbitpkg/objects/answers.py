"""Limits on what a server sends: how much, and how slowly.

A server can announce one length and send another, send without end, or send a byte now and then. Timeouts of libraries
restart with every byte, so none of them ends such an answer. Every body is therefore read in pieces, up to a limit that
is known before the first piece, and at no less than a minimum speed.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from orbitpkg.objects.protocol import STREAM_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from orbitpkg.objects.timeouts import Timeouts

__all__ = ["MAX_PAGE_BYTES", "OVERLOADED", "AnswerError", "Pace", "RefusalError", "bounded_pieces", "read_exactly"]

MAX_PAGE_BYTES: Final = 16 << 20
"""The maximum size of an answer that is not an object, such as a page of a listing.

A page has at most 1,000 keys of 1,024 bytes. Escaped as XML and percent-encoded, a byte takes three, so the largest
page has about 4 MiB.
"""


OVERLOADED: Final = frozenset({429, 500, 502, 503, 504})
"""The HTTP statuses of a server that cannot answer now."""


class AnswerError(OSError):
    """An answer that no correct server sends. It is translated to ``RepositoryUnreachable``, so mirrors are asked.

    Args:
        cause: What is wrong with the answer, in a few words.
        transient: Whether another try may succeed.
    """

    def __init__(self, cause: str, *, transient: bool = False) -> None:
        super().__init__(cause)
        self.cause = cause
        self.transient = transient


class RefusalError(OSError):
    """An answer with a status other than 200.

    Args:
        status: The HTTP status.
        body: The body, for the error code in it.
        headers: The headers.
    """

    def __init__(self, status: int, body: str, headers: Mapping[str, str]) -> None:
        super().__init__(f"HTTP status {status}")
        self.status = status
        self.body = body
        self.headers = {name.lower(): value for name, value in headers.items()}

    @property
    def is_overload(self) -> bool:
        """Whether the server answered that it cannot answer now."""
        return self.status in OVERLOADED


class Pace:
    """The minimum speed of one answer.

    Only the time spent waiting for the server counts: the caller may take as long as it likes with a piece.

    Args:
        timeouts: Contains the minimum speed and the time over which it is measured.
    """

    def __init__(self, timeouts: Timeouts) -> None:
        self._speed = timeouts.min_speed
        self._window = timeouts.window
        self._waited = 0.0
        self._received = 0

    def note(self, seconds: float, received: int) -> None:
        """Count ``received`` bytes that arrived after ``seconds`` of waiting.

        Raises:
            AnswerError: The answer arrives too slowly.
        """
        self._waited += seconds
        self._received += received
        if self._waited < self._window:
            return
        if self._received < self._speed * self._waited:
            raise AnswerError(f"the answer arrives at less than {self._speed:,} bytes a second")
        self._waited, self._received = 0.0, 0


def bounded_pieces(pieces: Iterable[object], length: int, timeouts: Timeouts) -> Iterator[memoryview]:
    """Yield the pieces of a body of ``length`` bytes, in pieces of about ``STREAM_BYTES``.

    Args:
        pieces: The body as it arrives; each piece supports the buffer protocol.
        length: The length that the body must have, in bytes.
        timeouts: The minimum speed.

    Raises:
        AnswerError: The body is longer or shorter, or arrives too slowly.
    """
    pace, arriving = Pace(timeouts), iter(pieces)
    waiting = bytearray()
    position = 0
    while True:
        before = time.monotonic()
        piece = next(arriving, None)
        data = memoryview(piece) if piece is not None else memoryview(b"")  # type: ignore[arg-type]
        position += data.nbytes
        if position > length:
            raise AnswerError("the answer is longer than announced")
        pace.note(time.monotonic() - before, data.nbytes)
        if piece is None:
            break
        if not waiting and data.nbytes >= STREAM_BYTES:
            yield data
            continue
        waiting += data
        if len(waiting) >= STREAM_BYTES:
            yield memoryview(waiting)
            waiting = bytearray()
    if position < length:
        raise AnswerError("the answer was cut short")
    if waiting:
        yield memoryview(waiting)


def read_exactly(pieces: Iterable[object], length: int, timeouts: Timeouts) -> bytearray:
    """Return a body of ``length`` bytes; see ``bounded_pieces``."""
    body = bytearray()
    for piece in bounded_pieces(pieces, length, timeouts):
        # Memory is taken for what arrives, not for what is announced.
        body += piece
    return body
