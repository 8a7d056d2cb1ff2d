"""Timeouts and retries of single requests over a network.

Two goals conflict. A host that does not exist, or accepts the connection and never answers, must fail within 30 s in
all. A body that is being transferred must never be cut off, however slow the link: 8 MiB at 1 Mbit/s take 64 s. So the
limits apply to silence and to the speed of a body, not to duration. (obstore's ``timeout`` is reqwest's total timeout:
it runs from the connection to the last byte of the body, and defaults to 30 s. Its ``read_timeout`` restarts with every
read, so a byte now and then prolongs a request for ever; ``orbitpkg.objects.answers`` ends such a request.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from obstore.store import RetryConfig

__all__ = [
    "DEFAULT_TIMEOUTS",
    "NO_RETRIES",
    "SPEED_VARIABLE",
    "Timeouts",
    "retry_config",
    "timeouts_from",
]

_SPEED_DIGITS: Final = 12
BODY_SECONDS: Final = 3600.0
"""The maximum duration of a body, which obstore requires."""

SPEED_VARIABLE: Final = "ORBITPKG_MIN_SPEED"
"""The environment variable that sets ``Timeouts.min_speed``."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Timeouts in seconds, and the number of retries.

    Attributes:
        connect: The maximum time for a connection, including name resolution and TLS.
        silence: The maximum time until the first byte of an answer, and between two reads of it. reqwest includes
            the time for sending a body, so it also limits the upload of a small object.
        upload: The same for requests that take long to send or to execute (a part, a copy, the completion).
        retry: The time since the first try of a request after which no further try is started.
        retries: The maximum number of retries of a request by the libraries: after 5xx, after a lost connection, and
            after silence if the request is safe to repeat. An overloaded server is asked until ``retry`` has passed.
        min_speed: The minimum speed of an answer, in bytes per second.
        window: The time over which the speed is measured.
    """

    connect: float = 5.0
    silence: float = 10.0
    upload: float = 120.0
    retry: float = 15.0
    retries: int = 5
    min_speed: int = 500
    window: float = 15.0

    @property
    def worst(self) -> float:
        """The maximum time until a small request fails finally, in seconds: its last try starts at the last moment."""
        return self.retry + max(self.connect, self.silence)


DEFAULT_TIMEOUTS: Final = Timeouts()


def timeouts_from(env: Mapping[str, str], timeouts: Timeouts = DEFAULT_TIMEOUTS) -> Timeouts:
    """Return ``timeouts`` with the minimum speed that ``ORBITPKG_MIN_SPEED`` sets, in bytes per second.

    Raises:
        UsageError: The variable is not a number.
    """
    text = env.get(SPEED_VARIABLE, "").strip()
    if not text:
        return timeouts
    if not text.isascii() or not text.isdigit() or len(text) > _SPEED_DIGITS:
        raise UsageError(
            f"{SPEED_VARIABLE} is {text[:40]!r}, which is not a number of bytes per second.",
            hint=f"Set it to a whole number, or unset it for {DEFAULT_TIMEOUTS.min_speed}. 0 permits any speed.",
        )
    return replace(timeouts, min_speed=int(text))


NO_RETRIES: Final[RetryConfig] = {
    "max_retries": 0,
    "retry_timeout": timedelta(seconds=1),
    "backoff": {"init_backoff": timedelta(seconds=1), "max_backoff": timedelta(seconds=1), "base": 2},
}
"""obstore's settings for requests that the caller retries."""


def retry_config(timeouts: Timeouts) -> RetryConfig:
    """Return obstore's settings for retries: exponential backoff with jitter."""
    return {
        "max_retries": timeouts.retries,
        "retry_timeout": timedelta(seconds=timeouts.retry),
        "backoff": {
            "init_backoff": timedelta(milliseconds=200),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
