"""The one way to try something again: how often, how long to wait between tries, and when to give up.

Pauses grow exponentially and are random, which keeps clients that failed together from returning together (Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015). obstore and botocore retry single requests themselves,
as ``orbitpkg.objects.patience`` configures them; this module is for what they cannot retry.
"""

from __future__ import annotations

import random
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from orbitpkg.concurrency.pool import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AT_ONCE", "OVERLOAD", "Retries", "RetryPolicy", "retry"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How persistent to be.

    Attributes:
        tries: The maximum number of tries in a row without progress.
        first_pause: The longest pause after the first failure, in seconds; 0 to try again at once. It doubles with
            each further failure.
        longest_pause: The limit on that, in seconds.
    """

    tries: int = 3
    first_pause: float = 0.0
    longest_pause: float = 8.0

    def pause_after(self, failures: int) -> float:
        """Return a random pause in seconds after so many failures in a row, at least one."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** (failures - 1))
        return random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter


AT_ONCE: Final = RetryPolicy()
"""For an object that changed while it was used: waiting would not help."""

OVERLOAD: Final = RetryPolicy(tries=3, first_pause=1.0)
"""For a store that does not answer, although every request was retried already."""


class Retries:
    """The failures of one piece of work, counted against a policy.

    Args:
        policy: How persistent to be.
        stopping: Ends pauses early and prevents further tries when it is set.
    """

    def __init__(self, policy: RetryPolicy, *, stopping: threading.Event | None = None) -> None:
        self._policy = policy
        self._stopping = stopping or threading.Event()
        self._failures = 0

    def check(self) -> None:
        """Raise ``StoppedError`` if the work was stopped."""
        if self._stopping.is_set():
            raise StoppedError

    def reset(self) -> None:
        """Forget earlier failures, because the work has made progress since."""
        self._failures = 0

    def failed(self, error: Exception, *, policy: RetryPolicy | None = None) -> None:
        """Count a failure and wait until the next try.

        Args:
            error: The failure.
            policy: The policy for this kind of failure, instead of the general one.

        Raises:
            Exception: ``error``, if no tries are left.
            StoppedError: The work was stopped.
        """
        policy = policy or self._policy
        self._failures += 1
        if self._failures >= policy.tries:
            raise error
        if pause := policy.pause_after(self._failures):
            self._stopping.wait(pause)
        self.check()


def retry(
    work: Callable[[], T],
    *,
    policy: RetryPolicy,
    when: Callable[[Exception], bool],
    stopping: threading.Event | None = None,
) -> T:
    """Call ``work`` until it succeeds, and return its result.

    Args:
        work: The work.
        policy: How persistent to be.
        when: Returns whether a failure is worth another try, after preparing for it. It is not called for the last
            failure.
        stopping: Ends pauses early and prevents further tries when it is set.

    Raises:
        Exception: What ``work`` raised last.
        StoppedError: The work was stopped.
    """
    retries = Retries(policy, stopping=stopping)
    for left in reversed(range(policy.tries)):
        retries.check()
        try:
            return work()
        except Exception as error:
            if not left or not when(error):
                raise
            retries.failed(error)
    raise AssertionError("the last try either returns or raises")
