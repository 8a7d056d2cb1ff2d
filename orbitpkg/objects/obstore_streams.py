"""Reading an object in pieces through obstore, whatever kind of store it is."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError
from orbitpkg.objects.protocol import STREAM_BYTES, check_range

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import HTTPStore, S3Store

__all__ = ["opened_stream"]


def opened_stream(client: S3Store | HTTPStore, path: str, start: int, length: int | None) -> Iterator[memoryview]:
    """Ask for a range, or for the whole object when there is no length, and give its pieces as they come.

    Raises:
        IntegrityError: The object ends before the range does.
        obstore.exceptions.BaseError: The store did not answer as it should; also while the pieces are taken.
    """
    import obstore

    if length is None:
        result = obstore.get(client, path)
    else:
        check_range(start, length)
        result = obstore.get(client, path, options={"range": (start, start + length)})
        if tuple(result.range) != (start, start + length):
            raise IntegrityError(f"{path} ends before byte {start + length}.", key=path)
    return (memoryview(piece) for piece in result.stream(min_chunk_size=STREAM_BYTES))
