"""The workers that all transfers of one command share."""

from __future__ import annotations

import threading
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TYPE_CHECKING

from orbitpkg.concurrency.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self

__all__ = ["WORKERS", "Pool", "StoppedError"]

WORKERS = 8


class StoppedError(Exception):
    """The pool was told to stop before the work was done. Never seen outside: what stopped it is what is raised."""


class Pool:
    """Worker threads, and how many of them may ask the network at once. A context manager.

    Attributes:
        gate: To be entered for each request.
        stopping: Set when something failed or the user interrupted: work that is under way ends at its next step.
    """

    def __init__(self) -> None:
        self.gate = Gate(WORKERS)
        self.stopping = threading.Event()
        self._executor = ThreadPoolExecutor(WORKERS, "orbitpkg-transfer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.stopping.set()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def run(self, works: Iterable[Callable[[], None]]) -> None:
        """Do all works, in parallel; may be called by several threads. Raises what the first failing one raises.

        When it returns or raises, none of them is under way.

        Raises:
            StoppedError: The pool is stopping.
        """
        futures = [self._executor.submit(self._do, work) for work in works]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            # Ctrl-C as well: what is not begun is dropped, what is begun ends at its next step.
            self.stopping.set()
            for future in futures:
                future.cancel()
            wait(futures)
            raise

    def _do(self, work: Callable[[], None]) -> None:
        if self.stopping.is_set():
            raise StoppedError
        work()
