"""Which store an address refers to: the same ``s3://bucket`` is another one at another endpoint or for another account.

Cached objects and the state of a sync are stored under the identity of their store: the address, the endpoint and the
account. Determining the identity never contacts a server, so that a cache also works offline.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from orbitpkg.errors import OrbitError
from orbitpkg.objects.addresses import scheme_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["StoreIdentity", "identify_store"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreIdentity:
    """The identity of a store.

    Attributes:
        place: The address without credentials, and the endpoint.
        account: The access key, the profile or the user; None without credentials, or if they are not available.
    """

    place: str
    account: str | None

    def __str__(self) -> str:
        return self.place if self.account is None else f"{self.place} as {self.account}"


def identify_store(url: str, env: Mapping[str, str]) -> StoreIdentity:
    """Return the identity of the store at an address.

    Keys that are renewed, as those of a role or of SSO are, do not change the identity.

    Args:
        url: The address of a store or of an object in it; a user and a password in it are not repeated.
        env: The environment variables that the store would be opened with.
    """
    scheme, _, rest = url.partition("://")
    head, slash, path = rest.partition("/")
    user, at, host = head.rpartition("@")
    plain = f"{scheme.lower()}://{host}{slash}{path}"
    if scheme_of(url) != "s3":
        return StoreIdentity(place=plain, account=user.partition(":")[0] if at else None)
    from orbitpkg.objects.s3_config import find_account, find_endpoint

    try:
        endpoint, account = find_endpoint(env), find_account(env)
    except OrbitError:
        # Opening the store raises this error. The endpoint can be determined without a profile that does not exist.
        endpoint, account = find_endpoint({**env, "AWS_PROFILE": "", "AWS_DEFAULT_PROFILE": ""}), None
    # A server keeps its objects when it gets a certificate.
    return StoreIdentity(place=f"{plain} at {(endpoint or 'aws').rpartition('://')[2].rstrip('/')}", account=account)
