"""Reaching a bucket, and not reaching it: endpoints, regions, credentials, silence, lost replies."""

from __future__ import annotations

import gc
import json
import os
import threading
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from orbitpkg.errors import (
    AccessDenied,
    BucketNotFound,
    CredentialsError,
    ObjectExists,
    OrbitError,
    RepositoryError,
    RepositoryUnreachable,
)
from orbitpkg.objects import create_bucket, open_store
from orbitpkg.objects.http import HttpStore
from orbitpkg.objects.s3 import S3Store
from orbitpkg.objects.s3_config import Keys, S3Settings
from orbitpkg.objects.timeouts import Timeouts
from tests.servers.interposed import Answer, Request, answering, interposed, silent
from tests.servers.processes import HOST, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from orbitpkg.objects import ObjectStore
    from tests.servers.processes import S3Server

SHORT_TIMEOUTS = Timeouts(connect=2, silence=0.2, upload=0.2, retry=0.1, retries=1)
SECRET = "wrong+secret/that-nobody-may-see"


def uses(store: ObjectStore) -> dict[str, Callable[[], object]]:
    """Each way to ask a store for something small."""
    return {
        "get": lambda: store.get("key"),
        "get_range": lambda: store.get_range("key", 0, 1),
        "head": lambda: store.head("key"),
        "list": lambda: store.list(""),
        "list_folders": lambda: store.list_folders(""),
        "put": lambda: store.put("key", b"x"),
        "create": lambda: store.create("key", b"x"),
        "replace": lambda: store.replace("key", b"x", etag='"x"'),
        "delete": lambda: store.delete("key"),
        "start_upload": lambda: store.start_upload("key"),
    }


USES = list(uses(HttpStore("http://unused")))


def keys() -> Keys:
    return Keys(access_key="AKIAEXAMPLE", secret_key=SECRET)


def hasty(endpoint: str) -> S3Store:
    settings = S3Settings(bucket="bucket", endpoint=endpoint, region="us-east-1", source="the test", keys=keys)
    return S3Store("bucket", settings=settings, timeouts=SHORT_TIMEOUTS)


