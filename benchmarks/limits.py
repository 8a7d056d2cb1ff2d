"""The minimum work of an installer, as separate processes: `limits.py get|pipeline|digest …`.

get URL FILE         download an object in ranges of 8 MiB with 8 threads
pipeline URL FILE    the same, then decompress and hash each chunk, and write the tar stream
digest DIR           BLAKE3 of each file in a tree
"""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from obstore.store import ObjectStore

    from orbitpkg.model.contents import Chunk, Contents

__all__ = ["digest", "get", "main", "pipeline"]

THREADS = 8
RANGE_BYTES = 8 << 20
WRITE_BYTES = 512 << 10


def _open(url: str) -> tuple[ObjectStore, str]:
    from obstore.store import HTTPStore, S3Store

    place, _, name = url.rpartition("/")
    if not url.startswith("s3:"):
        return HTTPStore(place, client_options={"allow_http": True}), name
    bucket, _, prefix = place.removeprefix("s3://").partition("/")
    store = S3Store(
        bucket,
        prefix=prefix,
        endpoint=os.environ["AWS_ENDPOINT_URL"],
        virtual_hosted_style_request=False,
        client_options={"allow_http": True},
    )
    return store, name


def get(url: str, target: Path) -> None:
    """Download an object to a file."""
    import obstore

    store, name = _open(url)
    size = obstore.head(store, name)["size"]
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def fetch(start: int) -> None:
        length = min(RANGE_BYTES, size - start)
        _write(descriptor, memoryview(obstore.get_range(store, name, start=start, length=length)), start)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fetch, range(0, size, RANGE_BYTES)))
    os.close(descriptor)


def pipeline(url: str, target: Path) -> None:
    """Download an archive, and write its tar stream to a file."""
    import obstore
    import zstandard
    from blake3 import blake3

    store, name = _open(url)
    contents = _contents(store, name)
    descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)

    def fetch(run: list[Chunk]) -> None:
        start = run[0].position
        length = run[-1].position + run[-1].stored - start
        data = memoryview(obstore.get_range(store, name, start=start, length=length))
        for chunk in run:
            begin = chunk.position - start
            raw = zstandard.ZstdDecompressor().decompress(data[begin : begin + chunk.stored])
            if blake3(raw).hexdigest() != chunk.blake3:
                raise SystemExit(f"damaged at {chunk.offset}")
            _write(descriptor, memoryview(raw), chunk.offset)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fetch, _runs(contents)))
    os.close(descriptor)


def _write(descriptor: int, data: memoryview, offset: int) -> None:
    for start in range(0, len(data), WRITE_BYTES):
        os.pwrite(descriptor, data[start : start + WRITE_BYTES], offset + start)


def _contents(store: ObjectStore, name: str) -> Contents:
    import obstore

    from orbitpkg.archive.frames import FOOTER_BYTES, parse_footer, unpack_contents

    size = obstore.head(store, name)["size"]
    footer = bytes(obstore.get_range(store, name, start=size - FOOTER_BYTES, length=FOOTER_BYTES))
    place = parse_footer(footer, archive_size=size, where=name)
    packed = bytes(obstore.get_range(store, name, start=place.offset, length=place.length))
    return unpack_contents(packed, place, where=name)


def _runs(contents: Contents) -> Iterator[list[Chunk]]:
    run: list[Chunk] = []
    for chunk in contents.chunks:
        if run and chunk.position + chunk.stored - run[0].position > RANGE_BYTES:
            yield run
            run = []
        run.append(chunk)
    if run:
        yield run


def digest(folder: Path) -> None:
    """Hash each file, using all cores for a large one."""
    from blake3 import blake3

    for path in sorted(folder.rglob("*")):
        if path.is_file():
            blake3(max_threads=blake3.AUTO).update_mmap(path).digest()


def main() -> None:
    """Run the subcommand."""
    match sys.argv[1:]:
        case ["get", url, target]:
            get(url, Path(target))
        case ["pipeline", url, target]:
            pipeline(url, Path(target))
        case ["digest", folder]:
            digest(Path(folder))
        case _:
            raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
