"""Bucket policies: what they say; and that what they grant works on servers that enforce them, and nothing else."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, ClassVar
from urllib.request import Request, urlopen
from uuid import uuid4

import pytest

import orbitpkg
from orbitpkg.api.repository import init_repository
from orbitpkg.api.search import search, versions
from orbitpkg.errors import AccessDenied, IntegrityError, RepositoryError, UsageError
from orbitpkg.objects import open_store
from orbitpkg.repository.policy import Audience, Right, Target, differences, merge_policy, new_policy, parse_policy
from tests.cli.machine import Machine
from tests.docs.test_policies import BUCKET, Cloud
from tests.packages import make_package, noise
from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import S3Server, ServerMissing, moto_server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

ACCOUNT = "123456789012"
BY_PARTS = 20_000_000
"""Bytes that take an upload by parts."""
SOMEBODY = Audience(accounts=(ACCOUNT,))
EVERYBODY = Audience()
VISION = Target(bucket="example-models", prefix="vision/")


def rows(policy: dict[str, Any]) -> list[tuple[object, object]]:
    return [(statement["Action"], statement["Resource"]) for statement in policy["Statement"]]


class TestWhatTheySay:
    def test_a_reader_lists_and_gets_what_is_below_the_prefix(self) -> None:
        policy = new_policy(VISION, SOMEBODY, Right.READ, create_only=True)
        assert rows(policy) == [
            ("s3:ListBucket", "arn:aws:s3:::example-models"),
            ("s3:GetObject", "arn:aws:s3:::example-models/vision/*"),
        ]
        assert policy["Statement"][0]["Condition"] == {"StringLike": {"s3:prefix": "vision/*"}}
        assert policy["Statement"][0]["Principal"] == {"AWS": [f"arn:aws:iam::{ACCOUNT}:root"]}

    def test_a_publisher_deletes_only_markers_and_pieces_and_never_overwrites_records(
        self,
    ) -> None:
        policy = new_policy(VISION, SOMEBODY, Right.PUBLISH, create_only=True)
        deleting = [resource for action, resource in rows(policy) if action == "s3:DeleteObject"]
        vision = "arn:aws:s3:::example-models/vision"
        assert deleting == [
            [f"{vision}/releases/*/pending/*", f"{vision}/archives/*/pieces/*", f"{vision}/archives/*/claims/*"]
        ]
        writing = {
            statement["Resource"]: statement.get("Condition")
            for statement in policy["Statement"]
            if "s3:PutObject" in statement["Action"]
        }
        assert writing == {
            "arn:aws:s3:::example-models/vision/releases/*": {"Null": {"s3:if-none-match": "false"}},
            "arn:aws:s3:::example-models/vision/archives/*": None,
            "arn:aws:s3:::example-models/vision/index/*": None,
        }

    def test_an_organization_is_everybody_under_a_condition_in_each_statement(self) -> None:
        policy = new_policy(VISION, Audience(organization="o-exampleorgid"), Right.PUBLISH, create_only=True)
        for statement in policy["Statement"]:
            assert statement["Principal"] == "*"
            assert statement["Condition"]["StringEquals"] == {"aws:PrincipalOrgID": "o-exampleorgid"}

    def test_everybody_may_never_publish(self) -> None:
        with pytest.raises(UsageError, match="would let everyone publish"):
            new_policy(VISION, EVERYBODY, Right.PUBLISH, create_only=True)

    @pytest.mark.parametrize(
        "account", ["12345678901", "1234567890123", "12345678901x", "root", "arn:aws:s3:::b", "*", ""]
    )
    def test_an_invalid_account_is_refused(self, account: str) -> None:
        with pytest.raises(UsageError, match="neither an account number nor the ARN"):
            Audience(accounts=(account,))

    @pytest.mark.parametrize(
        "organization", ["exampleorgid", "o-", "o-UPPERCASEID", "o-exampleorgid*", "r-exampleorgid"]
    )
    def test_an_invalid_organization_is_refused(self, organization: str) -> None:
        with pytest.raises(UsageError, match="not a valid organization id"):
            Audience(organization=organization)

    @pytest.mark.parametrize("url", ["file:///srv/models", "https://models.example.org", "memory://m"])
    def test_only_buckets_have_a_policy(self, url: str) -> None:
        with pytest.raises(UsageError, match="Only buckets have policies"):
            Target.of(url)

    def test_a_prefix_that_a_policy_would_read_as_a_pattern_is_refused(self) -> None:
        with pytest.raises(UsageError, match="cannot be used in a policy"):
            Target.of("s3://example-models/all*")

    @pytest.mark.parametrize(
        ("region", "arn"),
        [
            (None, "arn:aws:s3:::example-models"),
            ("eu-west-1", "arn:aws:s3:::example-models"),
            ("cn-north-1", "arn:aws-cn:s3:::example-models"),
            ("us-gov-west-1", "arn:aws-us-gov:s3:::example-models"),
        ],
    )
    def test_the_clouds_of_china_and_of_the_american_government_have_names_of_their_own(
        self, region: str | None, arn: str
    ) -> None:
        assert Target.of("s3://example-models", region=region).arn == arn


class TestMerging:
    OTHERS: ClassVar = {"Sid": "Theirs", "Effect": "Deny", "Principal": "*", "Action": "s3:*", "Resource": "*"}

    def test_foreign_statements_are_kept_in_lists_and_alone(self) -> None:
        policy = new_policy(VISION, SOMEBODY, Right.READ, create_only=True)
        for theirs in (self.OTHERS, [self.OTHERS]):
            merged = merge_policy({"Version": "2008-10-17", "Id": "x", "Statement": theirs}, policy)
            assert merged == {"Version": "2008-10-17", "Id": "x", "Statement": [self.OTHERS, *policy["Statement"]]}

    def test_statements_for_the_same_users_and_prefix_are_replaced(self) -> None:
        before = merge_policy(None, new_policy(VISION, SOMEBODY, Right.PUBLISH, create_only=True))
        reading = new_policy(VISION, SOMEBODY, Right.READ, create_only=True)
        after = merge_policy(before, reading)
        assert after == reading
        assert merge_policy(after, reading) == after
        assert differences(after, after) == []
        assert any(line.startswith("-") and "s3:DeleteObject" in line for line in differences(before, after))

    def test_other_people_and_other_prefixes_are_others(self) -> None:
        policies = [
            new_policy(place, audience, Right.READ, create_only=True)
            for place in (VISION, Target(bucket="example-models", prefix="text/"))
            for audience in (SOMEBODY, EVERYBODY, Audience(organization="o-exampleorgid"))
        ]
        merged: dict[str, Any] | None = None
        for policy in policies:
            merged = merge_policy(merged, policy)
        assert merged is not None
        sids = [statement["Sid"] for statement in merged["Statement"]]
        assert len(sids) == len(set(sids)) == 12
        assert all(sid.isalnum() for sid in sids)

    def test_one_that_is_too_large_for_a_bucket_is_refused(self) -> None:
        many = Audience(accounts=tuple(f"{number:012}" for number in range(500)))
        with pytest.raises(UsageError, match="the maximum is 20,480"):
            merge_policy(None, new_policy(VISION, many, Right.READ, create_only=True))

    @pytest.mark.parametrize("text", ["", "[]", "{", '{"Statement": 1}', '{"Statement": ["x"]}'])
    def test_a_policy_that_cannot_be_parsed_is_not_changed(self, text: str) -> None:
        with pytest.raises(IntegrityError, match="is not a valid policy"):
            parse_policy(text, what="The policy")


def package(folder: Path, version: str = "1.0.0", *, size: int = 1000) -> Path:
    return make_package(folder / version, version=version, files={"weights.bin": noise(size)})


def refused(work: Callable[[], object]) -> bool:
    try:
        work()
    except AccessDenied:
        return True
    return False


def held_to_publishing(bucket: str, prefix: str, folder: Path) -> None:
    """Check that these credentials can publish below a prefix, but cannot delete releases."""
    url = f"s3://{bucket}/{prefix}"
    orbitpkg.publish(package(folder, size=BY_PARTS), url)
    later = package(folder, "1.1.0", size=BY_PARTS)
    (later / "more").write_bytes(b"a change, after which the rest is copied in parts")
    orbitpkg.publish(later, url)
    assert versions("model", repository=url) == ["1.0.0", "1.1.0"]
    store = open_store(url)
    keys = [info.key for info in store.list("")]
    assert not any("pending" in key or "pieces" in key for key in keys)
    assert [key for key in keys if not refused(lambda key=key: store.delete(key))] == []  # type: ignore[misc]
    assert [info.key for info in store.list("")] == keys
    for key in ("orbitpkg.json", "status/model/1.0.0.json", "elsewhere"):
        assert refused(lambda key=key: store.put(key, b"x"))  # type: ignore[misc]
    assert refused(lambda: open_store(f"s3://{bucket}/beside").put("archives/x", b"x"))


def held_to_reading(bucket: str, prefix: str, folder: Path) -> None:
    """Check that these credentials can install from below a prefix, but cannot write."""
    url = f"s3://{bucket}/{prefix}"
    assert orbitpkg.install("model", repository=url).version == "1.1.0"
    assert [found.name for found in search("", repository=url)] == ["model"]
    with pytest.raises(RepositoryError):
        orbitpkg.publish(package(folder, "2.0.0"), url)
    store = open_store(url)
    for key in ("archives/x", "releases/model/2.0.0.json", "index/model.json", "orbitpkg.json"):
        assert refused(lambda key=key: store.put(key, b"x"))  # type: ignore[misc]
        assert refused(lambda key=key: store.delete(key))  # type: ignore[misc]
    assert refused(lambda: open_store(f"s3://{bucket}/beside").get("secret"))


class TestMoto:
    """AWS's rights of users by moto: actions and resources; it knows neither conditions nor principals of buckets."""

    @pytest.fixture
    def cloud(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
        try:
            with moto_server(tmp_path) as server:
                for name, value in server.env().items():
                    monkeypatch.setenv(name, value)
                monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / "maker"))
                cloud = Cloud(server, tmp_path, monkeypatch)
                init_repository(f"s3://{BUCKET}/vision")
                server.client().put_object(Bucket=BUCKET, Key="beside/secret", Body=b"x")
                yield cloud
        except ServerMissing as missing:
            skip_or_fail(missing)

    def rights(self, right: Right) -> dict[str, Any]:
        policy = new_policy(Target(bucket=BUCKET, prefix="vision/"), SOMEBODY, right, create_only=True)
        kept = [
            {name: value for name, value in statement.items() if name not in {"Principal", "Condition"}}
            for statement in policy["Statement"]
        ]
        return {**policy, "Statement": kept}

    def test_publishers_publish_and_readers_read(self, cloud: Cloud, tmp_path: Path) -> None:
        cloud.become(self.rights(Right.PUBLISH))
        held_to_publishing(BUCKET, "vision", tmp_path)
        cloud.become(self.rights(Right.READ))
        held_to_reading(BUCKET, "vision", tmp_path)

    def test_every_statement_is_needed(self, cloud: Cloud, tmp_path: Path) -> None:
        whole, url, needed = self.rights(Right.PUBLISH), f"s3://{BUCKET}/vision", []
        for number, statement in enumerate(whole["Statement"]):
            cloud.become({**whole, "Statement": [each for each in whole["Statement"] if each is not statement]})
            version = f"1.0.{number}"
            try:
                orbitpkg.publish(package(tmp_path / str(number), version), url)
                is_told = version in open_store(url).get("index/model.json")[0].decode()
                is_done = is_told and not list(open_store(url).list("releases/model/pending/"))
            except RepositoryError:
                is_done = False
            if not is_done:
                needed.append(statement["Sid"][len("Orbitpkg") : -8])
        assert needed == ["List", "Get", "Commit", "Upload", "Index", "Withdraw"]


