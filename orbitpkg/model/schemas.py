"""The JSON schemas that ship with orbitpkg, and are what the code checks with.

They are files at the top of the source tree, where people look for them, and ``orbitpkg/schemas`` in a wheel.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from orbitpkg.errors import IntegrityError

__all__ = ["SchemaName", "load_schema"]

SchemaName = Literal["package", "release"]

_PACKAGE = Path(__file__).resolve().parent.parent
_FOLDERS = (_PACKAGE / "schemas", _PACKAGE.parent / "schemas")


def load_schema(name: SchemaName) -> dict[str, Any]:
    """A schema, as JSON Schema draft 2020-12; the caller's own copy.

    Raises:
        IntegrityError: The installation of orbitpkg lacks the file.
    """
    for folder in _FOLDERS:
        try:
            data = (folder / f"{name}.schema.json").read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise IntegrityError(f"orbitpkg's own file {error.filename} cannot be read: {error.strerror}.") from error
        schema: dict[str, Any] = json.loads(data)
        return schema
    raise IntegrityError(
        f"orbitpkg's own file {name}.schema.json is missing",
        hint="reinstall orbitpkg",
        looked_in=list(map(str, _FOLDERS)),
    )
