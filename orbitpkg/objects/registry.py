"""The registry of URL schemes that plug-ins and programs add.

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

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from orbitpkg.objects.protocol import ObjectStore
    from orbitpkg.objects.timeouts import Timeouts
    from orbitpkg.reporting import Reporter

__all__ = [
    "GROUP",
    "OpenRequest",
    "StoreScheme",
    "find_plugin",
    "find_registered",
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
        timeouts: How long to wait for a server.
        cache: A folder in which stores of this scheme may keep files between runs; it may not exist yet. None if
            they must not keep any.
        reporter: Receives progress and notes for the user.
        offline: Whether the network must not be used. Stores that need a network are not opened in that case.
    """

    url: str
    env: Mapping[str, str]
    timeouts: Timeouts
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


def find_registered(scheme: str) -> tuple[str, StoreScheme] | None:
    """Return the name under which this process registered a scheme and how to open its stores, or None."""
    return next(((name, _registered[name]) for name in _names_for(scheme) if name in _registered), None)


def find_plugin(scheme: str) -> tuple[str, StoreScheme] | None:
    """Return the entry point's name for a scheme and how to open its stores, or None.

    Raises:
        PluginError: The plug-in cannot be loaded.
    """
    from orbitpkg.plugins import find_plugins, load_plugin

    plugins = find_plugins(GROUP)
    return next(
        ((name, load_plugin(plugins[name], StoreScheme)) for name in _names_for(scheme) if name in plugins), None
    )


def _names_for(scheme: str) -> list[str]:
    return [scheme, *([f"{scheme.rpartition('+')[0]}+"] if "+" in scheme else [])]
