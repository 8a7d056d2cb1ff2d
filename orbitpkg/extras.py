"""Libraries that orbitpkg can do without: found when they are needed, named with what installs them when they lack."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["require"]


def require(module: str, *, extra: str, what: str) -> ModuleType:
    """Import a library that comes with one of orbitpkg's extras.

    Args:
        module: The library's module, dotted.
        extra: The extra that it comes with.
        what: What it is needed for, as the beginning of a sentence: "Reading HDF5 files".

    Raises:
        MissingExtra: It is not installed.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # A library that is there but lacks one of its own is another matter, and says so best itself.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingExtra(
            f"{what} needs {module.partition('.')[0]}, which is not installed.",
            hint=f"pip install 'orbitpkg[{extra}]'",
            extra=extra,
            module=module,
        ) from None
