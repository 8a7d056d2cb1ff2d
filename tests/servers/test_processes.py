"""The servers behave as the code and the tests rely on: what each was seen to do, held as tests.

When one of these fails after an upgrade of a server, the code that works around what it did can perhaps go.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError, FlexibleChecksumError

from tests.servers.fixtures import skip_or_fail
from tests.servers.processes import Program, ServerFailed, ServerMissing, find_program, free_port
from tests.servers.sharing import TOP, Run, obtain, wait_for_keepers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from email.message import Message

    from types_boto3_s3 import S3Client
    from types_boto3_s3.type_defs import CompletedMultipartUploadTypeDef

    from tests.servers.processes import S3Server, StaticSite

MIB = 1 << 20
PART = b"p" * 5 * MIB


@contextmanager
def refused(status: int) -> Iterator[None]:
    """Expect an answer of this HTTP status."""
    with pytest.raises(ClientError) as caught:
        yield
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def status_of(answer: Mapping[str, Any]) -> int:
    status: int = answer["ResponseMetadata"]["HTTPStatusCode"]
    return status


def body_of(client: S3Client, bucket: str, key: str) -> bytes:
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


def with_object(server: S3Server, body: bytes) -> tuple[S3Client, str]:
    """Return a client, and a new bucket with an object at the key "k"."""
    client, bucket = server.client(), server.new_bucket()
    client.put_object(Bucket=bucket, Key="k", Body=body)
    return client, bucket


def upload(client: S3Client, bucket: str, body: bytes, *, if_none_match: str) -> None:
    """Write the object at the key "k" as a multipart upload of one part."""
    started = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    part = client.upload_part(Bucket=bucket, Key="k", UploadId=started, PartNumber=1, Body=body)
    client.complete_multipart_upload(
        Bucket=bucket,
        Key="k",
        UploadId=started,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
        IfNoneMatch=if_none_match,
    )


def copy_part(client: S3Client, bucket: str, upload_id: str) -> Mapping[str, Any]:
    """Copy the object "k" without its first 4 bytes into an upload of the key "copy". Return the response."""
    return client.upload_part_copy(
        Bucket=bucket,
        Key="copy",
        UploadId=upload_id,
        PartNumber=1,
        CopySource={"Bucket": bucket, "Key": "k"},
        CopySourceRange=f"bytes=4-{3 + len(PART)}",
    )


class TestEveryS3Server:
    def test_a_new_bucket_is_empty_and_gives_back_what_is_put_in(self, s3_server: S3Server) -> None:
        client, bucket = s3_server.client(), s3_server.new_bucket()
        assert "Contents" not in client.list_objects_v2(Bucket=bucket)
        client.put_object(Bucket=bucket, Key="a/b.txt", Body=b"hello")
        assert body_of(client, bucket, "a/b.txt") == b"hello"

    def test_new_buckets_are_never_the_same(self, s3_server: S3Server) -> None:
        assert s3_server.new_bucket() != s3_server.new_bucket()

    def test_a_missing_key_is_not_found(self, s3_server: S3Server) -> None:
        with refused(404):
            s3_server.client().get_object(Bucket=s3_server.new_bucket(), Key="absent")

    def test_a_missing_bucket_is_not_found(self, s3_server: S3Server) -> None:
        with pytest.raises(ClientError, match="NoSuchBucket"):
            s3_server.client().list_objects_v2(Bucket="no-such-bucket")

    def test_a_put_replaces_an_existing_object(self, s3_server: S3Server) -> None:
        client, bucket = s3_server.client(), s3_server.new_bucket()
        client.put_object(Bucket=bucket, Key="k", Body=b"one")
        client.put_object(Bucket=bucket, Key="k", Body=b"two")
        assert body_of(client, bucket, "k") == b"two"

    def test_listing_goes_by_plain_prefix_and_in_order(self, s3_server: S3Server) -> None:
        client, bucket = s3_server.client(), s3_server.new_bucket()
        for key in ("b/2", "a/1", "b/1", "bb"):
            client.put_object(Bucket=bucket, Key=key, Body=b"")
        listed = client.list_objects_v2(Bucket=bucket, Prefix="b/")["Contents"]
        assert [entry["Key"] for entry in listed] == ["b/1", "b/2"]

    def test_a_wrong_checksum_of_the_client_is_accepted(self, s3_server: S3Server) -> None:
        client, bucket = s3_server.client(), s3_server.new_bucket()
        of_nothing = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
        assert status_of(client.put_object(Bucket=bucket, Key="k", Body=b"data", ChecksumSHA256=of_nothing)) == 200


class TestCreateOnlyPuts:
    @pytest.mark.parametrize("name", ["moto", "ceph"])
    def test_find_an_existing_object_and_leave_it(self, name: str, request: pytest.FixtureRequest) -> None:
        client, bucket = with_object(request.getfixturevalue(name), b"first")
        with refused(412):
            client.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
        assert body_of(client, bucket, "k") == b"first"

    def test_overwrite_in_silence_on_rclone(self, rclone: S3Server) -> None:
        client, bucket = with_object(rclone, b"first")
        client.put_object(Bucket=bucket, Key="k", Body=b"second", IfNoneMatch="*")
        assert body_of(client, bucket, "k") == b"second"

    def test_work_for_multipart_uploads_on_moto(self, moto: S3Server) -> None:
        client, bucket = with_object(moto, b"first")
        with refused(412):
            upload(client, bucket, b"second", if_none_match="*")
        assert body_of(client, bucket, "k") == b"first"

    @pytest.mark.parametrize("name", ["rclone", "ceph"])
    def test_overwrite_in_silence_as_multipart_uploads(self, name: str, request: pytest.FixtureRequest) -> None:
        client, bucket = with_object(request.getfixturevalue(name), b"first")
        upload(client, bucket, b"second", if_none_match="*")
        assert body_of(client, bucket, "k") == b"second"


class TestPutsOfWhatIsUnchanged:
    def test_replace_the_object_with_that_etag_on_moto(self, moto: S3Server) -> None:
        client, bucket = with_object(moto, b"first")
        etag = client.head_object(Bucket=bucket, Key="k")["ETag"]
        client.put_object(Bucket=bucket, Key="k", Body=b"second", IfMatch=etag)
        assert body_of(client, bucket, "k") == b"second"
        with refused(412):
            client.put_object(Bucket=bucket, Key="k", Body=b"third", IfMatch=etag)
        assert body_of(client, bucket, "k") == b"second"

    def test_never_work_on_ceph(self, ceph: S3Server) -> None:
        client, bucket = with_object(ceph, b"first")
        etag = client.head_object(Bucket=bucket, Key="k")["ETag"]
        with refused(412):
            client.put_object(Bucket=bucket, Key="k", Body=b"second", IfMatch=etag)

    def test_replace_any_existing_object_on_rclone(self, rclone: S3Server) -> None:
        client, bucket = with_object(rclone, b"first")
        client.put_object(Bucket=bucket, Key="k", Body=b"second", IfMatch='"of another object"')
        assert body_of(client, bucket, "k") == b"second"


class TestRangedGets:
    @pytest.mark.parametrize(("name", "status"), [("moto", 206), ("ceph", 206), ("rclone", 200)])
    def test_return_the_part_and_its_offset(self, name: str, status: int, request: pytest.FixtureRequest) -> None:
        client, bucket = with_object(request.getfixturevalue(name), b"0123456789")
        answer = client.get_object(Bucket=bucket, Key="k", Range="bytes=2-4")
        assert answer["Body"].read() == b"234"
        assert answer["ContentRange"] == "bytes 2-4/10"
        assert status_of(answer) == status

    def test_round_trip_through_rclone_with_a_full_checksum_that_boto3_expects_for_parts(
        self, rclone: S3Server
    ) -> None:
        client, bucket = with_object(rclone, b"0123456789")
        answer = client.get_object(Bucket=bucket, Key="k", Range="bytes=2-4", ChecksumMode="ENABLED")
        with pytest.raises(FlexibleChecksumError):
            answer["Body"].read()

    def test_past_the_end_are_refused(self, s3_server: S3Server) -> None:
        client, bucket = with_object(s3_server, b"0123456789")
        with refused(416):
            client.get_object(Bucket=bucket, Key="k", Range="bytes=10-12")


class TestCopiesOfParts:
    @pytest.mark.parametrize("name", ["moto", "ceph"])
    def test_take_a_range_of_another_object(self, name: str, request: pytest.FixtureRequest) -> None:
        client, bucket = with_object(request.getfixturevalue(name), b"head" + PART)
        started = client.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
        etag = copy_part(client, bucket, started)["CopyPartResult"]["ETag"]
        parts: CompletedMultipartUploadTypeDef = {"Parts": [{"PartNumber": 1, "ETag": etag}]}
        client.complete_multipart_upload(Bucket=bucket, Key="copy", UploadId=started, MultipartUpload=parts)
        assert body_of(client, bucket, "copy") == PART

    def test_come_back_from_rclone_without_the_etag_that_completing_needs(self, rclone: S3Server) -> None:
        client, bucket = with_object(rclone, b"head" + PART)
        started = client.create_multipart_upload(Bucket=bucket, Key="copy")["UploadId"]
        assert "ETag" not in copy_part(client, bucket, started).get("CopyPartResult", {})


class TestSignatures:
    @pytest.mark.parametrize("name", ["rclone", "ceph"])
    def test_of_a_wrong_secret_are_refused(self, name: str, request: pytest.FixtureRequest) -> None:
        server = replace(request.getfixturevalue(name), secret_key="wrong")
        with refused(403):
            server.client().list_buckets()

    def test_are_not_checked_by_moto(self, moto: S3Server) -> None:
        replace(moto, secret_key="wrong").client().list_buckets()


class TestVersioning:
    @pytest.mark.parametrize("name", ["moto", "ceph"])
    def test_is_there(self, name: str, request: pytest.FixtureRequest) -> None:
        server = request.getfixturevalue(name)
        client, bucket = server.client(), server.new_bucket()
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
        client.put_object(Bucket=bucket, Key="k", Body=b"one")
        client.put_object(Bucket=bucket, Key="k", Body=b"two")
        assert len(client.list_object_versions(Bucket=bucket)["Versions"]) == 2

    def test_is_not_implemented_by_rclone(self, rclone: S3Server) -> None:
        with refused(501):
            rclone.client().put_bucket_versioning(
                Bucket=rclone.new_bucket(), VersioningConfiguration={"Status": "Enabled"}
            )


class TestEnvironment:
    def test_leads_another_process_to_the_server(self, s3_server: S3Server) -> None:
        bucket = s3_server.new_bucket()
        program = "import sys, boto3; boto3.client('s3').put_object(Bucket=sys.argv[1], Key='k', Body=b'from afar')"
        subprocess.run([sys.executable, "-c", program, bucket], env=s3_server.env(), check=True)
        assert body_of(s3_server.client(), bucket, "k") == b"from afar"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer of a web server."""

    status: int
    body: bytes
    headers: Message


