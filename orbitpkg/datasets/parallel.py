"""Work for many things, some at a time, told in their order; what waits for its turn is bounded."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, TypeVar

from orbitpkg.concurrency.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable

    from orbitpkg.concurrency.pool import Future

__all__ = ["in_order"]

_WORKERS: Final = 12

Thing = TypeVar("Thing")
Result = TypeVar("Result")


def in_order(
    work: Callable[[Thing], Result], things: Iterable[Thing]
) -> Generator[tuple[Thing, Future[Result]], None, None]:
    """Do the work for all things, in threads, and give what came of it in their order.

    Close it if it is not used up: then what is not begun is dropped, and what is begun is waited for.
    """
    waiting: deque[tuple[Thing, Future[Result]]] = deque()
    with Pool(_WORKERS, "orbitpkg-datasets") as pool:
        for thing in things:
            if len(waiting) == 2 * _WORKERS:
                yield waiting.popleft()
            waiting.append((thing, pool.submit(work, thing)))
        while waiting:
            yield waiting.popleft()
