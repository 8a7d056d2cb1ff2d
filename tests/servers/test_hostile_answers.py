"""Answers without end, speed or sense: every read ends with an error of orbitpkg, and mirrors take over."""

from __future__ import annotations

import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import OrbitError, RepositoryUnreachable
from orbitpkg.objects.http import HttpStore
from orbitpkg.objects.memory import MemoryStore
from orbitpkg.objects.s3 import S3Store
from orbitpkg.objects.s3_config import Keys, S3Settings
from orbitpkg.objects.s3_forked import ForkedS3Store
from orbitpkg.objects.timeouts import Timeouts
from orbitpkg.repository.mirrors import MirroredStore
from tests.peak_memory import peak_mebibytes
from tests.servers.hostile import BEHAVIOURS, Exchange, endless_trailers, hostile

if TYPE_CHECKING:
    from collections.abc import Callable

    from orbitpkg.objects import ObjectStore

HASTY = Timeouts(connect=2, silence=0.4, upload=0.4, retry=0.1, retries=0, min_speed=1000, window=0.5)
KEY = "key"
CONTENT = b"0123456789"

READS: dict[str, Callable[[ObjectStore], object]] = {
    "get": lambda store: store.get(KEY, max_bytes=1000)[0],
    "get_if_changed": lambda store: (store.get_if_changed(KEY, etag='"b"', max_bytes=1000) or [None])[0],
    "get_range": lambda store: bytes(store.get_range(KEY, 0, 10)),
    "stream": lambda store: b"".join(bytes(piece) for piece in store.stream(KEY, 0, 10)),
    "head": lambda store: store.head(KEY).size,
    "list": lambda store: [info.key for info in store.list("")],
    "list_folders": lambda store: store.list_folders(""),
}


def keys() -> Keys:
    return Keys(access_key="AKIAEXAMPLE", secret_key="secret", token="token-of-a-session")


def open_s3(url: str, kind: type[S3Store] = S3Store) -> S3Store:
    settings = S3Settings(bucket="bucket", endpoint=url, region="us-east-1", source="the test", keys=keys)
    return kind("bucket", settings=settings, timeouts=HASTY)


STORES: dict[str, Callable[[str], ObjectStore]] = {
    "http": lambda url: HttpStore(url, timeouts=HASTY),
    "s3": open_s3,
    "forked": lambda url: open_s3(url, ForkedS3Store),
}
BODIES = {
    "too_short",
    "too_long",
    "endless",
    "drip",
    "stall_in_the_body",
    "reset_in_the_body",
    "another_range",
    "endless_chunk_extensions",
}


@pytest.mark.timeout(120)
@pytest.mark.parametrize("behaviour", BEHAVIOURS)
@pytest.mark.parametrize("kind", STORES)
def test_every_read_ends_with_an_error_of_ours(kind: str, behaviour: str) -> None:
    with hostile(BEHAVIOURS[behaviour]) as url, closing(STORES[kind](url)) as store:
        for name, read in READS.items():
            # The headers of these answers are correct.
            if name == "head" and behaviour in BODIES | {"endless_without_length"}:
                continue
            # A part of an object that was not requested cannot be told from a whole one.
            if name in ("get", "get_if_changed") and behaviour == "another_range":
                continue
            with pytest.raises(OrbitError):
                read(store)


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    "behaviour", ["endless", "too_long", "too_short", "drip", "drip_headers", "stall", "reset_in_the_body"]
)
@pytest.mark.parametrize("kind", ["http", "s3"])
def test_a_healthy_mirror_takes_over(kind: str, behaviour: str) -> None:
    mirror = MemoryStore(f"healthy-{kind}-{behaviour}")
    mirror.put(KEY, CONTENT)
    with hostile(BEHAVIOURS[behaviour]) as url:
        for name in ("get", "get_range", "list"):
            if (kind, name) == ("http", "list"):
                continue
            with closing(STORES[kind](url)) as store:
                mirrored = MirroredStore([store, mirror])
                assert READS[name](mirrored) == ([KEY] if name == "list" else CONTENT)


