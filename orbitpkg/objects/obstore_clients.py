"""The settings of obstore's clients: timeouts, certificates, and which redirects they follow.

reqwest, the HTTP library below obstore, follows redirects, and obstore has no option against that. Two of its other
options restrict them:

- A client for an ``https://`` address refuses addresses without TLS.
- A guarded client connects to one host only: requests to any other host are sent to a proxy at a port where nothing
  listens, and fail. A client that has credentials is guarded, because reqwest forwards a session token to another host;
  so is one for an ``http://`` address, whose answers anybody on the way can replace.

Proxies of the user (``HTTPS_PROXY``) take precedence: with one, only the first rule applies.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from orbitpkg.errors import RepositoryError
from orbitpkg.objects.certificates import check_system_file
from orbitpkg.objects.timeouts import BODY_SECONDS

if TYPE_CHECKING:
    from collections.abc import Callable

    from obstore.store import ClientConfig

    from orbitpkg.objects.certificates import Bundle
    from orbitpkg.objects.timeouts import Timeouts

__all__ = ["NO_OTHER_HOST", "check_system_certificates", "client_options", "make_client", "proxy_of"]

T = TypeVar("T")

NO_OTHER_HOST: Final = "127.0.0.1:1"
"""The address of the proxy that does not exist. Only root can listen at this port (TCPMUX, RFC 1078)."""


def client_options(
    address: str,
    timeouts: Timeouts,
    *,
    silence: float | None = None,
    bundle: Bundle | None = None,
    has_credentials: bool = False,
) -> ClientConfig:
    """Return obstore's settings for a client. reqwest reads proxies from ``HTTP(S)_PROXY`` and ``NO_PROXY``.

    Args:
        address: The URL of the server.
        timeouts: How long to wait.
        silence: Overrides ``timeouts.silence``.
        bundle: Certificates to trust in addition to the system's.
        has_credentials: Whether requests contain credentials.

    Raises:
        RepositoryError: A file of certificates cannot be used.
    """
    parts = urlsplit(address)
    is_plain = parts.scheme == "http"
    options: ClientConfig = {
        "allow_http": is_plain,
        "connect_timeout": timedelta(seconds=timeouts.connect),
        "read_timeout": timedelta(seconds=timeouts.silence if silence is None else silence),
        "timeout": timedelta(seconds=BODY_SECONDS),
    }
    if not is_plain:
        check_system_certificates()
        if bundle is not None:
            options["root_certificate"] = bundle.read()
    host = parts.hostname or ""
    if (is_plain or has_credentials) and proxy_of(parts.scheme, host) is None:
        options["proxy_url"] = f"http://{NO_OTHER_HOST}"
        options["proxy_excludes"] = host
    return options


def check_system_certificates() -> None:
    """Check the file that ``SSL_CERT_FILE`` names; the TLS libraries read the variable from the process's environment.

    Raises:
        RepositoryError: The file has no valid certificate.
    """
    check_system_file(os.environ)


def proxy_of(scheme: str, host: str) -> str | None:
    """Return the URL of the user's proxy for a host, or None.

    reqwest, which obstore uses, and urllib3 read the same variables.
    """
    named = (os.environ.get(name) for name in (f"{scheme}_proxy", f"{scheme}_proxy".upper(), "all_proxy", "ALL_PROXY"))
    proxy = next((value for value in named if value), None)
    if proxy is None:
        return None
    from urllib.request import proxy_bypass

    if proxy_bypass(host):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def make_client(make: Callable[[], T], address: str) -> T:
    """Return what ``make`` returns: a client of obstore.

    Args:
        make: Calls the constructor of the client.
        address: The URL of the server, for messages.

    Raises:
        RepositoryError: reqwest or its TLS library cannot be set up.
    """
    from obstore.exceptions import BaseError

    try:
        return make()
    except (BaseError, ValueError) as error:
        raise _cannot_set_up(address, error) from None
    except BaseException as error:
        # pyo3's PanicException is not an Exception. rustls panics where the system has no certificates.
        if type(error).__name__ != "PanicException":
            raise
        raise _cannot_set_up(address, error) from None


def _cannot_set_up(address: str, error: BaseException) -> RepositoryError:
    parts = urlsplit(address)
    reason = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return RepositoryError(
        f"A connection to {parts.scheme}://{parts.hostname} cannot be set up: {reason[:200].rstrip('.')}.",
        hint="Check the system's certificates (the package ca-certificates), AWS_CA_BUNDLE and the proxy settings.",
    )
