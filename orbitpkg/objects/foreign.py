"""Addresses that others wrote: in a catalogue, a release or a server's index.

Reading such an address makes this machine send requests on behalf of its author. So it must not lead to what only this
machine can reach: its files (``file:``), its own services (loopback) and those of its link, among them the metadata
services of clouds, which hand out credentials. The reader can trust addresses explicitly.

Sources: RFC 6890 (special-purpose addresses); the metadata addresses in the documentation of AWS, Alibaba Cloud, Google
Cloud and Oracle Cloud.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from orbitpkg.errors import IntegrityError, UsageError
from orbitpkg.objects.addresses import join_uri, scheme_of, split_object_uri
from orbitpkg.redaction import redacted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["TRUST_VARIABLE", "ForeignAddress", "is_trusted"]

TRUST_VARIABLE: Final = "ORBITPKG_TRUSTED_ADDRESSES"
"""The variable with which a reader trusts addresses; ``orbitpkg.config.trust`` reads it."""

# Stores in a bucket, on a web server, or in the memory of this process.
_SCHEMES: Final = frozenset({"s3", "https", "http", "memory"})
_METADATA_HOSTS: Final = frozenset(
    {"metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal"}
)
# Clients read other hosts differently: some decode %31, some take a backslash for a slash or drop invisible characters.
_HOST: Final = re.compile(r"[a-z0-9._-]+|[0-9a-f:.]+(?:%[a-z0-9]+)?")
_METADATA: Final = frozenset(
    ipaddress.ip_address(text) for text in ("100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)


@dataclass(frozen=True, slots=True)
class ForeignAddress:
    """The checked address of an object that someone else wrote.

    Args:
        text: The address as written.
        trusted: Addresses that the reader trusts, with everything below them.

    Attributes:
        uri: The address.
        store: The address of its store.
        key: Its key there.
        is_trusted: Whether the reader trusts it, whatever it leads to.

    Raises:
        IntegrityError: The text is not the address of an object, contains credentials, or leads to this machine or to
            its link, and the reader does not trust it.
    """

    uri: str
    store: str
    key: str
    is_trusted: bool

    def __init__(self, text: str, *, trusted: Iterable[str] = ()) -> None:
        try:
            store, key = split_object_uri(text)
        except UsageError as error:
            raise IntegrityError(error.message, hint=error.hint) from None
        if "@" in urlsplit(store).netloc:
            raise IntegrityError(f"{redacted(text)} contains credentials, which an address of others must not.")
        uri = join_uri(store, key)
        accepted = is_trusted(uri, trusted)
        if not accepted and (problem := _problem(store)):
            raise _refusal(uri, problem)
        object.__setattr__(self, "uri", uri)
        object.__setattr__(self, "store", store)
        object.__setattr__(self, "key", key)
        object.__setattr__(self, "is_trusted", accepted)

    def check_host(self) -> None:
        """Resolve the host and refuse an address whose name leads to this machine or to its link.

        A proxy resolves the name itself, so nothing is checked if one is used.

        Raises:
            IntegrityError: The name leads there.
        """
        parts = urlsplit(self.store)
        if self.is_trusted or parts.scheme not in {"http", "https"} or not parts.hostname:
            return
        if parts.scheme in getproxies() and not proxy_bypass(parts.hostname):
            return
        for address in _resolved(parts.hostname):
            if problem := _ip_problem(address):
                raise _refusal(self.uri, f"its host {parts.hostname} has {problem}")


def is_trusted(uri: str, trusted: Iterable[str]) -> bool:
    """Return whether an address is one of those that the reader trusts, or below one of them."""
    if any(part in {".", ".."} for part in unquote(uri).split("/")):
        return False
    folders = (each.rstrip("/") for each in trusted)
    return any(folder and (uri == folder or uri.startswith(f"{folder}/")) for folder in folders)


def _refusal(uri: str, problem: str) -> IntegrityError:
    return IntegrityError(
        f"{redacted(uri)[:300]} is not read, because someone else wrote this address and {problem}.",
        hint=f"If you trust it, set {TRUST_VARIABLE} to the address or to a directory above it.",
        uri=uri,
    )


def _problem(store: str) -> str | None:
    scheme = scheme_of(store)
    if scheme == "file":
        return "it leads to a file on this machine"
    if scheme not in _SCHEMES:
        return f"the scheme {scheme}:// is not supported, only s3, https and http are"
    return _host_problem((urlsplit(store).hostname or "").rstrip(".").lower()) if scheme in {"https", "http"} else None


def _host_problem(host: str) -> str | None:
    if not _HOST.fullmatch(host):
        return f"its host {host!r} is not written in letters, digits, dots and hyphens"
    if host == "localhost" or host.endswith(".localhost"):
        return "it leads to this machine"
    if host in _METADATA_HOSTS:
        return "it leads to a metadata service"
    address = _literal(host)
    problem = _ip_problem(address) if address is not None else None
    return f"it has {problem}" if problem else None


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address written in digits, in every form that clients accept: ``127.1``, ``0x7f000001``, ``[::1]``."""
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, UnicodeEncodeError):
        return None


def _ip_problem(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str | None:
    """Return what is wrong with an address, as a noun phrase, or None."""
    if isinstance(address, ipaddress.IPv6Address):
        embedded = address.ipv4_mapped or address.sixtofour or _embedded(address)
        if embedded is not None:
            return _ip_problem(embedded)
    if address in _METADATA:
        return f"the address of a metadata service, {address}"
    if address.is_loopback or address.is_unspecified or address in ipaddress.ip_network("0.0.0.0/8"):
        return f"an address of this machine, {address}"
    if address.is_link_local:
        return f"a link-local address, {address}"
    return None


def _embedded(address: ipaddress.IPv6Address) -> ipaddress.IPv4Address | None:
    """Return the IPv4 address in the last 32 bits of the prefixes of RFC 6052 and RFC 4291, section 2.5.5.1."""
    if int(address) < 1 << 16 or not any(address in ipaddress.ip_network(text) for text in ("64:ff9b::/96", "::/96")):
        return None
    return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)


def _resolved(host: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return []  # The request itself reports that the name cannot be resolved.
    return [ipaddress.ip_address(str(row[4][0]).partition("%")[0]) for row in found]
