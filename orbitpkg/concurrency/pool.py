"""The one pool of worker threads.

Work that has begun is always waited for: when a pool's ``with`` block ends, by whatever route, nothing it started is
still running. A machine or a user limit may allow no more threads; the pool then works with those it could start, and
with none it runs the work in the thread that submits it.
"""

from __future__ import annotations

import threading
from collections import deque
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from orbitpkg.concurrency.gate import Gate

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Sequence
    from typing import Self

__all__ = ["WORKERS", "Future", "Pool", "StoppedError"]

WORKERS = 8

T = TypeVar("T")
R = TypeVar("R")


class StoppedError(Exception):
    """The pool was stopped before the work was done. Internal: callers see the error that stopped the pool."""


class Pool:
    """A bounded pool of worker threads. A context manager.

    When its block ends normally, work that has not begun is cancelled and the rest is waited for. When the block ends
    with an error or Ctrl-C, ``stopping`` is set first, so that long work can end at its next step.

    Args:
        workers: The maximum number of threads.
        name: The prefix of the threads' names.
        stopping: The stop flag of another pool, so that a failure in either stops both.

    Attributes:
        gate: Limits concurrent requests to a store; to be entered for each request.
        stopping: Set when work failed or the user interrupted.
    """

    def __init__(
        self, workers: int = WORKERS, name: str = "orbitpkg-transfer", *, stopping: threading.Event | None = None
    ) -> None:
        self.gate = Gate(workers)
        self.stopping = stopping or threading.Event()
        self._name = name
        self._limit = workers
        self._threads: list[threading.Thread] = []
        self._idle = 0
        self._queue: deque[_Work[Any]] = deque()
        self._closed = False
        self._changed = threading.Condition()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self.stopping.set()
        self.close()

    def close(self) -> None:
        """Cancel work that has not begun and wait for the rest."""
        with self._changed:
            self._closed = True
            cancelled = list(self._queue)
            self._queue.clear()
            self._changed.notify_all()
        for work in cancelled:
            work.future.cancel()
            work.future.set_running_or_notify_cancel()
        for thread in self._threads:
            thread.join()

    def submit(self, function: Callable[..., R], /, *args: object) -> Future[R]:
        """Run a function in a worker thread, or before this returns if there is no worker thread.

        Ctrl-C (any exception that is not an ``Exception``) during work that runs in the calling thread is raised here.

        Returns:
            The future result. Its work is cancelled, or fails with :class:`StoppedError`, once the pool is stopping.
        """
        work = _Work(self.stopping, function, args)
        with self._changed:
            if self._closed:
                raise RuntimeError("The pool is closed.")
            if self._has_worker():
                self._queue.append(work)
                self._changed.notify()
                return work.future
        work.do()
        error = work.future.exception()
        if error is not None and not isinstance(error, Exception):
            self.stopping.set()
            raise error
        return work.future

    def run(self, works: Iterable[Callable[[], None]]) -> None:
        """Run all works in parallel. Several threads may call this at the same time.

        The first failure stops the pool and is raised. When this returns or raises, none of the works is running.

        Raises:
            StoppedError: The pool was stopping already.
        """
        futures: list[Future[None]] = []
        try:
            for work in works:
                futures.append(self.submit(work))
                if futures[-1].done():
                    # Without worker threads, a failure is known at once and the rest need not begin.
                    futures[-1].result()
            wait(futures, return_when=FIRST_EXCEPTION)
        except BaseException:
            self.stopping.set()
            _cancel(futures)
            raise
        failure = self._failure(futures)
        if failure is not None:
            raise failure

    def map(
        self, function: Callable[[T], R], items: Iterable[T], *, ahead: int | None = None
    ) -> Generator[R, None, None]:
        """Apply a function to each item and yield the results in the order of the items.

        Items are taken as results are consumed, so memory stays bounded however many items there are. When a call
        fails, or the generator is closed early, calls that have not begun are cancelled and the rest are waited for.

        Args:
            function: Called in worker threads.
            items: Iterated over in the calling thread.
            ahead: The maximum number of items taken and not yet yielded; twice the number of workers when None.
        """
        limit = 2 * max(1, self._limit) if ahead is None else ahead
        pending: deque[Future[R]] = deque()
        try:
            for item in items:
                if len(pending) >= limit:
                    yield pending.popleft().result()
                pending.append(self.submit(function, item))
            while pending:
                yield pending.popleft().result()
        except GeneratorExit:
            raise
        except BaseException:
            self.stopping.set()
            raise
        finally:
            _cancel(pending)

    def _failure(self, futures: Sequence[Future[None]]) -> BaseException | None:
        """Stop the pool if a future failed; return the error that is not merely a consequence of the stop."""
        if not any(future.done() and future.exception() for future in futures):
            return None
        self.stopping.set()
        _cancel(futures)
        errors = [error for future in futures if not future.cancelled() and (error := future.exception())]
        return min(errors, key=lambda error: isinstance(error, StoppedError))

    def _has_worker(self) -> bool:
        """Start another thread if all are busy and the limit allows; return whether there is any."""
        if len(self._queue) >= self._idle and len(self._threads) < self._limit:
            number = len(self._threads)
            # A daemon: a pool that was never closed must not keep a program from ending.
            thread = threading.Thread(target=self._serve, name=f"{self._name}_{number}", daemon=True)
            try:
                thread.start()
            except RuntimeError:  # "can't start new thread": RLIMIT_NPROC or a cgroup's pids.max
                self._limit = number
            else:
                self._threads.append(thread)
        return bool(self._threads)

    def _serve(self) -> None:
        while True:
            with self._changed:
                self._idle += 1
                try:
                    self._changed.wait_for(lambda: self._queue or self._closed)
                finally:
                    self._idle -= 1
                if not self._queue:
                    return
                work = self._queue.popleft()
            work.do()
            # Otherwise an idle thread would keep the last result in memory.
            del work


class _Work(Generic[R]):
    """A call whose result somebody waits for."""

    __slots__ = ("_arguments", "_function", "_stopping", "future")

    def __init__(self, stopping: threading.Event, function: Callable[..., R], arguments: tuple[object, ...]) -> None:
        self.future: Future[R] = Future()
        self._stopping = stopping
        self._function = function
        self._arguments = arguments

    def do(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        if self._stopping.is_set():
            self.future.set_exception(StoppedError())
            return
        try:
            result = self._function(*self._arguments)
        except BaseException as error:  # noqa: BLE001 - raised where the result is asked for
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


def _cancel(futures: Iterable[Future[R]]) -> None:
    """Cancel futures and wait for those that are running."""
    wait([future for future in futures if not future.cancel()])
