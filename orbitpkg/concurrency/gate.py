"""The limit on concurrent requests: lower when a store reports that it is overloaded, higher when it recovers.

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
    """A context manager that limits how many threads can be inside at the same time.

    Args:
        limit: The initial and the maximum limit.
    """

    def __init__(self, limit: int) -> None:
        self._maximum = limit
        self._limit = float(limit)
        self._inside = 0
        self._changed = threading.Condition()

    @property
    def limit(self) -> int:
        """The current limit."""
        return max(1, int(self._limit))

    def __enter__(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._inside < self.limit)
            self._inside += 1

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        with self._changed:
            self._inside -= 1
            if kind is None:
                # The limit grows by one after as many successes as the limit.
                self._limit = min(self._maximum, self._limit + 1 / self.limit)
            self._changed.notify_all()

    def pause(self, error: OrbitError) -> None:
        """Halve the limit if a failure reports that the store is overloaded."""
        if error.data.get("status") in _OVERLOADED:
            with self._changed:
                self._limit = max(1.0, self._limit / 2)
