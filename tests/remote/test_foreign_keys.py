"""Objects that other tools wrote, with keys and headers that orbitpkg would never write."""

from __future__ import annotations

import http.client
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from orbitpkg import remote
from orbitpkg.datasets.dataset import create_dataset
from orbitpkg.errors import RepositoryError
from orbitpkg.remote.selection import local_name, select
from orbitpkg.remote.syncing import sync
from tests.remote.conftest import enter
from tests.servers.interposed import Answer, Request, interposed

if TYPE_CHECKING:
    from pathlib import Path

    from orbitpkg.remote.files import RemoteFiles
    from tests.remote.conftest import Place
    from tests.servers.processes import S3Server

KEYS = ["p/good.txt", "p//double.txt", "p/win\\name.txt", "p/a/./dot.txt", "p/tab\tkey", "p/full/"]
MARKER = "p/marker/"
ARCHIVED = b"<?xml version='1.0'?><Error><Code>InvalidObjectState</Code><Message>archived</Message></Error>"


def client(place: Place) -> Any:
    return place.store._connection.botocore()  # type: ignore[attr-defined]


@pytest.fixture
def odd(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A bucket with keys of every form that moto accepts (its router loses `..` and line breaks)."""
    place = enter(moto, monkeypatch)
    bucket = place.uri.removeprefix("s3://")
    for key in KEYS:
        client(place).put_object(Bucket=bucket, Key=key, Body=key.encode())
    client(place).put_object(Bucket=bucket, Key=MARKER, Body=b"")
    return place


def keys_in(place: Place, prefix: str) -> set[str]:
    return {info.key for info in place.store.list_everything(prefix)}


def files() -> RemoteFiles:
    from orbitpkg.remote.calls import files

    return files()


def test_every_key_is_listed(odd: Place) -> None:
    assert {uri.removeprefix(f"{odd.uri}/") for uri in remote.list(f"{odd.uri}/p/")} == {*KEYS, MARKER}


def test_every_key_is_copied_to_a_directory_and_none_leaves_it(odd: Place, tmp_path: Path) -> None:
    found = select(files(), f"{odd.uri}/p/", recursive=True)
    assert len(found) == len(KEYS) + 1
    for each in found:
        files().copy(each.uri, str(tmp_path / "out" / local_name(each.name)), exactly=True)
    texts = {path.read_text() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert texts == set(KEYS)
    assert (tmp_path / "out" / "marker").is_dir()
    assert {path.name for path in tmp_path.iterdir()} <= {"out", "user", "home"}


def test_every_key_is_copied_moved_and_deleted_in_its_bucket(odd: Place) -> None:
    for each in select(files(), f"{odd.uri}/p/", recursive=True):
        files().copy(each.uri, f"{odd.uri}/q/{each.name}", exactly=True)
    assert keys_in(odd, "q/") == {f"q{key[1:]}" for key in (*KEYS, MARKER)}
    for each in select(files(), f"{odd.uri}/q/", recursive=True):
        files().move(each.uri, f"{odd.uri}/r/{each.name}", exactly=True)
    assert keys_in(odd, "q/") == set()
    assert keys_in(odd, "r/") == {f"r{key[1:]}" for key in (*KEYS, MARKER)}
    for each in select(files(), f"{odd.uri}/r/", recursive=True):
        files().delete(each.uri, listed=True)
    assert keys_in(odd, "r/") == set()


def test_keys_that_a_dataset_cannot_hold_are_named(odd: Place) -> None:
    made = create_dataset("recordings", f"{odd.uri}/lab")
    done = made.index(f"{odd.uri}/p")
    assert done.new == 1
    assert {failure.name for failure in done.failures} == set(KEYS) - {"p/good.txt"}


def test_keys_that_cannot_be_files_are_named_by_a_sync(odd: Place, tmp_path: Path) -> None:
    result = sync(f"{odd.uri}/p", tmp_path / "out")
    assert not result.is_complete
    assert {f"p/{row.path}" for row in result.unusable} == set(KEYS) - {"p/good.txt"}
    assert (tmp_path / "out" / "good.txt").exists()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("a/b.txt", "a/b.txt"),
        ("100%.txt", "100%.txt"),
        ("a//b", "a/%/b"),
        ("../b", "%2E%2E/b"),
        ("./b", "%2E/b"),
        ("/etc/passwd", "%/etc/passwd"),
        ("a\\b%", "a%5Cb%25"),
        ("a\nb", "a%0Ab"),
        ("dir/", "dir"),
        ("é//b", "é/%/b"),
    ],
)
def test_a_name_becomes_a_path_that_stays_in_its_directory(name: str, expected: str) -> None:
    assert local_name(name) == expected


@pytest.fixture
def with_headers(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A bucket in which one object has a header that is not in ASCII."""
    place = enter(moto, monkeypatch)
    for name in ("d/a", "d/c"):
        place.store.put(name, b"plain")
    url = urlsplit(
        client(place).generate_presigned_url(
            "put_object", Params={"Bucket": place.uri.removeprefix("s3://"), "Key": "d/b"}
        )
    )
    connection = http.client.HTTPConnection(url.netloc)
    connection.putrequest("PUT", f"{url.path}?{url.query}")
    connection.putheader("Content-Length", "4")
    connection.putheader("Content-Disposition", 'attachment; filename="grün.txt"'.encode())
    connection.endheaders(b"data")
    assert connection.getresponse().status == 200
    connection.close()
    return place


def test_an_object_with_a_header_that_is_not_in_ascii_is_read(with_headers: Place, tmp_path: Path) -> None:
    store = with_headers.store
    assert store.get("d/b", max_bytes=10)[0] == b"data"
    assert store.head("d/b").size == 4
    assert bytes(store.get_range("d/b", 1, 2)) == b"at"
    assert b"".join(bytes(piece) for piece in store.stream("d/b")) == b"data"
    assert store.metadata("d/b") == {}
    etag = store.head("d/b").etag
    assert etag is not None
    assert store.get_if_changed("d/b", etag=etag) is None
    assert remote.local_path(f"{with_headers.uri}/d/b").read_bytes() == b"data"
    assert len(sync(f"{with_headers.uri}/d", tmp_path / "out").done) == 3
    assert create_dataset("recordings", f"{with_headers.uri}/lab").index(f"{with_headers.uri}/d").failures == []


@pytest.mark.parametrize(("status", "body"), [(403, ARCHIVED), (500, b"")], ids=["archived", "failing"])
def test_the_fault_of_one_object_does_not_end_a_sync(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, status: int, body: bytes
) -> None:
    place = enter(moto, monkeypatch)
    for number in range(30):
        place.store.put(f"d/{number:02}", b"data")
    monkeypatch.setattr("orbitpkg.objects.DEFAULT_TIMEOUTS", timeouts())

    def meddle(request: Request) -> Answer | None:
        return Answer(status=status, body=body) if request.path.endswith("/d/07") else None

    with interposed(moto.endpoint, meddle) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        result = sync(f"{place.uri}/d", tmp_path / "out")
        assert [failed.path for failed in result.failed] == ["07"]
        assert len(result.done) == 29
        if status == 403:
            with pytest.raises(RepositoryError, match="is archived"):
                remote.local_path(f"{place.uri}/d/07")


def timeouts() -> object:
    from orbitpkg.objects.timeouts import Timeouts

    return Timeouts(connect=2.0, silence=2.0, retry=0.2, retries=1)
