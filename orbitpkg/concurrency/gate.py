"""How many requests are under way at once: fewer when a store says that it is overloaded, more when it recovers.

Additive increase, multiplicative decrease (Chiu and Jain, 1989), as TCP shares a link.
"""

from __future__ import annotations

import threading
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orbitpkg.errors import OrbitError

__all__ = ["Gate"]

_OVERLOADED = {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}


class Gate:
    """A context manager that at most so many threads are in at once.

    Args:
        limit: How many, to begin with and at most.
    """

    def __init__(self, limit: int) -> None:
        self._most = limit
        self._limit = float(limit)
        self._inside = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """How many may be inside now."""
        return max(1, int(self._limit))

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self.limit)
            self._inside += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            if kind is None:
                # One more after as many successes as there are places.
                self._limit = min(self._most, self._limit + 1 / self.limit)
            self._changed.notify_all()

    def pause(self, error: OrbitError) -> None:
        """Take a failure into account: the limit is halved when the store said that it is overloaded."""
        if error.data.get("status") in _OVERLOADED:
            with self._changed:
                self._limit = max(1.0, self._limit / 2)
