"""Addresses that others wrote: none leads to this machine, to its link or to a metadata service."""

from __future__ import annotations

import socket

import pytest

from orbitpkg.errors import IntegrityError
from orbitpkg.objects.foreign import ForeignAddress, is_trusted


@pytest.mark.parametrize(
    "text",
    [
        "file:///home/you/.ssh/id_ed25519",
        "FILE:///etc/passwd",
        "sputnik+file:///etc/passwd",
        "/etc/passwd",
        "../secret",
        "http://localhost/a",
        "http://LOCALHOST./a",
        "http://files.localhost/a",
        "http://127.0.0.1:9000/a",
        "http://127.1/a",
        "http://2130706433/a",
        "http://0x7f.0.0.1/a",
        "http://0177.0.0.1/a",
        "http://0/a",
        "http://0.0.0.0/a",
        "http://[::1]/a",
        "http://[::]/a",
        "http://[::ffff:127.0.0.1]/a",
        "http://[64:ff9b::7f00:1]/a",
        "http://[fe80::1%25eth0]/a",
        "http://[::127.0.0.1]/a",
        "http://%31%32%37.0.0.1/a",
        "http://127.0.0.1\\.example.com/a",
        "http://localhos%74/a",
        "http://metadata%2egoogle.internal/a",
        "http://vm\u200bware/a",
        "http://169.254.169.254/latest/meta-data",
        "http://[fd00:ec2::254]/latest/meta-data",
        "http://[::ffff:a9fe:a9fe]/latest/meta-data",
        "http://100.100.100.200/latest/meta-data",
        "http://metadata.google.internal/computeMetadata/v1",
        "https://user:password@example.org/a",
        "s3://bucket/../a",
        "s3://bucket",
        "ftp://example.org/a",
        "",
    ],
)
def test_an_address_that_leads_to_this_machine_or_its_link_is_refused(text: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        ForeignAddress(text)
    assert "password@" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "store", "key"),
    [
        ("s3://bucket/a/b", "s3://bucket", "a/b"),
        ("https://example.org/a%20b", "https://example.org", "a b"),
        ("http://10.1.2.3:9000/a", "http://10.1.2.3:9000", "a"),
        ("memory://name/a", "memory://name", "a"),
    ],
)
def test_an_address_of_a_store_elsewhere_is_split(text: str, store: str, key: str) -> None:
    address = ForeignAddress(text)
    assert (address.store, address.key, address.is_trusted) == (store, key, False)


def test_the_user_can_trust_an_address_and_everything_below_it() -> None:
    trusted = ["file:///data/shared/", "http://127.0.0.1:9000"]
    assert ForeignAddress("file:///data/shared/a.bin", trusted=trusted).key == "a.bin"
    assert ForeignAddress("http://127.0.0.1:9000/a", trusted=trusted).is_trusted
    for text in (
        "file:///data/shared/../../home/you/.ssh/id_ed25519",
        "file:///data/shared/%2e%2e/secret",
        "file:///data/sharedother/a",
        "http://127.0.0.1:9001/a",
        "http://127.0.0.1:90001/a",
    ):
        with pytest.raises(IntegrityError):
            ForeignAddress(text, trusted=trusted)
    assert not is_trusted("file:///a", ["", "/"])


def test_a_name_that_resolves_to_this_machine_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    found = {"inside.example.org": "127.0.0.1", "link.example.org": "169.254.169.254", "away.example.org": "192.0.2.1"}

    def resolve(host: str, *_: object, **__: object) -> list[tuple[object, ...]]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    ForeignAddress("https://away.example.org/a").check_host()
    ForeignAddress("https://inside.example.org/a", trusted=["https://inside.example.org"]).check_host()
    for host in ("inside.example.org", "link.example.org"):
        with pytest.raises(IntegrityError, match=host):
            ForeignAddress(f"https://{host}/a").check_host()
