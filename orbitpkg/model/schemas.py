"""The JSON schemas that ship with orbitpkg and that it validates documents with.

They are in ``schemas/`` at the top of the source tree, and in ``orbitpkg/schemas`` in a wheel.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from orbitpkg.errors import IntegrityError
from orbitpkg.model.jsontext import parse_json

__all__ = ["SchemaName", "load_schema"]

SchemaName = Literal["package", "release"]

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")


def load_schema(name: SchemaName) -> dict[str, Any]:
    """Return a new copy of a schema (JSON Schema draft 2020-12).

    Raises:
        IntegrityError: The schema file is missing from the installation, or cannot be read.
    """
    for folder in _FOLDERS:
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
        looked_in=list(map(str, _FOLDERS)),
    )
