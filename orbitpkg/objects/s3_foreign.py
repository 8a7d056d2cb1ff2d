"""Objects whose keys orbitpkg never writes: with an empty, ``.`` or ``..`` part, a backslash or a control character.

Other tools write such keys, and S3 accepts them. obstore refuses or changes them, so botocore handles them here. They
can be read, copied within their bucket and deleted, but no store of another kind can hold them.
"""

from __future__ import annotations

import os
from contextlib import closing
from typing import TYPE_CHECKING

from orbitpkg.errors import IntegrityError
from orbitpkg.objects.protocol import STREAM_BYTES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from orbitpkg.objects.s3_connection import S3Connection

__all__ = ["ForeignObjects"]


class ForeignObjects:
    """The objects of a bucket, by any key that a listing reports. Thread-safe.

    Args:
        connection: The connection to the bucket.
        prefix: The prefix of every key of the store.
        url: The address of the store, for messages.
    """

    def __init__(self, connection: S3Connection, prefix: str, url: str) -> None:
        self._connection = connection
        self._prefix = prefix
        self._url = url

    def download(self, key: str, descriptor: int, *, size: int, progress: Callable[[int], None]) -> None:
        """Write the bytes of an object to an open file.

        Args:
            key: The key.
            descriptor: The file.
            size: The size that the listing reported; the object must have it.
            progress: Called with each number of bytes written.

        Raises:
            IntegrityError: The object has another size.
            RepositoryError: The object cannot be read.
        """

        def work() -> None:
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            client = self._connection.botocore(patient=True)
            answer = client.get_object(Bucket=self._connection.bucket, Key=self._prefix + key)
            written = 0
            with closing(answer["Body"]) as body:
                for piece in _pieces(body.read):
                    written += len(piece)
                    if written > size:
                        break
                    os.write(descriptor, piece)
                    progress(len(piece))
            if written != size:
                raise IntegrityError(f"{self._url}/{key} changed while it was being read.", key=key)

        self._connection.ask("read", key, work)

    def copy(self, source: str, key: str) -> None:
        """Have the store copy an object; either key may be of any form.

        Raises:
            RepositoryError: The object cannot be copied, for instance because it is larger than 5 GB.
        """

        def work() -> None:
            bucket = self._connection.bucket
            self._connection.botocore(patient=True).copy_object(
                Bucket=bucket, Key=self._prefix + key, CopySource={"Bucket": bucket, "Key": self._prefix + source}
            )

        self._connection.ask("copy", source, work)

    def delete(self, key: str) -> None:
        """Delete an object; one that does not exist is ignored."""

        def work() -> None:
            self._connection.botocore().delete_object(Bucket=self._connection.bucket, Key=self._prefix + key)

        self._connection.ask("delete", key, work)


def _pieces(read: Callable[[int], bytes]) -> Iterator[bytes]:
    while piece := read(STREAM_BYTES):
        yield piece
