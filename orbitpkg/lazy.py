"""Public names that are imported when they are first used, so that importing a package stays fast.

A package imports its names under ``TYPE_CHECKING`` for type checkers, and lists them once more by module::

    if TYPE_CHECKING:
        from orbitpkg.remote.calls import copy as copy
    else:
        __all__, __getattr__, __dir__ = lazy_names(__name__, {"orbitpkg.remote.calls": ("copy",)})

Type checkers never see the function ``__getattr__``. With it they would accept every name of the package, and a
misspelled one would be found only at run time.
"""

from __future__ import annotations

import sys

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["lazy_names"]


def lazy_names(
    package: str,
    names: Mapping[str, Iterable[str]],
    *,
    before_import: Callable[[str, str], None] | None = None,
) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """Return ``__all__`` of a package and its functions ``__getattr__`` and ``__dir__``.

    Args:
        package: The name of the package.
        names: The public names by the module that defines them.
        before_import: Called with the module and the name before an import; may raise an error that explains what to
            install.
    """
    modules = {name: module for module, found in names.items() for name in found}

    def import_name(name: str) -> object:
        module = modules.get(name)
        if module is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}", name=name, obj=sys.modules[package])
        if before_import is not None:
            before_import(module, name)
        __import__(module)
        value = getattr(sys.modules[module], name)
        setattr(sys.modules[package], name, value)
        return value

    def list_names() -> list[str]:
        return sorted(modules)

    return sorted(modules), import_name, list_names