class TestNoAnswer:
    @pytest.mark.parametrize("use", USES)
    def test_a_closed_port_is_reported(self, use: str) -> None:
        port = free_port()
        with closing(hasty(f"http://{HOST}:{port}")) as store, pytest.raises(RepositoryUnreachable) as caught:
            uses(store)[use]()
        assert f"http://{HOST}:{port}" in caught.value.message
        assert "connection refused" in caught.value.message
        assert "AWS_ENDPOINT_URL_S3" in str(caught.value.hint)
        assert "PROXY" in str(caught.value.hint)

    @pytest.mark.parametrize("use", USES)
    def test_a_server_that_never_answers_is_given_up(self, use: str) -> None:
        told = pytest.raises(RepositoryUnreachable, match="no answer in time")
        with silent() as endpoint, closing(hasty(endpoint)) as store, told:
            uses(store)[use]()

    def test_a_web_server_that_never_answers_is_given_up(self) -> None:
        with silent() as url, pytest.raises(RepositoryUnreachable, match="no answer in time"):
            HttpStore(url, timeouts=SHORT_TIMEOUTS).get("key")

    def test_a_host_that_does_not_exist_is_reported(self) -> None:
        told = pytest.raises(RepositoryUnreachable, match="its name cannot be resolved")
        with closing(hasty("http://nowhere.invalid")) as store, told:
            store.get("key")

    def test_a_server_without_tls_is_reported(self) -> None:
        told = pytest.raises(RepositoryUnreachable, match="does not use TLS")
        with answering([b"HTTP/1.1 400 Bad Request\r\n\r\n"]) as endpoint:
            store = hasty(endpoint.replace("http://", "https://"))
            with closing(store), told:
                store.get("key")

    @pytest.mark.parametrize(
        ("said", "told"),
        [
            pytest.param(b"", "closed without an answer", id="nothing"),
            pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", "not use HTTP", id="another protocol"),
            pytest.param(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n", "503", id="overload"),
            pytest.param(
                b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n<html>", "not as an S3 server", id="no S3"
            ),
            pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut", "cut short", id="half a body"),
        ],
    )
    def test_an_invalid_answer_is_not_treated_as_absence(self, said: bytes, told: str) -> None:
        expected = pytest.raises(RepositoryUnreachable, match=told)
        with answering([said]) as endpoint, closing(hasty(endpoint)) as store, expected:
            store.get("key")

    def test_a_body_that_flows_slowly_is_waited_for(self) -> None:
        def drops() -> Iterator[bytes]:
            yield b"HTTP/1.1 200 OK\r\nContent-Length: 30\r\nLast-Modified: Fri, 20 Nov 2026 00:00:00 GMT\r\n\r\n"
            for _ in range(30):
                threading.Event().wait(0.05)  # The one thing that is slow here on purpose: the link.
                yield b"."

        timeouts = Timeouts(connect=2, silence=1, upload=1, retry=0.1, retries=0)
        with answering(drops()) as url:
            assert HttpStore(url, timeouts=timeouts).get("key")[0] == b"." * 30

    def test_a_servers_text_beside_its_code_is_not_repeated(self) -> None:
        body = (
            b"<Error><Code>SignatureDoesNotMatch</Code><Message>no</Message><AWSAccessKeyId>AKIAEXAMPLE</AWSAccessKeyId>"
            b"<StringToSign>to sign</StringToSign><SignatureProvided>provided</SignatureProvided></Error>"
        )
        said = b"HTTP/1.1 403 Forbidden\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)
        with answering([said]) as endpoint, closing(hasty(endpoint)) as store:
            for name, use in uses(store).items():
                with pytest.raises(CredentialsError) as caught:
                    use()
                for secret in ("AKIAEXAMPLE", "to sign", "provided", SECRET, "<"):
                    assert secret not in str(caught.value), name
                assert "the test" in caught.value.message


class TestCredentials:
    @pytest.fixture(params=["rclone", "ceph"])
    def strict(self, request: pytest.FixtureRequest) -> S3Server:
        """Each server that checks signatures."""
        server: S3Server = request.getfixturevalue(request.param)
        return server

    @pytest.mark.parametrize("use", USES)
    def test_wrong_keys_are_reported_with_their_source(self, strict: S3Server, use: str) -> None:
        env = strict.env() | {"AWS_SECRET_ACCESS_KEY": SECRET}
        store = open_store(f"s3://{strict.new_bucket()}", env=env)
        with closing(store), pytest.raises(CredentialsError) as caught:
            uses(store)[use]()
        assert "the environment (AWS_ACCESS_KEY_ID)" in caught.value.message
        assert SECRET not in str(caught.value)
        assert strict.access_key not in str(caught.value)

    def test_a_profile_of_the_shared_files_is_enough(self, strict: S3Server, tmp_path: Path) -> None:
        (tmp_path / "config").write_text(
            f"[profile models]\nregion = {strict.region}\nservices = here\n"
            f"[services here]\ns3 =\n  endpoint_url = {strict.endpoint}\n"
        )
        (tmp_path / "credentials").write_text(
            f"[models]\naws_access_key_id = {strict.access_key}\naws_secret_access_key = {strict.secret_key}\n"
        )
        env = {
            "AWS_PROFILE": "models",
            "AWS_CONFIG_FILE": str(tmp_path / "config"),
            "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "credentials"),
        }
        with closing(open_store(f"s3://{strict.new_bucket()}/p", env=env)) as store:
            store.create("key", b"x")
            upload = store.start_upload("large")
            upload.put_part(1, 0, b"y")
            upload.complete()
            assert [info.key for info in store.list("")] == ["key", "large"]

    def test_other_state_of_the_process_does_not_interfere(
        self, strict: S3Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = strict.new_bucket()
        for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "stale")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://nowhere.invalid")
        with closing(open_store(f"s3://{bucket}", env=strict.env())) as store:
            store.put("key", b"x")
            upload = store.start_upload("large")
            upload.put_part(1, 0, b"y")
            upload.complete()
            assert store.get("large")[0] == b"y"

    def test_keys_that_cannot_be_renewed_raise_a_credentials_error(self) -> None:
        def expired() -> Keys:
            raise CredentialsError("The login of profile x has expired.", hint="aws sso login --profile x")

        settings = S3Settings(bucket="bucket", endpoint="http://nowhere.invalid", source="profile x", keys=expired)
        with closing(S3Store("bucket", settings=settings, timeouts=SHORT_TIMEOUTS)) as store:
            for use in uses(store).values():
                with pytest.raises(CredentialsError, match="The login of profile x has expired"):
                    use()

    @pytest.mark.parametrize("variables", [{}, {"AWS_ACCESS_KEY_ID": ""}], ids=["no key", "an empty key"])
    def test_a_public_bucket_is_read_without_credentials(
        self, ceph: S3Server, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        bucket = ceph.new_bucket()
        ceph.client().put_object(Bucket=bucket, Key="p/key", Body=b"public")
        statement = {
            "Effect": "Allow",
            "Principal": "*",
            "Action": "s3:GetObject",
            "Resource": f"arn:aws:s3:::{bucket}/*",
        }
        ceph.client().put_bucket_policy(
            Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        )
        env = {name: value for name, value in ceph.env().items() if "KEY" not in name} | variables
        with closing(open_store(f"s3://{bucket}/p", env=env)) as store:
            assert store.get("key")[0] == b"public"
            for read in (store.get, store.head):
                refusal = "does not exist, or anonymous access does not permit reading it"
                with pytest.raises(AccessDenied, match=refusal):
                    read("absent")
            with pytest.raises(CredentialsError, match="requires credentials to create"):
                store.create("new", b"x")
            with pytest.raises(CredentialsError, match="requires credentials to list"):
                store.list("")

    def test_a_missing_key_is_distinguished_from_a_forbidden_one_if_the_user_may_list(self, ceph: S3Server) -> None:
        store = open_store(f"s3://{ceph.new_bucket()}", env=ceph.env())
        with closing(store), pytest.raises(RepositoryError) as caught:
            store.head("absent")
        assert caught.value.code == "object-not-found"


class TestBuckets:
    @pytest.mark.parametrize("use", USES)
    def test_a_missing_bucket_is_reported(self, s3_server: S3Server, use: str) -> None:
        store = open_store("s3://no-such-bucket-here/p", env=s3_server.env())
        with closing(store), pytest.raises(BucketNotFound) as caught:
            uses(store)[use]()
        assert "no-such-bucket-here" in caught.value.message
        assert caught.value.hint == "To create it: orbitpkg repo init s3://no-such-bucket-here/p --create-bucket"

    def test_a_bucket_is_made_once_and_the_second_time_is_fine(self, s3_server: S3Server) -> None:
        name = f"made-{os.urandom(6).hex()}"
        create_bucket(f"s3://{name}/p", env=s3_server.env())
        create_bucket(f"s3://{name}/p", env=s3_server.env())
        with closing(open_store(f"s3://{name}/p", env=s3_server.env())) as store:
            assert list(store.list("")) == []

    def test_a_bucket_is_made_in_the_region_that_is_set(self, moto: S3Server) -> None:
        name = f"made-{os.urandom(6).hex()}"
        create_bucket(f"s3://{name}", env=moto.env() | {"AWS_REGION": "eu-central-1"})
        assert moto.client().get_bucket_location(Bucket=name)["LocationConstraint"] == "eu-central-1"


class Elsewhere:
    """Answers as AWS does when a bucket is in another region than the one a request is signed for."""

    def __init__(self, region: str, *, redirects: bool) -> None:
        self.region = region
        self.redirects = redirects
        self.refused = 0

    def __call__(self, request: Request) -> Answer | None:
        if f"/{self.region}/s3/" in request.headers["authorization"]:
            return None
        self.refused += 1
        headers = {"x-amz-bucket-region": self.region}
        if self.redirects:
            # Amazon S3 User Guide, "Request redirection": a 301 without a Location.
            return Answer(status=301, headers=headers, body=b"<Error><Code>PermanentRedirect</Code></Error>")
        body = b"<Error><Code>AuthorizationHeaderMalformed</Code><Region>%b</Region></Error>" % self.region.encode()
        return Answer(status=400, headers=headers, body=body)


@pytest.mark.parametrize("redirects", [False, True], ids=["refused", "redirected"])
class TestRegions:
    @pytest.fixture
    def elsewhere(self, redirects: bool) -> Elsewhere:
        return Elsewhere("eu-central-1", redirects=redirects)

    @pytest.fixture
    def store(self, moto: S3Server, elsewhere: Elsewhere) -> Iterator[ObjectStore]:
        bucket = f"elsewhere-{os.urandom(6).hex()}"
        create_bucket(f"s3://{bucket}", env=moto.env() | {"AWS_REGION": elsewhere.region})
        moto.client().put_object(Bucket=bucket, Key="key", Body=b"x")
        with interposed(moto.endpoint, elsewhere) as endpoint:
            env = moto.env() | {"AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1"}
            with closing(open_store(f"s3://{bucket}", env=env)) as store:
                yield store

    @pytest.mark.parametrize("use", [use for use in USES if use not in ("create", "replace")])
    def test_a_bucket_is_followed_into_its_region(self, store: ObjectStore, elsewhere: Elsewhere, use: str) -> None:
        uses(store)[use]()
        assert elsewhere.refused > 0
        store.put("another", b"y")
        refused = elsewhere.refused
        for again in (use, "get", "start_upload"):
            store.put("key", b"x")
            uses(store)[again]()
        assert elsewhere.refused == refused

    def test_a_create_is_followed_too(self, store: ObjectStore) -> None:
        store.create("new", b"x")
        assert store.get("new")[0] == b"x"


@contextmanager
def behind(server: S3Server, meddle: Callable[[Request], Answer | None]) -> Iterator[ObjectStore]:
    """Open a new bucket of a server that `meddle` stands before."""
    with interposed(server.endpoint, meddle) as endpoint:
        env = server.env() | {"AWS_ENDPOINT_URL": endpoint}
        with closing(open_store(f"s3://{server.new_bucket()}", env=env)) as store:
            yield store


class TestLostReplies:
    def test_a_create_whose_reply_is_lost_finds_its_own_object(self, moto: S3Server) -> None:
        def lose(request: Request) -> Answer | None:
            return Answer(lost=True) if (request.method, request.number) == ("PUT", 1) else None

        with behind(moto, lose) as store:
            with pytest.raises(ObjectExists):
                store.create("key", b"my own")
            assert store.get("key")[0] == b"my own"

    def test_a_completion_whose_reply_is_lost_has_worked(self, moto: S3Server) -> None:
        def lose(request: Request) -> Answer | None:
            completion = request.method == "POST" and "uploadId=" in request.path
            return Answer(lost=True) if completion and request.number == 1 else None

        with behind(moto, lose) as store:
            upload = store.start_upload("key")
            upload.put_part(1, 0, b"data")
            assert upload.complete().size == 4
            assert store.get("key")[0] == b"data"

    def test_a_read_that_is_cut_off_is_tried_again(self, moto: S3Server) -> None:
        def lose(request: Request) -> Answer | None:
            return Answer(lost=True) if request.number == 1 else None

        with behind(moto, lose) as store:
            store.put("key", b"data")
            assert store.get("key")[0] == b"data"
            assert bytes(store.get_range("key", 1, 2)) == b"at"
            assert [info.key for info in store.list("")] == ["key"]

    def test_an_overloaded_store_is_asked_again(self, moto: S3Server) -> None:
        def refuse(request: Request) -> Answer | None:
            slow_down = b"<Error><Code>SlowDown</Code></Error>"
            return Answer(status=503, body=slow_down) if request.number == 1 else None

        with behind(moto, refuse) as store:
            store.create("key", b"data")
            assert store.get("key")[0] == b"data"

    def test_a_write_that_met_another_is_tried_again(self, moto: S3Server) -> None:
        def conflict(request: Request) -> Answer | None:
            body = b"<Error><Code>ConditionalRequestConflict</Code></Error>"
            return Answer(status=409, body=body) if request.number == 1 else None

        with behind(moto, conflict) as store:
            store.create("key", b"data")
            assert store.get("key")[0] == b"data"


def test_a_store_that_is_closed_leaves_no_socket_open(moto: S3Server) -> None:
    # pytest turns the ResourceWarning of a socket that is collected open into a failure.
    store = open_store(f"s3://{moto.new_bucket()}", env=moto.env())
    upload = store.start_upload("key")
    upload.put_part(1, 0, b"x")
    upload.complete()
    store.close()
    del store, upload
    gc.collect()


def test_errors_of_a_closed_store_are_ours(moto: S3Server) -> None:
    store = open_store(f"s3://{moto.new_bucket()}", env=moto.env())
    store.close()
    with pytest.raises(OrbitError):
        store.get("absent")
    store.close()
