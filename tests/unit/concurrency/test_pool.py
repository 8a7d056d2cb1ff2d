"""The worker pool: order, bounds, failures, interrupts, and machines that allow no more threads."""

from __future__ import annotations

import subprocess
import sys
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg.concurrency.pool import Pool, StoppedError

if TYPE_CHECKING:
    from collections.abc import Iterator

TOP = Path(__file__).parents[3]
WAIT_SECONDS = 60

# The first lines of a program that can start no further thread. Root is exempt from RLIMIT_NPROC, and the limit counts
# every process of the user, so 0 allows no further one.
NO_THREADS = """
import os, resource, sys, threading
def forbid_threads(limit=0):
    if os.getuid() == 0:
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
        os.setgroups([]); os.setgid(65534); os.setuid(65534)
    else:
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))
    try:
        threading.Thread(target=int).start()
    except RuntimeError as error:
        assert "can't start new thread" in str(error)
    else:
        raise AssertionError("The limit on threads has no effect.")
"""


def run_program(program: str) -> str:
    """Run a program that may start no threads, and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", NO_THREADS + program], cwd=TOP, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def _fail(text: str) -> None:
    int(text)


def test_results_come_in_the_order_of_the_items() -> None:
    second_is_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_is_done.wait(WAIT_SECONDS)
        if item == 1:
            second_is_done.set()
        return item * 10

    with Pool(4) as pool:
        assert list(pool.map(work, range(20))) == [item * 10 for item in range(20)]


def test_map_takes_no_more_items_than_it_may_be_ahead() -> None:
    taken = 0

    def items() -> Iterator[int]:
        nonlocal taken
        for item in range(100):
            taken += 1
            yield item

    with Pool(2) as pool:
        for position, _ in enumerate(pool.map(abs, items(), ahead=5)):
            assert taken <= position + 6


def test_no_more_threads_work_than_the_pool_has_workers() -> None:
    names = set()
    full = threading.Barrier(3)

    def work() -> None:
        full.wait(WAIT_SECONDS)
        names.add(threading.current_thread().name)

    with Pool(3, "a-name") as pool:
        pool.run([work] * 12)
    assert names == {"a-name_0", "a-name_1", "a-name_2"}


def test_the_first_failure_is_raised_and_the_rest_does_not_begin() -> None:
    begun = []

    def work(number: int) -> None:
        begun.append(number)
        if number == 0:
            raise ValueError("the first")

    with pytest.raises(ValueError, match="the first"), Pool(1) as pool:
        pool.run(partial(work, number) for number in range(1000))
    assert len(begun) < 1000


def test_running_work_has_ended_when_a_failure_is_raised() -> None:
    ended = threading.Event()
    both = threading.Barrier(2)

    with Pool(2) as pool:

        def fail() -> None:
            both.wait(WAIT_SECONDS)
            raise ValueError("failed")

        def work() -> None:
            both.wait(WAIT_SECONDS)
            assert pool.stopping.wait(WAIT_SECONDS)
            ended.set()

        with pytest.raises(ValueError, match="failed"):
            pool.run([work, fail])
        assert ended.is_set()


def test_the_reported_failure_is_the_cause_and_not_the_stop_it_led_to() -> None:
    both = threading.Barrier(2)

    with Pool(2) as pool:

        def stop() -> None:
            both.wait(WAIT_SECONDS)
            raise StoppedError

        def fail() -> None:
            both.wait(WAIT_SECONDS)
            assert pool.stopping.wait(WAIT_SECONDS)
            raise ValueError("the cause")

        with pytest.raises(ValueError, match="the cause"):
            pool.run([stop, fail])


def test_a_failure_stops_the_pool_that_shares_the_flag() -> None:
    with Pool() as one, Pool(stopping=one.stopping) as other:
        with pytest.raises(ValueError, match="invalid literal"):
            other.run([partial(_fail, "text")])
        assert one.stopping.is_set()


def test_nothing_runs_after_a_generator_is_closed_early() -> None:
    begun: list[int] = []
    ended: list[int] = []

    def work(item: int) -> None:
        begun.append(item)
        ended.append(item)

    with Pool(2) as pool:
        results = pool.map(work, range(1000), ahead=2)
        next(results)
        results.close()
        at_close = sorted(begun)
        assert at_close == sorted(ended)
        assert len(at_close) <= 3
        assert not pool.stopping.is_set()
    assert sorted(begun) == at_close


def test_no_thread_is_left_when_the_block_ends() -> None:
    before = set(threading.enumerate())

    def interrupt() -> None:
        with Pool(4) as pool:
            list(pool.map(abs, range(100)))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert set(threading.enumerate()) <= before


def test_work_that_waits_when_the_pool_closes_is_cancelled() -> None:
    may_end, is_running = threading.Event(), threading.Event()

    def work() -> None:
        is_running.set()
        assert may_end.wait(WAIT_SECONDS)

    with Pool(1) as pool:
        first = pool.submit(work)
        waiting = pool.submit(int)
        assert is_running.wait(WAIT_SECONDS)
        threading.Timer(0, may_end.set).start()
    assert first.done()
    assert waiting.cancelled() or waiting.result() == 0
    with pytest.raises(RuntimeError, match="closed"):
        pool.submit(int)


def test_without_threads_the_work_runs_in_the_calling_thread() -> None:
    printed = run_program(
        """
from orbitpkg.concurrency.pool import Pool
forbid_threads()
names = []
def work(*_): names.append(threading.current_thread().name); return len(names)
with Pool(4) as pool:
    pool.run([work] * 3)
    print(list(pool.map(work, range(4))), pool.submit(work).result(), set(names))
"""
    )
    assert printed == "[4, 5, 6, 7] 8 {'MainThread'}\n"


def test_without_threads_a_failure_is_raised_before_the_rest_begins() -> None:
    printed = run_program(
        """
from orbitpkg.concurrency.pool import Pool
forbid_threads()
begun = []
def work(): begun.append(1); raise ValueError("failed")
try:
    with Pool(4) as pool:
        pool.run([work] * 3)
except ValueError as error:
    print(error, len(begun), pool.stopping.is_set())
try:
    with Pool(4) as pool:
        list(pool.map(lambda item: 1 // item, [1, 0, 1]))
except ZeroDivisionError as error:
    print(type(error).__name__)
def interrupt(): raise KeyboardInterrupt
try:
    with Pool(4) as pool:
        pool.submit(interrupt)
except KeyboardInterrupt:
    print("interrupted")
"""
    )
    assert printed == "failed 1 True\nZeroDivisionError\ninterrupted\n"


def test_the_threads_that_could_be_started_do_all_the_work() -> None:
    printed = run_program(
        """
from orbitpkg.concurrency.pool import Pool
both = threading.Barrier(2)
with Pool(4) as pool:
    pool.run([both.wait] * 2)
    forbid_threads()
    names = set()
    pool.run([lambda: names.add(threading.current_thread().name)] * 100)
    print(names <= {"orbitpkg-transfer_0", "orbitpkg-transfer_1"}, bool(names))
"""
    )
    assert printed == "True True\n"
