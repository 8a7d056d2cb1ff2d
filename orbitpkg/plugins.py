"""Plug-ins of other distributions, found through entry points.

Scanning the entry points of an environment takes milliseconds, so it happens only when no built-in answer exists, and
once per process.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, TypeVar

from orbitpkg.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from importlib.metadata import EntryPoint

__all__ = ["find_plugins", "load_plugin"]

T = TypeVar("T")


@functools.cache
def find_plugins(group: str) -> Mapping[str, EntryPoint]:
    """Return the entry points of a group by name in lower case; other distributions override orbitpkg's own."""
    from importlib.metadata import entry_points

    # False sorts before True, and the last entry of a name wins.
    found = sorted(entry_points(group=group), key=lambda entry: not entry.value.startswith("orbitpkg."))
    return {entry.name.lower(): entry for entry in found}


def load_plugin(entry: EntryPoint, kind: type[T]) -> T:
    """Import the object that an entry point refers to.

    Args:
        entry: The entry point.
        kind: The class that the object must be an instance of.

    Raises:
        PluginError: The object cannot be imported or is of another class.
    """
    try:
        found = entry.load()
    # Importing a plug-in runs code that is not ours and can raise anything.
    except Exception as error:
        raise PluginError(
            f"The plug-in {entry.value} for {entry.name!r} cannot be imported: {type(error).__name__}: {error}.",
            hint="Update or uninstall the distribution that provides it.",
            plugin=entry.value,
        ) from error
    if not isinstance(found, kind):
        raise PluginError(
            f"The plug-in {entry.value} for {entry.name!r} is a {type(found).__name__}, not a {kind.__name__}.",
            hint="Update or uninstall the distribution that provides it.",
            plugin=entry.value,
        )
    return found
