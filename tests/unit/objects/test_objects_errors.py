"""What addresses, keys and stores' errors are read as, without a store."""

from __future__ import annotations

import errno
import subprocess
import sys
import traceback
from typing import TYPE_CHECKING

import pytest
from botocore import exceptions as botocore
from obstore import exceptions as obstore

from orbitpkg.errors import (
    AccessDenied,
    BucketNotFound,
    CredentialsError,
    IntegrityError,
    NoSpace,
    ObjectChanged,
    ObjectExists,
    ObjectNotFound,
    OrbitError,
    RepositoryError,
    RepositoryUnreachable,
    StorageError,
    UnsupportedByStore,
    UsageError,
)
from orbitpkg.objects import create_bucket, open_store
from orbitpkg.objects.addresses import Address, parse_address
from orbitpkg.objects.directory import DirectoryStore
from orbitpkg.objects.failures import Asked, Failure, Operation, failure_of, translate_error
from orbitpkg.objects.protocol import is_valid_key, joined_length
from orbitpkg.objects.timeouts import DEFAULT_TIMEOUTS, Timeouts
from tests.faulty_store import Fault, Faults, FaultyStore

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from orbitpkg.objects import ObjectStore


def asked(operation: Operation = "read", *, credentials: str | None = "profile models") -> Asked:
    return Asked(
        operation=operation,
        name="s3://bucket/p/key",
        key="key",
        host="https://s3.example.org",
        url="s3://bucket/p",
        bucket="bucket",
        credentials=credentials,
        profile="models" if credentials else None,
    )


def from_obstore(status: int, code: str = "") -> obstore.GenericError:
    body = f"<Error><Code>{code}</Code><Message>m</Message></Error>" if code else ""
    return obstore.GenericError(
        f"Generic S3 error: Error performing GET http://h/b/k?X-Amz-Signature=s in 1ms - "
        f"Server returned non-2xx status code: {status} Words: {body}\n\nDebug source:\nGeneric {{ }}"
    )