@pytest.mark.timeout(120)
def test_a_stream_that_stops_midway_goes_on_from_a_mirror() -> None:
    content = b"0123456789" * 30_000
    mirror = MemoryStore("healthy-stream")
    mirror.put(KEY, content)

    def stop_midway(exchange: Exchange) -> None:
        facts = b"Content-Range: bytes 0-299999/300000\r\nContent-Length: 300000\r\n"
        exchange.send(b"HTTP/1.1 206 Partial Content\r\n%b\r\n%b" % (facts, content[:200_000]))
        exchange.wait()

    with hostile(stop_midway) as url, closing(STORES["http"](url)) as store:
        mirrored = MirroredStore([store, mirror])
        received = bytearray()

        def read() -> None:
            for piece in mirrored.stream(KEY, len(received), len(content) - len(received)):
                received.extend(piece)

        with pytest.raises(RepositoryUnreachable):
            read()
        assert received
        read()
        assert received == content


def test_a_listing_with_trailers_without_end_is_given_up() -> None:
    with hostile(endless_trailers) as url, closing(open_s3(url)) as store:
        for name in ("list", "list_folders"):
            with pytest.raises(RepositoryUnreachable, match="does not end"):
                READS[name](store)


class TestListings:
    """Pages of listings that no S3 server sends."""

    @staticmethod
    def page(entries: bytes, token: bytes | None) -> bytes:
        more = (
            b"<IsTruncated>true</IsTruncated><NextContinuationToken>%b</NextContinuationToken>" % token
            if token
            else b""
        )
        body = b"<ListBucketResult>%b%b</ListBucketResult>" % (entries, more)
        return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)

    @staticmethod
    def entry(key: bytes, size: bytes = b"1") -> bytes:
        return (
            b"<Contents><Key>%b</Key><Size>%b</Size><ETag>&quot;a&quot;</ETag>"
            b"<LastModified>2026-11-20T00:00:00.000Z</LastModified></Contents>" % (key, size)
        )

    def check(self, answer: Callable[[Exchange], bytes], *, because: str) -> int:
        """Check that a listing fails for this reason, and return how many requests were made."""
        count = 0

        def behaviour(exchange: Exchange) -> None:
            nonlocal count
            count += 1
            exchange.send(answer(exchange))

        expected = pytest.raises(RepositoryUnreachable, match=because)
        with hostile(behaviour) as url, closing(open_s3(url)) as store, expected:
            store.list("")
        return count

    def test_a_token_that_is_repeated_ends_the_listing(self) -> None:
        requests = self.check(lambda _: self.page(self.entry(b"a"), b"same"), because="does not end")
        assert requests == 2

    def test_pages_without_entries_do_not_go_on_for_ever(self) -> None:
        requests = self.check(lambda exchange: self.page(b"", b"%d" % exchange.number), because="does not end")
        assert requests == 1001

    def test_a_page_without_end_is_cut_off(self) -> None:
        def endless(exchange: Exchange) -> bytes:
            exchange.send(b"HTTP/1.1 200 OK\r\n\r\n<ListBucketResult>")
            for _ in range(1 << 16):
                exchange.send(self.entry(b"x") * 100)
            return b""

        self.check(endless, because="longer than 16 MiB")

    @pytest.mark.parametrize(
        "body",
        [
            pytest.param(b"<html></html>", id="html"),
            pytest.param(b"<ListBucketResult>", id="cut off"),
            pytest.param(
                b"<ListBucketResult><Contents><Key>a</Key><Size>-1</Size></Contents></ListBucketResult>", id="x"
            ),
            pytest.param(
                b"<!DOCTYPE l [<!ENTITY a 'aa'><!ENTITY b '&a;&a;'>]><ListBucketResult>&b;</ListBucketResult>",
                id="entities",
            ),
            pytest.param(b"\xff\xfe", id="no text"),
        ],
    )
    def test_what_is_no_listing_is_reported_as_such(self, body: bytes) -> None:
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        self.check(lambda _: answer, because="not a listing")

    def test_objects_that_were_not_requested_are_refused(self) -> None:
        def behaviour(exchange: Exchange) -> None:
            exchange.send(self.page(self.entry(b"elsewhere"), None))

        expected = pytest.raises(RepositoryUnreachable, match="not requested")
        with hostile(behaviour) as url, closing(open_s3(url)) as store, expected:
            store.list("folder/")

    def test_a_page_that_is_complete_is_listed(self) -> None:
        def behaviour(exchange: Exchange) -> None:
            exchange.send(self.page(self.entry(b"b") + self.entry(b"a", b"7"), None))

        with hostile(behaviour) as url, closing(open_s3(url)) as store:
            assert [(info.key, info.size, info.etag) for info in store.list("")] == [("a", 7, '"a"'), ("b", 1, '"a"')]


