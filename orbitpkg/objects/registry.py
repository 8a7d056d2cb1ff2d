"""The registry of URL schemes: which code opens the store at an address.

The built-in schemes are ``file``, ``memory``, ``s3``, ``http`` and ``https``. Another distribution adds one through
the entry-point group ``orbitpkg.stores``; a program adds one for itself with ``register_scheme``. Either provides a
``StoreScheme``. A name that ends in ``+`` covers every transport: ``sputnik+`` opens ``sputnik+https://…`` and
``sputnik+file://…``.

An explicit registration takes precedence over a built-in scheme. An entry point does not: opening a built-in scheme
neither scans entry points nor depends on other distributions.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from orbitpkg.objects.addresses import parse_address, scheme_of, transport_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orbitpkg.objects.patience import Patience
    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.reporting import Reporter

__all__ = [
    "GROUP",
    "OpenRequest",
    "StoreScheme",
    "check_address",
    "find_scheme",
    "is_builtin",
    "needs_network",
    "register_scheme",
    "unregister_scheme",
]

GROUP: Final = "orbitpkg.stores"
"""The entry-point group of store plug-ins."""

_NAME: Final = re.compile(r"[a-z][a-z0-9.-]*(\+[a-z][a-z0-9.-]*)*\+?")


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenRequest:
    """Everything an opener may need.

    Attributes:
        url: The address, with its scheme.
        env: The environment variables to read settings and credentials from.
        patience: How long to wait for a server.
        cache: A folder in which stores of this scheme may keep files between runs; it may not exist yet. None if
            they must not keep any.
        reporter: Receives progress and notes for the user.
        offline: Whether the network must not be used. Stores that need a network are not opened in that case.
    """

    url: str
    env: Mapping[str, str]
    patience: Patience
    cache: Path | None
    reporter: Reporter
    offline: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreScheme:
    """How to open the stores of a URL scheme.

    Attributes:
        open: Opens a store. It raises ``UsageError`` for an invalid address and makes no request yet.
        needs_network: Whether these stores are unavailable offline. For a scheme whose transport is built in, such as
            ``sputnik+file``, the transport decides.
    """

    open: Callable[[OpenRequest], ObjectStore]
    needs_network: bool = True


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

        return ForkedS3Store(address.location, address.prefix, env=request.env, patience=request.patience)
    from orbitpkg.objects.s3 import S3Store

    return S3Store(address.location, address.prefix, env=request.env, patience=request.patience)


def _open_website(request: OpenRequest) -> ObjectStore:
    address = parse_address(request.url)
    from orbitpkg.objects.http import HttpStore

    return HttpStore(address.location, user=address.user, env=request.env, patience=request.patience)


_BUILTIN: Final = {
    "file": StoreScheme(open=_open_directory, needs_network=False),
    "memory": StoreScheme(open=_open_memory, needs_network=False),
    "s3": StoreScheme(open=_open_bucket),
    "http": StoreScheme(open=_open_website),
    "https": StoreScheme(open=_open_website),
}
_registered: Final[dict[str, StoreScheme]] = {}


def register_scheme(name: str, scheme: StoreScheme) -> None:
    """Open addresses of a scheme with ``scheme`` in this process, instead of what opened them before.

    Args:
        name: The scheme in lower case, without ``://``; with a ``+`` at its end it covers every transport.
        scheme: How to open its stores.

    Raises:
        ValueError: ``name`` is not a valid scheme.
    """
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a valid URL scheme")
    _registered[name] = scheme


def unregister_scheme(name: str) -> None:
    """Undo ``register_scheme``; a scheme that is not registered is ignored."""
    _registered.pop(name, None)


def is_builtin(url: str) -> bool:
    """Return whether orbitpkg itself opens the addresses of this scheme."""
    scheme = scheme_of(url)
    return scheme in _BUILTIN and scheme not in _registered


def find_scheme(scheme: str) -> tuple[str, StoreScheme] | None:
    """Return the name under which a scheme is registered and how to open its stores, or None if it is unknown.

    Raises:
        PluginError: The plug-in of this scheme cannot be loaded.
    """
    names = [scheme, *([f"{scheme.rpartition('+')[0]}+"] if "+" in scheme else [])]
    for table in (_registered, _BUILTIN):
        for name in names:
            if name in table:
                return name, table[name]
    from orbitpkg.plugins import find_plugins, load_plugin

    plugins = find_plugins(GROUP)
    return next(((name, load_plugin(plugins[name], StoreScheme)) for name in names if name in plugins), None)


def needs_network(url: str) -> bool:
    """Return whether the store at an address is reached through a network; True for an unknown scheme."""
    scheme = scheme_of(url)
    if scheme is None:
        return True
    known = _registered.get(scheme) or _BUILTIN.get(transport_of(scheme))
    if known is None:
        found = find_scheme(scheme)
        known = found[1] if found else None
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
