"""Run work in threads and yield the results in order, with a bounded number of pending tasks."""

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
    """Run ``work`` for each item in threads, and yield the items with their futures in order.

    Close the generator if it is not exhausted: this drops pending tasks and waits for running ones.
    """
    waiting: deque[tuple[Thing, Future[Result]]] = deque()
    with Pool(_WORKERS, "orbitpkg-datasets") as pool:
        for thing in things:
            if len(waiting) == 2 * _WORKERS:
                yield waiting.popleft()
            waiting.append((thing, pool.submit(work, thing)))
        while waiting:
            yield waiting.popleft()
