"""How long a network store is waited for, and how often it is asked again.

Two promises pull against one another. A host that is not there, or that takes the connection and never answers, is
given up within 30 s in all. A body that flows is never cut off, however slow the link: 8 MiB at 1 Mbit/s take 64 s.
So the bound is on silence, not on duration. (obstore's ``timeout``, reqwest's total one, runs from the connection to
the body's last byte and is 30 s unless told otherwise; its ``read_timeout`` begins anew with every read.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from orbitpkg.errors import RepositoryError

if TYPE_CHECKING:
    from obstore.store import ClientConfig, RetryConfig

__all__ = ["DEFAULT_PATIENCE", "NO_RETRIES", "Patience", "client_options", "retry_config"]

_BODY_SECONDS: Final = 3600.0
"""The longest a body may flow. obstore has no "never"; this bounds a server that sends a byte now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long to wait for what, in seconds.

    Attributes:
        connect: For a connection, name resolution and TLS included.
        silence: For the first byte of an answer, and between two reads of it. While a body is sent, reqwest counts
            the sending too, so it also bounds how long a small object may take to go up.
        upload: The same for what is large on its way up, or slow to be done (a part, a copy, the completion).
        retry: Since the first try of a request; no other try is begun after that.
        retries: How often at most a request is tried again: on 5xx, on a lost connection, and on silence if it is
            safe to repeat.
    """

    connect: float = 5.0
    silence: float = 10.0
    upload: float = 120.0
    retry: float = 15.0
    retries: int = 5

    @property
    def worst(self) -> float:
        """Seconds after which a small request has failed for good: a last try begun at the last moment."""
        return self.retry + max(self.connect, self.silence)


DEFAULT_PATIENCE: Final = Patience()


NO_RETRIES: Final[RetryConfig] = {
    "max_retries": 0,
    "retry_timeout": timedelta(seconds=1),
    "backoff": {"init_backoff": timedelta(seconds=1), "max_backoff": timedelta(seconds=1), "base": 2},
}
"""obstore's settings for what is tried again by whoever asks."""


def client_options(patience: Patience, *, silence: float | None = None, ca_bundle: str | None = None) -> ClientConfig:
    """Give obstore's settings for one client. Proxies are taken from ``HTTP(S)_PROXY`` and ``NO_PROXY`` by reqwest.

    Args:
        patience: How long to wait.
        silence: Overrides the patience's own.
        ca_bundle: A PEM file of certificates to trust besides the system's.

    Raises:
        RepositoryError: ``ca_bundle`` cannot be read.
    """
    options: ClientConfig = {
        "allow_http": True,
        "connect_timeout": timedelta(seconds=patience.connect),
        "read_timeout": timedelta(seconds=patience.silence if silence is None else silence),
        "timeout": timedelta(seconds=_BODY_SECONDS),
    }
    if ca_bundle:
        try:
            options["root_certificate"] = Path(ca_bundle).read_bytes()
        except OSError as error:
            raise RepositoryError(
                f"The certificates of AWS_CA_BUNDLE, {ca_bundle}, cannot be read: {error.strerror}."
            ) from error
    return options


def retry_config(patience: Patience) -> RetryConfig:
    """Give obstore's settings for trying again: exponential, with jitter."""
    return {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.retry),
        "backoff": {
            "init_backoff": timedelta(milliseconds=200),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