def fetch(url: str, **headers: str) -> Answer:
    request = urllib.request.Request(url, headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as reply:
            return Answer(status=reply.status, body=reply.read(), headers=reply.headers)
    except urllib.error.HTTPError as error:
        with error:
            return Answer(status=error.code, body=error.read(), headers=error.headers)


def with_file(site: StaticSite) -> str:
    """Put a file of ten bytes into a new folder of a site, and return its URL."""
    folder = site.new_folder()
    (folder.root / "file").write_bytes(b"0123456789")
    return f"{folder.url}/file"


@pytest.mark.parametrize("name", ["nginx", "python_site"])
class TestWebsites:
    def test_return_the_whole_file(self, name: str, request: pytest.FixtureRequest) -> None:
        answer = fetch(with_file(request.getfixturevalue(name)))
        assert (answer.status, answer.body) == (200, b"0123456789")

    @pytest.mark.parametrize(
        ("asked", "body", "place"),
        [("2-4", b"234", "2-4"), ("8-", b"89", "8-9"), ("8-99", b"89", "8-9"), ("-3", b"789", "7-9")],
    )
    def test_give_a_part(self, name: str, asked: str, body: bytes, place: str, request: pytest.FixtureRequest) -> None:
        answer = fetch(with_file(request.getfixturevalue(name)), Range=f"bytes={asked}")
        assert (answer.status, answer.body) == (206, body)
        assert answer.headers["Content-Range"] == f"bytes {place}/10"

    def test_refuse_a_part_past_the_end(self, name: str, request: pytest.FixtureRequest) -> None:
        assert fetch(with_file(request.getfixturevalue(name)), Range="bytes=10-11").status == 416

    def test_refuse_to_give_another_file_than_the_one_asked_for(
        self, name: str, request: pytest.FixtureRequest
    ) -> None:
        url = with_file(request.getfixturevalue(name))
        etag = fetch(url).headers["ETag"]
        assert fetch(url, If_Match=etag).status == 200
        assert fetch(url, If_Match='"of another"').status == 412

    def test_report_a_missing_file(self, name: str, request: pytest.FixtureRequest) -> None:
        assert fetch(f"{request.getfixturevalue(name).new_folder().url}/absent").status == 404


class TestRangelessSite:
    def test_returns_the_whole_file_for_any_range(self, rangeless_site: StaticSite) -> None:
        answer = fetch(with_file(rangeless_site), Range="bytes=2-4")
        assert (answer.status, answer.body) == (200, b"0123456789")


class TestPrograms:
    def test_that_is_not_installed_is_reported_with_a_hint_how_to_install_it(self) -> None:
        with pytest.raises(ServerMissing, match=r"^no-such-program is not installed; to get it: apt-get install it$"):
            find_program("no-such-program", how_to_get="apt-get install it")

    def test_that_ends_at_once_is_reported_with_the_end_of_its_log(self, tmp_path: Path) -> None:
        program = Program(["sh", "-c", "echo the reason; exit 3"], log=tmp_path / "log")
        with pytest.raises(ServerFailed, match=r"(?s)exit status 3.*the reason"):
            program.wait_for_answer(free_port())
        program.stop()

    def test_takes_its_children_with_it_when_stopped(self, tmp_path: Path) -> None:
        held = tmp_path / "held"
        os.mkfifo(held)
        # The child holds the FIFO for writing until it is killed, which the end of its parent does not do.
        script = 'sleep 1000 >"$1" & exec sleep 1000'
        program = Program(["sh", "-c", script, "sh", held], log=tmp_path / "log")
        with held.open("rb") as reader:
            program.stop()
            assert reader.read() == b""


class TestMissingServers:
    def test_skip_a_test_on_a_developers_machine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CI", raising=False)
        with pytest.raises(pytest.skip.Exception, match="not installed"):
            skip_or_fail(ServerMissing("x is not installed"))

    def test_fail_a_test_in_ci(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CI", "true")
        with pytest.raises(pytest.fail.Exception, match="not installed"):
            skip_or_fail(ServerMissing("x is not installed"))


class TestRuns:
    SITE = "websites.python_site"

    def test_start_a_server_once_for_all_requests_and_leave_nothing_behind(self) -> None:
        run = Run()
        first, second = obtain(run.folder, self.SITE), obtain(run.folder, self.SITE)
        assert first == second
        assert fetch(first["url"]).status == 404
        run.end()
        with pytest.raises(urllib.error.URLError):
            fetch(first["url"])
        assert not run.folder.exists()

    def test_that_are_killed_leave_no_server_running(self) -> None:
        script = (
            "import json; from tests.servers.sharing import *; run = Run(); "
            f"print(run.folder, obtain(run.folder, {self.SITE!r})['url'], flush=True); input()"
        )
        with subprocess.Popen(
            [sys.executable, "-c", script], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            folder, url = process.stdout.readline().split()
            assert fetch(url).status == 404
            process.kill()
        wait_for_keepers(Path(folder))
        with pytest.raises(urllib.error.URLError):
            fetch(url)
        shutil.rmtree(folder)