def from_botocore(status: int, code: str = "") -> botocore.ClientError:
    response = {"Error": {"Code": code or str(status), "Message": "m"}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return botocore.ClientError(response, "GetObject")  # type: ignore[arg-type]


CASES: list[tuple[int, str, Operation, type[OrbitError]]] = [
    (404, "NoSuchKey", "read", ObjectNotFound),
    (404, "NoSuchBucket", "read", BucketNotFound),
    (404, "", "read", RepositoryUnreachable),
    (404, "NoSuchUpload", "upload", RepositoryError),
    (404, "", "copy", ObjectNotFound),
    (403, "AccessDenied", "read", AccessDenied),
    (403, "", "write", AccessDenied),
    (403, "InvalidAccessKeyId", "read", CredentialsError),
    (403, "SignatureDoesNotMatch", "list", CredentialsError),
    (400, "InvalidToken", "read", CredentialsError),
    (400, "ExpiredToken", "read", CredentialsError),
    (403, "RequestTimeTooSkewed", "read", RepositoryError),
    (412, "PreconditionFailed", "create", ObjectExists),
    (412, "PreconditionFailed", "replace", ObjectChanged),
    (416, "InvalidRange", "read", IntegrityError),
    (400, "InvalidArgument", "copy", IntegrityError),
    (409, "OperationAborted", "create bucket", RepositoryUnreachable),
    (500, "InternalError", "read", RepositoryUnreachable),
    (503, "SlowDown", "read", RepositoryUnreachable),
    (429, "", "read", RepositoryUnreachable),
    (501, "NotImplemented", "copy", UnsupportedByStore),
    (405, "MethodNotAllowed", "list", UnsupportedByStore),
    (507, "", "write", NoSpace),
    (403, "QuotaExceeded", "write", NoSpace),
    (301, "PermanentRedirect", "read", RepositoryUnreachable),
    (418, "", "read", RepositoryError),
]


@pytest.mark.parametrize(("status", "code", "operation", "expected"), CASES)
@pytest.mark.parametrize("library", [from_obstore, from_botocore], ids=["obstore", "botocore"])
def test_an_answer_is_translated_to_its_meaning(
    library: Callable[[int, str], Exception], status: int, code: str, operation: Operation, expected: type[OrbitError]
) -> None:
    failure = failure_of(library(status, code))
    assert (failure.status, failure.code) == (status, code or None)
    error = translate_error(failure, asked(operation))
    assert type(error) is expected
    assert len(str(error)) < 400
    assert "X-Amz" not in str(error)
    assert "<" not in str(error)


class TestWords:
    def test_a_forbidden_read_reports_that_the_key_may_be_missing(self) -> None:
        error = translate_error(Failure(status=403, code="AccessDenied", message="not authorized"), asked())
        assert error.message == (
            "s3://bucket/p/key does not exist, or the credentials from profile models do not permit reading it "
            "(without permission to list, S3 answers 403 for a missing key). "
            "https://s3.example.org: not authorized"
        )
        assert "s3:ListBucket" in str(error.hint)

    def test_an_expired_token_gives_a_hint_how_to_log_in(self) -> None:
        error = translate_error(Failure(status=400, code="ExpiredToken"), asked())
        assert "have expired" in error.message
        assert "aws sso login --profile models" in str(error.hint)

    def test_a_missing_bucket_gives_a_hint_how_to_create_it(self) -> None:
        error = translate_error(Failure(status=404, code="NoSuchBucket"), asked())
        assert error.hint == "To create it: orbitpkg repo init s3://bucket/p --create-bucket"

    def test_a_refusal_without_credentials_asks_for_them(self) -> None:
        error = translate_error(Failure(status=403, code="AccessDenied"), asked("write", credentials=None))
        assert type(error) is CredentialsError
        assert "AWS_PROFILE" in str(error.hint)

    def test_markup_and_control_characters_of_a_server_do_not_reach_the_terminal(self) -> None:
        said = "\x1b[31mred</Message>" + "x" * 5000
        failure = failure_of(obstore.GenericError(f"status code: 403 F: <Code>AccessDenied</Code><Message>{said}"))
        message = translate_error(failure, asked()).message
        assert "\x1b" not in message
        assert "x" * 100 not in message

    def test_a_failure_of_botocore_below_http_is_unreachable(self) -> None:
        url = "https://s3.example.org"
        for error in (
            botocore.ConnectTimeoutError(endpoint_url=url),
            botocore.EndpointConnectionError(endpoint_url=url),
            botocore.ConnectionClosedError(endpoint_url=url),
            botocore.SSLError(endpoint_url=url, error=OSError("bad")),
        ):
            assert type(translate_error(failure_of(error), asked())) is RepositoryUnreachable

    def test_unexpected_exceptions_are_still_reported_as_errors(self) -> None:
        assert type(translate_error(failure_of(obstore.GenericError("something new")), asked())) is RepositoryError


def test_a_host_that_does_not_answer_is_given_up_within_thirty_seconds() -> None:
    assert DEFAULT_TIMEOUTS.worst <= 30


class TestAddresses:
    @pytest.mark.parametrize(
        ("url", "address"),
        [
            ("file:///srv/models", Address(scheme="file", location="/srv/models")),
            ("file://localhost/srv/a%20b/", Address(scheme="file", location="/srv/a b/")),
            ("s3://bucket", Address(scheme="s3", location="bucket")),
            ("S3://bucket/", Address(scheme="s3", location="bucket")),
            ("s3://bucket/a/b/", Address(scheme="s3", location="bucket", prefix="a/b")),
            ("https://example.org/models/", Address(scheme="https", location="https://example.org/models")),
            ("http://[::1]:8000", Address(scheme="http", location="http://[::1]:8000")),
            (
                "https://me:p%40ss@example.org/m",
                Address(scheme="https", location="https://example.org/m", user="me:p@ss"),
            ),
            ("memory://name/sub", Address(scheme="memory", location="name/sub")),
        ],
    )
    def test_an_address_is_split(self, url: str, address: Address) -> None:
        assert parse_address(url) == address

    @pytest.mark.parametrize(
        ("url", "hint"),
        [
            ("s3:/bucket/models", "Did you mean s3://bucket/models?"),
            ("s3:bucket", "Did you mean s3://bucket?"),
            ("file:/srv/models", "Did you mean file:///srv/models?"),
            ("/srv/models", "For a directory, write file:///srv/models"),
            ("relative/path", "For a directory, start the path with ./: ./relative/path"),
            ("htps://example.org", "Did you mean https://example.org?"),
            ("s3a://bucket", "Did you mean s3://bucket?"),
            ("ftp://host/models", "Write file:///directory"),
            ("https//example.org", "Did you mean https://example.org?"),
            ("memory://", "Write memory://name."),
        ],
    )
    def test_a_misspelling_is_reported_with_a_suggestion(self, url: str, hint: str) -> None:
        with pytest.raises(UsageError) as caught:
            parse_address(url)
        assert str(caught.value.hint).startswith(hint)

    @pytest.mark.parametrize(
        "url",
        [
            "",
            "s3://",
            "s3:///prefix",
            "s3://b!cket/x",
            "s3://bucket/a//b",
            "s3://bucket/../x",
            "s3://bucket/a?b=c",
            "file://host/dir",
            "file:///a%00b",
            "https://",
            "https://host:99999/",
            "https://host/?q=1",
            "memory://../x",
        ],
    )
    def test_an_invalid_address_is_refused(self, url: str) -> None:
        with pytest.raises(UsageError):
            parse_address(url)

    @pytest.mark.parametrize("url", ["s3://me:hidden@bucket", "ftp://me:hidden@host/x", "https://me:hidden@host:x/"])
    def test_a_password_is_not_repeated(self, url: str) -> None:
        with pytest.raises(UsageError) as caught:
            parse_address(url)
        assert "hidden" not in str(caught.value)
        assert "hidden" not in repr(caught.value.data)

    def test_a_password_is_not_in_the_repr(self) -> None:
        assert "hidden" not in repr(parse_address("https://me:hidden@host/"))

    def test_only_buckets_are_made(self) -> None:
        with pytest.raises(UsageError, match="Only s3://"):
            create_bucket("file:///srv")

    def test_stores_in_memory_are_shared_by_name(self) -> None:
        open_store("memory://shared-by-name").put("key", b"x")
        assert open_store("memory://shared-by-name").get("key")[0] == b"x"
        FaultyStore.forget("shared-by-name")
        assert list(open_store("memory://shared-by-name").list("")) == []
        FaultyStore.forget("shared-by-name")

    def test_importing_the_package_loads_no_storage_library(self) -> None:
        code = (
            "import sys, orbitpkg.objects as o; o.open_store('file:///nowhere');"
            "print([m for m in ('obstore', 'boto3', 'botocore', 'asyncio', 'ssl') if m in sys.modules])"
        )
        run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        assert run.stdout == "[]\n"


class TestKeys:
    def test_a_key_may_be_as_long_as_s3_allows(self) -> None:
        assert is_valid_key("k" * 1024)
        assert not is_valid_key("k" * 1025)
        assert not is_valid_key("ü" * 513)

    def test_parts_join_to_their_whole_length(self) -> None:
        assert joined_length({2: (5, 3), 1: (0, 5)}) == 8


class TestDirectories:
    def test_a_full_disk_is_reported_with_the_space_needed(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        # A file system that is full cannot be had without being root; the kernel's answer is what is simulated.
        def full(*_: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        monkeypatch.setattr("os.pwrite", full)
        store = DirectoryStore(tmp_path)
        with pytest.raises(NoSpace, match=r"for 1,234 bytes .*No space left on device") as caught:
            store.put("key", b"x" * 1234)
        assert caught.value.data["needed"] == 1234
        assert list((tmp_path / ".tmp").iterdir()) == []

    @pytest.mark.parametrize("number", [errno.EACCES, errno.EROFS, errno.EPERM])
    def test_a_file_without_write_permission_is_reported_with_its_path(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        # Root, who runs these tests in CI, may write everywhere.
        def refuse(path: object, *_: object) -> int:
            raise OSError(number, "no", str(path))

        monkeypatch.setattr("os.open", refuse)
        with pytest.raises(AccessDenied, match=str(tmp_path)):
            DirectoryStore(tmp_path).create("key", b"x")

    def test_a_broken_disk_is_not_treated_as_absence(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        DirectoryStore(tmp_path).put("key", b"x")

        def broken(*_: object) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

        monkeypatch.setattr("os.pread", broken)
        with pytest.raises(StorageError, match="Input/output error"):
            DirectoryStore(tmp_path).get("key")

    def test_a_file_system_without_hard_links_still_creates_only_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> None:
            raise OSError(errno.EPERM, "Operation not permitted")

        monkeypatch.setattr("os.link", refuse)
        store = DirectoryStore(tmp_path)
        store.create("key", b"first")
        with pytest.raises(ObjectExists):
            store.create("key", b"second")
        assert store.get("key")[0] == b"first"

    def test_a_file_system_without_locks_has_no_conditional_writes(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.ENOLCK, "No locks available")

        monkeypatch.setattr("fcntl.flock", refuse)
        store = DirectoryStore(tmp_path)
        etag = store.put("key", b"first").etag
        assert etag is not None
        with pytest.raises(UnsupportedByStore, match="without locks"):
            store.replace("key", b"second", etag=etag)
        store.put("key", b"third")
        assert store.get("key")[0] == b"third"

    def test_parts_are_copied_where_the_kernel_cannot(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(*_: object) -> int:
            raise OSError(errno.EXDEV, "Invalid cross-device link")

        monkeypatch.setattr("os.copy_file_range", refuse)
        store = DirectoryStore(tmp_path)
        store.put("source", bytes(range(256)) * 100)
        upload = store.start_upload("target")
        upload.copy_part(1, 0, "source", 3, 20_000)
        upload.complete()
        assert store.get("target")[0] == (bytes(range(256)) * 100)[3:20_003]


class TestFaults:
    """The in-memory store fails as configured."""

    @pytest.fixture
    def store(self) -> FaultyStore:
        store = FaultyStore(faults=Faults())
        store.put("key", b"0123456789")
        return store

    def test_create_can_overwrite_in_silence(self, store: FaultyStore) -> None:
        store.faults.ignore_create_only = True
        store.create("key", b"other")
        assert store.get("key")[0] == b"other"

    def test_operations_can_be_missing(self, store: FaultyStore) -> None:
        faults = store.faults
        faults.no_ranges = faults.no_listing = faults.no_replace = faults.no_part_copies = True
        upload = store.start_upload("other")
        for use in (
            lambda: store.get_range("key", 0, 1),
            lambda: store.list(""),
            lambda: store.list_folders(""),
            lambda: store.replace("key", b"", etag='"1"'),
            lambda: upload.copy_part(1, 0, "key", 0, 1),
        ):
            with pytest.raises(UnsupportedByStore):
                use()

    def test_a_request_can_fail_before_its_work(self, store: FaultyStore) -> None:
        store.faults.faults.append(Fault(kind="before", operation="create", nth=2))
        store.create("a", b"x")
        with pytest.raises(RepositoryUnreachable):
            store.create("b", b"x")
        store.create("b", b"x")

    def test_a_request_can_fail_after_its_work(self, store: FaultyStore) -> None:
        store.faults.faults.append(Fault(kind="after", operation="create"))
        with pytest.raises(RepositoryUnreachable):
            store.create("a", b"x")
        with pytest.raises(ObjectExists):
            store.create("a", b"x")

    def test_bytes_can_come_wrong_short_or_of_another_state(self, store: FaultyStore) -> None:
        etag = store.head("key").etag
        store.faults.faults += [
            Fault(kind="corrupt", operation="get"),
            Fault(kind="corrupt", operation="get_range"),
            Fault(kind="truncate", operation="get", nth=2),
            Fault(kind="truncate", operation="get_range", nth=2),
            Fault(kind="change", operation="get_range", nth=3),
        ]
        assert store.get("key")[0] == b"012344" + b"6789"
        assert bytes(store.get_range("key", 0, 3)) == b"002"
        assert store.get("key")[0] == b"012345678"
        with pytest.raises(IntegrityError):
            store.get_range("key", 0, 10)
        with pytest.raises(ObjectChanged):
            store.get_range("key", 0, 10, etag=etag)
        assert store.get("key")[0] == b"0123456789"

    def test_faults_and_objects_are_shared_by_name(self) -> None:
        faults = Faults()
        try:
            FaultyStore("misbehaves", faults=faults).put("key", b"x")
            opened: ObjectStore = open_store("memory://misbehaves")
            faults.faults.append(Fault(kind="before", key="k*", times=None))
            for _ in range(3):
                with pytest.raises(RepositoryUnreachable):
                    opened.get("key")
            assert [request.operation for request in faults.requests] == ["put", "get", "get", "get"]
        finally:
            FaultyStore.forget("misbehaves")


class TestTracebacks:
    @pytest.mark.parametrize("url", ["http://127.0.0.1:1", "s3://bucket/prefix"])
    def test_a_traceback_shows_no_exception_of_a_library(self, url: str) -> None:
        env = {
            "AWS_ACCESS_KEY_ID": "key",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:1",
        }
        store = open_store(url, env=env, timeouts=Timeouts(connect=1.0, silence=1.0, retry=0.1, retries=0))
        with pytest.raises(RepositoryUnreachable) as caught:
            store.get("key")
        shown = "".join(traceback.format_exception(caught.value))
        assert "GenericError" not in shown
        assert "The above exception" not in shown
        assert "During handling" not in shown
