"""Optional libraries: imported when they are needed, with an error that names the extra to install."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.errors import MissingExtra

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["require"]


def require(module: str, *, extra: str, what: str) -> ModuleType:
    """Import a library that one of orbitpkg's extras installs.

    Args:
        module: The dotted name of the library's module.
        extra: The extra that installs it.
        what: What needs the library, as the subject of a sentence: "Reading HDF5 files".

    Raises:
        MissingExtra: The library is not installed.
    """
    from importlib import import_module

    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        # If an installed library lacks one of its dependencies, its own error explains the problem better.
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        raise MissingExtra(
            f"{what} needs {module.partition('.')[0]}, which is not installed.",
            hint=f"To install it: pip install 'orbitpkg[{extra}]'",
            extra=extra,
            module=module,
        ) from None
