"""How many requests are under way at once."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Lock

import pytest

from orbitpkg.concurrency.gate import Gate
from orbitpkg.errors import RepositoryUnreachable

BUSY = RepositoryUnreachable("overloaded", status=503)


def test_no_more_are_inside_than_the_limit() -> None:
    gate, lock, inside, most = Gate(3), Lock(), 0, 0
    full = Barrier(3)

    def work(_: int) -> None:
        nonlocal inside, most
        with gate:
            with lock:
                inside += 1
                most = max(most, inside)
            full.wait()
            with lock:
                inside -= 1

    with ThreadPoolExecutor(12) as pool:
        list(pool.map(work, range(12)))
    assert most == 3


def test_an_overloaded_store_gets_half_as_many_requests_but_at_least_one() -> None:
    gate = Gate(8)
    limits = []
    for _ in range(5):
        gate.pause(BUSY)
        limits.append(gate.limit)
    assert limits == [4, 2, 1, 1, 1]


def test_any_other_failure_changes_nothing() -> None:
    gate = Gate(8)
    gate.pause(RepositoryUnreachable("cut short"))
    gate.pause(RepositoryUnreachable("broken", status=500))
    assert gate.limit == 8


def test_successes_bring_the_limit_back_and_not_beyond() -> None:
    gate = Gate(4)
    gate.pause(BUSY)
    gate.pause(BUSY)
    limits = []
    for _ in range(20):
        with gate:
            limits.append(gate.limit)
    assert limits[0] == 1
    assert limits == sorted(limits)
    assert limits[-1] == 4


def test_a_failure_inside_leaves_the_place_free() -> None:
    gate = Gate(1)
    with pytest.raises(ValueError, match="inside"), gate:
        raise ValueError("inside")
    with gate:
        assert gate.limit == 1
