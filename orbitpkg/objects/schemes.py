"""All URL schemes, built-in and registered: which code opens the store at an address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from orbitpkg.objects.addresses import parse_address, scheme_of, transport_of
from orbitpkg.objects.registry import OpenRequest, StoreScheme, find_plugin, find_registered

if TYPE_CHECKING:
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.objects.s3 import S3Store

__all__ = ["check_address", "find_scheme", "is_builtin", "needs_network"]


def _open_memory(request: OpenRequest) -> ObjectStore:
    from orbitpkg.objects.memory import MemoryStore

    return MemoryStore(parse_address(request.url).location)


def _open_directory(request: OpenRequest) -> ObjectStore:
    from pathlib import Path

    from orbitpkg.objects.directory import DirectoryStore

    return DirectoryStore(Path(parse_address(request.url).location))


def _open_bucket(request: OpenRequest) -> ObjectStore:
    from orbitpkg.objects.forks import is_forked

    address = parse_address(request.url)
    if is_forked():
        from orbitpkg.objects.s3_forked import ForkedS3Store

        return ForkedS3Store(address.location, address.prefix, env=request.env, timeouts=request.timeouts)
    from orbitpkg.objects.s3 import S3Store

    return S3Store(
        address.location,
        address.prefix,
        env=request.env,
        timeouts=request.timeouts,
        botocore_reader=_read_through_botocore,
    )


def _read_through_botocore(store: S3Store) -> S3Store:
    from orbitpkg.objects.s3_forked import read_through_botocore

    return read_through_botocore(store)


def _open_website(request: OpenRequest) -> ObjectStore:
    address = parse_address(request.url)
    from orbitpkg.objects.http import HttpStore

    return HttpStore(address.location, user=address.user, env=request.env, timeouts=request.timeouts)


_BUILTIN: Final = {
    "file": StoreScheme(open=_open_directory, needs_network=False),
    "memory": StoreScheme(open=_open_memory, needs_network=False),
    "s3": StoreScheme(open=_open_bucket),
    "http": StoreScheme(open=_open_website),
    "https": StoreScheme(open=_open_website),
}


def is_builtin(url: str) -> bool:
    """Return whether orbitpkg itself opens the addresses of this scheme."""
    scheme = scheme_of(url)
    return scheme in _BUILTIN and find_registered(scheme) is None


def find_scheme(scheme: str) -> tuple[str, StoreScheme] | None:
    """Return the name under which a scheme is registered and how to open its stores, or None if it is unknown.

    Raises:
        PluginError: The plug-in of this scheme cannot be loaded.
    """
    if (registered := find_registered(scheme)) is not None:
        return registered
    if scheme in _BUILTIN:
        return scheme, _BUILTIN[scheme]
    return find_plugin(scheme)


def needs_network(url: str) -> bool:
    """Return whether the store at an address is reached through a network; True for an unknown scheme."""
    scheme = scheme_of(url)
    if scheme is None:
        return True
    transport = _BUILTIN.get(transport_of(scheme))
    found = None if transport and "+" in scheme else find_scheme(scheme)
    known = found[1] if found else transport
    return known is None or known.needs_network


def check_address(url: str) -> None:
    """Check the address of a store without opening the store.

    Raises:
        UsageError: The scheme is unknown, or the address is not valid for it.
    """
    scheme = scheme_of(url)
    found = find_scheme(scheme) if scheme and scheme not in _BUILTIN else None
    if found is None:
        parse_address(url)
    elif found[0].endswith("+"):
        # The rest of the address has the form that its transport requires.
        check_address(url[url.index("://") - len(transport_of(scheme or "")) :])
