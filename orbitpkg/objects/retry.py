"""The one way to try something again: how often, how long to wait between tries, and when to give up.

Pauses grow exponentially and are random, which keeps clients that failed together from returning together (Brooker,
"Exponential Backoff And Jitter", AWS Architecture Blog, 2015). obstore and botocore retry single requests themselves,
as ``orbitpkg.objects.timeouts`` configures them; this module is for what they cannot retry.
"""

from __future__ import annotations

import random
import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeVar

from orbitpkg.concurrency.pool import StoppedError

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["AT_ONCE", "OVERLOAD", "Retries", "RetryPolicy", "outlasting", "retry"]

T = TypeVar("T")

_MANY: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """How persistent to be.

    Attributes:
        tries: The maximum number of tries in a row without progress.
        first_pause: The longest pause after the first failure, in seconds; 0 to try again at once. It doubles with
            each further failure.
        longest_pause: The limit on that, in seconds.
        seconds: The time since the first try after which no further try is started; None if only ``tries`` counts.
    """

    tries: int = 3
    first_pause: float = 0.0
    longest_pause: float = 8.0
    seconds: float | None = None

    def pause_after(self, failures: int) -> float:
        """Return a random pause in seconds after so many failures in a row, at least one."""
        longest = min(self.longest_pause, self.first_pause * 2.0 ** (failures - 1))
        return random.uniform(0.5, 1.0) * longest  # noqa: S311 - jitter


AT_ONCE: Final = RetryPolicy()
"""For an object that changed while it was used: waiting would not help."""

OVERLOAD: Final = RetryPolicy(tries=3, first_pause=1.0)
"""For a store that does not respond, although every request was retried already."""


def outlasting(seconds: float) -> RetryPolicy:
    """Return the policy for a server that answers that it is overloaded: try until so many seconds have passed.

    The libraries count their tries. Those are over within 2 to 4 s, while S3 takes longer to split a busy prefix.
    """
    return RetryPolicy(tries=_MANY, first_pause=0.5, longest_pause=4.0, seconds=seconds)


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
        self._began = time.monotonic()

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
        pause = policy.pause_after(self._failures)
        if self._failures >= policy.tries:
            raise error
        if policy.seconds is not None and time.monotonic() + pause - self._began > policy.seconds:
            raise error
        if pause:
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
