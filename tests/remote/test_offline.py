"""Without a network or credentials, cached objects are readable and others are reported, once."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from orbitpkg import remote
from orbitpkg.errors import AccessDenied, CredentialsError, OfflineError, RepositoryError, RepositoryUnreachable
from orbitpkg.objects.retry import RetryPolicy
from orbitpkg.objects.timeouts import Timeouts
from tests.remote.conftest import enter
from tests.servers.interposed import Answer, Request, interposed, silent
from tests.servers.processes import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.remote.conftest import Place
    from tests.servers.processes import S3Server

TOP = Path(__file__).parents[2]
MIB = 1 << 20
OLD = bytes(range(256)) * (9 * MIB // 256)
NEW = OLD[::-1]
EXPIRED = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    timeouts = Timeouts(connect=2.0, silence=2.0, retry=0.5, retries=1)
    monkeypatch.setattr("orbitpkg.remote.session.DEFAULT_TIMEOUTS", timeouts)
    monkeypatch.setattr("orbitpkg.remote.session.SHORT_TIMEOUTS", timeouts)
    monkeypatch.setattr("orbitpkg.objects.transfer.files.OVERLOAD", RetryPolicy(first_pause=0.01))


@pytest.fixture
def cached(rclone: S3Server, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Return a bucket with one cached and one uncached object."""
    place = enter(rclone, monkeypatch)
    place.store.put("cached.txt", b"cached")
    place.store.put("other.txt", b"other")
    remote.local_path(f"{place.uri}/cached.txt")
    monkeypatch.setenv("TEST_BUCKET", place.uri.removeprefix("s3://"))
    return place


def use_proxy(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("HTTP_PROXY", url)
    monkeypatch.setenv("http_proxy", url)
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)


def lose_endpoint(monkeypatch: pytest.MonkeyPatch, endpoint: str) -> None:
    """Cache the object from an endpoint that only a proxy reaches, and end the proxy."""
    server = os.environ["AWS_ENDPOINT_URL"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    with interposed(server, lambda _: None) as proxy, monkeypatch.context() as reached:
        use_proxy(reached, proxy)
        remote.local_path(f"s3://{os.environ['TEST_BUCKET']}/cached.txt")


def no_host(monkeypatch: pytest.MonkeyPatch) -> None:
    lose_endpoint(monkeypatch, f"http://127.0.0.1:{free_port()}")


def no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    lose_endpoint(monkeypatch, "http://nobody.invalid")


def no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")


def wrong_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "another")


def no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    no_credentials(monkeypatch)
    monkeypatch.setenv("AWS_PROFILE", "nobody")


def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    use_proxy(monkeypatch, f"http://127.0.0.1:{free_port()}")


