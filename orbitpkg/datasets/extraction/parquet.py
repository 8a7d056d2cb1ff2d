"""The metadata of a Parquet file, read from its footer: the schema, the number of rows, and the key-value pairs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.datasets.extraction.jsonable import to_object
from orbitpkg.extras import require

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.datasets.extraction.extracted import Extracted

__all__ = ["read_footer"]

# Libraries store the schema under these keys for their own use.
_OF_LIBRARIES = {b"ARROW:schema", b"pandas"}


def read_footer(path: Path) -> Extracted:
    """Read ``columns`` (types by name), ``rows``, and the file's key-value pairs.

    Raises:
        MissingExtra: pyarrow is not installed.
        OSError, pyarrow.ArrowInvalid: The file is not a valid Parquet file.
    """
    parquet = require("pyarrow.parquet", extra="query", what="Reading Parquet files")
    with parquet.ParquetFile(path) as file:
        schema, footer = file.schema_arrow, file.metadata
        pairs = footer.metadata or {}
        values: dict[str, object] = {
            "rows": footer.num_rows,
            "columns": {field.name: str(field.type) for field in schema},
        }
    values |= {key.decode(errors="surrogateescape"): text for key, text in pairs.items() if key not in _OF_LIBRARIES}
    return to_object(values, what="The key")
