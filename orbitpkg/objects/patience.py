"""Timeouts and retries of single requests over a network.

Two goals conflict. A host that does not exist, or accepts the connection and never answers, must fail within 30 s in
all. A body that is being transferred must never be cut off, however slow the link: 8 MiB at 1 Mbit/s take 64 s. So the
limits apply to silence, not to duration. (obstore's ``timeout`` is reqwest's total timeout: it runs from the connection
to the last byte of the body, and defaults to 30 s. Its ``read_timeout`` restarts with every read.)
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
"""The maximum duration of a body. obstore requires one; it limits a server that sends a byte now and then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Timeouts in seconds, and the number of retries.

    Attributes:
        connect: The maximum time for a connection, including name resolution and TLS.
        silence: The maximum time until the first byte of an answer, and between two reads of it. reqwest includes
            the time for sending a body, so it also limits the upload of a small object.
        upload: The same for requests that take long to send or to execute (a part, a copy, the completion).
        retry: The time since the first try of a request after which no further try is started.
        retries: The maximum number of retries of a request: after 5xx, after a lost connection, and after silence if
            the request is safe to repeat.
    """

    connect: float = 5.0
    silence: float = 10.0
    upload: float = 120.0
    retry: float = 15.0
    retries: int = 5

    @property
    def worst(self) -> float:
        """The maximum time until a small request fails finally, in seconds: its last try starts at the last moment."""
        return self.retry + max(self.connect, self.silence)


DEFAULT_PATIENCE: Final = Patience()


NO_RETRIES: Final[RetryConfig] = {
    "max_retries": 0,
    "retry_timeout": timedelta(seconds=1),
    "backoff": {"init_backoff": timedelta(seconds=1), "max_backoff": timedelta(seconds=1), "base": 2},
}
"""obstore's settings for requests that the caller retries."""


def client_options(patience: Patience, *, silence: float | None = None, ca_bundle: str | None = None) -> ClientConfig:
    """Return obstore's settings for a client. reqwest reads proxies from ``HTTP(S)_PROXY`` and ``NO_PROXY``.

    Args:
        patience: How long to wait.
        silence: Overrides ``patience.silence``.
        ca_bundle: A PEM file of certificates to trust in addition to the system's.

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
                f"The certificate file {ca_bundle}, set by AWS_CA_BUNDLE, cannot be read: {error.strerror}."
            ) from error
    return options


def retry_config(patience: Patience) -> RetryConfig:
    """Return obstore's settings for retries: exponential backoff with jitter."""
    return {
        "max_retries": patience.retries,
        "retry_timeout": timedelta(seconds=patience.retry),
        "backoff": {
            "init_backoff": timedelta(milliseconds=200),
            "max_backoff": timedelta(seconds=5),
            "base": 2,
        },
    }