def no_tls(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", os.environ["AWS_ENDPOINT_URL"].replace("http:", "https:"))


LOSSES = [no_host, no_name, no_credentials, wrong_credentials, no_profile, no_proxy, no_tls]


@pytest.mark.parametrize("lose", LOSSES)
def test_cached_objects_are_read_without_a_connection_with_one_warning(
    cached: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, lose: object
) -> None:
    assert callable(lose)
    lose(monkeypatch)
    uri = f"{cached.uri}/cached.txt"
    with caplog.at_level(logging.WARNING):
        assert remote.local_path(uri).read_bytes() == b"cached"
        with remote.open(uri) as file:
            assert file.read() == "cached"
        assert remote.exists(uri)
        assert remote.stat(uri).size == len(b"cached")
    assert len(caplog.records) == 1
    assert "is unreachable" in caplog.text
    assert uri in caplog.text


@pytest.mark.parametrize("lose", LOSSES)
def test_an_object_that_is_not_cached_is_reported(cached: Place, monkeypatch: pytest.MonkeyPatch, lose: object) -> None:
    assert callable(lose)
    lose(monkeypatch)
    uri = f"{cached.uri}/other.txt"
    for use in (remote.local_path, remote.open, remote.exists, remote.stat):
        with pytest.raises((RepositoryUnreachable, CredentialsError, AccessDenied), match="is not cached"):
            use(uri)


def test_an_unresponsive_host_is_avoided_for_a_while(
    cached: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with silent() as endpoint:
        use_proxy(monkeypatch, endpoint)
        with caplog.at_level(logging.WARNING):
            for _ in range(20):
                assert remote.local_path(f"{cached.uri}/cached.txt").read_bytes() == b"cached"
    assert len(caplog.records) == 1


def test_an_expired_token_is_reported_once_and_a_new_one_is_used(
    rclone: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    place = enter(rclone, monkeypatch)
    place.store.put("key.txt", b"old")
    expired = threading.Event()

    def meddle(_: Request) -> Answer | None:
        return Answer(status=400, body=EXPIRED) if expired.is_set() else None

    with interposed(rclone.endpoint, meddle) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        uri = f"{place.uri}/key.txt"
        assert remote.local_path(uri).read_bytes() == b"old"
        place.store.put("key.txt", b"new")
        expired.set()
        assert remote.local_path(uri).read_bytes() == b"old"
        assert remote.local_path(uri).read_bytes() == b"old"
        assert len(caplog.records) == 1
        expired.clear()
        assert remote.local_path(uri).read_bytes() == b"new"
        expired.set()
        assert remote.local_path(uri).read_bytes() == b"new"
        assert len(caplog.records) == 2


@contextmanager
def gone_from(server: S3Server, first: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Request]]:
    """Disconnect the network at a request, counted from 1."""
    seen: list[Request] = []

    def meddle(request: Request) -> Answer | None:
        seen.append(request)
        return Answer(reset=True) if len(seen) >= first else None

    with interposed(server.endpoint, meddle) as proxy, monkeypatch.context() as reached:
        use_proxy(reached, proxy)
        yield seen


@pytest.mark.parametrize("first", [1, 2, 3, 4])
def test_a_connection_lost_at_any_request_opens_the_old_or_the_new_state(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, first: int
) -> None:
    place = enter(moto, monkeypatch)
    place.store.put("key.bin", OLD)
    uri = f"{place.uri}/key.bin"
    remote.local_path(uri)
    place.store.put("key.bin", NEW)
    # The state of the object, then two ranges.
    with gone_from(moto, first, monkeypatch):
        assert remote.local_path(uri).read_bytes() == (NEW if first > 3 else OLD)
    assert len(caplog.records) == (first <= 3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.endpoint)
    assert remote.local_path(uri).read_bytes() == NEW


@pytest.mark.parametrize("first", [1, 2, 3])
def test_a_connection_lost_at_any_request_is_reported_and_the_download_resumes(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, home: Path, first: int
) -> None:
    place = enter(moto, monkeypatch)
    place.store.put("key.bin", NEW)
    uri = f"{place.uri}/key.bin"
    with gone_from(moto, first, monkeypatch), pytest.raises(RepositoryUnreachable):
        remote.local_path(uri)
    assert list((home / "cache" / "remote").glob("content/*/*/*")) == []
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.endpoint)
    assert remote.local_path(uri).read_bytes() == NEW


@pytest.mark.parametrize("first", [1, 2, 3, 4, 5])
def test_a_connection_lost_at_any_request_leaves_a_complete_write_or_none(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, first: int
) -> None:
    place = enter(moto, monkeypatch)
    place.store.put("key.bin", b"before")
    uri = f"{place.uri}/key.bin"

    def write() -> None:
        with remote.write(uri) as path:
            path.write_bytes(NEW)

    # The start of the upload, two parts, its completion, and a check of the new object.
    with gone_from(moto, first, monkeypatch), pytest.raises(RepositoryError) as caught:
        write()
    assert Path(str(caught.value.data["kept"])).read_bytes() == NEW
    assert place.store.get("key.bin")[0] == (NEW if first == 5 else b"before")


def test_an_interrupted_upload_resumes(moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("orbitpkg.remote.session._JOURNALLED_BYTES", 0)
    place = enter(moto, monkeypatch)
    (tmp_path / "large.bin").write_bytes(NEW * 3)
    uri = f"{place.uri}/large.bin"
    # The start of the upload and one of four parts, while another is under way.
    with gone_from(moto, 3, monkeypatch), pytest.raises(RepositoryError):
        remote.copy(tmp_path / "large.bin", uri)
    with gone_from(moto, 1000, monkeypatch) as seen:
        remote.copy(tmp_path / "large.bin", uri)
    assert 0 < sum(request.method == "PUT" for request in seen) < 4
    assert place.store.get("large.bin")[0] == NEW * 3
    assert list(place.store.list_uploads()) == []


def test_an_interrupted_upload_is_not_resumed_with_another_file(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("orbitpkg.remote.session._JOURNALLED_BYTES", 0)
    place = enter(moto, monkeypatch)
    (tmp_path / "large.bin").write_bytes(NEW * 3)
    uri = f"{place.uri}/large.bin"
    with gone_from(moto, 3, monkeypatch), pytest.raises(RepositoryError):
        remote.copy(tmp_path / "large.bin", uri)
    (tmp_path / "large.bin").write_bytes(OLD * 3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.endpoint)
    remote.copy(tmp_path / "large.bin", uri)
    assert place.store.get("large.bin")[0] == OLD * 3


def test_offline_mode_makes_no_request_and_reports_it(
    cached: Place, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORBITPKG_OFFLINE", "1")
    uri = f"{cached.uri}/cached.txt"
    assert remote.local_path(uri).read_bytes() == b"cached"
    assert remote.exists(uri)
    assert caplog.text == ""
    for use in (
        lambda: remote.local_path(f"{cached.uri}/other.txt"),
        lambda: remote.exists(f"{cached.uri}/other.txt"),
        lambda: remote.write(uri).__enter__(),
        lambda: remote.open(uri, "w"),
        lambda: remote.list(cached.uri),
        lambda: remote.copy(f"{cached.uri}/other.txt", tmp_path / "x"),
        lambda: remote.delete(uri),
    ):
        with pytest.raises(OfflineError, match="in offline mode"):
            use()
    (tmp_path / "local").write_text("still here")
    assert remote.local_path(tmp_path / "local").read_text() == "still here"


def test_a_damaged_cache_file_is_not_opened_offline(cached: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    remote.local_path(f"{cached.uri}/cached.txt").write_bytes(b"somebody's")
    no_proxy(monkeypatch)
    with pytest.raises(RepositoryUnreachable, match="is not cached"):
        remote.local_path(f"{cached.uri}/cached.txt")


def test_a_denied_object_is_an_error_although_it_is_cached(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that denies access is not unreachable."""
    place = enter(moto, monkeypatch)
    place.store.put("key.txt", b"data")
    denied = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"
    with interposed(moto.endpoint, lambda request: Answer(status=403, body=denied) if request.number else None) as url:
        remote.local_path(f"{place.uri}/key.txt")
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(AccessDenied):
            remote.local_path(f"{place.uri}/key.txt")


PROGRAM = """
import sys
from orbitpkg import remote
for _ in range(2):
    for uri in sys.argv[1:]:
        with remote.open(uri, "rb") as file:
            data = file.read()
        assert data == data[:1] * len(data), uri
        with remote.write(f"{uri.rpartition('/')[0]}/{len(data)}-{sys.argv[1][-1]}") as path:
            path.write_bytes(data)
sys.stdout.write("fine")
"""


def test_many_processes_share_one_cache(moto: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    place = enter(moto, monkeypatch)
    uris = [f"{place.uri}/dir/{number}" for number in range(3)]
    for number, uri in enumerate(uris):
        place.store.put(uri.removeprefix(f"{place.uri}/"), bytes([number]) * (number + 1) * MIB)
    running = [
        subprocess.Popen([sys.executable, "-c", PROGRAM, *uris[turn:], *uris[:turn]], cwd=TOP, stdout=subprocess.PIPE)
        for turn in range(3)
    ]
    assert [process.communicate()[0] for process in running] == [b"fine"] * 3
    assert remote.cache_size() == (1 + 2 + 3) * MIB