class TestRedirects:
    """Requests that a server sends elsewhere."""

    @pytest.mark.parametrize("kind", ["http", "s3", "forked"])
    def test_another_host_gets_no_request(self, kind: str) -> None:
        redirect = BEHAVIOURS["redirect_to_another_host"]
        with hostile(redirect) as url, closing(STORES[kind](url)) as store:
            for name in ("get", "get_range", "head") if kind == "http" else READS:
                with pytest.raises(RepositoryUnreachable, match="redirects the request"):
                    READS[name](store)

    def test_a_password_is_not_sent_elsewhere(self) -> None:
        heads: list[bytes] = []

        def elsewhere(exchange: Exchange) -> None:
            heads.append(exchange.head)
            exchange.send(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")

        with hostile(elsewhere) as other:
            target = other.replace("127.0.0.1", "localhost").encode()

            def redirect(exchange: Exchange) -> None:
                assert b"authorization: Basic" in exchange.head.replace(b"Authorization", b"authorization")
                exchange.send(b"HTTP/1.1 307 T\r\nLocation: %b/x\r\nContent-Length: 0\r\n\r\n" % target)

            expected = pytest.raises(RepositoryUnreachable, match="redirects the request")
            with hostile(redirect) as url, expected:
                HttpStore(url, user="me:secret", timeouts=HASTY).get(KEY)
        assert heads == []


ENDLESS_READ = """
import sys
from orbitpkg.errors import OrbitError
from tests.servers.hostile import BEHAVIOURS, hostile
from tests.servers.test_hostile_answers import READS, STORES
with hostile(BEHAVIOURS[sys.argv[2]]) as url:
    store = STORES[sys.argv[1]](url)
    for read in READS.values():
        try:
            read(store)
        except OrbitError:
            pass
"""


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("kind", "behaviour"),
    [
        *(
            (kind, behaviour)
            for kind in STORES
            for behaviour in ("endless", "endless_without_length", "endless_headers")
        ),
        # obstore reads the whole body of an error, which nothing can limit from outside.
        ("forked", "endless_error"),
    ],
)
def test_answers_without_end_take_little_memory(kind: str, behaviour: str) -> None:
    assert peak_mebibytes(ENDLESS_READ, kind, behaviour) <= 200


@pytest.mark.timeout(120)
def test_a_burst_of_overload_is_outlasted() -> None:
    """The libraries' own tries are over after 2 to 4 s; a store that splits a prefix takes longer."""
    began = time.monotonic()

    def overloaded(exchange: Exchange) -> None:
        if time.monotonic() - began < 6:
            exchange.send(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n")
        else:
            exchange.send(
                b'HTTP/1.1 200 OK\r\nContent-Length: 10\r\nETag: "a"\r\n'
                b"Last-Modified: Fri, 20 Nov 2026 00:00:00 GMT\r\n\r\n0123456789"
            )

    with hostile(overloaded) as url, closing(HttpStore(url)) as store:
        assert store.get(KEY)[0] == CONTENT
