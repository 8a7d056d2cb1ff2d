"""The JSON schemas that ship with orbitpkg and that it validates documents with.

They are in ``schemas/`` at the top of the source tree, and in ``orbitpkg/schemas`` in a wheel. They are read as
resources of the package: orbitpkg may be imported from a zip archive.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from orbitpkg.errors import IntegrityError
from orbitpkg.model.jsontext import parse_json

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable

__all__ = ["SchemaName", "load_schema"]

SchemaName = Literal["package", "release"]


def _folders() -> Iterator[Traversable | Path]:
    # Imported late, because it takes longer than most commands do.
    from importlib.resources import files

    package = files("orbitpkg")
    yield package / "schemas"
    if isinstance(package, Path):
        yield package.resolve().parent / "schemas"


def load_schema(name: SchemaName) -> dict[str, Any]:
    """Return a new copy of a schema (JSON Schema draft 2020-12).

    Raises:
        IntegrityError: The schema file is missing from the installation, or cannot be read.
    """
    for folder in _folders():
        try:
            data = (folder / f"{name}.schema.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            message = f"Cannot read {error.filename}, a file of orbitpkg itself: {error.strerror}."
            raise IntegrityError(message, hint="Reinstall orbitpkg.") from error
        schema: Any = parse_json(data, what=f"{name}.schema.json", max_bytes=len(data))
        return dict(schema)
    raise IntegrityError(
        f"{name}.schema.json is missing from the installation of orbitpkg.",
        hint="Reinstall orbitpkg.",
        looked_in=list(map(str, _folders())),
    )
