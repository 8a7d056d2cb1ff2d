"""The servers of the tests, listening on a link and with capacity for a benchmark."""

from __future__ import annotations

import http.client
import io
import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from tests.servers import ceph, processes, websites
from tests.servers import interposed as proxies
from tests.servers.interposed import HOP_BY_HOP, Answer, Request, interposed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from tests.servers.processes import S3Server, StaticSite

__all__ = ["Bucket", "object_store", "web_server"]

CEPH_BYTES = 12 << 30


@contextmanager
def object_store(folder: Path, address: str) -> Iterator[S3Server]:
    """Run Ceph in memory, or moto if Ceph is not installed or the user is not root.

    Raises:
        ServerMissing: Neither is installed.
        ServerFailed: It did not come up.
    """
    _listen_on(address)
    ceph.CONFIGURATION = re.sub(
        r"memstore device bytes = \d+", f"memstore device bytes = {CEPH_BYTES}", ceph.CONFIGURATION
    )
    with _first_that_is_there()(folder) as running:
        _warm_up(running)
        yield running


def _first_that_is_there() -> Callable[[Path], AbstractContextManager[S3Server]]:
    there = os.geteuid() == 0 and all(map(processes.has_program, ceph.PROGRAMS))
    return ceph.ceph_server if there else processes.moto_server


def _warm_up(server: S3Server) -> None:
    """Trigger the set-up of the server's first use (Ceph creates pools) before the measurements."""
    bucket = server.new_bucket()
    server.client().upload_fileobj(io.BytesIO(bytes(32 << 20)), bucket, "first")
    server.client().get_object(Bucket=bucket, Key="first")["Body"].read()
    server.client().delete_object(Bucket=bucket, Key="first")


@contextmanager
def web_server(folder: Path, address: str) -> Iterator[StaticSite]:
    """Run nginx with directory listings on an empty directory.

    Raises:
        ServerMissing: It is not installed.
        ServerFailed: It did not come up.
    """
    _listen_on(address)
    if "autoindex" not in websites.NGINX_CONFIGURATION:
        websites.NGINX_CONFIGURATION = websites.NGINX_CONFIGURATION.replace(
            "sendfile on;", "sendfile on; autoindex on;"
        )
    with websites.nginx_site(folder) as site:
        yield site


def _listen_on(address: str) -> None:
    for module in (processes, ceph, websites, proxies):
        module.HOST = address  # type: ignore[attr-defined]


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket, accessed independently of the measured tools."""

    server: S3Server
    name: str

    @classmethod
    def new(cls, server: S3Server) -> Bucket:
        """Create an empty bucket."""
        return cls(server, server.new_bucket())

    def objects(self) -> list[tuple[str, int, float]]:
        """List the objects: key, size, time of the last change."""
        pages = self.server.client().get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [
            (found["Key"], found["Size"], found["LastModified"].timestamp())
            for page in pages
            for found in page.get("Contents", ())
        ]

    def size(self) -> int:
        """Return the total size of the objects."""
        return sum(size for _, size, _ in self.objects())

    def largest(self, *, besides: Collection[tuple[str, int, float]]) -> tuple[str, int]:
        """Return the key and size of the largest new object.

        Args:
            besides: What was there before.
        """
        known = set(besides)
        size, key = max((found[1], found[0]) for found in self.objects() if found not in known)
        return key, size

    @contextmanager
    def damaged(self, key: str, size: int) -> Iterator[str]:
        """Return an endpoint that flips a byte in the middle of every object that is read.

        The object's ETag, size and metadata stay: a byte that the store's disk, or the way from it, got wrong.
        """
        address = f"/{self.name}/{key}"

        def meddle(request: Request) -> Answer | None:
            if request.method != "GET" or unquote(urlsplit(request.path).path) != address:
                return None
            return _flipped(self.server.endpoint, request, size // 2)

        with interposed(self.server.endpoint, meddle) as endpoint:
            yield endpoint


def _flipped(endpoint: str, request: Request, place: int) -> Answer:
    connection = http.client.HTTPConnection(urlsplit(endpoint).netloc, timeout=60)
    try:
        connection.putrequest("GET", request.path, skip_host=True, skip_accept_encoding=True)
        for name, value in request.headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        body = bytearray(response.read())
        span = re.match(r"bytes (\d+)-", response.headers.get("Content-Range", ""))
        at = place - (int(span[1]) if span else 0)
        if response.status < http.HTTPStatus.MULTIPLE_CHOICES and 0 <= at < len(body):
            body[at] ^= 1
        headers = {name: value for name, value in response.getheaders() if name.lower() not in HOP_BY_HOP}
        return Answer(status=response.status, headers=headers, body=bytes(body))
    finally:
        connection.close()
