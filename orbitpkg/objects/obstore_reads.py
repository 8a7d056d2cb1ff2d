"""Reads through obstore that work the same for every kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError
from orbitpkg.objects.protocol import STREAM_BYTES, check_range
from orbitpkg.objects.read_only import check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import obstore
    from obstore.store import HTTPStore, S3Store

    from orbitpkg.objects.protocol import ObjectInfo

__all__ = ["open_stream", "read_whole"]


def read_whole(
    client: S3Store | HTTPStore,
    path: str,
    options: obstore.GetOptions,
    *,
    describe: Callable[[obstore.ObjectMeta], ObjectInfo],
    url: str,
    max_bytes: int | None,
) -> tuple[bytes, ObjectInfo] | None:
    """Read a whole object; return None if ``options`` contain a condition that it does not meet.

    Args:
        client: The obstore client.
        path: The object's path there.
        options: Conditions and the version to read.
        describe: Converts obstore's facts about the object.
        url: The address of the store, for messages.
        max_bytes: The maximum size of the object.

    Raises:
        IntegrityError: The object is larger than ``max_bytes``.
        obstore.exceptions.BaseError: The request failed.
    """
    import obstore
    from obstore.exceptions import NotModifiedError

    try:
        result = obstore.get(client, path, options=options)
    except NotModifiedError:
        return None
    info = describe(result.meta)
    check_size(url, info, max_bytes)
    return bytes(result.bytes()), info


def open_stream(client: S3Store | HTTPStore, path: str, start: int, length: int | None) -> Iterator[memoryview]:
    """Request a range, or the whole object if no length is given, and return its pieces as they arrive.

    Raises:
        IntegrityError: The object ends before the range does.
        obstore.exceptions.BaseError: The request failed; also raised while the pieces are read.
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
