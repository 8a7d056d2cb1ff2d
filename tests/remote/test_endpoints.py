"""What is kept of a store belongs to its endpoint and its account, and keys that were renewed are read again."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from orbitpkg import remote
from orbitpkg.datasets.dataset import create_dataset, dataset
from orbitpkg.errors import CredentialsError, FileMissing, RepositoryError
from orbitpkg.objects import open_store
from orbitpkg.objects.identity import identify_store
from orbitpkg.remote.syncing import sync
from tests.remote.conftest import enter
from tests.servers.interposed import Answer, Request, interposed

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.processes import S3Server

EXPIRED = b"<?xml version='1.0'?><Error><Code>ExpiredToken</Code><Message>The token has expired.</Message></Error>"
ENDPOINT = {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000"}
KEYS = {"AWS_ACCESS_KEY_ID": "one", "AWS_SECRET_ACCESS_KEY": "secret"}


def move_to(monkeypatch: pytest.MonkeyPatch, server: S3Server) -> None:
    for name, value in server.env().items():
        monkeypatch.setenv(name, value)


def test_an_object_cached_from_one_endpoint_is_not_given_for_another(
    moto: S3Server, rclone: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = enter(moto, monkeypatch)
    first.store.put("key", b"of the first")
    uri = f"{first.uri}/key"
    assert remote.local_path(uri).read_bytes() == b"of the first"
    move_to(monkeypatch, rclone)
    for use in (
        lambda: remote.local_path(uri, max_age=600),
        lambda: remote.local_path(uri, fresh=False),
        lambda: remote.local_path(uri),
        lambda: remote.stat(uri),
    ):
        with pytest.raises((FileMissing, RepositoryError)):
            use()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setattr("orbitpkg.remote.session.DEFAULT_TIMEOUTS", remote_timeouts())
    with pytest.raises(RepositoryError):
        remote.local_path(uri, fresh=False)
    move_to(monkeypatch, moto)
    assert remote.local_path(uri, max_age=600).read_bytes() == b"of the first"


def remote_timeouts() -> object:
    from orbitpkg.objects.timeouts import Timeouts

    return Timeouts(connect=1.0, silence=1.0, retry=0.1, retries=0)


def test_a_sync_from_another_endpoint_deletes_nothing_from_the_first(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    first = enter(moto, monkeypatch)
    first.store.put("d/1", b"1")
    first.store.put("d/2", b"2")
    sync(f"{first.uri}/d", tmp_path / "d", delete=True)

    # The same server at another address: there, only one object remains.
    first.store.delete("d/1")
    with interposed(moto.endpoint, lambda _: None) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        result = sync(f"{first.uri}/d", tmp_path / "d", delete=True)
    assert (tmp_path / "d" / "1").read_bytes() == b"1"
    assert [conflict.path for conflict in result.conflicts] == ["1"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ({}, {}, True),
        ({}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9001"}, False),
        ({}, {"AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9001"}, False),
        ({}, {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000/"}, True),
        ({}, {"AWS_ACCESS_KEY_ID": "two"}, False),
        ({}, {"AWS_SECRET_ACCESS_KEY": "other"}, True),
        ({}, {"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}, False),
        # Renewed session keys belong to the same account.
        ({"AWS_SESSION_TOKEN": "a"}, {"AWS_SESSION_TOKEN": "b", "AWS_ACCESS_KEY_ID": "three"}, True),
        ({"AWS_ENDPOINT_URL": ""}, {}, False),
    ],
)
def test_a_store_is_identified_by_its_endpoint_and_account(
    home: Path, first: dict[str, str], second: dict[str, str], *, same: bool
) -> None:
    del home
    one, two = (identify_store("s3://bucket/key", ENDPOINT | KEYS | more) for more in (first, second))
    assert (one == two) is same


def test_profiles_are_accounts_and_renewed_keys_of_a_profile_are_not(home: Path, tmp_path: Path) -> None:
    del home
    file = tmp_path / "credentials"
    env = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_CONFIG_FILE": "/dev/null", **ENDPOINT}

    def identity(profile: str, token: str) -> object:
        file.write_text(
            "".join(
                f"[{name}]\naws_access_key_id = {name}{token}\naws_secret_access_key = s\naws_session_token = {token}\n"
                for name in ("north", "south")
            )
        )
        return identify_store("s3://bucket", {**env, "AWS_PROFILE": profile})

    assert identity("north", "1") == identity("north", "2")
    assert identity("north", "1") != identity("south", "1")


def write_keys(file: Path, token: str) -> None:
    file.write_text(
        f"[default]\naws_access_key_id = key\naws_secret_access_key = secret\naws_session_token = {token}\n"
    )


def test_an_open_store_and_a_dataset_use_renewed_keys(
    moto: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    place = enter(moto, monkeypatch)
    valid = {"a"}
    lock = threading.Lock()

    def meddle(request: Request) -> Answer | None:
        with lock:
            is_valid = request.headers.get("x-amz-security-token") in valid
        return None if is_valid else Answer(status=400, body=EXPIRED)

    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    write_keys(tmp_path / "credentials", "a")
    with interposed(moto.endpoint, meddle) as endpoint:
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        store = open_store(place.uri)
        store.put("key", b"data")
        create_dataset("recordings", f"{place.uri}/lab").objects.close()
        (tmp_path / "a.bin").write_bytes(b"a")
        kept = dataset("recordings", f"{place.uri}/lab")
        assert kept.register(tmp_path / "a.bin").new == 1
        valid.clear()
        valid.add("b")
        for use in (lambda: store.get("key"), lambda: list(store.list("")), lambda: kept.where().count()):
            with pytest.raises(CredentialsError, match="expired"):
                use()
        write_keys(tmp_path / "credentials", "b")
        assert store.get("key")[0] == b"data"
        assert kept.where().count() == 1
        store.put("key", b"new")
        upload = store.start_upload("large")
        upload.put_part(1, 0, b"large")
        upload.complete()
        assert [info.key for info in store.list("") if "/" not in info.key] == ["key", "large"]
        store.close()
        kept.objects.close()
