"""Reads through obstore that work the same for every kind of store."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError
from orbitpkg.objects.answers import bounded_pieces, read_exactly
from orbitpkg.objects.protocol import check_range
from orbitpkg.objects.read_only import check_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import obstore
    from obstore.store import HTTPStore, S3Store

    from orbitpkg.objects.protocol import ObjectInfo
    from orbitpkg.objects.timeouts import Timeouts

__all__ = ["open_stream", "read_range", "read_whole"]

# Pieces are requested as they arrive: a request for more bytes would wait for them however slowly they come.
_ANY_PIECE = 1


def read_whole(
    client: S3Store | HTTPStore,
    path: str,
    options: obstore.GetOptions,
    *,
    describe: Callable[[obstore.ObjectMeta], ObjectInfo],
    url: str,
    max_bytes: int | None,
    timeouts: Timeouts,
) -> tuple[bytes, ObjectInfo] | None:
    """Read a whole object; return None if ``options`` contain a condition that it does not meet.

    Args:
        client: The obstore client.
        path: The object's path there.
        options: Conditions and the version to read.
        describe: Converts obstore's facts about the object.
        url: The address of the store, for messages.
        max_bytes: The maximum size of the object.
        timeouts: The minimum speed of the answer.

    Raises:
        IntegrityError: The object is larger than ``max_bytes``.
        AnswerError: The body does not have the announced length, or arrives too slowly.
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
    return bytes(read_exactly(result.stream(min_chunk_size=_ANY_PIECE), info.size, timeouts)), info


def read_range(
    client: S3Store | HTTPStore,
    path: str,
    options: obstore.GetOptions,
    length: int,
    *,
    check: Callable[[obstore.ObjectMeta], None],
    timeouts: Timeouts,
) -> memoryview:
    """Read at most ``length`` bytes: fewer if the server announces fewer.

    Args:
        client: The obstore client.
        path: The object's path there.
        options: The range, and the version to read.
        length: The length of the range in bytes.
        check: Raises an error if obstore's facts about the object are not as expected; called before the body is read.
        timeouts: The minimum speed of the answer.

    Raises:
        AnswerError: The body does not have the announced length, or arrives too slowly.
        obstore.exceptions.BaseError: The request failed.
    """
    import obstore

    result = obstore.get(client, path, options=options)
    check(result.meta)
    first, end = result.range
    announced = min(length, end - first)
    return memoryview(read_exactly(result.stream(min_chunk_size=_ANY_PIECE), announced, timeouts))


def open_stream(
    client: S3Store | HTTPStore, path: str, start: int, length: int | None, *, timeouts: Timeouts
) -> Iterator[memoryview]:
    """Request a range, or the whole object if no length is given, and return its pieces as they arrive.

    Raises:
        IntegrityError: The object ends before the range does.
        AnswerError: The body does not have the announced length, or arrives too slowly.
        obstore.exceptions.BaseError: The request failed. This and ``AnswerError`` are also raised between pieces.
    """
    import obstore

    if length is None:
        result = obstore.get(client, path)
    else:
        check_range(start, length)
        result = obstore.get(client, path, options={"range": (start, start + length)})
        if tuple(result.range) != (start, start + length):
            raise IntegrityError(f"{path} ends before byte {start + length}.", key=path)
    first, end = result.range
    return bounded_pieces(result.stream(min_chunk_size=_ANY_PIECE), end - first, timeouts)