def ceph_user(server: S3Server, name: str) -> dict[str, str]:
    """Make a user of Ceph's gateway; returns what leads a process there as this user (Admin Operations API)."""
    from botocore.auth import S3SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    secret = uuid4().hex
    url = (
        f"{server.endpoint}/admin/user?access-key={name}&display-name={name}&key-type=s3&secret-key={secret}&uid={name}"
    )
    request = AWSRequest(method="PUT", url=url)
    S3SigV4Auth(Credentials(server.access_key, server.secret_key), "s3", server.region).add_auth(request)
    with urlopen(Request(url, method="PUT", headers=dict(request.headers.items()))) as answer:
        assert answer.status == 200
    return {**server.env(), "AWS_ACCESS_KEY_ID": name, "AWS_SECRET_ACCESS_KEY": secret}


class TestCeph:
    """Bucket policies by a production object store: users, prefixes, and everybody."""

    def test_the_applied_policy_admits_only_the_named_users(
        self, ceph: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = ceph.new_bucket()
        ceph.client().put_object(Bucket=bucket, Key="beside/secret", Body=b"x")
        publisher, reader, stranger = (f"{kind}{uuid4().hex[:8]}" for kind in ("publisher", "reader", "stranger"))
        users = {name: ceph_user(ceph, name) for name in (publisher, reader, stranger)}
        machine = Machine(tmp_path)
        url = f"s3://{bucket}/vision"
        assert machine.run("repo", "init", url, **ceph.env()).code == 0
        for user, right in ((publisher, "--publish"), (reader, "--read")):
            arn = f"arn:aws:iam:::user/{user}"
            applied = machine.run("repo", "policy", url, "--account", arn, right, "--apply", **ceph.env())
            assert applied.code == 0, applied.err

        def become(name: str) -> None:
            monkeypatch.setenv("ORBITPKG_HOME", str(tmp_path / name))
            for variable, value in users[name].items():
                monkeypatch.setenv(variable, value)

        become(publisher)
        held_to_publishing(bucket, "vision", tmp_path)
        become(reader)
        held_to_reading(bucket, "vision", tmp_path)
        assert refused(lambda: open_store(f"s3://{bucket}").list_folders(""))
        become(stranger)
        assert refused(lambda: open_store(url).get("orbitpkg.json"))
        assert refused(lambda: open_store(url).list_folders(""))

    def test_everybody_reads_a_public_prefix_and_nothing_beside_it(
        self, ceph: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        bucket = ceph.new_bucket()
        ceph.client().put_object(Bucket=bucket, Key="beside/secret", Body=b"x")
        for name, value in {**ceph.env(), "ORBITPKG_HOME": str(tmp_path / "home")}.items():
            monkeypatch.setenv(name, value)
        url = f"s3://{bucket}/vision"
        orbitpkg.publish(package(tmp_path, "1.1.0"), url)
        machine = Machine(tmp_path)
        assert machine.run("repo", "policy", url, "--public", "--read", "--apply", **ceph.env()).code == 0
        for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.delenv(variable)
        assert orbitpkg.install("model", repository=url).version == "1.1.0"
        with pytest.raises(RepositoryError):
            open_store(f"s3://{bucket}/beside").get("secret")


class TestCommand:
    URL = "s3://example-models/vision"

    def test_without_apply_it_prints_a_policy_without_a_request(self, tmp_path: Path) -> None:
        machine = Machine(tmp_path)
        printed = machine.run("repo", "policy", self.URL, "--account", ACCOUNT, "--read", AWS_ACCESS_KEY_ID="x",
                              AWS_SECRET_ACCESS_KEY="y", AWS_REGION="eu-west-1")  # fmt: skip
        assert printed.code == 0
        assert json.loads(printed.out) == new_policy(VISION, SOMEBODY, Right.READ, create_only=True)
        assert printed.err == ""

    def test_applied_it_shows_what_changes_and_a_second_time_changes_nothing(
        self, moto: S3Server, tmp_path: Path
    ) -> None:
        bucket = moto.new_bucket()
        theirs = {**TestMerging.OTHERS, "Resource": f"arn:aws:s3:::{bucket}/*"}
        moto.client().put_bucket_policy(
            Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": theirs})
        )
        machine = Machine(tmp_path)
        words = ("repo", "policy", f"s3://{bucket}/vision", "--public", "--read", "--apply")
        first = machine.run(*words, **moto.env())
        assert first.code == 0
        assert first.out.startswith("--- the bucket's policy\n+++ the new policy\n")
        there = json.loads(moto.client().get_bucket_policy(Bucket=bucket)["Policy"])
        assert there["Statement"][0] == theirs
        assert len(there["Statement"]) == 3
        second = machine.run(*words, "--json", **moto.env())
        assert (second.envelope["data"]["applied"], second.envelope["data"]["policy"]) == (False, there)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--read"], "Specify exactly one audience"),
            (["--public", "--account", ACCOUNT, "--read"], "Specify exactly one audience"),
            (["--public"], "Specify either --read or --publish"),
            (["--account", ACCOUNT, "--read", "--publish"], "Specify either --read or --publish"),
            (["--public", "--publish"], "would let everyone publish"),
            (["--account", "me", "--read"], "neither an account number"),
        ],
    )
    def test_duplicate_or_missing_values_are_refused(self, words: list[str], said: str, tmp_path: Path) -> None:
        result = Machine(tmp_path).run("repo", "policy", self.URL, *words)
        assert result.code == 2
        assert said in result.err

    def test_a_directory_has_no_policy(self, tmp_path: Path) -> None:
        result = Machine(tmp_path).run("repo", "policy", str(tmp_path), "--public", "--read")
        assert (result.code, "Only buckets have policies" in result.err) == (2, True)

    def test_a_missing_bucket_is_an_error(self, moto: S3Server, tmp_path: Path) -> None:
        words = ("repo", "policy", f"s3://no-{uuid4().hex}", "--public", "--read", "--apply", "--json")
        result = Machine(tmp_path).run(*words, **moto.env())
        assert (result.code, result.envelope["error"]["code"]) == (1, "bucket-not-found")
