"""The policies in the docs grant exactly the access they describe, on a server that enforces policies."""

from __future__ import annotations

import json
import uuid
from typing import TYPE_CHECKING, Any
from urllib.request import Request, urlopen

import boto3
import pytest

import orbitpkg
from orbitpkg.api.repository import doctor, init_repository
from orbitpkg.api.search import search, versions
from orbitpkg.errors import AccessDenied, PackageNotFound, RepositoryError
from orbitpkg.repository.probe import Check
from tests.docs.documents import document
from tests.packages import make_package, noise
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import S3Server, ServerMissing, moto_server

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

BUCKET = "example-models"
URL = f"s3://{BUCKET}"
MULTIPART_SIZE = 20_000_000
"""A size, in bytes, that requires a multipart upload."""


def policy(name: str, *, without: tuple[str, ...] = ()) -> dict[str, Any]:
    """Return a policy in the docs without some of its statements."""
    block = next(block for block in document("docs/s3.md").blocks if block.marks.get("policy") == name)
    parsed: dict[str, Any] = json.loads(block.text)
    kept = [statement for statement in parsed["Statement"] if statement["Sid"] not in without]
    assert len(kept) == len(parsed["Statement"]) - len(without)
    return {**parsed, "Statement": kept}


class Cloud:
    """A simulator of AWS that enforces policies, with a bucket."""

    def __init__(self, server: S3Server, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._server = server
        self._folder = folder
        self._monkeypatch = monkeypatch
        server.client().create_bucket(Bucket=BUCKET)

    def become(self, allowed: Mapping[str, object]) -> None:
        """Act as a new user with exactly this policy, on a new machine."""
        self._enforce(b"inf")
        access_key, secret_key = self._new_user(json.dumps(allowed))
        self._enforce(b"0")
        self._set(AWS_ACCESS_KEY_ID=access_key, AWS_SECRET_ACCESS_KEY=secret_key)

    def become_anonymous(self, bucket_policy: Mapping[str, object]) -> None:
        """Act as a user without credentials, with this bucket policy."""
        self._enforce(b"inf")
        self._server.client().put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(bucket_policy))
        self._set()
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            self._monkeypatch.delenv(variable)

    def delete(self, key: str) -> None:
        """Delete an object in the repository, regardless of the current policy."""
        self._enforce(b"inf")
        self._server.client().delete_object(
            Bucket=BUCKET, Key=f"{URL.partition(BUCKET)[2].strip('/')}/{key}".lstrip("/")
        )

    def _set(self, **more: str) -> None:
        home = str(self._folder / uuid.uuid4().hex)
        for variable, value in {**self._server.env(), **more, "ORBITPKG_HOME": home}.items():
            self._monkeypatch.setenv(variable, value)

    def _enforce(self, free_requests: bytes) -> None:
        # moto starts to enforce policies after this number of requests.
        url, headers = f"{self._server.endpoint}/moto-api/reset-auth", {"Content-Type": "text/plain"}
        with urlopen(Request(url, data=free_requests, headers=headers)) as answer:
            assert answer.status == 200

    def _new_user(self, document: str) -> tuple[str, str]:
        server, user = self._server, uuid.uuid4().hex
        iam = boto3.client(
            "iam",
            endpoint_url=server.endpoint,
            aws_access_key_id=server.access_key,
            aws_secret_access_key=server.secret_key,
            region_name=server.region,
        )
        iam.create_user(UserName=user)
        iam.put_user_policy(UserName=user, PolicyName="allowed", PolicyDocument=document)
        key = iam.create_access_key(UserName=user)["AccessKey"]
        iam.close()
        return key["AccessKeyId"], key["SecretAccessKey"]


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    try:
        with moto_server(tmp_path) as server:
            yield Cloud(server, tmp_path, monkeypatch)
    except ServerMissing as missing:
        skip_or_fail(missing)


def package(folder: Path, version: str = "1.0.0", *, size: int = 1000) -> Path:
    return make_package(folder / version, version=version, files={"weights.bin": noise(size)})


def test_the_publisher_policy_allows_creating_a_repository_and_publishing_small_and_large_packages(
    cloud: Cloud, tmp_path: Path
) -> None:
    cloud.become(policy("publisher"))
    assert all(answer.works for answer in doctor(URL).answers)
    orbitpkg.publish(package(tmp_path), URL)
    orbitpkg.publish(package(tmp_path, "1.1.0", size=MULTIPART_SIZE), URL)
    assert versions("model", repository=URL) == ["1.0.0", "1.1.0"]
    assert orbitpkg.install("model", repository=URL).version == "1.1.0"


def test_publishing_to_an_existing_repository_requires_fewer_permissions(cloud: Cloud, tmp_path: Path) -> None:
    cloud.become(policy("publisher"))
    init_repository(URL)
    cloud.become(policy("publisher", without=("CreateRepositoryAndRunDoctor", "DeleteProbes")))
    orbitpkg.publish(package(tmp_path, size=MULTIPART_SIZE), URL)
    assert versions("model", repository=URL) == ["1.0.0"]


def test_without_permission_to_delete_only_probes_remain(cloud: Cloud) -> None:
    cloud.become(policy("publisher", without=("DeleteProbes",)))
    report = doctor(URL)
    assert [answer.check for answer in report.answers if not answer.works] == [Check.DELETABLE]
    init_repository(URL)


@pytest.fixture
def published(cloud: Cloud, tmp_path: Path) -> Cloud:
    """Publish two versions to the bucket."""
    cloud.become(policy("publisher"))
    orbitpkg.publish(package(tmp_path), URL)
    orbitpkg.publish(package(tmp_path, "1.1.0", size=MULTIPART_SIZE), URL)
    return cloud


def test_the_reader_policy_allows_installing_but_not_publishing(published: Cloud, tmp_path: Path) -> None:
    published.become(policy("reader"))
    assert orbitpkg.install("model", repository=URL).version == "1.1.0"
    assert [found.name for found in search("", repository=URL)] == ["model"]
    with pytest.raises(AccessDenied):
        orbitpkg.publish(package(tmp_path, "2.0.0"), URL)


def test_without_permission_to_list_versions_are_read_from_the_index(published: Cloud) -> None:
    published.become(policy("reader", without=("List",)))
    assert orbitpkg.install("model==1.0.0", repository=URL).version == "1.0.0"
    assert orbitpkg.install("model", repository=URL).version == "1.1.0"


def test_without_permission_to_list_and_without_an_index_access_is_denied(published: Cloud) -> None:
    published.delete("index/model.json")
    published.become(policy("reader", without=("List",)))
    assert orbitpkg.install("model==1.0.0", repository=URL).version == "1.0.0"
    for requirement in ("model", "model==3.0.0"):
        with pytest.raises(AccessDenied):
            orbitpkg.install(requirement, repository=URL)


def test_a_public_bucket_can_be_read_without_credentials(published: Cloud) -> None:
    published.become_anonymous(policy("public"))
    assert orbitpkg.install("model", repository=URL).version == "1.1.0"


def test_every_statement_required_for_publishing_is_needed(cloud: Cloud, tmp_path: Path) -> None:
    for statement in ("CreateRepositoryAndRunDoctor", "List", "Read", "Publish"):
        cloud.become(policy("publisher", without=(statement,)))
        with pytest.raises(RepositoryError):
            orbitpkg.publish(package(tmp_path), URL)
    cloud.become(policy("reader"))
    with pytest.raises(PackageNotFound):
        orbitpkg.install("model", repository=URL)
